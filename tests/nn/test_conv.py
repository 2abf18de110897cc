"""Convolution layers: shapes, Parameters, printing, and refusals at construction and at call."""

from __future__ import annotations

import copy
import pickle
import re

import jax
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F
from tests.helpers import count_compiles, spaced

CONV = [nn.Conv1d, nn.Conv2d, nn.Conv3d]
TRANSPOSE = [nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d]
SPACE = {1: (7,), 2: (7, 6), 3: (4, 3, 5)}


def test_the_page():
    x = Tensor.randn(1, 3, 16, 16, requires_grad=True)
    deconv2d = nn.ConvTranspose2d(3, 2, kernel_size=3, stride=2, padding=1, output_padding=1)
    y = deconv2d(x)
    assert y.shape == (1, 2, 32, 32)
    y.backward()
    assert x.grad.shape == (1, 3, 16, 16)
    assert deconv2d.weight.grad.shape == (3, 2, 3, 3)
    np.testing.assert_allclose(deconv2d.bias.grad.numpy(), [1024, 1024])


def test_the_page_decoder():
    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.deconv1 = nn.ConvTranspose2d(16, 8, kernel_size=4, stride=2, padding=1)
            self.relu = nn.ReLU()
            self.deconv2 = nn.ConvTranspose2d(8, 3, kernel_size=4, stride=2, padding=1)

        def forward(self, x):
            return self.deconv2(self.relu(self.deconv1(x)))

    decoder = Decoder()
    y = decoder(lucid.randn(2, 16, 4, 4))
    assert y.shape == (2, 3, 16, 16)
    y.sum().backward()
    assert all(p.grad is not None for p in decoder.parameters())


def shape_of(layer, *shape):
    """The shape of the output, found without computing it."""
    return jax.eval_shape(layer, lucid.zeros(shape)).data.shape


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2])
def test_shapes(rank, groups):
    space, kernel = SPACE[rank], (3,) * rank
    layer = CONV[rank - 1](4, 6, 3, stride=2, padding=1, groups=groups)
    expected = tuple((n - 1) // 2 + 1 for n in space)
    assert shape_of(layer, 2, 4, *space) == (2, 6, *expected)
    assert shape_of(layer, 4, *space) == (6, *expected)
    assert layer.weight.shape == (6, 4 // groups, *kernel)
    layer = TRANSPOSE[rank - 1](
        4, 6, 3, stride=2, padding=1, output_padding=1, dilation=2, groups=groups
    )
    expected = tuple((n - 1) * 2 - 2 + 4 + 2 for n in space)
    assert shape_of(layer, 2, 4, *space) == (2, 6, *expected)
    assert shape_of(layer, 4, *space) == (6, *expected)
    assert layer.weight.shape == (4, 6 // groups, *kernel)
    assert layer.bias.shape == (6,)
    assert list(layer.state_dict()) == ["weight", "bias"]


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_one_item_is_a_batch_of_one(rank):
    x = Tensor(spaced(2, 4, *SPACE[rank]))
    layer = TRANSPOSE[rank - 1](4, 6, 2, stride=2)
    np.testing.assert_allclose(layer(x[1]).numpy(), layer(x)[1].numpy(), rtol=1e-5, atol=1e-6)


def test_argument_order_is_lucids():
    layer = nn.ConvTranspose2d(4, 6, 3, 3, 1, 2, 2, 2, False)
    assert (layer.stride, layer.padding, layer.output_padding) == ((3, 3), (1, 1), (2, 2))
    assert (layer.dilation, layer.groups, layer.bias) == ((2, 2), 2, None)
    layer = nn.Conv2d(4, 6, (3, 2), 3, 1, 2, 2, False, "circular")
    assert (layer.kernel_size, layer.stride, layer.dilation) == ((3, 2), (3, 3), (2, 2))
    assert (layer.groups, layer.bias, layer.padding_mode) == (2, None, "circular")


@pytest.mark.parametrize("padding", ["same", ((0, 1), (2, 0))])
def test_layers_are_their_functions(padding):
    x = Tensor(spaced(2, 4, 5, 6))
    conv = nn.Conv2d(4, 2, (3, 2), padding=padding, dilation=2, groups=2)
    expected = F.conv2d(x, conv.weight, conv.bias, padding=padding, dilation=2, groups=2)
    np.testing.assert_array_equal(conv(x).numpy(), expected.numpy())
    deconv = nn.ConvTranspose2d(4, 2, (3, 2), 2, padding, groups=2)
    expected = F.conv_transpose2d(x, deconv.weight, deconv.bias, 2, padding, groups=2)
    np.testing.assert_array_equal(deconv(x).numpy(), expected.numpy())


def test_a_layer_is_the_adjoint_of_the_other():
    with jax.enable_x64(True):
        x, y = Tensor(spaced(2, 4, 7, 6)), Tensor(spaced(2, 6, 4, 3))
        conv = nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False)
        deconv = nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=(0, 1), bias=False)
        deconv.weight = conv.weight
        left, right = (conv(x) * y).sum().item(), (x * deconv(y)).sum().item()
        assert left == pytest.approx(right, rel=1e-10, abs=1e-10)


def test_padding_modes():
    x = Tensor(spaced(1, 2, 5, 4))
    for mode, numpy_mode in (("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")):
        layer = nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode=mode)
        padded = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (2, 2)), mode=numpy_mode)
        expected = F.conv2d(Tensor(padded), layer.weight, layer.bias)
        np.testing.assert_allclose(layer(x).numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


def test_output_size():
    layer = nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1)
    x = lucid.randn(1, 3, 4, 4)
    for size in ((8, 7), [8, 7], (1, 2, 8, 7)):
        y = jax.eval_shape(lambda x, size=size: layer(x, output_size=size), x)
        assert y.data.shape == (1, 2, 8, 7)
    text = (
        "conv_transpose2d: output_size (9, 9) cannot be reached from input size (4, 4); allowed "
        "per axis: (7, 7) to (8, 8). Change stride or output_size."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        layer(x, output_size=(9, 9))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_other_dtypes(dtype):
    layer = nn.ConvTranspose2d(2, 3, 3, stride=2).to(dtype)
    x = Tensor(spaced(1, 2, 4, 4), dtype=dtype, requires_grad=True)
    y = layer(x)
    y.backward()
    assert (y.dtype, x.grad.dtype, layer.weight.grad.dtype) == (dtype,) * 3


def test_batch_of_zero():
    layer = nn.ConvTranspose2d(2, 3, 3, stride=2)
    y = layer(lucid.zeros(0, 2, 4, 4))
    assert y.shape == (0, 3, 9, 9)
    y.sum().backward()
    assert (layer.weight.grad == 0).all()


def test_arguments_set_later_count():
    x = Tensor(spaced(2, 4, 6, 5))
    conv = nn.Conv2d(4, 4, 3, padding="same")
    conv.stride, conv.padding, conv.dilation, conv.groups = 2, [1, (0, 2)], (1, 2), 2
    conv.weight = nn.Parameter(spaced(4, 2, 3, 3))
    expected = F.conv2d(x, conv.weight, conv.bias, 2, (1, (0, 2)), (1, 2), 2)
    np.testing.assert_array_equal(conv(x).numpy(), expected.numpy())
    deconv = nn.ConvTranspose2d(4, 2, 3)
    deconv.stride, deconv.output_padding = (2, 3), 1
    expected = F.conv_transpose2d(x, deconv.weight, deconv.bias, (2, 3), 0, 1)
    np.testing.assert_array_equal(deconv(x).numpy(), expected.numpy())
    compiled = lucid.jit(lambda x: conv(x))
    before = compiled(x)
    conv.stride = 1
    assert compiled(x).shape == conv(x).shape != before.shape


def test_arguments_set_later_are_checked_together_at_the_next_call():
    layer, x = (
        nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1),
        lucid.zeros(2, 4, 6, 5),
    )
    layer.stride = 1
    seen = vars(layer).copy()
    text = "ConvTranspose2d: output_padding must be at least 0 and smaller than stride or dilation"
    for _ in range(2):
        with pytest.raises(ValueError, match=f"^{text}"):
            layer(x)
        assert vars(layer) == seen
    layer.output_padding = 0
    assert layer(x).shape == (2, 2, 6, 5)
    layer.padding = "full"
    with pytest.raises(ValueError, match=r"^ConvTranspose2d: padding must be 'valid', 'same' or"):
        layer(x)


def test_a_weight_of_another_kernel_needs_its_kernel_size():
    layer, x = nn.Conv2d(4, 2, 3, padding="same"), lucid.zeros(1, 4, 6, 6)
    layer.weight = nn.Parameter(spaced(2, 4, 5, 5))
    text = (
        "conv2d: a weight of shape (2, 4, 5, 5) has a kernel of (5, 5), but kernel_size is (3, 3). "
        "Set kernel_size, too."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        layer(x)
    layer.kernel_size = 5
    assert layer(x).shape == (1, 2, 6, 6)


@pytest.mark.parametrize(
    "made_from", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))]
)
def test_copies(made_from):
    x = Tensor(spaced(2, 4, 6, 5))
    for layer in (nn.Conv2d(4, 2, 3, 2, ((0, 1), (2, 0))), nn.ConvTranspose2d(4, 2, 3, 2, 1, 1)):
        layer.dilation = 2
        other = made_from(layer)
        assert repr(other) == repr(layer)
        np.testing.assert_array_equal(other(x).numpy(), layer(x).numpy())
        other.stride = 1
        assert layer.stride == (2, 2)
        assert other(x).shape != layer(x).shape


def test_repr():
    assert repr(nn.Conv2d(3, 8, 3)) == "Conv2d(3, 8, kernel_size=(3, 3))"
    assert repr(nn.ConvTranspose1d(4, 2, 3, 2, "same", 1, 2, 2, False)) == (
        "ConvTranspose1d(4, 2, kernel_size=(3,), stride=(2,), padding='same', "
        "output_padding=(1,), dilation=(2,), groups=2, bias=False)"
    )
    assert repr(nn.Conv1d(1, 1, 2, padding=((0, 1),), padding_mode="reflect")) == (
        "Conv1d(1, 1, kernel_size=(2,), padding=((0, 1),), padding_mode='reflect')"
    )


def test_a_layer_met_again_compiles_nothing():
    layer = nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1)

    def step():
        x = Tensor(spaced(2, 3, 4, 4), requires_grad=True)
        layer(x).backward()

    step(), step()
    with count_compiles(expect=0):
        step()
    other = nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1)
    layer.weight, layer.bias = other.weight, other.bias
    with count_compiles(expect=0):
        step()


# --- Refusals ---------------------------------------------------------------------------------

DECONV, CONV2D = nn.ConvTranspose2d, nn.Conv2d

CONSTRUCTION = {
    "groups, in": (
        DECONV, (8, 4, 3), {"groups": 3}, ValueError,
        "ConvTranspose2d: groups must divide the channels, got groups=3 for 8 input channels and "
        "4 output channels.",
    ),
    "groups, out": (
        CONV2D, (4, 6, 3), {"groups": 4}, ValueError,
        "Conv2d: groups must divide the channels, got groups=4 for 4 input channels and 6 output "
        "channels.",
    ),
    "groups zero": (
        DECONV, (4, 4, 3), {"groups": 0}, ValueError,
        "ConvTranspose2d: groups must be at least 1, got 0.",
    ),
    "channels zero": (
        DECONV, (0, 4, 3), {}, ValueError,
        "ConvTranspose2d: in_channels must be at least 1, got 0.",
    ),
    "channels negative": (
        nn.Conv1d, (4, -1, 3), {}, ValueError, "Conv1d: out_channels must be at least 1, got -1.",
    ),
    "channels float": (
        DECONV, (4.0, 4, 3), {}, TypeError,
        "ConvTranspose2d: in_channels must be an integer, got 4.0.",
    ),
    "kernel zero": (
        DECONV, (4, 4, 0), {}, ValueError,
        "ConvTranspose2d: kernel_size must be at least 1, got (0, 0).",
    ),
    "kernel negative": (
        CONV2D, (4, 4, (3, -1)), {}, ValueError,
        "Conv2d: kernel_size must be at least 1, got (3, -1).",
    ),
    "kernel of the wrong length": (
        nn.ConvTranspose3d, (4, 4, (3, 3)), {}, ValueError,
        "ConvTranspose3d: kernel_size must be an integer or a tuple of 3 integers, got 2: (3, 3).",
    ),
    "kernel no integer": (
        CONV2D, (4, 4, 3.0), {}, TypeError,
        "Conv2d: kernel_size must be an integer or a tuple of 2 integers, got 3.0.",
    ),
    "stride zero": (
        DECONV, (4, 4, 3), {"stride": 0}, ValueError,
        "ConvTranspose2d: stride must be at least 1, got (0, 0).",
    ),
    "stride no integer": (
        DECONV, (4, 4, 3), {"stride": (1, 2.5)}, TypeError,
        "ConvTranspose2d: stride must be an integer or a tuple of 2 integers, got (1, 2.5).",
    ),
    "dilation negative": (
        DECONV, (4, 4, 3), {"dilation": -1}, ValueError,
        "ConvTranspose2d: dilation must be at least 1, got (-1, -1).",
    ),
    "padding negative": (
        CONV2D, (4, 4, 3), {"padding": -1}, ValueError,
        "Conv2d: padding must not be negative, got -1.",
    ),
    "padding word": (
        DECONV, (4, 4, 3), {"padding": "full"}, ValueError,
        "ConvTranspose2d: padding must be 'valid', 'same' or sizes, got 'full'.",
    ),
    "same with stride": (
        CONV2D, (4, 4, 3), {"padding": "same", "stride": 2}, ValueError,
        "Conv2d: padding='same' keeps the input's size, which needs stride 1, got stride=(2, 2). "
        "Give the padding in numbers.",
    ),
    "output_padding": (
        DECONV, (4, 4, 3), {"output_padding": 1}, ValueError,
        "ConvTranspose2d: output_padding must be at least 0 and smaller than stride or dilation "
        "on each axis, got output_padding=(1, 1), stride=(1, 1), dilation=(1, 1).",
    ),
    "output_padding negative": (
        DECONV, (4, 4, 3), {"output_padding": (0, -1), "stride": 2}, ValueError,
        "ConvTranspose2d: output_padding must be at least 0 and smaller than stride or dilation "
        "on each axis, got output_padding=(0, -1), stride=(2, 2), dilation=(1, 1).",
    ),
    "padding mode": (
        CONV2D, (4, 4, 3), {"padding_mode": "mirror"}, ValueError,
        "Conv2d: padding_mode must be 'zeros', 'reflect', 'replicate' or 'circular', "
        "got 'mirror'.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CONSTRUCTION.values(), ids=CONSTRUCTION)
def test_refused_at_construction(case):
    layer, arguments, options, error, text = case
    with pytest.raises(error, match=f"^{re.escape(text)}$"):
        layer(*arguments, **options)


CALL = {
    "rank": (
        lambda: DECONV(4, 2, 3), lambda: lucid.zeros(4, 5), ValueError,
        "conv_transpose2d: input must have 4 axes (N, C, *spatial) or 3 axes (C, *spatial), got "
        "shape (4, 5).",
    ),
    "channels": (
        lambda: DECONV(4, 2, 3), lambda: lucid.zeros(1, 3, 5, 5), ValueError,
        "conv_transpose2d: a weight of shape (4, 2, 3, 3) takes 4 input channels "
        "(weight.shape[0]), but the input has 3.",
    ),
    "channels with groups": (
        lambda: CONV2D(4, 2, 3, groups=2), lambda: lucid.zeros(1, 6, 5, 5), ValueError,
        "conv2d: a weight of shape (2, 2, 3, 3) with groups=2 takes 4 input channels "
        "(weight.shape[1] * groups), but the input has 6.",
    ),
    "empty": (
        lambda: DECONV(4, 2, 3), lambda: lucid.zeros(1, 4, 0, 5), ValueError,
        "conv_transpose2d: input must not be empty along a spatial axis, got shape "
        "(1, 4, 0, 5).",
    ),
    "output of conv": (
        lambda: CONV2D(4, 2, 5), lambda: lucid.zeros(1, 4, 3, 3), ValueError,
        "conv2d: output would have size (-1, -1) from input size (3, 3) with kernel_size=(5, 5), "
        "stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1). Give a larger input or other "
        "sizes.",
    ),
    "output of conv_transpose": (
        lambda: DECONV(4, 2, 2, padding=1), lambda: lucid.zeros(1, 4, 1, 3), ValueError,
        "conv_transpose2d: output would have size (0, 2) from input size (1, 3) with "
        "kernel_size=(2, 2), stride=(1, 1), padding=((1, 1), (1, 1)), dilation=(1, 1). Give a "
        "larger input or other sizes.",
    ),
    "dtype": (
        lambda: DECONV(4, 2, 3), lambda: lucid.zeros(1, 4, 5, 5, dtype="float16"), TypeError,
        "conv_transpose2d: input, weight and bias must have one dtype, got float16, float32, "
        "float32. Convert them with astype, or compute under lucid.autocast.",
    ),
    "integers": (
        lambda: CONV2D(4, 2, 3), lambda: lucid.zeros(1, 4, 5, 5, dtype=int), TypeError,
        "conv2d: input, weight and bias must have one dtype, got int32, float32, float32. "
        "Convert them with astype.",
    ),
    "reflect": (
        lambda: CONV2D(4, 2, 3, padding=3, padding_mode="reflect"),
        lambda: lucid.zeros(1, 4, 3, 5), ValueError,
        "conv2d: padding_mode='reflect' needs a padding smaller than the input on each axis, got "
        "padding=((3, 3), (3, 3)) for input size (3, 5).",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CALL.values(), ids=CALL)
def test_refused_at_call_and_nothing_changes(case):
    make, make_input, error, text = case
    layer, x = make(), make_input()
    before = {name: value.data for name, value in layer.state_dict().items()}
    seen = vars(layer).copy()
    with pytest.raises(error, match=f"^{re.escape(text)}"):
        layer(x)
    assert vars(layer) == seen
    assert all(value.data is before[name] for name, value in layer.state_dict().items())
    assert all(p.grad is None for p in layer.parameters())
    assert len(shape_of(layer, 1, layer.in_channels, 6, 6)) == 4
