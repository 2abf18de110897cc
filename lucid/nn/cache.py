"""Caches of keys and values: what a Transformer that generates text need not compute again."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np

from lucid._core.arguments import count
from lucid._core.errors import JitError
from lucid._core.known import check_within
from lucid._core.mode import is_outside, state
from lucid._core.tensor import Tensor
from lucid.creation import zeros
from lucid.ops import cache as ops
from lucid.ops.shape import concatenate, repeat

__all__ = [
    "Cache",
    "DynamicKVCache",
    "EncoderDecoderCache",
    "KVCache",
]


class Stored(NamedTuple):
    """Keys and values (..., S, D) as a layer attends to them."""

    key: Tensor
    value: Tensor
    positions: Any = None  # of those that were written last
    length: Tensor | None = None  # of the S places so many are filled; None if all are


class Cache(ABC):
    """What all caches have.

    >>> issubclass(nn.KVCache, nn.Cache), issubclass(nn.EncoderDecoderCache, nn.Cache)
    (True, True)
    """

    @abstractmethod
    def reset(self) -> None:
        """Forget everything."""

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """`batch_select_indices`, under the name that beam searches use."""
        self.batch_select_indices(beam_idx)

    @abstractmethod
    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these samples, in this order; one may come several times.

        Raises:
            ValueError: `indices` has not one axis.
        """

    @abstractmethod
    def batch_repeat_interleave(self, repeats: int) -> None:
        """Put each sample `repeats` times in place of once.

        Raises:
            ValueError: `repeats` is not positive.
            TypeError: it is no integer.
        """

    @abstractmethod
    def crop(self, max_length: int) -> None:
        """Keep the last `max_length` keys and values of each layer.

        Raises:
            ValueError: it is negative.
        """

    @abstractmethod
    def update(self, *args: Any, **kwargs: Any) -> Any:
        """Add keys and values; each kind of cache says how."""

    def get_max_cache_shape(self) -> int | None:
        """The number of keys that a layer has room for; None if there is no limit."""
        return None


class KVCache(Cache):
    """Keys and values of each layer of self-attention: `key_cache[i]` and `value_cache[i]`.

    A subclass of one's own defines `update`, `get`, `get_seq_length`, `reset` and `crop`.

    >>> issubclass(nn.DynamicKVCache, nn.KVCache), issubclass(nn.StaticKVCache, nn.KVCache)
    (True, True)
    """

    key_cache: list[Tensor | None]
    value_cache: list[Tensor | None]

    def __init__(self) -> None:
        self.key_cache, self.value_cache = [], []

    @abstractmethod
    def update(
        self, key: Tensor, value: Tensor, layer_idx: int, cache_position: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Add keys and values (..., L, D) of a layer; all that it has now is returned.

        Args:
            key: new keys.
            value: as many values, of the same shape.
            layer_idx: which layer.
            cache_position: where they belong, counted from 0: one number for L = 1, (L,), or
                (N, L) for N samples. By default behind those that are there.

        Raises:
            ValueError: shapes do not match, there is no such layer, or a position does not exist.
        """

    @abstractmethod
    def get(self, layer_idx: int) -> tuple[Tensor, Tensor] | None:
        """The keys and values of a layer; None while it has none."""

    @abstractmethod
    def get_seq_length(self, layer_idx: int = 0) -> int:
        """How many keys a layer has."""

    def batch_select_indices(self, indices: Tensor) -> None:
        if np.ndim(indices) != 1:
            raise ValueError(
                "batch_select_indices: indices of one axis are needed, got shape "
                f"{np.shape(indices)}."
            )
        for i, (key, value) in self._layers():
            self._replace(i, key[indices], value[indices])

    def batch_repeat_interleave(self, repeats: int) -> None:
        count("batch_repeat_interleave", "repeats", repeats)
        for i, (key, value) in self._layers():
            self._replace(i, repeat(key, repeats, axis=0), repeat(value, repeats, axis=0))

    def _layers(self) -> list[tuple[int, tuple[Tensor, Tensor]]]:
        pairs = enumerate(zip(self.key_cache, self.value_cache, strict=True))
        return [(i, (k, v)) for i, (k, v) in pairs if k is not None and v is not None]

    def _replace(self, layer_idx: int, key: Tensor, value: Tensor) -> None:
        self.key_cache[layer_idx], self.value_cache[layer_idx] = key, value

    def _store(
        self, key: Tensor, value: Tensor, layer_idx: int, cache_position: Tensor | None
    ) -> Stored:
        """`update`, for a layer that masks by positions."""
        if cache_position is not None:
            return Stored(*self.update(key, value, layer_idx, cache_position), cache_position)
        before = self.get_seq_length(layer_idx)
        positions = np.arange(before, before + key.shape[-2], dtype=np.int32)
        return Stored(*self.update(key, value, layer_idx), positions)

    def _stored(self, layer_idx: int) -> Stored | None:
        """`get`, for a layer that masks by length."""
        found = self.get(layer_idx)
        return None if found is None else Stored(*found)


class DynamicKVCache(KVCache):
    """Keys and values that grow with the text.

    Each new length is a new shape and so compiles a program of its own; `StaticKVCache` compiles
    one for all. Inside `lucid.jit` a cache of this kind can only be one that the function makes.
    Keys and values keep the graph that they were computed in.

    >>> cache = nn.DynamicKVCache()
    >>> for _ in range(3):
    ...     keys, values = cache.update(lucid.randn(2, 4, 1, 8), lucid.randn(2, 4, 1, 8), 0)
    >>> keys.shape, cache.get_seq_length(0)
    ((2, 4, 3, 8), 3)
    """

    def __init__(self) -> None:
        super().__init__()
        self._born = state.trace

    def update(
        self, key: Tensor, value: Tensor, layer_idx: int, cache_position: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Add keys and values; see `KVCache.update`. Positions that are left out hold zeros."""
        if is_outside(self._born):
            raise JitError(
                "DynamicKVCache: in a compiled function a cache from outside cannot grow. Use "
                "StaticKVCache, or make the cache in the function."
            )
        at = checked("DynamicKVCache", key, value, layer_idx, cache_position)
        past = self.get(layer_idx)
        if at is None:
            if past is not None:
                key, value = (
                    concatenate([a, b], axis=-2) for a, b in zip(past, (key, value), strict=True)
                )
        else:
            length = self.get_seq_length(layer_idx)
            missing = max(length, int(np.max(np.asarray(at), initial=-1)) + 1) - length
            room = zeros((*key.shape[:-2], missing, key.shape[-1]), dtype=key.dtype)
            keys, values = (
                room if past is None else concatenate([past[i], room], axis=-2) for i in (0, 1)
            )
            key, value, _, _ = ops.written(keys, values, length, key, value, at)
        for cache in (self.key_cache, self.value_cache):
            cache += [None] * (layer_idx + 1 - len(cache))
        self._replace(layer_idx, key, value)
        return key, value

    def get(self, layer_idx: int) -> tuple[Tensor, Tensor] | None:
        if not 0 <= layer_idx < len(self.key_cache):
            return None
        key, value = self.key_cache[layer_idx], self.value_cache[layer_idx]
        return None if key is None or value is None else (key, value)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        found = self.get(layer_idx)
        return 0 if found is None else found[0].shape[-2]

    def reset(self) -> None:
        self.key_cache, self.value_cache = [], []

    def crop(self, max_length: int) -> None:
        check_within("crop", "max_length", max_length, 0)
        for i, (key, value) in self._layers():
            start = max(0, key.shape[-2] - max_length)
            self._replace(i, key[..., start:, :], value[..., start:, :])


class EncoderDecoderCache(Cache):
    """A cache for self-attention, and one for attention to the memory of an encoder.

    The second is filled once for each layer: a decoder reads it when `is_updated[layer]` is true.
    That is a Python value, so the first call with an empty cache is made outside `lucid.jit`.

    Args:
        self_attention_cache: a `DynamicKVCache` by default.
        cross_attention_cache: also.

    >>> cache = nn.EncoderDecoderCache()
    >>> _ = cache.update(lucid.randn(2, 4, 1, 8), lucid.randn(2, 4, 1, 8), 0)
    >>> _ = cache.update(
    ...     lucid.randn(2, 4, 9, 8), lucid.randn(2, 4, 9, 8), 0, is_cross_attention=True
    ... )
    >>> cache.get_seq_length(0), cache.get_seq_length(0, is_cross_attention=True), cache.is_updated
    (1, 9, {0: True})
    """

    def __init__(
        self,
        self_attention_cache: KVCache | None = None,
        cross_attention_cache: KVCache | None = None,
    ) -> None:
        self.self_attention_cache = self_attention_cache or DynamicKVCache()
        self.cross_attention_cache = cross_attention_cache or DynamicKVCache()
        self.is_updated: dict[int, bool] = {}
        self._born = state.trace

    def update(
        self,
        key: Tensor,
        value: Tensor,
        layer_idx: int,
        cache_position: Tensor | None = None,
        is_cross_attention: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """`KVCache.update` of one of the two caches.

        Raises:
            JitError: attention to the memory is to be filled in a compiled function.
        """
        if is_cross_attention and is_outside(self._born):
            raise JitError(
                "EncoderDecoderCache: keys and values of the memory cannot be stored inside a "
                "compiled function, for is_updated is a Python value. Make the first call, which "
                "stores them, outside."
            )
        found = self._cache(is_cross_attention).update(key, value, layer_idx, cache_position)
        if is_cross_attention:
            self.is_updated[layer_idx] = True
        return found

    def _memory(self, layer_idx: int) -> Stored | None:
        """What attention to the memory has stored of a layer."""
        filled = self.is_updated.get(layer_idx, False)
        return self.cross_attention_cache._stored(layer_idx) if filled else None

    def get(self, layer_idx: int, is_cross_attention: bool = False) -> tuple[Tensor, Tensor] | None:
        """`KVCache.get` of one of the two caches."""
        return self._cache(is_cross_attention).get(layer_idx)

    def get_seq_length(self, layer_idx: int = 0, is_cross_attention: bool = False) -> int:
        """`KVCache.get_seq_length` of one of the two caches."""
        return self._cache(is_cross_attention).get_seq_length(layer_idx)

    def get_max_cache_shape(self) -> int | None:
        return self.self_attention_cache.get_max_cache_shape()

    def reset(self) -> None:
        self.self_attention_cache.reset()
        self.cross_attention_cache.reset()
        self.is_updated.clear()

    def batch_select_indices(self, indices: Tensor) -> None:
        self.self_attention_cache.batch_select_indices(indices)
        self.cross_attention_cache.batch_select_indices(indices)

    def batch_repeat_interleave(self, repeats: int) -> None:
        self.self_attention_cache.batch_repeat_interleave(repeats)
        self.cross_attention_cache.batch_repeat_interleave(repeats)

    def crop(self, max_length: int) -> None:
        self.self_attention_cache.crop(max_length)
        self.cross_attention_cache.crop(max_length)

    def _cache(self, is_cross_attention: bool) -> KVCache:
        return self.cross_attention_cache if is_cross_attention else self.self_attention_cache


def checked(
    call: str,
    key: Tensor,
    value: Tensor,
    layer_idx: int,
    cache_position: Tensor | None,
    room: int | None = None,
) -> Tensor | None:
    """`cache_position` with an axis for the keys.

    Raises:
        ValueError: shapes do not match, the layer is negative, or a position is known not to exist.
        TypeError: positions are no integers.
    """
    if key.shape != value.shape or key.ndim < 2:
        raise ValueError(
            f"{call}: keys and values of one shape (..., L, D) are needed, got {key.shape} and "
            f"{value.shape}."
        )
    if layer_idx < 0:
        raise ValueError(f"{call}: layer_idx must be at least 0, got {layer_idx}.")
    if cache_position is None:
        return None
    at = cache_position if isinstance(cache_position, Tensor) else Tensor(cache_position)
    if at.dtype.kind not in "iu":
        raise TypeError(f"{call}: cache_position must hold integers, got {at.dtype}.")
    fitting = [key.shape[-2:-1], (key.shape[0], key.shape[-2])]
    if key.shape[-2] == 1:
        fitting.append(())
    if at.shape not in fitting or (at.ndim == 2 and key.ndim < 3):
        raise ValueError(
            f"{call}: cache_position must have shape {' or '.join(map(str, fitting))} for keys of "
            f"shape {key.shape}, got {at.shape}."
        )
    check_within(call, "cache_position", at, 0, math.inf if room is None else room - 1)
    return at if at.ndim else at.reshape(1)
