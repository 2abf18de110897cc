"""Capture: what a function reads and writes while it is traced.

Inside a capture every Tensor from outside is represented by a stand-in, which holds its traced
value and gradient. The Tensor itself is never touched: other threads go on seeing its real value,
and there is nothing to put back when the function raises.
"""

from __future__ import annotations

import contextlib
import gc
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import jax
import numpy as np

from lucid._core.errors import JitError, Place, definition, user_line, user_place
from lucid._core.mode import state
from lucid._core.op import Op
from lucid._core.tensor import Tensor
from lucid._core.typing import Array


class StandIn(Tensor):
    """What a trace sees of a Tensor from outside: a leaf, and a record of what happened to it."""

    __slots__ = ("data_written", "grad_read", "grad_written", "gradient", "owner", "place", "value")

    def __init__(self, owner: Tensor, value: Array, gradient: Tensor | None) -> None:
        self.owner = owner
        self.value = value
        self.gradient = gradient
        self.place: Place | None = None  # where it was last written
        self.data_written = self.grad_read = self.grad_written = False
        self._hooks = owner._hooks
        self._node, self._index = None, 0
        self._requires_grad, self._keep_grad = owner._requires_grad, owner._keep_grad
        self._born = state.capture

    @property  # a slot of Tensor, observed here
    def _data(self) -> Array:
        return self.value

    @_data.setter
    def _data(self, value: Array) -> None:
        self.value = value
        self.data_written = True
        self.place = user_place()

    @property  # a slot of Tensor, observed here
    def _grad(self) -> Tensor | None:
        # Only a gradient that is read before it is written comes from outside.
        self.grad_read = self.grad_read or not self.grad_written
        return self.gradient

    @_grad.setter
    def _grad(self, value: Tensor | None) -> None:
        self.gradient = value
        self.grad_written = True
        self.place = user_place()


class Number(NamedTuple):
    """A hyperparameter, read from its dictionary at every call."""

    holder: dict[str, Any]
    name: str

    def value(self) -> Any:
        """The number, or the tuple of numbers, as it is now."""
        return as_float(self.holder[self.name])


class Values(NamedTuple):
    """Traced values for all that a capture found, in its order."""

    data: Sequence[Array]
    grads: Sequence[Array | None]
    numbers: Sequence[Any]
    hosts: Sequence[Array]


class Capture:
    """The state that a function touches: found in a first trace, replaced by inputs in later ones.

    Args:
        found: the capture of the first trace; None in the first trace itself.
        values: what takes the place of the state in `found`.
    """

    def __init__(self, found: Capture | None = None, values: Values | None = None) -> None:
        self.created: list[tuple[weakref.ref[Tensor], Place | None]] = []
        self.stand_ins: dict[int, StandIn] = {}
        self.numbers: dict[tuple[int, str], tuple[Number, Any]] = {}
        self.hosts: dict[int, tuple[np.ndarray[Any, Any], Any]] = {}
        # With their attributes when they were first touched; None for those made in the trace.
        self.modules: dict[int, tuple[Any, dict[str, Any] | None]] = {}
        self.optimizers: dict[int, Any] = {}
        self._found = found
        self._values = values

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Make this the capture of the current thread."""
        before = state.capture
        state.capture = self
        try:
            if self._found is not None and self._values is not None:
                self._replay(self._found, self._values)
            yield
        finally:
            state.capture = before
            for array, _ in self.hosts.values():
                array.flags.writeable = True

    def _replay(self, found: Capture, values: Values) -> None:
        for stand_in, data, grad in zip(
            found.stand_ins.values(), values.data, values.grads, strict=True
        ):
            gradient = None if grad is None else Tensor._wrap(grad)
            self.stand_ins[id(stand_in.owner)] = StandIn(stand_in.owner, data, gradient)
        for (key, (number, _)), value in zip(found.numbers.items(), values.numbers, strict=True):
            self.numbers[key] = number, value
        for (host_key, (array, _)), value in zip(found.hosts.items(), values.hosts, strict=True):
            self._protect(array)
            self.hosts[host_key] = array, value

    def note(self, tensor: Tensor) -> None:
        """Note a Tensor that is made in the trace, and where."""
        if self._found is None:
            self.created.append((weakref.ref(tensor), user_place()))

    def stand_in(self, tensor: Tensor) -> StandIn:
        """The stand-in of a Tensor from outside, made when it is first touched."""
        stand_in = self.stand_ins.get(id(tensor))
        if stand_in is None:
            self._check_complete(f"a Tensor of shape {tensor._data.shape}")
            grad = tensor._grad
            gradient = None if grad is None else Tensor._wrap(_opaque(grad._data))
            stand_in = self.stand_ins[id(tensor)] = StandIn(tensor, _opaque(tensor._data), gradient)
        return stand_in

    def enter(self, op: Op, inputs: Sequence[Any]) -> tuple[Callable[..., Any], list[Any]]:
        """What computes an operation on arrays, and its operands as the trace sees them."""
        return op.run, [x._cell() if isinstance(x, Tensor) else self.host(x) for x in inputs]

    def number(self, holder: dict[str, Any], name: str) -> Any:
        """The traced value of a hyperparameter."""
        key = (id(holder), name)
        if key not in self.numbers:
            self._check_complete(f'the hyperparameter "{name}"')
            self.numbers[key] = Number(holder, name), as_float(holder[name])
        return self.numbers[key][1]

    def entered(self, module: Any) -> AbstractContextManager[Any]:
        """The context of a Module's call."""
        self.touch(module)
        return jax.named_scope(type(module).__name__)

    def touch(self, module: Any) -> None:
        """Note a Module whose attributes the trace depends on, or may change."""
        if id(module) not in self.modules:
            self.modules[id(module)] = module, module._attributes()

    def adopt(self, module: Any) -> None:
        """Note a Module that is made in the trace, and so is no state."""
        self.modules[id(module)] = module, None

    def watch(self, optimizer: Any) -> None:
        """Note an optimizer, whose flags the trace depends on."""
        self.optimizers[id(optimizer)] = optimizer

    def host(self, array: Any) -> Any:
        """The traced value of a NumPy array from outside; anything else as it is."""
        if not isinstance(array, np.ndarray):
            return array
        if id(array) not in self.hosts:
            if self._found is not None or not array.flags.writeable:
                return array  # made by the function itself, or a constant
            self._protect(array)
            self.hosts[id(array)] = array, array.copy()  # so that JAX does not hold the array
        return self.hosts[id(array)][1]

    def check(self, fn: Callable[..., Any]) -> None:
        """Refuse, at the end of a trace of `fn`, changes that only the trace would see.

        Raises:
            JitError: a hyperparameter was set, or a Tensor from outside joined the graph.
        """
        for (holder, name), value in self.numbers.values():
            if self._found is None and as_float(holder[name]) != value:
                raise JitError(
                    f'{definition(fn)}: the hyperparameter "{name}" was set from {value} to '
                    f"{holder[name]} inside a compiled function, which would happen only while it "
                    "is traced. Step schedulers outside."
                )
        for module, before in self.modules.values():
            # What the first trace sets may stay, if each further one would set it to the same.
            if self._found is not None and before is not None:
                self._check_attributes(fn, module, before)
        for stand_in in self.stand_ins.values():
            owner = stand_in.owner
            if stand_in._requires_grad != owner._requires_grad and stand_in._node is None:
                raise JitError(
                    f"{definition(fn)}: requires_grad of a Tensor of shape {owner._data.shape} was "
                    "changed inside a compiled function, which would happen only while it is "
                    "traced. Set it outside, or set it back before the function ends."
                )
            if stand_in._node is not None:
                raise JitError(
                    f"{stand_in.place}: a Tensor of shape {owner._data.shape} from outside was "
                    "changed in place by a recorded operation. Do it under lucid.no_grad(), or "
                    "return the new value."
                )
            if stand_in.grad_written and owner._node is not None and not owner._keep_grad:
                raise JitError(
                    f"{stand_in.place}: backward reached a Tensor of shape {owner._data.shape} "
                    "that was computed outside the compiled function; its gradient cannot flow "
                    "further. Compute it inside, or call backward outside."
                )

    @staticmethod
    def _check_attributes(fn: Callable[..., Any], module: Any, before: dict[str, Any]) -> None:
        after = module._attributes()
        for name in {**before, **after}:
            if not same(before.get(name), after.get(name)):
                raise JitError(
                    f"{definition(fn)}: {type(module).__name__}.{name} was set from "
                    f"{before.get(name)!r} to {after.get(name)!r} inside a compiled function, "
                    "which would happen only while it is traced. Keep a number that changes in a "
                    "Buffer."
                )

    def restore(self) -> None:
        """Put back the attributes of Modules, for the function failed."""
        for module, before in self.modules.values():
            if before is not None:
                module._restore(before)

    def forget(self) -> None:
        """Let go of the traced values, and of Modules made in the trace; what was found stays."""
        self.modules = {key: m for key, m in self.modules.items() if m[1] is not None}
        for stand_in in self.stand_ins.values():
            del stand_in.value, stand_in.gradient

    def close(self) -> None:
        """End the first trace.

        Raises:
            JitError: a Tensor that was made in the trace is still held somewhere.
        """
        self._drop_temporaries()
        if any(ref() is not None for ref, _ in self.created):
            gc.collect()
        for ref, place in self.created:
            tensor = ref()
            if tensor is not None:
                raise JitError(
                    f"{place}: a Tensor of shape {tensor._data.shape} left the compiled function: "
                    f"it was stored as {_holder(tensor)}. Return it, or assign its values to a "
                    "Buffer with `buffer.data = ...`."
                )
        self.created.clear()

    def _drop_temporaries(self) -> None:
        """Forget the NumPy arrays that only this capture still holds: the function made them."""
        arrays = {key: weakref.ref(array) for key, (array, _) in self.hosts.items()}
        self.hosts.clear()
        for key, ref in arrays.items():
            array = ref()
            if array is not None:
                self.hosts[key] = array, None

    @staticmethod
    def _protect(array: np.ndarray[Any, Any]) -> None:
        # A change during the trace would happen once and never again; NumPy refuses it now.
        array.flags.writeable = False

    def _check_complete(self, what: str) -> None:
        if self._found is not None:
            raise JitError(
                f"{user_line()}: the function touched {what} that it did not touch when it was "
                "first traced. A compiled function must do the same each time."
            )


_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def same(a: Any, b: Any) -> bool:
    """Whether an attribute is unchanged: the same object, or equal plain values."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(value, b[key]) for key, value in a.items())
    return isinstance(a, _PLAIN) and bool(a == b)


def _holder(tensor: Tensor) -> str:
    """The name under which an object or a container holds a Tensor."""
    for holder in gc.get_referrers(tensor):
        for candidate in (holder, *(gc.get_referrers(holder) if isinstance(holder, dict) else ())):
            attributes = getattr(candidate, "__dict__", {})
            for registry in (attributes, *attributes.values()):
                if isinstance(registry, dict) and registry is not candidate:
                    for name, value in registry.items():
                        if value is tensor:
                            return f"{type(candidate).__name__}.{name}"
        if isinstance(holder, (list, dict, set)):
            return f"an element of a {type(holder).__name__}"
    return "a variable of another function"


def _opaque(array: Array) -> Array:
    """A traced value equal to `array`, so that even the first trace cannot read it."""
    return jax.lax.optimization_barrier(array)


def as_float(value: Any) -> Any:
    """`value` with its Python and NumPy numbers as floats: another type would be a new program."""
    if isinstance(value, (tuple, list)):
        return tuple(map(as_float, value))
    return float(value) if isinstance(value, (int, float, np.number)) else value
