"""lucid.data against torch.utils.data: the sizes of splits, and what a batch looks like."""

from collections import namedtuple

import numpy as np
import pytest

import lucid
from lucid import data

torch = pytest.importorskip("torch")
torch_data = pytest.importorskip("torch.utils.data")

RNG = np.random.default_rng(0)
Pair = namedtuple("Pair", "image label")


@pytest.mark.parametrize("size", [1, 7, 10, 97, 1000])
@pytest.mark.filterwarnings("ignore:Length of split")  # torch's, for an empty part
def test_fractions_give_parts_of_the_same_sizes(size):
    for parts in (1, 2, 3, 5):
        shares = RNG.dirichlet(np.ones(parts))
        shares[-1] = 1 - shares[:-1].sum()  # torch takes no sum above 1
        ours = data.random_split(range(size), shares.tolist(), seed=0)
        theirs = torch_data.random_split(range(size), shares.tolist())
        assert [len(part) for part in ours] == [len(part) for part in theirs]


def test_integers_are_numbers_of_samples():
    ours = data.random_split(range(9), [2, 3, 4])
    theirs = torch_data.random_split(range(9), [2, 3, 4])
    assert [len(part) for part in ours] == [len(part) for part in theirs]


def samples():
    for i in range(7):
        image = RNG.standard_normal((2, 3)).astype("f")
        yield {"pair": Pair(image, i), "rest": [float(i), (image[0], f"name{i}")]}


def assert_same(ours, theirs):
    if isinstance(ours, lucid.Tensor):
        assert ours.shape == tuple(theirs.shape)
        # Integers have 64 bits in torch; floats of Python have them there too.
        assert ours.dtype.kind == theirs.numpy().dtype.kind
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy().astype(ours.dtype))
    elif isinstance(ours, dict):
        assert list(ours) == list(theirs)
        for key in ours:
            assert_same(ours[key], theirs[key])
    elif isinstance(ours, (tuple, list)):
        assert hasattr(ours, "_fields") == hasattr(theirs, "_fields")
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b)
    else:
        assert ours == theirs


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 7, 10])
def test_loaders_give_the_same_batches(batch_size, drop_last):
    made = list(samples())
    ours = data.DataLoader(made, batch_size, drop_last=drop_last)
    theirs = torch_data.DataLoader(made, batch_size, drop_last=drop_last)
    assert len(ours) == len(theirs)
    batches = list(ours)
    assert len(batches) == len(ours)
    for a, b in zip(batches, theirs, strict=True):
        assert_same(a, b)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("size", "replicas"), [(11, 3), (12, 4), (3, 5), (7, 1)])
def test_shares_of_processes(size, replicas, drop_last):
    for rank in range(replicas):
        options = {"rank": rank, "shuffle": False, "drop_last": drop_last}
        ours = data.DistributedSampler(range(size), replicas, **options)
        theirs = torch_data.DistributedSampler(range(size), replicas, **options)
        assert (len(ours), list(ours)) == (len(theirs), list(theirs))


@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_of_samplers(drop_last):
    ours = data.BatchSampler(data.SequentialSampler(range(7)), 3, drop_last)
    theirs = torch_data.BatchSampler(torch_data.SequentialSampler(range(7)), 3, drop_last)
    assert (len(ours), list(ours)) == (len(theirs), list(theirs))
    ours = data.DataLoader(range(7), batch_sampler=ours)
    theirs = torch_data.DataLoader(range(7), batch_sampler=theirs)
    assert [b.tolist() for b in ours] == [b.tolist() for b in theirs]
