"""Activation layers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np

from lucid._core.arguments import count
from lucid._core.tensor import Tensor
from lucid.nn import functional as F
from lucid.nn.module import Module
from lucid.nn.parameter import Parameter

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "HardSigmoid",
    "HardSwish",
    "Hardtanh",
    "LeakyReLU",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Swish",
    "Tanh",
]


class _Activation(Module):
    """`_function` of the input and of the constructor's arguments, which are attributes."""

    _function: ClassVar[Callable[..., Tensor]]
    _arguments: ClassVar[list[str]] = []

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "_function" in vars(cls):
            _, *cls._arguments = inspect.signature(cls.__init__).parameters

    def forward(self, input_: Tensor) -> Tensor:
        """The layer's function of `input_`."""
        return type(self)._function(input_, *(getattr(self, name) for name in self._arguments))

    def extra_repr(self) -> str:
        values = ((name, getattr(self, name)) for name in self._arguments)
        return ", ".join(f"{k}={v!r}" if isinstance(v, str) else f"{k}={v}" for k, v in values)


class ReLU(_Activation):
    """max(x, 0), elementwise; the gradient at 0 is 0.

    >>> nn.ReLU()(Tensor([-1.0, 2.0]))
    Tensor([0., 2.])
    """

    _function = F.relu


class ReLU6(_Activation):
    """min(max(x, 0), 6), elementwise.

    >>> nn.ReLU6()(Tensor([-1.0, 2.0, 7.0]))
    Tensor([0., 2., 6.])
    """

    _function = F.relu6


class Hardtanh(_Activation):
    """x, but no less than min_val and no more than max_val.

    >>> nn.Hardtanh()(Tensor([-2.0, 0.5, 2.0]))
    Tensor([-1. ,  0.5,  1. ])
    """

    _function = F.hardtanh

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        super().__init__()
        self.min_val = min_val
        self.max_val = max_val


class LeakyReLU(_Activation):
    """x where it is positive, else negative_slope * x.

    >>> nn.LeakyReLU(0.2)(Tensor([-1.0, 2.0]))
    Tensor([-0.2,  2. ])
    """

    _function = F.leaky_relu

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope


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

    def forward(self, input_: Tensor) -> Tensor:
        """`F.prelu(input_, weight)`."""
        return F.prelu(input_, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class ELU(_Activation):
    """x where it is positive, else alpha * (exp(x) - 1); Clevert et al., arXiv:1511.07289.

    >>> nn.ELU()(Tensor([-1.0, 2.0]))
    Tensor([-0.6321,  2.    ])
    """

    _function = F.elu

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha


class SELU(_Activation):
    """1.0507 * elu(x, 1.6733); Klambauer et al., arXiv:1706.02515.

    >>> nn.SELU()(Tensor([-1.0, 1.0]))
    Tensor([-1.1113,  1.0507])
    """

    _function = F.selu


class GELU(_Activation):
    """x * P(Z <= x) for a standard normal Z; Hendrycks & Gimpel, arXiv:1606.08415.

    Args:
        approximate: "none", or "tanh" for the approximation of that paper.

    >>> nn.GELU()(Tensor([-1.0, 1.0]))
    Tensor([-0.1587,  0.8413])
    """

    _function = F.gelu

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        super().__init__()
        self.approximate = approximate


class Sigmoid(_Activation):
    """1 / (1 + exp(-x)), elementwise.

    >>> nn.Sigmoid()(Tensor([0.0]))
    Tensor([0.5])
    """

    _function = F.sigmoid


class HardSigmoid(_Activation):
    """min(max(x + 3, 0), 6) / 6, elementwise.

    >>> nn.HardSigmoid()(Tensor([-4.0, 0.0, 1.5]))
    Tensor([0.  , 0.5 , 0.75])
    """

    _function = F.hard_sigmoid


class SiLU(_Activation):
    """x * sigmoid(x), elementwise; Ramachandran et al., arXiv:1710.05941.

    >>> nn.SiLU()(Tensor([-1.0, 1.0]))
    Tensor([-0.2689,  0.7311])
    """

    _function = F.silu


class Swish(SiLU):
    """`SiLU` by its other name.

    >>> nn.Swish()(Tensor([-1.0, 1.0]))
    Tensor([-0.2689,  0.7311])
    """


class HardSwish(_Activation):
    """x * min(max(x + 3, 0), 6) / 6, elementwise; Howard et al., arXiv:1905.02244.

    >>> nn.HardSwish()(Tensor([-4.0, 1.0, 4.0]))
    Tensor([-0.    ,  0.6667,  4.    ])
    """

    _function = F.hard_swish


class Mish(_Activation):
    """x * tanh(softplus(x)), elementwise; Misra, arXiv:1908.08681.

    >>> nn.Mish()(Tensor([-1.0, 1.0]))
    Tensor([-0.3034,  0.8651])
    """

    _function = F.mish


class Softplus(_Activation):
    """log(1 + exp(beta * x)) / beta; x itself where beta * x is above the threshold.

    >>> nn.Softplus()(Tensor([-1.0, 0.0, 30.0]))
    Tensor([ 0.3133,  0.6931, 30.    ])
    """

    _function = F.softplus

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold


class Tanh(_Activation):
    """Hyperbolic tangent, elementwise.

    >>> nn.Tanh()(Tensor([0.0, 1.0]))
    Tensor([0.    , 0.7616])
    """

    _function = F.tanh


class Softmax(_Activation):
    """exp(x) / sum(exp(x)) along `axis`.

    >>> nn.Softmax()(Tensor([0.0, 0.0]))
    Tensor([0.5, 0.5])
    """

    _function = F.softmax

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis


class LogSoftmax(_Activation):
    """x - log(sum(exp(x))) along `axis`.

    >>> nn.LogSoftmax()(Tensor([0.0, 0.0]))
    Tensor([-0.6931, -0.6931])
    """

    _function = F.log_softmax

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis
