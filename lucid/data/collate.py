"""From samples to a batch: stacked on the host, then moved to the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lucid._core.spread import over_processes
from lucid._core.tensor import Tensor
from lucid._core.typing import Device
from lucid.data.parts import joined


def default_collate(batch: Sequence[Any]) -> Any:
    """The samples as one batch of Tensors, with a new first axis.

    Tensors, arrays and numbers are stacked; tuples, lists and dictionaries of them stay what they
    are; strings become a list.

    Args:
        batch: samples of one structure.

    Raises:
        ValueError: there are no samples, or their shapes, lengths or keys differ.
        TypeError: samples are of different types, or hold something else.

    >>> x, y = lucid.data.default_collate([(np.zeros(2), 0), (np.ones(2), 1)])
    >>> x.shape, y
    ((2, 2), Tensor([0, 1], dtype=int32))
    >>> lucid.data.default_collate([{"a": 1.5}, {"a": 2.5}])["a"]
    Tensor([1.5, 2.5])
    """
    return place(stack(batch), None)


def stack(samples: Sequence[Any]) -> Any:
    """The samples as one batch of NumPy arrays."""
    if not len(samples):
        raise ValueError("default_collate: a batch of no samples cannot be made.")
    return _stack(list(samples), "sample")


def place(batch: Any, device: Device | None, count: int = 0) -> Any:
    """`batch` with its NumPy arrays as Tensors, and all its Tensors on `device` if one is given.

    On a device that is several processes, `batch` is what this one made of `count` samples.
    """
    if isinstance(batch, np.ndarray) or (isinstance(batch, Tensor) and device is not None):
        if over_processes(device):
            return joined(batch, count, device)
        return Tensor(batch, device=device)
    if isinstance(batch, Mapping):
        return {key: place(value, device, count) for key, value in batch.items()}
    if isinstance(batch, (tuple, list)):
        return _like(batch, [place(value, device, count) for value in batch])
    return batch


def _stack(samples: list[Any], name: str) -> Any:
    """`name` is how the errors call this part of the samples."""
    first = samples[0]
    if isinstance(first, str):
        _check_same(samples, name, "types", lambda sample: type(sample).__name__, TypeError)
        return samples
    if isinstance(first, Mapping):
        _check_same(samples, name, "types", lambda sample: type(sample).__name__, TypeError)
        _check_same(samples, name, "keys", lambda sample: sorted(map(repr, sample)))
        return {key: _stack([s[key] for s in samples], f"{name}[{key!r}]") for key in first}
    if isinstance(first, (tuple, list)):
        _check_same(samples, name, "types", lambda sample: type(sample).__name__, TypeError)
        _check_same(samples, name, "lengths", len)
        parts = zip(*samples, strict=True)
        return _like(first, [_stack(list(p), f"{name}[{i}]") for i, p in enumerate(parts)])
    arrays = [np.asarray(sample) for sample in samples]
    for sample, array in zip(samples, arrays, strict=True):
        if array.dtype.kind not in "biufcV" or array.dtype.fields:
            raise TypeError(
                f"default_collate: {name} must be numbers, strings, arrays or Tensors, or tuples, "
                f"lists and dictionaries of them; got {type(sample).__name__}. Pass a collate_fn."
            )
    _check_same(arrays, name, "shapes", np.shape)
    return np.stack(arrays)


def _check_same(
    samples: Sequence[Any],
    name: str,
    what: str,
    of: Callable[[Any], Any],
    error: type[Exception] = ValueError,
) -> None:
    expected = of(samples[0])
    for i, sample in enumerate(samples):
        if (found := of(sample)) != expected:
            raise error(
                f"default_collate: samples of one batch have different {what}: {name} is "
                f"{expected} in the first sample and {found} in number {i}. Pass a collate_fn "
                "that makes them alike, or use batch_size=1."
            )


def _like(original: Any, values: list[Any]) -> Any:
    """`values` as a tuple, list or named tuple, whichever `original` is."""
    return type(original)(*values) if hasattr(original, "_fields") else type(original)(values)
