"""Activation layers."""

from __future__ import annotations

from lucid._tensor import Tensor
from lucid.nn import functional as F
from lucid.nn.module import Module


class ReLU(Module):
    """max(x, 0), elementwise; the gradient at 0 is 0.

    >>> nn.ReLU()(Tensor([-1.0, 2.0]))
    Tensor([0., 2.])
    """

    def forward(self, input: Tensor) -> Tensor:
        """`F.relu(input)`."""
        return F.relu(input)


class LeakyReLU(Module):
    """x where it is positive, else negative_slope * x.

    >>> nn.LeakyReLU(0.2)(Tensor([-1.0, 2.0]))
    Tensor([-0.2,  2. ])
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, input: Tensor) -> Tensor:
        """`F.leaky_relu(input, negative_slope)`."""
        return F.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class Sigmoid(Module):
    """1 / (1 + exp(-x)), elementwise.

    >>> nn.Sigmoid()(Tensor([0.0]))
    Tensor([0.5])
    """

    def forward(self, input: Tensor) -> Tensor:
        """`F.sigmoid(input)`."""
        return F.sigmoid(input)


class Tanh(Module):
    """Hyperbolic tangent, elementwise.

    >>> nn.Tanh()(Tensor([0.0, 1.0]))
    Tensor([0.    , 0.7616])
    """

    def forward(self, input: Tensor) -> Tensor:
        """`F.tanh(input)`."""
        return F.tanh(input)
