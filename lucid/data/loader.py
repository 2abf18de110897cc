"""DataLoader: shuffled batches, made ahead in a thread, from a position that can be saved."""

from __future__ import annotations

import dataclasses
import functools
import operator
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from lucid._core.arrays import find_device
from lucid._core.mode import no_grad
from lucid._core.typing import Device
from lucid.data.collate import default_collate, place
from lucid.data.dataset import Samples, fetch, samples
from lucid.random import Generator, default_generator, permutation


class DataLoader:
    """Batches of a dataset, an epoch for each time it is iterated over.

    The order of an epoch is drawn where the iteration begins, in the thread that begins it; so it
    does not depend on `prefetch`. Batches are made without recording. A dataset that draws random
    numbers while batches are made ahead needs a generator of its own.

    A copy, also one that is pickled, has the settings, and a state that was loaded; it begins an
    epoch of its own. In a forked process a loader iterates anew; an iteration that began before
    the fork goes on only with `prefetch=0`.

    Args:
        dataset: a Dataset, or anything with `__getitem__` and `__len__`, such as a list.
        batch_size: the number of samples in a batch.
        shuffle: visit the samples in a random order, another one in each epoch.
        collate_fn: makes a batch of a list of samples; `default_collate` if None, and then a
            dataset may make the batch at once by its `get_batch`.
        drop_last: leave out the last batch if it has fewer samples.
        generator: draws the orders; the default generator if None.
        prefetch: how many batches a thread makes ahead while one is used; 0 for no thread.
        device: where the Tensors of a batch go; by default they stay where they were made, and
            NumPy arrays go to JAX's default device.

    Raises:
        ValueError: `batch_size` is below 1, `prefetch` below 0, or the device is not present.
        RuntimeError: when iterated over, if the dataset or `collate_fn` raised StopIteration.
            Other errors of theirs pass, with a note that names the sample and the batch.
        TypeError: the dataset has no `__getitem__` or `__len__`, or a number is no integer.

    >>> dataset = lucid.data.TensorDataset(lucid.arange(10), lucid.arange(10) ** 2)
    >>> loader = lucid.data.DataLoader(dataset, batch_size=4, shuffle=True)
    >>> len(loader), [len(x) for x, y in loader]
    (3, [4, 4, 2])
    >>> all(bool((x**2 == y).all()) for x, y in loader)
    True
    """

    default_collate = staticmethod(default_collate)

    def __init__(
        self,
        dataset: Samples[Any],
        batch_size: int = 1,
        shuffle: bool = False,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        *,
        drop_last: bool = False,
        generator: Generator | None = None,
        prefetch: int = 2,
        device: str | Device | None = None,
    ) -> None:
        if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
            raise TypeError(
                "DataLoader: the dataset must have __getitem__ and __len__, as a Dataset or a "
                f"list has them; got {type(dataset).__name__}."
            )
        self.dataset = dataset
        self.batch_size = _at_least(1, batch_size, "batch_size")
        self.shuffle = bool(shuffle)
        self.collate_fn = collate_fn
        self.drop_last = bool(drop_last)
        self.generator = generator
        self.prefetch = _at_least(0, prefetch, "prefetch")
        self.device = None if device is None else find_device(device)
        self._epoch: _Epoch | None = None
        self._own: Iterator[Any] | None = None

    def __len__(self) -> int:
        samples, size = len(self.dataset), self.batch_size
        return samples // size if self.drop_last else -(-samples // size)

    def __iter__(self) -> Iterator[Any]:
        """The batches of a new epoch, or the rest of the epoch whose state was loaded."""
        if self._epoch is None or self._epoch.begun:
            self._epoch = self._new_epoch()
        epoch = self._epoch
        epoch.begun = True
        order, size = epoch.order, self.batch_size
        work = (order[i * size : (i + 1) * size].tolist() for i in range(epoch.position, len(self)))
        make = functools.partial(_make, self.dataset, self.collate_fn, self.device)
        # The iterator holds nothing of the loader, so both are freed as soon as they are dropped.
        return _received(epoch, _ahead(make, work, self.prefetch))

    def __next__(self) -> Any:
        """The next batch of an iteration that the loader keeps itself, epoch after epoch."""
        if self._own is None:
            self._own = iter(self)
        try:
            return next(self._own)
        except BaseException:
            self._own = None
            raise

    def __repr__(self) -> str:
        return (
            f"DataLoader({len(self.dataset)} samples, batch_size={self.batch_size}, "
            f"shuffle={self.shuffle}, drop_last={self.drop_last})"
        )

    def __getstate__(self) -> dict[str, Any]:
        epoch = self._epoch
        epoch = None if epoch is None or epoch.begun else dataclasses.replace(epoch)
        return {**self.__dict__, "_epoch": epoch, "_own": None}

    def state_dict(self) -> dict[str, Any]:
        """How many batches of the last begun epoch were received, and what orders the samples.

        Batches that were made ahead do not count. The state of the generator is part of it, since
        it orders the epochs to come.
        """
        epoch = self._epoch if self._epoch is not None and not self._epoch.done else None
        return {
            "samples": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
            "position": None if epoch is None else epoch.position,
            "epoch_start": None if epoch is None else epoch.start,
            "generator": self._stream().state_dict() if self.shuffle else None,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go to the place where `state_dict` was taken; the next iteration goes on from there.

        An epoch that was under way is continued with the very next batch. If all its batches were
        received but not yet its end, the next iteration is empty and ends it.

        Raises:
            ValueError: the state is of a loader with another number of samples or other settings,
                or is no such state; the message lists all that differs, and nothing was changed.

        >>> dataset = lucid.data.TensorDataset(lucid.arange(6))
        >>> first, second = (lucid.data.DataLoader(dataset, 2, shuffle=True) for _ in range(2))
        >>> batches = iter(first)
        >>> seen = next(batches)
        >>> second.load_state_dict(first.state_dict())
        >>> all(bool((x == y).all()) for (x,), (y,) in zip(batches, second, strict=True))
        True
        """
        problems = self._problems(state_dict)
        if problems:
            raise ValueError(
                "load_state_dict: the state does not fit this DataLoader, and nothing was "
                "changed.\n  " + "\n  ".join(problems)
            )
        if self.shuffle:
            self._stream().load_state_dict(state_dict["generator"])
        self._own = self._epoch = None
        if state_dict["position"] is not None:
            self._epoch = self._new_epoch(state_dict["epoch_start"])
            self._epoch.position = state_dict["position"]

    def _stream(self) -> Generator:
        return default_generator() if self.generator is None else self.generator

    def _new_epoch(self, start: Mapping[str, Any] | None = None) -> _Epoch:
        """An epoch in the next order of the generator, or in that which it had at `start`."""
        samples = len(self.dataset)
        if not self.shuffle:
            return _Epoch(np.arange(samples), None)
        stream = self._stream()
        if start is not None:
            stream = Generator(0)
            stream.load_state_dict(start)
        start = stream.state_dict()
        return _Epoch(permutation(samples, generator=stream).numpy(), start)

    def _problems(self, state: Any) -> list[str]:
        """What keeps `state` from being a state of this loader, one line for each."""
        if not isinstance(state, Mapping):
            return [f"a dictionary is needed, got {type(state).__name__}"]
        own = self.state_dict()
        problems = [f"missing: {key}" for key in own if key not in state]
        problems += [f"unexpected: {key}" for key in state if key not in own]
        for key in ("samples", "batch_size", "shuffle", "drop_last"):
            if key in state and state[key] != own[key]:
                problems.append(f"{key}: {state[key]!r} instead of {own[key]!r}")
        position = state.get("position")
        if position is not None and (
            not isinstance(position, int) or not 0 <= position <= len(self)
        ):
            problems.append(f"position: {position!r} is no number of batches up to {len(self)}")
        needed = {"generator": self.shuffle, "epoch_start": self.shuffle and position is not None}
        for key in needed.keys() & state.keys():
            if needed[key]:
                problems += [f"{key}: {line}" for line in Generator.state_problems(state[key])]
        return problems


@dataclasses.dataclass
class _Epoch:
    """One pass over the samples: their order, what drew it, and how far the user has come."""

    order: np.ndarray[Any, Any]
    start: dict[str, Any] | None  # the generator's state before the order was drawn
    position: int = 0  # in batches
    begun: bool = False
    done: bool = False


def _received(epoch: _Epoch, batches: Iterator[Any]) -> Iterator[Any]:
    for batch in batches:
        epoch.position += 1
        yield batch
    epoch.done = True


def _make(
    dataset: Samples[Any],
    collate_fn: Callable[[list[Any]], Any] | None,
    device: Device | None,
    indices: list[int],
) -> Any:
    try:
        with no_grad():
            if collate_fn is None:
                batch = fetch(dataset, indices)
            else:
                batch = collate_fn(samples(dataset, indices))
            return place(batch, device)
    except StopIteration as error:  # which would end the epoch
        raise RuntimeError(
            f"DataLoader: StopIteration was raised where the batch of samples {indices} was made. "
            "An epoch ends by the length of the dataset alone."
        ) from error
    except Exception as error:
        error.add_note(f"DataLoader: this happened where the batch of samples {indices} was made.")
        raise


def _ahead(make: Callable[[Any], Any], work: Iterable[Any], count: int) -> Iterator[Any]:
    """`map(make, work)`, computed in a thread that is up to `count` results ahead.

    When the iterator is closed or dropped, what has not begun is cancelled, and with the pool the
    thread ends after what it is doing. Nobody waits for it, since a garbage collection may run
    anywhere, also in that thread. At the interpreter's exit `concurrent.futures` waits for it.
    """
    if count == 0:
        yield from map(make, work)
        return
    # JAX's settings belong to a thread; those of the user's thread hold for its batches.
    settings: Any = jax.config  # the types of some JAX leave these two out
    x64, device = settings.jax_enable_x64, settings.jax_default_device

    def make_there(item: Any) -> Any:
        with jax.enable_x64(x64), jax.default_device(device):
            return make(item)

    def result() -> Any:
        if os.getpid() != process:
            raise RuntimeError(
                "DataLoader: this iteration began in the process that forked this one, and its "
                "thread stayed there. Begin another iteration, or iterate with prefetch=0."
            )
        return waiting.popleft().result()

    process = os.getpid()
    pool = ThreadPoolExecutor(1, thread_name_prefix="lucid.data")
    waiting: deque[Future[Any]] = deque()
    try:
        for item in work:
            waiting.append(pool.submit(make_there, item))
            if len(waiting) > count:
                yield result()
        while waiting:
            yield result()
    finally:
        # Not `pool.shutdown`, which fails when the interpreter is taking its modules apart.
        for future in waiting:
            future.cancel()
        del pool  # an exception's traceback may keep this frame for long


def _at_least(limit: int, value: int, name: str) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"DataLoader: {name} must be an integer, got {value!r}.") from None
    if number < limit:
        raise ValueError(f"DataLoader: {name} must be at least {limit}, got {number}.")
    return number
