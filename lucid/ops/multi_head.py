"""What stands around the attention of several heads: projections, and masks joined to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax.numpy as jnp

from lucid._core.declaration import op
from lucid._core.typing import Array, Operand
from lucid.ops.affine import linear
from lucid.ops.precision import wide

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor


@op
def in_projection(
    query: Operand,
    key: Operand | None,
    value: Operand | None,
    weights: Sequence[Operand],
    bias: Operand | None,
    heads: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of each head.

    Shape: (..., L, E), (..., S, K), (..., S, V) -> (..., heads, L, E // heads) and with S twice

    Args:
        key: None for the query; also `value`.
        weights: one for all three, (3 * E, E), or one for each.
    """
    if key is None and value is None and len(weights) == 1:
        y = linear.pure(query, weights[0], bias)
        y = y.reshape(*y.shape[:-1], 3, heads, y.shape[-1] // (3 * heads))
        q, k, v = jnp.moveaxis(y, (-3, -2), (0, -3))
        return q, k, v
    inputs = (query, query if key is None else key, query if value is None else value)
    matrices = jnp.split(weights[0], 3) if len(weights) == 1 else weights
    biases = (None, None, None) if bias is None else jnp.split(bias, 3)
    q, k, v = (
        _split_heads(linear.pure(x, w, b), heads)
        for x, w, b in zip(inputs, matrices, biases, strict=True)
    )
    return q, k, v


@op
def query_projection(query: Operand, weight: Operand, bias: Operand | None, heads: int) -> Tensor:
    """The queries of each head alone; weight and bias may go on with those of keys and values."""
    size = jnp.shape(query)[-1]
    own = None if bias is None else jnp.asarray(bias)[:size]
    return _split_heads(linear.pure(query, jnp.asarray(weight)[:size], own), heads)


def _split_heads(x: Array, heads: int) -> Array:
    """(..., L, heads * D) -> (..., heads, L, D)"""
    return jnp.swapaxes(x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads), -3, -2)


@op
def merged_heads(x: Operand) -> Tensor:
    """(..., heads, L, D) -> (..., L, heads * D)"""
    y = jnp.swapaxes(x, -3, -2)
    return y.reshape(*y.shape[:-2], y.shape[-2] * y.shape[-1])


@op
def with_more_keys(x: Operand, bias: Operand | None, zero: bool) -> Tensor:
    """Keys or values (..., heads, S, D), behind them a learned one (1, 1, heads * D), or zeros."""
    x = jnp.asarray(x)
    one = (*x.shape[:-2], 1, x.shape[-1])
    more = [] if bias is None else [jnp.reshape(bias, (x.shape[-3], 1, x.shape[-1]))]
    more += [jnp.zeros(one, x.dtype)] if zero else []
    return jnp.concatenate([x, *(jnp.broadcast_to(y, one).astype(x.dtype) for y in more)], -2)


@op
def joined_mask(
    attn_mask: Operand | None,
    key_padding_mask: Operand | None,
    positions: Operand | None,
    length: Operand | None,
    heads: int,
    keys: int,
    more: int,
) -> Tensor:
    """One mask, as `attention` takes it, from all that hides keys from queries.

    Args:
        attn_mask: (L, keys), (N * heads, L, keys) or (N, heads, L, keys); bools are true where a
            key is hidden, floats are added to the scores.
        key_padding_mask: (N, keys) or (keys,), in the same way.
        positions: of the queries, (L,) or (N, L); each sees no key that comes later.
        length: how many keys there are; the masks may end with them.
        heads: number of heads.
        keys: number of places for keys.
        more: number of keys behind them that nothing hides.
    """
    visible: Array = jnp.ones((1, keys), bool)
    bias: Array | None = None
    for name, mask in (("attn_mask", attn_mask), ("key_padding_mask", key_padding_mask)):
        if mask is None:
            continue
        part: Array = _each_head(name, jnp.asarray(mask), heads)
        room = keys - part.shape[-1]
        if room < 0 or (room and length is None):
            raise ValueError(
                f"MultiHeadAttention: {name} must have {keys} keys as its last axis, got shape "
                f"{jnp.shape(mask)}."
            )
        hides = part.dtype == bool
        hidden = True if hides else -jnp.inf
        part = jnp.pad(part, [(0, 0)] * (part.ndim - 1) + [(0, room)], constant_values=hidden)
        if hides:
            visible = visible & ~part
        else:
            bias = wide(part) + (0.0 if bias is None else bias)
    at = jnp.arange(keys)
    if positions is not None:
        seen = at <= jnp.expand_dims(positions, -1)
        visible = visible & (seen[:, None] if seen.ndim == 3 else seen)
    if length is not None:
        visible = visible & (at < jnp.asarray(length))
    joined: Array = visible if bias is None else jnp.where(visible, bias, -jnp.inf)
    return jnp.pad(joined, [(0, 0)] * (joined.ndim - 1) + [(0, more)], constant_values=bias is None)


def _each_head(name: str, mask: Array, heads: int) -> Array:
    """A mask that broadcasts to (N, heads, L, keys)."""
    if not (mask.dtype == bool or jnp.issubdtype(mask.dtype, jnp.floating)):
        raise TypeError(
            f"MultiHeadAttention: {name} must hold bools, true where a key is hidden, or floats "
            f"that are added to the scores; got {mask.dtype}."
        )
    if name == "key_padding_mask":
        return mask[..., None, None, :]
    if mask.ndim != 3 or mask.shape[0] == heads:
        return mask
    if mask.shape[0] % heads:
        raise ValueError(
            f"MultiHeadAttention: an attn_mask of 3 axes holds a mask for each of {heads} heads of "
            f"each sample, got shape {mask.shape}."
        )
    return mask.reshape(-1, heads, *mask.shape[1:])
