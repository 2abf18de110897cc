"""Transformers: their structure, copies, caches and programs. Values: tests/parity."""

from __future__ import annotations

import re

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F
from tests.helpers import close, spaced

X = Tensor(spaced(2, 5, 6).astype(np.float32))
MEMORY = Tensor(spaced(2, 7, 6, seed=1).astype(np.float32))
PARTS = [slice(0, 2), slice(2, 3), slice(3, 5)]


def encoder_layer(**options):
    lucid.random.seed(0)
    return nn.TransformerEncoderLayer(6, 2, 5, **{"dropout": 0.0, **options})


def decoder_layer(**options):
    lucid.random.seed(0)
    return nn.TransformerDecoderLayer(6, 2, 5, **{"dropout": 0.0, **options})


# --- Structure --------------------------------------------------------------------------------


def test_blocks_of_an_encoder_layer():
    layer = encoder_layer(activation=F.gelu)
    x = layer.norm1(X + layer.self_attn(X, X, X))
    close(layer(X), layer.norm2(x + layer.linear2(F.gelu(layer.linear1(x)))))
    layer.norm_first = True
    y = layer.norm1(X)
    x = X + layer.self_attn(y, y, y)
    close(layer(X), x + layer.linear2(F.gelu(layer.linear1(layer.norm2(x)))))


def test_blocks_of_a_decoder_layer():
    layer = decoder_layer()
    x = layer.norm1(X + layer.self_attn(X, X, X, is_causal=True))
    x = layer.norm2(x + layer.multihead_attn(x, MEMORY, MEMORY))
    expected = layer.norm3(x + layer.linear2(F.relu(layer.linear1(x))))
    close(layer(X, MEMORY, tgt_is_causal=True), expected)


def test_a_whole_is_its_parts():
    lucid.random.seed(0)
    model = nn.Transformer(6, 2, 2, 2, 5, dropout=0.0)
    hidden = Tensor(np.arange(7) >= np.array([[7], [4]]))
    mask = model.generate_square_subsequent_mask(5)
    found = model(
        MEMORY, X, tgt_mask=mask, src_key_padding_mask=hidden, mem_key_padding_mask=hidden
    )
    memory = model.encoder(MEMORY, src_key_padding_mask=hidden)
    close(found, model.decoder(X, memory, tgt_is_causal=True, mem_key_padding_mask=hidden))
    x = X
    for layer in model.decoder.layers:
        x = layer(x, memory, mask, None, None, hidden)
    close(found, model.decoder.norm(x))


def test_parts_of_ones_own():
    encoder, decoder = nn.Identity(), nn.TransformerDecoder(decoder_layer(), 1)
    encoder.forward = lambda src, **named: 2 * src
    model = nn.Transformer(6, 2, custom_encoder=encoder, custom_decoder=decoder)
    assert model.encoder is encoder
    close(model(MEMORY, X), decoder(X, 2 * MEMORY))


@pytest.mark.parametrize(
    "stack",
    [nn.TransformerEncoder(encoder_layer(), 3), nn.TransformerDecoder(decoder_layer(), 3)],
)
def test_layers_are_copies_that_learn_on_their_own(stack):
    assert len(stack.layers) == 3 and stack.norm is None
    weights = [layer.linear1.weight for layer in stack.layers]
    assert len({id(w) for w in weights}) == 3
    assert all(bool((w == weights[0]).all()) for w in weights)
    nn.init.zeros(weights[0])
    assert bool((weights[1] != 0).any())


def test_initial_values_are_pytorchs():
    model = nn.Transformer(16, 2, 2, 1, 32)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            bound = np.sqrt(6 / sum(parameter.shape))
            assert 0.9 * bound < np.abs(parameter.numpy()).max() <= bound, name
    first, second = (layer.linear1.weight for layer in model.encoder.layers)
    assert bool((first != second).any())


@pytest.mark.parametrize("name", ["dropout", "dropout1", "dropout2", "dropout3", "self_attn"])
def test_each_dropout_drops(name):
    layer = decoder_layer()
    part = getattr(layer, name)
    setattr(part, "dropout" if name == "self_attn" else "p", 0.5)
    assert bool((layer(X, MEMORY) != layer(X, MEMORY)).any())
    layer.eval()
    np.testing.assert_array_equal(layer(X, MEMORY).numpy(), layer(X, MEMORY).numpy())


# --- Caches -----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [nn.DynamicKVCache, lambda: nn.StaticKVCache(6, 4)])
def test_an_encoder_continues_its_text(make):
    encoder, cache = nn.TransformerEncoder(encoder_layer(), 2, nn.LayerNorm(6)), make()
    whole = encoder(X, is_causal=True)
    for cut in PARTS:
        found = encoder(
            X[:, cut], is_causal=True, kv_cache=cache, use_cache=True, cache_start_layer_idx=2
        )
        close(found, whole[:, cut])
    assert [cache.get_seq_length(i) for i in range(4)] == [0, 0, 5, 5]


@pytest.mark.parametrize("make", [nn.DynamicKVCache, lambda: nn.StaticKVCache(9, 2)])
def test_a_decoder_continues_its_text(make):
    model = nn.Transformer(6, 2, 1, 2, 5, dropout=0.0)
    memory = model.encoder(MEMORY)
    whole = model.decoder(X, memory, tgt_is_causal=True)
    for cache in (make(), nn.EncoderDecoderCache(make(), make())):
        for cut in PARTS:
            named = {"kv_cache": cache, "use_cache": True, "tgt_is_causal": True}
            close(model.decoder(X[:, cut], memory, **named), whole[:, cut])
        assert cache.get_seq_length(1) == 5


def test_caches_reach_both_parts_of_a_whole():
    model = nn.Transformer(6, 2, 1, 1, 5, dropout=0.0)
    own, memory = nn.DynamicKVCache(), nn.DynamicKVCache()
    named = {"kv_cache": own, "use_cache": True, "encoder_kv_cache": memory}
    close(model(MEMORY, X, use_encoder_cache=True, **named), model(MEMORY, X))
    assert own.get_seq_length() == 5 and memory.get_seq_length() == 7
    # The second call sees the keys of the first one too.
    twice = model(
        MEMORY, X, cache_start_layer_idx=0, use_encoder_cache=True,
        encoder_cache_start_layer_idx=1, **named,
    )  # fmt: skip
    assert own.get_seq_length() == 10 and memory.get_seq_length(1) == 7
    assert bool((twice != model(MEMORY, X)).any())


def test_200_tokens_take_two_programs():
    lucid.random.seed(0)
    tokens, positions = nn.Embedding(11, 6), nn.LearnedPosEmbedding(208, 6)
    encoder, out = nn.TransformerEncoder(encoder_layer(), 2), nn.Linear(6, 11)
    for module in (tokens, positions, encoder, out):
        module.eval()
    cache = nn.StaticKVCache(208, 2)

    def logits(ids, at, **named):
        return out(encoder(positions(tokens(ids), at), is_causal=True, **named))

    @lucid.jit
    @lucid.no_grad()
    def following(ids, at):
        return logits(ids, at, kv_cache=cache, use_cache=True)[:, -1].argmax(axis=-1)

    ids = Tensor(np.arange(8, dtype=np.int32)[None])
    text = [*range(8)]
    for _ in range(200):
        at = Tensor(np.int32(len(text) - ids.shape[1]))
        text.append(following(ids, at).item())
        ids = Tensor(np.array([text[-1:]], np.int32))
    assert following.cache_info().misses == following.cache_info().programs == 2
    assert cache.get_seq_length() == 207
    whole = logits(Tensor(np.array([text[:-1]], np.int32)), 0)
    assert whole.argmax(axis=-1)[0, 7:].tolist() == text[8:]


def test_a_decoder_with_its_memory_in_a_program():
    model = nn.Transformer(6, 2, 1, 2, 5, dropout=0.0)
    memory = model.encoder(MEMORY)
    cache = nn.EncoderDecoderCache(nn.StaticKVCache(6, 2), nn.StaticKVCache(7, 2))
    named = {"kv_cache": cache, "use_cache": True, "tgt_is_causal": True}
    step = lucid.jit(lambda x: model.decoder(x, memory, **named))
    whole = model.decoder(X, memory, tgt_is_causal=True)
    close(model.decoder(X[:, :1], memory, **named), whole[:, :1])
    for i in range(1, 5):
        close(step(X[:, i : i + 1]), whole[:, i : i + 1])
    assert step.cache_info().misses == 1


# --- Training ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_it_learns_to_copy(dtype):
    lucid.random.seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, norm_first=True).to(dtype)
    model = nn.Sequential(nn.Embedding(8, 16).to(dtype), layer, nn.Linear(16, 8).to(dtype))
    optimizer = lucid.optim.Adam(model.parameters(), lr=0.01)
    ids = Tensor(np.random.default_rng(0).integers(8, size=(4, 6)).astype(np.int32))

    @lucid.jit
    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(ids).astype("float32").reshape(24, 8), ids.reshape(24))
        loss.backward()
        optimizer.step()
        return loss

    losses = [step().item() for _ in range(60)]
    assert losses[-1] < 0.2 * losses[0]
    assert all(p.grad.dtype == dtype for p in model.parameters())
    assert step.cache_info().misses == 1


# --- Errors -----------------------------------------------------------------------------------


ERRORS = [
    (
        ValueError,
        lambda: nn.TransformerEncoderLayer(6, 4),
        "num_heads must divide embed_dim, got 4 and 6",
    ),
    (
        ValueError,
        lambda: nn.TransformerEncoderLayer(6, 2, 0),
        "TransformerEncoderLayer: dim_feedforward must be at least 1, got 0",
    ),
    (
        TypeError,
        lambda: nn.TransformerDecoderLayer(6, 2, activation="gelu"),
        "TransformerDecoderLayer: activation must be a function, such as F.gelu, got 'gelu'",
    ),
    (
        ValueError,
        lambda: nn.TransformerEncoder(encoder_layer(), 0),
        "TransformerEncoder: num_layers must be at least 1, got 0",
    ),
    (ValueError, lambda: encoder_layer()(X[..., :5]), "query (N, L, 6)"),
    (ValueError, lambda: decoder_layer()(X, MEMORY[:1]), "got (2, 5, 6), (1, 7, 6)"),
    (
        ValueError,
        lambda: encoder_layer()(X, use_cache=True),
        "use_cache needs kv_cache and cache_layer_idx",
    ),
]


@pytest.mark.parametrize("kind, call, text", ERRORS)
def test_errors_say_what_is_wrong(kind, call, text):
    with pytest.raises(kind, match=re.escape(text)):
        call()
