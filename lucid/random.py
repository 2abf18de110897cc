"""Random Tensors, drawn from a generator whose state is a Tensor.

The same seed gives the same numbers whether a function runs eagerly or compiled, on one device or
on several, and whatever JAX's configuration: `lucid.ops.random` defines them. A seed is the first
state of its stream, its upper 32 bits before its lower ones.

Outside of compiled functions all shapes share the programs of a few sizes, three for each
distribution and dtype: a draw is put together from them in the memory of the host. Only
`permutation` compiles a program for each n. Several threads may draw from one generator; no two
of them get the same numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from math import inf
from typing import Any, Unpack

import jax
import numpy as np

from lucid import ops
from lucid._core.arguments import as_shape, is_number
from lucid._core.arrays import canonical_dtype, find_device
from lucid._core.known import check_within, known
from lucid._core.mode import lock, untraced
from lucid._core.tensor import Tensor
from lucid._core.typing import Device, DType, Operand, Options, Shape
from lucid._generator import Generator, as_integer

__all__ = [
    "Generator",
    "bernoulli",
    "default_generator",
    "get_seed",
    "multinomial",
    "normal",
    "permutation",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "seed",
    "uniform",
]


def default_generator() -> Generator:
    """The generator that is used where none is named; made at its first use.

    >>> lucid.random.seed(0)
    >>> position = lucid.random.default_generator().state_dict()
    >>> first = lucid.rand(2)
    >>> lucid.random.default_generator().load_state_dict(position)
    >>> bool((lucid.rand(2) == first).all())
    True
    """
    with lock:
        return _default_generator()


@functools.cache
def _default_generator() -> Generator:
    with untraced():
        return Generator()


def seed(seed: int) -> None:
    """Start the default generator anew from `seed`, an integer from 0 to 2**64 - 1.

    >>> lucid.random.seed(0)
    >>> lucid.random.get_seed()
    0
    """
    default_generator().manual_seed(seed)


def get_seed() -> int:
    """The seed that the default generator started from."""
    return default_generator().initial_seed


def randn(*shape: Shape, generator: Generator | None = None, **options: Unpack[Options]) -> Tensor:
    """Values from the standard normal distribution.

    >>> lucid.randn(2, 3).shape
    (2, 3)
    """
    return normal(0, 1, as_shape(shape), generator=generator, **options)


def rand(*shape: Shape, generator: Generator | None = None, **options: Unpack[Options]) -> Tensor:
    """Values spread evenly over [0, 1).

    >>> lucid.rand((2, 3)).shape
    (2, 3)
    """
    return uniform(0, 1, as_shape(shape), generator=generator, **options)


def randn_like(
    a: Operand, /, *, generator: Generator | None = None, **options: Unpack[Options]
) -> Tensor:
    """`randn` in the shape and dtype of `a`.

    >>> lucid.randn_like(lucid.zeros(2, 3)).shape
    (2, 3)
    """
    return randn(np.shape(a), generator=generator, **_dtype_of(a, options))


def rand_like(
    a: Operand, /, *, generator: Generator | None = None, **options: Unpack[Options]
) -> Tensor:
    """`rand` in the shape and dtype of `a`.

    >>> lucid.rand_like(lucid.zeros(2, 3)).shape
    (2, 3)
    """
    return rand(np.shape(a), generator=generator, **_dtype_of(a, options))


def randint_like(
    a: Operand,
    /,
    low: int,
    high: int | None = None,
    *,
    generator: Generator | None = None,
    **options: Unpack[Options],
) -> Tensor:
    """`randint` in the shape and dtype of `a`.

    >>> lucid.randint_like(lucid.zeros(2, 3), 10).dtype
    dtype('float32')
    """
    return randint(low, high, np.shape(a), generator=generator, **_dtype_of(a, options))


def normal(
    mean: Operand = 0,
    std: Operand = 1,
    size: Shape = 1,
    requires_grad: bool = False,
    keep_grad: bool = False,
    device: str | Device | None = None,
    *,
    generator: Generator | None = None,
    dtype: DType = None,
) -> Tensor:
    """Values from a normal distribution, in the shape `size`.

    Args:
        mean: a number or a Tensor, which is broadcast to `size`; also `std`.

    Raises:
        TypeError: the dtype is neither a float nor complex.
        ValueError: std is negative, as far as `uniform` would look at it; else the values are
            those of a positive one, mirrored at the mean.

    >>> x = lucid.random.normal(5, 0.1, (1000,))
    >>> round(x.mean().item()), round(x.var().item(), 2)
    (5, 0.01)
    """
    dtype = canonical_dtype(dtype or float)
    if not jax.numpy.issubdtype(dtype, np.inexact):
        raise TypeError(f"normal: a float or complex dtype is needed, got {dtype}.")
    check_within("normal", "std", std, 0)
    operands = (_typed(x, dtype) for x in (mean, std))
    options = Options(requires_grad=requires_grad, keep_grad=keep_grad, device=device)
    return _draw(generator, options, ops.random.normal, *operands, size=size, dtype=dtype)


def uniform(
    low: Operand = 0,
    high: Operand = 1,
    size: Shape = 1,
    requires_grad: bool = False,
    keep_grad: bool = False,
    device: str | Device | None = None,
    *,
    generator: Generator | None = None,
    dtype: DType = None,
) -> Tensor:
    """Values spread evenly over [low, high), in the shape `size`.

    Args:
        low: a number or a Tensor, which is broadcast to `size`; also `high`.

    Raises:
        TypeError: the dtype is no float.
        ValueError: a bound is infinite, or low is above high, if the bounds come from the host, or
            lie ready on the CPU and are fewer than 65,536; else, as in a compiled function, the
            values are low.

    >>> x = lucid.random.uniform(5, 6, (100,))
    >>> bool(((x >= 5) & (x < 6)).all())
    True
    """
    dtype = canonical_dtype(dtype or float)
    if not jax.numpy.issubdtype(dtype, np.floating):
        raise TypeError(f"uniform: a float dtype is needed, got {dtype}.")
    _check_bounds(low, high, dtype)
    operands = (_typed(x, dtype) for x in (low, high))
    options = Options(requires_grad=requires_grad, keep_grad=keep_grad, device=device)
    return _draw(generator, options, ops.random.uniform, *operands, size=size, dtype=dtype)


def randint(
    low: int,
    high: int | None = None,
    size: Shape = 1,
    requires_grad: bool = False,
    keep_grad: bool = False,
    device: str | Device | None = None,
    *,
    generator: Generator | None = None,
    dtype: DType = None,
) -> Tensor:
    """Integers spread evenly over [low, high), or over [0, low) if `high` is None.

    Raises:
        TypeError: low or high is no integer.
        ValueError: low is not below high, or the dtype cannot hold all integers of the range.

    >>> lucid.random.randint(10, size=(4,)).shape
    (4,)
    """
    if high is None:
        low, high = 0, low
    first, end = as_integer(low), as_integer(high)
    if first is None or end is None:
        raise TypeError(f"randint: integers are needed, got {low!r} and {high!r}.")
    if first >= end:
        raise ValueError(f"randint: low must be below high, got {first} and {end}.")
    dtype = canonical_dtype(dtype or int)
    holds = dtype if dtype.kind in "iu" else canonical_dtype(int)
    limits = np.iinfo(holds)
    if first < limits.min or end - 1 > limits.max:
        raise ValueError(f"randint: {holds} does not hold all integers from {first} to {end - 1}.")
    bits, length = 8 * max(holds.itemsize, 4), end - first
    operands = (
        np.dtype(f"uint{bits}").type(first % 2**bits),
        np.uint32(length % 2**32) if length <= 2**32 else np.uint64(length % 2**64),
    )
    options = Options(requires_grad=requires_grad, keep_grad=keep_grad, device=device)
    return _draw(generator, options, ops.random.randint, *operands, size=size, dtype=dtype)


def permutation(
    n: int,
    dtype: DType = int,
    requires_grad: bool = False,
    keep_grad: bool = False,
    device: str | Device | None = None,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """The integers from 0 to n - 1 in random order; each n compiles a program.

    Raises:
        ValueError: n is negative, or no integer.

    >>> sorted(lucid.random.permutation(4).tolist())
    [0, 1, 2, 3]
    """
    count = as_integer(n)
    if count is None or count < 0:
        raise ValueError(f"permutation: an integer from 0 on is needed, got {n!r}.")
    dtype = canonical_dtype(dtype or int)
    options = Options(requires_grad=requires_grad, keep_grad=keep_grad, device=device)
    return _finished(generator, options, ops.random.permutation, n=count, dtype=dtype)


def bernoulli(
    probs: Operand,
    requires_grad: bool = False,
    keep_grad: bool = False,
    device: str | Device | None = None,
    *,
    generator: Generator | None = None,
    dtype: DType = None,
) -> Tensor:
    """Ones with probability `probs`, else zeros, in the shape of `probs`.

    Raises:
        ValueError: a probability is not from 0 to 1, as far as `uniform` would look at it; else it
            counts as the nearest one that is, and NaN as 0.

    >>> lucid.random.bernoulli(Tensor([0.0, 1.0]))
    Tensor([0., 1.])
    """
    given = np.asarray(probs) if isinstance(probs, (list, tuple)) else probs
    check_within("bernoulli", "probs", given, 0, 1)
    probs = Tensor(probs).detach()
    dtype = canonical_dtype(dtype or probs.dtype)
    options = Options(requires_grad=requires_grad, keep_grad=keep_grad, device=device)
    return _draw(generator, options, ops.random.bernoulli, probs, size=probs.shape, dtype=dtype)


def multinomial(
    probs: Operand,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
    **options: Unpack[Options],
) -> Tensor:
    """Places drawn from a distribution, as integers; each pair of sizes compiles a program.

    Shape: probs (n,) or (m, n) -> (num_samples,) or (m, num_samples)

    Args:
        probs: one distribution, or one in each row: weights that need not add up to 1.
        num_samples: how many to draw of each.
        replacement: whether a place may be drawn again. Without it the order is that of drawing
            one after the other.

    Raises:
        ValueError: `probs` has another number of axes or no place; num_samples is negative; or, as
            far as `uniform` would look at them, a weight is negative or infinite, or fewer places
            than are to be drawn have a weight above 0. Else such a place may be drawn.

    >>> lucid.random.multinomial(Tensor([0.0, 3.0, 0.0]), 2, replacement=True)
    Tensor([1, 1], dtype=int32)
    """
    weights = Tensor(probs).detach()
    count = as_integer(num_samples)
    if weights.ndim not in (1, 2) or 0 in weights.shape[-1:]:
        raise ValueError(
            "multinomial: probs (n,) or (m, n) with n above 0 are needed, got shape "
            f"{weights.shape}."
        )
    if count is None or count < 0:
        raise ValueError(
            f"multinomial: num_samples must be an integer from 0 on, got {num_samples!r}."
        )
    _check_weights(weights, count, replacement)
    dtype = _dtype(options, int)
    static = {"num_samples": count, "replacement": bool(replacement), "dtype": dtype}
    return _finished(generator, options, ops.random.multinomial, weights, **static)


def _check_weights(weights: Tensor, count: int, replacement: bool) -> None:
    floating = jax.numpy.issubdtype(weights.dtype, np.floating)
    check_within("multinomial", "probs", weights, 0, _largest(weights.dtype) if floating else inf)
    values = known(weights)
    if values is not None and count:
        fewest = int(np.count_nonzero(values, -1).min(initial=values.shape[-1]))
        needed = 1 if replacement else count
        if fewest < needed:
            raise ValueError(
                f"multinomial: {needed} places with a weight above 0 are needed, and {fewest} "
                "have one. Draw fewer, or with replacement=True."
            )


def _check_bounds(low: Operand, high: Operand, dtype: np.dtype[Any]) -> None:
    largest = _largest(dtype)
    if is_number(low) and is_number(high) and -largest <= low <= high <= largest:  # as usual
        return
    for name, bound in (("low", low), ("high", high)):
        check_within("uniform", name, bound, -largest, largest)
    first, end = known(low), known(high)
    if first is not None and end is not None:
        with np.errstate(over="ignore"):
            length = np.subtract(end, first, dtype=float)
        check_within("uniform", "high - low", length, 0)


def _largest(dtype: np.dtype[Any]) -> float:
    return float(jax.numpy.finfo(dtype).max)  # type: ignore[no-untyped-call]


def _dtype(options: Options, default: DType) -> np.dtype[Any]:
    return canonical_dtype(options.pop("dtype", None) or default)


def _dtype_of(a: Operand, options: Options) -> Options:
    like = a if hasattr(a, "dtype") else Tensor(a)
    return {**options, "dtype": options.get("dtype") or like.dtype}


def _typed(x: Operand, dtype: np.dtype[Any]) -> Operand:
    # A number of one dtype, since each dtype of an operand compiles a program.
    return Tensor(x).detach() if np.ndim(x) or isinstance(x, Tensor) else dtype.type(x)


def _draw(
    generator: Generator | None,
    options: Options,
    sample: Callable[..., Any],
    *operands: Operand,
    size: Shape,
    dtype: np.dtype[Any],
) -> Tensor:
    shape = as_shape((size,))
    if any(length < 0 for length in shape):
        raise ValueError(f"{sample.__name__}: a shape cannot have a negative size, got {shape}.")
    return _finished(generator, options, sample, *operands, shape=shape, dtype=dtype)


def _finished(
    generator: Generator | None,
    options: Options,
    sample: Callable[..., Any],
    *operands: Operand,
    **static: Any,
) -> Tensor:
    values = (generator or default_generator()).draw(sample, *operands, **static).data
    if (device := options.pop("device", None)) is not None:
        values = jax.device_put(values, find_device(device))
    return Tensor(values, **options)


Tensor.randn = staticmethod(randn)
Tensor.rand = staticmethod(rand)
