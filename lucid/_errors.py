"""Errors of compiled programs, with the user's own line."""

from __future__ import annotations

import linecache
import os
import sys
from types import FrameType, TracebackType

import jax

_LIBRARIES = tuple(
    os.path.dirname(os.path.abspath(path)) + os.sep for path in (__file__, jax.__file__)
)


class JitError(RuntimeError):
    """A function cannot be compiled as it is written; the message tells where, and the way out."""


def user_line(traceback: TracebackType | None = None) -> str:
    """The innermost line outside lucid and JAX, of a traceback or else of the running code."""
    found: tuple[str, int] | None = None
    if traceback is None:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename.startswith(_LIBRARIES):
            frame = frame.f_back
        if frame is not None:
            found = frame.f_code.co_filename, frame.f_lineno
    while traceback is not None:
        filename = traceback.tb_frame.f_code.co_filename
        if not filename.startswith(_LIBRARIES):
            found = filename, traceback.tb_lineno
        traceback = traceback.tb_next
    if found is None:
        return "an unknown line"
    filename, number = found
    source = linecache.getline(filename, number).strip()
    return f"{os.path.basename(filename)}:{number}" + (f": `{source}`" if source else "")
