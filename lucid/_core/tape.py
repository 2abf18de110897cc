"""The tape: nodes that record operations, and the walk back through them.

It knows arrays and nodes; `lucid._core.tensor` puts Tensors around them.
"""

from __future__ import annotations

import itertools
import operator
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lucid._core.errors import BackwardError, JitError
from lucid._core.mode import state
from lucid._core.op import Op, Pullback
from lucid._core.variable import Edge, Hook

_creation_order = itertools.count()


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
        "kinds",
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
        self.kinds: Sequence[Any] = ()  # then: abstract values in the arrays' place
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
        if self.arrays is not None:
            self.kinds = [_kind(x) for x in self.arrays]
        self.arrays = self.pullback = None

    def needs_arrays(self, wanted: tuple[bool, ...]) -> bool:
        """Whether a walk through this node fails because its arrays are gone."""
        return self.arrays is None and self.op.vjp_reads_inputs(wanted, self.kinds)

    def blanks(self) -> list[Any]:
        """Arrays in the place of those that are gone, where their values do not matter."""
        return [jnp.zeros(x.shape, x.dtype) if hasattr(x, "dtype") else x for x in self.kinds]


def _kind(x: Any) -> Any:
    """An abstract value in the place of an array; a number stays."""
    if isinstance(x, np.ndarray):
        return jax.ShapeDtypeStruct(x.shape, x.dtype)
    return getattr(x, "aval", x)


def record(op: Op, arrays: Sequence[Any], edges: Sequence[Edge | None]) -> tuple[Any, Node]:
    """The outputs of an Op, and the node that stands for this call of it."""
    pullback = None
    if state.trace is None:
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
    nodes = reachable([edge for edge, _ in seeds])
    target_keys = {key(edge) for edge in targets or ()}
    masks = None
    if targets is not None:
        nodes, masks = _paths_to(target_keys, nodes)
    freed = [node for node in nodes if node.arrays is None]
    if any(any(wanted := _wanted(node, masks)) and node.needs_arrays(wanted) for node in freed):
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
        try:
            gradients = _differentiate(node, cotangents, masks, recorder)
        except JitError:
            raise
        except Exception as error:
            shape = next(ct.shape for ct in cotangents if ct is not None)
            raise BackwardError(shape, node.op.name) from error
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


def reachable(roots: Sequence[Edge]) -> list[Node]:
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


def observed(roots: Sequence[Edge]) -> bool:
    """Whether a hook, or a Tensor that keeps its gradient, waits behind `roots`."""
    found = [node.observers for node in reachable(roots) if node.observers is not None]
    return any(o.gate is not None or o.kept or any(o.hooks.values()) for o in found)


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


def _wanted(node: Node, masks: dict[int, tuple[bool, ...]] | None) -> tuple[bool, ...]:
    """Of which inputs of a node the gradient is wanted."""
    return tuple([edge is not None for edge in node.edges]) if masks is None else masks[id(node)]


def _differentiate(
    node: Node,
    cotangents: list[Any],
    masks: dict[int, tuple[bool, ...]] | None,
    recorder: Recorder | None,
) -> Sequence[Any]:
    """The gradient of each input of a node; None where it is not wanted."""
    edges = node.edges
    wanted = _wanted(node, masks)
    if not any(wanted):  # a target lies here, and nothing behind it
        return ()
    arrays = node.blanks() if node.arrays is None else node.arrays
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
