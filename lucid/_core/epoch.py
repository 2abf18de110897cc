"""A count of the changes that compiled programs must notice, such as a Module's new attribute.

A program that was checked at the current epoch needs no further check; this is what makes a call
of a compiled step independent of the number of Modules.
"""

from __future__ import annotations

import itertools

_counter = itertools.count(1)
current = 0


def bump() -> None:
    """Say that something changed."""
    global current
    current = next(_counter)
