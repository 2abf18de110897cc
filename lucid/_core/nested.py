"""A part of a traced program as a pure function: what it touches around it goes in and out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lucid._core import tree
from lucid._core.arrays import as_array
from lucid._core.errors import JitError, definition, user_line
from lucid._core.gate import run
from lucid._core.mode import in_modes, modes, state
from lucid._core.op import Op
from lucid._core.stand_in import StandIn, check_tensor, opaque
from lucid._core.tensor import Tensor
from lucid._core.trace import Substitution, heard, off_tape_unrecorded
from lucid._core.typing import Array
from lucid._core.variable import Variable


class Slot(NamedTuple):
    """What takes the place of a Tensor of the program around."""

    data: Array
    grad: Array | None


class Nested(Substitution):
    """The trace of a nested function.

    Args:
        records: whether the function runs with gradients; what it does under no_grad is constant.
        values: by the ids of the Tensors that the function touches; None to find these Tensors.
    """

    def __init__(self, records: bool, values: dict[int, Slot] | None = None) -> None:
        super().__init__()
        self.records = records
        self.cuts = True
        self.touched: list[Variable] = []
        self._values = values

    def enter(self, op: Op, inputs: Sequence[Any]) -> tuple[Callable[..., Any], Sequence[Any]]:
        execute, operands = super().enter(op, inputs)
        return off_tape_unrecorded(execute, self.records), operands

    def note(self, tensor: Variable) -> None:
        if self.outer is not None:
            self.outer.note(tensor)

    def stand_in(self, tensor: Variable) -> Variable:
        found = self.stand_ins.get(id(tensor))
        if found is None:
            cell = self._known(tensor)
            if self._values is None:
                slot = Slot(opaque(cell._data), _grad_of(cell))
            elif id(tensor) in self._values:
                slot = self._values[id(tensor)]
            else:
                raise JitError(
                    f"{user_line()}: the function touched a Tensor of shape {cell._data.shape} "
                    "that it did not touch when it was first traced. It must do the same each time."
                )
            gradient = None if slot.grad is None else Tensor._wrap(slot.grad)
            found = self.stand_ins[id(tensor)] = StandIn(cell, slot.data, gradient, self)
            self.touched.append(tensor)
        return found

    def keeps(self, tensor: Variable) -> bool:
        if tensor._born is self:
            return True
        return tensor._born is not None if self.outer is None else self.outer.keeps(tensor)

    def _known(self, tensor: Variable) -> Any:
        """What the program around already has in the place of a Tensor, or else that itself.

        A stand-in that it made now would hold a value of this trace.
        """
        trace: Any = self.outer
        while trace is not None and tensor._born is not trace:
            if (found := trace.stand_ins.get(id(tensor))) is not None:
                return found
            trace = getattr(trace, "outer", None)
        return tensor


def _grad_of(cell: Any) -> Array | None:
    """The gradient that a cell holds; its program does not take this for reading it."""
    gradient = cell.gradient if isinstance(cell, StandIn) else cell._grad
    return None if gradient is None else gradient._data


def is_data(leaf: Any) -> bool:
    """Whether a leaf of arguments or results is traced; all else is constant."""
    return isinstance(leaf, (Variable, jax.Array, np.ndarray, np.generic))


def as_tensor(leaf: Any) -> Tensor:
    """A leaf that is data as a Tensor."""
    return leaf if isinstance(leaf, Tensor) else Tensor._wrap(as_array(leaf))


class Piece:
    """A function inside a traced program, traced once to find the state that it touches.

    Args:
        fn: the user's function.
        args: the arguments; Tensors and arrays among their leaves are data.
        call: what is called with them, if it is another function, which calls `fn`.
        numbers: whether numbers among its results are data too.

    Raises:
        JitError: the function does what only its trace would see.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        *args: Any,
        call: Callable[..., Any] | None = None,
        numbers: bool = False,
    ) -> None:
        self.fn = fn
        self._call = call or fn
        self._numbers = numbers
        leaves, self._structure = tree.flatten(list(args))
        self._leaves = [None if is_data(leaf) else leaf for leaf in leaves]
        self._data = [i for i, leaf in enumerate(leaves) if is_data(leaf)]
        self.operands = [as_tensor(leaves[i]) for i in self._data]
        self._wanted = [operand.requires_grad for operand in self.operands]
        self._modes = modes()
        self.records = state.grad_enabled
        self.constants: list[Any] = []  # by leaf of the result: what is no data
        self.result: Any = None  # the structure of the result
        self.lives: list[bool] = []  # by array of the result: whether it has a graph inside
        self.changed = False  # whether an argument is changed in place
        self.reached = False  # whether a backward inside gives an argument a gradient
        found = Nested(self.records)
        arrays = [operand._cell()._data for operand in self.operands]
        self.kinds = jax.eval_shape(lambda *values: self._trace(found, values), *arrays)
        self.touched = dict(found.stand_ins)
        self.tensors = found.touched

    def _trace(self, nested: Nested, arrays: Sequence[Array]) -> list[Array]:
        """The arrays of the result."""
        with nested.active(), in_modes(self._modes):
            given: list[Any] = list(self._leaves)
            for i, array, wanted in zip(self._data, arrays, self._wanted, strict=True):
                given[i] = tensor = Tensor._wrap(array)
                tensor._requires_grad = wanted
            leaves, self.result = tree.flatten(self._call(*tree.unflatten(self._structure, given)))
            self.changed = any(
                given[i]._data is not array for i, array in zip(self._data, arrays, strict=True)
            )
            self.reached = any(given[i]._gradient is not None for i in self._data)
            if self._numbers:
                leaves = [as_tensor(x) if isinstance(x, (bool, int, float)) else x for x in leaves]
            cells = [leaf._cell() if isinstance(leaf, Variable) else leaf for leaf in leaves]
            self.constants = [None if is_data(cell) else cell for cell in cells]
            self._is_data = [is_data(cell) for cell in cells]
            for stand_in in nested.stand_ins.values():
                stand_in.notice_gradient()
                check_tensor(self.fn, stand_in)
            found = [cell for cell in cells if is_data(cell)]
            self.lives = [isinstance(x, Variable) and x._requires_grad for x in found]
            return [heard(self.fn, x) if isinstance(x, Variable) else jnp.asarray(x) for x in found]

    def check_unchanged(self, call: str) -> None:
        """Refuse a change in place of an argument, which the caller's Tensor would not see."""
        if self.changed:
            raise JitError(
                f"{call}: {definition(self.fn)} changes an argument in place, which the Tensor "
                "that it was given would not see. Return the new value."
            )

    def check_unreached(self, call: str) -> None:
        """Refuse a backward that gives an argument a gradient, which would be lost with it."""
        if self.reached:
            raise JitError(
                f"{call}: a backward inside {definition(self.fn)} reaches an argument, whose "
                "gradient would be lost. Detach it, or return the loss and call backward outside."
            )

    def put_together(self, leaves: Sequence[Any]) -> Any:
        """The result, from what takes the place of its arrays."""
        source = iter(leaves)
        whole = [
            next(source) if data else constant
            for data, constant in zip(self._is_data, self.constants, strict=True)
        ]
        return tree.unflatten(self.result, whole)


class State:
    """All that some pieces touch, in the program around them.

    Args:
        pieces: of which one runs, or some in turns.
        repeats: whether one may run again after itself; then gradients that are None before begin
            as zeros.

    Raises:
        JitError: there would be a gradient in one case and none in another; or a piece that
            repeats reads one that it gives up in the end, so that it would find none again.
    """

    def __init__(self, *pieces: Piece, repeats: bool = False) -> None:
        tensors = {id(t): t for piece in pieces for t in piece.tensors}
        self.tensors = list(tensors.values())
        self.cells: list[Any] = [t._cell() for t in self.tensors]
        met = [[p.touched[key] for p in pieces if key in p.touched] for key in tensors]
        self.written = [i for i, found in enumerate(met) if any(s.data_written for s in found)]
        self.graded: list[int] = []  # those that have a gradient afterwards
        self.cleared: list[int] = []  # those whose gradient is None afterwards
        self._before: list[Tensor | None] = []
        for i, (cell, found) in enumerate(zip(self.cells, met, strict=True)):
            setting = [s for s in found if s.grad_written]
            may_stay = 0 < len(setting) < len(pieces)
            read = may_stay or any(s.grad_read for s in found)
            before = cell._grad if read else None
            self._before.append(before)
            after = {s.gradient is not None for s in setting}
            if may_stay and not (repeats and before is None):
                after.add(before is not None)
            if len(after) > 1:
                raise JitError(
                    f"{setting[0].place}: the gradient of a Tensor of shape {cell._data.shape} "
                    "would be None in one case and a Tensor in another, and a program has one form "
                    "for both. Set it before, for example by `p.grad = lucid.zeros_like(p)`."
                )
            if after == {True}:
                self.graded.append(i)
            elif after:
                self.cleared.append(i)
                if repeats and before is not None:
                    raise JitError(
                        f"{setting[0].place}: the gradient of a Tensor of shape "
                        f"{cell._data.shape} is read and then set to None. Set it to None before."
                    )

    def check_apart(self, call: str, fn: Callable[..., Any], operands: Sequence[Variable]) -> None:
        """Refuse a change of a Tensor that is an argument as well, which would not see it."""
        written = {id(self.cells[i]) for i in self.written}
        if any(id(operand._cell()) in written for operand in operands):
            raise JitError(
                f"{call}: {definition(fn)} changes a Tensor from outside that is an argument as "
                "well, which would not see the change. Leave the argument out."
            )

    def run(
        self, name: str, pure: Callable[..., Any], recorded: bool, operands: Sequence[Tensor]
    ) -> list[Tensor]:
        """Compute one operation on the state and `operands`, and put its new state in place.

        Args:
            pure: of the arrays of the state, of its gradients and of `operands`, to what `call`
                gives.
            recorded: whether a graph goes through it, as through a function whose result has one.
        """
        grads = self._grads()
        n, m, written = len(self.tensors), len(grads), len(self.written)

        def flat(*arrays: Array) -> tuple[Array, ...]:
            leaves, data, grads = pure(arrays[:n], arrays[n : n + m], arrays[n + m :])
            return (*data, *grads, *leaves)

        inputs = [*self.tensors, *grads, *operands]
        if not recorded:
            inputs = [Tensor._wrap(x._cell()._data) for x in inputs]
        op = Op(flat, name, source=self)
        results = [*run(op, *inputs)] if inputs else [*map(as_tensor, op.run())]
        self._put(results[:written], results[written : written + m])
        return results[written + m :]

    def call(
        self, piece: Piece, data: Sequence[Array], grads: Sequence[Array], args: Sequence[Array]
    ) -> tuple[list[Array], list[Array], list[Array]]:
        """What a piece makes of the state: the arrays of its result, and the new state."""
        given = dict(zip(self.graded, grads, strict=True))
        fixed = [None if g is None else g._data for g in self._before]
        slots = {
            id(t): Slot(x, given.get(i, fixed[i]))
            for i, (t, x) in enumerate(zip(self.tensors, data, strict=True))
        }
        nested = Nested(piece.records, slots)
        leaves = piece._trace(nested, args)
        after = [nested.stand_ins.get(id(t)) for t in self.tensors]
        new_data, new_grads = [], []
        for i in self.written:
            stand_in = after[i]
            new_data.append(data[i] if stand_in is None else stand_in.value)
        for i in self.graded:
            stand_in = after[i]
            if stand_in is None:
                new_grads.append(given[i])
            elif stand_in.gradient is None:
                new_grads.append(jnp.zeros_like(given[i]))
            else:
                new_grads.append(stand_in.gradient._data)
        return leaves, new_data, new_grads

    def with_written(self, data: Sequence[Array], written: Sequence[Array]) -> list[Array]:
        """The arrays of the state, of which those that a piece writes are replaced."""
        found = list(data)
        for i, new in zip(self.written, written, strict=True):
            found[i] = new
        return found

    def _grads(self) -> list[Tensor]:
        """The gradients of those that get one, as they are before; zeros for None."""
        return [
            Tensor._wrap(jnp.zeros_like(self.cells[i]._data)) if g is None else g.detach()
            for i, g in ((i, self._before[i]) for i in self.graded)
        ]

    def _put(self, data: Sequence[Tensor], grads: Sequence[Tensor]) -> None:
        for i, new in zip(self.written, data, strict=True):
            self.cells[i]._put(new._data)
        for i, new in zip(self.graded, grads, strict=True):
            self.cells[i]._grad = Tensor._wrap(new._data)
        for i in self.cleared:
            self.cells[i]._grad = None
