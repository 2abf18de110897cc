"""Transformers against PyTorch's: state, values, gradients and second derivatives in float64."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F
from tests.helpers import spaced
from tests.parity.layers import check_layer

torch = pytest.importorskip("torch")

LATER = np.triu(np.ones((4, 4), bool), 1)
PADDED = np.arange(4) >= np.array([[4], [2]])
HIDDEN = spaced(4, 5)
OPTIONS = [
    ({}, {}),
    ({"norm_first": True, "bias": False, "layer_norm_eps": 0.1},) * 2,
    ({"activation": F.gelu}, {"activation": torch.nn.functional.gelu}),
]


def pair(name, options, **sizes):
    """The layer in both libraries, without dropout."""
    ours, theirs = options
    make = {"d_model": 6, "dim_feedforward": 5, "dropout": 0.0, **sizes}
    return (
        getattr(nn, name)(num_heads=2, **make, **ours),
        getattr(torch.nn, name)(nhead=2, batch_first=True, **make, **theirs),
    )


@pytest.mark.parametrize("options", OPTIONS)
def test_encoder_layer(options):
    check_layer(
        *pair("TransformerEncoderLayer", options),
        lambda layer, tensor, x: layer(
            x, src_mask=tensor(LATER), src_key_padding_mask=tensor(PADDED)
        ),
        spaced(2, 4, 6),
    )


@pytest.mark.parametrize("options", OPTIONS)
def test_decoder_layer(options):
    def call(layer, tensor, x, memory):
        memory_mask = {"mem_mask" if tensor is Tensor else "memory_mask": tensor(HIDDEN)}
        return layer(x, memory, tgt_mask=tensor(LATER), **memory_mask)

    layers = pair("TransformerDecoderLayer", options)
    check_layer(*layers, call, spaced(2, 4, 6), spaced(2, 5, 6, seed=1))


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@pytest.mark.parametrize("has_norm", [True, False])
def test_encoder(has_norm):
    ours, theirs = pair("TransformerEncoderLayer", ({}, {}))
    norms = (nn.LayerNorm(6), torch.nn.LayerNorm(6)) if has_norm else (None, None)
    check_layer(
        nn.TransformerEncoder(ours, 2, norms[0]),
        torch.nn.TransformerEncoder(theirs, 2, norms[1]),
        lambda layer, tensor, x: layer(x, tensor(spaced(4, 4))),
        spaced(4, 6),
    )


def test_decoder():
    ours, theirs = pair("TransformerDecoderLayer", ({}, {}))

    def call(layer, tensor, x, memory):
        name = "mem_key_padding_mask" if tensor is Tensor else "memory_key_padding_mask"
        return layer(x, memory, **{name: tensor(np.array([[0, 0, 1], [0, 0, 0]], bool))})

    check_layer(
        nn.TransformerDecoder(ours, 2, nn.LayerNorm(6)),
        torch.nn.TransformerDecoder(theirs, 2, torch.nn.LayerNorm(6)),
        call,
        spaced(2, 4, 6),
        spaced(2, 3, 6, seed=1),
    )


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
def test_transformer():
    sizes = {"num_encoder_layers": 1, "num_decoder_layers": 1}
    mask = torch.nn.Transformer.generate_square_subsequent_mask(4).numpy()
    np.testing.assert_array_equal(nn.Transformer.generate_square_subsequent_mask(4).numpy(), mask)
    check_layer(
        *pair("Transformer", ({}, {}), **sizes),
        lambda layer, tensor, x, y: layer(x, y, tgt_mask=tensor(mask.astype(np.float64))),
        spaced(2, 3, 6),
        spaced(2, 4, 6, seed=1),
    )


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
def test_the_default_transformer_has_pytorchs_state():
    sizes = {"num_encoder_layers": 2, "num_decoder_layers": 2, "dim_feedforward": 32}
    theirs = torch.nn.Transformer(16, 4, batch_first=True, **sizes).eval()
    ours = nn.Transformer(16, 4, **sizes).eval()
    ours.load_state_dict(theirs.state_dict())
    source, target = (spaced(2, n, 16).astype(np.float32) for n in (5, 3))
    with torch.no_grad():
        expected = theirs(torch.tensor(source), torch.tensor(target)).numpy()
    with jax.enable_x64(False), lucid.no_grad():
        found = ours(Tensor(source), Tensor(target)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
