"""Running averages of Parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from lucid._core.declaration import op
from lucid._core.typing import Operand

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor


@op
def averaged(count: Operand, decay: Operand, *values: Operand) -> tuple[Tensor, ...]:
    """The count and the averages after one more update; first come the old values, then the new."""
    n = len(values) // 2
    share = jnp.where(count == 0, 1.0, 1.0 - decay)
    averages = [
        (old + share * (new - old)).astype(old.dtype)
        for old, new in zip(map(jnp.asarray, values[:n]), values[n:], strict=True)
    ]
    return count + 1, *averages
