"""What each thread is doing: whether it records operations, and whether it traces a program."""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
import types
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ContextDecorator
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, cast

import jax

if TYPE_CHECKING:
    from lucid._core.op import Op
    from lucid._core.variable import Variable


class Trace(Protocol):
    """What happens to Tensors, Modules and hyperparameters while a function is traced."""

    # Whether JAX may differentiate all of it: then what leaves the tape must leave JAX's as well.
    cuts: bool
    # Whether loops, branches and what is recomputed are traced as operations of their own.
    pieces: bool

    def note(self, tensor: Variable) -> None:
        """A Tensor is made."""

    def stand_in(self, tensor: Variable) -> Variable:
        """What holds the value of a Tensor that was made elsewhere."""

    def enter(self, op: Op, inputs: Sequence[Any]) -> tuple[Callable[..., Any], Sequence[Any]]:
        """What computes an operation on arrays, and its operands as the trace sees them."""

    def host(self, array: Any) -> Any:
        """The value of a NumPy array; anything else as it is."""

    def number(self, holder: dict[str, Any], name: str) -> Any:
        """The value of a hyperparameter."""

    def entered(self, module: Any) -> AbstractContextManager[Any]:
        """The context of a Module's call."""

    def touch(self, module: Any) -> None:
        """Attributes of a Module are read or about to be changed."""

    def adopt(self, module: Any) -> None:
        """A Module is made."""

    def watch(self, optimizer: Any) -> None:
        """The flags of an optimizer are read."""

    def keeps(self, tensor: Variable) -> bool:
        """Whether what is written to a Tensor ends with the trace, or leaves it as a result."""

    def device(self, tensor: Variable) -> str | None:
        """The device of a Tensor; None if the trace does not know it."""


class _ThreadState(threading.local):
    """What a thread is doing."""

    grad_enabled: bool = True  # whether operations are recorded
    autocast: Any = None  # the 16-bit dtype that products are computed in, if any
    trace: Trace | None = None  # into which trace values go
    counts_flops: bool = False  # whether `count_flops` surrounds what runs
    stepping: bool = False  # whether a compiled step has looked at its state and not yet run


state = _ThreadState()
# Held while state that several threads share is read and replaced: while a compiled program takes
# its state, runs and puts the new one in place, and while anyone else takes an array that such a
# program may reuse. A signal handler may come in again.
lock = threading.RLock()


def off_tape(array: Any) -> Any:
    """An array that has left the tape, for JAX too if it differentiates what is traced."""
    trace = state.trace
    cuts = isinstance(array, jax.core.Tracer) if trace is None else trace.cuts
    return jax.lax.stop_gradient(array) if cuts and isinstance(array, jax.Array) else array


def modes() -> tuple[bool, Any]:
    """What decides, besides its operands, what an operation of this thread does."""
    return state.grad_enabled, state.autocast


@contextlib.contextmanager
def in_modes(kept: tuple[bool, Any]) -> Iterator[None]:
    """As it was when `modes` was asked: JAX may trace a function again later, in other ones."""
    before = modes()
    state.grad_enabled, state.autocast = kept
    try:
        yield
    finally:
        state.grad_enabled, state.autocast = before


def is_outside(born: Trace | None) -> bool:
    """Whether what was made in the trace `born` is state of the program that is being traced."""
    trace: Any = state.trace
    while trace is not born:
        around = getattr(trace, "outer", trace)  # of a call with other values; a program has none
        if around is trace:
            return True
        trace = around
    return False


@contextlib.contextmanager
def untraced() -> Iterator[None]:
    """What is made in the block belongs to no program that is being traced."""
    trace, state.trace = state.trace, None
    try:
        with jax.ensure_compile_time_eval():
            yield
    finally:
        state.trace = trace


_F = TypeVar("_F", bound=Callable[..., Any])


class Mode(ContextDecorator):
    """A block, or a function, in which `state` says something else of this thread.

    Args:
        name: an attribute of `state`.
        mode: its value.
    """

    def __init__(self, name: str, mode: Any) -> None:
        self.name, self.mode = name, mode
        self._previous: list[Any] = []  # a stack: one object may be entered again inside itself

    def __enter__(self) -> Self:
        self._previous.append(getattr(state, self.name))
        setattr(state, self.name, self.mode)
        return self

    def __exit__(self, *exc_info: object) -> None:
        setattr(state, self.name, self._previous.pop())

    def __call__(self, func: _F) -> _F:
        """`func` in this mode: a generator or a coroutine in its own steps, not between them."""
        if inspect.isgeneratorfunction(func):

            @functools.wraps(func)
            def generator(*args: Any, **kwargs: Any) -> Any:
                return (yield from self._driven(func(*args, **kwargs)))

            return cast(_F, generator)
        if inspect.iscoroutinefunction(func):

            @functools.wraps(func)
            async def coroutine(*args: Any, **kwargs: Any) -> Any:
                return await self._awaited(func(*args, **kwargs))

            return cast(_F, coroutine)
        if inspect.isasyncgenfunction(func):

            @functools.wraps(func)
            async def async_generator(*args: Any, **kwargs: Any) -> Any:
                steps = func(*args, **kwargs)
                step = steps.__anext__()
                while True:
                    try:
                        item = await self._awaited(step)
                    except StopAsyncIteration:
                        return
                    try:
                        step = steps.asend((yield item))
                    except GeneratorExit:
                        await self._awaited(steps.aclose())
                        raise
                    except BaseException as error:
                        step = steps.athrow(error)

            return cast(_F, async_generator)
        return super().__call__(func)

    def _driven(self, steps: Any) -> Generator[Any, Any, Any]:
        """Run a generator, a coroutine or the like, in this mode while it does not wait."""
        step, value = steps.send, None
        while True:
            with self._recreate_cm():
                try:
                    item = step(value)
                except StopIteration as end:
                    return end.value
            try:
                step, value = steps.send, (yield item)
            except GeneratorExit:
                with self._recreate_cm():
                    steps.close()
                raise
            except BaseException as error:
                step, value = steps.throw, error

    @types.coroutine
    def _awaited(self, steps: Any) -> Generator[Any, Any, Any]:
        return (yield from self._driven(steps))

    def _recreate_cm(self) -> Mode:
        # A decorated function may run in several threads; each call gets its own stack.
        return Mode(self.name, self.mode)


class no_grad(Mode):
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
        super().__init__("grad_enabled", False)


class enable_grad(Mode):
    """Record in this block, or in this function, although it lies inside `no_grad`.

    >>> x = Tensor([1.0], requires_grad=True)
    >>> with lucid.no_grad(), lucid.enable_grad():
    ...     y = x * 2
    >>> y.requires_grad
    True
    """

    def __init__(self) -> None:
        super().__init__("grad_enabled", True)


class set_grad_enabled(Mode):
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
        super().__init__("grad_enabled", bool(mode))
        super().__enter__()

    def __enter__(self) -> Self:
        return self  # the mode was set by the call itself

    def __call__(self, func: _F) -> _F:
        if self._previous:  # a decorator is for the calls of its functions only
            super().__exit__()
        return super().__call__(func)


def grad_enabled() -> bool:
    """Whether operations of this thread are recorded for `backward`.

    >>> lucid.grad_enabled()
    True
    """
    return state.grad_enabled
