"""Errors of compiled programs, with the user's own line."""

from __future__ import annotations

import contextlib
import inspect
import linecache
import os
import re
import sys
from collections.abc import Callable, Collection, Sequence
from types import FrameType, TracebackType
from typing import Any, NamedTuple

import jax

from lucid._core import hints

# Where the code of lucid and JAX lies.
LIBRARIES = tuple(
    os.path.dirname(os.path.abspath(path)) + os.sep
    for path in (os.path.dirname(__file__), jax.__file__)
)


class JitError(RuntimeError):
    """A function cannot be compiled as it is written; the message tells where, and the way out."""


class _Built(Exception):
    """An error that is made from values, not from its text; copies keep the text."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).__new__, (type(self), *self.args)


class UnknownDeviceError(_Built, ValueError):
    """A device was named that JAX does not know or that this machine lacks.

    >>> try:
    ...     lucid.zeros(2, device="abacus")
    ... except lucid.error.UnknownDeviceError as error:
    ...     print(error)
    device "abacus" is not present. Present: cpu; or pass a jax.Device.
    """

    def __init__(self, device: str, present: str = "cpu") -> None:
        cuda = ' (lucid calls CUDA "gpu")' if device.startswith("cuda") else ""
        super().__init__(
            f'device "{device}" is not present. Present: {present}{cuda}; or pass a jax.Device.'
        )


class DeviceMismatchError(_Built, ValueError):
    """An operation got Tensors that are bound to different devices; `mesh`: some to several.

    >>> print(lucid.error.DeviceMismatchError(to="gpu", from_="cpu"))
    one operand lies on gpu, another on cpu. Move one of them, for example with x.to("gpu").
    """

    def __init__(self, to: str, from_: str, *, mesh: bool = False) -> None:
        advice = (
            "Put all on one mesh: Modules, optimizers and generators with lucid.sharding.place, "
            "inputs with x.to(lucid.sharding.split(mesh))."
            if mesh
            else f'Move one of them, for example with x.to("{to}").'
        )
        super().__init__(f"one operand lies on {to}, another on {from_}. {advice}")


class BackwardError(_Built, RuntimeError):
    """An operation failed while gradients were computed; the error that it follows says why.

    >>> print(lucid.error.BackwardError(shape=(2, 3), op="matmul"))
    backward: no gradient through matmul, for a Tensor of shape (2, 3); the error above says why.
    """

    def __init__(self, shape: Sequence[int], op: object) -> None:
        super().__init__(
            f"backward: no gradient through {op}, for a Tensor of shape {tuple(shape)}; the error "
            "above says why."
        )


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
        while frame is not None and frame.f_code.co_filename.startswith(LIBRARIES):
            frame = frame.f_back
        if frame is not None:
            found = Place(frame.f_code.co_filename, frame.f_lineno)
    while traceback is not None:
        filename = traceback.tb_frame.f_code.co_filename
        if not filename.startswith(LIBRARIES):
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


LOST = (
    "the values of this Tensor were given to a compiled step that failed while it ran, and are "
    "gone. Load the last checkpoint, into the model and its optimizer."
)


def is_lost(array: Any) -> bool:
    """Whether a compiled step took the memory of an array and left nothing in its place."""
    return (
        isinstance(array, jax.Array)
        and not isinstance(array, jax.core.Tracer)
        and (array.is_deleted())
    )


def explain(error: Exception, name: str, operands: Sequence[Any]) -> None:
    """Let an error of an operation begin with its name and its operands; its type stays."""
    if isinstance(error, JitError) or getattr(error, "__lucid__", False):
        return
    error.__lucid__ = True  # type: ignore[attr-defined]  # an outer operation adds nothing
    drop_advice(error)
    message = _message(error)
    if any(map(is_lost, operands)):
        message = LOST
    elif (mismatch := mismatched(error, operands)) is not None:
        explain(mismatch, name, operands)
        raise mismatch from error
    if message is not None and not _SENTENCE.match(message):
        error.args = (": ".join(filter(None, (name, ", ".join(map(_spec, operands)), message))),)


def mismatched(error: BaseException, arrays: Sequence[Any]) -> DeviceMismatchError | None:
    """The error of lucid for one of JAX about arrays that lie in different places."""
    if "incompatible devices" not in str(error):
        return None
    held = [x for x in arrays if isinstance(x, jax.Array) and not isinstance(x, jax.core.Tracer)]
    places = {frozenset(x.sharding.device_set) for x in held if x.committed}
    names = sorted(map(_place_name, places))
    mesh = any(len(devices) > 1 for devices in places)
    return DeviceMismatchError(*names[:2], mesh=mesh) if len(names) > 1 else None


def _place_name(devices: Collection[Any]) -> str:
    first = min(devices, key=lambda d: d.id)
    if len(devices) > 1:
        return f"{len(devices)} devices ({first.platform})"
    return f"{first.platform}:{first.id}" if first.id else str(first.platform)


def drop_advice(error: BaseException) -> None:
    """Take JAX's advice on its own traceback off an error."""
    notes = getattr(error, "__notes__", None)
    if notes:
        notes[:] = [note for note in notes if "JAX_TRACEBACK_FILTERING" not in note]


_SENTENCE = re.compile(r"[A-Za-z_.]*[a-z][\w.]*: ")  # begins with the name of a call


_PLAIN = {kind.__str__ for kind in (BaseException, Exception, AttributeError, NameError)}


def _message(error: Exception) -> str | None:
    """What `str(error)` shows and `error.args` may change."""
    if type(error).__str__ in _PLAIN and len(error.args) == 1 and type(error.args[0]) is str:
        return error.args[0]
    return None


def _spec(operand: Any) -> str:
    shape, dtype = getattr(operand, "shape", None), getattr(operand, "dtype", None)
    return repr(operand) if shape is None else f"{dtype}{list(shape)}"


# --- Which layer it was -----------------------------------------------------------------------


class _Layer(NamedTuple):
    """Where an error came from, as the Module that it left last sees it."""

    key: int  # the id of that Module; the traceback keeps it alive
    path: str  # from its class down to the innermost layer
    kind: str  # the class of the innermost layer

    def __str__(self) -> str:
        return (
            f" (in {self.path})" if self.path == self.kind else f" (in {self.path} ({self.kind}))"
        )


def locate(error: Exception, module: Any) -> None:
    """Let an error of lucid that leaves the call of a Module end with the path of the layer.

    Errors of the user's own code stay as they are.
    """
    message = _message(error)
    note = hints.NOTES.get(str(error)) if isinstance(error, TypeError) else None
    if note is not None and note not in getattr(error, "__notes__", ()):
        error.add_note(note)
    if message is None or isinstance(error, (JitError, StopIteration, StopAsyncIteration)):
        return
    inner: _Layer | None = getattr(error, "__lucid_layer__", None)
    kind = type(module).__name__
    if inner is None:
        if not (getattr(error, "__lucid__", False) or _ends_inside(error.__traceback__)):
            return
        layer = _Layer(id(module), kind, kind)
    else:
        message = message.removesuffix(str(inner))
        called, _, below = inner.path.partition(".")
        step = _name_within(module, inner.key)
        steps = (kind, f"<{called}>" if step is None else step, below)
        layer = _Layer(id(module), ".".join(filter(None, steps)), inner.kind)
    error.__lucid_layer__ = layer  # type: ignore[attr-defined]
    error.args = (f"{message}{layer}",)


def _ends_inside(traceback: TracebackType | None) -> bool:
    """Whether the innermost line is one of lucid or JAX."""
    if traceback is None:
        return False
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback.tb_frame.f_code.co_filename.startswith(LIBRARIES)


def _name_within(module: Any, key: int) -> str | None:
    """The first name under which a Module reaches another one; "" for itself."""
    with contextlib.suppress(AttributeError):  # of a Module below that was never initialised
        for name, below in module.named_modules():
            if id(below) == key:
                return name
    for name, value in {**module._modules, **vars(module)}.items():  # also what is not registered
        if id(value) == key:
            return name
        if isinstance(value, (list, tuple, dict)):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for at, item in items:
                if id(item) == key:
                    return f"{name}[{at!r}]"
    return None
