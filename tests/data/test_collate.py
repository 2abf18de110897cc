"""The batch of a list of samples."""

import re
from collections import namedtuple

import jax.numpy as jnp
import numpy as np
import pytest

from lucid import Tensor
from lucid.data import DataLoader, default_collate

RNG = np.random.default_rng(0)
ARRAYS = [RNG.standard_normal((2, 3)).astype("f") for _ in range(4)]
Pair = namedtuple("Pair", "image label")


@pytest.mark.parametrize("made", [np.asarray, jnp.asarray, Tensor], ids=["numpy", "jax", "lucid"])
def test_arrays_are_stacked(made):
    batch = default_collate([made(a) for a in ARRAYS])
    assert isinstance(batch, Tensor)
    np.testing.assert_array_equal(batch.numpy(), np.stack(ARRAYS))


@pytest.mark.parametrize(
    ("samples", "dtype"),
    [
        ([1.5, -2.0], np.float32),
        ([3, -4], np.int32),
        ([True, False], np.bool_),
        ([1j, 2.0], np.complex64),
        ([np.float16(1.5), np.float16(2.5)], np.float16),
        ([np.uint8(200), np.uint8(7)], np.uint8),
        ([1, 2.5], np.float32),
    ],
)
def test_numbers_become_one_axis(samples, dtype):
    batch = default_collate(samples)
    assert batch.dtype == dtype
    assert batch.tolist() == samples


def test_bfloat16_is_kept():
    batch = default_collate([Tensor(a, dtype="bfloat16") for a in ARRAYS])
    assert batch.dtype == jnp.bfloat16
    np.testing.assert_array_equal(
        np.asarray(batch, "f"), np.stack(ARRAYS).astype(jnp.bfloat16).astype("f")
    )


def test_structures_are_kept():
    samples = [
        {"z": (array, i), "a": [Pair(array + i, {"i": -i}), f"file{i}"]}
        for i, array in enumerate(ARRAYS)
    ]
    batch = default_collate(samples)
    assert list(batch) == ["z", "a"]
    (first, numbers), (pair, names) = batch["z"], batch["a"]
    assert type(batch["z"]) is tuple and type(batch["a"]) is list and type(pair) is Pair
    np.testing.assert_array_equal(first.numpy(), np.stack(ARRAYS))
    assert numbers.tolist() == [0, 1, 2, 3]
    images = np.stack([array + i for i, array in enumerate(ARRAYS)])
    np.testing.assert_array_equal(pair.image.numpy(), images)
    assert pair.label["i"].tolist() == [0, -1, -2, -3]
    assert names == ["file0", "file1", "file2", "file3"]


def test_keys_are_matched_by_name():
    batch = default_collate([{"a": 1, "b": 2}, {"b": 4, "a": 3}])
    assert batch["a"].tolist() == [1, 3]
    assert batch["b"].tolist() == [2, 4]


def test_the_loader_has_it_too():
    assert DataLoader.default_collate is default_collate


UNLIKE = (
    "default_collate: samples of one batch have different {}: {} is {} in the first sample and {} "
    "in number {}. Pass a collate_fn that makes them alike, or use batch_size=1."
)
KINDS = (
    "default_collate: {} must be numbers, strings, arrays or Tensors, or tuples, lists and "
    "dictionaries of them; got {}. Pass a collate_fn."
)


@pytest.mark.parametrize(
    ("samples", "error", "text"),
    [
        ([], ValueError, "default_collate: a batch of no samples cannot be made."),
        (
            [np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 4))],
            ValueError,
            UNLIKE.format("shapes", "sample", "(2, 3)", "(2, 4)", 2),
        ),
        (
            [(0, {"x": np.zeros(2)}), (0, {"x": np.zeros(3)})],
            ValueError,
            UNLIKE.format("shapes", "sample[1]['x']", "(2,)", "(3,)", 1),
        ),
        ([(1, 2), (1, 2, 3)], ValueError, UNLIKE.format("lengths", "sample", 2, 3, 1)),
        (
            [{"a": 1}, {"a": 1, "b": 2}],
            ValueError,
            UNLIKE.format("keys", "sample", """["'a'"]""", """["'a'", "'b'"]""", 1),
        ),
        ([(1,), [1]], TypeError, UNLIKE.format("types", "sample", "tuple", "list", 1)),
        (["a", 1], TypeError, UNLIKE.format("types", "sample", "str", "int", 1)),
        ([{"a": 1}, 1], TypeError, UNLIKE.format("types", "sample", "dict", "int", 1)),
        ([1, "a"], TypeError, KINDS.format("sample", "str")),
        ([(1, None), (2, None)], TypeError, KINDS.format("sample[1]", "NoneType")),
        ([object()], TypeError, KINDS.format("sample", "object")),
    ],
)
def test_it_refuses(samples, error, text):
    with pytest.raises(error, match=f"^{re.escape(text)}$"):
        default_collate(samples)
