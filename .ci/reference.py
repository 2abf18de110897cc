"""The reference: a site of all public names, from their docstrings.

    python .ci/reference.py site

Needs the extra `docs`. The site has a search, and needs no network.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pdoc.doc
import pdoc.doc_types

import lucid


class _Written(str):
    """An annotation as the source has it: most names in it exist for type checkers only."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _as_written(annotation: Any, *_: Any) -> Any:
    return _Written(annotation) if isinstance(annotation, str) else annotation


def build(folder: Path) -> None:
    """Write the site into a folder."""
    for owner, name, value in (
        (pdoc.doc, "safe_eval_type", _as_written),
        (pdoc.doc_types, "safe_eval_type", _as_written),
        (pdoc.doc.Function, "decorators", ()),  # how a function is declared is no user's
        (pdoc.doc.Class, "bases", ()),
    ):
        setattr(owner, name, value)
    pdoc.render.configure(docformat="google", footer_text=f"lucid {lucid.__version__}")
    # A room of functions bears the name of one of them.
    pdoc.pdoc("lucid", "!lucid.nn.functional.dropout", output_directory=folder)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
