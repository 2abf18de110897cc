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
