"""Attention by its definition, one query at a time; masks, groups, dropout, precision, errors."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.nn import functional as F
from tests.helpers import check_op, count_compiles, same, spaced

sdpa = F.scaled_dot_product_attention


def definition(query, key, value, mask=None, causal=False, scale=None, weights_too=False):
    """Each query's mean of the values that it sees, for arrays with the same leading axes."""
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    lead, (n, s) = query.shape[:-2], (query.shape[-2], key.shape[-2])
    weights = np.zeros((*lead, n, s))
    result = np.zeros((*lead, n, value.shape[-1]))
    mask = None if mask is None else np.broadcast_to(mask, (*lead, n, s))
    for at in np.ndindex(*lead, n):
        seen = []
        for j in range(s):
            if causal and j > at[-1]:
                continue
            score = scale * query[at] @ key[at[:-1]][j]
            if mask is not None and mask.dtype == bool:
                if not mask[at][j]:
                    continue
            elif mask is not None:
                score += mask[at][j]
            seen.append((j, score))
        seen = [(j, score) for j, score in seen if score > -np.inf]
        total = sum(np.exp(score) for _, score in seen)
        for j, score in seen:
            weights[(*at, j)] = np.exp(score) / total
            result[at] += weights[(*at, j)] * value[at[:-1]][j]
    return (result, weights) if weights_too else result


QUERY, KEY, VALUE = spaced(2, 3, 4), spaced(2, 5, 4, seed=1), spaced(2, 5, 3, seed=2)
SEEN = np.array([[1, 0, 1, 1, 0], [0, 0, 1, 0, 0], [1, 1, 1, 0, 1]], bool)


def test_values_and_derivatives():
    check_op(sdpa, definition, QUERY, KEY, VALUE)


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5), (2, 1, 5), (1, 5), (5,)])
def test_a_mask_of_numbers_is_added(shape):
    check_op(sdpa, definition, QUERY, KEY, VALUE, spaced(*shape, seed=3))


@pytest.mark.parametrize("mask", [SEEN, SEEN[:1], np.stack([SEEN, ~SEEN])])
def test_a_mask_of_bools_shows_keys(mask):
    check_op(
        lambda q, k, v: sdpa(q, k, v, Tensor(mask)),
        lambda q, k, v: definition(q, k, v, mask),
        QUERY, KEY, VALUE,
    )  # fmt: skip


@pytest.mark.parametrize("mask", [None, SEEN, spaced(3, 5, seed=3)])
@pytest.mark.parametrize("n", [3, 7])
def test_a_causal_mask_hides_what_comes_later(n, mask):
    query = spaced(2, n, 4)
    if mask is not None:
        mask = np.resize(mask, (n, 5))
    check_op(
        lambda q, k, v: sdpa(q, k, v, None if mask is None else Tensor(mask), is_causal=True),
        lambda q, k, v: definition(q, k, v, mask, causal=True),
        query, KEY, VALUE,
    )  # fmt: skip


@pytest.mark.parametrize("kind", [bool, float])
def test_a_query_that_sees_no_key_gets_zeros(kind):
    seen = SEEN & np.array([[1], [0], [1]], bool)
    mask = seen if kind is bool else np.where(seen, 0.5, -np.inf)
    check_op(
        lambda q, k, v: sdpa(q, k, v, Tensor(mask)),
        lambda q, k, v: definition(q, k, v, mask),
        QUERY, KEY, VALUE,
    )  # fmt: skip
    assert not definition(QUERY, KEY, VALUE, mask)[:, 1].any()


def test_not_a_number_is_not_hidden():
    query = Tensor(np.where(np.arange(4) == 1, np.nan, QUERY))
    for mask in (None, lucid.zeros(3, 5)):
        assert bool(np.isnan(sdpa(query, KEY, VALUE, mask).numpy()).all())


@pytest.mark.parametrize("scale", [0.3, -1.0])
def test_scale(scale):
    check_op(
        lambda q, k, v: sdpa(q, k, v, scale=scale),
        lambda q, k, v: definition(q, k, v, scale=scale),
        QUERY, KEY, VALUE,
    )  # fmt: skip


def test_another_scale_or_mask_compiles_nothing():
    q, k, v, mask = map(Tensor, (QUERY, KEY, VALUE, SEEN * 1.0))
    sdpa(q, k, v, mask, scale=0.5)
    with count_compiles(expect=0):
        sdpa(q, k, v, mask, scale=0.25)


def test_weights_can_be_looked_at():
    check_op(
        lambda q, k, v: sdpa(q, k, v, Tensor(SEEN), output_weight=True),
        lambda q, k, v: definition(q, k, v, SEEN, weights_too=True),
        QUERY, KEY, VALUE,
    )  # fmt: skip


@pytest.mark.parametrize("heads", [1, 2, 6])
@pytest.mark.parametrize("mask", [None, (3, 5), (6, 3, 5), (2, 1, 3, 5)])
def test_heads_in_groups(heads, mask):
    groups = 6 // heads
    added = () if mask is None else (spaced(*mask, seed=3),)

    def reference(q, k, v, *masks):
        return definition(q, np.repeat(k, groups, 1), np.repeat(v, groups, 1), *masks, causal=True)

    arrays = spaced(2, 6, 3, 4), spaced(2, heads, 5, 4, seed=1), spaced(2, heads, 5, 3, seed=2)
    with jax.enable_x64(True):
        tensors = [Tensor(x, requires_grad=True) for x in (*arrays, *added)]
        found = sdpa(*tensors, is_causal=True, enable_gqa=True)
        same(found.numpy(), reference(*arrays, *added), rtol=1e-12)
        found.sum().backward()
        repeated = [Tensor(x, requires_grad=True) for x in (*arrays, *added)]
        wide = [x.swapaxes(0, 1) for x in repeated[1:3]]
        wide = [lucid.concatenate([x[i // groups][None] for i in range(6)]) for x in wide]
        wide = [x.swapaxes(0, 1) for x in wide]
        sdpa(repeated[0], *wide, *repeated[3:], is_causal=True).sum().backward()
        for one, other in zip(tensors, repeated, strict=True):
            np.testing.assert_allclose(one.grad.numpy(), other.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_leading_axes_broadcast():
    query, key = spaced(2, 1, 3, 4), spaced(4, 5, 4, seed=1)
    found = sdpa(Tensor(query), Tensor(key), Tensor(key)).numpy()
    expected = definition(*(np.broadcast_to(x, (2, 4, *x.shape[-2:])) for x in (query, key, key)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("empty", ["batch", "queries", "keys"])
def test_nothing(empty):
    n, length, keys = 2 * (empty != "batch"), 3 * (empty != "queries"), 5 * (empty != "keys")
    query = lucid.zeros(n, length, 4, requires_grad=True)
    found = sdpa(query, lucid.ones(n, keys, 4), lucid.ones(n, keys, 2))
    assert found.shape == (n, length, 2)
    assert not found.numpy().any() or empty != "keys"
    found.sum().backward()
    assert not query.grad.numpy().any()


# --- Dropout ----------------------------------------------------------------------------------


def test_dropout_drops_weights_and_scales_the_rest():
    lucid.random.seed(0)
    key = spaced(200, 4, seed=1)
    _, kept = sdpa(Tensor(QUERY), Tensor(key), Tensor(key), None, 0.25, output_weight=True)
    _, weights = definition(
        QUERY,
        np.broadcast_to(key, (2, 200, 4)),
        np.broadcast_to(key, (2, 200, 4)),
        weights_too=True,
    )
    ratio = kept.numpy() / weights
    dropped = ratio == 0
    assert 0.2 < dropped.mean() < 0.3
    np.testing.assert_allclose(ratio[~dropped], 1 / 0.75, rtol=1e-5)


def test_the_values_meet_the_weights_that_are_given_out():
    lucid.random.seed(0)
    value = Tensor(VALUE)
    found, weights = sdpa(QUERY, KEY, value, None, 0.5, output_weight=True)
    np.testing.assert_allclose(found.numpy(), (weights @ value).numpy(), rtol=1e-5, atol=1e-6)


def test_dropout_in_a_program_draws_anew():
    step = lucid.jit(lambda q: sdpa(q, KEY, VALUE, dropout_p=0.5))
    assert bool((step(Tensor(QUERY)) != step(Tensor(QUERY))).any())


# --- Forms ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bit_floats_are_computed_in_float32(dtype):
    # Scores up to 20, which bfloat16 would round to 1 / 16, and weights that it would round to 0.
    arrays = [4 * spaced(2, 9, 8, seed=i) for i in range(3)]
    narrow = [jnp.asarray(x, dtype) for x in arrays]
    found = sdpa(*map(Tensor, narrow))
    assert found.dtype == dtype
    exact = definition(*(np.asarray(x, np.float64) for x in narrow))
    step = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(np.asarray(found.data, np.float64), exact, rtol=step, atol=1e-6)


def test_arrays_give_arrays_and_transform():
    query, key, value = (jnp.asarray(x, jnp.float32) for x in (QUERY, KEY, VALUE))
    found = jax.jit(jax.vmap(lambda q, k, v: sdpa(q, k, v, is_causal=True)))(query, key, value)
    assert isinstance(found, jax.Array)
    expected = definition(QUERY, KEY, VALUE, causal=True)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_in_a_program():
    q, k, v = (Tensor(x, requires_grad=True) for x in (QUERY, KEY, VALUE))

    def step(q, k, v):
        return sdpa(q, k, v, SEEN, is_causal=True)

    found = lucid.jit(step)(q, k, v)
    np.testing.assert_allclose(found.numpy(), step(q, k, v).numpy(), rtol=1e-6, atol=1e-7)
    assert found.requires_grad


# --- Errors -----------------------------------------------------------------------------------


def zeros(*shape):
    return lucid.zeros(shape)


ERRORS = [
    ((zeros(2, 3, 4), zeros(2, 5, 3), zeros(2, 5, 3)), {},
     "query and key must agree in their last axis; got query (2, 3, 4) and key (2, 5, 3)"),
    ((zeros(2, 3, 4), zeros(2, 5, 4), zeros(2, 6, 4)), {},
     "there must be a value for each of the 5 keys, got value (2, 6, 4)"),
    ((zeros(2, 3, 4), zeros(3, 5, 4), zeros(3, 5, 4)), {},
     "the leading axes must broadcast, or enable_gqa be given; got query (2, 3, 4) and key "
     "(3, 5, 4)"),
    ((zeros(2, 3, 4), zeros(2, 5, 4), zeros(3, 5, 4)), {},
     "the leading axes must broadcast, or enable_gqa be given; got weights (2, 3, 5) and value "
     "(3, 5, 4)"),
    ((zeros(6, 3, 4), zeros(4, 5, 4), zeros(4, 5, 4)), {"enable_gqa": True},
     "with enable_gqa the heads, axis -3, of key must divide those of query; got query (6, 3, 4) "
     "and key (4, 5, 4)"),
    ((zeros(3, 4), zeros(5, 4), zeros(5, 4)), {"enable_gqa": True}, "3 axes or more are needed"),
    ((zeros(4), zeros(5, 4), zeros(5, 4)), {}, "2 axes or more are needed; got query (4,)"),
    ((zeros(2, 3, 4), zeros(2, 5, 4), zeros(2, 5, 4), zeros(3, 4)), {},
     "attn_mask must broadcast to the shape of the scores, (2, 3, 5); got (3, 4)"),
    ((zeros(3, 4), zeros(5, 4), zeros(5, 4), zeros(2, 3, 5)), {},
     "attn_mask must broadcast to the shape of the scores, (3, 5); got (2, 3, 5)"),
    ((zeros(3, 4), zeros(5, 4), zeros(5, 4)), {"dropout_p": 1.5},
     "dropout_p must be from 0 to 1, got 1.5"),
]  # fmt: skip


@pytest.mark.parametrize("args, named, text", ERRORS)
def test_errors_say_what_is_wrong(args, named, text):
    with pytest.raises(ValueError, match="scaled_dot_product_attention: .*" + re.escape(text)):
        sdpa(*args, **named)


def test_a_mask_of_integers_is_refused():
    text = "attn_mask must hold bools, true where a query may see a key, or floats .* got int32"
    with pytest.raises(TypeError, match=text):
        sdpa(zeros(3, 4), zeros(5, 4), zeros(5, 4), lucid.ones(3, 5, dtype="int32"))
