"""What each thread is doing: whether it records operations, and whether it traces a program."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any, Self, TypeVar


class _ThreadState(threading.local):
    """What a thread is doing: whether operations are recorded, and into which trace values go."""

    grad_enabled: bool = True
    capture: Any = None


state = _ThreadState()
lock = threading.RLock()  # Held while state that several threads share is read and replaced.


_F = TypeVar("_F", bound=Callable[..., Any])


class _GradMode(ContextDecorator):
    def __init__(self, mode: bool) -> None:
        self.mode = mode
        self._previous: list[bool] = []  # a stack: one object may be entered again inside itself

    def __enter__(self) -> Self:
        self._previous.append(state.grad_enabled)
        state.grad_enabled = self.mode
        return self

    def __exit__(self, *exc_info: object) -> None:
        state.grad_enabled = self._previous.pop()

    def _recreate_cm(self) -> _GradMode:
        # A decorated function may run in several threads; each call gets its own stack.
        return _GradMode(self.mode)


class no_grad(_GradMode):
    """Record nothing in this block, or in this function; for the current thread only.

    >>> x = Tensor([1.0], requires_grad=True)
    >>> with lucid.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    >>> @lucid.no_grad()
    ... def double(x):
    ...     return x * 2
    >>> double(x).requires_grad
    False
    """

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(_GradMode):
    """Record in this block, or in this function, although it lies inside `no_grad`.

    >>> x = Tensor([1.0], requires_grad=True)
    >>> with lucid.no_grad(), lucid.enable_grad():
    ...     y = x * 2
    >>> y.requires_grad
    True
    """

    def __init__(self) -> None:
        super().__init__(True)


class set_grad_enabled(_GradMode):
    """Turn recording on or off from here on, or for a block, or for a function.

    Args:
        mode: whether operations of this thread are recorded.

    >>> x = Tensor([1.0], requires_grad=True)
    >>> with lucid.set_grad_enabled(False):
    ...     y = x * 2
    >>> y.requires_grad, (x * 2).requires_grad
    (False, True)
    """

    def __init__(self, mode: bool) -> None:
        super().__init__(bool(mode))
        super().__enter__()

    def __enter__(self) -> Self:
        return self  # the mode was set by the call itself

    def __call__(self, func: _F) -> _F:
        super().__exit__()  # a decorator is for the function's calls only
        return super().__call__(func)


def grad_enabled() -> bool:
    """Whether operations of this thread are recorded for `backward`.

    >>> lucid.grad_enabled()
    True
    """
    return state.grad_enabled
