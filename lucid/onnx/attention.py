"""Translations of the operations of attention, for which ONNX has no single node."""

from __future__ import annotations

from typing import Any

import numpy as np

from lucid.onnx.common import Names, integers
from lucid.onnx.graph import Graph, Value


def in_projection(
    g: Graph, y: Value, /, query: Any, key: Any, value: Any, weights: Any, bias: Any, heads: int
) -> Names:
    inputs = query, query if key is None else key, query if value is None else value
    matrices = weights if len(weights) == 3 else _thirds(g, weights[0])
    biases = (None, None, None) if bias is None else _thirds(g, bias)
    names = []
    for x, weight, own in zip(inputs, matrices, biases, strict=True):
        z = g.node("MatMul", x, g.node("Transpose", weight, perm=[1, 0]))
        z = z if own is None else g.node("Add", z, own)
        before = len(x.shape) - 2  # the batch, if there is one
        parts = g.node("Reshape", z, integers([0] * (before + 1) + [heads, -1]))
        order = [*range(before), before + 1, before, before + 2]
        names.append(g.node("Transpose", parts, perm=order))
    return names


def _thirds(g: Graph, x: Any) -> list[str]:
    names: list[str] = g.node("Split", x, integers([len(x) // 3] * 3), n_outputs=3, axis=0)
    return names


def merged_heads(g: Graph, y: Value, /, x: Any) -> Names:
    before = len(x.shape) - 3
    order = [*range(before), before + 1, before, before + 2]
    moved = g.node("Transpose", x, perm=order)
    merged: str = g.node("Reshape", moved, integers([0] * (before + 1) + [-1]))
    return merged


def attention(
    g: Graph, y: Value, /, query: Any, key: Any, value: Any, attn_mask: Any, scale: Any,
    is_causal: bool, enable_gqa: bool,
) -> Names:  # fmt: skip
    if enable_gqa:
        raise NotImplementedError("with enable_gqa it has no translation.")
    dtype = np.promote_types(y.dtype, np.float32)
    q, k, v = (g.cast(x, dtype) for x in (query, key, value))
    scale = np.asarray(query.shape[-1] ** -0.5 if scale is None else scale, dtype)
    last = len(key.shape) - 1
    turned = g.node("Transpose", k, perm=[*range(last - 1), last, last - 1])
    scores = g.node("MatMul", g.node("Mul", q, scale), turned)
    visible = None
    if is_causal:
        visible = np.tri(query.shape[-2], key.shape[-2], dtype=bool)
    if attn_mask is not None and attn_mask.dtype == bool:
        visible = attn_mask if visible is None else g.node("And", attn_mask, visible)
    elif attn_mask is not None:
        scores = g.node("Add", scores, g.cast(attn_mask, dtype))
        hidden = g.node("IsInf", scores, detect_positive=0)
        finite = g.node("Not", hidden)
        visible = finite if visible is None else g.node("And", finite, visible)
    if visible is not None:
        scores = g.node("Where", visible, scores, np.asarray(-np.inf, dtype))
    weights = g.node("Softmax", scores, axis=-1)
    if visible is not None:  # a query that sees no key gets zeros
        weights = g.node("Where", visible, weights, np.zeros((), dtype))
    result = g.node("MatMul", weights, v)
    return result if dtype == y.dtype else g.node("Cast", result, to=y.dtype)
