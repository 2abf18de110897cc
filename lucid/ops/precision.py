"""In which precision to compute: the one rule, for operations, clipping and optimizers.

The 16-bit floats store numbers, and float32 computes with them: sums, logarithms, powers and the
state of an optimizer are held in float32 at least, and a result is rounded once, at the end, to the
dtype of the input that it was computed from. float32 and float64 are computed in as they are.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from lucid._core.typing import Array, Operand


def wide_dtype(dtype: Any) -> np.dtype[Any]:
    """The dtype to compute in: float32 for a narrower one and for integers."""
    return jnp.promote_types(dtype, jnp.float32)


def accumulator(dtype: Any) -> Any:
    """The dtype that sums of products are held in: `wide_dtype`, but exact for integers."""
    return wide_dtype(dtype) if jnp.issubdtype(dtype, jnp.inexact) else dtype


def wide(x: Operand) -> Array:
    """`x` in the dtype to compute in."""
    x = jnp.asarray(x)
    return x.astype(wide_dtype(x.dtype))


def narrowed(y: Array, like: Operand) -> Array:
    """`y` in the dtype of `like`, the input that it was computed from; as it is for integers."""
    dtype = jnp.result_type(like)
    return y.astype(dtype) if jnp.issubdtype(dtype, jnp.inexact) else y
