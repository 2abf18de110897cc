"""Every function that moves elements: values, gradients, second derivatives, and refusals."""

from __future__ import annotations

import re

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.ops import shape
from tests.helpers import HAS_TORCH, check_op, count_compiles, public_functions, spaced

if HAS_TORCH:
    import torch
else:
    torch = None

X, MATRIX, VECTOR = spaced(2, 3, 4), spaced(3, 4), spaced(5)
INDEX = np.array([[0, 2], [1, 1]])


def same(name, *statics, operands=(X,), torch_name=None):
    """Cases in which NumPy's function has the same name and arguments."""
    fn = getattr(np, name)
    return [
        (operands, static, lambda *xs, static=static: fn(*xs, **static), torch_name)
        for static in statics
    ]


def parts(ends, axis):
    return lambda a: tuple(np.split(a, ends, axis))


# Function: cases of (operands, static arguments, NumPy's function, torch's name or None).
CASES = {
    "reshape": same("reshape", {"shape": (4, 6)}, {"shape": (3, -1)}, {"shape": -1}),
    "transpose": same("transpose", {}, {"axes": (1, 0, 2)}, {"axes": (-1, 0, 1)}),
    "swapaxes": [
        ((X,), {"axis1": a, "axis2": b}, lambda x, a=a, b=b: np.swapaxes(x, a, b), None)
        for a, b in ((0, 1), (-1, 0))
    ],
    "squeeze": same(
        "squeeze", {}, {"axis": 0}, {"axis": -1}, {"axis": (0, 2)}, operands=(X.reshape(1, 24, 1),)
    ),
    "unsqueeze": [
        ((MATRIX,), {"axis": axis}, lambda a, axis=axis: np.expand_dims(a, axis), None)
        for axis in (0, 1, -1, (0, 2))
    ],
    "flatten": [
        ((X,), {}, np.ravel, "flatten"),
        ((X,), {"start_axis": 1}, lambda a: a.reshape(2, 12), None),
        ((X,), {"end_axis": 1}, lambda a: a.reshape(6, 4), None),
        ((X,), {"start_axis": -2, "end_axis": -1}, lambda a: a.reshape(2, 12), None),
        ((X,), {"start_axis": 1, "end_axis": 1}, lambda a: a, None),
        ((np.array(1.5),), {}, lambda a: a.reshape(1), "flatten"),
    ],
    "ravel": same("ravel", {}, torch_name="ravel"),
    "broadcast_to": same(
        "broadcast_to", {"shape": (2, 3, 4)}, {"shape": (5, 3, 4)}, operands=(MATRIX,)
    ) + same("broadcast_to", {"shape": (3, 4)}, operands=(MATRIX[:, :1],)),
    "expand": [
        ((MATRIX[:1],), {"sizes": (3, -1)}, lambda a: np.broadcast_to(a, (3, 4)), None),
        ((MATRIX[:1],), {"sizes": (2, 3, -1)}, lambda a: np.broadcast_to(a, (2, 3, 4)), None),
        ((np.array(1.5),), {"sizes": (2, 0)}, lambda a: np.broadcast_to(a, (2, 0)), None),
    ],
    "clone": same("copy", {}, torch_name="clone"),
    "flip": same("flip", {}, {"axis": 0}, {"axis": -1}, {"axis": (0, 2)})
    + same("flip", {}, operands=(np.array(1.5),)) + same("flip", {}, operands=(X[:0] > 0,)),
    "hstack": [
        ((X, X[:, :1]), {}, lambda *a: np.hstack(a), None),
        ((VECTOR, VECTOR[:2], np.array(1.5)), {}, lambda *a: np.hstack(a), None),
    ],
    "vstack": [
        ((X, X[:1]), {}, lambda *a: np.vstack(a), None),
        ((VECTOR, VECTOR * 2), {}, lambda *a: np.vstack(a), None),
        ((np.array(1.5), np.array(2.5)), {}, lambda *a: np.vstack(a), None),
    ],
    "meshgrid": [
        (operands, {"indexing": indexing}, lambda *a, i=indexing: np.meshgrid(*a, indexing=i), None)
        for indexing in ("ij", "xy")
        for operands in ((VECTOR, VECTOR[:2]), (VECTOR[:2], VECTOR[:3], VECTOR[:1]), (VECTOR,))
    ],
    "concatenate": [
        ((MATRIX, spaced(2, 4)), {}, lambda *a: np.concatenate(a), None),
        ((X, X[:, :, :1], X * 2), {"axis": -1}, lambda *a: np.concatenate(a, -1), None),
        ((MATRIX,), {"axis": 1}, lambda a: a, None),
    ],
    "stack": [
        ((MATRIX, MATRIX * 2), {}, lambda *a: np.stack(a), None),
        ((MATRIX, MATRIX * 2, MATRIX), {"axis": -1}, lambda *a: np.stack(a, -1), None),
    ],
    "split": [
        ((VECTOR,), {"size_or_sections": 2}, parts([2, 4], 0), "split"),
        ((VECTOR,), {"size_or_sections": 9}, parts([], 0), None),
        ((VECTOR,), {"size_or_sections": (1, 0, 4)}, parts([1, 1], 0), None),
        ((X,), {"size_or_sections": 2, "axis": -1}, parts([2], -1), None),
        ((X,), {"size_or_sections": (1, 2), "axis": 1}, parts([1], 1), None),
    ],
    "chunk": [
        ((VECTOR,), {"chunks": 2}, parts([3], 0), "chunk"),
        ((VECTOR,), {"chunks": 4}, parts([2, 4], 0), "chunk"),
        ((X,), {"chunks": 3, "axis": 1}, parts([1, 2], 1), None),
    ],
    "unbind": [
        ((X,), {}, tuple, "unbind"),
        ((X,), {"axis": -1}, lambda a: tuple(np.moveaxis(a, -1, 0)), None),
    ],
    "pad": [
        ((MATRIX,), {"pad_width": w}, lambda a, w=w: np.pad(a, w), None)
        for w in (1, (1, 2), ((0, 1), (2, 0)))
    ] + [
        (
            (MATRIX,), {"pad_width": 1, "value": 5.5},
            lambda a: np.pad(a, 1, constant_values=5.5), None,
        )
    ],
    "repeat": same(
        "repeat", {"repeats": 2}, {"repeats": 3, "axis": 1}, {"repeats": (1, 0, 2), "axis": 1}
    ),
    "tile": same("tile", {"reps": 2}, {"reps": (2, 1, 3)}, {"reps": (2, 1, 1, 2)}),
    "roll": [
        ((X,), {"shifts": s, "axis": axis}, lambda a, s=s, axis=axis: np.roll(a, s, axis), None)
        for s, axis in ((1, None), (-2, 1), ((1, 2), (0, 2)))
    ],
    "gather": [
        ((MATRIX[:2], INDEX), {"axis": 1}, lambda a, i: np.take_along_axis(a, i, 1), None),
        ((spaced(4, 2), INDEX), {"axis": 0}, lambda a, i: np.take_along_axis(a, i, 0), None),
    ],
    "take_along_axis": [
        ((MATRIX[:2], INDEX), {}, lambda a, i: np.take_along_axis(a, i, -1), None),
        ((spaced(4, 2), INDEX), {"axis": 0}, lambda a, i: np.take_along_axis(a, i, 0), None),
    ],
}  # fmt: skip
FLAT = [(name, *case) for name, cases in CASES.items() for case in cases]


def called(fn, operands, static):
    if fn in (shape.concatenate, shape.stack, shape.hstack, shape.vstack):
        return fn(operands, **static)
    if fn is shape.expand:
        return fn(*operands, *static["sizes"])
    return (
        fn(operands[0], index=operands[1], **static)
        if fn is shape.gather
        else fn(*operands, **static)
    )


@pytest.mark.parametrize("case", FLAT, ids=[f"{case[0]} {case[2]}" for case in FLAT])
def test_function(case):
    name, operands, static, reference, torch_name = case
    fn = getattr(shape, name)
    torch_fn = torch and torch_name and getattr(torch, torch_name)
    check_op(
        lambda *xs: called(fn, xs, static),
        reference,
        *operands,
        torch_fn=torch_fn and (lambda x: torch_fn(x, *static.values())),
    )


def test_every_function_is_in_the_table():
    assert set(CASES) == public_functions(shape) - {"expand_dims", "full", "shape"}


def test_spellings_of_shapes():
    x = lucid.zeros(2, 3, 4)
    for y in (x.reshape(6, 4), x.reshape((6, 4)), x.reshape([6, -1]), lucid.reshape(x, (6, 4))):
        assert y.shape == (6, 4)
    assert x.reshape(-1).shape == (24,)
    assert x[0, 0, 0].reshape(()).shape == ()
    assert x[:1].expand(5, -1, 4).shape == x[:1].expand((5, -1, 4)).shape == (5, 3, 4)
    assert x.transpose().shape == x.T.shape == (4, 3, 2)
    assert x.transpose((1, 0, 2)).shape == x.transpose([1, 0, 2]).shape == (3, 2, 4)
    assert x.mT.shape == (2, 4, 3)
    assert lucid.expand_dims(x, 0).shape == (1, 2, 3, 4)
    assert x.unsqueeze([0, -1]).shape == (1, 2, 3, 4, 1)


def test_shapes_of_nothing():
    x = lucid.zeros(0, 4, 3)
    assert x.flatten().shape == x.ravel().shape == x.reshape(-1).shape == (0,)
    assert x.flatten(1).shape == x.reshape(0, 12).shape == (0, 12)
    assert x.flatten(0, 1).shape == x.reshape(-1, 3).shape == (0, 3)


def test_joining_lists_and_tuples():
    x, y = Tensor([1.0, 2.0], requires_grad=True), Tensor([3.0])
    for arrays in ([x, y], (x, y)):
        joined = lucid.concatenate(arrays)
        assert joined.tolist() == [1, 2, 3]
        assert joined.requires_grad
    assert lucid.stack([x, x], axis=1).shape == (2, 2)
    assert lucid.concatenate([x, np.array([4.0], np.float32)], axis=-1).tolist() == [1, 2, 4]


ERRORS = {
    "flatten": (
        lambda x: x.flatten(2, 1),
        "flatten: start_axis 2 lies behind end_axis 1 of shape (2, 3, 4).",
    ),
    "reshape": (
        lambda x: x[:0].reshape(0, -1),
        "reshape: the size -1 of the new shape (0, -1) cannot be inferred beside a size of 0, got "
        "input shape (0, 3, 4). Name it.",
    ),
    "flatten axis": (lambda x: x.flatten(3), "flatten: shape (2, 3, 4) has no axis 3."),
    "flatten end": (lambda x: x.flatten(0, -4), "flatten: shape (2, 3, 4) has no axis -4."),
    "split axis": (lambda x: x.split(2, 3), "split: shape (2, 3, 4) has no axis 3."),
    "chunk axis": (lambda x: x.chunk(2, -4), "chunk: shape (2, 3, 4) has no axis -4."),
    "split negative": (
        lambda x: x.split([5, -1], axis=2), "split: sizes must not be negative, got (5, -1).",
    ),
    "repeat": (lambda x: x.repeat(-1), "repeat: repeats must not be negative, got -1."),
    "repeat each": (
        lambda x: x.repeat([1, -1], 0), "repeat: repeats must not be negative, got (1, -1).",
    ),
    "tile": (lambda x: x.tile((2, -1)), "tile: reps must not be negative, got (2, -1)."),
    "split": (lambda x: x.split(0), "split: a piece must have a positive size, got 0."),
    "split sizes": (
        lambda x: x.split((1, 2), axis=2),
        "split: the sizes (1, 2) add up to 3, but axis 2 has length 4.",
    ),
    "split no sizes": (
        lambda x: x.split((), axis=2), "split: the sizes () add up to 0, but axis 2 has length 4.",
    ),
    "chunk": (lambda x: x.chunk(0), "chunk: the number of chunks must be positive, got 0."),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS.values(), ids=ERRORS)
def test_errors(case):
    call, text = case
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        call(Tensor(X))


@pytest.mark.parametrize("join", [lucid.concatenate, lucid.stack])
def test_nothing_cannot_be_joined(join):
    text = f"{join.__name__}: Need at least one array to {join.__name__}."
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        join([])


def test_too_many_arguments():
    with pytest.raises(
        TypeError, match=r"^swapaxes: too many positional arguments; it is swapaxes\(a"
    ):
        Tensor(X).swapaxes(0, 1, 2)


def test_static_lists_compile_once():
    x = Tensor(X)
    x.sum([0, 1]), x.transpose([1, 0, 2]), x.pad([[0, 0], [1, 1], [0, 0]])
    with count_compiles(expect=0):
        x.sum([0, 1]), x.sum((0, 1)), x.transpose([1, 0, 2]), x.pad([[0, 0], [1, 1], [0, 0]])


def test_shape_of_anything():
    for x in (lucid.zeros(2, 3), np.zeros((2, 3)), [[1, 2, 3], [4, 5, 6]]):
        assert lucid.shape(x) == (2, 3)
    assert lucid.shape(3.0) == ()


def test_a_clone_is_kept_when_a_compiled_step_takes_the_memory():
    x = lucid.ones(3)

    @lucid.jit
    def step():
        x.data = x.data + 1

    step()
    before = x.clone()
    step()
    assert (before.tolist(), x.tolist()) == ([2, 2, 2], [3, 3, 3])


def test_sizes_of_expand():
    x = lucid.zeros(1, 3)
    for y in (x.expand(2, -1), x.expand((2, -1)), x.expand([2, 3]), lucid.expand(x, 2, 3)):
        assert y.shape == (2, 3)


def test_meshgrid_refuses():
    with pytest.raises(ValueError, match=r"^meshgrid: indexing must be 'ij' or 'xy', got 'ji'\.$"):
        lucid.meshgrid(Tensor([1.0]), indexing="ji")
    with pytest.raises(ValueError, match=r"^meshgrid: vectors are needed, got shape \(1, 1\)\.$"):
        lucid.meshgrid(Tensor([1.0]), Tensor([[1.0]]))


def test_take_along_axis_refuses_what_lies_outside():
    text = r"^take_along_axis: indices must be from -2 to 1, got 2 at \[0\]\.$"
    with pytest.raises(IndexError, match=text):
        lucid.take_along_axis(Tensor([1.0, 2.0]), np.array([2]))


def test_gather_reads_the_beginning_of_the_other_axes():
    values, index = np.arange(20.0, dtype="f").reshape(5, 4), np.array([[0, 0, 2], [1, 4, 1]])
    x = Tensor(values, requires_grad=True)
    y = lucid.gather(x, 0, index)
    expected = [[values[index[i, j], j] for j in range(3)] for i in range(2)]
    np.testing.assert_array_equal(y.numpy(), expected)
    y.sum().backward()
    counts = np.zeros((5, 4))
    np.add.at(counts, (index, np.arange(3)), 1)
    np.testing.assert_array_equal(x.grad.numpy(), counts)
    for wrong in (np.zeros((1, 5), int), np.zeros(3, int)):
        with pytest.raises(
            ValueError, match=r"gather: an index of shape .* none longer but axis 0"
        ):
            lucid.gather(x, 0, wrong)
