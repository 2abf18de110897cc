"""A count of compilations."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import jax

_seen = {
    "/jax/core/compile/jaxpr_trace_duration": 0,
    "/jax/core/compile/backend_compile_duration": 0,
}


def _on_event(event: str, duration: float, **details: object) -> None:
    if event in _seen:
        _seen[event] += 1


jax.monitoring.register_event_duration_secs_listener(_on_event)


@contextlib.contextmanager
def no_compiles() -> Iterator[None]:
    """Fail if JAX traces or compiles anything in the block."""
    before = dict(_seen)
    yield
    assert _seen == before, "something was traced or compiled"
