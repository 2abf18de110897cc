"""Tensors of given values, constants and ranges.

All but `from_dlpack` take `dtype` (float32 or int32 by default), `requires_grad`, `keep_grad` and
`device` as `Tensor` does.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any, Protocol, Unpack, cast

import jax
import jax.numpy as jnp
import numpy as np

from lucid._core.arguments import as_shape
from lucid._core.arrays import canonical_dtype, find_device, from_host
from lucid._core.integers import check_integer
from lucid._core.tensor import Tensor
from lucid._core.typing import Array, Device, DType, Operand, Options, Scalar, Shape
from lucid.ops import matrix
from lucid.ops import shape as shapes


class HasDLPack(Protocol):
    """An array that lends its memory to other libraries, by the DLPack protocol."""

    def __dlpack__(self, *args: Any, **kwargs: Any) -> Any: ...

    def __dlpack_device__(self) -> tuple[Any, int]: ...


def _build(
    make: Callable[..., Array],
    dtype: DType,
    requires_grad: bool = False,
    keep_grad: bool = False,
    device: str | Device | None = None,
) -> Tensor:
    """A Tensor around `make(dtype=, device=)`."""
    array = make(
        dtype=None if dtype is None else canonical_dtype(dtype),
        device=None if device is None else find_device(device),
    )
    return Tensor(array, requires_grad, keep_grad)


def tensor(
    data: Any,
    requires_grad: bool = False,
    keep_grad: bool = False,
    dtype: DType = None,
    device: str | Device | None = None,
) -> Tensor:
    """A Tensor of `data`; see `Tensor`.

    >>> lucid.tensor([1.0, 2.0])
    Tensor([1., 2.])
    """
    return Tensor(data, requires_grad, keep_grad, dtype, device)


to_tensor = tensor  # lucid 2 has both names


def from_dlpack(data: HasDLPack) -> Tensor:
    """A Tensor in the memory of another library's array: what changes the one changes the other.

    It is a copy where JAX cannot take the array as it lies: with gaps between the elements, at an
    address that is no multiple of 64 bytes, or of 64-bit numbers while x64 mode is off.

    Args:
        data: an array with `__dlpack__`, such as one of NumPy or PyTorch.

    Raises:
        TypeError: `data` has no `__dlpack__`.
        OverflowError: an integer does not fit into 32 bits while x64 mode is off.

    >>> lucid.from_dlpack(np.array([1.0, 2.0], dtype="float32"))
    Tensor([1., 2.])
    """
    if not hasattr(data, "__dlpack__"):
        raise TypeError(
            f"from_dlpack: an array with __dlpack__ is needed, got {type(data).__name__}. "
            "Use lucid.tensor."
        )
    try:
        # In x64 mode, for otherwise JAX cuts 64-bit integers off without a word.
        with jax.enable_x64(True):
            array = jax.dlpack.from_dlpack(data)
    except jax.errors.JaxRuntimeError:  # of a layout with gaps
        return Tensor(data)
    fits = jax.dtypes.canonicalize_dtype(array.dtype) == array.dtype
    return Tensor(array if fits else np.asarray(array))


def zeros(*shape: Shape, **options: Unpack[Options]) -> Tensor:
    """Zeros, in a shape given as one tuple or as several integers.

    >>> lucid.zeros(2, dtype=int)
    Tensor([0, 0], dtype=int32)
    """
    return full(as_shape(shape), 0, **_float_by_default(options))


def ones(*shape: Shape, **options: Unpack[Options]) -> Tensor:
    """Ones, in a shape given as one tuple or as several integers.

    >>> lucid.ones((1, 2))
    Tensor([[1., 1.]])
    """
    return full(as_shape(shape), 1, **_float_by_default(options))


def empty(*shape: Shape, **options: Unpack[Options]) -> Tensor:
    """A Tensor to be filled later; it holds zeros until then.

    >>> lucid.empty(3).shape
    (3,)
    """
    return zeros(*shape, **options)


def full(
    shape: Shape,
    fill_value: Operand,
    dtype: DType = None,
    requires_grad: bool = False,
    keep_grad: bool = False,
    device: str | Device | None = None,
) -> Tensor:
    """One value everywhere; of a Tensor the result is recorded, and an array is broadcast.

    >>> lucid.full((2,), 7.0)
    Tensor([7., 7.])
    """
    sizes = as_shape((shape,))
    if any(size < 0 for size in sizes):
        raise ValueError(f"full: a shape cannot have a negative size, got {sizes}.")
    if isinstance(fill_value, (jax.Array, np.ndarray)):
        fill_value = Tensor(fill_value)
    if isinstance(fill_value, Tensor):
        return _filled(sizes, fill_value, dtype, requires_grad, keep_grad, device)
    value = cast(Scalar, fill_value)
    dtype = type(value) if dtype is None else dtype
    check_integer("full", value, canonical_dtype(dtype))
    make = functools.partial(jnp.full, sizes, value)
    return _build(make, dtype, requires_grad, keep_grad, device)


def _filled(
    sizes: tuple[int, ...],
    value: Tensor,
    dtype: DType,
    requires_grad: bool,
    keep_grad: bool,
    device: str | Device | None,
) -> Tensor:
    result = shapes.full(sizes, value, value.dtype if dtype is None else canonical_dtype(dtype))
    return _moved(result, requires_grad, keep_grad, device)


def _moved(
    result: Tensor, requires_grad: bool, keep_grad: bool, device: str | Device | None
) -> Tensor:
    """A result of an operation with the other options that constructors take."""
    if device is not None:
        result = result.to(find_device(device))
    if requires_grad:
        result.requires_grad_()
    if keep_grad:
        result.keep_grad = True
    return result


def zeros_like(
    a: Operand,
    /,
    dtype: DType = None,
    requires_grad: bool = False,
    keep_grad: bool = False,
    device: str | Device | None = None,
) -> Tensor:
    """Zeros in the shape and dtype of `a`.

    >>> lucid.zeros_like(Tensor([1, 2]))
    Tensor([0, 0], dtype=int32)
    """
    return full_like(a, 0, dtype, requires_grad, keep_grad, device)


def ones_like(
    a: Operand,
    /,
    dtype: DType = None,
    requires_grad: bool = False,
    keep_grad: bool = False,
    device: str | Device | None = None,
) -> Tensor:
    """Ones in the shape and dtype of `a`.

    >>> lucid.ones_like(Tensor([1, 2]))
    Tensor([1, 1], dtype=int32)
    """
    return full_like(a, 1, dtype, requires_grad, keep_grad, device)


def empty_like(
    a: Operand,
    /,
    dtype: DType = None,
    requires_grad: bool = False,
    keep_grad: bool = False,
    device: str | Device | None = None,
) -> Tensor:
    """`empty` in the shape and dtype of `a`.

    >>> lucid.empty_like(Tensor([1, 2])).shape
    (2,)
    """
    return full_like(a, 0, dtype, requires_grad, keep_grad, device)


def full_like(
    a: Operand,
    fill_value: Operand,
    dtype: DType = None,
    requires_grad: bool = False,
    keep_grad: bool = False,
    device: str | Device | None = None,
) -> Tensor:
    """One value everywhere, as `full` does, in the shape and dtype of `a`.

    >>> lucid.full_like(Tensor([1.0, 2.0]), 7)
    Tensor([7., 7.])
    """
    like = a if isinstance(a, Tensor) else Tensor(a)
    dtype = like.dtype if dtype is None else dtype
    return full(like.shape, fill_value, dtype, requires_grad, keep_grad, device)


def arange(*bounds: Scalar, **options: Unpack[Options]) -> Tensor:
    """The numbers from `start` up to and without `stop`, `step` apart.

    As `arange(stop)`, `arange(start, stop)` or `arange(start, stop, step)`.

    >>> lucid.arange(3), lucid.arange(1.0, 2.0, 0.25)
    (Tensor([0, 1, 2], dtype=int32), Tensor([1.  , 1.25, 1.5 , 1.75]))
    """
    if not 1 <= len(bounds) <= 3:
        raise TypeError(f"arange takes one to three bounds, got {len(bounds)}.")
    numbers = np.arange(*cast(Any, bounds))
    default = int if numbers.dtype.kind in "iu" else float
    if options.get("dtype") is None:
        options["dtype"] = default
    _check_ends("arange", [*numbers[:1], *numbers[-1:]], options["dtype"])
    return _build(functools.partial(from_host, numbers), **options)


def linspace(
    start: Scalar,
    stop: Scalar,
    num: int = 50,
    /,
    dtype: DType = None,
    requires_grad: bool = False,
    keep_grad: bool = False,
    device: str | Device | None = None,
) -> Tensor:
    """`num` numbers from `start` to `stop`, both included, evenly spaced.

    >>> lucid.linspace(0.0, 1.0, 3)
    Tensor([0. , 0.5, 1. ])
    """
    dtype = float if dtype is None else dtype
    _check_ends("linspace", (start, stop), dtype)
    make = functools.partial(jnp.linspace, start, stop, num)
    return _build(make, dtype, requires_grad, keep_grad, device)


def eye(
    N: int,
    M: int | None = None,
    k: int = 0,
    /,
    dtype: DType = None,
    requires_grad: bool = False,
    keep_grad: bool = False,
    device: str | Device | None = None,
) -> Tensor:
    """Ones on diagonal `k` of an N by M matrix, zeros elsewhere; M is N by default.

    >>> lucid.eye(2)
    Tensor([[1., 0.],
            [0., 1.]])
    """
    dtype = float if dtype is None else dtype
    make = functools.partial(jnp.eye, N, M, k)
    return _build(make, dtype, requires_grad, keep_grad, device)


def diag(
    v: Any,
    k: int = 0,
    /,
    dtype: DType = None,
    requires_grad: bool = False,
    keep_grad: bool = False,
    device: str | Device | None = None,
) -> Tensor:
    """A matrix with the vector `v` on diagonal `k`, zeros elsewhere; of a matrix, that diagonal.

    Args:
        v: what `Tensor` takes; of a Tensor the result is recorded.
        k: 0 for the main diagonal, above 0 for those above it, below 0 for those below.
        dtype: that of `v` by default.

    Raises:
        ValueError: `v` is neither a vector nor a matrix.

    >>> lucid.diag([1.0, 2.0])
    Tensor([[1., 0.],
            [0., 2.]])
    >>> lucid.diag(Tensor([[1.0, 2.0], [3.0, 4.0]]), 1)
    Tensor([2.])
    """
    made = matrix.diag(v if isinstance(v, Tensor) else Tensor(v), k)
    made = made if dtype is None else made.to(canonical_dtype(dtype))
    return _moved(made, requires_grad, keep_grad, device)


def _check_ends(call: str, numbers: Iterable[Any], dtype: DType) -> None:
    """Refuse a range whose ends the dtype cannot hold."""
    for end in numbers:
        if math.isfinite(end):
            check_integer(call, int(end), canonical_dtype(dtype))


def _float_by_default(options: Options) -> Options:
    return {**options, "dtype": float} if options.get("dtype") is None else options


Tensor.zeros = staticmethod(zeros)
Tensor.ones = staticmethod(ones)
