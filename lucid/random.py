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
import math
import operator
import secrets
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, Unpack

import jax
import numpy as np

from lucid import ops
from lucid._core.arguments import as_shape, is_number
from lucid._core.arrays import canonical_dtype, find_device
from lucid._core.errors import JitError
from lucid._core.gate import apply
from lucid._core.known import check_within, known
from lucid._core.mode import lock, state, untraced
from lucid._core.tensor import Tensor
from lucid._core.typing import Array, Device, DType, Operand, Options, Shape
from lucid.ops.random import BLOCK

_SIZES = (2**8, 2**12, BLOCK)  # of the programs that draw outside of compiled functions


class Generator:
    """A stream of random numbers.

    Args:
        seed: an integer from 0 to 2**64 - 1; taken from the operating system by default.

    Raises:
        TypeError: the seed is no integer.
        ValueError: the seed is out of range.

    >>> a, b = lucid.random.Generator(1), lucid.random.Generator(1)
    >>> bool((lucid.randn(3, generator=a) == lucid.randn(3, generator=b)).all())
    True
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seed = secrets.randbits(64) if seed is None else _checked_seed(seed)
        self._state = Tensor(_words(self._seed))

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream anew from `seed`."""
        seed = _checked_seed(seed)
        with lock:
            self._state.data = _words(seed)
            self._seed = seed
        return self

    @property
    def initial_seed(self) -> int:
        """The seed that the stream started from."""
        return self._seed

    @property
    def state(self) -> Tensor:
        """The position in the stream: two 32-bit words. Assign to `state.data` to go back to it."""
        return self._state

    def draw(self, sample: Callable[..., Any], *operands: Operand, **static: Any) -> Tensor:
        """The values of `sample(state, *operands) -> (next state, values)`; moves the stream on.

        Args:
            sample: a function of `lucid.ops.random`, or another one that takes and returns a state.
            operands: what it takes beside the state.
            static: its keyword arguments; with `shape` and `dtype`, it draws block by block.
        """
        if state.trace is None and "shape" in static and all(map(_in_one_place, operands)):
            return self._draw_blocks(sample, operands, **static)
        # A state inside a program that is being traced is seen by no other thread.
        with lock if state.trace is None else nullcontext():
            following, values = apply(sample, self._state, *operands, **static)
            self._move(following.data)
        result: Tensor = values
        return result

    def _draw_blocks(
        self,
        sample: Callable[..., Any],
        operands: tuple[Operand, ...],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> Tensor:
        """A draw by programs of the `_SIZES` alone, whatever its shape."""
        n = math.prod(shape)
        arrays: list[Any] = [x.data if isinstance(x, Tensor) else x for x in operands]
        flat = [np.broadcast_to(x, shape).ravel() if np.ndim(x) else x for x in arrays]

        def values_from(begin: int) -> tuple[Array, Array]:
            size = next((size for size in _SIZES if size >= n - begin), BLOCK)
            cut = [_cut(x, begin, size) if np.ndim(x) else x for x in flat]
            block = _block(sample, size, dtype)
            next_words, values = block(words, *cut, np.uint32(begin // BLOCK))
            return next_words, values

        with lock:
            words = self._state.data
            following, values = values_from(0)
            self._move(following)
        host = np.empty(n, dtype)
        for begin in range(0, n, BLOCK):
            if begin:
                _, values = values_from(begin)
            host[begin : begin + BLOCK] = np.asarray(values)[: n - begin]
        bound = (x.sharding for x in (*arrays, words) if getattr(x, "committed", False))
        return Tensor._wrap(jax.device_put(host.reshape(shape), next(bound, None)))

    def _move(self, following: Array) -> None:
        if isinstance(following, jax.core.Tracer) and self._state._cell()._born is None:
            raise JitError(
                "random numbers inside jax.jit, jax.grad or jax.vmap: the generator would keep a "
                "traced state. Use lucid.jit, or a Module in evaluation mode."
            )
        self._state.data = following

    def state_dict(self) -> dict[str, Any]:
        """The position in the stream and the seed; it keeps its value when the stream goes on."""
        with lock:
            return {"state": self._state.detach(), "initial_seed": self._seed}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go to the position that `state_dict` was taken at, also of another generator.

        Raises:
            ValueError: entries are missing, unexpected or of another kind; the message lists all,
                and nothing was changed.

        >>> generator = lucid.random.Generator(0)
        >>> position = generator.state_dict()
        >>> first = lucid.randn(2, generator=generator)
        >>> generator.load_state_dict(position)
        >>> bool((lucid.randn(2, generator=generator) == first).all())
        True
        """
        problems = self.state_problems(state_dict)
        if problems:
            raise ValueError(
                "load_state_dict: the state does not fit a Generator, and nothing was changed.\n  "
                + "\n  ".join(problems)
            )
        words, seed = np.asarray(state_dict["state"]), int(state_dict["initial_seed"])
        with lock:
            self._state.data = words
            self._seed = seed

    @staticmethod
    def state_problems(state_dict: Any) -> list[str]:
        """What keeps `state_dict` from being the state of a Generator, one line for each."""
        if not isinstance(state_dict, Mapping):
            return [f"a dictionary is needed, got {type(state_dict).__name__}"]
        expected = ("state", "initial_seed")
        problems = [f"missing: {key}" for key in expected if key not in state_dict]
        problems += [f"unexpected: {key}" for key in state_dict if key not in expected]
        if "state" in state_dict:
            words = np.asarray(state_dict["state"])
            if words.shape != (2,) or words.dtype != np.uint32:
                problems.append(
                    f"state: two words of uint32 are needed, got {words.dtype} of shape "
                    f"{words.shape}"
                )
        try:
            _checked_seed(state_dict.get("initial_seed", 0))
        except (TypeError, ValueError) as error:
            problems.append(f"initial_{error}".removesuffix("."))
        return problems


def _checked_seed(seed: Any) -> int:
    wanted = "seed: an integer from 0 to 2**64 - 1 is needed, got"
    number = _integer(seed)
    if number is None:
        raise TypeError(f"{wanted} {seed!r}.")
    if not 0 <= number < 2**64:
        raise ValueError(f"{wanted} {number}.")
    return number


def _integer(value: Any) -> int | None:
    """`value` as a Python integer; None if it is of another kind, such as a bool."""
    if isinstance(value, (bool, np.bool_)):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def _words(seed: int) -> np.ndarray[Any, Any]:
    return np.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32)


def _in_one_place(x: Operand) -> bool:
    """Whether the values of an operand can be brought to the host, and a number be passed on."""
    array = x.data if isinstance(x, Tensor) else x
    if isinstance(array, jax.core.Tracer):
        return False
    return not np.ndim(array) or len(getattr(array, "devices", set)()) <= 1


@functools.lru_cache(maxsize=256)
def _block(
    sample: Callable[..., Any], size: int, dtype: np.dtype[Any]
) -> Callable[..., tuple[Array, Array]]:
    """A part of a draw, compiled."""
    return jax.jit(functools.partial(sample, shape=(size,), dtype=dtype))


def _cut(x: np.ndarray[Any, Any], begin: int, size: int) -> np.ndarray[Any, Any]:
    """`size` elements, with zeros after the last one."""
    part = x[begin : begin + size]
    return np.pad(part, (0, size - len(part)))


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
    first, end = _integer(low), _integer(high)
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
    count = _integer(n)
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


def _check_bounds(low: Operand, high: Operand, dtype: np.dtype[Any]) -> None:
    largest = float(jax.numpy.finfo(dtype).max)  # type: ignore[no-untyped-call]
    if is_number(low) and is_number(high) and -largest <= low <= high <= largest:  # as usual
        return
    for name, bound in (("low", low), ("high", high)):
        check_within("uniform", name, bound, -largest, largest)
    first, end = known(low), known(high)
    if first is not None and end is not None:
        with np.errstate(over="ignore"):
            length = np.subtract(end, first, dtype=float)
        check_within("uniform", "high - low", length, 0)


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
