"""The Python variables that a traced function reads: which they are, and whether they changed.

A compiled program has their values built in. While a function is traced, the Python functions that
it calls are noted; the source of each tells which variables of its module, of its closure and of
other modules it reads. Installed code is left out: that of libraries and of the standard library.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import linecache
import os
import random
import sys
import sysconfig
import threading
import types
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FrameType
from typing import Any, NamedTuple

import numpy as np

from lucid._core.errors import LIBRARIES, Place
from lucid._core.waiting import Wait

_ABSENT = object()

# Where the code lies that is no user's.
_PATHS = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
_INSTALLED = (*LIBRARIES, *(path + os.sep for path in _PATHS), "<frozen ")


class Variable(NamedTuple):
    """A variable of a module or class, or of a closure."""

    holder: Any  # a namespace, a module, a class or a cell
    name: str

    def value(self) -> Any:
        """What it stands for now."""
        if type(self.holder) is dict:
            return self.holder.get(self.name, _ABSENT)
        if isinstance(self.holder, types.CellType):
            with contextlib.suppress(ValueError):  # of a variable that is not assigned yet
                return self.holder.cell_contents
            return _ABSENT
        return vars(self.holder).get(self.name, _ABSENT)

    def reader(self) -> Callable[[], Any]:
        """`value` without a call of Python code, but for a variable that may be unassigned."""
        if isinstance(self.holder, types.CellType):
            return self.value
        names = self.holder if type(self.holder) is dict else vars(self.holder)
        return functools.partial(names.get, self.name, _ABSENT)

    def set(self, value: Any) -> None:
        """Let it stand for `value` again."""
        if isinstance(self.holder, types.CellType):
            self.holder.cell_contents = value
        elif type(self.holder) is dict:
            self.holder[self.name] = value
        else:
            setattr(self.holder, self.name, value)


class Watch:
    """The variables that the functions called so far read, with their values at that moment."""

    def __init__(self, functions: Iterable[Any]) -> None:
        self.variables: dict[tuple[int, str], tuple[Variable, Any]] = {}
        self.codes: dict[CodeType, None] = {}
        for function in functions:
            self.add(function)

    def add(self, function: Any) -> None:
        """Watch what a function reads, and the functions in its closure."""
        function = getattr(function, "__func__", function)  # of a method
        while hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        if not isinstance(function, types.FunctionType) or is_installed(function.__code__):
            return
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        known = [(id(cell), name) in self.variables for name, cell in cells]
        if function.__code__ in self.codes and all(known):
            return
        self.enter(function.__code__, function.__globals__)
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            value = self._watch(cell, name)
            if isinstance(value, types.FunctionType | types.MethodType):
                self.add(value)

    def enter(self, code: CodeType, namespace: dict[str, Any]) -> None:
        """Watch the variables of modules that a code reads."""
        if code in self.codes:
            return
        self.codes[code] = None
        text = _source(code)
        for name in text.names.intersection(code.co_names):
            value = self._watch(namespace, name)
            if isinstance(value, types.ModuleType | type) and not _is_library(value):
                for base, attribute in text.attributes:
                    if base == name and attribute in vars(value):
                        self._watch(value, attribute)
            elif isinstance(value, types.FunctionType):
                self.add(value)  # for its closure

    def _watch(self, holder: Any, name: str) -> Any:
        variable = Variable(holder, name)
        value = variable.value()
        self.variables.setdefault((id(holder), name), (variable, value))
        return value

    def values(self) -> list[Any]:
        """What the variables stand for now, in their order."""
        return [variable.value() for variable, _ in self.variables.values()]

    @contextlib.contextmanager
    def calls(self) -> Iterator[None]:
        """Watch the variables of every function that this thread calls in the block."""
        with _calls(self.enter):
            yield

    def assignment(self, variable: Variable) -> Place | None:
        """The line where one of the functions assigns a variable; None if none does."""
        for code in self.codes:
            line = _source(code).assigned.get(variable.name)
            if line is not None:
                return Place(code.co_filename, line)
        return None

    def mention(self, names: frozenset[str]) -> Place | None:
        """The line where one of the functions speaks of a generator; None if none does."""
        for code in self.codes:
            text = _source(code)
            for word, line in text.words:
                if word in names:
                    return Place(code.co_filename, line)
        return None


# --- What a source says -----------------------------------------------------------------------


class _Text(NamedTuple):
    """The variables that a piece of code speaks of."""

    names: frozenset[str]
    attributes: frozenset[tuple[str, str]]  # (variable, attribute)
    assigned: dict[str, int]  # by `global` or `nonlocal`, or as attribute of a variable: the line
    words: tuple[tuple[str, int], ...]  # all names and attributes, with their lines


@functools.lru_cache(maxsize=4096)
def _source(code: CodeType) -> _Text:
    nodes = _nodes(code.co_filename)
    if nodes is None:  # there is no source; names of attributes count as variables too
        mentioned = tuple((name, code.co_firstlineno) for name in code.co_names)
        return _Text(frozenset(code.co_names), frozenset(), {}, mentioned)
    lines = [line for _, _, line in code.co_lines() if line]
    first, last = min(lines, default=0), max(lines, default=0)
    inside = [node for node in nodes if first <= node.lineno <= last]
    names: set[str] = set()
    attributes: set[tuple[str, str]] = set()
    declared: set[str] = set()
    stored: dict[str, int] = {}
    words: list[tuple[str, int]] = []
    for node in inside:
        if isinstance(node, ast.Global | ast.Nonlocal):
            declared.update(node.names)
        elif isinstance(node, ast.Name):
            names.add(node.id)
            words.append((node.id, node.lineno))
            if isinstance(node.ctx, ast.Store):
                stored.setdefault(node.id, node.lineno)
        elif isinstance(node, ast.Attribute):
            words.append((node.attr, node.lineno))
            if isinstance(node.value, ast.Name):
                attributes.add((node.value.id, node.attr))
                if isinstance(node.ctx, ast.Store):
                    declared.add(node.attr)
                    stored.setdefault(node.attr, node.lineno)
    assigned = {name: line for name, line in stored.items() if name in declared}
    return _Text(frozenset(names), frozenset(attributes), assigned, tuple(words))


@functools.lru_cache(maxsize=256)
def _nodes(filename: str) -> list[Any] | None:
    """The names, attributes and declarations of a file, or None without a source."""
    try:
        tree = ast.parse("".join(linecache.getlines(filename)))
    except SyntaxError:
        return None
    kinds = (ast.Name, ast.Attribute, ast.Global, ast.Nonlocal)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)] or None


def is_installed(code: CodeType) -> bool:
    """Whether code belongs to lucid, JAX, another installed package or the standard library."""
    return code.co_filename.startswith(_INSTALLED)


def _is_library(value: Any) -> bool:
    if isinstance(value, type):
        value = sys.modules.get(value.__module__)
    path = getattr(value, "__file__", None)
    if path is None:
        return value is not sys.modules.get("__main__")
    return path.startswith(_INSTALLED)


# --- Calls ------------------------------------------------------------------------------------

_Seen = Callable[[CodeType, dict[str, Any]], None]

if sys.version_info >= (3, 12):

    class _Sink(threading.local):
        seen: _Seen | None = None

    _sink = _Sink()
    _lock = threading.Lock()
    _tracing = 0  # threads
    _TOOL = 4  # of the numbers that `sys.monitoring` leaves to libraries

    def _on_start(code: CodeType, offset: int) -> Any:
        if is_installed(code):
            return sys.monitoring.DISABLE  # from now on it costs nothing
        if _sink.seen is not None:
            frame: FrameType | None = sys._getframe(1)
            if frame is not None and frame.f_code is code:
                _sink.seen(code, frame.f_globals)
        return None

    @contextlib.contextmanager
    def _calls(seen: _Seen) -> Iterator[None]:
        global _tracing
        events = sys.monitoring.events
        with _lock:
            if _tracing == 0 and sys.monitoring.get_tool(_TOOL) is None:
                sys.monitoring.use_tool_id(_TOOL, "lucid.jit")
                sys.monitoring.register_callback(_TOOL, events.PY_START, _on_start)
                sys.monitoring.set_events(_TOOL, events.PY_START)
            _tracing += 1
        before, _sink.seen = _sink.seen, seen
        try:
            yield
        finally:
            _sink.seen = before
            with _lock:
                _tracing -= 1
                if _tracing == 0 and sys.monitoring.get_tool(_TOOL) == "lucid.jit":
                    sys.monitoring.set_events(_TOOL, events.NO_EVENTS)
                    sys.monitoring.free_tool_id(_TOOL)

else:

    @contextlib.contextmanager
    def _calls(seen: _Seen) -> Iterator[None]:
        if sys.getprofile() is not None:  # a profiler of the user's goes on undisturbed
            yield
            return

        def on_event(frame: FrameType, event: str, _: Any) -> None:
            if event == "call" and not is_installed(frame.f_code):
                seen(frame.f_code, frame.f_globals)

        sys.setprofile(on_event)
        try:
            yield
        finally:
            sys.setprofile(None)


# --- Random generators of others --------------------------------------------------------------

_GENERATORS = {
    "random": frozenset(
        {"random", "randint", "randrange", "choice", "choices", "shuffle", "sample", "uniform",
         "gauss", "normalvariate", "getrandbits"}
    ),
    "numpy.random": frozenset(
        {"rand", "randn", "randint", "random", "normal", "uniform", "standard_normal", "choice",
         "shuffle", "permutation", "random_sample"}
    ),
}  # fmt: skip


def random_states() -> dict[str, Any]:
    """The states of the generators of Python and NumPy, by module."""
    kind, words, *rest = np.random.get_state(legacy=True)  # noqa: NPY002  # the user's generator
    return {
        "random": random.getstate(),
        "numpy.random": (kind, np.asarray(words).tobytes(), *rest),
    }


def drawn(before: dict[str, Any], watch: Watch) -> tuple[str, Place | None] | None:
    """The generator that the watched functions drew from since `before`, and where.

    While other threads run, a draw counts as the functions' own only if they speak of one.
    """
    for name, state in random_states().items():
        if state != before[name]:
            place = watch.mention(_GENERATORS[name])
            if place is not None or _is_alone():
                return name, place
    return None


def _is_alone() -> bool:
    """Whether no other thread runs, but for one that speaks of a wait."""
    return sum(not isinstance(thread, Wait) for thread in threading.enumerate()) == 1
