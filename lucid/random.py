"""Random Tensors, drawn from a generator whose state is a Tensor.

The same seed gives the same numbers whether a function runs eagerly or compiled, and on every
platform (Threefry; Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Unpack

import jax
import numpy as np

from lucid import ops
from lucid._core.arguments import as_shape
from lucid._core.arrays import canonical_dtype, find_device
from lucid._core.errors import JitError
from lucid._core.gate import apply
from lucid._core.mode import state
from lucid._core.tensor import Tensor
from lucid._core.typing import Operand, Options, Scalar, Shape


class Generator:
    """A stream of random numbers.

    Args:
        seed: an integer from 0 to 2**64 - 1; taken from the operating system by default.

    Raises:
        ValueError: the seed is out of range.

    >>> a, b = lucid.random.Generator(1), lucid.random.Generator(1)
    >>> bool((lucid.randn(3, generator=a) == lucid.randn(3, generator=b)).all())
    True
    """

    def __init__(self, seed: int | None = None) -> None:
        seed = secrets.randbits(64) if seed is None else seed
        self._state = Tensor(_key(seed))
        self._seed = seed

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream anew from `seed`."""
        self._state.data = _key(seed)
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
        """The values of `sample(state, *operands) -> (next state, values)`; moves the stream on."""
        following, values = apply(sample, self._state, *operands, **static)
        if isinstance(following.data, jax.core.Tracer) and self._state._cell()._born is None:
            raise JitError(
                "random numbers inside jax.jit, jax.grad or jax.vmap: the generator would keep a "
                "traced state. Use lucid.jit, or a Module in evaluation mode."
            )
        self._state.data = following
        result: Tensor = values
        return result

    def state_dict(self) -> dict[str, Any]:
        """The position in the stream and the seed; it keeps its value when the stream goes on."""
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
        self._state.data = np.asarray(state_dict["state"])
        self._seed = state_dict["initial_seed"]

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
        seed = state_dict.get("initial_seed", 0)
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
            problems.append(f"initial_seed: an integer from 0 to 2**64 - 1 is needed, got {seed!r}")
        return problems


def _key(seed: int) -> np.ndarray[Any, Any]:
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed: an integer from 0 to 2**64 - 1 is needed, got {seed}.")
    return np.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32)


@functools.cache
def default_generator() -> Generator:
    """The generator that is used where none is named; made at its first use.

    >>> lucid.random.seed(0)
    >>> position = lucid.random.default_generator().state_dict()
    >>> first = lucid.rand(2)
    >>> lucid.random.default_generator().load_state_dict(position)
    >>> bool((lucid.rand(2) == first).all())
    True
    """
    capture, state.capture = state.capture, None  # it belongs to no program that is being traced
    try:
        with jax.ensure_compile_time_eval():
            return Generator()
    finally:
        state.capture = capture


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
    sizes, dtype = as_shape(shape), canonical_dtype(options.pop("dtype", None) or float)
    return _draw(generator, options, ops.random.normal, shape=sizes, dtype=dtype)


def rand(*shape: Shape, generator: Generator | None = None, **options: Unpack[Options]) -> Tensor:
    """Values spread evenly over [0, 1).

    >>> lucid.rand((2, 3)).shape
    (2, 3)
    """
    return uniform(0, 1, as_shape(shape), generator=generator, **options)


def uniform(
    low: Scalar = 0,
    high: Scalar = 1,
    size: Shape = 1,
    *,
    generator: Generator | None = None,
    **options: Unpack[Options],
) -> Tensor:
    """Values spread evenly over [low, high), in the shape `size`.

    >>> x = lucid.random.uniform(5, 6, (100,))
    >>> bool(((x >= 5) & (x < 6)).all())
    True
    """
    sizes, dtype = as_shape((size,)), canonical_dtype(options.pop("dtype", None) or float)
    return _draw(generator, options, ops.random.uniform, low, high, shape=sizes, dtype=dtype)


def randint(
    low: int,
    high: int | None = None,
    size: Shape = 1,
    *,
    generator: Generator | None = None,
    **options: Unpack[Options],
) -> Tensor:
    """Integers spread evenly over [low, high), or over [0, low) if `high` is None.

    >>> lucid.random.randint(10, size=(4,)).shape
    (4,)
    """
    if high is None:
        low, high = 0, low
    if low >= high:
        raise ValueError(f"randint: low must be below high, got {low} and {high}.")
    return _draw(generator, options, ops.random.randint, low, high, shape=as_shape((size,)))


def permutation(
    n: int, *, generator: Generator | None = None, **options: Unpack[Options]
) -> Tensor:
    """The integers from 0 to n - 1 in random order.

    >>> sorted(lucid.random.permutation(4).tolist())
    [0, 1, 2, 3]
    """
    return _draw(generator, options, ops.random.permutation, n=n)


def bernoulli(
    probs: Operand, *, generator: Generator | None = None, **options: Unpack[Options]
) -> Tensor:
    """Ones with probability `probs`, else zeros, in the shape of `probs`.

    >>> lucid.random.bernoulli(Tensor([0.0, 1.0]))
    Tensor([0., 1.])
    """
    return _draw(generator, options, ops.random.bernoulli, Tensor(probs).detach())


def _draw(
    generator: Generator | None,
    options: Options,
    sample: Callable[..., Any],
    *operands: Operand,
    **static: Any,
) -> Tensor:
    values = (generator or default_generator()).draw(sample, *operands, **static).data
    if (device := options.pop("device", None)) is not None:
        values = jax.device_put(values, find_device(device))
    if (dtype := options.pop("dtype", None)) is not None:
        values = values.astype(canonical_dtype(dtype))
    return Tensor(values, **options)


Tensor.randn = staticmethod(randn)
Tensor.rand = staticmethod(rand)
