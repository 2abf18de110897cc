"""Attention: products of queries and keys weigh values.

These are products of matrices with a softmax between them, in float32 at least, and not
`jax.nn.dot_product_attention`: that rounds float64 to float32, knows no dropout, does not show the
weights, lets a query that may see no key see them all, and takes a fifth more time on the CPU. Its
fused form, cuDNN's, has no second derivative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from lucid._core.declaration import op
from lucid._core.typing import Array, Operand
from lucid.ops.precision import narrowed, wide

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor


@op
def attention(
    query: Operand,
    key: Operand,
    value: Operand,
    attn_mask: Operand | None,
    scale: Operand | None,
    is_causal: bool,
    enable_gqa: bool,
) -> Tensor:
    """softmax(scale * query @ key.T + mask) @ value; see `F.scaled_dot_product_attention`."""
    weights = attention_weights.pure(query, key, attn_mask, scale, is_causal, enable_gqa)
    return attend.pure(weights, value, enable_gqa)


@op
def attention_weights(
    query: Operand,
    key: Operand,
    attn_mask: Operand | None,
    scale: Operand | None,
    is_causal: bool,
    enable_gqa: bool,
) -> Tensor:
    """How much each query takes of each value, in float32 at least; 0 of all if it sees no key.

    Shape: query (..., L, E), key (..., S, E) -> (..., L, S)
    """
    q, k = wide(query), wide(key)
    _check("query", q, "key", k, enable_gqa)
    if q.shape[-1] != k.shape[-1]:
        raise _misfit("query and key must agree in their last axis", query=q, key=k)
    if scale is None:
        scale = q.shape[-1] ** -0.5
    scores = _product(q * scale, jnp.swapaxes(k, -1, -2), enable_gqa)
    visible = None
    if attn_mask is not None:
        mask = _checked_mask(attn_mask, scores)
        if mask.dtype == bool:
            visible = mask
        else:
            scores = scores + mask.astype(scores.dtype)
            visible = ~jnp.isneginf(scores)
    if is_causal:
        n, keys = scores.shape[-2:]
        earlier = jnp.tri(n, keys, dtype=bool)
        visible = earlier if visible is None else visible & earlier
    return jax.nn.softmax(scores, -1, where=visible)


@op
def attend(weights: Operand, value: Operand, enable_gqa: bool) -> Tensor:
    """The values by their weights, in the dtype of the values.

    Shape: weights (..., L, S), value (..., S, E) -> (..., L, E)
    """
    w, v = jnp.asarray(weights), wide(value)
    _check("weights", w, "value", v, enable_gqa)
    if w.shape[-1] != v.shape[-2]:
        raise ValueError(
            f"scaled_dot_product_attention: there must be a value for each of the {w.shape[-1]} "
            f"keys, got value {v.shape}."
        )
    return narrowed(_product(w, v, enable_gqa), value)


def _product(a: Array, b: Array, enable_gqa: bool) -> Array:
    """`a @ b`; with groups, the heads of `b` serve as many neighbouring heads of `a` each."""
    if not enable_gqa:
        return jnp.matmul(a, b)
    *_, heads, n, _ = a.shape
    shared = b.shape[-3]
    y = jnp.matmul(a.reshape(*a.shape[:-3], shared, heads // shared * n, a.shape[-1]), b)
    return y.reshape(*y.shape[:-3], heads, n, y.shape[-1])


def _check(name: str, a: Array, other: str, b: Array, enable_gqa: bool) -> None:
    """Refuse shapes whose leading axes do not fit."""
    heads = 3 if enable_gqa else 2
    if min(a.ndim, b.ndim) < heads:
        raise _misfit(f"{heads} axes or more are needed", **{name: a, other: b})
    if enable_gqa and (not b.shape[-3] or a.shape[-3] % b.shape[-3]):
        raise _misfit(
            f"with enable_gqa the heads, axis -3, of {other} must divide those of {name}",
            **{name: a, other: b},
        )
    if not _broadcast(a.shape[:-heads], b.shape[:-heads]):
        more = "" if enable_gqa else ", or enable_gqa be given"
        raise _misfit(f"the leading axes must broadcast{more}", **{name: a, other: b})


def _checked_mask(attn_mask: Operand, scores: Array) -> Array:
    mask = jnp.asarray(attn_mask)
    if not (mask.dtype == bool or jnp.issubdtype(mask.dtype, jnp.floating)):
        raise TypeError(
            "scaled_dot_product_attention: attn_mask must hold bools, true where a query may see a "
            f"key, or floats that are added to the scores; got {mask.dtype}."
        )
    if not _broadcast(mask.shape, scores.shape, to=scores.shape):
        raise ValueError(
            "scaled_dot_product_attention: attn_mask must broadcast to the shape of the scores, "
            f"{scores.shape}; got {mask.shape}."
        )
    return mask


def _broadcast(*shapes: tuple[int, ...], to: tuple[int, ...] | None = None) -> bool:
    """Whether arrays of these shapes broadcast, to a given one if there is one."""
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return to is None or shape == to


def _misfit(rule: str, **arrays: Array) -> ValueError:
    shapes = " and ".join(f"{name} {x.shape}" for name, x in arrays.items())
    return ValueError(f"scaled_dot_product_attention: {rule}; got {shapes}.")
