"""Translations of operations that are one node each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from lucid.onnx.graph import Graph, Value

Names = str | list[str]
Translation = Callable[..., Names]


def attribute(value: Any) -> Any:
    """What stands in the graph as it is; an array of one element as a number."""
    if isinstance(value, Value):
        raise NotImplementedError("ONNX has a constant where a number is computed from an input.")
    return np.asarray(value).item() if hasattr(value, "dtype") else value


def direct(op_type: str, constant: dict[str, Any] | None = None, **renamed: str) -> Translation:
    """One node: the arguments in `renamed` become attributes, all others operands."""

    def translate(g: Graph, y: Value, /, **arguments: Any) -> Names:
        attributes = {new: attribute(arguments.pop(old)) for old, new in renamed.items()}
        operands = [g.cast(x, y.dtype) for x in arguments.values()]
        return g.node(op_type, *operands, **(constant or {}), **attributes)

    return translate


def comparison(op_type: str) -> Translation:
    """One node of two operands, which it takes in their common dtype."""

    def translate(g: Graph, y: Value, /, a: Any, b: Any) -> Names:
        common = jnp.result_type(*(x.dtype if isinstance(x, Value) else x for x in (a, b)))
        node: str = g.node(op_type, g.cast(a, common), g.cast(b, common))
        return node

    return translate


def reduction(op_type: str) -> Translation:
    """One node that reduces axes."""

    def translate(g: Graph, y: Value, /, a: Any, axis: Any, keepdims: bool) -> Names:
        axes = None if axis is None else integers(np.atleast_1d(axis))
        return g.node(op_type, g.cast(a, y.dtype), axes, keepdims=int(keepdims))

    return translate


def integers(values: Any) -> np.ndarray[Any, Any]:
    """A constant of 64-bit integers."""
    return np.asarray(values, np.int64)
