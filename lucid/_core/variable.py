"""Variable: what the engine knows of a Tensor, its only subclass."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from lucid._core import epoch, spread
from lucid._core.errors import LOST, is_lost
from lucid._core.mode import lock, state
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
        "_gradient",
        "_hooks",
        "_index",
        "_keep_grad",
        "_node",
        "_requires_grad",
        "_shared",
    )

    _data: Array
    _gradient: Any  # a Tensor, None, or a `Flat` and which of its gradients this one is
    _hooks: dict[int, Hook] | None  # of a leaf; those of other Tensors are on the node
    _node: Any  # what gradients flow into: a Node; None for a leaf
    _index: int  # which output of the node this is
    _requires_grad: bool
    _keep_grad: bool
    _shared: Any  # the array that something else may hold; while it is `_data`, none may reuse that
    _born: Any  # the trace that was active when it was made: inside it, it is a local value

    @staticmethod
    def _wrap(data: Array, node: Any = None, index: int = 0) -> Tensor:
        """A Tensor around `data`; with a node, and if it can have a gradient, a recorded one."""
        raise NotImplementedError

    @property
    def _grad(self) -> Tensor | None:
        grad = self._gradient
        return grad[0].tensors[grad[1]] if type(grad) is tuple else grad

    @_grad.setter
    def _grad(self, value: Tensor | None) -> None:
        self._gradient = value

    def _share(self) -> Array:
        """The array, to be kept: no program reuses it from now on."""
        data = self._data
        if self._shared is data:
            return data
        with lock:
            if state.stepping:  # a signal handler, in the middle of a step
                return spread.copied(self._data)
            if is_lost(self._data):
                raise RuntimeError(LOST)
            data = self._shared = self._data
            return data

    def _put(self, data: Array) -> None:
        """Set the array to one that something else may hold."""
        with lock:
            before, self._shared = self._data, data
            self._data = data
        if data.shape != before.shape or data.dtype != before.dtype:
            epoch.bump()

    def _cell(self) -> Variable:
        """Where the current value is: here, or while a program is traced, in a stand-in."""
        capture = state.trace
        return self if capture is None or self._born is capture else capture.stand_in(self)

    def _edge(self) -> Edge | None:
        """Where gradients of this value flow."""
        if not self._requires_grad:
            return None
        return (self, 0) if self._node is None else (self._node, self._index)
