"""Datasets: their samples, their batches, and splits of them."""

import re

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.data import ConcatDataset, Dataset, Subset, TensorDataset, random_split

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((7, 2, 3)).astype("f"), RNG.integers(0, 9, 7)


class Doubles(Dataset[int]):
    def __init__(self, size):
        self.size = size

    def __getitem__(self, idx):
        return 2 * idx

    def __len__(self):
        return self.size


def error(text):
    return re.escape(text) + "$"


def test_a_dataset_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Dataset()


def test_iteration_addition_and_repr():
    both = Doubles(3) + Doubles(2)
    assert isinstance(both, ConcatDataset)
    assert list(both) == [0, 2, 4, 0, 2]
    assert repr(both) == "ConcatDataset(5 samples)"
    assert repr(Subset(both, [1])) == "Subset(1 samples)"


# --- TensorDataset ----------------------------------------------------------------------------


@pytest.mark.parametrize("index", [3, -2, slice(1, 6, 2), np.array([4, 0, 4]), [2, 1], Tensor(5)])
def test_tensor_dataset_indexes_all_its_tensors(index):
    dataset = TensorDataset(Tensor(X), Y)
    x, y = dataset[index]
    at = int(index) if isinstance(index, Tensor) else index
    np.testing.assert_array_equal(x.numpy(), X[at])
    np.testing.assert_array_equal(y.numpy(), Y[at])


def test_tensor_dataset_as_a_whole():
    tensor = Tensor(X)
    dataset = TensorDataset(tensor, Y)
    assert dataset.tensors[0] is tensor
    assert len(dataset) == 7
    assert [int(y) for _, y in dataset] == Y.tolist()
    assert dataset.to("cpu") is dataset
    assert all(t.device == "cpu" for t in dataset.tensors)
    with pytest.raises(IndexError, match="7 is out of range"):
        dataset[7]


def test_tensor_dataset_refuses():
    with pytest.raises(ValueError, match=error("TensorDataset: at least one Tensor is needed.")):
        TensorDataset()
    text = "TensorDataset: the Tensors must have first axes of one size, got shapes "
    with pytest.raises(ValueError, match=error(text + "(7, 2, 3), (6,).")):
        TensorDataset(X, Y[:6])
    with pytest.raises(ValueError, match=error(text + "(), (7,).")):
        TensorDataset(3.0, Y)
    with pytest.raises(ValueError, match=error(text + "().")):
        TensorDataset(3.0)


# --- Subset, ConcatDataset --------------------------------------------------------------------


def test_subsets():
    part = Subset(Doubles(6), [5, 0, -1, np.int64(3)])
    assert list(part) == [10, 0, -2, 6]
    assert part[-1] == 6
    assert list(Subset(part, [3, 1])) == [6, 0]
    text = "Subset: index 6 is out of range for a dataset of 6 samples."
    with pytest.raises(IndexError, match=error(text)):
        Subset(Doubles(6), [0, 6])
    with pytest.raises(TypeError, match="float"):
        Subset(Doubles(6), [0.5])


def test_concatenated_datasets():
    sizes = [2, 0, 3, 1]
    both = ConcatDataset([Doubles(size) for size in sizes])
    expected = [2 * i for size in sizes for i in range(size)]
    assert len(both) == 6
    assert [both[i] for i in range(6)] == expected
    assert [both[i] for i in range(-6, 0)] == expected
    for index in (6, -7):
        text = f"ConcatDataset: index {index} is out of range for 6 samples."
        with pytest.raises(IndexError, match=error(text)):
            both[index]
    with pytest.raises(ValueError, match=error("ConcatDataset: at least one dataset is needed.")):
        ConcatDataset([])


# --- Batches ----------------------------------------------------------------------------------


def test_a_batch_is_that_of_its_samples():
    whole = TensorDataset(X, Y)
    indices = [4, 1, 1, 6]
    for dataset, at in (
        (whole, indices),
        (Subset(whole, [2, 6, 5, 4, 3, 0, 1]), [3, 6, 6, 1]),
        (ConcatDataset([TensorDataset(X[:3], Y[:3]), TensorDataset(X[3:], Y[3:])]), indices),
    ):
        x, y = dataset.get_batch(at)
        np.testing.assert_array_equal(np.asarray(x), X[indices])
        np.testing.assert_array_equal(np.asarray(y), Y[indices])


class Negated:
    def __getitem__(self, idx):
        return tuple(-t for t in super().__getitem__(idx))


class NegatedTensors(TensorDataset):
    def __getitem__(self, idx):
        return tuple(-t for t in super().__getitem__(idx))


class NegatedByMixin(Negated, TensorDataset):
    pass


class NegatedBatches(NegatedTensors):
    calls = 0

    def get_batch(self, indices):
        self.calls += 1
        return tuple(-t for t in TensorDataset.get_batch(self, indices))


@pytest.mark.parametrize("cls", [NegatedTensors, NegatedByMixin, NegatedBatches])
def test_an_overridden_sample_is_not_bypassed(cls):
    dataset = cls(X, Y)
    for wrapped in (dataset, Subset(dataset, range(7))):
        x, y = wrapped.get_batch([3, 5])
        np.testing.assert_array_equal(np.asarray(x), -X[[3, 5]])
        np.testing.assert_array_equal(np.asarray(y), -Y[[3, 5]])
    assert getattr(dataset, "calls", 2) == 2


def test_a_subclass_without_its_own_samples_keeps_the_batches_of_its_base():
    class Named(TensorDataset):
        name = "named"

    assert Named.get_batch is TensorDataset.get_batch


# --- random_split -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "lengths", "counts"),
    [
        (10, [7, 3], [7, 3]),
        (10, [0.5, 0.5], [5, 5]),
        (10, [0.25, 0.25, 0.5], [3, 2, 5]),
        (7, [1 / 3] * 3, [3, 2, 2]),
        (5, [1.0, 0.0], [5, 0]),
        (11, (0.7, 0.2, 0.1), [8, 2, 1]),
        (4, [np.int32(4)], [4]),
        (0, [], []),
    ],
)
def test_a_split_is_a_partition(size, lengths, counts):
    parts = random_split(range(size), lengths, seed=3)
    assert isinstance(parts, tuple)
    assert [len(part) for part in parts] == counts
    assert sorted(i for part in parts for i in part) == list(range(size))


def test_a_split_is_random_and_repeatable():
    def split(seed=None):
        return [part.indices for part in random_split(Doubles(50), [0.5, 0.5], seed)]

    lucid.random.seed(8)
    first = split()
    assert sorted(first[0]) != first[0]
    assert split() != first
    lucid.random.seed(8)
    assert split() == first
    position = lucid.random.default_generator().state.tolist()
    assert split(8) == split(8) == first
    assert split(9) != first
    assert lucid.random.default_generator().state.tolist() == position


@pytest.mark.parametrize(
    ("lengths", "text"),
    [
        ([7, 2], "the lengths [7, 2] sum to 9, and the dataset has 10 samples."),
        ([11, -1], "lengths must be at least 0, got [11, -1]."),
        ([1.5, -0.5], "lengths must be at least 0, got [1.5, -0.5]."),
        ([float("nan"), 1.0], "lengths must be at least 0, got [nan, 1.0]."),
        (
            [0.5, 0.4],
            "fractions must sum to 1, and [0.5, 0.4] sum to 0.9. "
            "Numbers of samples must all be integers.",
        ),
        (
            [7.0, 3.0],
            "fractions must sum to 1, and [7.0, 3.0] sum to 10. "
            "Numbers of samples must all be integers.",
        ),
    ],
)
def test_a_split_refuses(lengths, text):
    with pytest.raises(ValueError, match=error(f"random_split: {text}")):
        random_split(Doubles(10), lengths)
