"""Eager operations whose shapes grow: each size compiles a program, which a warning says, once.

JAX runs the Python code of an operation when it meets a new form of the operands, and tells when
it has compiled a program. Only then is anything counted; a call that compiles nothing pays nothing.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax

from lucid._core.errors import user_place
from lucid._core.waiting import COMPILATION, program_name

MANY = 32  # sizes of one axis

# Of each operand its dtype and its shape; in a pattern None stands for the axes that vary.
Shapes: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]
Pattern: TypeAlias = tuple[tuple[str, tuple[int | None, ...]], ...]


class Form(NamedTuple):
    """The form of the operands for which an operation is compiled."""

    name: str  # of the operation
    operands: Shapes
    seen: dict[Pattern, set[int]]  # the sizes of the axes that vary, in calls equal otherwise


class _Thread(threading.local):
    form: Form | None = None  # of the operation that was traced last


_thread = _Thread()
_told = False


def counted(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn` as it is to be compiled, so that its forms are counted."""
    seen: dict[Pattern, set[int]] = {}

    @functools.wraps(fn)
    def traced(*inputs: Any) -> Any:
        if not _told:
            operands = tuple((str(x.dtype), x.shape) for x in inputs if x is not None)
            _thread.form = Form(fn.__name__, operands, seen)
        return fn(*inputs)

    return traced


def _on_end(event: str, duration_secs: float, **details: Any) -> None:
    form = _thread.form
    # Within another function that JAX compiles an operation is traced, but no program of its own.
    if event == COMPILATION and form is not None and program_name(details) == form.name:
        _thread.form = None
        _count(form)


def _count(form: Form) -> None:
    global _told
    for size in {size for _, shape in form.operands for size in shape}:
        pattern = tuple(
            (dtype, tuple(None if n == size else n for n in shape))
            for dtype, shape in form.operands
        )
        sizes = form.seen.setdefault(pattern, set())
        sizes.add(size)
        if len(sizes) == MANY and not _told:
            _told = True
            _warn(form.name, pattern, sorted(sizes))


def _warn(name: str, pattern: Pattern, sizes: list[int]) -> None:
    shapes = (
        f"{dtype}[{', '.join('*' if n is None else str(n) for n in shape)}]"
        for dtype, shape in pattern
    )
    text = (
        f"{name}: one axis had {len(sizes)} sizes ({', '.join(map(str, sizes[:3]))}, ..., "
        f"{sizes[-1]}) in calls that are equal otherwise, {', '.join(shapes)}, and a program was "
        "compiled for each. Pad the axis to a few sizes; or compile the loop's body with lucid.jit "
        "and keep what grows in a Tensor of one size that is written in place. This is said once."
    )
    place = user_place()
    if place is not None:
        warnings.warn_explicit(text, RuntimeWarning, place.filename, place.number)


def listen() -> None:
    """Count from now on, after all that `waiting` hears of: a warning may be an error."""
    jax.monitoring.register_event_duration_secs_listener(_on_end)
