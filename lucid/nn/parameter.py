"""Parameter and Buffer: the Tensors that a Module owns."""

from __future__ import annotations

from typing import Any

import numpy as np

from lucid._core.tensor import Tensor, register_pytree
from lucid._core.typing import Device, DType

__all__ = [
    "Buffer",
    "Parameter",
]


class Parameter(Tensor):
    """A Tensor that a Module learns: assigned to an attribute, it joins `parameters()`.

    Args:
        data: as for `Tensor`.
        requires_grad: whether it gets a gradient; on by default.
        dtype: as for `Tensor`.
        device: as for `Tensor`.

    Raises:
        TypeError: `requires_grad` is no truth value, or as for `Tensor`.

    >>> nn.Parameter([1.0, 2.0])
    Parameter([1., 2.])
    """

    __slots__ = ()

    def __init__(
        self,
        data: Any,
        requires_grad: bool = True,
        dtype: DType = None,
        device: str | Device | None = None,
    ) -> None:
        if not isinstance(requires_grad, (bool, np.bool_)):  # lucid 2 has dtype in its place
            raise TypeError(
                f"Parameter: requires_grad is True or False, got {requires_grad!r}; name dtype=."
            )
        super().__init__(data, requires_grad, dtype=dtype, device=device)


class Buffer(Tensor):
    """A Tensor that a Module keeps but does not learn, such as a running mean.

    Assigned to an attribute, it joins `buffers()` and `state_dict()`.

    >>> nn.Buffer([0.0])
    Buffer([0.])
    """

    __slots__ = ()

    def __init__(
        self,
        data: Any,
        dtype: DType = None,
        device: str | Device | None = None,
    ) -> None:
        super().__init__(data, dtype=dtype, device=device)


register_pytree(Parameter)
register_pytree(Buffer)
