"""Sorting: values, gradients, second derivatives, ties, NaN, and results with names."""

from __future__ import annotations

import copy
import pickle

import jax
import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.ops import sorting
from tests.helpers import HAS_TORCH, check_op, public_functions, spaced

if HAS_TORCH:
    import torch
else:
    torch = None

X = spaced(2, 3, 4)
INTS = np.array([[3, -1, 2, 3], [0, 5, -4, 0]])
BOOLS = np.array([True, False, True])


def order(a, axis=-1, descending=False):
    return np.argsort(-np.asarray(a, float) if descending else a, axis, kind="stable")


def ranked(a, axis=-1, descending=False):
    indices = order(a, axis, descending)
    return np.take_along_axis(a, indices, axis), indices


def first(a, k, axis=-1, largest=True, sorted=True):
    values, indices = ranked(a, axis, largest)
    return values.take(range(k), axis), indices.take(range(k), axis)


STATIC = [{}, {"axis": 0}, {"axis": 1, "descending": True}, {"axis": -2}]
CASES = {
    "argsort": [(a, static, order) for a in (X, INTS) for static in STATIC[:2]]
    + [(INTS, {"descending": True}, order), (BOOLS, {"descending": True}, order)],
    "sort": [(X, static, ranked) for static in STATIC]
    + [(INTS, {"descending": True}, ranked), (BOOLS, {}, ranked)],
    "topk": [
        (X, {"k": k, "axis": axis, "largest": largest}, first)
        for k, axis, largest in ((1, -1, True), (2, 0, True), (2, 1, False), (4, -1, False))
    ] + [(INTS, {"k": 2}, first)],
}  # fmt: skip
FLAT = [(name, *case) for name, cases in CASES.items() for case in cases]
IDS = [f"{name} {a.dtype} {static}" for name, a, static, _ in FLAT]


@pytest.mark.parametrize(("name", "operand", "static", "reference"), FLAT, ids=IDS)
def test_function(name, operand, static, reference):
    fn = getattr(sorting, name)

    def of_torch(x):
        static_ = {"axis": "dim"}
        named = {static_.get(key, key): value for key, value in static.items()}
        return tuple(torch.sort(x, stable=True, **named))

    check_op(
        lambda x: fn(x, **static),
        lambda x: reference(x, **static),
        operand,
        torch_fn=of_torch if name == "sort" else None,
    )


def test_every_function_is_in_the_table():
    assert set(CASES) == public_functions(sorting)


@pytest.mark.parametrize("compiled", [False, True])
def test_results_have_names(compiled):
    x = Tensor([3.0, 1.0, 2.0], requires_grad=True)
    for call in (lucid.sort, lambda x: lucid.topk(x, 3)):
        result = (lucid.jit(call) if compiled else call)(x)
        assert result._fields == ("values", "indices")
        assert result.values is result[0] and result.indices is result[1]
        (result.values * Tensor([1.0, 2.0, 3.0])).sum().backward()
        assert x.grad[result.indices].tolist() == [1, 2, 3]
        x.grad = None
    for again in (copy.copy(result), pickle.loads(pickle.dumps(result))):
        assert type(again) is type(result)
    pure = lucid.sort(x.data)
    assert type(pure) is type(result) and isinstance(pure.values, jax.Array)


def test_equal_elements_keep_their_order():
    x = Tensor([2.0, 7.0, 7.0, -1.0, -1.0])
    assert x.argsort().tolist() == [3, 4, 0, 1, 2]
    assert x.argsort(descending=True).tolist() == [1, 2, 0, 3, 4]
    assert x.topk(2)[1].tolist() == [1, 2]
    assert x.sort(-1, True, "stable", True).indices.tolist() == [1, 2, 0, 3, 4]


def test_nan_is_the_largest():
    x = Tensor([1.0, np.nan, -np.inf, np.inf])
    assert x.argsort().tolist() == [2, 0, 3, 1]
    assert x.argsort(descending=True).tolist() == [1, 3, 0, 2]
    assert x.topk(1).indices.item() == 1


@pytest.mark.parametrize("name", ["sort", "argsort"])
def test_kinds(name):
    x = Tensor([3.0, 1.0])
    for kind in (None, "quicksort", "mergesort", "heapsort", "stable"):
        getattr(lucid, name)(x, kind=kind)
    with pytest.raises(ValueError, match=rf"^{name}: kind must be one of .*, got 'bogo'\.$"):
        getattr(lucid, name)(x, kind="bogo")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int8", "uint8", "bool"])
def test_dtypes_are_kept(dtype):
    x = Tensor(np.array([3, 0, 2]), dtype=dtype)
    assert lucid.sort(x).values.dtype == lucid.topk(x, 2).values.dtype == x.dtype
    assert lucid.argsort(x).dtype == np.int32


def test_numbers_and_nothing():
    assert [y.shape for y in lucid.sort(Tensor(3.0))] == [(), ()]
    assert lucid.argsort(Tensor(3.0), axis=0).item() == 0
    assert lucid.topk(Tensor(3.0), 1).values.item() == 3
    assert [y.shape for y in lucid.sort(lucid.zeros(0, 3), 0)] == [(0, 3)] * 2
    for call in (lucid.sort, lucid.argsort):
        with pytest.raises(ValueError, match=r"axis 1 is out of bounds .* dimension 1"):
            call(Tensor(3.0), 1)
        with pytest.raises(ValueError, match=r"axis 3 is out of bounds .* dimension 3"):
            call(Tensor(X), 3)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("k", [-1, 4])
def test_topk_of_more_than_there_are(k, compiled):
    def call(x):
        return x.topk(k)

    text = rf"^topk: k must be from 0 to the length of the axis, 3, got {k}\.$"
    with pytest.raises(ValueError, match=text):
        (lucid.jit(call) if compiled else call)(Tensor([3.0, 1.0, 2.0]))


def test_topk_of_none_and_of_all():
    x = Tensor([[3.0, 1.0, 2.0]])
    assert [y.shape for y in x.topk(0)] == [(1, 0)] * 2
    assert [y.tolist() for y in x.topk(3, largest=False, sorted=False)] == [
        [[1, 2, 3]],
        [[1, 2, 0]],
    ]
