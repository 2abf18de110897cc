"""Positions: the formulas, in loops; what the layers add to the functions; errors."""

from __future__ import annotations

import re

import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F
from tests.helpers import check_op, close, count_compiles, spaced


def waves(positions, size):
    table = np.zeros((len(positions), size))
    for i, position in enumerate(positions):
        for j in range(size):
            angle = position / 10000 ** ((j - j % 2) / size)
            table[i, j] = np.cos(angle) if j % 2 else np.sin(angle)
    return table


def rotated(x, positions, interleaved):
    """Pair by pair, as complex numbers; `positions` broadcast to all axes of x but the last."""
    y, size = np.array(x), x.shape[-1]
    positions = np.broadcast_to(positions, x.shape[:-1])
    for at in np.ndindex(x.shape[:-1]):
        for i in range(size // 2):
            a, b = (2 * i, 2 * i + 1) if interleaved else (i, i + size // 2)
            turn = np.exp(1j * positions[at] * 10000 ** (-2 * i / size))
            pair = (x[(*at, a)] + 1j * x[(*at, b)]) * turn
            y[(*at, a)], y[(*at, b)] = pair.real, pair.imag
    return y


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_sinusoids(size):
    found = F.sinusoidal_pos_embedding(40, size)
    assert found.dtype == "float32" and not found.requires_grad
    close(found, waves(range(40), size), atol=1e-5)


def test_sinusoids_have_the_dtype_and_the_device_that_are_asked_for():
    found = F.sinusoidal_pos_embedding(3, 4, device="cpu", dtype="bfloat16")
    assert found.dtype == "bfloat16" and found.device == "cpu"


@pytest.mark.parametrize("interleaved", [True, False])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (2, 2, 3, 6)])
def test_rotation(shape, interleaved):
    check_op(
        lambda x: F.rotary_pos_embedding(x, interleaved=interleaved),
        lambda x: rotated(x, np.arange(3), interleaved),
        spaced(*shape),
    )


@pytest.mark.parametrize("interleaved", [True, False])
def test_rotation_by_given_positions(interleaved):
    positions = np.array([5, 0, 7])
    check_op(
        lambda x: F.rotary_pos_embedding(x, Tensor(positions), interleaved),
        lambda x: rotated(x, positions, interleaved),
        spaced(2, 2, 3, 4),
    )
    each = np.array([[5, 0, 7], [1, 1, 2]])
    check_op(
        lambda x: F.rotary_pos_embedding(x, Tensor(each), interleaved),
        lambda x: rotated(x, each[:, None], interleaved),
        spaced(2, 2, 3, 4),
    )


def test_products_of_rotated_vectors_depend_on_the_distance_alone():
    q, k = Tensor(spaced(1, 8)), Tensor(spaced(1, 8, seed=1))

    def product(i, j):
        rotate = F.rotary_pos_embedding
        return (rotate(q, Tensor([i])) @ rotate(k, Tensor([j])).swapaxes(0, 1)).item()

    assert product(3, 1) == pytest.approx(product(102, 100), abs=1e-4)
    assert product(3, 1) != pytest.approx(product(3, 2), abs=1e-2)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_angles_of_16_bit_inputs_are_computed_in_float32(dtype):
    x = jnp.asarray(spaced(1, 8), dtype)
    found = F.rotary_pos_embedding(Tensor(x), Tensor([1001]))
    assert found.dtype == dtype
    exact = rotated(np.asarray(x, np.float64), np.array([1001]), True)
    close(np.asarray(found.data, np.float64), exact, atol=2 * float(jnp.finfo(dtype).eps))


# --- Layers -----------------------------------------------------------------------------------


X = Tensor(spaced(2, 3, 4).astype(np.float32))
SINUSOIDAL, LEARNED = nn.SinusoidalPosEmbedding(), nn.LearnedPosEmbedding(8, 4)


def test_waves_are_added():
    close(SINUSOIDAL(X), X.numpy() + waves(range(3), 4))
    close(SINUSOIDAL(X[0], offset=5), X[0].numpy() + waves(range(5, 8), 4))


def test_learned_vectors_are_added():
    weight = LEARNED.pos_emb.weight.numpy()
    close(LEARNED(X), X.numpy() + weight[:3])
    close(LEARNED(X[0], 5), X[0].numpy() + weight[5:])
    LEARNED.zero_grad()
    LEARNED(X, 1).sum().backward()
    close(LEARNED.pos_emb.weight.grad, np.isin(np.arange(8), (1, 2, 3))[:, None] * 2.0 + 0 * weight)


@pytest.mark.parametrize("layer", [SINUSOIDAL, LEARNED])
def test_another_offset_compiles_nothing(layer):
    step = lucid.jit(lambda x, at: layer(x, at))
    first, second = Tensor(np.int32(1)), Tensor(np.int32(4))
    close(step(X, first), layer(X, 1))
    with count_compiles(expect=0):
        found = step(X, second)
    close(found, layer(X, 4))


def test_in_a_program_a_position_beyond_the_last_shows():
    found = lucid.jit(lambda at: LEARNED(X, at))(Tensor(6))
    assert np.isnan(found.numpy()[:, 2]).all() and np.isfinite(found.numpy()[:, :2]).all()


def test_the_layer_rotates():
    layer = nn.RotaryPosEmbedding(4, 9, interleaved=False)
    close(layer(X), rotated(X.numpy(), np.arange(3), False))
    close(layer(X, Tensor([8, 2, 0])), rotated(X.numpy(), np.array([8, 2, 0]), False))


# --- Errors -----------------------------------------------------------------------------------


def zeros(*shape):
    return lucid.zeros(shape)


ERRORS = [
    (lambda: F.sinusoidal_pos_embedding(0, 4), "seq_len must be at least 1, got 0"),
    (lambda: F.sinusoidal_pos_embedding(3, -1), "embed_dim must be at least 1, got -1"),
    (
        lambda: F.rotary_pos_embedding(zeros(2, 3)),
        "rotary_pos_embedding: an input (..., L, D) with an even D is needed, got shape (2, 3)",
    ),
    (lambda: F.rotary_pos_embedding(zeros(4)), "an even D is needed, got shape (4,)"),
    (
        lambda: F.rotary_pos_embedding(zeros(2, 3, 4), zeros(2)),
        "position_ids must have shape (3,) or (2, 3) for an input of shape (2, 3, 4), got (2,)",
    ),
    (lambda: F.rotary_pos_embedding(zeros(3, 4), zeros(1, 3)), "must have shape (3,) for an input"),
    (
        lambda: nn.SinusoidalPosEmbedding(5)(zeros(2, 3, 4)),
        "SinusoidalPosEmbedding: a length of seq_len=5 is needed, got shape (2, 3, 4)",
    ),
    (
        lambda: nn.SinusoidalPosEmbedding(embed_dim=5)(zeros(2, 3, 4)),
        "SinusoidalPosEmbedding: an input (..., L, 5) is needed, got shape (2, 3, 4)",
    ),
    (lambda: SINUSOIDAL(zeros(4)), "an input (..., L, E) is needed, got shape (4,)"),
    (lambda: nn.LearnedPosEmbedding(0, 4), "max_len must be at least 1, got 0"),
    (lambda: LEARNED(zeros(3, 5)), "LearnedPosEmbedding: an input (..., L, 4) is needed"),
    (
        lambda: LEARNED(zeros(9, 4)),
        "LearnedPosEmbedding: there are max_len=8 positions, got shape (9, 4)",
    ),
    (lambda: LEARNED(X, 6), "LearnedPosEmbedding: offset must be from 0 to 5, got 6"),
    (lambda: LEARNED(X, Tensor(-1)), "LearnedPosEmbedding: offset must be from 0 to 5, got -1"),
    (
        lambda: nn.RotaryPosEmbedding(max_seq_len=2)(X),
        "RotaryPosEmbedding: there are max_seq_len=2 positions, got shape (2, 3, 4)",
    ),
    (
        lambda: nn.RotaryPosEmbedding(max_seq_len=4)(X, Tensor([0, 4, 1])),
        "RotaryPosEmbedding: position_ids must be from 0 to 3, got 4 at [1]",
    ),
    (
        lambda: nn.RotaryPosEmbedding()(X, Tensor([0, -4, 1])),
        "RotaryPosEmbedding: position_ids must be at least 0, got -4 at [1]",
    ),
    (lambda: nn.RotaryPosEmbedding(6)(X), "RotaryPosEmbedding: an input (..., L, 6) is needed"),
]


@pytest.mark.parametrize("call, text", ERRORS)
def test_errors_say_what_is_wrong(call, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        call()


@pytest.mark.parametrize("layer", [SINUSOIDAL, LEARNED, nn.RotaryPosEmbedding()])
def test_sequences_hold_floats(layer):
    with pytest.raises(TypeError, match="an input of floats is needed, got int32"):
        layer(lucid.zeros(3, 4, dtype="int32"))


def test_a_sequence_without_positions_stays_empty():
    assert nn.SinusoidalPosEmbedding()(lucid.zeros(2, 0, 4)).shape == (2, 0, 4)
    assert F.rotary_pos_embedding(lucid.zeros(2, 0, 4)).shape == (2, 0, 4)
