"""The state of a DataLoader: what was received, and the order of all that is to come."""

import itertools

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.data import DataLoader
from lucid.random import Generator

SIZE, BATCH = 11, 3  # four batches, the last one short


def made(shuffle=True, seed=5, **options):
    generator = None if seed is None else Generator(seed)
    return DataLoader(list(range(SIZE)), BATCH, shuffle, generator=generator, **options)


def epoch(loader):
    return [batch.tolist() for batch in loader]


def loaded(state):
    """What the state holds, with the Tensors as lists, to compare it."""
    if isinstance(state, dict):
        return {key: loaded(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, Tensor) else state


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("prefetch", [0, 2, 10])
@pytest.mark.parametrize("received", range(5))
def test_the_next_batch_follows(received, prefetch, shuffle, suffix, tmp_path):
    first = made(shuffle, prefetch=prefetch)
    epoch(first)
    batches = iter(first)
    head = [next(batches).tolist() for _ in range(received)]
    path = lucid.save(first.state_dict(), tmp_path / f"loader{suffix}")
    tail = [batch.tolist() for batch in batches]
    following = [epoch(first), epoch(first)]
    assert sorted(itertools.chain(*head, *tail)) == list(range(SIZE))
    for seed in (5, 77):
        second = made(shuffle, seed, prefetch=2 - prefetch if prefetch < 3 else 0)
        second.load_state_dict(lucid.load(path))
        assert epoch(second) == tail
        assert [epoch(second), epoch(second)] == following


def test_the_state_after_an_epoch_begins_the_next():
    first, second = made(), made(seed=6)
    assert first.state_dict()["position"] is None
    epoch(first)
    state = first.state_dict()
    assert (state["position"], state["epoch_start"]) == (None, None)
    second.load_state_dict(state)
    assert epoch(second) == epoch(first)


def test_between_the_last_batch_and_the_end_an_empty_epoch_is_left():
    first, second = made(), made(seed=6)
    batches = iter(first)
    for _ in range(4):
        next(batches)
    assert first.state_dict()["position"] == 4
    second.load_state_dict(first.state_dict())
    assert epoch(second) == []
    assert second.state_dict()["position"] is None
    assert epoch(second) == epoch(first)


def test_batches_made_ahead_do_not_count():
    loader = made(prefetch=10)
    batches = iter(loader)
    assert loader.state_dict()["position"] == 0
    next(batches)
    assert loader.state_dict()["position"] == 1


def test_a_loaded_state_can_be_saved_again_before_it_is_used():
    first, second, third = made(), made(seed=6), made(seed=7)
    batches = iter(first)
    next(batches)
    second.load_state_dict(first.state_dict())
    assert loaded(second.state_dict()) == loaded(first.state_dict())
    third.load_state_dict(second.state_dict())
    assert epoch(third) == [batch.tolist() for batch in batches]


def test_a_state_keeps_its_values():
    loader = made()
    batches = iter(loader)
    next(batches)
    state = loader.state_dict()
    before = loaded(state)
    list(batches)
    epoch(loader)
    assert loaded(state) == before


def test_leaving_a_loop_leaves_the_epoch():
    first, second = made(), made()
    next(iter(first))
    epoch(second)
    assert epoch(first) == epoch(second)


def test_loading_goes_back():
    loader = made()
    next(loader)
    state = loader.state_dict()
    rest = [next(loader).tolist() for _ in range(2)]
    loader.load_state_dict(state)
    assert [next(loader).tolist() for _ in range(2)] == rest


def test_the_default_generator_goes_with_it():
    lucid.random.seed(3)
    loader = made(seed=None)
    batches = iter(loader)
    next(batches)
    lucid.randn(2)
    state = loader.state_dict()
    tail, noise = [b.tolist() for b in batches], lucid.randn(2).tolist()
    lucid.random.seed(99)
    again = made(seed=None)
    again.load_state_dict(state)
    assert lucid.random.get_seed() == 3
    assert epoch(again) == tail
    assert lucid.randn(2).tolist() == noise
    again.load_state_dict(state)
    assert epoch(again) == tail


def test_a_loader_in_order_leaves_generators_alone():
    state = made(shuffle=False).state_dict()
    assert (state["generator"], state["epoch_start"]) == (None, None)
    loader = made(shuffle=False)
    before = loader.generator.state.tolist()
    loader.load_state_dict(state)
    assert loader.generator.state.tolist() == before


# --- Refusals ---------------------------------------------------------------------------------


def refused(loader, state):
    """The lines of the error; everything must be as it was."""
    before = loaded(loader.state_dict())
    with pytest.raises(ValueError) as caught:
        loader.load_state_dict(state)
    head, *lines = str(caught.value).split("\n  ")
    assert head == (
        "load_state_dict: the state does not fit this DataLoader, and nothing was changed."
    )
    assert loaded(loader.state_dict()) == before
    return lines


def test_another_loaders_state_is_refused_with_all_that_differs():
    state = DataLoader(list(range(7)), 2, drop_last=True).state_dict()
    assert refused(made(), state) == [
        "samples: 7 instead of 11",
        "batch_size: 2 instead of 3",
        "shuffle: False instead of True",
        "drop_last: True instead of False",
        "generator: a dictionary is needed, got NoneType",
    ]


def test_a_damaged_state_is_refused_with_all_its_faults():
    loader = made()
    batches = iter(loader)
    next(batches)
    state = loader.state_dict()
    del state["samples"]
    state |= {"extra": 1, "position": 5}
    state["generator"] = {"state": np.zeros(3, np.uint32), "initial_seed": -1}
    state["epoch_start"] = {"state": Tensor([1, 2])}
    assert sorted(refused(loader, state)) == sorted(
        [
            "missing: samples",
            "unexpected: extra",
            "position: 5 is no number of batches up to 4",
            "generator: state: two words of uint32 are needed, got uint32 of shape (3,)",
            "generator: initial_seed: an integer from 0 to 2**64 - 1 is needed, got -1",
            "epoch_start: missing: initial_seed",
            "epoch_start: state: two words of uint32 are needed, got int32 of shape (2,)",
        ]
    )
    assert len(list(batches)) == 3


@pytest.mark.parametrize("position", [-1, 5, 1.0, "1"])
def test_positions_that_cannot_be(position):
    state = made(shuffle=False).state_dict() | {"position": position}
    assert refused(made(shuffle=False), state) == [
        f"position: {position!r} is no number of batches up to 4"
    ]


def test_what_is_no_state():
    assert refused(made(), [1]) == ["a dictionary is needed, got list"]
