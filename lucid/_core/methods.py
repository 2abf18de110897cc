"""The operators and methods of Tensor that are pure functions of its elements."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import jax
import numpy as np

from lucid._core import arrays
from lucid._core.arguments import as_shape
from lucid._core.gate import Variable, apply, compiled, lift, run
from lucid._core.typing import Array, DType, Operand, Shape
from lucid.ops import elementwise, linalg, reduce, shape

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

_OPERANDS = (Variable, bool, int, float, complex, np.ndarray, np.generic, jax.Array)


def _binary(fn: Callable[..., Array], reflected: bool = False) -> Callable[..., Tensor]:
    """An operator method; what is no data is left to the other operand's class."""

    op = compiled(fn)

    def operator(self: Any, other: Operand) -> Tensor:
        if not isinstance(other, _OPERANDS):
            return NotImplemented
        return run(op, other, self) if reflected else run(op, self, other)

    operator.__doc__ = fn.__doc__
    return operator


def _in_place(fn: Callable[..., Any]) -> Callable[..., Tensor]:
    """The method that puts the result of `fn` into the place of its first operand."""
    lifted: Callable[..., Tensor] = lift(fn)
    name = f"{fn.__name__}_"

    def in_place(self: Any, *args: Any, **static: Any) -> Tensor:
        self._check_in_place(name)
        return self._rebind(name, lifted(self, *args, **static))

    in_place.__doc__ = f"Put the result of `{fn.__name__}` into the place of this Tensor."
    return in_place


class Operators:
    """Mixed into Tensor; each entry lifts one function of `lucid.ops`."""

    __slots__ = ()

    __add__ = _binary(elementwise.add)
    __radd__ = _binary(elementwise.add, reflected=True)
    __sub__ = _binary(elementwise.sub)
    __rsub__ = _binary(elementwise.sub, reflected=True)
    __mul__ = _binary(elementwise.multiply)
    __rmul__ = _binary(elementwise.multiply, reflected=True)
    __truediv__ = _binary(elementwise.div)
    __rtruediv__ = _binary(elementwise.div, reflected=True)
    __floordiv__ = _binary(elementwise.floor_div)
    __rfloordiv__ = _binary(elementwise.floor_div, reflected=True)
    __mod__ = _binary(elementwise.remainder)
    __rmod__ = _binary(elementwise.remainder, reflected=True)
    __rpow__ = _binary(elementwise.power, reflected=True)
    __matmul__ = _binary(linalg.matmul)
    __rmatmul__ = _binary(linalg.matmul, reflected=True)
    __and__ = _binary(elementwise.bitwise_and)
    __rand__ = _binary(elementwise.bitwise_and, reflected=True)
    __or__ = _binary(elementwise.bitwise_or)
    __ror__ = _binary(elementwise.bitwise_or, reflected=True)
    __xor__ = _binary(elementwise.bitwise_xor)
    __rxor__ = _binary(elementwise.bitwise_xor, reflected=True)
    __lt__ = _binary(elementwise.less)
    __le__ = _binary(elementwise.less_equal)
    __gt__ = _binary(elementwise.greater)
    __ge__ = _binary(elementwise.greater_equal)
    __eq__ = _binary(elementwise.equal)  # type: ignore[assignment]  # compares elements
    __ne__ = _binary(elementwise.not_equal)  # type: ignore[assignment]
    __neg__ = lift(elementwise.negative)
    __abs__ = lift(elementwise.abs)
    __invert__ = lift(elementwise.invert)

    def __pow__(self, exponent: Operand) -> Tensor:
        if isinstance(exponent, (int, float)):
            return apply(elementwise.scalar_power, self, exponent=exponent)
        return _power(self, exponent)

    def __pos__(self) -> Self:
        return self

    __iadd__ = _in_place(elementwise.add)
    __isub__ = _in_place(elementwise.sub)
    __imul__ = _in_place(elementwise.multiply)
    __itruediv__ = _in_place(elementwise.div)
    __ifloordiv__ = _in_place(elementwise.floor_div)
    __imod__ = _in_place(elementwise.remainder)
    __ipow__ = _in_place(elementwise.power)
    __imatmul__ = _in_place(linalg.matmul)
    __iand__ = _in_place(elementwise.bitwise_and)
    __ior__ = _in_place(elementwise.bitwise_or)
    __ixor__ = _in_place(elementwise.bitwise_xor)

    # Elementwise functions, and in-place forms of those for which lucid has them.
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
    masked_fill = lift(elementwise.masked_fill)

    add_ = _in_place(elementwise.add)
    sub_ = _in_place(elementwise.sub)
    mul_ = _in_place(elementwise.multiply)
    div_ = _in_place(elementwise.div)
    power_ = _in_place(elementwise.power)
    maximum_ = _in_place(elementwise.maximum)
    minimum_ = _in_place(elementwise.minimum)
    neg_ = _in_place(elementwise.negative)
    abs_ = _in_place(elementwise.abs)
    sign_ = _in_place(elementwise.sign)
    reciprocal_ = _in_place(elementwise.reciprocal)
    square_ = _in_place(elementwise.square)
    cube_ = _in_place(elementwise.cube)
    sqrt_ = _in_place(elementwise.sqrt)
    exp_ = _in_place(elementwise.exp)
    log_ = _in_place(elementwise.log)
    log2_ = _in_place(elementwise.log2)
    sin_ = _in_place(elementwise.sin)
    cos_ = _in_place(elementwise.cos)
    tan_ = _in_place(elementwise.tan)
    arcsin_ = _in_place(elementwise.arcsin)
    arccos_ = _in_place(elementwise.arccos)
    arctan_ = _in_place(elementwise.arctan)
    sinh_ = _in_place(elementwise.sinh)
    cosh_ = _in_place(elementwise.cosh)
    tanh_ = _in_place(elementwise.tanh)
    floor_ = _in_place(elementwise.floor)
    ceil_ = _in_place(elementwise.ceil)
    round_ = _in_place(elementwise.round)
    clip_ = _in_place(elementwise.clip)

    # Reductions and scans.
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

    # Products.
    matmul = lift(linalg.matmul)
    dot = lift(linalg.dot)
    outer = lift(linalg.outer)
    tensordot = lift(linalg.tensordot)

    # Shape.
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

    def gather(self, axis: int, index: Operand) -> Tensor:
        """The elements that `index` names along `axis`, in the shape of `index`."""
        return apply(shape.gather, self, index, axis=axis)

    def reshape(self, *sizes: Shape) -> Tensor:
        """The same elements in another shape, given as one tuple or as several integers.

        >>> Tensor([1, 2, 3, 4]).reshape(2, -1).shape
        (2, 2)
        """
        return apply(shape.reshape, self, shape=as_shape(sizes))

    def expand(self, *sizes: Shape) -> Tensor:
        """`broadcast_to`, in which a size of -1 keeps the axis as it is.

        >>> lucid.zeros(1, 3).expand(2, -1).shape
        (2, 3)
        """
        return apply(shape.expand, self, sizes=as_shape(sizes))

    # Conversion of dtype.
    def astype(self, dtype: DType) -> Tensor:
        """The values in another dtype; recorded.

        >>> Tensor([1.5, 2.5]).astype(int)
        Tensor([1, 2], dtype=int32)
        """
        target = arrays.canonical_dtype(dtype)
        return apply(elementwise.astype, self, dtype=target)

    def float(self) -> Tensor:
        """The values as the default float dtype."""
        return self.astype(builtins.float)

    def int(self) -> Tensor:
        """The values as the default integer dtype."""
        return self.astype(builtins.int)

    def bool(self) -> Tensor:
        """The values as booleans."""
        return self.astype(builtins.bool)

    def half(self) -> Tensor:
        """The values as float16."""
        return self.astype("float16")

    def bfloat16(self) -> Tensor:
        """The values as bfloat16."""
        return self.astype("bfloat16")

    def double(self) -> Tensor:
        """The values as float64; needs JAX's x64 mode."""
        return self.astype("float64")

    def short(self) -> Tensor:
        """The values as int16."""
        return self.astype("int16")

    def long(self) -> Tensor:
        """The values as int64, which is int32 unless JAX's x64 mode is on."""
        return self.astype("int64")

    def char(self) -> Tensor:
        """The values as int8."""
        return self.astype("int8")


_power = _binary(elementwise.power)
