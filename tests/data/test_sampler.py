"""Samplers: which numbers, how often, and the loader that follows them from a saved place."""

from __future__ import annotations

import itertools
import math
import pickle
import re

import jax
import numpy as np
import pytest

import lucid
from lucid import data
from lucid.data import DataLoader, IterableDataset
from lucid.random import Generator

SIZE = 11
WEIGHTS = [0.5, 0.0, 3.0, 1.0, 0.0, 2.0, 0.25, 0.0, 1.0, 1.0, 4.0]
MAKE = {
    "SequentialSampler": lambda: data.SequentialSampler(range(SIZE)),
    "RandomSampler": lambda: data.RandomSampler(range(SIZE), generator=Generator(5)),
    "RandomSampler, replacement": lambda: data.RandomSampler(
        range(SIZE), True, 17, generator=Generator(5)
    ),
    "RandomSampler, many": lambda: data.RandomSampler(range(SIZE), False, 30, Generator(5)),
    "SubsetRandomSampler": lambda: data.SubsetRandomSampler([9, 2, 4, 4, 0], Generator(5)),
    "WeightedRandomSampler": lambda: data.WeightedRandomSampler(
        WEIGHTS, 20, generator=Generator(5)
    ),
    "WeightedRandomSampler, once": lambda: data.WeightedRandomSampler(
        WEIGHTS, 6, False, Generator(5)
    ),
    "DistributedSampler": lambda: data.DistributedSampler(range(SIZE), 3, 1),
}


def numbers(batches):
    return [batch.tolist() for batch in batches]


@pytest.mark.parametrize("name", MAKE)
class TestEvery:
    def test_length_and_range(self, name):
        sampler = MAKE[name]()
        order = list(sampler)
        assert len(order) == len(sampler)
        assert all(type(i) is int and 0 <= i < SIZE for i in order)
        assert repr(sampler) == f"{name.split(',')[0]}({len(order)} samples)"

    def test_seeds_repeat_the_orders(self, name):
        first, second = MAKE[name](), pickle.loads(pickle.dumps(MAKE[name]()))
        orders = [list(first) for _ in range(3)]
        assert [list(second) for _ in range(3)] == orders
        fixed = name.startswith(("Sequential", "Distributed"))
        assert (orders[0] == orders[1] == orders[2]) == fixed

    def test_the_loader_follows_it(self, name):
        order, sampler = list(MAKE[name]()), MAKE[name]()
        loader = DataLoader(list(range(SIZE)), 4, sampler=sampler)
        pieces = [order[i : i + 4] for i in range(0, len(order), 4)]
        assert len(loader) == len(pieces)
        assert numbers(loader) == pieces
        text = f"DataLoader(11 samples, batch_size=4, sampler={sampler!r}, drop_last=False)"
        assert repr(loader) == text

    @pytest.mark.parametrize("batched", [False, True])
    @pytest.mark.parametrize("received", [0, 1, 2])
    def test_a_loaders_state_goes_on_with_the_next_batch(self, name, received, batched, tmp_path):
        def made():
            if batched:
                sampler = data.BatchSampler(MAKE[name](), 3, drop_last=True)
                return DataLoader(list(range(SIZE)), batch_sampler=sampler)
            return DataLoader(list(range(SIZE)), 3, sampler=MAKE[name](), drop_last=True)

        first = made()
        if isinstance(first.sampler, data.DistributedSampler):
            first.sampler.set_epoch(4)
        numbers(first)
        batches = iter(first)
        for _ in range(min(received, len(first))):
            next(batches)
        path = lucid.save(first.state_dict(), tmp_path / "loader.npz")
        rest, following = numbers(batches), numbers(first)
        second = made()
        second.load_state_dict(lucid.load(path))
        assert numbers(second) == rest
        assert numbers(second) == following


# --- What is drawn ----------------------------------------------------------------------------


def test_random_orders():
    assert sorted(data.RandomSampler(range(SIZE))) == list(range(SIZE))
    many = list(data.RandomSampler(range(4), num_samples=10))
    assert sorted(many[:4]) == sorted(many[4:8]) == list(range(4)) and len(set(many[8:])) == 2
    drawn = np.array(list(data.RandomSampler(range(4), True, 4000, Generator(1))))
    assert np.abs(np.bincount(drawn) - 1000).max() < 5 * math.sqrt(4000 * 3 / 16)
    assert list(data.RandomSampler([])) == []
    assert sorted(data.SubsetRandomSampler([9, 2, 4])) == [2, 4, 9]


@pytest.mark.parametrize("x64", [False, True])
def test_weights_are_the_probabilities(x64):
    n = 20000
    with jax.enable_x64(x64):
        sampler = data.WeightedRandomSampler(WEIGHTS, n, generator=Generator(2))
        counts = np.bincount(list(sampler), minlength=SIZE)
    expected = n * np.array(WEIGHTS) / sum(WEIGHTS)
    assert (np.abs(counts - expected) <= 5 * np.sqrt(expected)).all()
    assert not counts[expected == 0].any()


def test_small_shares_of_many_weights_are_drawn_evenly():
    """A float32 has 24 bits: of 3 million shares some would be drawn twice as often."""
    n = 3_000_000
    counts = np.bincount(list(data.WeightedRandomSampler(np.ones(n), n, generator=Generator(3))))
    assert len(counts) <= n
    never = (counts == 0).sum() + n - len(counts)
    assert abs(never - n / math.e) < 5 * math.sqrt(n)


def test_without_replacement_each_comes_once_and_heavy_ones_first():
    weights, n = np.array([1.0, 3.0, 0.0, 6.0]), 3000
    generator = Generator(4)
    orders = np.array([
        list(data.WeightedRandomSampler(weights, 3, False, generator)) for _ in range(n)
    ])  # fmt: skip
    assert (np.sort(orders, 1) == [0, 1, 3]).all()
    for first, second in itertools.permutations((0, 1, 3), 2):
        share = weights[first] / 10 * weights[second] / (10 - weights[first])
        found = ((orders[:, 0] == first) & (orders[:, 1] == second)).mean()
        assert abs(found - share) < 5 * math.sqrt(share * (1 - share) / n)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("size", "replicas"), [(11, 3), (12, 4), (2, 5), (0, 2), (7, 1)])
def test_distributed_shares(size, replicas, shuffle, drop_last):
    samplers = [
        data.DistributedSampler(range(size), replicas, rank, shuffle, seed=6, drop_last=drop_last)
        for rank in range(replicas)
    ]
    orders = []
    for epoch in (0, 1):
        for sampler in samplers:
            sampler.set_epoch(epoch)
        shares = [list(sampler) for sampler in samplers]
        per_share = size // replicas if drop_last else math.ceil(size / replicas)
        assert {len(share) for share in shares} == {per_share} == {len(samplers[0])}
        whole = list(itertools.chain(*itertools.zip_longest(*shares)))
        if drop_last:
            assert len(set(whole)) == len(whole)
        else:
            assert sorted(whole[:size]) == list(range(size))
            assert whole[size:] == [whole[i % size] for i in range(len(whole) - size)]
        orders.append(whole)
    assert orders[0] == orders[1] or (shuffle and size > 1)
    assert orders[0] != orders[1] or not shuffle or size < 7  # which has 5040 orders


# --- Other samplers and streams ---------------------------------------------------------------


@pytest.mark.parametrize("prefetch", [0, 2])
def test_any_iterable_is_a_sampler_and_any_iterable_of_lists_makes_batches(prefetch):
    numbers_of = range(SIZE)
    loader = DataLoader(numbers_of, 2, sampler=[4, 4, 0], prefetch=prefetch)
    assert (len(loader), numbers(loader), numbers(loader)) == (2, [[4, 4], [0]], [[4, 4], [0]])
    loader = DataLoader(numbers_of, batch_sampler=[(1, 2), (), (3,)][::2], prefetch=prefetch)
    assert (len(loader), numbers(loader)) == (2, [[1, 2], [3]])
    endless = DataLoader(numbers_of, 2, sampler=itertools.count(), prefetch=prefetch)
    batches = iter(endless)
    assert numbers(next(batches) for _ in range(2)) == [[0, 1], [2, 3]]
    with pytest.raises(TypeError, match="has no len"):
        len(endless)


class Stream(IterableDataset):
    def __init__(self, size):
        self.size = size

    def __iter__(self):
        for i in range(self.size):
            if i == 5:
                raise KeyError("number 5")
            yield i


@pytest.mark.parametrize("prefetch", [0, 2, 9])
def test_a_stream(prefetch):
    assert numbers(DataLoader(Stream(5), 2, prefetch=prefetch)) == [[0, 1], [2, 3], [4]]
    loader = DataLoader(Stream(5), 2, drop_last=True, prefetch=prefetch)
    assert numbers(loader) == numbers(loader) == [[0, 1], [2, 3]]
    assert list(DataLoader(Stream(3), 2, collate_fn=sum, prefetch=prefetch)) == [1, 2]
    assert numbers(DataLoader(Stream(0), prefetch=prefetch)) == []
    batches = iter(DataLoader(Stream(9), 2, prefetch=prefetch))
    assert numbers([next(batches), next(batches)]) == [[0, 1], [2, 3]]
    with pytest.raises(KeyError, match="number 5") as caught:
        next(batches)
    note = "DataLoader: this happened where batch 2 of the stream was made."
    assert caught.value.__notes__ == [note]
    assert repr(loader) == "DataLoader(a stream, batch_size=2, shuffle=False, drop_last=True)"
    with pytest.raises(TypeError, match="has no len"):
        len(loader)


# --- Refusals ---------------------------------------------------------------------------------

NO_STATE = "DataLoader: there is no state to save or load, since {}. Count the batches"
ERRORS = {
    "two orders": (
        lambda: DataLoader([1], shuffle=True, sampler=[0]), ValueError,
        "DataLoader: a sampler is the order; leave out shuffle.",
    ),
    "two sizes": (
        lambda: DataLoader([1], 2, batch_sampler=[[0]]), ValueError,
        "DataLoader: a batch_sampler makes the batches; leave out batch_size, shuffle, sampler",
    ),
    "a shuffled stream": (
        lambda: DataLoader(Stream(3), shuffle=True), ValueError,
        "DataLoader: an IterableDataset comes in its own order; leave out shuffle, sampler and",
    ),
    "state of a stream": (
        lambda: DataLoader(Stream(3)).state_dict(), TypeError,
        NO_STATE.format("the samples of an IterableDataset come in its own order"),
    ),
    "state of a list": (
        lambda: DataLoader([1], sampler=[0]).load_state_dict({}), TypeError,
        NO_STATE.format("list is none of lucid's samplers"),
    ),
    "state of a batch sampler": (
        lambda: DataLoader([1], batch_sampler=[[0]]).state_dict(), TypeError,
        NO_STATE.format("list is none of lucid's samplers"),
    ),
    "num_samples": (
        lambda: data.RandomSampler([1], num_samples=0), ValueError,
        "RandomSampler: num_samples must be at least 1, got 0.",
    ),
    "weights": (
        lambda: data.WeightedRandomSampler([1.0, -1.0], 1), ValueError,
        "WeightedRandomSampler: one weight for each sample is needed, finite, at least 0 and not "
        "all 0, got [1.0, -1.0].",
    ),
    "too few weights": (
        lambda: data.WeightedRandomSampler([1.0, 0.0], 2, replacement=False), ValueError,
        "WeightedRandomSampler: without replacement 2 samples cannot be drawn from 1 with a weight",
    ),
    "rank": (
        lambda: data.DistributedSampler([1], 2, 2), ValueError,
        "DistributedSampler: rank must be from 0 to 1, got 2.",
    ),
    "batch_size": (
        lambda: data.BatchSampler([1], 0, False), ValueError,
        "BatchSampler: batch_size must be at least 1, got 0.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS.values(), ids=ERRORS)
def test_refusals(case):
    call, error, text = case
    with pytest.raises(error, match=f"^{re.escape(text)}"):
        call()


def test_the_state_of_another_sampler_is_refused():
    state = DataLoader(list(range(SIZE)), sampler=MAKE["RandomSampler"]()).state_dict()
    loader = DataLoader(list(range(SIZE)), sampler=MAKE["DistributedSampler"]())
    with pytest.raises(ValueError) as caught:
        loader.load_state_dict(state)
    lines = str(caught.value).split("\n  ")[1:]
    assert lines[0] == (
        "sampler: 'RandomSampler(11 samples)' instead of 'DistributedSampler(4 samples)'"
    )
    assert lines[1].startswith("generator: the number of an epoch is needed, got {'state'")
    plain = DataLoader(list(range(SIZE)))
    with pytest.raises(ValueError, match="unexpected: sampler"):
        plain.load_state_dict(state)


def test_the_order_of_another_seed_is_refused():
    def sampler(seed):
        return data.DistributedSampler(range(SIZE), 3, 1, seed=seed)

    state = DataLoader(list(range(SIZE)), sampler=sampler(1)).state_dict()
    DataLoader(list(range(SIZE)), sampler=sampler(1)).load_state_dict(state)
    with pytest.raises(ValueError, match="its seed is 1, and 2 here"):
        DataLoader(list(range(SIZE)), sampler=sampler(2)).load_state_dict(state)
