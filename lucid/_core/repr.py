"""How a Tensor prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import numpy as np

from lucid._core import spread
from lucid.types import Float32

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor


def tensor_repr(tensor: Tensor, name: str) -> str:
    """Values, then what is not the default: dtype, device, and where a gradient flows."""
    data = tensor.data
    notes = []
    if isinstance(data, jax.core.Tracer):
        values = f"<traced {data.dtype}{list(data.shape)}>"
    elif spread.spans(data):
        values = (
            f"<{data.dtype}{list(data.shape)} as {data.sharding}; its values lie on several "
            "processes: lucid.sharding.whole(x)>"
        )
    else:
        values = np.array2string(np.asarray(data), precision=4, separator=", ", prefix=f"{name}(")
        if data.size == 0 and data.shape != (0,):
            notes.append(f"shape={data.shape}")
        if data.dtype != Float32:
            notes.append(f"dtype={data.dtype}")
        if data.devices() != {jax.devices()[0]}:
            notes.append(f'device="{tensor.device}"')
    if not tensor.is_leaf:
        notes.append(f"grad_fn=<{tensor._cell()._node.op.name}>")
    elif tensor.requires_grad and name == "Tensor":
        notes.append("requires_grad=True")
    return f"{name}({', '.join([values, *notes])})"
