"""Attention layers: modes, masks, identities, what they refuse. Values: tests/parity."""

from __future__ import annotations

import re

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F
from tests.helpers import close, spaced


def layer(**options):
    lucid.random.seed(0)
    return nn.MultiHeadAttention(6, 2, **options)


X = Tensor(spaced(3, 4, 6).astype(np.float32))
Y = Tensor(spaced(3, 5, 6, seed=1).astype(np.float32))


def by_hand(attention, query, key, value):
    """The formula of the paper, head by head."""
    weights = [w.numpy() for w in lucid.chunk(attention.in_proj_weight, 3)]
    biases = [b.numpy() for b in lucid.chunk(attention.in_proj_bias, 3)]
    q, k, v = (
        x.numpy() @ w.T + b for x, w, b in zip((query, key, value), weights, biases, strict=True)
    )
    heads = []
    for at in (slice(0, 3), slice(3, 6)):
        scores = q[..., at] @ k[..., at].swapaxes(-1, -2) / np.sqrt(3)
        shares = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
        heads.append(shares @ v[..., at])
    return (
        np.concatenate(heads, -1) @ attention.out_proj.weight.numpy().T
        + attention.out_proj.bias.numpy()
    )


def test_the_formula():
    attention = layer()
    lucid.nn.init.normal(attention.in_proj_bias)
    close(attention(X, Y, Y), by_hand(attention, X, Y, Y))
    close(attention(X, X, X), by_hand(attention, X, X, X))
    close(attention(X, Y, Y + 1), by_hand(attention, X, Y, Y + 1))


def test_initial_values_are_pytorchs():
    attention = nn.MultiHeadAttention(64, 4, add_bias_kv=True)
    assert not attention.in_proj_bias.numpy().any()
    assert not attention.out_proj.bias.numpy().any()
    bound = np.sqrt(6 / (4 * 64))  # Glorot's, of a matrix (3 * 64, 64)
    largest = np.abs(attention.in_proj_weight.numpy()).max()
    assert 0.99 * bound < largest <= bound
    assert attention.bias_k.numpy().any() and attention.bias_v.numpy().any()
    separate = nn.MultiHeadAttention(64, 4, kdim=32)
    bound = np.sqrt(6 / (64 + 32))
    assert 0.99 * bound < np.abs(separate.k_proj_weight.numpy()).max() <= bound


@pytest.mark.parametrize(
    "attention, call",
    [
        (layer(dropout=0.5), lambda m: m(X, X, X)),
        (nn.ScaledDotProductAttention(dropout_p=0.5), lambda m: m(X, X, X)),
    ],
)
def test_weights_are_dropped_in_training_only(attention, call):
    attention.train()
    assert bool((call(attention) != call(attention)).any())
    attention.eval()
    np.testing.assert_array_equal(call(attention).numpy(), call(attention).numpy())
    for name in ("dropout", "dropout_p"):
        if hasattr(attention, name):
            setattr(attention, name, 0.0)
    close(call(attention.train()), call(attention.eval()))


def test_the_mask_of_the_function_and_that_of_the_layer_are_opposites():
    seen = np.array([[1, 1, 0, 1, 0]] * 4, bool)
    attention = nn.ScaledDotProductAttention(Tensor(seen))
    close(attention(X, Y, Y), F.scaled_dot_product_attention(X, Y, Y, Tensor(seen)))
    many = layer()
    left = [0, 1, 3]
    close(many(X, Y, Y, attn_mask=Tensor(~seen)), many(X, Y[:, left], Y[:, left]))
    close(many(X, Y, Y, Tensor(~seen[:3])), many(X, Y[:, left], Y[:, left]))


def test_the_mask_moves_with_the_layer_and_stays_out_of_its_state():
    attention = nn.ScaledDotProductAttention(lucid.zeros(4, 5)).to("bfloat16")
    assert attention.attn_mask.dtype == "bfloat16"
    assert not attention.state_dict()


def test_a_mask_of_each_sample_and_head():
    masks = Tensor(spaced(3, 2, 4, 5))
    attention = layer()
    whole = attention(X, Y, Y, attn_mask=masks)
    close(attention(X, Y, Y, attn_mask=masks.reshape(6, 4, 5)), whole)
    for i in range(3):
        close(attention(X[i], Y[i], Y[i], attn_mask=masks[i]), whole[i])


def test_a_query_that_sees_nothing_gets_the_bias():
    attention = layer()
    lucid.nn.init.normal(attention.out_proj.bias)
    x = lucid.ones(3, 4, 6, requires_grad=True)
    found = attention(x, x, x, Tensor(np.ones((3, 4), bool)))
    close(found, np.broadcast_to(attention.out_proj.bias.numpy(), found.shape))
    found.sum().backward()
    assert not x.grad.numpy().any()


def test_padding_and_causality_together():
    padded = Tensor(np.arange(4) >= np.array([[4], [2], [3]]))
    attention = layer()
    found = attention(X, X, X, padded, is_causal=True)
    for i, n in enumerate((4, 2, 3)):
        x = X[i, :n]
        close(found[i, :n], attention(x, x, x, is_causal=True))


def test_what_is_kept_sees_the_learned_key():
    attention = layer(add_bias_kv=True)
    found = attention(X, X, X, is_causal=True)
    later = Tensor(np.triu(np.ones((4, 4), bool), 1))
    close(found, attention(X, X, X, attn_mask=later))


# --- Errors -----------------------------------------------------------------------------------


ERRORS = [
    (lambda: nn.MultiHeadAttention(6, 4), "num_heads must divide embed_dim, got 4 and 6"),
    (lambda: nn.MultiHeadAttention(0, 1), "embed_dim must be at least 1, got 0"),
    (lambda: nn.MultiHeadAttention(6, 2, 1.5), "dropout must be from 0 to 1, got 1.5"),
    (lambda: nn.MultiHeadAttention(6, 2, kdim=0), "kdim must be at least 1, got 0"),
    (
        lambda: nn.MultiHeadAttention(6, 2, use_separate_proj_weight=False, kdim=5),
        "without use_separate_proj_weight, kdim and vdim must be embed_dim=6, got 5 and 6",
    ),
    (
        lambda: layer()(X, Y[:2], Y),
        "query (N, L, 6), key (N, S, 6) and value (N, S, 6) are needed, or all without N; got "
        "(3, 4, 6), (2, 5, 6) and (3, 5, 6)",
    ),
    (lambda: layer()(X, Y, Y[:, :4]), "got (3, 4, 6), (3, 5, 6) and (3, 4, 6)"),
    (lambda: layer(kdim=5)(X, Y, Y), "key (N, S, 5)"),
    (lambda: layer()(X[0, 0], X[0, 0], X[0, 0]), "or all without N; got (6,)"),
    (
        lambda: layer()(X, Y, Y, attn_mask=lucid.zeros(4, 4)),
        "attn_mask must have 5 keys as its last axis, got shape (4, 4)",
    ),
    (
        lambda: layer()(X, Y, Y, lucid.zeros(3, 6)),
        "key_padding_mask must have 5 keys as its last axis, got shape (3, 6)",
    ),
    (
        lambda: layer()(X, Y, Y, attn_mask=lucid.zeros(3, 4, 5)),
        "an attn_mask of 3 axes holds a mask for each of 2 heads of each sample, got shape "
        "(3, 4, 5)",
    ),
    (
        lambda: layer()(X, X, X, use_cache=True),
        "use_cache needs kv_cache and cache_layer_idx",
    ),
]


@pytest.mark.parametrize("call, text", ERRORS)
def test_errors_say_what_is_wrong(call, text):
    with pytest.raises(ValueError, match="MultiHeadAttention: .*" + re.escape(text)):
        call()


def test_masks_of_integers_are_refused():
    text = "key_padding_mask must hold bools, true where a key is hidden, or floats .* got int32"
    with pytest.raises(TypeError, match=text):
        layer()(X, Y, Y, lucid.zeros(3, 5, dtype="int32"))
