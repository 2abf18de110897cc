"""Capture: what a function reads and writes while it is traced.

Inside a capture every Tensor from outside is represented by a stand-in, which holds its traced
value and gradient. The Tensor itself is never touched: other threads go on seeing its real value,
and there is nothing to put back when the function raises.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import jax
import numpy as np

from lucid._core import arrays
from lucid._core.arrays import as_float
from lucid._core.errors import JitError, Place, definition, user_line, user_place
from lucid._core.mode import state
from lucid._core.op import Op
from lucid._core.stand_in import StandIn, check_gradients, check_tensor, opaque
from lucid._core.tape import observed
from lucid._core.tensor import Tensor
from lucid._core.typing import Array
from lucid._core.variable import Variable


class Number(NamedTuple):
    """A hyperparameter, read from its dictionary at every call."""

    holder: dict[str, Any]
    name: str

    def value(self) -> Any:
        """The number, or the tuple of numbers, as it is now."""
        return as_float(self.holder[self.name])


class Host(NamedTuple):
    """A NumPy array that a trace met, as it was then, and what the trace computes with."""

    array: np.ndarray[Any, Any]
    before: np.ndarray[Any, Any]
    value: Any


class Values(NamedTuple):
    """Traced values for all that a trace found, in its order."""

    data: Sequence[Array]
    grads: Sequence[Array | None]
    numbers: Sequence[Any]
    hosts: Sequence[Array]


class Substitution:
    """A trace in which some Tensors have other values; all else is as it is around it."""

    pieces = True

    def __init__(self) -> None:
        self.stand_ins: dict[int, StandIn] = {}
        self.outer = state.trace
        self.cuts = True if self.outer is None else self.outer.cuts
        self._records = state.grad_enabled

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Make this the trace of the current thread."""
        before = state.trace
        state.trace = self
        try:
            yield
        finally:
            state.trace = before

    def note(self, tensor: Variable) -> None:
        """Nothing: what the call makes may be kept."""

    def stand_in(self, tensor: Variable) -> Variable:
        """The stand-in of a Tensor that has one; the Tensor itself otherwise."""
        found = self.stand_ins.get(id(tensor))
        if found is not None:
            return found
        outer = self.outer
        return tensor if outer is None or tensor._born is outer else outer.stand_in(tensor)

    def enter(self, op: Op, inputs: Sequence[Any]) -> tuple[Callable[..., Any], Sequence[Any]]:
        """What computes an operation on arrays, and its operands as the trace sees them."""
        cells = [x._cell() if isinstance(x, Variable) else x for x in inputs]
        if self.outer is not None:
            return self.outer.enter(op, cells)
        return off_tape_unrecorded(op.run, self._records), cells

    def host(self, array: Any) -> Any:
        """As around the trace, like all that follows."""
        return array if self.outer is None else self.outer.host(array)

    def number(self, holder: dict[str, Any], name: str) -> Any:
        if self.outer is not None:
            return self.outer.number(holder, name)
        return as_float(holder[name])

    def entered(self, module: Any) -> AbstractContextManager[Any]:
        if self.outer is None:
            return jax.named_scope(type(module).__name__)
        return self.outer.entered(module)

    def touch(self, module: Any) -> None:
        if self.outer is not None:
            self.outer.touch(module)

    def adopt(self, module: Any) -> None:
        if self.outer is not None:
            self.outer.adopt(module)

    def watch(self, optimizer: Any) -> None:
        if self.outer is not None:
            self.outer.watch(optimizer)

    def keeps(self, tensor: Variable) -> bool:
        return self.stand_in(tensor)._born is not None

    def device(self, tensor: Variable) -> str | None:
        return None if self.outer is None else self.outer.device(tensor)


def off_tape_unrecorded(execute: Callable[..., Any], cuts: bool) -> Callable[..., Any]:
    """What computes an operation: constants, for JAX too, if it cuts and nothing is recorded."""
    if state.grad_enabled or not cuts:
        return execute
    return lambda *inputs: jax.tree.map(jax.lax.stop_gradient, execute(*inputs))


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _not_to_differentiate(array: Array, what: str) -> Array:
    return array


@_not_to_differentiate.defjvp
def _refuse_to_differentiate(what: str, primals: Any, tangents: Any) -> Any:
    raise JitError(
        f"{what}: backward from outside would pass by a hook, or a Tensor that keeps its gradient, "
        "inside. Call backward inside, or register the hook outside."
    )


def heard(fn: Callable[..., Any], tensor: Variable) -> Array:
    """The array of a result of `fn`, which JAX may differentiate only if no hook inside waits."""
    edge = tensor._edge()
    if edge is None or not observed([edge]):
        return tensor._data
    result: Array = _not_to_differentiate(tensor._data, definition(fn))
    return result


class Capture(Substitution):
    """The state that a function touches: found in a first trace, replaced by inputs in later ones.

    Args:
        found: the capture of the first trace; None in the first trace itself.
        values: what takes the place of the state in `found`.
    """

    def __init__(self, found: Capture | None = None, values: Values | None = None) -> None:
        self.created: list[tuple[weakref.ref[Any], Place | None]] = []
        self.stand_ins: dict[int, StandIn] = {}
        self.numbers: dict[tuple[int, str], tuple[Number, Any]] = {}
        self.hosts: dict[int, Host] = {}
        # With their attributes when they were first touched; None for those made in the trace.
        self.modules: dict[int, tuple[Any, dict[str, Any] | None]] = {}
        self.optimizers: dict[int, Any] = {}
        self.cuts = False
        self._found = found
        self._values = values

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Make this the trace of the current thread, with the values that it was given."""
        with super().active():
            if self._found is not None and self._values is not None:
                self._replay(self._found, self._values)
            yield

    def _replay(self, found: Capture, values: Values) -> None:
        for stand_in, data, grad in zip(
            found.stand_ins.values(), values.data, values.grads, strict=True
        ):
            gradient = None if grad is None else Tensor._wrap(grad)
            self.stand_ins[id(stand_in.owner)] = StandIn(stand_in.owner, data, gradient, self)
        for (key, (number, _)), value in zip(found.numbers.items(), values.numbers, strict=True):
            self.numbers[key] = number, value
        for (host_key, host), value in zip(found.hosts.items(), values.hosts, strict=True):
            self.hosts[host_key] = host._replace(value=value)

    def argument(self, owner: Tensor, data: Array, grad: Array | None) -> StandIn:
        """The stand-in of an argument: it is handed to the function in the Tensor's place."""
        return StandIn(owner, data, None if grad is None else Tensor._wrap(grad), self)

    def note(self, tensor: Variable) -> None:
        """Note a Tensor that is made in the trace, and where."""
        if self._found is None:
            self.created.append((weakref.ref(tensor), user_place()))

    def stand_in(self, tensor: Variable) -> StandIn:
        """The stand-in of a Tensor from outside, made when it is first touched."""
        stand_in = self.stand_ins.get(id(tensor))
        if stand_in is None:
            self._check_complete(f"a Tensor of shape {tensor._data.shape}")
            owner: Any = tensor
            grad = owner._grad
            gradient = None if grad is None else Tensor._wrap(opaque(grad._data))
            stand_in = StandIn(owner, opaque(owner._data), gradient, self)
            self.stand_ins[id(owner)] = stand_in
        return stand_in

    def enter(self, op: Op, inputs: Sequence[Any]) -> tuple[Callable[..., Any], Sequence[Any]]:
        """What computes an operation on arrays, and its operands as the trace sees them."""
        cells = [x._cell() if isinstance(x, Variable) else self.host(x) for x in inputs]
        return off_tape_unrecorded(op.run, self.cuts), cells

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
        host = self.hosts.get(id(array))
        if host is None:
            if self._found is not None:
                return array  # made by the function itself
            before = array.copy()  # so that JAX does not hold the array
            host = self.hosts[id(array)] = Host(array, before, before)
        return host.value

    def device(self, tensor: Variable) -> str:
        """Where a Tensor from outside lies; what is computed lies where JAX computes."""
        cell = tensor._cell()
        if isinstance(cell, StandIn):
            cell.device_read = True
            return cell.owner.device
        return arrays.device_name(jax.devices()[0])

    def check(self, fn: Callable[..., Any], arguments: Sequence[StandIn]) -> None:
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
        touched = [*self.stand_ins.values(), *arguments]
        for stand_in in touched:
            stand_in.notice_gradient()
            check_tensor(fn, stand_in)
        if self._found is None:
            check_gradients(fn, self.stand_ins)

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

    def forget(self, arguments: Sequence[StandIn | None]) -> None:
        """Let go of the traced values, and of Modules made in the trace; what was found stays."""
        self.modules = {key: m for key, m in self.modules.items() if m[1] is not None}
        for stand_in in (*self.stand_ins.values(), *arguments):
            if stand_in is not None:
                stand_in.forget()
        self._values = None

    def check_escapes(self) -> None:
        """End the first trace.

        Raises:
            JitError: a Tensor that was made in the trace is still held somewhere, or a NumPy array
                from outside was changed.
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
        hosts = {key: (weakref.ref(host.array), host.before) for key, host in self.hosts.items()}
        self.hosts.clear()
        for key, (ref, before) in hosts.items():
            array = ref()
            if array is None:
                continue
            if array.tobytes() != before.tobytes():
                array[...] = before
                raise JitError(
                    f"a NumPy array of shape {array.shape} was changed in place inside a compiled "
                    "function, which would happen only while it is traced. Use a Tensor, or change "
                    "the array outside."
                )
            self.hosts[key] = Host(array, array, None)

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
