"""From class numbers to vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from lucid._core.declaration import checks, op
from lucid._core.known import check_within
from lucid._core.typing import Array, DType, Exponent, Operand
from lucid.ops.norm import vector_norm
from lucid.ops.precision import in_float32, wide_integer

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor


def _check_rows(input_: Operand, weight: Operand) -> None:
    shape = getattr(weight, "shape", ())
    if shape:
        check_within("embedding", "input", input_, 0, shape[0] - 1, error=IndexError)


def _check_embedding(input_: Operand, weight: Operand, padding_idx: int | None) -> None:
    _check_rows(input_, weight)


@op
@checks(_check_embedding)
@in_float32
def embedding(input_: Operand, weight: Operand, padding_idx: int | None = None) -> Tensor:
    """The rows of `weight` that `input_` names; NaN for a row that does not exist."""
    ids, weight = _integers("embedding", input_), jnp.asarray(weight)
    rows = weight.shape[0]
    if padding_idx is not None:
        row = padding_row("embedding", padding_idx, rows)
        weight = weight.at[row].set(jax.lax.stop_gradient(weight[row]))
    return jnp.take(weight, _rows(ids, weight), 0, mode="fill", fill_value=jnp.nan)


def padding_row(call: str, padding_idx: int, rows: int) -> int:
    """`padding_idx` counted from the start."""
    if not -rows <= padding_idx < rows:
        raise ValueError(
            f"{call}: padding_idx must be from {-rows} to {rows - 1}, got {padding_idx}."
        )
    return padding_idx % rows


def _check_renormalised(
    weight: Operand, input_: Operand, max_norm: Operand, norm_type: Exponent
) -> None:
    check_within("embedding", "max_norm", max_norm, 0)
    _check_rows(input_, weight)


@op
@checks(_check_renormalised)
def renormalised(
    weight: Operand, input_: Operand, max_norm: Operand, norm_type: Exponent
) -> Tensor:
    """`weight` with the rows that `input_` names scaled down to a norm of `max_norm`."""
    ids, weight = _integers("embedding", input_).ravel(), jnp.asarray(weight)
    named = jnp.zeros(weight.shape[0], bool).at[_rows(ids, weight)].set(True, mode="drop")
    norm = vector_norm(weight, norm_type, 1)
    scale = jnp.where(named[:, None] & (norm > max_norm), max_norm / (norm + 1e-7), 1)
    return (weight * scale).astype(weight.dtype)


def _rows(ids: Array, weight: Array) -> Array:
    """`ids` with one past the last row in place of negative ones, which would count from it."""
    return jnp.where(ids < 0, weight.shape[0], ids)


def _check_one_hot(input_: Operand, num_classes: int, dtype: DType) -> None:
    check_within("one_hot", "input", input_, 0, num_classes - 1, error=IndexError)


@op
@checks(_check_one_hot)
def one_hot(input_: Operand, num_classes: int, dtype: DType) -> Tensor:
    """1 at the position that each number names, else 0; zeros if there is none."""
    ids = _integers("one_hot", input_)
    return (ids[..., None] == jnp.arange(num_classes)).astype(dtype)


def _integers(call: str, ids: Operand) -> Array:
    ids = jnp.asarray(ids)
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise TypeError(f"{call}: integers are needed, got dtype {ids.dtype}.")
    return wide_integer(ids)
