"""Recomputation, loops and branches of imperative functions, as one operation of a program.

The functions are written as any other: they read and change Parameters, Buffers, gradients,
optimizers and random generators of the code around them. Inside `lucid.jit`, `lucid.func` and
JAX's transformations each call is one operation. Eagerly it is the Python call, loop or branch
that it stands for, with the same results. What a function is given is the end of its graph:
`autograd.grad` inside it goes no further back.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np

from lucid._core import tree
from lucid._core.arrays import staged
from lucid._core.errors import JitError, definition
from lucid._core.mode import no_grad, state
from lucid._core.nested import Piece, State, as_tensor, is_data
from lucid._core.tensor import Tensor
from lucid._core.trace import same
from lucid._core.typing import Array
from lucid.ops.shape import stack

__all__ = ["checkpoint", "cond", "scan", "while_loop"]

R = TypeVar("R")
Carry = TypeVar("Carry")


def checkpoint(fn: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    """`fn(*args, **kwargs)`, of which backward keeps the inputs and computes the rest anew.

    Saves the memory of what `fn` computes, for the time of computing it twice (Chen et al.,
    arXiv:1604.06174). State changes once, and dropout drops the same elements both times. This
    holds inside `lucid.jit`; eagerly it is a plain call, each of whose operations keeps its inputs.

    Args:
        fn: a function or a Module.
        args: its arguments; so are `kwargs`.

    Raises:
        JitError: `fn` calls `backward`, changes an argument in place, or has a hook inside.

    >>> block = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 4))
    >>> @lucid.jit
    ... def step(x):
    ...     loss = (lucid.checkpoint(block, x) ** 2).mean()
    ...     loss.backward()
    ...     return loss
    >>> step(lucid.ones(2, 4)).shape, block[0].weight.grad.shape
    ((), (64, 4))
    """
    if not _traced((args, kwargs)):
        return fn(*args, **kwargs)
    piece = Piece(fn, args, kwargs, call=lambda args, kwargs: fn(*args, **kwargs))
    piece.check_unchanged("checkpoint")
    piece.check_unreached("checkpoint")
    around = State(piece)
    around.check_apart("checkpoint", fn, piece.operands)
    if around.graded or around.cleared:
        raise JitError(
            f"checkpoint: {definition(fn)} calls backward or sets a gradient, which would happen "
            "once more in the backward pass. Call backward outside."
        )
    pure = jax.checkpoint(functools.partial(around.call, piece))
    result: R = piece.put_together(around.run("checkpoint", pure, any(piece.lives), piece.operands))
    return result


def scan(
    fn: Callable[[Carry, Any], tuple[Carry, Any]],
    carry: Carry,
    xs: Any = None,
    length: int | None = None,
) -> tuple[Carry, Any]:
    """A loop over the first axis of `xs`: `carry, y = fn(carry, x)`; the ys are stacked.

    Inside `lucid.jit` the loop is compiled once for all turns, and its memory is that of one turn,
    beside what a backward pass through the whole loop needs. With `backward` inside `fn`, gradients
    add up from turn to turn. A gradient that is None before the loop begins as zeros.

    Args:
        fn: of what goes from turn to turn, and a part of `xs` without the first axis.
        carry: what the first turn gets: Tensors, arrays and numbers, in any nesting.
        xs: Tensors and arrays, in any nesting, with first axes of one length; None for none.
        length: the number of turns; needed without `xs`.

    Returns:
        The last carry, and the ys with a new first axis.

    Raises:
        ValueError: lengths differ, or there is none; `fn` returns no pair, or a carry of another
            structure, shape or dtype.
        TypeError: `length` is no integer.
        JitError: a backward inside `fn` reaches the carry or a part of `xs`.

    Gradients of a batch, a quarter at a time:

    >>> model = nn.Linear(4, 1)
    >>> def quarter(total, x):
    ...     loss = (model(x) ** 2).mean() / 4
    ...     loss.backward()
    ...     return total + loss.detach(), None
    >>> @lucid.jit
    ... def step(batch):
    ...     model.zero_grad()
    ...     return lucid.scan(quarter, 0.0, batch.reshape(4, -1, 4))[0]
    >>> step(lucid.randn(32, 4)).shape, model.weight.grad.shape
    ((), (1, 4))
    """
    turns = _turns(xs, length)
    leaves, structure = tree.flatten(carry)
    start = [as_tensor(leaf) for leaf in leaves]
    kinds = [(x.shape, x.dtype) for x in start]
    rows, row_structure = tree.flatten(xs)
    rows = [as_tensor(row) for row in rows]

    def turn(values: Sequence[Tensor], row: Any) -> tuple[list[Tensor], list[Tensor], Any]:
        returned = fn(tree.unflatten(structure, list(values)), row)
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise ValueError(
                f"scan: the function must return a pair (carry, y), got {type(returned).__name__}."
            )
        ys, y_structure = tree.flatten(returned[1])
        following = _same_form("scan", kinds, structure, returned[0])
        return following, [as_tensor(y) for y in ys], y_structure

    if turns and not _traced((carry, xs)):
        # Other Tensors than the caller's, which a change in place would change.
        values: Sequence[Tensor] = [x.clone() if x.requires_grad else x.detach() for x in start]
        columns: list[list[Tensor]] = []
        y_structure: Any = None
        for i in range(turns):
            row = tree.unflatten(row_structure, [row[i] for row in rows])
            values, ys, y_structure = turn(values, row)
            columns.append(ys)
        stacked = [stack(column) for column in zip(*columns, strict=True)]
        return tree.unflatten(structure, list(values)), tree.unflatten(y_structure, stacked)

    form: Any = None

    def body(values: Sequence[Tensor], row: Any) -> tuple[list[Tensor], list[Tensor]]:
        nonlocal form
        following, ys, form = turn(values, row)
        return following, ys

    row = tree.unflatten(row_structure, [_like(x, x.shape[1:], x.requires_grad) for x in rows])
    piece, n = Piece(fn, start, row, call=body), len(start)
    if not turns:  # it was only asked for the form of its results
        ys = [Tensor(jax.numpy.zeros((0, *kind.shape), kind.dtype)) for kind in piece.kinds[n:]]
        return tree.unflatten(structure, start), tree.unflatten(form, ys)
    around = State(piece, repeats=True)
    lives = [x.requires_grad for x in start]
    # A later turn may get a carry with a graph; a backward that goes there must be seen.
    while around.graded and (found := [*map(operator.or_, lives, piece.lives[:n])]) != lives:
        lives = found
        later = [_like(x, x.shape, live) for x, live in zip(start, lives, strict=True)]
        piece = Piece(fn, later, row, call=body)
    piece.check_unreached("scan")
    around.check_apart("scan", fn, rows)

    def pure(data: Sequence[Array], grads: Sequence[Array], args: Sequence[Array]) -> Any:
        def step(before: Any, row: Any) -> Any:
            written, grads, values = before
            now = around.with_written(data, written)
            leaves, new, new_grads = around.call(piece, now, grads, [*values, *row])
            _check_kept("scan", written, new)
            return (new, new_grads, leaves[:n]), leaves[n:]

        first = [data[i] for i in around.written], [*grads], [*args[:n]]
        (written, grads, values), ys = jax.lax.scan(step, first, [*args[n:]], turns)
        return [*values, *ys], written, grads

    results = around.run("scan", pure, any(piece.lives), [*start, *rows])
    return tree.unflatten(structure, results[:n]), tree.unflatten(form, results[n:])


def cond(pred: Any, true_fn: Callable[..., R], false_fn: Callable[..., R], *args: Any) -> R:
    """`true_fn(*args) if pred else false_fn(*args)`, where only the program knows `pred`.

    Both functions may change state; what one of them leaves alone stays as it is.

    Args:
        pred: a Tensor or array with one element, a bool, or a number.
        true_fn, false_fn: what is called; inside `lucid.jit` their results must have one form.
        args: their arguments.

    Raises:
        ValueError: `pred` has several elements, or the results have different forms.
        JitError: inside `lucid.jit`, a function changes an argument in place, calls a backward that
            reaches one, or leaves a gradient where the other leaves none.

    >>> @lucid.jit
    ... def halved_if_large(x):
    ...     return lucid.cond(x.sum() > 10, lambda x: x / 2, lambda x: x, x)
    >>> halved_if_large(Tensor([4.0, 8.0])), halved_if_large(Tensor([4.0, 5.0]))
    (Tensor([2., 4.]), Tensor([4., 5.]))
    """
    if np.size(pred._cell()._data if isinstance(pred, Tensor) else pred) != 1:
        shape = np.shape(pred.data if isinstance(pred, Tensor) else pred)
        raise ValueError(f"cond: pred must have one element, got shape {shape}.")
    if not is_data(pred) or not _traced((pred, args)):
        return true_fn(*args) if pred else false_fn(*args)
    pieces = [Piece(fn, *args, numbers=True) for fn in (true_fn, false_fn)]
    forms = [(piece.result, [(k.shape, k.dtype) for k in piece.kinds]) for piece in pieces]
    if forms[0] != forms[1] or not same(pieces[0].constants, pieces[1].constants):
        raise ValueError(
            "cond: the results of both functions must have one structure, with equal shapes and "
            f"dtypes, got {_described(pieces[0])} and {_described(pieces[1])}."
        )
    around = State(*pieces)
    for piece in pieces:
        piece.check_unchanged("cond")
        piece.check_unreached("cond")
        around.check_apart("cond", piece.fn, piece.operands)

    def pure(data: Sequence[Array], grads: Sequence[Array], args: Sequence[Array]) -> Any:
        branches = [functools.partial(around.call, piece) for piece in pieces]
        holds, *rest = args
        return jax.lax.cond(holds.reshape(()).astype(bool), *branches, data, grads, rest)

    live = any(any(piece.lives) for piece in pieces)
    operands = [as_tensor(pred), *pieces[0].operands]
    result: R = pieces[0].put_together(around.run("cond", pure, live, operands))
    return result


def while_loop(
    cond_fn: Callable[[Carry], Any], body_fn: Callable[[Carry], Carry], carry: Carry
) -> Carry:
    """`while cond_fn(carry): carry = body_fn(carry)`, where only the program knows when it ends.

    No gradient flows through the loop, whose length is not known: its result is off the tape.

    Args:
        cond_fn: whether to go on: a Tensor with one element; it changes no state.
        body_fn: the next carry; it may change state. A gradient that is None before the loop begins
            as zeros.
        carry: what the loop begins with: Tensors, arrays and numbers, in any nesting.

    Raises:
        ValueError: `cond_fn` returns something else, or `body_fn` a carry of another structure,
            shape or dtype.
        JitError: `cond_fn` changes state; or the body sets a gradient to None that is there before.

    >>> @lucid.jit
    ... def power_of_two_above(x):
    ...     return lucid.while_loop(lambda y: y <= x, lambda y: y * 2, 1.0)
    >>> power_of_two_above(Tensor(20.0))
    Tensor(32.)
    """
    leaves, structure = tree.flatten(carry)
    start = [as_tensor(leaf).detach() for leaf in leaves]
    kinds = [(x.shape, x.dtype) for x in start]

    def goes_on(values: Sequence[Tensor]) -> Tensor:
        returned = cond_fn(tree.unflatten(structure, list(values)))
        if not is_data(returned) or np.size(as_tensor(returned)._cell()._data) != 1:
            raise ValueError(
                "while_loop: the condition must return a Tensor with one element, got "
                f"{_shown(returned)}."
            )
        return as_tensor(returned)

    def body(values: Sequence[Tensor]) -> list[Tensor]:
        returned = body_fn(tree.unflatten(structure, list(values)))
        return _same_form("while_loop", kinds, structure, returned)

    with no_grad():
        if not _traced(carry):
            values: Sequence[Tensor] = start
            while goes_on(values):
                values = body(values)
            return tree.unflatten(structure, [x.detach() for x in values])
        test, piece = Piece(cond_fn, start, call=goes_on), Piece(body_fn, start, call=body)
        tested = State(test)
        if tested.written or tested.graded or tested.cleared:
            raise JitError(
                f"while_loop: {definition(cond_fn)} changes a Tensor from outside; only the body "
                "may change state."
            )
        piece.check_unreached("while_loop")
        around = State(test, piece, repeats=True)

        def pure(*state: Sequence[Array]) -> Any:
            data, grads, args = jax.lax.stop_gradient(state)

            def holds(before: Any) -> Array:
                written, grads, values = before
                (found,), _, _ = around.call(
                    test, around.with_written(data, written), grads, values
                )
                return found.reshape(()).astype(bool)

            def step(before: Any) -> Any:
                written, grads, values = before
                leaves, new, new_grads = around.call(
                    piece, around.with_written(data, written), grads, values
                )
                _check_kept("while_loop", written, new)
                return new, new_grads, leaves

            first = [data[i] for i in around.written], [*grads], [*args]
            written, grads, values = jax.lax.while_loop(holds, step, first)
            return values, written, grads

        return tree.unflatten(structure, around.run("while_loop", pure, False, start))


# --- What they share --------------------------------------------------------------------------


def _traced(args: Any) -> bool:
    """Whether this is part of a program, and no eager call."""
    if state.trace is not None and not state.trace.pieces:
        return False
    leaves = [x._data if isinstance(x, Tensor) else x for x in tree.flatten(args)[0]]
    return (
        state.trace is not None or staged() or any(isinstance(x, jax.core.Tracer) for x in leaves)
    )


def _turns(xs: Any, length: int | None) -> int:
    if length is not None and (isinstance(length, bool) or not hasattr(length, "__index__")):
        raise TypeError(f"scan: length must be an integer, got {length!r}.")
    leaves = tree.flatten(xs)[0]
    shapes = [tuple(np.shape(x._cell()._data if isinstance(x, Tensor) else x)) for x in leaves]
    lengths = {shape[:1] for shape in shapes}
    if length is not None:
        lengths.add((operator.index(length),))
    if len(lengths) != 1 or () in lengths or min(lengths) < (0,):
        what = f"xs of shapes {shapes}" if shapes else "no xs"
        raise ValueError(
            "scan: there must be one number of turns: the length of the first axes of xs, or "
            f"length; got {what} and length={length}."
        )
    return int(lengths.pop()[0])


def _like(x: Tensor, shape: Sequence[int], requires_grad: bool) -> Tensor:
    """A Tensor to trace a function with, of the dtype of another."""
    tensor = Tensor._wrap(jax.lax.empty(shape, x.dtype))
    tensor._requires_grad = requires_grad
    return tensor


def _same_form(
    call: str, kinds: Sequence[tuple[Any, Any]], structure: tree.Structure, after: Any
) -> list[Tensor]:
    """The leaves of the next carry as Tensors, if they have the shapes and dtypes of the first."""
    leaves, found = tree.flatten(after)
    if found != structure:
        raise ValueError(
            f"{call}: the function must return a carry of the structure that it gets, "
            f"{structure.treedef}, got {found.treedef}."
        )
    tensors = []
    for path, (shape, dtype), leaf in zip(tree.paths(structure), kinds, leaves, strict=True):
        is_number = isinstance(leaf, (bool, int, float))
        if is_number and jax.numpy.result_type(leaf, dtype) == dtype:  # and so keeps its value
            leaf = np.asarray(leaf, dtype)
        y = as_tensor(leaf)
        if (y.shape, y.dtype) != (shape, dtype):
            raise ValueError(
                f"{call}: carry{path} must keep its shape and dtype, {dtype}{[*shape]}; the "
                f"function returned {y.dtype}{[*y.shape]}."
            )
        tensors.append(y)
    return tensors


def _check_kept(call: str, before: Sequence[Array], after: Sequence[Array]) -> None:
    for x, y in zip(before, after, strict=True):
        if (x.shape, x.dtype) != (y.shape, y.dtype):
            raise ValueError(
                f"{call}: a Tensor from outside must keep its shape and dtype, "
                f"{x.dtype}{[*x.shape]}; the function set it to {y.dtype}{[*y.shape]}."
            )


def _described(piece: Piece) -> str:
    kinds = [f"{kind.dtype}{[*kind.shape]}" for kind in piece.kinds]
    constants = [repr(constant) for constant in piece.constants if constant is not None]
    return f"{piece.result.treedef} of {', '.join(kinds + constants) or 'nothing'}"


def _shown(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"shape {tuple(shape)}"
