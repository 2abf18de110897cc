"""The handle that registrations of hooks return."""

from __future__ import annotations

import itertools
from typing import Any

from lucid._core import epoch

_keys = itertools.count()


class Handle:
    """Undoes a registration, by `handle.remove()`, or `handle()` as in lucid 2.

    >>> x = Tensor([1.0], requires_grad=True)
    >>> handle = x.register_hook(lambda grad: grad * 10)
    >>> handle.remove()
    """

    def __init__(self, registry: dict[int, Any], entry: Any) -> None:
        self._registry = registry
        self._key = next(_keys)
        registry[self._key] = entry
        epoch.bump()

    def remove(self) -> None:
        """Take the registration back; a second call does nothing."""
        self._registry.pop(self._key, None)
        epoch.bump()

    __call__ = remove
