"""Recurrent layers: their state, lucid.jit, packed sequences, and what they refuse."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest

import lucid
from lucid import JitError, Tensor, nn
from lucid.nn.utils import rnn
from tests.helpers import count_compiles, spaced

T, N, D, H = 5, 3, 2, 4
LENGTHS = [2, 5, 3]


def x_of(*shape: int, seed: int = 0) -> Tensor:
    return Tensor(spaced(*shape, seed=seed).astype(np.float32))


def equal(a: Tensor, b: Tensor) -> None:
    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-5, atol=2e-6)


# --- Layers are what they are made of ---------------------------------------------------------


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_a_layer_is_its_cell_step_by_step(name):
    layer, cell = getattr(nn, name)(D, H), getattr(nn, f"{name}Cell")(D, H)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
    x = x_of(T, N, D)
    output, last = layer(x)
    state = None
    for t in range(T):
        state = cell(x[t], state)
        equal(state[0] if name == "LSTM" else state, output[t])
    if name == "LSTM":
        for part, expected in zip(state, last, strict=True):
            equal(part, expected[0])
    else:
        equal(state, last[0])


def test_directions_and_layers_are_layers():
    deep = nn.GRU(D, H, num_layers=2, bidirectional=True)
    x, start = x_of(T, N, D), x_of(4, N, H, seed=1)
    output, last = deep(x, start)
    for layer in range(2):
        found = []
        for direction, suffix in enumerate(("", "_reverse")):
            single = nn.GRU(x.shape[-1], H)
            single.load_state_dict(
                {
                    f"{kind}_l0": deep.state_dict()[f"{kind}_l{layer}{suffix}"]
                    for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                }
            )
            at = 2 * layer + direction
            given = x if not direction else x[::-1]
            y, h = single(given, start[at : at + 1])
            equal(h[0], last[at])
            found.append(y if not direction else y[::-1])
        x = lucid.concatenate(found, -1)
    equal(x, output)


def test_a_mode_is_the_layer_of_that_name():
    x = x_of(T, N, D)
    modes = {
        "RNN_TANH": nn.RNN(D, H), "RNN_RELU": nn.RNN(D, H, nonlinearity="relu"),
        "LSTM": nn.LSTM(D, H), "GRU": nn.GRU(D, H),
    }  # fmt: skip
    for mode, layer in modes.items():
        assert layer.mode == mode
        base = nn.RNNBase(mode, D, H)
        base.load_state_dict(layer.state_dict())
        equal(base(x)[0], layer(x)[0])


def test_weights_start_within_their_bound_and_are_drawn_anew():
    lucid.random.seed(0)
    for module in (nn.LSTM(3, 16, num_layers=2, proj_size=5), nn.GRUCell(3, 16)):
        before = {name: p.numpy() for name, p in module.named_parameters()}
        module.reset_parameters()
        for name, parameter in module.named_parameters():
            values = parameter.numpy()
            assert 0.2 < np.abs(values).max() <= 0.25  # 1 / sqrt(16)
            assert not np.array_equal(values, before[name])


def test_a_weight_may_be_computed_from_others():
    layer = nn.LSTM(D, H)
    x = x_of(T, N, D)
    expected, _ = layer(x)
    nn.utils.weight_norm(layer, "weight_hh_l0")
    output, _ = layer(x)
    equal(output, expected)
    output.sum().backward()
    assert layer.weight_hh_l0_g.grad is not None


def test_dropout_is_between_layers_and_in_training_alone():
    layer = nn.GRU(D, H, num_layers=2, dropout=0.5)
    x = x_of(T, N, D)
    lucid.random.seed(0)
    first, second = layer(x)[0].numpy(), layer(x)[0].numpy()
    assert not np.array_equal(first, second)
    layer.eval()
    np.testing.assert_array_equal(layer(x)[0].numpy(), layer(x)[0].numpy())
    single = nn.GRU(D, H, dropout=0.5)
    equal(single(x)[0], single(x)[0])  # no layer follows another one


def test_they_show_what_is_not_usual():
    assert repr(nn.GRU(D, H)) == "GRU(2, 4)"
    layer = nn.LSTM(D, H, 2, False, True, 0.5, True, 3)
    assert repr(layer) == (
        "LSTM(2, 4, num_layers=2, bias=False, batch_first=True, dropout=0.5, bidirectional=True, "
        "proj_size=3)"
    )
    assert repr(nn.RNN(D, H, nonlinearity="relu")) == "RNN(2, 4, nonlinearity='relu')"
    assert repr(nn.RNNCell(D, H, False)) == "RNNCell(2, 4, bias=False, nonlinearity='tanh')"


def test_a_packed_sequence_is_pickled_and_its_gradient_leaves_a_compiled_function():
    layer = nn.GRU(D, H)
    packed = rnn.pack_sequence([x_of(n, D) for n in LENGTHS], enforce_sorted=False)
    again = pickle.loads(pickle.dumps(packed))
    np.testing.assert_array_equal(again.data.numpy(), packed.data.numpy())
    gradients = []
    for call in (layer, lucid.jit(layer)):
        layer.zero_grad()
        call(again)[0].data.sum().backward()
        gradients.append(layer.weight_hh_l0.grad)
    equal(*gradients)


# --- lucid.jit --------------------------------------------------------------------------------


class Model(nn.Module):
    """A language model of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, D)
        self.lstm = nn.LSTM(D, H, num_layers=2, batch_first=True)
        self.head = nn.Linear(H, 7)

    def forward(self, tokens: Tensor, state=None):
        output, state = self.lstm(self.embedding(tokens), state)
        return self.head(output), state


@pytest.mark.slow
def test_a_training_step_carries_its_state():
    tokens = lucid.random.randint(7, size=(N, T + 1))
    eager, jitted = Model(), Model()
    jitted.load_state_dict(eager.state_dict())

    def training(model):
        optimizer = lucid.optim.Adam(model.parameters(), lr=0.01)

        def step(tokens, state):
            logits, state = model(tokens[:, :-1], state)
            loss = nn.functional.cross_entropy(logits.swapaxes(1, 2), tokens[:, 1:])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss, tuple(part.detach() for part in state)

        return step

    plain, compiled = training(eager), lucid.jit(training(jitted))
    state = other = tuple(lucid.zeros(2, N, H) for _ in range(2))
    for i in range(4):
        loss, state = plain(tokens, state)
        if i < 2:
            expected, other = compiled(tokens, other)
        else:
            with count_compiles(expect=0):
                expected, other = compiled(tokens, other)
        equal(loss, expected)
    for a, b in zip(eager.parameters(), jitted.parameters(), strict=True):
        equal(a, b)
    equal(state[1], other[1])


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_one_program_serves_all_lengths(name):
    layer = getattr(nn, name)(D, H, bidirectional=True, batch_first=True)
    x = x_of(N, T, D)

    def run(x, lengths):
        packed = rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        output, last = layer(packed)
        padded, lengths = rnn.pad_packed_sequence(output, batch_first=True)
        return padded, last[0] if name == "LSTM" else last, lengths

    compiled = lucid.jit(run)
    for lengths in (LENGTHS, [1, 2, 5], [3, 3, 3]):
        for given in (np.array(lengths), Tensor(lengths)):
            padded, last, found = compiled(x, given)
            expected, expected_last, _ = run(x, lengths)
            steps = max(lengths)
            assert padded.shape[1] == T and expected.shape[1] == steps
            equal(padded[:, :steps], expected)
            np.testing.assert_array_equal(padded[:, steps:].numpy(), 0)
            equal(last, expected_last)
            assert found.tolist() == lengths
    assert compiled.cache_info().programs <= 2  # an array and a Tensor are two signatures


def test_new_lengths_compile_nothing_in_eager_code_either():
    layer = nn.LSTM(D, H)
    x = x_of(T, N, D)

    def step(lengths):
        output, _ = layer(rnn.pack_padded_sequence(x, lengths))
        rnn.pad_packed_sequence(output)[0].sum().backward()

    step([5, 3, 2])
    step([5, 3, 2])
    with count_compiles(expect=0):
        step([5, 4, 1])


def test_packed_sequences_enter_and_leave_compiled_functions():
    layer = nn.GRU(D, H)
    packed = rnn.pack_sequence([x_of(n, D) for n in LENGTHS], enforce_sorted=False)
    compiled = lucid.jit(lambda packed: layer(packed)[0])
    output, expected = compiled(packed), layer(packed)[0]
    for name in ("data", "batch_sizes", "sorted_indices", "unsorted_indices"):
        equal(getattr(output, name), getattr(expected, name))
    assert repr(output) == "PackedSequence(lengths=[2, 5, 3], shape=(4,), dtype=float32)"
    assert compiled(expected._with(packed._padded)).data.shape == (10, H)


def test_known_lengths_are_known_inside_too():
    x = x_of(T, N, D)

    def run(x):
        packed = rnn.pack_padded_sequence(x, LENGTHS, enforce_sorted=False)
        again = rnn.PackedSequence(
            packed.data * 2, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices
        )
        return again.data, *rnn.unpack_sequence(again)

    for a, b in zip(lucid.jit(run)(x), run(x), strict=True):
        equal(a, b)


@pytest.mark.parametrize(
    ("read", "what"),
    [
        (lambda p: p.data, "PackedSequence.data: lengths"),
        (lambda p: p.batch_sizes, "PackedSequence.batch_sizes: lengths"),
        (rnn.unpack_sequence, "unpack_sequence: lengths"),
        (lambda p: rnn.PackedSequence(p._padded[:, 0], p._lengths), "PackedSequence: batch_sizes"),
        (lambda p: rnn.unpad_sequence(p._padded, p._lengths), "unpad_sequence: lengths"),
    ],
)
def test_lengths_that_are_not_known(read, what):
    def run(x, lengths):
        packed = rnn.pack_padded_sequence(x, lengths)
        assert "lengths=unknown" in repr(packed)
        return read(packed)

    message = f"{what} must be known here, and the arguments of a compiled function are not. Use"
    with pytest.raises(JitError, match=re.escape(message)):
        lucid.jit(run)(x_of(T, N, D), Tensor([5, 4, 4]))


# --- Sequences --------------------------------------------------------------------------------


def test_padding_is_the_same_recorded_or_not():
    plain = [x_of(n, D, seed=n) for n in LENGTHS]
    recorded = [Tensor(x, requires_grad=True) for x in plain]
    for first in (False, True):
        expected = rnn.pad_sequence(plain, first, -1.5)
        found = rnn.pad_sequence(recorded, first, -1.5)
        jitted = lucid.jit(lambda xs, first=first: rnn.pad_sequence(xs, first, -1.5))(plain)
        assert not expected.requires_grad and found.requires_grad
        for padded in (found, jitted):
            np.testing.assert_array_equal(padded.numpy(), expected.numpy())
        with lucid.no_grad():
            assert not rnn.pad_sequence(recorded, first).requires_grad
    found.sum().backward()
    np.testing.assert_array_equal(recorded[0].grad.numpy(), 1)


def test_integers_and_single_numbers_are_padded():
    padded = rnn.pad_sequence([Tensor([1, 2, 3]), Tensor([4])], batch_first=True, padding_value=9)
    assert padded.dtype == np.int32
    assert padded.tolist() == [[1, 2, 3], [4, 9, 9]]
    assert [x.tolist() for x in rnn.unpad_sequence(padded, [3, 1], True)] == [[1, 2, 3], [4]]


def test_an_empty_batch_is_packed():
    for options in ({}, {"enforce_sorted": False}):
        packed = rnn.pack_padded_sequence(lucid.zeros(T, 0, D), [], **options)
        output, hidden = nn.GRU(D, H)(packed)
        assert hidden.shape == (1, 0, H)
        assert output.data.shape == (0, H) and output.batch_sizes.shape == (0,)
        padded, lengths = rnn.pad_packed_sequence(output)
        assert padded.shape == (0, 0, H) and lengths.shape == (0,)


# --- What is refused --------------------------------------------------------------------------


LSTM = nn.LSTM(D, H, num_layers=2, dropout=0.5, batch_first=True)
GRU = nn.GRU(D, H)
Z = lucid.zeros
PACKED = rnn.pack_padded_sequence(Z(T, N, D), [3, 2, 1])
ERRORS = [
    (
        lambda: nn.RNNBase("MLP", D, H),
        "RNNBase: mode must be one of RNN_TANH, RNN_RELU, LSTM, GRU, got 'MLP'",
    ),
    (lambda: nn.GRU(0, H), "GRU: input_size must be at least 1, got 0"),
    (lambda: nn.LSTM(D, 2.5), "LSTM: hidden_size must be an integer, got 2.5"),
    (lambda: nn.RNN(D, H, 0), "RNN: num_layers must be at least 1, got 0"),
    (lambda: nn.RNN(D, H, 1, "elu"), 'RNN: nonlinearity must be "tanh" or "relu", got \'elu\''),
    (lambda: nn.RNNCell(D, H, True, None), "RNNCell: nonlinearity must be"),
    (lambda: nn.GRU(D, H, dropout=1.5), "GRU: dropout must be from 0 to 1, got 1.5"),
    (
        lambda: nn.LSTM(D, H, proj_size=4),
        "LSTM: proj_size must be 0, or for an LSTM from 1 to hidden_size - 1, got 4 for mode LSTM "
        "and hidden_size 4",
    ),
    (lambda: nn.RNNBase("GRU", D, H, proj_size=2), "got 2 for mode GRU and hidden_size 4"),
    (
        lambda: LSTM(Z(N, T, 3)),
        "LSTM: an input of shape (N, T, 2) or (T, 2) is needed, got (3, 5, 3)",
    ),
    (lambda: GRU(Z(D)), "GRU: an input of shape (T, N, 2) or (T, 2) is needed, got (2,)"),
    (
        lambda: GRU(rnn.pack_padded_sequence(Z(T, D), [5, 5])),
        "GRU: an input of shape (T, N, 2) is needed, got (5, 2)",
    ),
    (
        lambda: LSTM(Z(N, T, D), Z(2, N, H)),
        "LSTM: hx must be a tuple of two Tensors, h and c, got Tensor",
    ),
    (lambda: GRU(Z(T, N, D), (Z(1, N, H),)), "GRU: hx must be a Tensor, got tuple"),
    (
        lambda: LSTM(Z(N, T, D), (Z(2, N, H), Z(1, N, H))),
        "LSTM: hx must be of shape (2, 3, 4) and (2, 3, 4) for this input, got (2, 3, 4) and "
        "(1, 3, 4)",
    ),
    (
        lambda: GRU(Z(T, D), Z(1, 1, H)),
        "GRU: hx must be of shape (1, 4) for this input, got (1, 1, 4)",
    ),
    (lambda: GRU(PACKED, Z(1, 2, H)), "GRU: hx must be of shape (1, 3, 4) for this input, got"),
    (
        lambda: nn.GRUCell(D, H)(Z(T, N, D)),
        "GRUCell: an input of shape (N, 2) or (2) is needed, got (5, 3, 2)",
    ),
    (lambda: nn.LSTMCell(D, H)(Z(N, D), (Z(N, H),)), "LSTMCell: hx must be of shape (3, 4) and"),
    (
        lambda: rnn.pack_padded_sequence(Z(T, N, D), [3, 2]),
        "pack_padded_sequence: 3 lengths are needed, one for each sequence, got shape (2,)",
    ),
    (
        lambda: rnn.pack_padded_sequence(Z(T, N, D), [6, 2, 1]),
        "pack_padded_sequence: the sequences have 5 steps at most, got lengths [6, 2, 1]",
    ),
    (lambda: rnn.pack_padded_sequence(Z(T, N), [3, 2, 0]), "must be at least 1, got [3, 2, 0]"),
    (lambda: rnn.pack_padded_sequence(Z(T, N), [3.0, 2.0, 1.0]), "integers, got dtype float64"),
    (
        lambda: rnn.pack_padded_sequence(Z(T, N), [3, 4, 1]),
        "with enforce_sorted the longest sequence must come first, got lengths [3, 4, 1]. Sort "
        "them, or pass enforce_sorted=False.",
    ),
    (
        lambda: rnn.pack_padded_sequence(Z(T), [3], batch_first=True),
        "pack_padded_sequence: sequences of shape (N, T, *) are needed, got (5,)",
    ),
    (
        lambda: rnn.pad_packed_sequence(PACKED, total_length=2),
        "total_length must be at least that of the longest sequence, 3, got 2",
    ),
    (lambda: rnn.pad_sequence([]), "pad_sequence: at least one sequence is needed, got none"),
    (
        lambda: rnn.pack_sequence([Z(3, 2), Z(2, 1)]),
        "pack_sequence: the sequences must agree in dtype and in all axes but the first, got "
        "float32[3, 2], float32[2, 1]",
    ),
    (lambda: rnn.pad_sequence([Tensor(1.0)]), "must agree in dtype and in all axes but the first"),
    (
        lambda: rnn.PackedSequence(Z(4), [1, 2, 1]),
        "PackedSequence: batch_sizes must be positive, must not grow, and must add up to the "
        "elements of data, got [1, 2, 1] for data of shape (4,)",
    ),
    (lambda: rnn.PackedSequence(Z(4), [2, 1]), "got [2, 1] for data of shape (4,)"),
    (
        lambda: rnn.PackedSequence(Z(3), [2, 1], [0, 2]),
        "PackedSequence: sorted_indices must be a permutation of the 2 sequences, got [0, 2]",
    ),
    (lambda: rnn.PackedSequence(Z(3), [2, 1], None, [1]), "unsorted_indices must be a permutation"),
]


@pytest.mark.parametrize(("call", "message"), ERRORS, ids=[m[:50] for _, m in ERRORS])
def test_the_message_says_what_is_wrong(call, message):
    state = {name: value.numpy() for name, value in LSTM.state_dict().items()}
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        call()
    for name, value in LSTM.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[name])


def test_a_refused_call_draws_no_numbers():
    before = lucid.random.default_generator().state.numpy()
    for call in (lambda: LSTM(Z(N, T, 3)), lambda: LSTM(Z(N, T, D), (Z(2, N, H), Z(1, N, H)))):
        with pytest.raises(ValueError, match="LSTM: "):
            call()
    np.testing.assert_array_equal(lucid.random.default_generator().state.numpy(), before)
