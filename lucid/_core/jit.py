"""`lucid.jit`: imperative functions as compiled programs."""

from __future__ import annotations

import collections
import contextlib
import functools
import inspect
import logging
import re
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar, overload

import jax
import numpy as np

from lucid._core import tree
from lucid._core.closing import Arguments
from lucid._core.errors import JitError, drop_advice, user_line
from lucid._core.mode import state
from lucid._core.program import Program
from lucid._core.static import refuse_static, static_key
from lucid._core.tensor import Tensor
from lucid._core.tree import Static
from lucid._core.waiting import waiting

P = ParamSpec("P")
R = TypeVar("R")

_log = logging.getLogger("lucid.jit")
_MANY = 5  # traces of one function after which a warning names what keeps changing

_VALUE_NEEDED = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerBoolConversionError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


class CacheInfo(NamedTuple):
    """Counts of a compiled function's calls and programs."""

    hits: int
    misses: int
    programs: int
    max_programs: int


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Around what traces: JAX's errors in the terms of lucid."""
    try:
        yield
    except _VALUE_NEEDED as error:
        drop_advice(error)
        raise JitError(
            f"{user_line(error.__traceback__)} needs the value of a Tensor, which does not exist "
            "while the function is compiled. Return the Tensor and look at it outside, or choose "
            "with lucid.where."
        ) from error
    except Exception as error:
        drop_advice(error)
        raise


class Jitted(Generic[P, R]):
    """An imperative function, method or Module that runs as compiled programs; see `jit`.

    >>> isinstance(lucid.jit(nn.Linear(2, 1)), lucid.JITModule)
    True
    """

    def __init__(
        self,
        fn: Callable[P, R],
        donate: bool = True,
        static_argnames: str | Sequence[str] = (),
        max_cache_entries: int = 8,
    ) -> None:
        if not callable(fn):
            raise TypeError(f"jit: a function or a Module is needed, got {type(fn).__name__}.")
        if max_cache_entries < 1:
            raise ValueError(f"jit: max_cache_entries must be at least 1, got {max_cache_entries}.")
        self._fn = fn
        self._donate = donate
        self._static_argnames = frozenset(
            [static_argnames] if isinstance(static_argnames, str) else static_argnames
        )
        self._max = max_cache_entries
        self._programs: collections.OrderedDict[Any, list[Program]] = collections.OrderedDict()
        self._lock = threading.RLock()
        self._hits = self._misses = 0
        self._reasons: collections.Counter[str] = collections.Counter()
        functools.update_wrapper(self, fn, updated=())
        self.__name__: str = getattr(fn, "__name__", type(fn).__name__)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if state.trace is not None:  # a part of the program around it
            return self._fn(*args, **kwargs)
        arguments, key = self._take_apart(args, kwargs)
        program = self._find(key, arguments)
        if program is not None:
            self._hits += 1
        else:
            with self._lock:
                program = self._find(key, arguments)  # another thread may have been faster
                if program is None:
                    return self._first_call(key, arguments)
        result: R = program(arguments)
        return result

    def _first_call(self, key: Any, arguments: Arguments) -> R:
        self._misses += 1
        self._explain(key, arguments)
        with _explained():
            with waiting(self.__name__):
                program = Program(self._fn, arguments, self._donate)
                program.compile(arguments)
            result: R = program.first_call(arguments)
        self._programs.setdefault(key, []).append(program)
        self._evict()
        return result

    # The programs stay behind: a copy traces anew.
    def __reduce__(self) -> Any:
        name = getattr(self._fn, "__qualname__", "")
        found: Any = sys.modules.get(getattr(self._fn, "__module__", ""))
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is self:
            return name  # a decorated function, which its name leads to
        return Jitted, (self._fn, self._donate, tuple(self._static_argnames), self._max)

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Jitted[P, R]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> Callable[..., R]: ...
    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __getattr__(self, name: str) -> Any:
        if "_fn" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self._fn, name)

    def __repr__(self) -> str:
        return f"lucid.jit({self._fn!r})"

    def invalidate_cache(self) -> None:
        """Forget all programs, so that the next call traces anew.

        >>> double = lucid.jit(lambda x: x * 2)
        >>> double(lucid.ones(1)), double.invalidate_cache(), double.cache_info().programs
        (Tensor([2.]), None, 0)
        """
        with self._lock:
            self._programs.clear()

    def cache_info(self) -> CacheInfo:
        """How many calls found a program, how many had to trace one, and how many are kept."""
        kept = sum(map(len, self._programs.values()))
        return CacheInfo(self._hits, self._misses, kept, self._max)

    def lower(self, *args: Any, **kwargs: Any) -> jax.stages.Lowered:
        """The program for these arguments before compilation, without running it."""
        arguments, key = self._take_apart(args, kwargs)
        with _explained():
            program = self._find(key, arguments) or Program(self._fn, arguments, self._donate)
            return program.run.lower(*program.inputs(arguments))

    def _take_apart(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Arguments, Any]:
        """The arguments, and the part of the signature that they make up."""
        if self._static_argnames:
            args, kwargs = self._mark_static(args, kwargs)
        leaves, structure = tree.flatten([*args, *kwargs.values()])
        names = tuple(kwargs)
        traced: list[int] = []
        repeated: dict[int, int] = {}
        seen: dict[int, int] = {}
        signature: list[Any] = []
        for i, leaf in enumerate(leaves):
            if isinstance(leaf, Tensor):
                first = seen.setdefault(id(leaf), i)
                if first != i:
                    repeated[i] = first
                    signature.append(first)
                    continue
                data = leaf._data
                signature.append((data.shape, data.dtype, leaf._requires_grad, *_more(leaf)))
                traced.append(i)
            elif isinstance(leaf, (jax.Array, np.ndarray, np.generic)):
                signature.append((leaf.shape, leaf.dtype))
                traced.append(i)
            elif type(leaf) is tree.Static:
                signature.append(("static", static_key(leaf.value)))
            else:
                signature.append(static_key(leaf))
        key = (
            structure,
            names,
            tuple(signature),
            state.grad_enabled,
            state.autocast,
            jax.config.read("jax_enable_x64"),
        )
        return Arguments(structure, names, leaves, traced, repeated), key

    def _mark_static(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        names = list(inspect.signature(self._fn).parameters)
        for name, value in (*zip(names, args, strict=False), *kwargs.items()):
            if name in self._static_argnames:
                refuse_static(self.__name__, name, value)
        marked = tuple(
            Static(arg) if name in self._static_argnames else arg
            for name, arg in zip(names, args, strict=False)
        )
        named = {n: Static(v) if n in self._static_argnames else v for n, v in kwargs.items()}
        return (*marked, *args[len(marked) :]), named

    def _find(self, key: Any, arguments: Arguments) -> Program | None:
        try:
            programs = self._programs.get(key, ())
        except TypeError as error:
            raise TypeError(
                f"{self.__name__}: an argument that is no Tensor or array is part of the signature "
                f"and must be hashable ({error})."
            ) from None
        for program in programs:
            if program.fits(arguments):
                return program
        return None

    def _evict(self) -> None:
        while sum(map(len, self._programs.values())) > self._max:
            oldest = next(iter(self._programs))
            self._programs[oldest].pop(0)
            if not self._programs[oldest]:
                del self._programs[oldest]

    # --- Telling why a function is traced again ---

    def _explain(self, key: Any, arguments: Arguments) -> None:
        if not self._programs:
            _log.debug("%s: traced for the first time", self.__name__)
            return
        what = self._difference(key, arguments)
        self._reasons[what] += 1
        _log.debug("%s: traced again, because %s changed", self.__name__, what)
        if self._reasons[what] == _MANY:
            warnings.warn(
                f"lucid.jit: {self.__name__} was traced {_MANY} times because {what} changed. Each "
                "trace compiles a program; pass what changes as a Tensor of one shape.",
                RuntimeWarning,
                stacklevel=4,
            )

    def _difference(self, key: Any, arguments: Arguments) -> str:
        if key in self._programs:
            return self._programs[key][-1].change(arguments) or "the state"
        before = next(reversed(self._programs))
        if before[:2] != key[:2]:
            return "the structure of the arguments"
        if before[2] != key[2]:
            at = next(i for i, (a, b) in enumerate(zip(before[2], key[2], strict=True)) if a != b)
            return f"argument {self._argument_name(arguments, at)}"
        modes = ("grad mode", "autocast", "JAX's 64-bit mode")
        pairs = zip(modes, before[3:], key[3:], strict=True)
        return next(mode for mode, old, new in pairs if old != new)

    def _argument_name(self, arguments: Arguments, at: int) -> str:
        parts = _PATH.match(tree.paths(arguments.structure)[at])
        assert parts is not None
        number, rest = int(parts[1]), parts[2]
        names = list(inspect.signature(self._fn).parameters)
        n = arguments.structure.treedef.num_nodes and len(
            jax.tree.unflatten(
                arguments.structure.treedef, range(arguments.structure.treedef.num_leaves)
            )
        ) - len(arguments.names)
        names[n:] = arguments.names or names[n:]
        name = names[number] if number < len(names) else str(number)
        return f'"{name}"{rest}'


_PATH = re.compile(r"\[(\d+)\](.*)")


def _more(tensor: Tensor) -> tuple[Any, ...]:
    """What a program depends on of an argument that has been on a tape."""
    if tensor._hooks is None and tensor._node is None:
        return ()
    return tensor._node is None, tensor._keep_grad, tuple(tensor._hooks or ())


@overload
def jit(
    fn: Callable[P, R],
    *,
    donate: bool = True,
    static_argnames: str | Sequence[str] = (),
    max_cache_entries: int = 8,
) -> Jitted[P, R]: ...
@overload
def jit(
    fn: None = None,
    *,
    donate: bool = True,
    static_argnames: str | Sequence[str] = (),
    max_cache_entries: int = 8,
) -> Callable[[Callable[P, R]], Jitted[P, R]]: ...
def jit(
    fn: Callable[..., Any] | None = None,
    *,
    donate: bool = True,
    static_argnames: str | Sequence[str] = (),
    max_cache_entries: int = 8,
) -> Any:
    """Compile an imperative function, such as a whole training step, into one XLA program.

    **The rule of Python values.** Python code runs while the function is traced, twice at the
    first call with a signature, and its values become constants of the program: a number is one
    too, so pass a Tensor for what changes often. The function is traced again when

    - an argument that is no Tensor or array has another type or value, or a Tensor another shape,
      dtype, `requires_grad` or place on a tape;
    - a global, a closure variable, or an attribute of a Python module or class that the function,
      or a Python function that it calls, reads stands for another object or plain value;
    - an attribute of a Module or a flag of an optimizer changes, or `requires_grad`, hooks, grad
      mode or `autocast`. Hyperparameters of optimizers are inputs: another number compiles nothing.

    Not watched are: what lists, dictionaries and plain objects hold; class attributes of a base
    class or behind several dots; variables of a function that a decorator or `functools.partial`
    hides; parts of NumPy arrays, which are inputs only as whole operands; code of installed
    packages and of the standard library; and where Python cannot find a function's source,
    variables are told from attributes by name only. NumPy generators of one's own draw only while
    the function is traced, and a Parameter among the arguments is a plain Tensor inside.

    What would happen only while the function is traced is refused: Python branches on values of
    Tensors, `global` and `nonlocal` assignments, draws from `random` or `numpy.random`, hooks that
    stay, Tensors that are stored somewhere, NumPy arrays that are changed. While other threads
    run, a draw counts as the function's own only if its source speaks of one.

    **State.** Nothing is declared: every Tensor that the function reads or writes is found, with
    its gradient: parameters, buffers, optimizer state, learning rates, the random generator,
    arguments, NumPy arrays, whatever is reached through closures, globals and objects. A call
    gathers them, runs the program and puts all new values in place at once: who looks meanwhile,
    from another thread or after an interrupt, sees the state before the step or after it. Steps
    that write the same state take turns.

    Args:
        fn: a function, a method or a Module; without it, `jit` returns a decorator. Arguments are
            pytrees: Tensors and arrays are traced, all else is part of the signature, by type and
            value. Dictionaries keep their order.
        donate: reuse the memory of Tensors that get new data. What was handed out of them (`data`,
            `detach`, `state_dict`, a NumPy view, ...) is never reused: the next step copies it.
        static_argnames: arguments that are part of the signature whatever they are.
        max_cache_entries: how many programs are kept; the oldest goes first.

    Raises:
        JitError: when called, if the function breaks a rule; the message has your line.
        TypeError: when called, if a static argument is a Tensor, an array, or not hashable.

    >>> model, target = nn.Linear(3, 1), lucid.ones(8, 1)
    >>> optimizer = lucid.optim.SGD(model.parameters(), lr=0.1)
    >>> @lucid.jit
    ... def step(x):
    ...     optimizer.zero_grad()
    ...     loss = nn.functional.mse_loss(model(x), target)
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> x = lucid.randn(8, 3)
    >>> first, second = step(x), step(x)
    >>> bool(second < first), step.cache_info().misses
    (True, 1)
    """
    if fn is None:
        return functools.partial(
            jit,
            donate=donate,
            static_argnames=static_argnames,
            max_cache_entries=max_cache_entries,
        )
    return Jitted(fn, donate, static_argnames, max_cache_entries)


JITFunction = JITModule = Jitted  # lucid 2's names


def compile(target: Callable[P, R], *, max_cache_entries: int = 8) -> Jitted[P, R]:
    """lucid 2's name for `jit(target)`; its `JITFunction` and `JITModule` are one class here.

    >>> lucid.compile(nn.Linear(3, 1))(lucid.zeros(2, 3)).shape
    (2, 1)
    """
    return Jitted(target, max_cache_entries=max_cache_entries)
