"""`close`: an imperative function as a pure function of the state that it touches."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import jax

from lucid._core import arrays, tree
from lucid._core.errors import JitError, definition
from lucid._core.mode import in_modes, modes, state
from lucid._core.stand_in import StandIn, opaque
from lucid._core.tape import Node
from lucid._core.tensor import Tensor
from lucid._core.trace import Capture, Substitution, Values, heard
from lucid._core.tree import Static
from lucid._core.typing import Array
from lucid._core.variable import Variable


class Arguments(NamedTuple):
    """The arguments of a call, taken apart."""

    structure: tree.Structure
    names: tuple[str, ...]  # of the last ones, which are given by keyword
    leaves: list[Any]
    traced: list[int]  # the positions of Tensors and arrays
    repeated: dict[int, int]  # where a Tensor comes again, by position: where it came first

    def arrays(self) -> list[Any]:
        """The traced leaves as arrays."""
        leaves = [self.leaves[i] for i in self.traced]
        return [leaf._data if isinstance(leaf, Variable) else leaf for leaf in leaves]


class Owner:
    """What a program remembers of a Tensor that was an argument; not its values."""

    def __init__(self, tensor: Variable) -> None:
        self._data = jax.ShapeDtypeStruct(tensor._data.shape, tensor._data.dtype)
        self._requires_grad, self._keep_grad = tensor._requires_grad, tensor._keep_grad
        self._hooks = None if tensor._hooks is None else dict(tensor._hooks)
        self._node = None if tensor._node is None else "computed"
        traced = isinstance(tensor._data, jax.core.Tracer)
        self.device = None if traced else arrays.device_of(tensor._data)


class Inputs(NamedTuple):
    """What a program reads."""

    written: list[Array]  # of the Tensors that get new data
    read: list[Array]  # of the other Tensors
    grads: list[Array | None]  # of the Tensors whose gradient is read before it is written
    numbers: list[Any]  # hyperparameters
    hosts: list[Any]  # NumPy arrays that the function closes over
    args: list[Any]
    arg_grads: list[Array]  # of the arguments whose gradient is there and read


class Results(NamedTuple):
    """What a program computes."""

    written: list[Array]
    grads: list[Array | None]  # None for those that were forgotten
    arg_data: list[Array]
    arg_grads: list[Array | None]
    outputs: list[Array]


class Output(NamedTuple):
    """How one leaf of the returned value is made from the results of a program."""

    kind: str  # "tensor", "live" (a Tensor with a graph), "array", "argument" or "value"
    value: Any = None  # of "argument" its position, of "value" what is returned


class Closure:
    """A function traced once for arguments of one signature: the state that it touches.

    Args:
        fn: the user's function.
        arguments: those of the call that it is traced for.
        around: entered while it is traced.

    Raises:
        JitError: the function breaks a rule of traced functions.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        arguments: Arguments,
        around: AbstractContextManager[Any] | None = None,
    ) -> None:
        self.fn = fn
        self.structure, self.names = arguments.structure, arguments.names
        self.traced = arguments.traced
        self.repeated = arguments.repeated
        # What takes the place of a traced argument: an Owner, or None for a plain array.
        self.leaves = list(arguments.leaves)
        for i in arguments.traced:
            leaf = self.leaves[i]
            self.leaves[i] = Owner(leaf) if isinstance(leaf, Variable) else None
        for i in arguments.repeated:
            self.leaves[i] = None
        self.modes = modes()
        self.outputs: list[Output] = []
        self.out_structure: Any = None
        found = self.found = Capture()
        arg_grads = [
            leaf._grad._data if isinstance(leaf, Variable) and leaf._grad is not None else None
            for leaf in (arguments.leaves[i] for i in arguments.traced)
        ]

        def discover(args: Sequence[Array]) -> Results:
            opaque_grads = [None if g is None else opaque(g) for g in arg_grads]
            results, self.given = self._trace(found, args, opaque_grads)
            found.forget(self.given)
            return results

        try:
            with around or contextlib.nullcontext():
                traced = jax.jit(discover).trace(arguments.arrays())
            self.has_effects = bool(traced.jaxpr.effects)  # callbacks
            found.check_escapes()
        except BaseException:
            found.restore()
            raise
        self._list_state([grad is not None for grad in arg_grads])

    def _list_state(self, args_have_grad: list[bool]) -> None:
        """What the first trace found, in lists."""
        found = self.found
        stand_ins = list(found.stand_ins.values())
        self.written = [s.owner for s in stand_ins if s.data_written]
        self.read = [s.owner for s in stand_ins if not s.data_written]
        self.grads_read = [s.owner for s in stand_ins if s.grad_read]
        self.grads_written = [s.owner for s in stand_ins if s.grad_written]
        self.numbers = [number for number, _ in found.numbers.values()]
        self.hosts = [host.array for host in found.hosts.values()]
        had_grad = dict(zip(self.traced, args_have_grad, strict=True))
        given = [(i, s) for i, s in zip(self.traced, self.given, strict=True) if s is not None]
        self.grads_in_place = [s.owner for s in stand_ins if s.grad_in_place]
        self.args_written = [i for i, s in given if s.data_written]
        self.arg_grads_written = [i for i, s in given if s.grad_written]
        self.arg_grads_read = [i for i, s in given if s.grad_read]
        self.arg_had_grad = [had_grad[i] for i in self.arg_grads_read]
        self.arg_devices = [(i, s.owner.device) for i, s in given if s.device_read]
        self.had_grad = [t._grad is not None for t in self.grads_read]
        self.settings = [settings_of(s) for s in stand_ins]
        self.snapshots = [(module, module._snapshot()) for module, _ in found.modules.values()]
        self.snapshots += [(o, o._snapshot()) for o in found.optimizers.values()]

    def _trace(
        self, capture: Capture, args: Sequence[Array], arg_grads: Sequence[Array | None]
    ) -> tuple[Results, list[StandIn | None]]:
        """Run the user's function on traced values: what it computed, and its arguments."""
        with capture.active(), in_modes(self.modes):
            given = list(self.leaves)
            stand_ins: list[StandIn | None] = []
            for i, array, grad in zip(self.traced, args, arg_grads, strict=True):
                owner = self.leaves[i]
                given[i] = array if owner is None else capture.argument(owner, array, grad)
                stand_ins.append(None if owner is None else given[i])
            for i, first in self.repeated.items():
                given[i] = given[first]
            values = tree.unflatten(self.structure, given)
            plain = [x.value if isinstance(x, Static) else x for x in values]
            n = len(plain) - len(self.names)
            returned = self.fn(*plain[:n], **dict(zip(self.names, plain[n:], strict=True)))
            after = tree.flatten(values)
            if after[1] != self.structure or any(
                a is not b for a, b in zip(after[0], given, strict=True)
            ):
                raise JitError(
                    f"{definition(self.fn)}: the function changed a list or dictionary among its "
                    "arguments, which would happen only while it is traced. Return the new value "
                    "instead."
                )
            arguments = [s for s in stand_ins if s is not None]
            capture.check(self.fn, arguments)
            found = capture.stand_ins.values()
            results = Results(
                written=[s.value for s in found if s.data_written],
                grads=[_grad_of(s) for s in found if s.grad_written],
                arg_data=[s.value for s in arguments if s.data_written],
                arg_grads=[_grad_of(s) for s in arguments if s.grad_written],
                outputs=self._take_apart(returned, given),
            )
            return results, stand_ins

    def _take_apart(self, returned: Any, given: list[Any]) -> list[Array]:
        """The arrays of the returned value; `self.outputs` says how to put it together again."""
        leaves, self.out_structure = tree.flatten(returned)
        position = {id(leaf): i for i, leaf in enumerate(given) if isinstance(leaf, Tensor)}
        self.outputs = []
        found = []
        for leaf in leaves:
            if id(leaf) in position:
                self.outputs.append(Output("argument", position[id(leaf)]))
            elif isinstance(leaf, Tensor) and leaf._born is state.trace:
                node = leaf._node
                live = node is not None and node.arrays is not None
                self.outputs.append(Output("live" if live else "tensor"))
                found.append(heard(self.fn, leaf) if live else leaf._data)
            elif isinstance(leaf, jax.core.Tracer):
                self.outputs.append(Output("array"))
                found.append(leaf)
            else:
                self.outputs.append(Output("value", leaf))
        return found

    def pure(self, *parts: Any) -> Results:
        """The function as JAX sees it: the parts of `Inputs` in, arrays out."""
        inputs = Inputs(*parts)
        of_written, of_read, of_grads = iter(inputs.written), iter(inputs.read), iter(inputs.grads)
        stand_ins = self.found.stand_ins.values()
        values = Values(
            data=[next(of_written if s.data_written else of_read) for s in stand_ins],
            grads=[next(of_grads) if s.grad_read else None for s in stand_ins],
            numbers=inputs.numbers,
            hosts=inputs.hosts,
        )
        had_grad = [i for i, had in zip(self.arg_grads_read, self.arg_had_grad, strict=True) if had]
        grads = dict(zip(had_grad, inputs.arg_grads, strict=True))
        capture = Capture(self.found, values)
        capture.cuts = any(y.kind == "live" for y in self.outputs)
        return self._trace(capture, inputs.args, [grads.get(i) for i in self.traced])[0]

    def number_values(self) -> list[Any]:
        """The hyperparameters as they are now."""
        return [number.value() for number in self.numbers]

    def inputs(self, arguments: Arguments) -> Inputs:
        """What the program reads, as it is now."""
        leaves = arguments.leaves
        grads = [leaves[i]._grad for i in self.arg_grads_read]
        return Inputs(
            [t._data for t in self.written],
            [t._data for t in self.read],
            [None if (g := t._grad) is None else g._data for t in self.grads_read],
            self.number_values(),
            self.hosts,
            arguments.arrays(),
            [grad._data for grad in grads if grad is not None],
        )

    def changes_state(self) -> bool:
        """Whether a call changes anything but its results."""
        changed = self.written or self.grads_written or self.args_written or self.arg_grads_written
        return bool(changed)

    def put_together(self, arguments: Arguments, computed: list[Array], node: Node | None) -> Any:
        leaves = []
        at = 0
        for kind, value in self.outputs:
            if kind == "value":
                leaves.append(value)
            elif kind == "argument":
                leaves.append(arguments.leaves[value])
            else:
                array = computed[at]
                if kind == "array":
                    leaves.append(array)
                else:
                    leaves.append(Tensor._wrap(array, node if kind == "live" else None, at))
                at += 1
        return tree.unflatten(self.out_structure, leaves)


def close_over(
    fn: Callable[..., Any], slots: Sequence[Tensor]
) -> Callable[..., tuple[Any, dict[int, Array]]]:
    """`fn` as a function of the values of `slots`; all other state is as it is around the call.

    Returns:
        `pure(values, args, kwargs) -> (result, written)`: Tensors for the slots in their order,
        None for one that keeps its own value; and the new arrays of those that `fn` wrote, by
        position. The slots themselves do not change.
    """

    def pure(
        values: Sequence[Tensor | None], args: Sequence[Any], kwargs: dict[str, Any]
    ) -> tuple[Any, dict[int, Array]]:
        cells = [None if value is None else value._cell() for value in values]
        substitution = Substitution()
        stand_ins: dict[int, StandIn] = {}
        with substitution.active():
            for i, (slot, cell) in enumerate(zip(slots, cells, strict=True)):
                if cell is not None:
                    stand_in = stand_ins[i] = StandIn(slot, cell._share(), None, substitution)
                    stand_in.needs_grad = cell._requires_grad
                    if (edge := cell._edge()) is not None:
                        stand_in._node, stand_in._index = edge
                    substitution.stand_ins[id(slot)] = stand_in
            leaves, structure = tree.flatten(fn(*args, **kwargs))
            found = [leaf._cell() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        results = [
            Tensor._wrap(y._data, *(y._edge() or ())) if isinstance(y, Tensor) else y for y in found
        ]
        written = {i: s.value for i, s in stand_ins.items() if s.data_written}
        return tree.unflatten(structure, results), written

    return pure


class Settings(NamedTuple):
    """What a program depends on of a Tensor from outside, apart from its values."""

    shape: tuple[int, ...]
    dtype: Any
    requires_grad: bool
    hooks: tuple[int, ...]
    device: str | None


def settings_of(stand_in: StandIn) -> Settings:
    tensor = stand_in.owner
    device = tensor.device if stand_in.device_read else None
    data = tensor._data
    hooks = tuple(tensor._hooks or ())
    return Settings(data.shape, data.dtype, tensor._requires_grad, hooks, device)


def _grad_of(stand_in: StandIn) -> Array | None:
    return None if stand_in.gradient is None else stand_in.gradient.data
