"""`lucid.jit`: imperative functions as compiled programs."""

from __future__ import annotations

import collections
import functools
import inspect
import logging
import threading
import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from lucid._core.errors import JitError, drop_advice, user_line
from lucid._core.mode import state
from lucid._core.program import Arguments, Program, Static, is_leaf
from lucid._core.tensor import Tensor

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


class Jitted:
    """An imperative function, method or Module that runs as compiled programs; see `jit`."""

    def __init__(
        self,
        fn: Callable[..., Any],
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

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if state.capture is not None:  # a part of the program around it
            return self._fn(*args, **kwargs)
        arguments, key = self._take_apart(args, kwargs)
        program = self._find(key)
        if program is not None:
            self._hits += 1
            return program(arguments)
        with self._lock:
            program = self._find(key)  # another thread may have been faster
            if program is not None:
                return program(arguments)
            self._misses += 1
            self._explain(key)
            try:
                program = Program(self._fn, arguments, self._donate)
                result = program.first_call(arguments)
            except _VALUE_NEEDED as error:
                drop_advice(error)
                raise JitError(
                    f"{user_line(error.__traceback__)} needs the value of a Tensor, which does not "
                    "exist while the function is compiled. Return the Tensor and look at it "
                    "outside, or choose with lucid.where."
                ) from error
            except ValueError as error:
                drop_advice(error)
                if "read-only" not in str(error):
                    raise
                raise JitError(
                    f"{user_line(error.__traceback__)} changes a NumPy array in place that the "
                    "compiled function reads; the change would happen only while it is traced. "
                    "Use a Tensor, or change the array outside."
                ) from error
            except Exception as error:
                drop_advice(error)
                raise
            self._programs.setdefault(key, []).append(program)
            self._evict()
            return result

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_fn"], name)

    def __repr__(self) -> str:
        return f"lucid.jit({self._fn!r})"

    def cache_info(self) -> CacheInfo:
        """How many calls found a program, how many had to trace one, and how many are kept."""
        kept = sum(map(len, self._programs.values()))
        return CacheInfo(self._hits, self._misses, kept, self._max)

    def lower(self, *args: Any, **kwargs: Any) -> jax.stages.Lowered:
        """The program for these arguments before compilation, without running it."""
        arguments, key = self._take_apart(args, kwargs)
        program = self._find(key) or Program(self._fn, arguments, self._donate)
        return program.run.lower(*program.inputs(arguments))

    def _take_apart(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Arguments, Any]:
        """The arguments, and the part of the signature that they make up."""
        if self._static_argnames:
            args, kwargs = self._mark_static(args, kwargs)
        leaves, treedef = jax.tree.flatten((args, kwargs), is_leaf=is_leaf)
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
                signature.append((data.shape, data.dtype, leaf._requires_grad))
                traced.append(i)
            elif isinstance(leaf, (jax.Array, np.ndarray, np.generic)):
                signature.append((leaf.shape, leaf.dtype))
                traced.append(i)
            else:
                signature.append((type(leaf), leaf))
        key = (treedef, tuple(signature), state.grad_enabled, jax.config.read("jax_enable_x64"))
        return Arguments(treedef, leaves, traced, repeated), key

    def _mark_static(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        names = list(inspect.signature(self._fn).parameters)
        marked = tuple(
            Static(arg) if name in self._static_argnames else arg
            for name, arg in zip(names, args, strict=False)
        )
        named = {n: Static(v) if n in self._static_argnames else v for n, v in kwargs.items()}
        return (*marked, *args[len(marked) :]), named

    def _find(self, key: Any) -> Program | None:
        try:
            programs = self._programs.get(key, ())
        except TypeError as error:
            raise TypeError(
                f"{self.__name__}: an argument that is no Tensor or array is part of the signature "
                f"and must be hashable ({error})."
            ) from None
        for program in programs:
            if program.fits():
                return program
        return None

    def _evict(self) -> None:
        while sum(map(len, self._programs.values())) > self._max:
            oldest = next(iter(self._programs))
            self._programs[oldest].pop(0)
            if not self._programs[oldest]:
                del self._programs[oldest]

    # --- Telling why a function is traced again ---

    def _explain(self, key: Any) -> None:
        if not self._programs:
            _log.debug("%s: traced for the first time", self.__name__)
            return
        what = self._difference(key)
        self._reasons[what] += 1
        _log.debug("%s: traced again, because %s changed", self.__name__, what)
        if self._reasons[what] == _MANY:
            warnings.warn(
                f"lucid.jit: {self.__name__} was traced {_MANY} times because {what} changed. Each "
                "trace compiles a program; pass what changes as a Tensor of one shape.",
                RuntimeWarning,
                stacklevel=3,
            )

    def _difference(self, key: Any) -> str:
        if key in self._programs:
            return self._programs[key][-1].change() or "the state"
        before = next(reversed(self._programs))
        if before[0] != key[0]:
            return "the structure of the arguments"
        if before[1] != key[1]:
            at = next(i for i, (a, b) in enumerate(zip(before[1], key[1], strict=True)) if a != b)
            return f"argument {self._argument_name(key[0], at)}"
        return "grad mode" if before[2] != key[2] else "JAX's 64-bit mode"

    def _argument_name(self, treedef: Any, at: int) -> str:
        tree = jax.tree.unflatten(treedef, list(range(treedef.num_leaves)))
        paths = jax.tree_util.tree_leaves_with_path(tree)
        path = next(path for path, i in paths if i == at)
        position = path[1]
        if isinstance(position, jax.tree_util.SequenceKey):
            names = list(inspect.signature(self._fn).parameters)
            name = names[position.idx] if position.idx < len(names) else str(position.idx)
        else:
            name = str(position.key)
        return f'"{name}"{jax.tree_util.keystr(path[2:])}'


def jit(
    fn: Callable[..., Any] | None = None,
    *,
    donate: bool = True,
    static_argnames: str | Sequence[str] = (),
    max_cache_entries: int = 8,
) -> Any:
    """Compile an imperative function, such as a whole training step, into one XLA program.

    Limits: Python code runs only while the function is traced (twice, at the first call with a
    signature), so values of Tensors cannot steer it, and nothing but Tensors and hyperparameters
    of optimizers keeps what it is set to. A broken rule raises `JitError` with your line.

    Nothing is declared: every Tensor that the function reads or writes is found, with its
    gradient: parameters, buffers, optimizer state, learning rates, the random generator, whatever
    is reached through closures, globals and objects. A call gathers them, runs the program and
    writes the new values back. Changed shapes, dtypes, static arguments, attributes of Modules,
    `requires_grad` or grad mode lead to another program, and so do variables of the function's
    closure or module that stand for another object; changed values do not. What lists and other
    objects hold is looked at while the function is traced, and then no more.

    Args:
        fn: a function, a method or a Module; without it, `jit` returns a decorator. Arguments are
            pytrees: Tensors and arrays are traced, all else is part of the signature, by value.
        donate: reuse the memory of Tensors that get new data, unless something else holds it too.
        static_argnames: arguments that are part of the signature whatever they are.
        max_cache_entries: how many programs are kept; the oldest goes first.

    Raises:
        JitError: when called, if the function breaks a rule.

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


def compile(target: Callable[..., Any], *, max_cache_entries: int = 8) -> Jitted:
    """lucid 2's name for `jit(target)`.

    >>> lucid.compile(nn.Linear(3, 1))(lucid.zeros(2, 3)).shape
    (2, 1)
    """
    return Jitted(target, max_cache_entries=max_cache_entries)
