"""From class numbers to vectors."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from lucid._core.typing import Array, DType, Operand


def embedding(ids: Operand, weight: Array, /, padding_idx: int | None = None) -> Array:
    """The rows of `weight` that `ids` names; NaN for a row that does not exist."""
    ids = _integers("embedding", ids)
    rows = weight.shape[0]
    if padding_idx is not None:
        row = padding_row("embedding", padding_idx, rows)
        weight = weight.at[row].set(jax.lax.stop_gradient(weight[row]))
    # Without this, a negative number would count from the end.
    at = jnp.where(ids < 0, rows, ids)
    return jnp.take(weight, at, 0, mode="fill", fill_value=jnp.nan)


def padding_row(call: str, padding_idx: int, rows: int) -> int:
    """`padding_idx` counted from the start."""
    if not -rows <= padding_idx < rows:
        raise ValueError(
            f"{call}: padding_idx must be from {-rows} to {rows - 1}, got {padding_idx}."
        )
    return padding_idx % rows


def renormalised(weight: Array, ids: Operand, /, max_norm: float, norm_type: float) -> Array:
    """`weight` with the rows that `ids` names scaled down to a norm of `max_norm`."""
    ids = _integers("embedding", ids).ravel()
    named = jnp.zeros(weight.shape[0], bool).at[ids].set(True, mode="drop")
    norm = jnp.linalg.norm(weight, norm_type, axis=1)
    scale = jnp.where(named & (norm > max_norm), max_norm / (norm + 1e-7), 1)
    return (weight * scale[:, None]).astype(weight.dtype)


def one_hot(ids: Operand, /, num_classes: int, dtype: DType) -> Array:
    """1 at the position that each number names, else 0; zeros if it is out of range."""
    ids = _integers("one_hot", ids)
    return (ids[..., None] == jnp.arange(num_classes)).astype(dtype)


def _integers(call: str, ids: Operand) -> Array:
    ids = jnp.asarray(ids)
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise TypeError(f"{call}: integers are needed, got dtype {ids.dtype}.")
    return ids
