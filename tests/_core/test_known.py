"""Which values are known before a program runs, and how those out of range are refused."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid._core.known import check_within, known


@pytest.mark.parametrize(
    "data", [3, 0.5, np.int8(3), np.array([1, 2]), jnp.array([1, 2]), Tensor([[1.5], [2.0]])]
)
def test_values_of_the_host_and_of_small_arrays(data):
    expected = np.asarray(data)
    found = known(data)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype


def test_large_arrays_are_not_looked_at():
    assert known(Tensor(np.zeros(2**16 - 1, np.int8))) is not None
    assert known(Tensor(np.zeros(2**16, np.int8))) is None
    assert known(np.zeros(2**16, np.int8)) is not None  # it costs no waiting


def test_what_is_no_data_is_unknown():
    for data in (None, "a", [1, 2], object()):
        assert known(data) is None


def test_an_array_that_is_not_computed_yet_is_not_waited_for():
    x = jnp.ones((3000, 3000))
    slow = jax.jit(lambda x: jnp.sum(x @ x @ x).astype(int))
    slow.lower(x).compile()
    y = slow(x)
    found = known(y)
    if y.is_ready():
        pytest.skip("the product was computed at once")
    assert found is None
    y.block_until_ready()
    assert known(y) is not None


def test_traced_values_are_unknown():
    seen = []

    def look(x):
        seen.append(known(x))
        return x

    lucid.jit(look)(Tensor([1]))
    jax.jit(look)(jnp.array([1]))
    jax.vmap(look)(jnp.array([1]))
    assert len(seen) >= 3
    assert all(values is None for values in seen)
    outside = Tensor([1])
    lucid.jit(lambda: look(outside) + 1)()
    assert seen[-1] is None


def test_a_deleted_array_is_unknown():
    array = jnp.array([1, 2])
    array.delete()
    assert known(array) is None


def check(data, low=0, high=2, **options):
    check_within("call", "x", data, low, high, **options)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (3, "x must be from 0 to 2, got 3."),
        (np.float32("nan"), "x must be from 0 to 2, got nan."),
        (Tensor([[0, 1], [2, 5]]), "x must be from 0 to 2, got 5 at [1, 1]."),
        (Tensor([-1, 7]), "x must be from 0 to 2, got -1 at [0]."),
        (np.array([200, 1], np.uint8), "x must be from 0 to 2, got 200 at [0]."),
        (Tensor([1.0, float("nan")]), "x must be from 0 to 2, got nan at [1]."),
        (Tensor(np.array([1, np.nan], ml_dtypes.bfloat16)), "x must be from 0 to 2, got nan at ["),
    ],
)
def test_the_first_value_out_of_range_is_named(data, text):
    with pytest.raises(ValueError, match=f"^call: {re.escape(text)}"):
        check(data)


def test_ranges():
    for data in (0, 2, 1.5, True, Tensor([0, 2]), np.array([]), np.array(["a"]), None, "a"):
        check(data)
    check(np.array([255, 3], np.uint8), -5, 300)
    check(Tensor([1, -100]), besides=-100)
    with pytest.raises(IndexError, match=r"^call: x must be from 0 to 2 or -100, got 4 at \[1\]"):
        check(Tensor([-100, 4]), besides=-100, error=IndexError)
    with pytest.raises(ValueError, match=r"^call: x must be at least 0, got -1\.0 at \[0\]"):
        check_within("call", "x", Tensor([-1.0]), 0)
