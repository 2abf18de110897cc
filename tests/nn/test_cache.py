"""Caches: what they hold and return, alone, in a layer and in a program; what they refuse."""

from __future__ import annotations

import re

import numpy as np
import pytest

import lucid
from lucid import JitError, Tensor, nn
from tests.helpers import close, count_compiles, spaced

KEY = spaced(2, 3, 4, 5).astype(np.float32)
VALUE = spaced(2, 3, 4, 5, seed=1).astype(np.float32)
CACHES = [nn.DynamicKVCache, lambda: nn.StaticKVCache(6, 2)]
both = pytest.mark.parametrize("make", CACHES, ids=["dynamic", "static"])


def fill(cache, start=0, stop=4, layer=0, **named):
    cut = slice(start, stop)
    return cache.update(Tensor(KEY[..., cut, :]), Tensor(VALUE[..., cut, :]), layer, **named)


def check(found, key=KEY, value=VALUE):
    np.testing.assert_array_equal(found[0].numpy(), key)
    np.testing.assert_array_equal(found[1].numpy(), value)


# --- Writing and reading ----------------------------------------------------------------------


@both
def test_keys_and_values_follow_each_other(make):
    cache = make()
    assert cache.get(0) is None and cache.get_seq_length(0) == 0
    for start, stop in ((0, 2), (2, 3), (3, 4)):
        check(fill(cache, start, stop), KEY[..., :stop, :], VALUE[..., :stop, :])
        assert cache.get_seq_length(0) == cache.get_seq_length() == stop
    check(cache.get(0))
    assert cache.get(1) is None and cache.get_seq_length(1) == 0
    fill(cache, layer=1)
    check(cache.get(1))


@both
@pytest.mark.parametrize("position, start, stop", [(3, 0, 1), ([3], 0, 1), ([4, 0, 2], 0, 3)])
def test_positions(make, position, start, stop):
    cache = make()
    found = fill(cache, start, stop, cache_position=Tensor(np.array(position, np.int32)))
    n = np.max(position) + 1
    expected = np.zeros((2, 3, n, 5), np.float32)
    expected[..., np.atleast_1d(position), :] = KEY[..., start:stop, :]
    np.testing.assert_array_equal(found[0].numpy(), expected)
    assert cache.get_seq_length() == n
    fill(cache, 3, 4, cache_position=Tensor([1]))
    expected[..., 1, :] = KEY[..., 3, :]
    np.testing.assert_array_equal(cache.get(0)[0].numpy(), expected)
    assert cache.get_seq_length() == n


@both
def test_positions_of_each_sample(make):
    cache, position = make(), np.array([[0, 3], [2, 1]], np.int32)
    found = fill(cache, 0, 2, cache_position=Tensor(position))
    expected = np.zeros((2, 3, 4, 5), np.float32)
    for i in range(2):
        expected[i][:, position[i]] = VALUE[i, :, :2]
    np.testing.assert_array_equal(found[1].numpy(), expected)


@both
def test_samples_are_selected_and_repeated(make):
    cache = make()
    fill(cache)
    cache.batch_repeat_interleave(3)
    check(cache.get(0), KEY.repeat(3, 0), VALUE.repeat(3, 0))
    order = np.array([4, 1, 1])
    cache.reorder_cache(Tensor(order))
    check(cache.get(0), KEY.repeat(3, 0)[order], VALUE.repeat(3, 0)[order])
    assert cache.get_seq_length() == 4


@both
@pytest.mark.parametrize("n", [0, 1, 3, 4, 9])
def test_crop_keeps_the_last(make, n):
    cache = make()
    fill(cache)
    cache.crop(n)
    kept = min(n, 4)
    assert cache.get_seq_length() == kept
    if kept:
        check(cache.get(0), KEY[..., 4 - kept :, :], VALUE[..., 4 - kept :, :])
    found = fill(cache, 0, 1)
    np.testing.assert_array_equal(
        found[0].numpy(), np.concatenate([KEY[..., 4 - kept :, :], KEY[..., :1, :]], -2)
    )


@both
def test_after_a_reset_other_shapes_fit(make):
    cache = make()
    fill(cache)
    cache.reset()
    assert cache.get(0) is None and cache.get_seq_length() == 0
    more = Tensor(KEY.repeat(2, 0))
    check(cache.update(more, more, 0), KEY.repeat(2, 0), KEY.repeat(2, 0))


def test_room():
    assert nn.StaticKVCache(6, 2).get_max_cache_shape() == 6
    assert nn.DynamicKVCache().get_max_cache_shape() is None
    assert nn.EncoderDecoderCache(nn.StaticKVCache(6, 2)).get_max_cache_shape() == 6


def test_gradients_flow_through_what_a_dynamic_cache_keeps():
    cache, key = nn.DynamicKVCache(), Tensor(KEY, requires_grad=True)
    for i in range(4):
        keys, _ = cache.update(key[..., i : i + 1, :], Tensor(VALUE[..., :1, :]), 0)
    (keys * Tensor(VALUE)).sum().backward()
    close(key.grad, VALUE)


def test_a_static_cache_keeps_values_and_no_graph():
    cache = nn.StaticKVCache(6, 1)
    first, second = (Tensor(KEY[..., i : i + 1, :], requires_grad=True) for i in range(2))
    for key in (first, second):
        keys, _ = cache.update(key, Tensor(VALUE[..., :1, :]), 0)
    keys.sum().backward()
    assert first.grad is None and bool((second.grad == 1).all())
    assert not cache.key_cache[0].requires_grad


def test_a_cache_of_encoder_and_decoder():
    cache = nn.EncoderDecoderCache()
    fill(cache, 0, 1)
    assert cache.is_updated == {}
    fill(cache, is_cross_attention=True)
    assert cache.is_updated == {0: True}
    assert cache.get_seq_length(0) == 1 and cache.get_seq_length(0, is_cross_attention=True) == 4
    check(cache.get(0), KEY[..., :1, :], VALUE[..., :1, :])
    check(cache.get(0, is_cross_attention=True))
    cache.batch_repeat_interleave(2)
    cache.batch_select_indices(Tensor([3]))
    assert [cache.get(0, cross)[0].shape[0] for cross in (False, True)] == [1, 1]
    cache.crop(2)
    assert cache.get_seq_length(0, is_cross_attention=True) == 2
    cache.reset()
    assert cache.is_updated == {} and cache.get(0) is None
    assert cache.get(0, is_cross_attention=True) is None


class Every(nn.KVCache):
    """A cache of one's own, which keeps every other key."""

    def update(self, key, value, layer_idx, cache_position=None):
        self.key_cache[layer_idx:] = [key[..., ::2, :]]
        self.value_cache[layer_idx:] = [value[..., ::2, :]]
        return self.get(layer_idx)

    def get(self, layer_idx):
        return self.key_cache[layer_idx], self.value_cache[layer_idx]

    def get_seq_length(self, layer_idx=0):
        return 0

    def reset(self):
        self.__init__()

    def crop(self, max_length):
        pass


# --- In a layer -------------------------------------------------------------------------------


def attention(**options):
    lucid.random.seed(0)
    return nn.MultiHeadAttention(6, 2, **options).eval()


X = Tensor(spaced(2, 5, 6).astype(np.float32))
PARTS = [slice(0, 2), slice(2, 3), slice(3, 5)]


def part(layer, x, cache, **named):
    return layer(x, x, x, kv_cache=cache, use_cache=True, cache_layer_idx=1, **named)


@pytest.mark.parametrize("options", [{}, {"add_bias_kv": True, "add_zero_attn": True}])
@both
def test_part_by_part_it_is_the_whole(make, options):
    layer, cache = attention(**options), make()
    whole = layer(X, X, X, is_causal=True)
    for cut in PARTS:
        close(part(layer, X[:, cut], cache, is_causal=True), whole[:, cut])
    assert cache.get_seq_length(1) == 5


@both
def test_without_causality_all_keys_that_are_there_are_seen(make):
    layer, cache = attention(), make()
    for cut in PARTS:
        so_far = X[:, : cut.stop]
        close(part(layer, X[:, cut], cache), layer(X[:, cut], so_far, so_far))


@both
def test_masks_of_the_keys_that_are_there(make):
    layer, cache = attention(), make()
    padded = np.array([[1, 0, 0, 0, 0], [1, 1, 0, 0, 0]], bool)
    added = spaced(5, 5).astype(np.float32)
    whole = layer(X, X, X, Tensor(padded), Tensor(added), is_causal=True)
    for cut in PARTS:
        found = part(
            layer, X[:, cut], cache, is_causal=True,
            key_padding_mask=Tensor(padded[:, : cut.stop]),
            attn_mask=Tensor(added[cut, : cut.stop]),
        )  # fmt: skip
        close(found, whole[:, cut])


@both
def test_positions_in_a_layer(make):
    layer, cache = attention(), make()
    whole = layer(X, X, X, is_causal=True)
    for at in ([0, 1], [3, 2], [4]):
        found = part(layer, X[:, at], cache, is_causal=True, cache_position=Tensor(at))
    close(found, whole[:, 4:])
    cache = make()
    part(layer, X[:, :4], cache, is_causal=True)
    each = Tensor(np.array([[4], [2]], np.int32))
    found = part(layer, X[:, 4:], cache, is_causal=True, cache_position=each)
    close(found[0], whole[0, 4:])
    changed = lucid.concatenate([X[1, :2], X[1, 4:]])
    close(found[1], layer(changed, changed, changed, is_causal=True)[2:])


def test_a_cache_that_is_not_used_stays_empty():
    layer, cache = attention(), nn.DynamicKVCache()
    close(layer(X, X, X, kv_cache=cache, cache_layer_idx=0), layer(X, X, X))
    assert cache.get(0) is None


def test_a_cache_of_ones_own():
    layer = attention()
    found = layer(X, X, X, kv_cache=Every(), use_cache=True, cache_layer_idx=0)
    close(found, layer(X, X[:, ::2], X[:, ::2]))


@pytest.mark.parametrize("make", [lambda: nn.DynamicKVCache(), lambda: nn.StaticKVCache(9, 2)])
def test_keys_of_the_memory_are_computed_once(make):
    layer, memory = attention(), Tensor(spaced(2, 7, 6, seed=2).astype(np.float32))
    cache = nn.EncoderDecoderCache(make(), make())
    named = {"kv_cache": cache, "use_cache": True, "cache_layer_idx": 1}
    padded = Tensor(np.arange(7) >= np.array([[7], [4]]))
    whole = layer(X, memory, memory, padded)
    for cut in PARTS:
        close(layer(X[:, cut], memory, memory, padded, **named), whole[:, cut])
        memory = lucid.zeros_like(memory)  # is not looked at again
    assert cache.get_seq_length(1, is_cross_attention=True) == 7
    assert cache.self_attention_cache.get(1) is None


# --- In a program -----------------------------------------------------------------------------


def test_a_static_cache_in_a_program_compiles_once_for_each_shape():
    layer, cache = attention(), nn.StaticKVCache(8, 2)
    step = lucid.jit(lambda x: part(layer, x, cache, is_causal=True))
    whole = layer(X, X, X, is_causal=True)
    close(step(X[:, :3]), whole[:, :3])
    close(step(X[:, 3:4]), whole[:, 3:4])
    assert step.cache_info().misses == 2 and cache.get_seq_length(1) == 4
    last = X[:, 4:]
    with count_compiles(expect=0):
        found = step(last)
    close(found, whole[:, 4:])
    cache.reset()
    first = X[:, :3]
    with count_compiles(expect=0):
        found = step(first)
    close(found, whole[:, :3])
    assert cache.get_seq_length(1) == 3


def test_a_program_refuses_another_batch():
    layer, cache = attention(), nn.StaticKVCache(8, 2)
    step = lucid.jit(lambda x: part(layer, x, cache, is_causal=True))
    step(X)
    cache.reset()
    with pytest.raises(ValueError, match="Make another cache, or reset this one outside"):
        step(X[:1])
    part(layer, X[:1], cache)
    cache.reset()
    close(step(X[:1]), layer(X[:1], X[:1], X[:1], is_causal=True))
    with pytest.raises(ValueError, match="do not fit into the places of layer 1"):
        step(X)
    assert cache.get_seq_length(1) == 5


def test_a_cache_that_a_program_makes_is_its_own():
    layer = attention()

    @lucid.jit
    def run(x):
        parts = []
        for cache in (nn.DynamicKVCache(), nn.StaticKVCache(8, 2)):
            parts += [part(layer, x[:, cut], cache, is_causal=True) for cut in PARTS]
        return lucid.concatenate(parts, axis=1)

    whole = layer(X, X, X, is_causal=True)
    for _ in range(2):
        close(run(X), lucid.concatenate([whole, whole], axis=1))
    assert run.cache_info().misses == 1


def test_a_functional_call_shares_the_cache():
    layer, cache, step = attention(), nn.DynamicKVCache(), nn.StaticKVCache(8, 2)
    whole = layer(X, X, X, is_causal=True)
    zeros = {name: lucid.zeros_like(p) for name, p in layer.state_dict().items()}

    def call(weights, x, cache):
        named = {"kv_cache": cache, "use_cache": True, "cache_layer_idx": 1, "is_causal": True}
        return lucid.func.functional_call(layer, weights, x, x, x, **named)

    for found in (cache, step):
        assert not call(zeros, X[:, :2], found).numpy().any()
        found.reset()
        for cut in PARTS:
            close(call(layer.state_dict(), X[:, cut], found), whole[:, cut])


def test_samples_are_reordered_in_a_program():
    cache = nn.StaticKVCache(6, 1)
    fill(cache)

    @lucid.jit
    def reorder(order):
        cache.reorder_cache(order)
        cache.crop(3)

    reorder(Tensor([1, 0]))
    check(cache.get(0), KEY[::-1, :, 1:], VALUE[::-1, :, 1:])


def test_in_a_program_a_position_without_a_place_shows():
    cache = nn.StaticKVCache(5, 1)
    step = lucid.jit(lambda key: cache.update(key, key, 0)[0])
    assert np.isfinite(step(Tensor(KEY)).numpy()).all()
    assert np.isnan(step(Tensor(KEY)).numpy()).any()


def test_a_dynamic_cache_from_outside_is_refused_in_a_program():
    cache = nn.DynamicKVCache()
    step = lucid.jit(lambda key: cache.update(key, key, 0)[0])
    with pytest.raises(JitError, match="a cache from outside cannot grow"):
        step(Tensor(KEY))


def test_a_length_is_unknown_in_a_program():
    cache = nn.StaticKVCache(5, 1)
    with pytest.raises(JitError, match="needs the value of a Tensor"):
        lucid.jit(cache.get_seq_length)()


def test_the_memory_is_stored_outside_of_programs():
    layer = attention()
    cache = nn.EncoderDecoderCache(nn.StaticKVCache(9, 2), nn.StaticKVCache(9, 2))
    named = {"kv_cache": cache, "use_cache": True, "cache_layer_idx": 0}
    step = lucid.jit(lambda x, memory: layer(x, memory, memory, **named))
    with pytest.raises(JitError, match="Make the first call, which stores them, outside"):
        step(X, X)
    assert cache.is_updated == {} and cache.get(0, is_cross_attention=True) is None
    close(layer(X, X, X, **named), step(X, lucid.zeros_like(X)))


# --- Errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Cache", "KVCache"])
def test_there_is_no_cache_without_a_kind(name):
    with pytest.raises(TypeError, match="abstract"):
        getattr(nn, name)()


def positions(*values):
    return Tensor(np.array(values, np.int32))


ERRORS = [
    (lambda c: c.update(Tensor(KEY), Tensor(VALUE[:1]), 0),
     "keys and values of one shape (..., L, D) are needed, got (2, 3, 4, 5) and (1, 3, 4, 5)"),
    (lambda c: c.update(lucid.zeros(3), lucid.zeros(3), 0), "got (3,) and (3,)"),
    (lambda c: fill(c, layer=-1), "layer_idx must be"),
    (lambda c: fill(c, cache_position=positions(0, 1)),
     "cache_position must have shape (4,) or (2, 4) for keys of shape (2, 3, 4, 5), got (2,)"),
    (lambda c: fill(c, 0, 1, cache_position=positions(0, 1)),
     "cache_position must have shape (1,) or (2, 1) or () for keys of shape (2, 3, 1, 5)"),
    (lambda c: fill(c, 0, 1, cache_position=positions(-1)), "cache_position must be"),
    (lambda c: c.crop(-1), "crop: max_length must be at least 0, got -1"),
    (lambda c: c.batch_repeat_interleave(0), "repeats must be at least 1, got 0"),
    (lambda c: c.batch_select_indices(lucid.zeros(1, 1, dtype=int)),
     "batch_select_indices: indices of one axis are needed, got shape (1, 1)"),
]  # fmt: skip
STATIC = [
    (lambda c: nn.StaticKVCache(0, 1), "max_cache_len must be at least 1, got 0"),
    (lambda c: nn.StaticKVCache(1, 0), "num_layers must be at least 1, got 0"),
    (lambda c: fill(c, 0, 3), "3 more keys do not fit; 4 of max_cache_len=6 places are filled"),
    (lambda c: fill(c, 0, 1, cache_position=positions(6)),
     "cache_position must be from 0 to 5, got 6 at [0]"),
    (lambda c: fill(c, layer=2), "layer_idx must be from 0 to num_layers - 1 = 1, got 2"),
    (lambda c: c.get(2), "layer_idx must be from 0 to num_layers - 1 = 1, got 2"),
    (lambda c: c.update(Tensor(KEY[:1, :, :1]), Tensor(KEY[:1, :, :1]), 0),
     "keys of shape (1, 3, 1, 5) and float32 do not fit into the places of layer 0, (2, 3, 6, 5) "
     "and float32"),
]  # fmt: skip


@pytest.mark.parametrize(
    "make, call, text",
    [(make, *case) for make in CACHES for case in ERRORS] + [(CACHES[1], *c) for c in STATIC],
)
def test_errors_say_what_is_wrong_and_change_nothing(make, call, text):
    cache = make()
    fill(cache)
    with pytest.raises(ValueError, match=re.escape(text)):
        call(cache)
    check(cache.get(0))
    assert cache.get_seq_length() == 4


@both
def test_positions_are_integers(make):
    with pytest.raises(TypeError, match="cache_position must hold integers, got float32"):
        fill(make(), 0, 1, cache_position=Tensor([0.0]))
