"""Arrays whose values lie on several processes, and what the processes do together.

Each function here that is called collective waits for all processes: they make the same calls in
the same order, from the threads that run their programs.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import NamedSharding

T = TypeVar("T")
Values = np.ndarray[Any, Any]
_NAME = 256  # bytes, of a call as the processes tell it to each other
_PATIENCE = 60.0  # seconds, before a process that waits for the others says so


def several() -> bool:
    """Whether several processes compute together."""
    return jax.distributed.is_initialized() and jax.process_count() > 1


def spans(array: Any) -> bool:
    """Whether an array has values that lie on other processes only."""
    return (
        isinstance(array, jax.Array)
        and not isinstance(array, jax.core.Tracer)
        and not (array.is_fully_addressable or array.is_fully_replicated)
    )


def read(call: str, array: Any, how: Callable[[Any], T]) -> T:
    """What `how` reads of an array.

    Raises:
        RuntimeError: the values lie on several processes.
    """
    try:
        return how(array)
    except RuntimeError:
        if not spans(array):
            raise
        raise RuntimeError(
            f"{call}: the values of this Tensor of shape {array.shape} lie on several processes. "
            "lucid.sharding.whole(x) brings them together; all processes must call it."
        ) from None


def whole(array: Any) -> Values:
    """All values of an array. Collective if they lie on several processes."""
    if not spans(array):
        return np.array(array)
    from jax.experimental import multihost_utils  # one process never needs it

    return np.array(multihost_utils.process_allgather(array, tiled=True))


def agree(call: str) -> None:
    """Collective: check that all processes are about to do the same.

    Raises:
        RuntimeError: they are not.
    """
    from jax.experimental import multihost_utils

    own = np.frombuffer(call.encode()[:_NAME].ljust(_NAME), np.uint8)
    # Not an end: the others may be about to come.
    late = threading.Timer(_PATIENCE, sys.stderr.write, [
        f"lucid: process {jax.process_index()} waits in <{call}> for the others, for {_PATIENCE} s "
        "so far. All processes must make this call.\n"
    ])  # fmt: skip
    late.daemon = True
    late.start()
    gathered = np.asarray(multihost_utils.process_allgather(own)).reshape(-1, _NAME)
    late.cancel()
    calls = [bytes(told).decode(errors="replace").rstrip() for told in gathered]
    for process, other in enumerate(calls):
        if other != calls[0]:
            raise RuntimeError(
                f"the processes do not do the same: process 0 comes to <{calls[0]}>, process "
                f"{process} to <{other}>. All must make the same calls in the same order."
            )


def from_first(call: str, values: Values) -> Values:
    """The values of process 0, bit for bit. Collective if there are several processes.

    Raises:
        RuntimeError: the others make another call, or have values of another shape or dtype.
    """
    if not several():
        return values
    from jax.experimental import multihost_utils

    agree(f"{call}, {values.dtype} of shape {values.shape}")
    if not values.size:
        return values
    # As bytes, since JAX adds zeros, which would change -0.0, and narrows 64-bit numbers.
    sent = multihost_utils.broadcast_one_to_all(np.frombuffer(values.tobytes(), np.uint8))
    return np.frombuffer(np.asarray(sent).tobytes(), values.dtype).reshape(values.shape)


def parts_of(place: NamedSharding) -> list[int]:
    """Into how many parts a sharding splits each axis that its spec names."""
    names = [(n,) if isinstance(n, str) else n or () for n in place.spec]
    return [math.prod(place.mesh.shape[n] for n in axis) for axis in names]


def check_split(call: str, shape: tuple[int, ...], place: Any) -> None:
    """Refuse a sharding that cannot split an array of this shape.

    Raises:
        ValueError: it splits an axis that the mesh does not divide, or more axes than there are.
    """
    if not isinstance(place, NamedSharding):
        return
    parts = parts_of(place)
    if len(parts) > len(shape) or any(n % k for n, k in zip(shape, parts, strict=False)):
        raise ValueError(
            f"{call}: an array of shape {shape} cannot lie as {place.spec} on a mesh of "
            f"{dict(place.mesh.shape)}, which must divide the axes that it splits."
        )


def put(call: str, array: Any, place: Any) -> jax.Array:
    """An array where `place` says; where that is several processes, the one of process 0.

    So what is copied on all devices can never differ. Collective then.
    """
    check_split(call, array.shape, place)
    if not over_processes(place) or _is_global(array):
        return jax.device_put(array, place)
    values = from_first(call, np.asarray(array))
    return jax.make_array_from_callback(values.shape, place, lambda index: values[index])


def copied(array: jax.Array) -> jax.Array:
    """The array in memory of its own, bound to its place just if it was."""
    place = None if array.is_fully_addressable else array.sharding
    return jax.device_put(array, place, may_alias=False)


def over_processes(place: Any) -> bool:
    """Whether a place is a sharding of which this process has only a part."""
    return isinstance(place, jax.sharding.Sharding) and not place.is_fully_addressable


def _is_global(array: Any) -> bool:
    return isinstance(array, jax.Array) and not array.is_fully_addressable


def by_first(call: str, work: Callable[[], object]) -> None:
    """Process 0 does the work; all return when it is done. Collective.

    Raises:
        OSError: process 0 failed, in the other processes; its own error there.
    """
    error: Exception | None = None
    if jax.process_index() == 0:
        try:
            work()
        except Exception as failure:
            error = failure
    text = b"" if error is None else f"{type(error).__name__}: {error}".encode()
    told = bytes(from_first(call, np.frombuffer(text[:_NAME].ljust(_NAME), np.uint8))).rstrip()
    if error is not None:
        raise error
    if told:
        raise OSError(f"{call}: process 0 failed: {told.decode(errors='replace')}")
