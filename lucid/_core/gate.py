"""`apply`: the one gate between Tensors and pure functions of jax arrays."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, overload

from lucid._core.arguments import frozen
from lucid._core.mode import state
from lucid._core.op import Op
from lucid._core.tape import Edge, Hook, record
from lucid._core.typing import Array, Operand

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

P = ParamSpec("P")


class Variable:
    """What the gate knows of a Tensor, its only subclass: an array and its place in the graph."""

    __slots__ = (
        "__weakref__",
        "_born",
        "_data",
        "_grad",
        "_hooks",
        "_index",
        "_keep_grad",
        "_node",
        "_requires_grad",
    )

    _data: Array
    _grad: Tensor | None
    _hooks: dict[int, Hook] | None  # of a leaf; those of other Tensors are on the node
    _node: Any  # what gradients flow into: a Node; None for a leaf
    _index: int  # which output of the node this is
    _requires_grad: bool
    _keep_grad: bool
    _born: Any  # the capture that was active when it was made: inside it, it is a local value

    @staticmethod
    def _wrap(data: Array, node: Any = None, index: int = 0) -> Tensor:
        """A Tensor around `data`; with a node, and if it can have a gradient, a recorded one."""
        raise NotImplementedError

    def _cell(self) -> Variable:
        """Where the current value is: here, or while a program is traced, in a stand-in."""
        capture = state.capture
        return self if capture is None or self._born is capture else capture.stand_in(self)

    def _edge(self) -> Edge | None:
        """Where gradients of this value flow."""
        if not self._requires_grad:
            return None
        return (self, 0) if self._node is None else (self._node, self._index)


@functools.lru_cache(maxsize=None, typed=True)
def compiled(fn: Callable[..., Any], **static: Any) -> Op:
    """The compiled form of `fn` with these static arguments; made once."""
    return Op(functools.partial(fn, **static), fn.__name__)


def apply(fn: Callable[..., Any], /, *inputs: Operand, **static: Any) -> Any:
    """Call a pure function of arrays on Tensors, compiled, and record it for `backward`.

    Args:
        fn: takes the `inputs` as jax arrays and returns one jax array or a tuple of them.
        inputs: Tensors, arrays, Python numbers or None.
        static: keyword arguments of `fn`; hashable, since each value compiles a program.

    Returns:
        Tensors; but jax arrays when there is no Tensor among the inputs, so that a lifted function
        is a pure function for `jax.jit`, `jax.grad` and `jax.vmap`.

    >>> apply(jnp.hypot, Tensor([3.0]), 4.0)
    Tensor([5.])
    """
    return run(compiled(fn, **static), *inputs)


def run(op: Op, *inputs: Operand) -> Any:
    """`apply` for an Op."""
    execute = op.run
    if state.capture is not None:
        execute, inputs = state.capture.enter(op, inputs)
    tensor: Variable | None = None
    recorded = False
    arrays = []
    for x in inputs:
        if isinstance(x, Variable):
            tensor = x
            recorded = recorded or x._requires_grad
            arrays.append(x._data)
        else:
            arrays.append(x)
    if tensor is None:
        return execute(*arrays)
    node = None
    if recorded and state.grad_enabled:
        edges = [x._edge() if isinstance(x, Variable) else None for x in inputs]
        outputs, node = record(op, arrays, edges)
    else:
        outputs = execute(*arrays)
    single = not isinstance(outputs, (tuple, list))
    wrap = tensor._wrap
    if single:
        return wrap(outputs, node, 0)
    return tuple(None if y is None else wrap(y, node, i) for i, y in enumerate(outputs))


@overload
def lift(fn: Callable[P, Array]) -> Callable[P, Tensor]: ...
@overload
def lift(fn: Callable[P, tuple[Array, ...]]) -> Callable[P, tuple[Tensor, ...]]: ...
def lift(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function of Tensors that a pure function of arrays stands for.

    Positional-only parameters are the operands; all others are static.
    """
    parameters = inspect.signature(fn).parameters.values()
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    arity = sum(p.kind is p.POSITIONAL_ONLY for p in parameters)

    plain = compiled(fn)

    @functools.wraps(fn)
    def lifted(*args: Any, **static: Any) -> Any:
        if not static and len(args) <= arity:
            return run(plain, *args)
        if len(args) > arity + len(names):
            raise TypeError(
                f"{fn.__name__} takes at most {arity + len(names)} positional arguments, got "
                f"{len(args)}."
            )
        static.update(zip(names, args[arity:], strict=False))
        for name, value in static.items():
            if isinstance(value, list):
                static[name] = frozen(value)
        return apply(fn, *args[:arity], **static)

    return lifted
