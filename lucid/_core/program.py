"""Program: one traced and compiled form of an imperative function."""

from __future__ import annotations

import contextlib
import dataclasses
import dis
import functools
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from lucid._core import epoch
from lucid._core.errors import JitError, definition
from lucid._core.mode import set_grad_enabled, state
from lucid._core.op import Op
from lucid._core.tape import Node
from lucid._core.tensor import Tensor
from lucid._core.trace import Capture, StandIn, Values, same
from lucid._core.typing import Array
from lucid._core.variable import Edge


class Arguments(NamedTuple):
    """The arguments of a call, taken apart."""

    treedef: Any
    leaves: list[Any]
    traced: list[int]  # the positions of Tensors and arrays
    repeated: dict[int, int]  # where a Tensor comes again, by position: where it came first

    def arrays(self) -> list[Any]:
        """The traced leaves as arrays."""
        leaves = [self.leaves[i] for i in self.traced]
        return [leaf._data if isinstance(leaf, Tensor) else leaf for leaf in leaves]


@dataclasses.dataclass(frozen=True)
class Static:
    """An argument that is part of the signature whatever it is."""

    value: Any


class Inputs(NamedTuple):
    """What a program reads."""

    written: list[Array]  # of the Tensors that get new data
    read: list[Array]  # of the other Tensors
    grads: list[Array | None]  # of the Tensors whose gradient is read before it is written
    numbers: list[Any]  # hyperparameters
    hosts: list[Any]  # NumPy arrays that the function closes over
    args: list[Any]


class Results(NamedTuple):
    """What a program computes; None stands for an argument's data or gradient that stays."""

    written: list[Array]
    grads: list[Array | None]
    arg_data: list[Array | None]
    arg_grads: list[Array | None]
    outputs: list[Array]


class Output(NamedTuple):
    """How one leaf of the returned value is made from the results of a program."""

    kind: str  # "tensor", "live" (a Tensor with a graph), "array", "argument" or "value"
    value: Any = None  # of "argument" its position, of "value" what is returned


class Program:
    """A function traced for arguments of one signature, and the state that it touches.

    Args:
        fn: the user's function.
        arguments: the arguments of the call that it is traced for.
        donate: whether the buffers of Tensors that get new data are reused.

    Raises:
        JitError: the function breaks a rule of compiled functions.
    """

    def __init__(self, fn: Callable[..., Any], arguments: Arguments, donate: bool) -> None:
        self.fn = fn
        self.treedef = arguments.treedef
        self.traced = arguments.traced
        self.repeated = arguments.repeated
        # Of a traced argument its `requires_grad`, or None for a plain array; else its value.
        self.leaves = list(arguments.leaves)
        for i in arguments.traced:
            leaf = self.leaves[i]
            self.leaves[i] = leaf._requires_grad if isinstance(leaf, Tensor) else None
        for i in arguments.repeated:
            self.leaves[i] = None
        self.checked_at = epoch.current
        self.grad_enabled = state.grad_enabled
        self.args_changed: set[int] = set()
        self.outputs: list[Output] = []
        self.out_treedef: Any = None

        found = self.found = Capture()

        def discover(args: Sequence[Array]) -> Results:
            results = self._trace(found, args)
            found.forget()
            return results

        try:
            jax.eval_shape(discover, arguments.arrays())
            found.close()
        except BaseException:
            found.restore()
            raise
        stand_ins = list(found.stand_ins.values())
        self.written = [s.owner for s in stand_ins if s.data_written]
        self.read = [s.owner for s in stand_ins if not s.data_written]
        self.grads_read = [s.owner for s in stand_ins if s.grad_read]
        self.grads_written = [s.owner for s in stand_ins if s.grad_written]
        self.numbers = [number for number, _ in found.numbers.values()]
        self.hosts = [array for array, _ in found.hosts.values()]

        self.had_grad = [t._grad is not None for t in self.grads_read]
        self.settings = [_settings(s.owner) for s in stand_ins]
        self.snapshots = [(module, module._snapshot()) for module, _ in found.modules.values()]
        self.watched = [(o, o._snapshot()) for o in found.optimizers.values()]
        self.live = state.grad_enabled and any(y.kind == "live" for y in self.outputs)
        # The tape would hold the inputs of a program with a graph, so they cannot be reused.
        self.donates = donate and not self.live
        self.run = jax.jit(self._named(), donate_argnums=0 if self.donates else ())
        self.op: Op | None = None
        self.variables: dict[str, Any] = {}

    # --- Tracing ---

    def _trace(self, capture: Capture, args: Sequence[Array]) -> Results:
        """Run the user's function on traced values, and collect what it changed and returned."""
        # JAX may trace again later, for a derivative, when the mode is another one.
        with capture.active(), set_grad_enabled(self.grad_enabled):
            given = list(self.leaves)
            for i, array in zip(self.traced, args, strict=True):
                requires_grad = self.leaves[i]
                given[i] = array if requires_grad is None else Tensor(array, requires_grad)
            for i, first in self.repeated.items():
                given[i] = given[first]
            positional, named = jax.tree.unflatten(self.treedef, given)
            returned = self.fn(
                *(x.value if isinstance(x, Static) else x for x in positional),
                **{n: x.value if isinstance(x, Static) else x for n, x in named.items()},
            )
            after = jax.tree.flatten((positional, named), is_leaf=is_leaf)
            if after[1] != self.treedef or any(
                a is not b for a, b in zip(after[0], given, strict=True)
            ):
                raise JitError(
                    f"{definition(self.fn)}: the function changed a list or dictionary among its "
                    "arguments, which would happen only while it is traced. Return the new value "
                    "instead."
                )
            capture.check(self.fn)
            tensors = [given[i] if isinstance(given[i], Tensor) else None for i in self.traced]
            arg_data = [
                None if t is None or t._data is array else t._data
                for t, array in zip(tensors, args, strict=True)
            ]
            arg_grads = [None if t is None else _grad_of(t) for t in tensors]
            self.args_changed = {
                i
                for i, data, grad in zip(self.traced, arg_data, arg_grads, strict=True)
                if data is not None or grad is not None
            }
            return Results(
                written=[s.value for s in capture.stand_ins.values() if s.data_written],
                grads=[_grad_of(s) for s in capture.stand_ins.values() if s.grad_written],
                arg_data=arg_data,
                arg_grads=arg_grads,
                outputs=self._take_apart(returned, given),
            )

    def _take_apart(self, returned: Any, given: list[Any]) -> list[Array]:
        """The arrays of the returned value; `self.outputs` says how to put it together again."""
        leaves, self.out_treedef = jax.tree.flatten(returned, is_leaf=is_leaf)
        position = {id(leaf): i for i, leaf in enumerate(given) if isinstance(leaf, Tensor)}
        self.outputs = []
        arrays = []
        for leaf in leaves:
            if id(leaf) in position:
                self.outputs.append(Output("argument", position[id(leaf)]))
            elif isinstance(leaf, Tensor) and leaf._born is state.capture:
                node = leaf._node
                live = node is not None and node.arrays is not None
                self.outputs.append(Output("live" if live else "tensor"))
                arrays.append(leaf._data)
            elif isinstance(leaf, jax.core.Tracer):
                self.outputs.append(Output("array"))
                arrays.append(leaf)
            else:
                self.outputs.append(Output("value", leaf))
        return arrays

    def _pure(
        self,
        written: list[Array],
        read: list[Array],
        grads: list[Array | None],
        numbers: list[Any],
        hosts: list[Any],
        args: list[Any],
    ) -> Results:
        """The function as JAX sees it: arrays in, arrays out."""
        of_written, of_read, of_grads = iter(written), iter(read), iter(grads)
        stand_ins = self.found.stand_ins.values()
        values = Values(
            data=[next(of_written if s.data_written else of_read) for s in stand_ins],
            grads=[next(of_grads) if s.grad_read else None for s in stand_ins],
            numbers=numbers,
            hosts=hosts,
        )
        return self._trace(Capture(self.found, values), args)

    def _named(self) -> Callable[..., Results]:
        """`_pure` under the name of the user's function, which profilers show."""

        def pure(*inputs: Any) -> Results:
            return self._pure(*inputs)

        pure.__name__ = _name(self.fn)
        return pure

    # --- Running ---

    def fits(self) -> bool:
        """Whether the state is still what the program was traced for."""
        if self.checked_at != epoch.current:
            if self.change() is not None:
                return False
            self.checked_at = epoch.current
        elif self._other_variable() is not None:
            return False
        return [t._grad is not None for t in self.grads_read] == self.had_grad

    def change(self) -> str | None:
        """What changed since the program was traced, apart from the arguments."""
        name = self._other_variable()
        if name is not None:
            return f'the variable "{name}"'
        for module, attributes in (*self.snapshots, *self.watched):
            after = module._snapshot()
            for name in {**attributes, **after}:
                if not same(attributes.get(name), after.get(name)):
                    return f"{type(module).__name__}.{name}"
        owners = [s.owner for s in self.found.stand_ins.values()]
        for owner, before in zip(owners, self.settings, strict=True):
            for what, old, new in zip(Settings._fields, before, _settings(owner), strict=True):
                if old != new:
                    return f"{what} of a Tensor of shape {owner.shape}"
        if [t._grad is not None for t in self.grads_read] != self.had_grad:
            return "whether gradients are None"
        return None

    def _other_variable(self) -> str | None:
        """A variable that stands for something else than when the program was traced."""
        now = _variables(self.fn)
        for name, before in self.variables.items():
            if now.get(name) is not before and not same(now.get(name), before):
                return name
        return None

    def first_call(self, arguments: Arguments) -> Any:
        """Run the program for the first time, which compiles it."""
        self._bind_state(arguments)
        try:
            result = self(arguments)
        except BaseException:
            self.found.restore()
            raise
        self.variables = _variables(self.fn)  # as they are after the traces
        return result

    def _bind_state(self, arguments: Arguments) -> None:
        """Bind the state to the device that any input is bound to, as the results will be.

        Else the second call would find other inputs than the first, and compile once more.
        """
        arrays = jax.tree.leaves(self.inputs(arguments))
        bound = {a.sharding for a in arrays if isinstance(a, jax.Array) and _is_bound(a)}
        if len(bound) == 1 and len((place := bound.pop()).device_set) == 1:
            for tensor in self.written:
                if not _is_bound(tensor._data):
                    tensor._data = jax.device_put(tensor._data, place)

    def inputs(self, arguments: Arguments) -> Inputs:
        """What the program reads, as it is now."""
        return Inputs(
            [t._data for t in self.written],
            [t._data for t in self.read],
            [None if t._grad is None else t._grad._data for t in self.grads_read],
            [number.value() for number in self.numbers],
            self.hosts,
            arguments.arrays(),
        )

    def __call__(self, arguments: Arguments) -> Any:
        self._check_aliases(arguments)
        inputs = self.inputs(arguments)
        if (self.written or self.grads_written) and any(map(_is_traced, inputs.args)):
            raise self._impure()  # before anything is donated
        if self.donates:
            self._keep_aliases_alive(inputs.written)
        results: Results = self.run(*inputs)
        self._write_back(arguments, results)
        node = self._node(arguments, inputs) if self.live and state.grad_enabled else None
        return self._put_together(arguments, results.outputs, node)

    def _check_aliases(self, arguments: Arguments) -> None:
        """Refuse a Tensor that is an argument and state too, if either of them is changed."""
        for i in self.traced:
            stand_in = self.found.stand_ins.get(id(arguments.leaves[i]))
            if stand_in is not None and (
                stand_in.data_written or stand_in.grad_written or i in self.args_changed
            ):
                raise JitError(
                    f"{definition(self.fn)}: the function changes a Tensor of shape "
                    f"{stand_in.owner.shape} that is an argument of this call and is also reached "
                    "from outside, and would take them for two. Use only one of them."
                )

    def _keep_aliases_alive(self, written: list[Array]) -> None:
        """Copy the buffers that something else holds too, since donation ends a buffer's life."""
        references = sys.getrefcount
        for i in range(len(written)):
            # One is the Tensor's, one the list's, one the argument's of getrefcount.
            if references(written[i]) > 3:
                written[i] = jax.device_put(written[i], may_alias=False)

    def _write_back(self, arguments: Arguments, results: Results) -> None:
        changed = [a for a in (*results.arg_data, *results.arg_grads) if a is not None]
        new = [*results.written, *(g for g in results.grads if g is not None), *changed]
        if new and _is_traced(new[0]):
            raise self._impure()
        for tensor, array in zip(self.written, results.written, strict=True):
            tensor._data = array
        for tensor, grad in zip(self.grads_written, results.grads, strict=True):
            tensor._grad = None if grad is None else Tensor._wrap(grad)
        if changed:
            for at, data, grad in zip(
                self.traced, results.arg_data, results.arg_grads, strict=True
            ):
                tensor = arguments.leaves[at]
                if data is not None:
                    tensor.data = data
                if grad is not None:
                    gradient = Tensor._wrap(grad)
                    tensor.grad = gradient if tensor.grad is None else tensor.grad + gradient

    def _impure(self) -> JitError:
        return JitError(
            f"{_name(self.fn)} changes state, such as gradients, running statistics or a random "
            "generator, and so is no pure function inside jax.jit, jax.grad or jax.vmap. Use "
            "lucid.func.functional_call there."
        )

    def _node(self, arguments: Arguments, inputs: Inputs) -> Node:
        """The one node of the tape that stands for this call."""
        arrays, treedef = jax.tree.flatten(inputs)
        if self.op is None:

            def outputs_of(*arrays: Any) -> tuple[Array, ...]:
                results: Results = self._pure(*jax.tree.unflatten(treedef, arrays))
                return tuple(results.outputs)

            self.op = Op(outputs_of, _name(self.fn))
        edges: list[Edge | None] = [None] * len(arrays)
        tensors = (*self.written, *self.read)
        edges[: len(tensors)] = [t._edge() for t in tensors]
        given = [arguments.leaves[i] for i in self.traced]
        edges[len(arrays) - len(given) :] = [
            t._edge() if isinstance(t, Tensor) else None for t in given
        ]
        return Node(self.op, arrays, edges, len(self.outputs))

    def _put_together(self, arguments: Arguments, arrays: list[Array], node: Node | None) -> Any:
        leaves = []
        at = 0
        for kind, value in self.outputs:
            if kind == "value":
                leaves.append(value)
            elif kind == "argument":
                leaves.append(arguments.leaves[value])
            else:
                array = arrays[at]
                if kind == "array":
                    leaves.append(array)
                else:
                    leaves.append(Tensor._wrap(array, node if kind == "live" else None, at))
                at += 1
        return jax.tree.unflatten(self.out_treedef, leaves)


def is_leaf(value: Any) -> bool:
    """Whether a value is one leaf here, though JAX may know it as a node of a pytree."""
    return isinstance(value, (Tensor, Static))


class Settings(NamedTuple):
    """What a program depends on of a Tensor from outside, apart from its values."""

    requires_grad: bool
    hooks: tuple[int, ...]


def _settings(tensor: Tensor) -> Settings:
    return Settings(tensor._requires_grad, tuple(tensor._hooks or ()))


def _is_bound(array: Array) -> bool:
    """Whether an array may not move to another device by itself."""
    return not _is_traced(array) and array.committed


def _is_traced(array: Any) -> bool:
    return isinstance(array, jax.core.Tracer)


def _variables(fn: Callable[..., Any]) -> dict[str, Any]:
    """What a function finds under the names of its closure and of its module."""
    code = getattr(fn, "__code__", None)
    if code is None:  # a Module or another callable object
        return {}
    namespace = fn.__globals__
    found = {name: namespace[name] for name in _global_names(code) if name in namespace}
    for name, cell in zip(code.co_freevars, fn.__closure__ or (), strict=True):
        # A variable that is not assigned yet has no contents.
        with contextlib.suppress(ValueError):
            found[name] = cell.cell_contents
    return found


@functools.cache
def _global_names(code: types.CodeType) -> frozenset[str]:
    """The names that a function looks up in its module; `co_names` has those of attributes too."""
    return frozenset(
        instruction.argval
        for instruction in dis.get_instructions(code)
        if instruction.opname == "LOAD_GLOBAL"
    )


def _name(fn: Callable[..., Any]) -> str:
    return getattr(fn, "__name__", type(fn).__name__)


def _grad_of(tensor: Tensor) -> Array | None:
    grad = tensor.gradient if isinstance(tensor, StandIn) else tensor._grad
    return None if grad is None else grad.data
