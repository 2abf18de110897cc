"""Errors of compiled programs, with the user's own line."""

from __future__ import annotations

import inspect
import linecache
import os
import re
import sys
import sysconfig
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Any, NamedTuple

import jax

_LIBRARIES = tuple(
    os.path.dirname(os.path.abspath(path)) + os.sep
    for path in (os.path.dirname(__file__), jax.__file__)
)

# Where the code lies that is no user's.
_PATHS = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
INSTALLED = (*_LIBRARIES, *(path + os.sep for path in _PATHS), "<frozen ")


class JitError(RuntimeError):
    """A function cannot be compiled as it is written; the message tells where, and the way out."""


class Place(NamedTuple):
    """A line of a file."""

    filename: str
    number: int

    def __str__(self) -> str:
        source = linecache.getline(self.filename, self.number).strip()
        return f"{os.path.basename(self.filename)}:{self.number}" + (
            f": `{source}`" if source else ""
        )


def user_place(traceback: TracebackType | None = None) -> Place | None:
    """The innermost line outside lucid and JAX, of a traceback or else of the running code."""
    found: Place | None = None
    if traceback is None:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename.startswith(_LIBRARIES):
            frame = frame.f_back
        if frame is not None:
            found = Place(frame.f_code.co_filename, frame.f_lineno)
    while traceback is not None:
        filename = traceback.tb_frame.f_code.co_filename
        if not filename.startswith(_LIBRARIES):
            found = Place(filename, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


def user_line(traceback: TracebackType | None = None) -> str:
    """`user_place` as messages show it."""
    return str(user_place(traceback) or "an unknown line")


def definition(fn: Callable[..., Any]) -> str:
    """The line where a function, or the `forward` of a Module, begins."""
    fn = getattr(type(fn), "forward", fn)
    code = getattr(inspect.unwrap(fn), "__code__", None)
    if code is None:
        return getattr(fn, "__name__", type(fn).__name__)
    number = code.co_firstlineno
    while linecache.getline(code.co_filename, number).lstrip().startswith("@"):
        number += 1
    return str(Place(code.co_filename, number))


def explain(error: Exception, name: str, operands: Sequence[Any]) -> None:
    """Let an error of an operation begin with its name and its operands; its type stays."""
    if isinstance(error, JitError) or getattr(error, "__lucid__", False):
        return
    error.__lucid__ = True  # type: ignore[attr-defined]  # an outer operation adds nothing
    drop_advice(error)
    message = _message(error)
    if message is not None and not _SENTENCE.match(message):
        error.args = (f"{name}: {', '.join(map(_spec, operands))}: {message}",)


def drop_advice(error: BaseException) -> None:
    """Take JAX's advice on its own traceback off an error."""
    notes = getattr(error, "__notes__", None)
    if notes:
        notes[:] = [note for note in notes if "JAX_TRACEBACK_FILTERING" not in note]


_SENTENCE = re.compile(r"[A-Za-z_.]*[a-z][\w.]*: ")  # begins with the name of a call


def _message(error: Exception) -> str | None:
    """What `str(error)` shows and `error.args` may change."""
    plain = type(error).__str__ in (Exception.__str__, BaseException.__str__)
    return error.args[0] if plain and len(error.args) == 1 and type(error.args[0]) is str else None


def _spec(operand: Any) -> str:
    shape, dtype = getattr(operand, "shape", None), getattr(operand, "dtype", None)
    return repr(operand) if shape is None else f"{dtype}{list(shape)}"
