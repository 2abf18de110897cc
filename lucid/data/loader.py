"""DataLoader: shuffled batches, made ahead in a thread, from a position that can be saved."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import operator
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax

from lucid._core.arrays import find_device
from lucid._core.misuse import told
from lucid._core.mode import no_grad
from lucid._core.spread import from_first, over_processes
from lucid._core.typing import Device
from lucid.data.collate import default_collate, place, stack
from lucid.data.dataset import IterableDataset, Samples, fetch, samples
from lucid.data.parts import check_even, own_rows
from lucid.data.sampler import (
    BatchSampler,
    DistributedSampler,
    Order,
    Ordered,
    RandomSampler,
    SequentialSampler,
)
from lucid.random import Generator


class DataLoader:
    """Batches of a dataset, an epoch for each time it is iterated over.

    The order of an epoch is drawn where the iteration begins, in the thread that begins it; so it
    does not depend on `prefetch`. Batches are made without recording. A dataset that draws random
    numbers while batches are made ahead needs a generator of its own.

    A copy, also one that is pickled, has the settings, and a state that was loaded; it begins an
    epoch of its own. In a forked process a loader iterates anew; an iteration that began before
    the fork goes on only with `prefetch=0`.

    Args:
        dataset: a Dataset, or anything with `__getitem__` and `__len__`, such as a list; or an
            IterableDataset, whose samples come in its own order.
        batch_size: the number of samples in a batch.
        shuffle: visit the samples in a random order, another one in each epoch.
        collate_fn: makes a batch of a list of samples; `default_collate` if None, and then a
            dataset may make the batch at once by its `get_batch`.
        sampler: the numbers of the samples in the order of an epoch, instead of `shuffle`: one of
            lucid's samplers, or anything else that yields numbers.
        batch_sampler: the numbers of the samples of each batch, instead of `batch_size`,
            `shuffle`, `sampler` and `drop_last`.
        drop_last: leave out the last batch if it has fewer samples.
        generator: draws the orders; the default generator if None.
        prefetch: how many batches a thread makes ahead while one is used; 0 for no thread.
        device: where the Tensors of a batch go; by default they stay where they were made, and
            NumPy arrays go to JAX's default device. With `lucid.sharding.split(mesh)` a batch is
            split; over several processes each one makes its own part, in the order of process 0,
            and a `collate_fn` gets the samples of that part.

    Raises:
        ValueError: `batch_size` is below 1, `prefetch` below 0, the device is not present or
            cannot split a batch evenly, or two arguments say different things of the order.
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

    @told
    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        *,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None,
        drop_last: bool = False,
        generator: Generator | None = None,
        prefetch: int = 2,
        device: str | Device | None = None,
    ) -> None:
        stream = isinstance(dataset, IterableDataset)
        if not stream and not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
            raise TypeError(
                "DataLoader: the dataset must have __getitem__ and __len__, as a Dataset or a "
                "list has them, or be an IterableDataset; got "
                f"{type(dataset).__name__}."
            )
        if stream and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError(
                "DataLoader: an IterableDataset comes in its own order; leave out shuffle, sampler "
                "and batch_sampler."
            )
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: a sampler is the order; leave out shuffle.")
        if batch_sampler is not None:
            if shuffle or drop_last or sampler is not None or batch_size != 1:
                raise ValueError(
                    "DataLoader: a batch_sampler makes the batches; leave out batch_size, shuffle, "
                    "sampler and drop_last."
                )
            if isinstance(batch_sampler, BatchSampler):  # which says no more than these
                sampler, drop_last = batch_sampler.sampler, batch_sampler.drop_last
                batch_size, batch_sampler = batch_sampler.batch_size, None
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.dataset = dataset
        self.batch_size = _at_least(1, batch_size, "batch_size")
        self.shuffle = bool(shuffle)
        self.collate_fn = collate_fn
        self.drop_last = bool(drop_last)
        self.generator = generator
        self.prefetch = _at_least(0, prefetch, "prefetch")
        self.device = None if device is None else find_device(device)
        self._check_parts()
        self._epoch: _Epoch | None = None
        self._own: Iterator[Any] | None = None

    def _check_parts(self) -> None:
        """Refuse what a device that is a sharding cannot split, before an epoch is under way."""
        if over_processes(self.device) and isinstance(self.sampler, DistributedSampler):
            raise ValueError(
                "DataLoader: this device gives each process its part of a batch already; leave "
                "out the DistributedSampler, which would take a part of that part."
            )
        stream = isinstance(self.dataset, IterableDataset) or self.batch_sampler is not None
        if stream or self.device is None or not isinstance(order := self._sampler(), Sized):
            return
        full, rest = divmod(len(order), self.batch_size)
        if full:
            check_even(self.batch_size, self.device)
        if rest and not self.drop_last:
            check_even(rest, self.device)

    def __len__(self) -> int:
        return len(self._batches())  # type: ignore[arg-type]  # Python says what has no length

    def __iter__(self) -> Iterator[Any]:
        """The batches of a new epoch, or the rest of the epoch whose state was loaded."""
        # The iterators hold nothing of the loader, so all is freed as soon as it is dropped.
        if isinstance(self.dataset, IterableDataset):
            pull = functools.partial(
                _pull, iter(self.dataset), self.batch_size, self.drop_last, self.collate_fn,
                self.device,
            )  # fmt: skip
            return _received(None, _ahead(pull, itertools.count(), self.prefetch))
        make = functools.partial(_make, self.dataset, self.collate_fn, self.device)
        if self._ordered() is None:
            lists = map(list, self._batches())
            return _received(None, _ahead(make, lists, self.prefetch))
        if self._epoch is None or self._epoch.begun:
            self._epoch = self._new_epoch()
        epoch = self._epoch
        epoch.begun = True
        order, size = epoch.order, self.batch_size
        work = (order[i * size : (i + 1) * size].tolist() for i in range(epoch.position, len(self)))
        return _received(epoch, _ahead(make, work, self.prefetch))

    def _sampler(self) -> Iterable[int]:
        """What orders the samples."""
        if self.sampler is not None:
            return self.sampler
        if self.shuffle:
            return RandomSampler(self.dataset, generator=self.generator)
        return SequentialSampler(self.dataset)

    def _batches(self) -> Iterable[Sequence[int]]:
        """The numbers of the samples of each batch."""
        if self.batch_sampler is not None:
            return self.batch_sampler
        return BatchSampler(self._sampler(), self.batch_size, self.drop_last)

    def _ordered(self) -> Ordered | None:
        """The sampler, if it has a state."""
        sampler = self._sampler()
        return sampler if self.batch_sampler is None and isinstance(sampler, Ordered) else None

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
        samples = f"{len(self.dataset)} samples" if hasattr(self.dataset, "__len__") else "a stream"
        if self.batch_sampler is not None:
            return f"DataLoader({samples}, batch_sampler={self.batch_sampler!r})"
        order = f"shuffle={self.shuffle}" if self.sampler is None else f"sampler={self.sampler!r}"
        return (
            f"DataLoader({samples}, batch_size={self.batch_size}, {order}, "
            f"drop_last={self.drop_last})"
        )

    def __getstate__(self) -> dict[str, Any]:
        epoch = self._epoch
        epoch = None if epoch is None or epoch.begun else dataclasses.replace(epoch)
        return {**self.__dict__, "_epoch": epoch, "_own": None}

    def state_dict(self) -> dict[str, Any]:
        """How many batches of the last begun epoch were received, and what orders the samples.

        Batches that were made ahead do not count. The state of the generator is part of it, since
        it orders the epochs to come; of a sampler, what decides its next order.

        Raises:
            TypeError: the samples come from an IterableDataset, or in the order of a sampler that
                is none of lucid's: what has no state cannot be gone on with.
        """
        sampler = self._resumable()
        epoch = self._epoch if self._epoch is not None and not self._epoch.done else None
        state = {
            "samples": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
            "position": None if epoch is None else epoch.position,
            "epoch_start": None if epoch is None else epoch.start,
            "generator": sampler.state_dict(),
        }
        return state if self.sampler is None else {**state, "sampler": repr(sampler)}

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
        if state_dict["generator"] is not None:
            self._resumable().load_state_dict(state_dict["generator"])
        self._own = self._epoch = None
        if state_dict["position"] is not None:
            self._epoch = self._new_epoch(state_dict["epoch_start"])
            self._epoch.position = state_dict["position"]

    def _resumable(self) -> Ordered:
        if isinstance(self.dataset, IterableDataset):
            what = "the samples of an IterableDataset come in its own order"
        elif (sampler := self._ordered()) is not None:
            return sampler
        else:
            own = self._sampler() if self.batch_sampler is None else self.batch_sampler
            what = f"{type(own).__name__} is none of lucid's samplers"
        raise TypeError(
            f"DataLoader: there is no state to save or load, since {what}. Count the batches that "
            "were received, and pass over as many."
        )

    def _new_epoch(self, start: Mapping[str, Any] | None = None) -> _Epoch:
        """An epoch in the next order of the sampler, or in that which it had at `start`."""
        sampler = self._resumable()
        begin = sampler.state_dict() if start is None else dict(start)
        order = sampler.order(start)
        if over_processes(self.device):
            order = from_first("DataLoader: the order of an epoch", order)
        return _Epoch(order, begin)

    def _problems(self, state: Any) -> list[str]:
        """What keeps `state` from being a state of this loader, one line for each."""
        if not isinstance(state, Mapping):
            return [f"a dictionary is needed, got {type(state).__name__}"]
        own = self.state_dict()
        problems = [f"missing: {key}" for key in own if key not in state]
        problems += [f"unexpected: {key}" for key in state if key not in own]
        for key in ("samples", "batch_size", "shuffle", "drop_last", "sampler"):
            if key in state and key in own and state[key] != own[key]:
                problems.append(f"{key}: {state[key]!r} instead of {own[key]!r}")
        position = state.get("position")
        if position is not None and (
            not isinstance(position, int) or not 0 <= position <= len(self)
        ):
            problems.append(f"position: {position!r} is no number of batches up to {len(self)}")
        drawn = own["generator"] is not None
        needed = {"generator": drawn, "epoch_start": drawn and position is not None}
        for key in needed.keys() & state.keys():
            if needed[key]:
                lines = self._resumable().state_problems(state[key])
                problems += [f"{key}: {line}" for line in lines]
        return problems


@dataclasses.dataclass
class _Epoch:
    """One pass over the samples: their order, what drew it, and how far the user has come."""

    order: Order
    start: dict[str, Any] | None  # the sampler's state before the order was drawn
    position: int = 0  # in batches
    begun: bool = False
    done: bool = False


_END: Any = object()  # what stands for a batch where a stream has ended


def _received(epoch: _Epoch | None, batches: Iterator[Any]) -> Iterator[Any]:
    for batch in batches:
        if batch is _END:
            break
        if epoch is not None:
            epoch.position += 1
        yield batch
    if epoch is not None:
        epoch.done = True


def _make(
    dataset: Samples[Any],
    collate_fn: Callable[[list[Any]], Any] | None,
    device: Device | None,
    indices: list[int],
) -> Any:
    def make() -> Any:
        own = [indices[row] for row in own_rows(len(indices), device)]
        batch = fetch(dataset, own) if collate_fn is None else collate_fn(samples(dataset, own))
        return place(batch, device, len(indices))

    return _told(f"the batch of samples {indices}", make)


def _pull(
    stream: Iterator[Any],
    size: int,
    drop_last: bool,
    collate_fn: Callable[[list[Any]], Any] | None,
    device: Device | None,
    number: int,
) -> Any:
    def make() -> Any:
        pulled = list(itertools.islice(stream, size))
        if len(pulled) < (size if drop_last else 1):
            return _END
        own = [pulled[row] for row in own_rows(len(pulled), device)]
        return place((collate_fn or stack)(own), device, len(pulled))

    return _told(f"batch {number} of the stream", make)


def _told(what: str, make: Callable[[], Any]) -> Any:
    """What `make` returns, made without recording; errors say what it was."""
    try:
        with no_grad():
            return make()
    except StopIteration as error:  # which would end the epoch
        raise RuntimeError(
            f"DataLoader: StopIteration was raised where {what} was made. An epoch ends by the "
            "length of the dataset alone."
        ) from error
    except Exception as error:
        error.add_note(f"DataLoader: this happened where {what} was made.")
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
