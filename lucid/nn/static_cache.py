"""A cache whose shapes stay the same."""

from __future__ import annotations

from contextlib import nullcontext

import jax
import numpy as np

from lucid._core.arguments import count
from lucid._core.known import check_within
from lucid._core.mode import is_outside, untraced
from lucid._core.tensor import Tensor
from lucid.creation import zeros
from lucid.nn.cache import KVCache, Stored, checked
from lucid.ops import cache as ops

__all__ = [
    "StaticKVCache",
]


class StaticKVCache(KVCache):
    """Keys and values in places that are kept for them, so that all shapes stay the same.

    It works inside `lucid.jit`: the places are state, and one program serves all lengths. There the
    length is unknown, so that `update` and `get` return all places, those that are not filled too;
    the layers of `lucid.nn` hide them, a layer of one's own does it by `cache_position`. A position
    without a place cannot be refused there; then NaN are written, so that all that follows is NaN.

    Places are made for the shape of the first keys; after a reset, keys of another shape get
    others, but not inside `lucid.jit`. What is kept has no graph: gradients reach the keys and
    values of this call, not earlier ones.

    Args:
        max_cache_len: number of places.
        num_layers: number of layers.

    Raises:
        ValueError: a number is not positive.
        TypeError: a number is no integer.

    >>> cache = nn.StaticKVCache(max_cache_len=16, num_layers=1)
    >>> keys, values = cache.update(lucid.randn(2, 4, 3, 8), lucid.randn(2, 4, 3, 8), 0)
    >>> keys.shape, cache.key_cache[0].shape
    ((2, 4, 3, 8), (2, 4, 16, 8))
    >>> @lucid.jit
    ... def attend(q, k, v, at):
    ...     k, v = cache.update(k, v, 0, at)
    ...     return F.scaled_dot_product_attention(q, k, v, lucid.arange(16) <= at[:, None])
    >>> attend(*(lucid.randn(2, 4, 1, 8) for _ in range(3)), Tensor([3])).shape
    (2, 4, 1, 8)
    >>> cache.get_seq_length(0)
    4
    """

    def __init__(self, max_cache_len: int, num_layers: int) -> None:
        self.max_cache_len = count("StaticKVCache", "max_cache_len", max_cache_len)
        self.num_layers = count("StaticKVCache", "num_layers", num_layers)
        self.key_cache, self.value_cache = [None] * num_layers, [None] * num_layers
        self._lengths = [zeros((), dtype="int32") for _ in range(num_layers)]

    def update(
        self, key: Tensor, value: Tensor, layer_idx: int, cache_position: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Put keys and values into their places; see `KVCache.update`."""
        stored = self._store(key, value, layer_idx, cache_position)
        return self._filled(stored.key, stored.value, layer_idx)

    def _store(
        self, key: Tensor, value: Tensor, layer_idx: int, cache_position: Tensor | None
    ) -> Stored:
        """`update`, but it returns all places."""
        self._check_layer(layer_idx)
        at = checked("StaticKVCache", key, value, layer_idx, cache_position, self.max_cache_len)
        keys, values = self._places(key, layer_idx)
        length = self._lengths[layer_idx]
        if at is None:
            self._check_room(length, key.shape[-2])
        key, value, at, longest = ops.written(keys, values, length, key, value, at)
        keys.data, values.data, length.data = key, value, longest
        return Stored(key, value, at, length)

    def _check_room(self, length: Tensor, n: int) -> None:
        if not _is_traced(length) and int(length) + n > self.max_cache_len:
            raise ValueError(
                f"StaticKVCache: {n} more keys do not fit; {int(length)} of max_cache_len="
                f"{self.max_cache_len} places are filled."
            )

    def _places(self, key: Tensor, layer_idx: int) -> tuple[Tensor, Tensor]:
        """The places of a layer, which are made when its first keys show their shape."""
        shape, dtype = (*key.shape[:-2], self.max_cache_len, key.shape[-1]), key.dtype
        length = self._lengths[layer_idx]
        outside = is_outside(length._born)
        for cache in (self.key_cache, self.value_cache):
            places = cache[layer_idx]
            if places is None:
                # They belong to no program, for all that use the cache share them.
                with untraced() if outside else nullcontext():
                    cache[layer_idx] = zeros(shape, dtype=dtype)
            elif places.shape != shape or places.dtype != dtype:
                if outside or _is_traced(length) or int(length):
                    raise ValueError(
                        f"StaticKVCache: keys of shape {key.shape} and {dtype} do not fit into the "
                        f"places of layer {layer_idx}, {places.shape} and {places.dtype}. Make "
                        "another cache, or reset this one outside of compiled functions."
                    )
                places.data = zeros(shape, dtype=dtype)  # programs know the Tensor
        return self._kept(layer_idx)

    def _kept(self, layer_idx: int) -> tuple[Tensor, Tensor]:
        key, value = self.key_cache[layer_idx], self.value_cache[layer_idx]
        assert key is not None and value is not None
        return key, value

    def _filled(self, key: Tensor, value: Tensor, layer_idx: int) -> tuple[Tensor, Tensor]:
        length = self._lengths[layer_idx]
        if _is_traced(length):
            return key, value
        return key[..., : int(length), :], value[..., : int(length), :]

    def get(self, layer_idx: int) -> tuple[Tensor, Tensor] | None:
        stored = self._stored(layer_idx)
        return None if stored is None else self._filled(stored.key, stored.value, layer_idx)

    def _stored(self, layer_idx: int) -> Stored | None:
        """`get`, but it returns all places."""
        self._check_layer(layer_idx)
        length = self._lengths[layer_idx]
        if self.key_cache[layer_idx] is None or not (_is_traced(length) or int(length)):
            return None
        return Stored(*self._kept(layer_idx), None, length)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """How many keys a layer has; unknown inside `lucid.jit`."""
        self._check_layer(layer_idx)
        return int(self._lengths[layer_idx])

    def get_max_cache_shape(self) -> int:
        return self.max_cache_len

    def reset(self) -> None:
        for length in self._lengths:
            length.data = np.int32(0)

    def crop(self, max_length: int) -> None:
        check_within("crop", "max_length", max_length, 0)
        for i, (key, value) in self._layers():
            keys, values, length = ops.latest(key, value, self._lengths[i], max_length)
            self._replace(i, keys, values)
            self._lengths[i].data = length

    def _replace(self, layer_idx: int, key: Tensor, value: Tensor) -> None:
        keys, values = self._kept(layer_idx)
        keys.data, values.data = key, value

    def _check_layer(self, layer_idx: int) -> None:
        if not 0 <= layer_idx < self.num_layers:
            raise ValueError(
                f"StaticKVCache: layer_idx must be from 0 to num_layers - 1 = "
                f"{self.num_layers - 1}, got {layer_idx}."
            )


def _is_traced(length: Tensor) -> bool:
    return isinstance(length.data, jax.core.Tracer)
