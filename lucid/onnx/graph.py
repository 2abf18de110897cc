"""An ONNX graph while it is built, without the onnx package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Value(NamedTuple):
    """What the graph computes; a size that follows the batch is a string."""

    number: int
    shape: tuple[Any, ...]
    dtype: np.dtype[Any]


class Node(NamedTuple):
    """One node of the graph."""

    op_type: str
    inputs: list[str]
    outputs: list[str]
    name: str
    attributes: dict[str, Any]


class Graph:
    """A graph that grows node by node.

    Args:
        given: names of arrays, by identity.
    """

    def __init__(self, given: dict[int, str]) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray[Any, Any]] = {}
        self.names: dict[int, str] = {}  # of Values, by number
        self.scope = ""  # where new names begin
        self.results: Sequence[Value] = ()  # of the operation that is translated
        self._given = given
        self._taken = set(given.values())

    def unused(self, stem: str) -> str:
        """A name that nothing else has."""
        name, n = stem, 0
        while name in self._taken:
            n += 1
            name = f"{stem}_{n}"
        self._taken.add(name)
        return name

    def node(self, op_type: str, *inputs: Any, n_outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; the name of its output, or the names of several."""
        operands = [self.operand(x) for x in inputs]
        while operands and not operands[-1]:
            operands.pop()
        name = self.unused(f"{self.scope}{op_type}")
        outputs = [name] if n_outputs == 1 else [f"{name}.{i}" for i in range(n_outputs)]
        self.nodes.append(Node(op_type, operands, outputs, name, attributes))
        return name if n_outputs == 1 else outputs

    def operand(self, x: Any) -> str:
        """The name of a Value or constant; empty for None, an operand left out."""
        if x is None or isinstance(x, str):
            return x or ""
        if isinstance(x, Value):
            return self.names[x.number]
        name = self._given.get(id(x))
        if name is None:
            name = self.unused(f"{self.scope}constant")
        self.constants[name] = np.asarray(x)
        return name

    def cast(self, x: Any, dtype: Any) -> Any:
        """`x` in a dtype."""
        if x is None or getattr(x, "dtype", None) == dtype:
            return x
        dtype = np.dtype(dtype)
        return self.node("Cast", x, to=dtype) if isinstance(x, Value) else np.asarray(x, dtype)
