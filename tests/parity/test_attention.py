"""Attention against PyTorch's: values, gradients and second derivatives in float64."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from lucid import Tensor, nn
from lucid.nn import functional as F
from tests.helpers import check_torch, spaced
from tests.parity.layers import check_layer

torch = pytest.importorskip("torch")

SEEN = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 0, 1]], bool)


@pytest.mark.parametrize(
    "mask, options",
    [
        (None, {}),
        (None, {"is_causal": True}),
        (None, {"scale": 0.3}),
        (SEEN, {}),
        (spaced(3, 5), {}),
        (np.where(SEEN, 0.5, -np.inf), {}),
        (spaced(2, 1, 3, 5), {"scale": -1.0}),
        (None, {"enable_gqa": True}),
        (spaced(4, 3, 5), {"enable_gqa": True}),
        (None, {"enable_gqa": True, "is_causal": True}),
    ],
)
def test_scaled_dot_product_attention(mask, options):
    heads = 2 if "enable_gqa" in options else 4
    arrays = spaced(2, 4, 3, 6), spaced(2, heads, 5, 6, seed=1), spaced(2, heads, 5, 7, seed=2)
    with jax.enable_x64(True):
        ours = None if mask is None else Tensor(mask)
    theirs = None if mask is None else torch.tensor(mask)
    check_torch(
        lambda *xs: F.scaled_dot_product_attention(*xs, ours, **options),
        lambda *xs: torch.nn.functional.scaled_dot_product_attention(*xs, theirs, **options),
        *arrays,
        rtol=1e-9,
    )


# --- Layers -----------------------------------------------------------------------------------


def result(output):
    """PyTorch's layer returns the weights too, or None for them."""
    return output[0] if isinstance(output, tuple) else output


PADDED = np.arange(5) >= np.array([[5], [3], [4]])
MASKS = {
    "none": {},
    "bools": {"attn_mask": np.resize(~SEEN, (4, 5)) & (np.arange(5) > 0)},
    "numbers": {"attn_mask": spaced(4, 5)},
    "each head": {"attn_mask": spaced(6, 4, 5)},
    "padding": {"key_padding_mask": PADDED},
    "both": {"attn_mask": np.arange(5) > np.arange(4)[:, None], "key_padding_mask": PADDED},
    "both, of numbers": {
        "attn_mask": spaced(4, 5),
        "key_padding_mask": np.where(PADDED, -np.inf, 0.5),
    },
}


@pytest.mark.parametrize("masks", MASKS.values(), ids=MASKS.keys())
@pytest.mark.parametrize(
    "options",
    [{}, {"bias": False, "add_zero_attn": True}, {"kdim": 5, "vdim": 3, "add_bias_kv": True}],
    ids=lambda o: "-".join(o) or "plain",
)
def test_multi_head_attention(options, masks):
    keys, values = options.get("kdim", 6), options.get("vdim", 6)
    arrays = spaced(3, 4, 6), spaced(3, 5, keys, seed=1), spaced(3, 5, values, seed=2)
    check_layer(
        nn.MultiHeadAttention(6, 2, **options),
        torch.nn.MultiheadAttention(6, 2, batch_first=True, **options),
        lambda layer, tensor, *xs: result(layer(*xs, **{n: tensor(m) for n, m in masks.items()})),
        *arrays,
    )


@pytest.mark.parametrize("shape", [(3, 4, 6), (4, 6)], ids=["batch", "no batch"])
@pytest.mark.parametrize("options", [{}, {"add_bias_kv": True, "add_zero_attn": True}])
def test_causal_attention_to_itself(options, shape):
    later = np.triu(np.ones((4, 4), bool), 1)

    def call(layer, tensor, x):
        named = {"is_causal": True} if tensor is Tensor else {"attn_mask": tensor(later)}
        return result(layer(x, x, x, **named))

    check_layer(
        nn.MultiHeadAttention(6, 2, **options),
        torch.nn.MultiheadAttention(6, 2, batch_first=True, **options),
        call,
        spaced(*shape),
    )
