"""The tape: compiled operations, the nodes that record them, and the walk that differentiates them.

This is the only module that calls `jax.vjp`. It knows arrays and nodes; `lucid._tensor` puts
Tensors around them.
"""

from __future__ import annotations

import functools
import itertools
import operator
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import ContextDecorator
from typing import Any, NamedTuple, Self, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from lucid._typing import Array


class _ThreadState(threading.local):
    """What a thread is doing: whether operations are recorded, and into which trace values go."""

    grad_enabled: bool = True
    capture: Any = None


state = _ThreadState()


@functools.cache
def is_inexact(dtype: Any) -> bool:
    """Whether values of `dtype` have gradients (floats and complex numbers do)."""
    return bool(jnp.issubdtype(dtype, jnp.inexact))


# Cotangents of the outputs, None for zeros -> gradients of the inputs, None for unwanted ones.
Pullback: TypeAlias = Callable[[Sequence[Any]], tuple[Array | None, ...]]


class Op:
    """A pure function with its static arguments bound: compiled, with compiled vjps of any order.

    The backward pass is compiled from the inputs of the forward pass instead of from stored
    residuals: XLA drops the part of the forward pass that a gradient does not need, one forward
    program serves recorded and unrecorded calls, and a vjp is an Op itself, so that derivatives
    of every order come from this one mechanism.
    """

    __slots__ = ("_vjps", "compiled", "fn", "name", "run")

    def __init__(self, fn: Callable[..., Any], name: str, compiled: bool = True) -> None:
        def named(*inputs: Any) -> Any:
            with jax.named_scope(name):
                return jax.tree.map(_strong, fn(*inputs))

        named.__name__ = name
        self.fn = named
        self.name = name
        self.compiled = compiled
        self.run = jax.jit(named, inline=True) if compiled else named
        self._vjps: dict[tuple[bool, ...], Op] = {}

    def linearize(self, wanted: tuple[bool, ...], inputs: Sequence[Any]) -> tuple[Any, Pullback]:
        """The outputs, and the pullback to the `wanted` inputs that reuses the forward pass.

        For use while a program is traced: there a residual costs nothing, and XLA does not always
        see that a second forward pass is the same as the first.
        """
        return _linearize(self.fn, wanted, inputs)

    def vjp(self, wanted: tuple[bool, ...]) -> Op:
        """The Op `(*inputs, *cotangents) -> gradients`, a tuple with None for unwanted inputs.

        There is one cotangent per output; None stands for zeros.
        """
        op = self._vjps.get(wanted)
        if op is None:
            pullback = functools.partial(_pull_back, self.fn, wanted)
            op = self._vjps[wanted] = Op(pullback, f"{self.name}_vjp", self.compiled)
        return op


def _strong(x: Array) -> Array:
    # A weak dtype would let a result change its dtype, and compile again, in a later operation.
    return jnp.asarray(x, dtype=x.dtype)


def _linearize(
    fn: Callable[..., Any], wanted: tuple[bool, ...], inputs: Sequence[Any]
) -> tuple[Any, Pullback]:
    """`fn(*inputs)`, and its pullback: cotangents of the outputs -> gradients of the inputs."""

    def of_wanted(*values: Array) -> Any:
        source = iter(values)
        return fn(*(next(source) if w else x for x, w in zip(inputs, wanted, strict=True)))

    outputs, vjp = jax.vjp(of_wanted, *(x for x, w in zip(inputs, wanted, strict=True) if w))

    def pullback(cotangents: Sequence[Any]) -> tuple[Array | None, ...]:
        if isinstance(outputs, (tuple, list)):
            filled: Any = type(outputs)(map(_cotangent, outputs, cotangents))
        else:
            filled = _cotangent(outputs, *cotangents)
        gradients = iter(vjp(filled))
        return tuple(next(gradients) if w else None for w in wanted)

    return outputs, pullback


def _pull_back(
    fn: Callable[..., Any], wanted: tuple[bool, ...], *args: Any
) -> tuple[Array | None, ...]:
    """The gradients of `fn` at `args`, which are its inputs and then the cotangents."""
    _, pullback = _linearize(fn, wanted, args[: len(wanted)])
    return pullback(args[len(wanted) :])


def _cotangent(output: Array | None, cotangent: Array | None) -> Any:
    if cotangent is not None or output is None:
        return cotangent
    if is_inexact(output.dtype):
        return jnp.zeros_like(output)
    return np.zeros(output.shape, jax.dtypes.float0)


# --- The graph --------------------------------------------------------------------------------

_creation_order = itertools.count()

# Where a gradient flows: into output `index` of a Node, or, with index 0, into a leaf Tensor.
Edge: TypeAlias = tuple[Any, int]
Hook: TypeAlias = Callable[[Any], Any]


class Observers:
    """Who looks at the gradients of a node's outputs."""

    __slots__ = ("gate", "hooks", "kept")

    def __init__(self) -> None:
        self.hooks: dict[int, dict[int, Hook]] = {}  # by output
        self.gate: Hook | None = None  # sees, and may replace, the gradients of all outputs at once
        self.kept: dict[int, weakref.ref[Any]] = {}  # by output: Tensors that keep their gradient


class Node:
    """One recorded call of an Op: its input arrays, and where their gradients flow."""

    __slots__ = (
        "__weakref__",
        "arrays",
        "edges",
        "n_outputs",
        "observers",
        "op",
        "order",
        "pullback",
    )

    def __init__(
        self,
        op: Op,
        arrays: Sequence[Any],
        edges: Sequence[Edge | None],
        n_outputs: int,
        pullback: Pullback | None = None,
    ) -> None:
        self.op = op
        self.arrays: Sequence[Any] | None = arrays  # None once the graph was freed
        self.edges = edges
        self.n_outputs = n_outputs
        self.pullback = pullback  # only while a program is traced: it holds the forward pass
        self.order = next(_creation_order)
        self.observers: Observers | None = None

    def observe(self) -> Observers:
        """The observers, made when the first one comes."""
        if self.observers is None:
            self.observers = Observers()
        return self.observers

    def free(self) -> None:
        """Let go of the arrays; the edges stay, so that a later walk knows it needs this node."""
        self.arrays = self.pullback = None


def record(op: Op, arrays: Sequence[Any], edges: Sequence[Edge | None]) -> tuple[Any, Node]:
    """The outputs of an Op, and the node that stands for this call of it."""
    pullback = None
    if state.capture is None:
        outputs = op.run(*arrays)
    else:
        outputs, pullback = op.linearize(tuple(edge is not None for edge in edges), arrays)
    n_outputs = len(outputs) if isinstance(outputs, (tuple, list)) else 1
    return outputs, Node(op, arrays, edges, n_outputs, pullback)


class Recorder(NamedTuple):
    """How a walk computes when it is itself recorded, for gradients of gradients."""

    run: Callable[..., Any]  # (op, *inputs) -> outputs, all of them Tensors
    wrap: Callable[[Any, Any, int], Any]  # (array, *edge) -> Tensor, for the inputs of a node


class Gradients(NamedTuple):
    """What a walk found, by `key(edge)`; `tensors` are the leaves and kept Tensors among it."""

    values: dict[tuple[int, int], Any]
    tensors: dict[tuple[int, int], Any]


def key(edge: Edge) -> tuple[int, int]:
    """An edge as a dictionary key: by identity, for Tensors compare by value."""
    return id(edge[0]), edge[1]


def walk(
    seeds: Sequence[tuple[Edge, Any]],
    targets: Sequence[Edge] | None = None,
    *,
    retain_graph: bool,
    recorder: Recorder | None = None,
) -> Gradients:
    """Carry gradients from the seeds back through the graph, newest node first.

    A node is always newer than the nodes it reads, so descending creation order is a topological
    order and no recursion is needed. With `targets`, only the paths that lead there are walked.
    """
    nodes = _reachable([edge for edge, _ in seeds])
    target_keys = {key(edge) for edge in targets or ()}
    masks = None
    if targets is not None:
        nodes, masks = _paths_to(target_keys, nodes)
    if any(node.arrays is None and (masks is None or any(masks[id(node)])) for node in nodes):
        raise RuntimeError(
            "backward: the graph behind this Tensor was freed by an earlier backward. Pass "
            "retain_graph=True to the earlier call, or compute the Tensor again."
        )
    pending: dict[int, list[Any]] = {}  # by target: the gradients of its outputs so far
    leaves: list[Any] = []
    found = Gradients({}, {})

    def give(edge: Edge, gradient: Any) -> None:
        target, index = edge
        gradients = pending.get(id(target))
        if gradients is None:
            if isinstance(target, Node):
                gradients = [None] * target.n_outputs
            else:
                gradients = [None]
                leaves.append(target)
            pending[id(target)] = gradients
        before = gradients[index]
        if before is not None:
            gradient = _sum(before, gradient, recorder)
        gradients[index] = gradient

    for edge, gradient in seeds:
        give(edge, gradient)
    for node in nodes:
        cotangents = pending.pop(id(node), None)
        if cotangents is None:
            continue
        if node.observers is not None or target_keys:
            _show(node, cotangents, target_keys, found)
        gradients = _differentiate(node, cotangents, masks, recorder)
        for flows_to, gradient in zip(node.edges, gradients, strict=False):
            if flows_to is not None and gradient is not None:
                give(flows_to, gradient)
        if gradients and not retain_graph:
            node.free()
    for leaf in leaves:
        at = (id(leaf), 0)
        found.values[at] = _run_hooks(leaf._hooks or {}, pending[id(leaf)][0])
        found.tensors[at] = leaf
    return found


def _reachable(roots: Sequence[Edge]) -> list[Node]:
    """All nodes behind `roots`, newest first."""
    seen: set[int] = set()
    nodes: list[Node] = []
    stack = [target for target, _ in roots]
    while stack:
        node = stack.pop()
        if isinstance(node, Node) and id(node) not in seen:
            seen.add(id(node))
            nodes.append(node)
            stack.extend([edge[0] for edge in node.edges if edge is not None])
    nodes.sort(key=_order, reverse=True)
    return nodes


_order = operator.attrgetter("order")


def _paths_to(
    targets: set[tuple[int, int]], nodes: list[Node]
) -> tuple[list[Node], dict[int, tuple[bool, ...]]]:
    """The nodes on a path to a target, and by node the inputs on such a path."""
    on_path = {node_id for node_id, _ in targets}
    masks = {}
    for node in reversed(nodes):
        mask = tuple(
            edge is not None
            and (key(edge) in targets or (isinstance(edge[0], Node) and id(edge[0]) in on_path))
            for edge in node.edges
        )
        masks[id(node)] = mask
        if any(mask):
            on_path.add(id(node))
    return [node for node in nodes if id(node) in on_path], masks


def _differentiate(
    node: Node,
    cotangents: list[Any],
    masks: dict[int, tuple[bool, ...]] | None,
    recorder: Recorder | None,
) -> Sequence[Any]:
    """The gradient of each input of a node; None where it is not wanted."""
    edges, arrays = node.edges, node.arrays
    wanted = tuple([edge is not None for edge in edges]) if masks is None else masks[id(node)]
    if not any(wanted):  # a target lies here, and nothing behind it
        return ()
    assert arrays is not None  # walk refuses freed graphs
    if recorder is None and node.pullback is not None:
        gradients = node.pullback(cotangents)
        return [g if w else None for g, w in zip(gradients, wanted, strict=True)]
    vjp = node.op.vjp(wanted)
    if recorder is None:
        return vjp.run(*arrays, *cotangents)
    inputs = [
        x if edge is None else recorder.wrap(x, *edge)
        for x, edge in zip(arrays, edges, strict=True)
    ]
    return recorder.run(vjp, *inputs, *cotangents)


def _sum(a: Any, b: Any, recorder: Recorder | None) -> Any:
    return _ADD.run(a, b) if recorder is None else recorder.run(_ADD, a, b)


def _show(
    node: Node, cotangents: list[Any], targets: set[tuple[int, int]], found: Gradients
) -> None:
    """Show the gradients of a node's outputs to its observers, and note the targets among them."""
    observers = node.observers
    if observers is not None:
        for i, hooks in observers.hooks.items():
            if cotangents[i] is not None:
                cotangents[i] = _run_hooks(hooks, cotangents[i])
        if observers.gate is not None:
            cotangents[:] = observers.gate(cotangents)
        for i, ref in observers.kept.items():
            tensor = ref()
            if tensor is not None and cotangents[i] is not None:
                found.values[id(node), i] = cotangents[i]
                found.tensors[id(node), i] = tensor
    for i, cotangent in enumerate(cotangents):
        if (id(node), i) in targets:
            found.values[id(node), i] = cotangent


def _run_hooks(hooks: dict[int, Hook], gradient: Any) -> Any:
    for hook in list(hooks.values()):
        gradient = hook(gradient)
    return gradient


_ADD = Op(jnp.add, "accumulate")


# --- Grad mode --------------------------------------------------------------------------------


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
