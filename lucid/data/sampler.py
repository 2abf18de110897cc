"""Samplers: the numbers of the samples in the order in which an epoch visits them."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any

import numpy as np

from lucid._core.arguments import count
from lucid._core.typing import Operand
from lucid.random import Generator, default_generator, permutation, randint

Order = np.ndarray[Any, Any]


class Sampler(ABC):
    """Numbers of samples in the order of an epoch: a subclass defines `__iter__`.

    With `__len__` a DataLoader has a length too. A loader's `state_dict` needs one of lucid's own.

    >>> class Backwards(lucid.data.Sampler):
    ...     def __iter__(self):
    ...         return iter([2, 1, 0])
    >>> [batch.tolist() for batch in lucid.data.DataLoader([5, 6, 7], 2, sampler=Backwards())]
    [[7, 6], [5]]
    """

    @abstractmethod
    def __iter__(self) -> Iterator[int]: ...


class Ordered(Sampler):
    """Base of lucid's samplers: a state decides the next order, and can bring it back."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def order(self, state: Mapping[str, Any] | None = None) -> Order:
        """The next order, or the one that followed when `state` was taken."""

    def state_dict(self) -> dict[str, Any] | None:
        """What decides the next order; None if nothing does."""
        return None

    def load_state_dict(self, state: Any) -> None:
        """Go on with the order that followed when `state` was taken."""

    def state_problems(self, state: Any) -> list[str]:
        """What keeps `state` from being one of this sampler, one line for each."""
        return []

    def __iter__(self) -> Iterator[int]:
        return iter(self.order().tolist())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} samples)"


class SequentialSampler(Ordered):
    """All samples of a dataset from the first to the last.

    >>> list(lucid.data.SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __len__(self) -> int:
        return len(self.data_source)

    def order(self, state: Mapping[str, Any] | None = None) -> Order:
        """0, 1, 2, ..."""
        return np.arange(len(self))


class _Drawn(Ordered):
    """An order that a generator draws; the default generator if it is None."""

    generator: Generator | None

    @abstractmethod
    def _draw(self, generator: Generator) -> Order: ...

    def order(self, state: Mapping[str, Any] | None = None) -> Order:
        """The next order that is drawn, or the one that was when the generator had `state`."""
        stream = self._stream()
        if state is not None:
            stream = Generator(0)
            stream.load_state_dict(state)
        return self._draw(stream)

    def state_dict(self) -> dict[str, Any]:
        """The state of the generator."""
        return self._stream().state_dict()

    def load_state_dict(self, state: Any) -> None:
        """Load the state of the generator."""
        self._stream().load_state_dict(state)

    def state_problems(self, state: Any) -> list[str]:
        """What keeps `state` from being the state of a generator, one line for each."""
        return Generator.state_problems(state)

    def _stream(self) -> Generator:
        return default_generator() if self.generator is None else self.generator


class RandomSampler(_Drawn):
    """The samples of a dataset in random order.

    Args:
        data_source: the dataset.
        replacement: draw each number from all, so that a sample may come twice.
        num_samples: how many are drawn, by default as many as there are; beyond that, without
            replacement, all samples come again in another order.
        generator: draws the order; the default generator if None.

    Raises:
        ValueError: `num_samples` is below 1.

    >>> sorted(lucid.data.RandomSampler("abc"))
    [0, 1, 2]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self.num_samples = (
            None if num_samples is None else count("RandomSampler", "num_samples", num_samples)
        )
        self.generator = generator

    def __len__(self) -> int:
        return len(self.data_source) if self.num_samples is None else self.num_samples

    def _draw(self, generator: Generator) -> Order:
        size, wanted = len(self.data_source), len(self)
        if self.replacement and size:
            return randint(size, size=(wanted,), generator=generator).numpy()
        rounds = max(1, -(-wanted // max(size, 1)))
        orders = [permutation(size, generator=generator).numpy() for _ in range(rounds)]
        return np.concatenate(orders)[:wanted]


class SubsetRandomSampler(_Drawn):
    """Samples of these numbers in random order.

    >>> sorted(lucid.data.SubsetRandomSampler([2, 5, 7]))
    [2, 5, 7]
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = [operator.index(i) for i in indices]
        self.generator = generator

    def __len__(self) -> int:
        return len(self.indices)

    def _draw(self, generator: Generator) -> Order:
        order = permutation(len(self), generator=generator).numpy()
        return np.asarray(self.indices, order.dtype)[order]


class WeightedRandomSampler(_Drawn):
    """Numbers drawn with probabilities in the proportion of weights.

    Args:
        weights: one for each sample; they need not sum to 1.
        num_samples: how many are drawn.
        replacement: whether a sample may come twice.
        generator: draws the order; the default generator if None.

    Raises:
        ValueError: a weight is negative or not finite, none is above 0, `num_samples` is below 1,
            or without replacement fewer weights are above 0.

    >>> list(lucid.data.WeightedRandomSampler([0.0, 2.0, 0.0], 4))
    [1, 1, 1, 1]
    """

    def __init__(
        self,
        weights: Operand | Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        self.weights = np.array(weights, np.float64)
        self.num_samples = count("WeightedRandomSampler", "num_samples", num_samples)
        self.replacement = replacement
        self.generator = generator
        if (
            self.weights.ndim != 1
            or not np.isfinite(self.weights).all()
            or (self.weights < 0).any()
            or not self.weights.any()
        ):
            raise ValueError(
                "WeightedRandomSampler: one weight for each sample is needed, finite, at least 0 "
                f"and not all 0, got {weights!r}."
            )
        if not replacement and num_samples > (possible := int((self.weights > 0).sum())):
            raise ValueError(
                f"WeightedRandomSampler: without replacement {num_samples} samples cannot be drawn "
                f"from {possible} with a weight above 0."
            )

    def __len__(self) -> int:
        return self.num_samples

    def _draw(self, generator: Generator) -> Order:
        if self.replacement:
            ends = np.cumsum(self.weights)
            return np.searchsorted(ends / ends[-1], _uniform(len(self), generator), side="right")
        # The first arrivals of processes of these rates.
        uniform = _uniform(len(self.weights), generator)
        with np.errstate(divide="ignore"):
            arrivals = np.where(self.weights > 0, -np.log1p(-uniform) / self.weights, np.inf)
        return np.argsort(arrivals, kind="stable")[: len(self)]


class DistributedSampler(Ordered):
    """The share of a dataset that one of several processes visits; all shares have one size.

    Args:
        dataset: the whole dataset.
        num_replicas: how many processes there are, such as `jax.process_count()`.
        rank: which one this is, such as `jax.process_index()`.
        shuffle: visit the samples in a random order. It depends on `seed` and on the epoch: call
            `set_epoch` with its number before each one, or all have the same order.
        seed: the same in all processes.
        drop_last: leave out samples so that the shares are equal; otherwise some come again.

    Raises:
        ValueError: `num_replicas` is below 1, or `rank` is not from 0 to `num_replicas` - 1.

    >>> parts = [lucid.data.DistributedSampler(range(5), 2, rank, shuffle=False) for rank in (0, 1)]
    >>> [list(part) for part in parts]
    [[0, 2, 4], [1, 3, 0]]
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int,
        rank: int,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.dataset = dataset
        self.num_replicas = count("DistributedSampler", "num_replicas", num_replicas)
        if not 0 <= rank < num_replicas:
            raise ValueError(
                f"DistributedSampler: rank must be from 0 to {num_replicas - 1}, got {rank}."
            )
        self.rank = rank
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        size = len(self.dataset)
        return (size if self.drop_last else size + self.num_replicas - 1) // self.num_replicas

    def order(self, state: Mapping[str, Any] | None = None) -> Order:
        """The share in this epoch, or in that of `state`."""
        order = np.arange(len(self.dataset))
        if self.shuffle:
            epoch = self.epoch if state is None else state["epoch"]
            order = permutation(len(order), generator=Generator(self.seed + epoch)).numpy()
        return np.resize(order, len(self) * self.num_replicas)[self.rank :: self.num_replicas]

    def state_dict(self) -> dict[str, Any]:
        """The epoch, and the seed that its order follows from."""
        return {"epoch": self.epoch, "seed": self.seed}

    def load_state_dict(self, state: Any) -> None:
        """Take over the epoch."""
        self.epoch = state["epoch"]

    def state_problems(self, state: Any) -> list[str]:
        """What keeps `state` from holding an epoch."""
        if not (isinstance(state, Mapping) and isinstance(state.get("epoch"), int)):
            return [f"the number of an epoch is needed, got {state!r}"]
        seed = state.get("seed", self.seed)
        return [] if seed == self.seed else [f"its seed is {seed}, and {self.seed} here"]


class BatchSampler:
    """The numbers of a sampler in lists of `batch_size`, for `DataLoader(batch_sampler=)`.

    Args:
        sampler: a Sampler, or anything else that yields numbers.
        batch_size: the length of a list.
        drop_last: leave out the last list if it is shorter.

    Raises:
        ValueError: `batch_size` is below 1.

    >>> list(lucid.data.BatchSampler(range(5), 2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        self.sampler = sampler
        self.batch_size = count("BatchSampler", "batch_size", batch_size)
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for number in self.sampler:
            batch.append(number)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        samples = len(self.sampler)  # type: ignore[arg-type]  # Python says what has no length
        return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)


def _uniform(size: int, generator: Generator) -> Order:
    """Numbers from [0, 1) with the 53 bits of a float64, whatever JAX computes in."""
    words = randint(2**32, size=(2, size), generator=generator, dtype="uint32").numpy()
    high, low = words.astype(np.uint64)
    return ((high << np.uint64(21)) | (low >> np.uint64(11))) * 2.0**-53
