"""The functions of the top level: each lifts one function of `lucid.ops`."""

from __future__ import annotations

from collections.abc import Sequence

from lucid._core.gate import apply, lift
from lucid._core.tensor import Tensor
from lucid._core.typing import Operand
from lucid.ops import elementwise, linalg, reduce, shape

add = lift(elementwise.add)
sub = lift(elementwise.sub)
multiply = lift(elementwise.multiply)
div = lift(elementwise.div)
power = lift(elementwise.power)
maximum = lift(elementwise.maximum)
minimum = lift(elementwise.minimum)
abs = lift(elementwise.abs)
sign = lift(elementwise.sign)
reciprocal = lift(elementwise.reciprocal)
square = lift(elementwise.square)
cube = lift(elementwise.cube)
sqrt = lift(elementwise.sqrt)
exp = lift(elementwise.exp)
log = lift(elementwise.log)
log2 = lift(elementwise.log2)
sin = lift(elementwise.sin)
cos = lift(elementwise.cos)
tan = lift(elementwise.tan)
arcsin = lift(elementwise.arcsin)
arccos = lift(elementwise.arccos)
arctan = lift(elementwise.arctan)
sinh = lift(elementwise.sinh)
cosh = lift(elementwise.cosh)
tanh = lift(elementwise.tanh)
floor = lift(elementwise.floor)
ceil = lift(elementwise.ceil)
round = lift(elementwise.round)
clip = lift(elementwise.clip)
where = lift(elementwise.where)
masked_fill = lift(elementwise.masked_fill)

sum = lift(reduce.sum)
mean = lift(reduce.mean)
var = lift(reduce.var)
prod = lift(reduce.prod)
max = lift(reduce.max)
min = lift(reduce.min)
all = lift(reduce.all)
any = lift(reduce.any)
argmax = lift(reduce.argmax)
argmin = lift(reduce.argmin)
cumsum = lift(reduce.cumsum)
cumprod = lift(reduce.cumprod)
argsort = lift(reduce.argsort)
sort = lift(reduce.sort)
topk = lift(reduce.topk)

matmul = lift(linalg.matmul)
dot = lift(linalg.dot)
outer = lift(linalg.outer)
tensordot = lift(linalg.tensordot)

reshape = lift(shape.reshape)
transpose = lift(shape.transpose)
swapaxes = lift(shape.swapaxes)
squeeze = lift(shape.squeeze)
unsqueeze = lift(shape.unsqueeze)
flatten = lift(shape.flatten)
ravel = lift(shape.ravel)
broadcast_to = lift(shape.broadcast_to)
split = lift(shape.split)
chunk = lift(shape.chunk)
unbind = lift(shape.unbind)
pad = lift(shape.pad)
repeat = lift(shape.repeat)
tile = lift(shape.tile)
roll = lift(shape.roll)
tril = lift(shape.tril)
triu = lift(shape.triu)
diagonal = lift(shape.diagonal)

expand_dims = unsqueeze  # both are names of lucid 2


def concatenate(arr: Sequence[Operand], /, axis: int = 0) -> Tensor:
    """The Tensors one behind the other along an axis that they have.

    >>> lucid.concatenate([Tensor([1.0]), Tensor([2.0, 3.0])])
    Tensor([1., 2., 3.])
    """
    return apply(shape.concatenate, *arr, axis=axis)


def stack(arr: Sequence[Operand], /, axis: int = 0) -> Tensor:
    """The Tensors one behind the other along a new axis.

    >>> lucid.stack([Tensor([1.0, 2.0]), Tensor([3.0, 4.0])], axis=1)
    Tensor([[1., 3.],
            [2., 4.]])
    """
    return apply(shape.stack, *arr, axis=axis)


def gather(a: Operand, /, axis: int, index: Operand) -> Tensor:
    """The elements of `a` that `index` names along `axis`, in the shape of `index`.

    >>> lucid.gather(Tensor([[1.0, 2.0], [3.0, 4.0]]), 1, Tensor([[1], [0]]))
    Tensor([[2.],
            [3.]])
    """
    return apply(shape.gather, a, index, axis=axis)


def einsum(subscripts: str, *operands: Operand) -> Tensor:
    """Sum of products that `subscripts` names, in Einstein's notation.

    >>> lucid.einsum("ij,j->i", Tensor([[1.0, 2.0], [3.0, 4.0]]), Tensor([1.0, 1.0]))
    Tensor([3., 7.])
    """
    return apply(linalg.einsum, *operands, subscripts=subscripts)
