"""Datasets: samples by number, and batches of them."""

from __future__ import annotations

import bisect
import itertools
import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np

from lucid._core.tensor import Tensor
from lucid._core.typing import Device
from lucid.data.collate import stack
from lucid.random import Generator, permutation

T_co = TypeVar("T_co", covariant=True)


class Samples(Protocol[T_co]):
    """What holds samples by number: a Dataset, a list, an array."""

    def __getitem__(self, idx: int, /) -> T_co: ...

    def __len__(self) -> int: ...


class Dataset(ABC, Generic[T_co]):
    """Samples by number: a subclass defines `__getitem__` and `__len__`.

    >>> class Squares(lucid.data.Dataset[int]):
    ...     def __getitem__(self, idx):
    ...         return idx * idx
    ...     def __len__(self):
    ...         return 4
    >>> list(Squares()), len(Squares() + Squares())
    ([0, 1, 4, 9], 8)
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # A `get_batch` would bypass a `__getitem__` that overrides the one it was written for.
        owner = {
            name: next(i for i, base in enumerate(cls.__mro__) if name in vars(base))
            for name in ("__getitem__", "get_batch")
        }
        if owner["__getitem__"] < owner["get_batch"]:
            cls.get_batch = Dataset.get_batch  # type: ignore[method-assign]

    @abstractmethod
    def __getitem__(self, idx: Any) -> T_co:
        """The sample number `idx`."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of samples."""

    def get_batch(self, indices: Sequence[int]) -> Any:
        """The samples of these numbers as one batch, for a DataLoader without a collate_fn.

        A subclass that can fetch many samples at once may define it.

        Returns:
            Arrays or Tensors with a new first axis, or tuples, lists and dictionaries of them.
        """
        return stack(samples(self, indices))

    def __iter__(self) -> Iterator[T_co]:
        return (self[i] for i in range(len(self)))

    def __add__(self, other: Samples[Any]) -> ConcatDataset[Any]:
        return ConcatDataset([self, other])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} samples)"


class IterableDataset(ABC, Generic[T_co]):
    """Samples that come one after the other: a subclass defines `__iter__`, which begins anew.

    A DataLoader takes them as they come; in its thread, if batches are made ahead.

    >>> class Countdown(lucid.data.IterableDataset[int]):
    ...     def __iter__(self):
    ...         yield from (3, 2, 1)
    >>> [batch.tolist() for batch in lucid.data.DataLoader(Countdown(), batch_size=2)]
    [[3, 2], [1]]
    """

    @abstractmethod
    def __iter__(self) -> Iterator[T_co]: ...


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Samples along the first axis of one or several Tensors.

    Batches are cut out of the whole Tensors, on the device where those are.

    Args:
        tensors_or_arrays: Tensors, or what a Tensor is made of, with first axes of one size.

    Raises:
        ValueError: there are no Tensors, one has no axis, or the sizes of the first axes differ.

    >>> dataset = lucid.data.TensorDataset(lucid.arange(6).reshape(3, 2), [7, 8, 9])
    >>> dataset[1]
    (Tensor([2, 3], dtype=int32), Tensor(8, dtype=int32))
    """

    def __init__(self, *tensors_or_arrays: Any) -> None:
        if not tensors_or_arrays:
            raise ValueError("TensorDataset: at least one Tensor is needed.")
        tensors = tuple(t if isinstance(t, Tensor) else Tensor(t) for t in tensors_or_arrays)
        if len({t.shape[:1] for t in tensors}) > 1 or tensors[0].ndim == 0:
            raise ValueError(
                "TensorDataset: the Tensors must have first axes of one size, got shapes "
                f"{', '.join(str(t.shape) for t in tensors)}."
            )
        self._tensors = tensors

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The whole Tensors."""
        return self._tensors

    def __getitem__(self, idx: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[idx] for tensor in self._tensors)

    def get_batch(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        """The samples of these numbers as one batch, each Tensor indexed once."""
        at = np.asarray(indices)
        return tuple(tensor[at] for tensor in self._tensors)

    def __len__(self) -> int:
        return len(self._tensors[0])

    def to(self, device: str | Device) -> Self:
        """Move the Tensors to `device`, and return the dataset.

        >>> lucid.data.TensorDataset([1.0, 2.0]).to("cpu").tensors
        (Tensor([1., 2.]),)
        """
        self._tensors = tuple(tensor.to(device) for tensor in self._tensors)
        return self


class Subset(Dataset[T_co]):
    """Those samples of a dataset that `indices` names, in that order.

    Raises:
        IndexError: an index is out of range.

    >>> letters = lucid.data.Subset("abcdef", [5, 0])
    >>> list(letters)
    ['f', 'a']
    """

    def __init__(self, dataset: Samples[T_co], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = [operator.index(i) for i in indices]
        size = len(dataset)
        for i in self.indices:
            if not -size <= i < size:
                raise IndexError(
                    f"Subset: index {i} is out of range for a dataset of {size} samples."
                )

    def __getitem__(self, idx: Any) -> T_co:
        return self.dataset[self.indices[idx]]

    def get_batch(self, indices: Sequence[int]) -> Any:
        """The samples of these numbers as one batch, fetched by the dataset itself."""
        return fetch(self.dataset, [self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset[T_co]):
    """Several datasets, one behind the other.

    Raises:
        ValueError: there are no datasets.

    >>> both = lucid.data.ConcatDataset(["abc", "xy"])
    >>> len(both), both[3], both[-1]
    (5, 'x', 'y')
    """

    def __init__(self, datasets: Sequence[Samples[T_co]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: at least one dataset is needed.")
        self._ends = list(itertools.accumulate(len(dataset) for dataset in self.datasets))

    def __getitem__(self, idx: Any) -> T_co:
        position = operator.index(idx)
        if not -len(self) <= position < len(self):
            raise IndexError(
                f"ConcatDataset: index {position} is out of range for {len(self)} samples."
            )
        position %= len(self)
        number = bisect.bisect_right(self._ends, position)
        start = self._ends[number - 1] if number else 0
        return self.datasets[number][position - start]

    def __len__(self) -> int:
        return self._ends[-1]


def random_split(
    dataset: Samples[T_co], lengths: Sequence[int | float], seed: int | None = None
) -> tuple[Subset[T_co], ...]:
    """Split a dataset at random into parts that do not overlap.

    Args:
        dataset: what to split.
        lengths: the number of samples of each part, or, where one of them is a float, its share of
            all samples; what rounding down leaves over goes one by one to the first parts.
        seed: for the same split every time; by default the default generator draws it.

    Returns:
        A Subset for each part.

    Raises:
        ValueError: a length is negative, the numbers do not sum to the number of samples, or the
            shares do not sum to 1.

    >>> train, test = lucid.data.random_split(range(10), [0.75, 0.25], seed=0)
    >>> len(train), len(test), sorted([*train, *test]) == list(range(10))
    (8, 2, True)
    """
    size = len(dataset)
    counts = _counts(size, lengths)
    generator = None if seed is None else Generator(seed)
    order = permutation(size, generator=generator).tolist()
    ends = list(itertools.accumulate(counts))
    return tuple(
        Subset(dataset, order[end - count : end]) for end, count in zip(ends, counts, strict=True)
    )


def fetch(dataset: Samples[Any], indices: Sequence[int]) -> Any:
    """The samples of these numbers as one batch, made by a Dataset itself."""
    if isinstance(dataset, Dataset):
        return dataset.get_batch(indices)
    return stack(samples(dataset, indices))


def samples(dataset: Samples[Any], indices: Sequence[int]) -> list[Any]:
    """The samples of these numbers; an error says at which one it arose."""
    made = []
    for i in indices:
        try:
            made.append(dataset[i])
        except StopIteration as error:  # which would end whatever iterates
            raise RuntimeError(
                f"DataLoader: sample {i} of the dataset raised StopIteration, which would end the "
                "epoch. Raise IndexError where there is no sample."
            ) from error
        except Exception as error:
            error.add_note(f"DataLoader: this is sample {i} of the dataset.")
            raise
    return made


def _counts(size: int, lengths: Sequence[int | float]) -> list[int]:
    if not all(length >= 0 for length in lengths):
        raise ValueError(f"random_split: lengths must be at least 0, got {list(lengths)}.")
    if not any(isinstance(length, (float, np.floating)) for length in lengths):
        counts = [int(length) for length in lengths]
        if sum(counts) != size:
            raise ValueError(
                f"random_split: the lengths {counts} sum to {sum(counts)}, and the dataset has "
                f"{size} samples."
            )
        return counts
    total = math.fsum(lengths)
    if not math.isclose(total, 1):
        raise ValueError(
            f"random_split: fractions must sum to 1, and {list(lengths)} sum to {total:.6g}. "
            "Numbers of samples must all be integers."
        )
    counts = [math.floor(size * length) for length in lengths]
    for i in range(size - sum(counts)):
        counts[i % len(counts)] += 1
    return counts
