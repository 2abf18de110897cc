"""The operators and methods of Tensor that are pure functions of its elements."""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import jax
import numpy as np

from lucid._core import arrays, hints, spread
from lucid._core.arguments import as_shape
from lucid._core.declaration import Function, in_place, method
from lucid._core.gate import run
from lucid._core.typing import DType, Number, Operand, Shape
from lucid._core.variable import Variable
from lucid.ops import (
    cumulative,
    elementwise,
    linalg,
    logic,
    matrix,
    reduce,
    selection,
    shape,
    sorting,
    trigonometry,
)

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

_OPERANDS = (Variable, bool, int, float, complex, np.ndarray, np.generic, jax.Array)


def _binary(
    function: Function[[Operand, Operand], Tensor, Any], reflected: bool = False
) -> Callable[[Any, Operand], Tensor]:
    """An operator method; what is no data is left to the other operand's class."""
    declaration = function.declaration
    call: Callable[..., Any] = function
    if declaration.plain is not None and declaration.low is None:
        call = functools.partial(run, declaration.plain)  # a frame less

    def operator(self: Any, other: Operand) -> Tensor:
        if not isinstance(other, _OPERANDS):
            return NotImplemented
        return call(other, self) if reflected else call(self, other)

    operator.__doc__ = function.__doc__
    return operator


# Of NumPy's functions for operators, what computes them when the second operand is a Tensor.
_REFLECTED = {
    "add": "__radd__", "subtract": "__rsub__", "multiply": "__rmul__", "divide": "__rtruediv__",
    "floor_divide": "__rfloordiv__", "remainder": "__rmod__", "power": "__rpow__",
    "matmul": "__rmatmul__", "bitwise_and": "__rand__", "bitwise_or": "__ror__",
    "bitwise_xor": "__rxor__", "less": "__gt__", "less_equal": "__ge__", "greater": "__lt__",
    "greater_equal": "__le__", "equal": "__eq__", "not_equal": "__ne__",
}  # fmt: skip


class Methods:
    """Mixed into Tensor; each entry is one declared function of `lucid.ops`."""

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
    __and__ = _binary(logic.bitwise_and)
    __rand__ = _binary(logic.bitwise_and, reflected=True)
    __or__ = _binary(logic.bitwise_or)
    __ror__ = _binary(logic.bitwise_or, reflected=True)
    __xor__ = _binary(logic.bitwise_xor)
    __rxor__ = _binary(logic.bitwise_xor, reflected=True)
    __lt__ = _binary(logic.less)
    __le__ = _binary(logic.less_equal)
    __gt__ = _binary(logic.greater)
    __ge__ = _binary(logic.greater_equal)
    __eq__ = _binary(logic.equal)  # type: ignore[assignment]  # compares elements
    __ne__ = _binary(logic.not_equal)  # type: ignore[assignment]
    __neg__ = method(elementwise.negative)
    __abs__ = method(elementwise.abs)
    __invert__ = method(logic.invert)

    __pow__ = _binary(elementwise.power)

    def __pos__(self) -> Self:
        return self

    def __array_ufunc__(self, ufunc: np.ufunc, way: str, *operands: Any, **options: Any) -> Tensor:
        """What NumPy calls for `array + tensor`; functions and `array += tensor` are refused."""
        own = _REFLECTED.get(ufunc.__name__)
        second = len(operands) == 2 and operands[1] is self
        if own is None or way != "__call__" or not second or options:
            raise TypeError(hints.of_numpy(ufunc.__name__, way))
        result: Tensor = getattr(self, own)(operands[0])
        return result

    __iadd__ = in_place(elementwise.add)
    __isub__ = in_place(elementwise.sub)
    __imul__ = in_place(elementwise.multiply)
    __itruediv__ = in_place(elementwise.div)
    __ifloordiv__ = in_place(elementwise.floor_div)
    __imod__ = in_place(elementwise.remainder)
    __ipow__ = in_place(elementwise.power)
    __imatmul__ = in_place(linalg.matmul)
    __iand__ = in_place(logic.bitwise_and)
    __ior__ = in_place(logic.bitwise_or)
    __ixor__ = in_place(logic.bitwise_xor)

    # Elementwise functions, and in-place forms of those for which lucid has them.
    abs, abs_ = method(elementwise.abs), in_place(elementwise.abs)
    sign, sign_ = method(elementwise.sign), in_place(elementwise.sign)
    reciprocal, reciprocal_ = method(elementwise.reciprocal), in_place(elementwise.reciprocal)
    square, square_ = method(elementwise.square), in_place(elementwise.square)
    cube, cube_ = method(elementwise.cube), in_place(elementwise.cube)
    sqrt, sqrt_ = method(elementwise.sqrt), in_place(elementwise.sqrt)
    exp, exp_ = method(elementwise.exp), in_place(elementwise.exp)
    log, log_ = method(elementwise.log), in_place(elementwise.log)
    log1p = method(elementwise.log1p)
    rsqrt = method(elementwise.rsqrt)
    log2, log2_ = method(elementwise.log2), in_place(elementwise.log2)
    sin, sin_ = method(trigonometry.sin), in_place(trigonometry.sin)
    cos, cos_ = method(trigonometry.cos), in_place(trigonometry.cos)
    tan, tan_ = method(trigonometry.tan), in_place(trigonometry.tan)
    arcsin, arcsin_ = method(trigonometry.arcsin), in_place(trigonometry.arcsin)
    arccos, arccos_ = method(trigonometry.arccos), in_place(trigonometry.arccos)
    arctan, arctan_ = method(trigonometry.arctan), in_place(trigonometry.arctan)
    sinh, sinh_ = method(trigonometry.sinh), in_place(trigonometry.sinh)
    cosh, cosh_ = method(trigonometry.cosh), in_place(trigonometry.cosh)
    tanh, tanh_ = method(trigonometry.tanh), in_place(trigonometry.tanh)
    floor, floor_ = method(elementwise.floor), in_place(elementwise.floor)
    ceil, ceil_ = method(elementwise.ceil), in_place(elementwise.ceil)
    round, round_ = method(elementwise.round), in_place(elementwise.round)
    clip, clip_ = method(elementwise.clip), in_place(elementwise.clip)
    masked_fill = method(elementwise.masked_fill)

    add_ = in_place(elementwise.add)
    sub_ = in_place(elementwise.sub)
    mul_ = in_place(elementwise.multiply)
    div_ = in_place(elementwise.div)
    power_ = in_place(elementwise.power)
    maximum_ = in_place(elementwise.maximum)
    minimum_ = in_place(elementwise.minimum)
    neg_ = in_place(elementwise.negative)

    # Kinds of numbers.
    isnan = method(logic.isnan)
    isinf = method(logic.isinf)
    isfinite = method(logic.isfinite)
    isclose = method(logic.isclose)
    allclose = method(logic.allclose)

    # Reductions, scans and order.
    sum = method(reduce.sum)
    mean = method(reduce.mean)
    var = method(reduce.var)
    std = method(reduce.std)
    norm = method(reduce.norm)
    logsumexp = method(reduce.logsumexp)
    prod = method(reduce.prod)
    max = method(reduce.max)
    min = method(reduce.min)
    all = method(reduce.all)
    any = method(reduce.any)
    argmax = method(reduce.argmax)
    argmin = method(reduce.argmin)
    cumsum = method(cumulative.cumsum)
    cumprod = method(cumulative.cumprod)
    cummax = method(cumulative.cummax)
    cummin = method(cumulative.cummin)
    argsort = method(sorting.argsort)
    sort = method(sorting.sort)
    topk = method(sorting.topk)
    unique = method(selection.unique)
    nonzero = method(selection.nonzero)
    masked_select = method(selection.masked_select)

    # Products.
    matmul = method(linalg.matmul)
    dot = method(linalg.dot)
    outer = method(linalg.outer)
    tensordot = method(linalg.tensordot)

    # Shape.
    transpose = method(shape.transpose)
    swapaxes = method(shape.swapaxes)
    squeeze = method(shape.squeeze)
    unsqueeze = method(shape.unsqueeze)
    flatten = method(shape.flatten)
    ravel = method(shape.ravel)
    broadcast_to = method(shape.broadcast_to)
    expand = method(shape.expand)
    split = method(shape.split)
    chunk = method(shape.chunk)
    unbind = method(shape.unbind)
    pad = method(shape.pad)
    repeat = method(shape.repeat)
    tile = method(shape.tile)
    roll = method(shape.roll)
    flip = method(shape.flip)
    tril = method(matrix.tril)
    triu = method(matrix.triu)
    diagonal = method(matrix.diagonal)
    trace = method(matrix.trace)
    gather = method(shape.gather)
    take_along_axis = method(shape.take_along_axis)
    clone = method(shape.clone)

    def reshape(self: Any, *sizes: Shape) -> Tensor:
        """The same elements in another shape, given as one tuple or as several integers.

        >>> Tensor([1, 2, 3, 4]).reshape(2, -1).shape
        (2, 2)
        """
        return shape.reshape(self, as_shape(sizes))

    # Conversion of dtype.
    def astype(self: Any, dtype: DType) -> Tensor:
        """The values in another dtype; recorded.

        >>> Tensor([1.5, 2.5]).astype(int)
        Tensor([1, 2], dtype=int32)
        """
        return elementwise.astype(self, arrays.canonical_dtype(dtype))

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

    # Numbers of Python.
    def item(self: Any) -> Number:
        """The only element, as a Python number."""
        if self.size != 1:
            raise ValueError(
                f"item: a Tensor of one element is needed, this one has shape {self.shape}."
            )
        return spread.read("item", self.data, lambda data: data.item())

    def tolist(self: Any) -> Any:
        """The values as nested Python lists, or a Python number if there are no axes."""
        return spread.read("tolist", self.data, lambda data: data.tolist())

    def __bool__(self: Any) -> builtins.bool:
        if self.size != 1:
            raise ValueError(
                f"bool() of a Tensor of shape {self.shape} is ambiguous. Use any() or all()."
            )
        return builtins.bool(self.item())

    def __float__(self: Any) -> builtins.float:
        return builtins.float(self.item())  # of complex numbers, TypeError

    def __int__(self: Any) -> builtins.int:
        return builtins.int(self.item())  # of complex numbers, TypeError

    def __complex__(self: Any) -> builtins.complex:
        return builtins.complex(self.item())

    def __round__(self: Any, ndigits: builtins.int | None = None) -> Tensor:
        return elementwise.round(self, ndigits or 0)

    def __format__(self: Any, spec: str) -> str:
        if not spec:
            return str(self)
        if self.size != 1:
            raise TypeError(
                f"format: {spec!r} shows one number, and this Tensor has shape {self.shape}. "
                "Format its items, or print it without a format."
            )
        return format(self.item(), spec)

    def __index__(self: Any) -> builtins.int:
        if self.size != 1 or self.dtype.kind not in "iu":
            raise TypeError(
                "Only an integer Tensor of one element is an index; this one has dtype "
                f"{self.dtype} and shape {self.shape}."
            )
        return builtins.int(self.item())
