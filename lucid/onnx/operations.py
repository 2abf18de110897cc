"""The operations of lucid as nodes of an ONNX graph: one table from functions to translations.

A translation is called with the graph, the first result, and the arguments of the function by
name; it adds nodes and returns the name of the result, or the names of several. It raises
NotImplementedError, with the reason, for arguments that ONNX cannot express.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from lucid.nn import functional as F
from lucid.onnx import attention
from lucid.onnx.common import (
    Names,
    Translation,
    attribute,
    comparison,
    direct,
    integers,
    reduction,
)
from lucid.onnx.graph import Graph, Value
from lucid.ops import (
    activation,
    affine,
    elementwise,
    indexing,
    linalg,
    logic,
    lookup,
    multi_head,
    norm,
    pool,
    reduce,
    resize,
    trigonometry,
)
from lucid.ops import attention as attending
from lucid.ops import shape as shapes
from lucid.ops.conv import Window, check_window, convolve, convolve_transpose

# --- Activations and elementwise functions ----------------------------------------------------


def clip(g: Graph, y: Value, /, a: Any, min_value: Any, max_value: Any) -> Names:
    bounds = (g.cast(bound, y.dtype) for bound in (min_value, max_value))
    return g.node("Clip", g.cast(a, y.dtype), *bounds)


def prelu(g: Graph, y: Value, /, input_: Any, weight: Any) -> Names:
    if weight.shape not in ((), (1,)) and len(y.shape) > 2:
        weight = g.node("Reshape", weight, integers([-1, *(1 for _ in y.shape[2:])]))
    return g.node("PRelu", input_, weight)


def silu(g: Graph, y: Value, /, input_: Any) -> Names:
    return g.node("Mul", input_, g.node("Sigmoid", input_))


def softplus(g: Graph, y: Value, /, input_: Any, beta: Any, threshold: Any) -> Names:
    if beta == 1 and threshold == 20:  # there softplus is x to all digits
        return g.node("Softplus", input_)
    factor = g.cast(beta, y.dtype)
    scaled = g.node("Mul", input_, factor)
    soft = g.node("Div", g.node("Softplus", scaled), factor)
    above = g.node("Greater", scaled, g.cast(threshold, y.dtype))
    return g.node("Where", above, input_, soft)


def square(g: Graph, y: Value, /, a: Any) -> Names:
    return g.node("Mul", a, a)


def div(g: Graph, y: Value, /, a: Any, b: Any, floor: bool) -> Names:
    if floor:
        raise NotImplementedError("floor=True has no counterpart in ONNX.")
    return g.node("Div", g.cast(a, y.dtype), g.cast(b, y.dtype))


def where(g: Graph, y: Value, /, condition: Any, a: Any, b: Any) -> Names:
    return g.node("Where", g.cast(condition, bool), g.cast(a, y.dtype), g.cast(b, y.dtype))


def astype(g: Graph, y: Value, /, a: Any, dtype: Any) -> Names:
    return g.operand(g.cast(a, y.dtype))


# --- Products and convolutions ----------------------------------------------------------------


def linear(g: Graph, y: Value, /, input_: Any, weight: Any, bias: Any) -> Names:
    if len(y.shape) == 2:
        return g.node("Gemm", input_, weight, bias, transB=1)
    product = g.node("MatMul", input_, g.node("Transpose", weight, perm=[1, 0]))
    return product if bias is None else g.node("Add", product, bias)


def check_batched(x: Any, rank: int) -> None:
    if len(x.shape) != rank + 2:
        raise NotImplementedError(
            f"it needs an input (N, C, *spatial) of {rank + 2} axes, got shape {x.shape}."
        )


def pads(pairs: Sequence[tuple[int, int]]) -> list[int]:
    """(low, high) per axis in ONNX's order: all low sides, then all high ones."""
    return [low for low, _ in pairs] + [high for _, high in pairs]


PAD_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def convolution(
    g: Graph, y: Value, /, x: Any, w: Any, b: Any, window: Window, padding_mode: str
) -> Names:
    rank = window.rank
    check_batched(x, rank)
    pairs = window.padding
    if padding_mode != "zeros":
        whole = integers(pads(((0, 0), (0, 0), *pairs)))
        x, pairs = g.node("Pad", x, whole, mode=PAD_MODES[padding_mode]), ((0, 0),) * rank
    return g.node(
        "Conv", x, w, b, kernel_shape=window.kernel, strides=window.stride, pads=pads(pairs),
        dilations=window.dilation, group=window.groups,
    )  # fmt: skip


def transposed_convolution(
    g: Graph, y: Value, /, x: Any, w: Any, b: Any, window: Window, output_size: Any
) -> Names:
    check_batched(x, window.rank)
    pairs, extra, ends = [], [], []
    axes = zip(
        x.shape[2:], y.shape[2:], window.kernel, window.stride, window.dilation, window.padding,
        strict=True,
    )  # fmt: skip
    for n, m, k, s, d, (low, high) in axes:
        more = m - ((n - 1) * s + d * (k - 1) + 1 - low - high)
        # onnxruntime refuses an output_padding that is not below the stride. Zeros behind the
        # input lengthen the output too, by a stride each; what that is too much is cropped.
        zeros = 0 if more < s else -(-more // s)
        pairs.append((low, high + zeros * s - more if zeros else high))
        extra.append(0 if zeros else more)
        ends.append((0, zeros))
    if any(high for _, high in ends):
        x = g.node("Pad", x, integers(pads([(0, 0), (0, 0), *ends])))
    return g.node(
        "ConvTranspose", x, w, b, kernel_shape=window.kernel, strides=window.stride,
        pads=pads(pairs), output_padding=extra, dilations=window.dilation, group=window.groups,
    )  # fmt: skip


def conv_of_arguments(
    g: Graph, y: Value, /, input_: Any, weight: Any, bias: Any, **arguments: Any
) -> Names:
    kernel = weight.shape[2:]
    window = check_window("conv", len(kernel), kernel, **arguments)
    return convolution(g, y, input_, weight, bias, window, "zeros")


def conv_transpose_of_arguments(
    g: Graph, y: Value, /, input_: Any, weight: Any, bias: Any, **arguments: Any
) -> Names:
    kernel = weight.shape[2:]
    window = check_window("conv_transpose", len(kernel), kernel, **arguments)
    return transposed_convolution(g, y, input_, weight, bias, window, None)


# --- Normalisations ---------------------------------------------------------------------------


def batch_norm(
    g: Graph, y: Value, /, input_: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any,
    eps: Any,
) -> Names:  # fmt: skip
    scale, shift = scale_and_shift(y, weight, bias, y.shape[1])
    statistics = running_mean, running_var
    return g.node("BatchNormalization", input_, scale, shift, *statistics, epsilon=attribute(eps))


def instance_norm(
    g: Graph, y: Value, /, input_: Any, weight: Any, bias: Any, eps: Any, **running: Any
) -> Names:
    scale, shift = scale_and_shift(y, weight, bias, y.shape[1])
    return g.node("InstanceNormalization", input_, scale, shift, epsilon=attribute(eps))


def group_norm(
    g: Graph, y: Value, /, input_: Any, num_groups: int, weight: Any, bias: Any, eps: Any
) -> Names:
    ones, zeros = scale_and_shift(y, None, None, num_groups)
    grouped = g.node("Reshape", input_, integers([0, num_groups, -1]))
    normal = g.node("InstanceNormalization", grouped, ones, zeros, epsilon=attribute(eps))
    result = reshaped(g, y, normal, input_.shape)
    for op_type, value in (("Mul", weight), ("Add", bias)):
        if value is not None:
            column = g.node("Reshape", value, integers([-1, *(1 for _ in y.shape[2:])]))
            result = g.node(op_type, result, column)
    return result


def layer_norm(
    g: Graph, y: Value, /, input_: Any, normalized_shape: Any, weight: Any, bias: Any, eps: Any
) -> Names:
    scale, _ = scale_and_shift(y, weight, None, normalized_shape)
    axis = -np.size(normalized_shape)
    return g.node("LayerNormalization", input_, scale, bias, axis=axis, epsilon=attribute(eps))


def scale_and_shift(y: Value, weight: Any, bias: Any, shape: Any) -> tuple[Any, Any]:
    """Weight and bias, which ONNX wants even where there are none."""
    return (
        np.ones(shape, y.dtype) if weight is None else weight,
        np.zeros(shape, y.dtype) if bias is None else bias,
    )


# --- Pools ------------------------------------------------------------------------------------


def pooled(g: Graph, x: Any, op_type: str, axes: pool.PoolAxes, pad: bool) -> Names:
    """A pool whose high padding is exactly what its last window reaches.

    ONNX rounds up by another rule than lucid, so sizes are never left to `ceil_mode`.
    """
    check_batched(x, len(axes))
    reached = [
        max((w.count(n) - 1) * w.stride + w.reach - n - w.padding, 0)
        for w, n in zip(axes, x.shape[2:], strict=True)
    ]
    pairs = [(w.padding, high) for w, high in zip(axes, reached, strict=True)]
    if pad and any(low or high for low, high in pairs):
        # Only the padding that was asked for counts in a mean; what lies beyond it does not.
        x = g.node("Pad", x, integers(pads([(0, 0), (0, 0), *((w.padding,) * 2 for w in axes)])))
        pairs = [(0, max(high - low, 0)) for low, high in pairs]
    more: dict[str, Any] = {"dilations": [w.dilation for w in axes]} if op_type == "MaxPool" else {}
    return g.node(
        op_type, x, kernel_shape=[w.kernel for w in axes], strides=[w.stride for w in axes],
        pads=pads(pairs), **more,
    )  # fmt: skip


def max_pool(g: Graph, y: Value, /, x: Any, axes: pool.PoolAxes) -> Names:
    return pooled(g, x, "MaxPool", axes, pad=False)


def avg_pool(g: Graph, y: Value, /, x: Any, axes: pool.PoolAxes, count_include_pad: bool) -> Names:
    return pooled(g, x, "AveragePool", axes, count_include_pad)


def max_pool_of_arguments(g: Graph, y: Value, /, input_: Any, **arguments: Any) -> Names:
    rank = len(y.shape) - 2
    return max_pool(g, y, input_, pool.check_axes("max_pool", rank, **arguments))


def avg_pool_of_arguments(
    g: Graph, y: Value, /, input_: Any, count_include_pad: bool, **arguments: Any
) -> Names:
    axes = pool.check_axes("avg_pool", len(y.shape) - 2, **arguments)
    return avg_pool(g, y, input_, axes, count_include_pad)


def adaptive(op_type: str) -> Translation:
    """A pool of as many even windows as asked for."""

    def translate(g: Graph, y: Value, /, output_size: Any, rank: int = 0, **named: Any) -> Names:
        (x,) = named.values()
        check_batched(x, rank or len(y.shape) - 2)
        pairs = list(zip(x.shape[2:], y.shape[2:], strict=True))
        if all(m == 1 for _, m in pairs):
            return g.node(f"Global{op_type}", x)
        if any(n % m for n, m in pairs):
            raise NotImplementedError(
                f"output_size={output_size} must divide the input's size, got {x.shape[2:]}."
            )
        kernel = [n // m for n, m in pairs]
        return g.node(op_type, x, kernel_shape=kernel, strides=kernel)

    return translate


# --- Shape ------------------------------------------------------------------------------------


def reshape(g: Graph, y: Value, /, a: Any, **arguments: Any) -> Names:
    """All that only changes the shape: the result's own says how."""
    return reshaped(g, y, a, a.shape)


def reshaped(g: Graph, y: Value, x: Any, before: Sequence[Any]) -> Names:
    """`x`, whose shape is `before`, in the shape of `y`."""
    target = [
        n if isinstance(n, int) else 0 if before[i : i + 1] == ("batch",) and n == "batch" else -1
        for i, n in enumerate(y.shape)
    ]
    if target.count(-1) > 1:
        raise NotImplementedError("more than one axis of the result depends on the batch size.")
    return g.node("Reshape", x, integers(target))


def transpose(g: Graph, y: Value, /, a: Any, axes: Any) -> Names:
    rank = len(y.shape)
    order = range(rank)[::-1] if axes is None else [axis % rank for axis in axes]
    return g.node("Transpose", a, perm=list(order))


def swapaxes(g: Graph, y: Value, /, a: Any, axis1: int, axis2: int) -> Names:
    order = list(range(len(y.shape)))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return g.node("Transpose", a, perm=order)


def concatenate(g: Graph, y: Value, /, arr: Any, axis: int) -> Names:
    return g.node("Concat", *(g.cast(a, y.dtype) for a in arr), axis=axis)


def split(g: Graph, y: Value, /, a: Any, axis: int, **pieces: Any) -> Names:
    sizes = [piece.shape[axis] for piece in g.results]
    if len(sizes) == 1:
        return [g.operand(a)]
    if any(isinstance(n, str) for n in sizes):
        raise NotImplementedError("the batch cannot be split.")
    names: list[str] = g.node("Split", a, integers(sizes), n_outputs=len(sizes), axis=axis)
    return names


def pad(g: Graph, y: Value, /, a: Any, pad_width: Any, value: Any) -> Names:
    pairs = np.broadcast_to(pad_width, (len(y.shape), 2)).tolist()
    return g.node("Pad", a, integers(pads(pairs)), g.cast(value, y.dtype))


def take(g: Graph, y: Value, /, a: Any, starts: Any, arrays: Any, selection: Any) -> Names:
    if arrays or isinstance(starts, Value):
        raise NotImplementedError("an index array has no translation; use integers and slices.")
    x: Any = a
    before = list(a.shape)
    items = [item for item in selection.items if item is not None]
    axes = zip(starts.tolist(), selection.spans, items, strict=True)
    for axis, (start, span, item) in enumerate(axes):
        step = item[2] if isinstance(item, tuple) else 1
        if span == a.shape[axis] and step == 1:
            continue
        if isinstance(span, str):
            raise NotImplementedError(
                f"the part of axis {axis} that is taken depends on the batch size."
            )
        first, last = (start, start + span) if step > 0 else (start + span - 1, start - 1)
        last = last if last >= 0 else np.iinfo(np.int64).min
        x = g.node("Slice", x, *(integers([v]) for v in (first, last, axis, step)))
        before[axis] = len(range(0, span, abs(step)))
    return g.operand(x) if tuple(before) == y.shape else reshaped(g, y, x, tuple(before))


def embedding(g: Graph, y: Value, /, input_: Any, weight: Any, padding_idx: Any) -> Names:
    return g.node("Gather", weight, input_, axis=0)


# --- Resizing ---------------------------------------------------------------------------------

RESIZE_MODES = {"linear": "linear", "bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}


def interpolate(
    g: Graph, y: Value, /, input_: Any, size: Any, mode: str, align_corners: bool, scale_factor: Any
) -> Names:
    x = input_
    lengths = list(zip(x.shape[2:], y.shape[2:], strict=True))
    axes = list(range(2, len(y.shape)))
    if mode == "nearest" and all(m % n == 0 for n, m in lengths):
        return g.node(
            "Resize", x, None, None, integers(y.shape[2:]), axes=axes, mode="nearest",
            coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        )  # fmt: skip
    if mode == "nearest":  # runtimes compute positions in float32, where a floor may go wrong
        for i, (n, m) in enumerate(lengths):
            scale = scale_factor[i] if isinstance(scale_factor, tuple) else scale_factor
            row = jnp.arange(n)[None, None]
            at = resize.interpolate(row, None if scale else m, "nearest", scale_factor=scale)
            x = g.node("Gather", x, integers(at[0, 0]), axis=axes[i])
        return g.operand(x)
    scales = np.broadcast_to(scale_factor or 1.0, len(axes))
    exact = all(m == n * scale for (n, m), scale in zip(lengths, scales, strict=True))
    by_size = align_corners or scale_factor is None or exact
    return g.node(
        "Resize", x, None, None if by_size else scales.astype(np.float32),
        integers(y.shape[2:]) if by_size else None, axes=axes, mode=RESIZE_MODES[mode],
        coordinate_transformation_mode="align_corners" if align_corners else "half_pixel",
        cubic_coeff_a=-0.75 if mode == "bicubic" else None,
    )  # fmt: skip


def pixel_shuffle(g: Graph, y: Value, /, input_: Any, upscale_factor: int) -> Names:
    check_batched(input_, 2)
    return g.node("DepthToSpace", input_, blocksize=upscale_factor, mode="CRD")


# --- The table --------------------------------------------------------------------------------

UNARY = {
    "negative": "Neg", "abs": "Abs", "sign": "Sign", "reciprocal": "Reciprocal", "sqrt": "Sqrt",
    "exp": "Exp", "log": "Log", "floor": "Floor", "ceil": "Ceil",
}  # fmt: skip
TRIGONOMETRY = {
    "sin": "Sin", "cos": "Cos", "tan": "Tan", "arcsin": "Asin", "arccos": "Acos", "arctan": "Atan",
    "sinh": "Sinh", "cosh": "Cosh", "tanh": "Tanh",
}  # fmt: skip
BINARY = {
    "add": "Add", "sub": "Sub", "multiply": "Mul", "power": "Pow", "maximum": "Max",
    "minimum": "Min",
}  # fmt: skip
COMPARISONS = {
    "equal": "Equal", "less": "Less", "less_equal": "LessOrEqual", "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
}  # fmt: skip
REDUCTIONS = {
    "sum": "ReduceSum", "mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin",
    "prod": "ReduceProd",
}  # fmt: skip

_TABLE: dict[Callable[..., Any], Translation] = {
    **{getattr(elementwise, name): direct(op) for name, op in {**UNARY, **BINARY}.items()},
    **{getattr(trigonometry, name): direct(op) for name, op in TRIGONOMETRY.items()},
    **{getattr(logic, name): comparison(op) for name, op in COMPARISONS.items()},
    **{getattr(reduce, name): reduction(op) for name, op in REDUCTIONS.items()},
    elementwise.square: square,
    elementwise.div: div,
    elementwise.clip: clip,
    elementwise.where: where,
    elementwise.astype: astype,
    activation.relu: direct("Relu"),
    activation.relu6: lambda g, y, input_: clip(g, y, input_, 0, 6),
    activation.hardtanh: lambda g, y, input_, min_val, max_val: clip(
        g, y, input_, min_val, max_val
    ),
    activation.leaky_relu: direct("LeakyRelu", negative_slope="alpha"),
    activation.prelu: prelu,
    activation.elu: direct("Elu", alpha="alpha"),
    activation.selu: direct("Selu"),
    activation.gelu: direct("Gelu", approximate="approximate"),
    activation.sigmoid: direct("Sigmoid"),
    activation.hard_sigmoid: direct("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    activation.silu: silu,
    activation.hard_swish: direct("HardSwish"),
    activation.mish: direct("Mish"),
    activation.softplus: softplus,
    activation.softmax: direct("Softmax", axis="axis"),
    activation.log_softmax: direct("LogSoftmax", axis="axis"),
    linalg.matmul: direct("MatMul"),
    affine.linear: linear,
    convolve: convolution,
    convolve_transpose: transposed_convolution,
    **{getattr(F, f"conv{n}d"): conv_of_arguments for n in (1, 2, 3)},
    **{getattr(F, f"conv_transpose{n}d"): conv_transpose_of_arguments for n in (1, 2, 3)},
    norm.batch_norm: batch_norm,
    norm.instance_norm_training: instance_norm,
    norm.group_norm: group_norm,
    norm.layer_norm: layer_norm,
    pool.max_over: max_pool,
    pool.mean_over: avg_pool,
    pool.adaptive_max_pool: adaptive("MaxPool"),
    pool.adaptive_avg_pool: adaptive("AveragePool"),
    **{getattr(F, f"max_pool{n}d"): max_pool_of_arguments for n in (1, 2, 3)},
    **{getattr(F, f"avg_pool{n}d"): avg_pool_of_arguments for n in (1, 2, 3)},
    **{getattr(F, f"adaptive_max_pool{n}d"): adaptive("MaxPool") for n in (1, 2, 3)},
    **{getattr(F, f"adaptive_avg_pool{n}d"): adaptive("AveragePool") for n in (1, 2, 3)},
    shapes.reshape: reshape,
    shapes.flatten: reshape,
    shapes.ravel: reshape,
    shapes.squeeze: reshape,
    shapes.unsqueeze: reshape,
    shapes.transpose: transpose,
    shapes.swapaxes: swapaxes,
    shapes.concatenate: concatenate,
    shapes.split: split,
    shapes.chunk: split,
    shapes.pad: pad,
    attending.attention: attention.attention,
    multi_head.in_projection: attention.in_projection,
    multi_head.merged_heads: attention.merged_heads,
    indexing.take: take,
    lookup.embedding: embedding,
    resize.interpolate: interpolate,
    resize.pixel_shuffle: pixel_shuffle,
}

# By what computes on arrays: of a declared function, its pure form.
TRANSLATIONS: dict[Callable[..., Any], Translation] = {
    getattr(function, "pure", function): translation for function, translation in _TABLE.items()
}

# Their static arguments may hold the batch size; the translations look at the results instead.
FOLLOW_SHAPE = frozenset({shapes.reshape.pure, indexing.take.pure})
