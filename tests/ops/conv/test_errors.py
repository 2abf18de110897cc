"""Every refusal is a sentence that names the call, the rule and the values."""

from __future__ import annotations

import re

import jax.numpy as jnp
import pytest

from lucid.ops.conv import check_channels, check_window, conv, conv_transpose

X = (2, 4, 5, 5)
W = (4, 4, 3, 3)

# id: (function, shape of x, shape of w, arguments, error, its text)
CASES = {
    "rank of input": (
        conv, (4, 4), W, {}, ValueError,
        "conv2d: input must have 4 axes (N, C, *spatial) or 3 axes (C, *spatial), "
        "got shape (4, 4).",
    ),
    "rank of weight": (
        conv_transpose, X, (4, 4, 3), {}, ValueError,
        "conv_transpose2d: weight must have 4 axes, two of channels and 2 of the kernel, "
        "got shape (4, 4, 3).",
    ),
    "empty input": (
        conv_transpose, (2, 4, 0, 5), W, {}, ValueError,
        "conv_transpose2d: input must not be empty along a spatial axis, got shape (2, 4, 0, 5).",
    ),
    "channels of conv": (
        conv, X, (4, 3, 3, 3), {"groups": 2}, ValueError,
        "conv2d: a weight of shape (4, 3, 3, 3) with groups=2 takes 6 input channels "
        "(weight.shape[1] * groups), but the input has 4.",
    ),
    "channels of conv_transpose": (
        conv_transpose, X, (6, 4, 3, 3), {}, ValueError,
        "conv_transpose2d: a weight of shape (6, 4, 3, 3) takes 6 input channels "
        "(weight.shape[0]), but the input has 4.",
    ),
    "groups": (
        conv_transpose, X, W, {"groups": 3}, ValueError,
        "conv_transpose2d: groups must divide the channels, got groups=3 for 4 input channels "
        "and 12 output channels.",
    ),
    "groups zero": (
        conv_transpose, X, W, {"groups": 0}, ValueError,
        "conv_transpose2d: groups must be at least 1, got 0.",
    ),
    "groups negative": (
        conv, X, W, {"groups": -1}, ValueError, "conv2d: groups must be at least 1, got -1.",
    ),
    "kernel zero": (
        conv, X, (4, 4, 0, 3), {}, ValueError,
        "conv2d: kernel_size must be at least 1, got (0, 3).",
    ),
    "stride zero": (
        conv, X, W, {"stride": 0}, ValueError, "conv2d: stride must be at least 1, got (0, 0).",
    ),
    "dilation negative": (
        conv_transpose, X, W, {"dilation": (1, -2)}, ValueError,
        "conv_transpose2d: dilation must be at least 1, got (1, -2).",
    ),
    "padding negative": (
        conv, X, W, {"padding": (-1, 0)}, ValueError,
        "conv2d: padding must not be negative, got (-1, 0).",
    ),
    "padding negative in a pair": (
        conv_transpose, X, W, {"padding": ((0, 0), (0, -1))}, ValueError,
        "conv_transpose2d: padding must not be negative, got ((0, 0), (0, -1)).",
    ),
    "padding pairs, number": (
        conv, X, W, {"padding": ((0, 0),)}, ValueError,
        "conv2d: padding must hold 2 pairs (low, high), got 1: [(0, 0)].",
    ),
    "padding pairs, length": (
        conv, X, W, {"padding": ((0, 0, 0), (0, 0, 0))}, ValueError,
        "conv2d: each axis of padding must be an integer or a tuple of 2 integers, "
        "got 3: (0, 0, 0).",
    ),
    "padding word": (
        conv, X, W, {"padding": "full"}, ValueError,
        "conv2d: padding must be 'valid', 'same' or sizes, got 'full'.",
    ),
    "padding same with a stride": (
        conv, X, W, {"padding": "same", "stride": 2}, ValueError,
        "conv2d: padding='same' keeps the input's size, which needs stride 1, got stride=(2, 2). "
        "Give the padding in numbers.",
    ),
    "output_padding": (
        conv_transpose, X, W, {"output_padding": 2, "stride": (2, 3)}, ValueError,
        "conv_transpose2d: output_padding must be at least 0 and smaller than stride or dilation "
        "on each axis, got output_padding=(2, 2), stride=(2, 3), dilation=(1, 1).",
    ),
    "output_padding negative": (
        conv_transpose, X, W, {"output_padding": -1, "stride": 2}, ValueError,
        "conv_transpose2d: output_padding must be at least 0 and smaller than stride or dilation "
        "on each axis, got output_padding=(-1, -1), stride=(2, 2), dilation=(1, 1).",
    ),
    "output size of conv": (
        conv, X, W, {"dilation": 3}, ValueError,
        "conv2d: output would have size (-1, -1) from input size (5, 5) with kernel_size=(3, 3), "
        "stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(3, 3). "
        "Give a larger input or other sizes.",
    ),
    "output size of conv_transpose": (
        conv_transpose, (2, 4, 1, 5), W, {"padding": (2, 0)}, ValueError,
        "conv_transpose2d: output would have size (-1, 7) from input size (1, 5) with "
        "kernel_size=(3, 3), stride=(1, 1), padding=((2, 2), (0, 0)), dilation=(1, 1). "
        "Give a larger input or other sizes.",
    ),
    "tuple length": (
        conv, X, W, {"stride": (1, 2, 3)}, ValueError,
        "conv2d: stride must be an integer or a tuple of 2 integers, got 3: (1, 2, 3).",
    ),
    "not integers": (
        conv_transpose, X, W, {"dilation": 1.5}, TypeError,
        "conv_transpose2d: dilation must be an integer or a tuple of 2 integers, got 1.5.",
    ),
    "groups not an integer": (
        conv_transpose, X, W, {"groups": 2.0}, TypeError,
        "conv_transpose2d: groups must be an integer, got 2.0.",
    ),
    "output_size": (
        conv_transpose, (2, 4, 3, 3), W, {"output_size": (9, 9), "stride": 2, "padding": 1},
        ValueError,
        "conv_transpose2d: output_size (9, 9) cannot be reached from input size (3, 3); "
        "allowed per axis: (5, 5) to (6, 6). Change stride or output_size.",
    ),
    "output_size, unbatched": (
        conv_transpose, (4, 3, 3), W, {"output_size": 4, "stride": 2, "padding": 1},
        ValueError,
        "conv_transpose2d: output_size (4, 4) cannot be reached from input size (3, 3); "
        "allowed per axis: (5, 5) to (6, 6). Change stride or output_size.",
    ),
    "output_size length": (
        conv_transpose, X, W, {"output_size": (5, 5, 5)}, ValueError,
        "conv_transpose2d: output_size must be an integer or a tuple of 2 integers, "
        "got 3: (5, 5, 5).",
    ),
    "padding_mode": (
        conv, X, W, {"padding": 1, "padding_mode": "mirror"}, ValueError,
        "conv2d: padding_mode must be 'zeros', 'reflect', 'replicate' or 'circular', "
        "got 'mirror'.",
    ),
    "reflect": (
        conv, X, W, {"padding": 5, "padding_mode": "reflect"}, ValueError,
        "conv2d: padding_mode='reflect' needs a padding smaller than the input on each axis, "
        "got padding=((5, 5), (5, 5)) for input size (5, 5).",
    ),
    "circular": (
        conv, X, W, {"padding": 6, "padding_mode": "circular"}, ValueError,
        "conv2d: padding_mode='circular' needs a padding at most the input on each axis, "
        "got padding=((6, 6), (6, 6)) for input size (5, 5).",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_call(case):
    function, x_shape, w_shape, arguments, error, text = case
    with pytest.raises(error, match=f"^{re.escape(text)}$"):
        function(jnp.zeros(x_shape), jnp.zeros(w_shape), rank=2, **arguments)


def test_dtypes_differ():
    text = (
        "conv1d: input, weight and bias must have one dtype, got float32, float16. "
        "Convert them with astype, or compute under lucid.autocast."
    )
    with pytest.raises(TypeError, match=re.escape(text)):
        conv(jnp.zeros((1, 5)), jnp.zeros((1, 1, 3), jnp.float16), rank=1)


def test_bias():
    text = "conv_transpose1d: bias must have shape (3,), one per output channel, got (2,)."
    with pytest.raises(ValueError, match=re.escape(text)):
        conv_transpose(jnp.zeros((1, 5)), jnp.zeros((1, 3, 3)), jnp.zeros(2), rank=1)


def test_output_padding_below_dilation_is_legal():
    y = conv_transpose(jnp.ones((1, 5)), jnp.ones((1, 1, 3)), rank=1, dilation=3, output_padding=2)
    assert y.shape == (1, 5 - 1 + 3 * 2 + 2 + 1)


def test_output_size_replaces_output_padding():
    x, w = jnp.ones((2, 1, 3)), jnp.ones((1, 1, 3))
    arguments = {"rank": 1, "stride": 2, "padding": 1, "output_padding": 7}
    assert conv_transpose(x, w, **arguments, output_size=6).shape == (2, 1, 6)
    assert conv_transpose(x, w, **arguments, output_size=(2, 9, 5)).shape == (2, 1, 5)


def test_layer_arguments_are_refused_before_any_input():
    with pytest.raises(ValueError, match=r"^ConvTranspose2d: in_channels must be at least 1"):
        check_channels("ConvTranspose2d", 0, 4, 1)
    window = check_window("Conv3d", 3, (1, 2, 3), padding=((1, 0), (0, 2), (3, 3)))
    assert window.kernel == (1, 2, 3)
    assert window.padding == ((1, 0), (0, 2), (3, 3))
