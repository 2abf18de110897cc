"""Activation layers."""

from __future__ import annotations

from typing import Literal

import numpy as np

from lucid._core.arguments import count
from lucid._core.tensor import Tensor
from lucid.nn import functional as F
from lucid.nn.module import Module
from lucid.nn.parameter import Parameter


class ReLU(Module):
    """max(x, 0), elementwise; the gradient at 0 is 0.

    >>> nn.ReLU()(Tensor([-1.0, 2.0]))
    Tensor([0., 2.])
    """

    def forward(self, input: Tensor) -> Tensor:
        """`F.relu(input)`."""
        return F.relu(input)


class ReLU6(Module):
    """min(max(x, 0), 6), elementwise.

    >>> nn.ReLU6()(Tensor([-1.0, 2.0, 7.0]))
    Tensor([0., 2., 6.])
    """

    def forward(self, input: Tensor) -> Tensor:
        """`F.relu6(input)`."""
        return F.relu6(input)


class Hardtanh(Module):
    """x, but no less than min_val and no more than max_val.

    >>> nn.Hardtanh()(Tensor([-2.0, 0.5, 2.0]))
    Tensor([-1. ,  0.5,  1. ])
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        super().__init__()
        self.min_val = min_val
        self.max_val = max_val

    def forward(self, input: Tensor) -> Tensor:
        """`F.hardtanh(input, min_val, max_val)`."""
        return F.hardtanh(input, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}"


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


class PReLU(Module):
    """x where it is positive, else weight * x with a learned weight; He et al., arXiv:1502.01852.

    Shape: (N, C, *), unchanged

    Args:
        num_parameters: 1 weight for all channels, or C for one of each.
        init: initial value of the weight.

    Raises:
        ValueError: the input has neither 1 channel nor as many as there are weights.

    >>> nn.PReLU()(Tensor([-1.0, 2.0])).tolist()
    [-0.25, 2.0]
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__()
        self.num_parameters = count("PReLU", "num_parameters", num_parameters)
        self.init = init
        self.weight = Parameter(np.full(num_parameters, init))

    def forward(self, input: Tensor) -> Tensor:
        """`F.prelu(input, weight)`."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class ELU(Module):
    """x where it is positive, else alpha * (exp(x) - 1); Clevert et al., arXiv:1511.07289.

    >>> nn.ELU()(Tensor([-1.0, 2.0]))
    Tensor([-0.6321,  2.    ])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        """`F.elu(input, alpha)`."""
        return F.elu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class SELU(Module):
    """1.0507 * elu(x, 1.6733); Klambauer et al., arXiv:1706.02515.

    >>> nn.SELU()(Tensor([-1.0, 1.0]))
    Tensor([-1.1113,  1.0507])
    """

    def forward(self, input: Tensor) -> Tensor:
        """`F.selu(input)`."""
        return F.selu(input)


class GELU(Module):
    """x * P(Z <= x) for a standard normal Z; Hendrycks & Gimpel, arXiv:1606.08415.

    Args:
        approximate: "none", or "tanh" for the approximation of that paper.

    >>> nn.GELU()(Tensor([-1.0, 1.0]))
    Tensor([-0.1587,  0.8413])
    """

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """`F.gelu(input, approximate)`."""
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Sigmoid(Module):
    """1 / (1 + exp(-x)), elementwise.

    >>> nn.Sigmoid()(Tensor([0.0]))
    Tensor([0.5])
    """

    def forward(self, input: Tensor) -> Tensor:
        """`F.sigmoid(input)`."""
        return F.sigmoid(input)


class HardSigmoid(Module):
    """min(max(x + 3, 0), 6) / 6, elementwise.

    >>> nn.HardSigmoid()(Tensor([-4.0, 0.0, 1.5]))
    Tensor([0.  , 0.5 , 0.75])
    """

    def forward(self, input: Tensor) -> Tensor:
        """`F.hard_sigmoid(input)`."""
        return F.hard_sigmoid(input)


class SiLU(Module):
    """x * sigmoid(x), elementwise; Ramachandran et al., arXiv:1710.05941.

    >>> nn.SiLU()(Tensor([-1.0, 1.0]))
    Tensor([-0.2689,  0.7311])
    """

    def forward(self, input: Tensor) -> Tensor:
        """`F.silu(input)`."""
        return F.silu(input)


class Swish(SiLU):
    """`SiLU` by its other name.

    >>> nn.Swish()(Tensor([-1.0, 1.0]))
    Tensor([-0.2689,  0.7311])
    """


class HardSwish(Module):
    """x * min(max(x + 3, 0), 6) / 6, elementwise; Howard et al., arXiv:1905.02244.

    >>> nn.HardSwish()(Tensor([-4.0, 1.0, 4.0]))
    Tensor([-0.    ,  0.6667,  4.    ])
    """

    def forward(self, input: Tensor) -> Tensor:
        """`F.hard_swish(input)`."""
        return F.hard_swish(input)


class Mish(Module):
    """x * tanh(softplus(x)), elementwise; Misra, arXiv:1908.08681.

    >>> nn.Mish()(Tensor([-1.0, 1.0]))
    Tensor([-0.3034,  0.8651])
    """

    def forward(self, input: Tensor) -> Tensor:
        """`F.mish(input)`."""
        return F.mish(input)


class Softplus(Module):
    """log(1 + exp(beta * x)) / beta; x itself where beta * x is above the threshold.

    >>> nn.Softplus()(Tensor([-1.0, 0.0, 30.0]))
    Tensor([ 0.3133,  0.6931, 30.    ])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        """`F.softplus(input, beta, threshold)`."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Tanh(Module):
    """Hyperbolic tangent, elementwise.

    >>> nn.Tanh()(Tensor([0.0, 1.0]))
    Tensor([0.    , 0.7616])
    """

    def forward(self, input: Tensor) -> Tensor:
        """`F.tanh(input)`."""
        return F.tanh(input)


class Softmax(Module):
    """exp(x) / sum(exp(x)) along `axis`.

    >>> nn.Softmax()(Tensor([0.0, 0.0]))
    Tensor([0.5, 0.5])
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, input: Tensor) -> Tensor:
        """`F.softmax(input, axis)`."""
        return F.softmax(input, self.axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class LogSoftmax(Module):
    """x - log(sum(exp(x))) along `axis`.

    >>> nn.LogSoftmax()(Tensor([0.0, 0.0]))
    Tensor([-0.6931, -0.6931])
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, input: Tensor) -> Tensor:
        """`F.log_softmax(input, axis)`."""
        return F.log_softmax(input, self.axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"
