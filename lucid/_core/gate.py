"""`run` and `apply`: the one gate between Tensors and pure functions of jax arrays."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from lucid._core.errors import explain
from lucid._core.integers import fitted_integers
from lucid._core.mode import lock, state
from lucid._core.op import Op
from lucid._core.static import keep, refuse_static, static_key
from lucid._core.tape import record
from lucid._core.typing import Operand
from lucid._core.variable import Variable

# What an operand may be besides a Tensor; a class of arrays joins when its first instance comes.
_operands: set[type] = {bool, int, float, complex, type(None)}


def run(op: Op, *inputs: Any) -> Any:
    """Run an Op on Tensors, arrays and numbers, and record it for `backward`.

    Returns:
        Tensors; but jax arrays when there is no Tensor among the inputs, so that a function of
        Tensors is a pure function for `jax.jit`, `jax.grad` and `jax.vmap`.
    """
    execute = op.run
    given: Sequence[Any] = inputs
    if state.trace is not None:
        execute, given = state.trace.enter(op, inputs)
    tensor: Variable | None = None
    recorded = owned = large = hosts = False
    arrays = []
    for x in given:
        if isinstance(x, Variable):
            tensor = x
            data = x._data
            if x._requires_grad:
                recorded = True
            if x._shared is not data:
                owned = True
            arrays.append(data)
        else:
            kind = type(x)
            if kind is int:
                if not 0 <= x < 128:  # which every dtype holds
                    large = True
            elif kind not in _operands:
                hosts = _admit(op, inputs, x) or hosts
            arrays.append(x)
    if large and (fitted := fitted_integers(op, given)) is not given:
        given = fitted
        arrays = [x._data if isinstance(x, Variable) else x for x in given]
    node = None
    recorded = recorded and state.grad_enabled
    if hosts and recorded:  # the tape keeps what they hold now
        arrays = [x.copy() if isinstance(x, np.ndarray) else x for x in arrays]
    if owned and (recorded or not op.compiled):  # the arrays are kept
        arrays = [
            x._share() if isinstance(x, Variable) else array
            for x, array in zip(given, arrays, strict=True)
        ]
        owned = False
    try:
        if recorded:
            edges = [x._edge() if isinstance(x, Variable) else None for x in given]
            outputs, node = record(op, arrays, edges)
        elif owned:  # by a compiled step, which another thread may run
            with lock:
                outputs = execute(*[x._data if isinstance(x, Variable) else x for x in given])
        else:
            outputs = execute(*arrays)
    except Exception as error:
        _refuse_none(op, arrays)
        explain(error, op.name, arrays)
        raise
    if tensor is None:
        return outputs
    wrap = tensor._wrap
    if not isinstance(outputs, (tuple, list)):
        return wrap(outputs, node, 0)
    wrapped = (None if y is None else wrap(y, node, i) for i, y in enumerate(outputs))
    return getattr(type(outputs), "_make", tuple)(wrapped)


def _admit(op: Op, inputs: Sequence[Any], x: Any) -> bool:
    """Let the class of an operand in, if it is one of arrays; whether it is NumPy's, each time.

    Raises:
        TypeError: it is not.
    """
    if isinstance(x, np.ndarray):
        return True
    if isinstance(x, (jax.Array, np.generic)):
        _operands.add(type(x))
        return False
    raise _refusal(op, next(i for i, y in enumerate(inputs) if y is x), x)


def _refuse_none(op: Op, operands: Sequence[Any]) -> None:
    """Look, after an operation failed, for an operand that is missing.

    Raises:
        TypeError: there is one.
    """
    for i, x in enumerate(operands):
        if x is None and op.source is not None and not op.source.optional(i):
            raise _refusal(op, i, x) from None


def _refusal(op: Op, at: int, x: Any) -> TypeError:
    name = f"operand {at}" if op.source is None else op.source.name(at)
    advice = ""
    if isinstance(x, (list, tuple)) or hasattr(x, "__array__") or hasattr(x, "__dlpack__"):
        advice = " Make a Tensor of it first: lucid.tensor(...)."
    return TypeError(
        f"{op.name}: {name} must be a Tensor, a jax or NumPy array or a number, got "
        f"{_class_name(x)}.{advice}"
    )


def _class_name(x: Any) -> str:
    if x is None:
        return "None"
    kind = type(x)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def apply(fn: Callable[..., Any], /, *inputs: Operand | None, **named: Any) -> Any:
    """Call a pure function of arrays on Tensors, compiled, and record it for `backward`.

    A keyword whose parameter is annotated as an array is data too: traced and differentiated. All
    others are static: each combination of their types and values is a program of its own. The
    programs live as long as `fn` does; a new function, such as a new lambda, compiles anew.

    Args:
        fn: takes the `inputs` as jax arrays and returns one jax array or a tuple of them.
        inputs: Tensors, arrays, Python numbers or None.
        named: keyword arguments of `fn`.

    Returns:
        Tensors; but jax arrays when there is no Tensor among the data.

    Raises:
        TypeError: a static argument is a Tensor or an array, or is not hashable.

    >>> apply(jnp.hypot, Tensor([3.0]), 4.0)
    Tensor([5.])
    """
    if hasattr(fn, "declaration"):  # a declared function is such a call itself
        return fn(*inputs, **named)
    memory = _memory(fn)
    operands = {name: named.pop(name) for name in memory.data if name in named} if named else {}
    key = (*operands, *((name, static_key(value)) for name, value in named.items()))
    try:
        program = memory.programs.get(key)
    except TypeError:  # not hashable
        program = None
    if program is None:
        for name, value in named.items():
            refuse_static(memory.name, name, value)
        call = _Call(fn, tuple(operands), named)
        program = Op(call, memory.name, memory.kept, call)
        if memory.kept:
            keep(memory.programs, key, program)
    return run(program, *operands.values(), *inputs)


class _Call:
    """A function with its static arguments: takes data that goes by name, then all other data."""

    def __init__(self, fn: Callable[..., Any], names: tuple[str, ...], static: dict[str, Any]):
        self.fn, self.names, self.static = fn, names, static

    def __call__(self, *operands: Any) -> Any:
        n = len(self.names)
        named = dict(zip(self.names, operands, strict=False))
        return self.fn(*operands[n:], **named, **self.static)

    def name(self, at: int) -> str:
        """What messages call an operand."""
        parameter = self._parameter(at)
        return f"operand {at}" if parameter is None else parameter.name

    def optional(self, at: int) -> bool:
        """Whether an operand may be None, as far as annotations tell."""
        parameter = self._parameter(at)
        annotation = "None" if parameter is None else str(parameter.annotation)
        return "None" in annotation or not _ARRAYS.search(annotation)

    def _parameter(self, at: int) -> inspect.Parameter | None:
        with contextlib.suppress(TypeError, ValueError, IndexError):
            parameters = inspect.signature(self.fn).parameters
            free = [p for n, p in parameters.items() if n not in {*self.names, *self.static}]
            return [*(parameters[name] for name in self.names), *free][at]
        return None


class _Memory:
    """What is known of a function that `apply` met."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn = fn
        self.name: str = getattr(fn, "__name__", type(fn).__name__)
        self.programs: dict[Any, Op] = {}
        parameters: Sequence[inspect.Parameter] = ()
        with contextlib.suppress(TypeError, ValueError):  # of a builtin that does not tell
            parameters = list(inspect.signature(fn).parameters.values())
        self.data = tuple(p.name for p in parameters if _ARRAYS.search(str(p.annotation)))
        try:
            fn.__lucid_memory__ = self  # type: ignore[attr-defined]  # it ends with the function
            self.kept = True
        except AttributeError:  # a method, say: nothing to keep programs on, so none are compiled
            self.kept = False


_ARRAYS = re.compile(r"Array|Operand|Tensor")


def _memory(fn: Callable[..., Any]) -> _Memory:
    memory: _Memory | None = getattr(fn, "__dict__", {}).get("__lucid_memory__")
    # A wrapper may have taken over the attributes of what it wraps.
    return memory if memory is not None and memory.fn is fn else _Memory(fn)
