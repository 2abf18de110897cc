"""Python integers that a Tensor's dtype cannot hold: refused, or compared by their value."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import Tensor

KINDS = ["uint8", "int8", "int16", "uint16", "int32", "uint32"]
ARITHMETIC = {
    "add": operator.add,
    "sub": operator.sub,
    "multiply": operator.mul,
    "floor_div": operator.floordiv,
    "remainder": operator.mod,
    "bitwise_and": operator.and_,
    "maximum": lucid.maximum,
    "minimum": lucid.minimum,
    "where": lambda a, b: lucid.where(a > 0, a, b),
    "masked_fill": lambda a, b: lucid.masked_fill(a, a > 0, b),
    "pad": lambda a, b: lucid.pad(a, 1, b),
}
ORDER = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]


def limits(dtype):
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic_refuses_what_does_not_fit(name, dtype):
    a = Tensor(np.array([1, 7], dtype))
    for value in (limits(dtype)[0] - 1, limits(dtype)[1] + 1, 10**12):
        with pytest.raises(OverflowError, match=f"^{name}: the integer {value} does not fit into"):
            ARITHMETIC[name](a, value)
    wider = "float" if a.dtype.itemsize == 4 else "lucid.Int32"
    with pytest.raises(OverflowError) as caught:
        a += 10**12
    assert str(caught.value) == (
        f"add: the integer 1000000000000 does not fit into {dtype}. Use a wider dtype, for example "
        f"with astype({wider})."
    )
    assert a.tolist() == [1, 7]


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("jitted", [False, True])
def test_comparisons_go_by_value(dtype, jitted):
    low, high = limits(dtype)
    values = np.array([low, 0, 5, high], dtype)
    for compare in ORDER:
        for number in (low - 1, low, 5, high, high + 1, 10**12, -(10**12)):
            run = lucid.jit(compare) if jitted else compare
            expected = [compare(int(v), number) for v in values]
            assert run(Tensor(values), number).tolist() == expected, (compare, number)
            if not jitted:
                mirrored = [compare(number, int(v)) for v in values]
                assert compare(number, Tensor(values)).tolist() == mirrored, (compare, number)


@pytest.mark.parametrize("dtype", KINDS)
def test_bounds_of_clip_go_by_value(dtype):
    low, high = limits(dtype)
    values = np.array([low, 5, high], dtype)
    x = Tensor(values)
    assert lucid.clip(x, low - 9, high + 9).tolist() == values.tolist()
    assert lucid.clip(x, max_value=high + 1).dtype == dtype
    assert lucid.clip(x, 4, high + 1).tolist() == [4, 5, high]
    for bounds in ((high + 1, None), (None, low - 1)):
        with pytest.raises(OverflowError, match=r"^clip: the integer"):
            lucid.clip(x, *bounds)


def test_floats_hold_any_integer():
    x = Tensor([1.0, -2.0])
    assert (x * 2**40).tolist() == [2.0**40, -(2.0**41)]
    assert (x < 2**40).tolist() == [True, True]
    with pytest.raises(OverflowError, match=r"^add: an integer of 2001 bits fits into no float\.$"):
        x + 2**2000
    assert np.isinf(lucid.linspace(0.0, np.inf, 3)[2].item())
    assert (Tensor([True]) + 300).tolist() == [301]


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_new_tensors_refuse_what_does_not_fit(dtype):
    for call, run in {
        "full": lambda: lucid.full((2,), 300, dtype=dtype),
        "arange": lambda: lucid.arange(301, dtype=dtype),
        "linspace": lambda: lucid.linspace(0, 300, 3, dtype=dtype),
    }.items():
        with pytest.raises(OverflowError, match=f"^{call}: the integer 300 does not fit into"):
            run()
    x = lucid.zeros(2, dtype=dtype)
    with pytest.raises(OverflowError, match=r"^index assignment: the integer 300 does not fit"):
        x[0] = 300
    assert x.tolist() == [0, 0]
    with pytest.raises(
        OverflowError, match=r"^full: the integer 2147483648 does not fit into int32"
    ):
        lucid.full((2,), 2**31)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint32"])
def test_indices_and_classes_of_any_integer_dtype_name_places_beyond_their_own_range(dtype):
    long = np.arange(1000.0, dtype=np.float32)
    at = np.array([3, 0, 100], dtype)
    x = Tensor(long, requires_grad=True)
    x[Tensor(at)].sum().backward()
    assert np.flatnonzero(x.grad.numpy()).tolist() == [0, 3, 100]
    assert lucid.gather(Tensor(long), 0, Tensor(at)).tolist() == [3.0, 0.0, 100.0]
    assert F.embedding(Tensor(at), Tensor(long[:, None])).tolist() == [[3.0], [0.0], [100.0]]
    assert F.one_hot(Tensor(at), 300).sum().item() == 3
    logits = np.random.default_rng(0).normal(size=(3, 256)).astype(np.float32)
    expected = F.cross_entropy(Tensor(logits), Tensor(at.astype(np.int32)))
    assert F.cross_entropy(Tensor(logits), Tensor(at)).item() == expected.item()
    if dtype.startswith("int"):
        assert Tensor(long)[Tensor(np.array([-1], dtype))].item() == 999.0


def test_a_class_is_not_ignored_because_the_ignored_number_wraps_to_it():
    """-100 is 156 in uint8."""
    logits = Tensor(np.random.default_rng(0).normal(size=(1, 200)).astype(np.float32))
    target = np.array([156])
    expected = F.cross_entropy(logits, Tensor(target))
    assert F.cross_entropy(logits, Tensor(target.astype(np.uint8))).item() == expected.item()
