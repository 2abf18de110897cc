"""A batch that is split over devices: even parts, of which each process makes its own."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from lucid._core.spread import over_processes, parts_of
from lucid._core.tensor import Tensor


def check_even(count: int, place: Any) -> None:
    """Refuse a batch of `count` samples that `place` cannot split evenly.

    Raises:
        ValueError: it cannot.
    """
    parts, *_ = (parts_of(place) if isinstance(place, NamedSharding) else []) or [1]
    if count % parts:
        raise ValueError(
            f"DataLoader: a batch of {count} samples cannot be split into {parts} equal parts, as "
            f"`device` says. Choose a batch_size that {parts} divides, and drop_last=True if the "
            "last batch is smaller."
        )


def own_rows(count: int, place: Any) -> list[int]:
    """Which of the `count` samples of a batch this process makes."""
    check_even(count, place)
    if not over_processes(place):
        return list(range(count))
    first = NamedSharding(place.mesh, PartitionSpec(*place.spec[:1]))
    parts: Any = first.addressable_devices_indices_map((count,)).values()
    return sorted({row for (part,) in parts for row in range(*part.indices(count))})


def joined(values: Any, count: int, place: Any) -> Tensor:
    """What this process made, as its part of a batch of `count` samples.

    Raises:
        ValueError: it has not one row for each sample.
    """
    host, rows = np.asarray(Tensor(values).data), own_rows(count, place)
    if host.shape[:1] != (len(rows),):
        raise ValueError(
            f"DataLoader: {len(rows)} samples of this process became an array of shape "
            f"{host.shape}. Over several processes it has one row for each sample."
        )
    at = {row: i for i, row in enumerate(rows)}

    def part(index: Any) -> np.ndarray[Any, Any]:
        start, stop, _ = index[0].indices(count)
        return host[(slice(at[start], at[start] + stop - start), *index[1:])]

    return Tensor(jax.make_array_from_callback((count, *host.shape[1:]), place, part))
