"""Variable: what the engine knows of a Tensor, its only subclass."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from lucid._core.mode import state
from lucid._core.typing import Array

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

# Where a gradient flows: into output `index` of a Node, or, with index 0, into a leaf.
Edge: TypeAlias = tuple[Any, int]
Hook: TypeAlias = Callable[[Any], Any]


class Variable:
    """An array and its place in the graph."""

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
    _born: Any  # the trace that was active when it was made: inside it, it is a local value

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
