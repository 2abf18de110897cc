"""Recurrent layers, cells and packed sequences against PyTorch's, to second derivatives."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn.utils import rnn
from tests.helpers import check_torch, same, spaced

torch = pytest.importorskip("torch")
# It says which of its implementations it takes.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")

DEEP = {"num_layers": 2, "bidirectional": True, "batch_first": True}
# Name, options, and the first state: zeros, given, or given for one sequence without a batch.
LAYERS: list[tuple[str, dict[str, Any], str]] = [
    ("RNN", {}, "given"),
    ("RNN", {"nonlinearity": "relu", "bidirectional": True}, "zeros"),
    ("LSTM", {}, "zeros"),
    ("LSTM", {"bias": False, "bidirectional": True}, "unbatched"),
    ("LSTM", {"proj_size": 2, **DEEP}, "given"),
    ("GRU", {"num_layers": 2, "bias": False}, "unbatched"),
]
PACKED: list[tuple[str, dict[str, Any], list[int]]] = [
    ("RNN", {"nonlinearity": "relu"}, [4, 3, 1]),
    ("LSTM", {"bidirectional": True}, [2, 4, 1]),
    ("GRU", DEEP, [2, 4, 1]),
    ("GRU", {}, [3, 3, 3]),
]
CELLS: list[tuple[str, dict[str, Any], bool]] = [  # the last: whether there is a batch
    ("RNNCell", {}, True),
    ("RNNCell", {"nonlinearity": "relu", "bias": False}, False),
    ("LSTMCell", {}, False),
    ("LSTMCell", {"bias": False}, True),
    ("GRUCell", {}, True),
    ("GRUCell", {"bias": False}, False),
]
T, N, D, H = 4, 3, 2, 3


def name_of(value: Any) -> str:
    return "-".join(value) or "plain" if isinstance(value, dict) else str(value)


def pair(name: str, options: dict[str, Any]) -> tuple[nn.Module, Any]:
    """One layer in both libraries, with one state, in float64; after the call x64 must be on."""
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(D, H, **options).double()
    ours = getattr(nn, name)(D, H, **options).to("float64")
    expected = [(key, tuple(value.shape)) for key, value in theirs.state_dict().items()]
    assert [(key, value.shape) for key, value in ours.state_dict().items()] == expected
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def functional(module: Any, wrap: Any = lambda *xs: xs) -> Any:
    """A module as a function of its parameters and inputs, in either library."""
    names = [name for name, _ in module.named_parameters()]

    def run(*values: Any) -> tuple[Any, ...]:
        parameters = dict(zip(names, values, strict=False))
        args = wrap(*values[len(names) :])
        if isinstance(module, nn.Module):
            return flat(lucid.func.functional_call(module, parameters, *args))
        return flat(torch.func.functional_call(module, parameters, args))

    return run


def flat(outputs: Any) -> tuple[Any, ...]:
    if isinstance(outputs, (rnn.PackedSequence, torch.nn.utils.rnn.PackedSequence)):
        return (outputs.data,)
    if isinstance(outputs, (tuple, list)):
        return tuple(y for part in outputs for y in flat(part))
    return (outputs,)


def values(module: Any) -> list[np.ndarray]:
    return [parameter.numpy() for parameter in module.parameters()]


def states(name: str, options: dict[str, Any], *batch: int) -> list[np.ndarray]:
    n = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    sizes = [options.get("proj_size") or H, H][: 1 + (name == "LSTM")]
    return [spaced(n, *batch, size, seed=3 + size) for size in sizes]


def with_state(x: Any, *hx: Any) -> tuple[Any, ...]:
    return (x, hx) if len(hx) > 1 else (x, *hx)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options", "start"), LAYERS, ids=name_of)
def test_layers(name, options, start):
    shape = (N, T, D) if options.get("batch_first") else (T, N, D)
    batch = (N,)
    if start == "unbatched":
        shape, batch = (T, D), ()
    given = [] if start == "zeros" else states(name, options, *batch)
    with jax.enable_x64(True):
        ours, theirs = pair(name, options)
        fns = (functional(ours, with_state), functional(theirs, with_state))
        check_torch(*fns, *values(ours), spaced(*shape), *given, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options", "lengths"), PACKED, ids=name_of)
def test_packed_sequences(name, options, lengths):
    first = options.get("batch_first", False)
    is_sorted = lengths == sorted(lengths, reverse=True)

    def packs(library: Any) -> Any:
        def wrap(x: Any, *hx: Any) -> tuple[Any, ...]:
            packed = library.pack_padded_sequence(x, lengths, first, is_sorted)
            return with_state(packed, *hx)

        return wrap

    with jax.enable_x64(True):
        ours, theirs = pair(name, options)
        x = spaced(*((N, T, D) if first else (T, N, D)))
        fns = functional(ours, packs(rnn)), functional(theirs, packs(torch.nn.utils.rnn))
        check_torch(*fns, *values(ours), x, *states(name, options, N), rtol=1e-9)


@pytest.mark.parametrize(("name", "options", "batched"), CELLS, ids=name_of)
def test_cells(name, options, batched):
    batch = (N,) if batched else ()
    given = [spaced(*batch, H, seed=i) for i in range(1 + (name == "LSTMCell"))]
    with jax.enable_x64(True):
        ours, theirs = pair(name, options)
        fns = (functional(ours, with_state), functional(theirs, with_state))
        for inputs in ([spaced(*batch, D)], [spaced(*batch, D), *given]):
            check_torch(*fns, *values(ours), *inputs, rtol=1e-9)


def test_dropout_acts_between_layers_alone():
    options = {"num_layers": 3, "dropout": 1.0}
    with jax.enable_x64(True):
        ours, theirs = pair("LSTM", options)
        x = spaced(T, N, D)
        for training in (True, False):
            outputs = flat(ours.train(training)(Tensor(x)))
            expected = flat(theirs.train(training)(torch.tensor(x)))
            for a, b in zip(outputs, expected, strict=True):
                same(a.numpy(), b.detach().numpy(), rtol=1e-10)


# --- Sequences --------------------------------------------------------------------------------

SEQUENCES = [spaced(n, 2, seed=n) for n in (2, 4, 1, 4)]


def both() -> tuple[list[Tensor], list[Any]]:
    return [Tensor(s) for s in SEQUENCES], [torch.tensor(s) for s in SEQUENCES]


def assert_packed_alike(ours: rnn.PackedSequence, theirs: Any) -> None:
    for name in ("data", "batch_sizes", "sorted_indices", "unsorted_indices"):
        a, b = getattr(ours, name), getattr(theirs, name)
        assert (a is None) == (b is None), name
        if a is not None:
            np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=name)


@pytest.mark.parametrize("first", [False, True])
def test_padding_and_packing(first):
    with jax.enable_x64(True):
        ours, theirs = both()
        lib = torch.nn.utils.rnn
        padded, expected = rnn.pad_sequence(ours, first, -1), lib.pad_sequence(theirs, first, -1)
        same(padded.numpy(), expected.numpy(), rtol=0)
        for lengths in ([2, 4, 1, 4], [3, 1, 2, 2], [1, 1, 1, 1]):
            a = rnn.pack_padded_sequence(padded, lengths, first, enforce_sorted=False)
            b = lib.pack_padded_sequence(expected, lengths, first, enforce_sorted=False)
            assert_packed_alike(a, b)
            again = rnn.PackedSequence(a.data, a.batch_sizes, a.sorted_indices, a.unsorted_indices)
            assert_packed_alike(again, b)
            assert_packed_alike(rnn.PackedSequence(a.data, a.batch_sizes, a.sorted_indices), b)
            rows = rnn.PackedSequence(a.data, a.batch_sizes)
            assert_packed_alike(rows, lib.PackedSequence(b.data, b.batch_sizes))
            for options in ({}, {"padding_value": 7.0}, {"total_length": 6}):
                found = rnn.pad_packed_sequence(a, first, **options)
                wanted = lib.pad_packed_sequence(b, first, **options)
                same(found[0].numpy(), wanted[0].numpy(), rtol=0)
                np.testing.assert_array_equal(found[1].numpy(), wanted[1].numpy())
            for x, y in zip(rnn.unpack_sequence(a), lib.unpack_sequence(b), strict=True):
                same(x.numpy(), y.numpy(), rtol=0)
            # A copy, whose axes torch exchanges.
            parts = lib.unpad_sequence(expected.clone(), torch.tensor(lengths), first)
            for x, y in zip(rnn.unpad_sequence(padded, lengths, first), parts, strict=True):
                same(x.numpy(), y.numpy(), rtol=0)
        packed = lib.pack_sequence(theirs, enforce_sorted=False)
        assert_packed_alike(rnn.pack_sequence(ours, enforce_sorted=False), packed)
        order = [1, 3, 0, 2]
        assert_packed_alike(
            rnn.pack_sequence([ours[i] for i in order]),
            lib.pack_sequence([theirs[i] for i in order]),
        )


def test_gradients_of_packing():
    def chain(library: Any) -> Any:
        def run(*sequences: Any) -> Any:
            packed = library.pack_sequence([s * s for s in sequences], enforce_sorted=False)
            data = packed.data.tanh()
            again = library.PackedSequence(
                data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices
            )
            padded, _ = library.pad_packed_sequence(again, batch_first=True, padding_value=3)
            return padded.tanh(), *library.unpack_sequence(again)

        return run

    check_torch(chain(rnn), chain(torch.nn.utils.rnn), *SEQUENCES)


def test_a_checkpoint_goes_both_ways():
    options = {"num_layers": 2, "bidirectional": True, "proj_size": 2}
    ours, theirs = nn.LSTM(D, H, **options), torch.nn.LSTM(D, H, **options)
    state = {name: torch.tensor(value.numpy()) for name, value in ours.state_dict().items()}
    theirs.load_state_dict(state)
    x = spaced(T, N, D).astype(np.float32)
    found, expected = flat(ours(Tensor(x))), flat(theirs(torch.tensor(x)))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=2e-5, atol=1e-6)
