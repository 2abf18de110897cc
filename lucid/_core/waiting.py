"""A compilation that lasts says so: on a terminal or in a notebook, and in the log.

JAX itself tells when it begins and ends to compile a program, whoever asked for it; a call that
compiles nothing pays nothing. `waiting` holds together what is one wait to the user, such as the
traces and the compilation of a function under `lucid.jit`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import jax

PATIENCE = 2.0  # seconds without a word

_log = logging.getLogger("lucid")
COMPILATION = "/jax/core/compile/backend_compile_duration"


class Wait(threading.Thread):
    """The thread that speaks of one wait, if that lasts; `end` ends both."""

    def __init__(self, what: str) -> None:
        super().__init__(name=f"lucid: {what}", daemon=True)
        self.what = what
        self.began = time.monotonic()
        self.told = False
        self.over = threading.Event()
        with contextlib.suppress(RuntimeError):  # a program that ends starts no threads
            self.start()

    def run(self) -> None:
        if not self.over.wait(PATIENCE):
            self.told = True
            _tell(f"compiling {self.what}, {PATIENCE:g} s so far")

    def end(self) -> None:
        self.over.set()
        if self.ident is not None:
            self.join()
        if self.told:
            _tell(f"compiling {self.what} took {time.monotonic() - self.began:.1f} s")


def _tell(text: str) -> None:
    _log.info(text)
    if os.environ.get("LUCID_PROGRESS") != "0" and _is_watched(sys.stderr):
        print(f"lucid: {text}", file=sys.stderr, flush=True)


def _is_watched(stream: Any) -> bool:
    """Whether somebody reads a stream while it is written: on a terminal or in a notebook."""
    if stream is None:  # of a program without a console
        return False
    return stream.isatty() or type(stream).__module__.startswith("ipykernel.")


class _Current(threading.local):
    """The wait of a thread. Those inside it, of which there are `depth`, are a part of it."""

    wait: Wait | None = None
    depth = 0


_current = _Current()


def _begin(what: str) -> None:
    if _current.depth == 0:
        _current.wait = Wait(what)
    _current.depth += 1


def _end() -> None:
    _current.depth = max(0, _current.depth - 1)  # of one that began before anyone listened
    if _current.depth == 0 and _current.wait is not None:
        _current.wait.end()
        _current.wait = None


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """Let the compilations in the block count as one wait, for `what`."""
    _begin(what)
    try:
        yield
    finally:
        _end()


def program_name(details: dict[str, Any]) -> str:
    """The name of the function that JAX compiles, from what it tells with an event."""
    return str(details.get("fun_name", "a program")).removeprefix("jit(").removesuffix(")")


def _on_begin(event: str, value: float, **details: Any) -> None:
    if event == COMPILATION:
        _begin(program_name(details))


def _on_end(event: str, duration_secs: float, **details: Any) -> None:
    if event == COMPILATION:
        _end()


def listen() -> None:
    """Hear from now on of all compilations of this process."""
    jax.monitoring.register_scalar_listener(_on_begin)
    jax.monitoring.register_event_duration_secs_listener(_on_end)
