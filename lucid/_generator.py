"""Generators: streams of random numbers whose position is a Tensor."""

from __future__ import annotations

import functools
import math
import operator
import secrets
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import jax
import numpy as np

from lucid._core import spread
from lucid._core.errors import JitError
from lucid._core.gate import apply
from lucid._core.mode import lock, state
from lucid._core.tensor import Tensor
from lucid._core.typing import Array, Operand
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
            self._go_to(_words(seed))
            self._seed = seed
        return self

    def __repr__(self) -> str:
        return f"Generator(initial_seed={self._seed})"

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
        trace = state.trace
        kept = self._state._born is not None or (trace is not None and trace.keeps(self._state))
        if isinstance(following, jax.core.Tracer) and not kept:
            raise JitError(
                "random numbers inside jax.jit, jax.grad or jax.vmap: the generator would keep a "
                "traced state. Use lucid.jit, or a Module in evaluation mode."
            )
        self._state.data = following

    def _go_to(self, words: np.ndarray[Any, Any]) -> None:
        """Set the position, which stays where it lies, on a mesh for example."""
        old = self._state.data
        lies = not isinstance(old, jax.core.Tracer) and getattr(old, "committed", False)
        place = old.sharding if lies else None
        self._state.data = spread.put("position of a generator", words, place)

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
            self._go_to(words)
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
    number = as_integer(seed)
    if number is None:
        raise TypeError(f"{wanted} {seed!r}.")
    if not 0 <= number < 2**64:
        raise ValueError(f"{wanted} {number}.")
    return number


def as_integer(value: Any) -> int | None:
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
