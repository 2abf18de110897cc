"""Activation functions: each lifts one function of `lucid.ops.activation`."""

from __future__ import annotations

from lucid._core.gate import apply, lift
from lucid._core.tensor import Tensor
from lucid._core.typing import Operand
from lucid.ops import activation, elementwise

relu = lift(activation.relu)
relu6 = lift(activation.relu6)
hardtanh = lift(activation.hardtanh)
leaky_relu = lift(activation.leaky_relu)
elu = lift(activation.elu)
selu = lift(activation.selu)
gelu = lift(activation.gelu)
sigmoid = lift(activation.sigmoid)
hard_sigmoid = lift(activation.hard_sigmoid)
silu = lift(activation.silu)
hard_swish = lift(activation.hard_swish)
mish = lift(activation.mish)
softplus = lift(activation.softplus)
softmax = lift(activation.softmax)
log_softmax = lift(activation.log_softmax)
tanh = lift(elementwise.tanh)


def prelu(input_: Operand, weight: Operand) -> Tensor:
    """x where it is positive, else weight * x; He et al., arXiv:1502.01852.

    Shape: (N, C, *), weight (1,) or (C,) -> (N, C, *)

    Raises:
        ValueError: the weight has neither 1 value nor one per channel.

    >>> F.prelu(Tensor([-1.0, 2.0]), Tensor([0.25]))
    Tensor([-0.25,  2.  ])
    """
    return apply(activation.prelu, input_, weight)
