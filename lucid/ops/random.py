"""Random draws as pure functions: each takes a state and returns the next state with the values.

A state is two 32-bit words, and the numbers follow from it alone: they depend neither on the size
of a program, nor on how it is spread over devices, nor on JAX's configuration. Let H(key, counter)
be Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC
2011), which turns two words into two. From a state s, H(s, (0, 0)) is the next state and
H(s, (0, 1)) is the key of the draw. Number i of the draw, in row-major order, is made from
(a, b) = H(key, (i // 2**32, i % 2**32)):

- its fraction f is (a ^ b) // 2**9 / 2**23 for dtypes of up to 32 bits, and
  (a * 2**32 + b) // 2**12 / 2**52 for float64;
- `uniform` is low + f * (high - low), rounded to the dtype and then put below high;
- `normal` is mean + std * sqrt(2) * erf_inv(2 * f - 1 + e), with e = 2**-24, or 2**-53 for float64;
- `bernoulli` is f < probs;
- `randint` is low + (high - low) * (a * 2**32 + b) // 2**64. Only for ranges longer than 2**32 it
  is made from numbers 2 * i and 2 * i + 1, (a, b) and (c, d):
  low + (high - low) * (a * 2**96 + b * 2**64 + c * 2**32 + d) // 2**128;
- a complex `normal` takes its real part from number 2 * i and its imaginary part from 2 * i + 1;
- `permutation` puts the i in the order of a * 2**32 + b;
- `multinomial` with replacement is the first place at which the running sum of the weights exceeds
  f * their sum; without, the places with the least -log(f + e) / weight, e as above, in ascending
  order (Efraimidis & Spirakis, "Weighted random sampling with a reservoir", 2006).

16-bit floats are computed in 32 bits and rounded once. These are the bits of `jax.random.uniform`
and `normal` for the draw's key under `jax_threefry_partitionable`, but for 16-bit dtypes and for
values of `uniform` that would round to high.

So a block of a draw can be computed without the rest: with `start`, the values are those from
number start * BLOCK on.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from lucid._core.typing import Array, DType

BLOCK = 2**16


def uniform(
    state: Array, low: Any, high: Any, start: Any = 0, /, *, shape: tuple[int, ...], dtype: DType
) -> tuple[Array, Array]:
    """Values spread evenly over [low, high)."""
    following, fractions = _fractions(state, start, shape, dtype)
    low, high = (jnp.asarray(x).astype(dtype) for x in (low, high))
    below = jnp.nextafter(high, jnp.full_like(high, -np.inf))
    # By halves, since high - low may overflow; their product with 2 is exact.
    half, origin = (x.astype(fractions.dtype) / 2 for x in (high, low))
    values = (2 * (fractions * (half - origin) + origin)).astype(dtype)
    return following, jnp.maximum(jnp.minimum(values, below), low)


def normal(
    state: Array, mean: Any, std: Any, start: Any = 0, /, *, shape: tuple[int, ...], dtype: DType
) -> tuple[Array, Array]:
    """Normal values; complex ones have a variance of std**2 / 2 in each part."""
    if jnp.issubdtype(dtype, jnp.complexfloating):
        real = np.dtype("float64" if dtype == np.complex128 else "float32")
        following, parts = normal(
            state, 0, math.sqrt(0.5), 2 * start, shape=(*shape, 2), dtype=real
        )
        values = lax.complex(parts[..., 0], parts[..., 1])
        return following, (values * std + mean).astype(dtype)
    following, fractions = _fractions(state, start, shape, dtype)
    wide = fractions.dtype
    centred = fractions * 2 - np.asarray(1 - np.finfo(wide).epsneg, wide)  # exact, inside (-1, 1)
    mean, std = (jnp.asarray(x).astype(wide) for x in (mean, std))
    # One factor, lest the compiler join two in some programs and not in others.
    values = lax.erf_inv(centred) * (np.asarray(math.sqrt(2), wide) * std) + mean
    return following, values.astype(dtype)


def bernoulli(
    state: Array, probs: Array, start: Any = 0, /, *, shape: tuple[int, ...], dtype: DType
) -> tuple[Array, Array]:
    """One with probability `probs`, else zero."""
    following, fractions = _fractions(state, start, shape, jnp.asarray(probs).dtype)
    return following, (fractions < probs).astype(dtype)


def randint(
    state: Array, low: Any, length: Any, start: Any = 0, /, *, shape: tuple[int, ...], dtype: DType
) -> tuple[Array, Array]:
    """Integers spread evenly over [low, low + length).

    `low` and `length` are unsigned words and count modulo their range: a length of 0 is all of it.
    The words of `low` are as long as those of `dtype`, and at least 32 bits.
    """
    low, length = jnp.asarray(low), jnp.asarray(length)
    if length.dtype == np.uint32:
        following, high_word, low_word = _hashes(state, start, shape)
    else:
        following, *halves = _hashes(state, 2 * start, (*shape, 2))
        words = _joined(*halves)
        high_word, low_word = words[..., 0], words[..., 1]
    # length * (high_word, low_word), of which the word above these two is wanted.
    upper, middle = _product(length, high_word)
    carried = middle + _product(length, low_word)[0]
    offset = jnp.where(length == 0, high_word, upper + (carried < middle).astype(length.dtype))
    values = low + offset.astype(low.dtype)
    signed = values.astype(np.dtype(f"int{8 * low.dtype.itemsize}"))
    unsigned = jnp.issubdtype(dtype, jnp.unsignedinteger)
    return following, (values if unsigned else signed).astype(dtype)


def permutation(state: Array, /, *, n: int, dtype: DType) -> tuple[Array, Array]:
    """The integers from 0 to n - 1 in random order."""
    following, high, low = _hashes(state, 0, (n,))
    *_, order = lax.sort((high, low, lax.iota(np.int32, n)), num_keys=2)
    return following, order.astype(dtype)


def multinomial(
    state: Array, weights: Array, /, *, num_samples: int, replacement: bool, dtype: DType
) -> tuple[Array, Array]:
    """Places along the last axis, drawn by their weights."""
    w = jnp.asarray(weights)
    w = w.astype(np.float64 if w.dtype == np.float64 else np.float32)
    rows, n = w.shape[:-1], w.shape[-1]
    if not replacement:
        if num_samples > n:
            raise ValueError(f"multinomial: of {n} places {num_samples} cannot be drawn.")
        following, fractions = _fractions(state, 0, w.shape, w.dtype)
        times = -jnp.log(fractions + np.asarray(np.finfo(w.dtype).epsneg, w.dtype)) / w
        return following, jnp.argsort(times, -1)[..., :num_samples].astype(dtype)
    following, fractions = _fractions(state, 0, (*rows, num_samples), w.dtype)
    sums = jnp.cumsum(w, -1)
    find = jnp.vectorize(
        lambda s, x: jnp.searchsorted(s, x, side="right"), signature="(n),(k)->(k)"
    )
    places = find(sums, fractions * sums[..., -1:])
    last = n - 1 - jnp.argmax(w[..., ::-1] > 0, -1, keepdims=True)  # where a product rounds up
    return following, jnp.minimum(places, last).astype(dtype)


def _fractions(
    state: Array, start: Any, shape: tuple[int, ...], dtype: DType
) -> tuple[Array, Array]:
    """The next state, and multiples of 2**-23 in [0, 1); of 2**-52 for float64."""
    following, high, low = _hashes(state, start, shape)
    wide = np.dtype("float64" if dtype == np.float64 else "float32")
    bits = (
        _joined(high, low) >> np.uint64(12) if wide.itemsize == 8 else (high ^ low) >> np.uint32(9)
    )
    # As the mantissa of a number in [1, 2).
    one = np.ones((), wide)
    return following, lax.bitcast_convert_type(bits | one.view(bits.dtype), wide) - one


def _hashes(state: Array, start: Any, shape: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """The next state, and the two words of each number of a draw from start * BLOCK on."""
    n = math.prod(shape)
    if n > 2**32:
        raise ValueError(f"random: one program draws at most 2**32 numbers, shape {shape} has {n}.")
    zero, one = np.uint32(0), np.uint32(1)
    start = jnp.asarray(start, np.uint32)
    # Over one axis: XLA takes four times as long to compile Threefry over four axes on CPU.
    low = lax.iota(np.uint32, n) + start * np.uint32(BLOCK)
    high = start // np.uint32(2**32 // BLOCK)
    following, key = (jnp.stack(_threefry(state, zero, word)) for word in (zero, one))
    # The compiler would compute a draw's state anew from the first one wherever it is read: for
    # one draw after another that grows exponentially, and takes minutes for a dozen of them.
    following, key = lax.optimization_barrier((following, key))
    first, second = _threefry(key, high, low)
    return following, first.reshape(shape), second.reshape(shape)


def _threefry(key: Any, high: Any, low: Any) -> tuple[Array, Array]:
    """Threefry-2x32 with 20 rounds, of the counter (high, low)."""
    # Written out, since `jax.random` picks generator, counters and loops by JAX's configuration.
    keys = key[0], key[1], key[0] ^ key[1] ^ np.uint32(0x1BD11BDA)
    x, y = high + keys[0], low + keys[1]
    for group in range(5):
        for rotation in ((13, 15, 26, 6), (17, 29, 16, 24))[group % 2]:
            x = x + y
            y = x ^ (y << np.uint32(rotation) | y >> np.uint32(32 - rotation))
        x = x + keys[(group + 1) % 3]
        y = y + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x, y


def _joined(high: Array, low: Array) -> Array:
    """64-bit words of two 32-bit words each."""
    return high.astype(np.uint64) << np.uint64(32) | low.astype(np.uint64)


def _product(x: Array, y: Array) -> tuple[Array, Array]:
    """The upper and the lower word of the product of two words."""
    half = np.asarray(4 * x.dtype.itemsize, x.dtype)
    mask = np.asarray(2 ** int(half) - 1, x.dtype)
    one = (x >> half) * (y & mask) + ((x & mask) * (y & mask) >> half)
    other = (x & mask) * (y >> half) + (one & mask)
    return (x >> half) * (y >> half) + (one >> half) + (other >> half), x * y
