"""Padding: values, gradients, second derivatives, errors."""

from __future__ import annotations

import re

import jax
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F
from lucid.ops import padding
from tests.helpers import check_op, public_functions, spaced

NUMPY = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
WIDTHS = [
    ((), (2, 3)),
    ((1, 2), (3,)),
    ((1, 2), (2, 3)),
    ((2, 0, 1, 1), (2, 3)),
    ((0, 2, 1, 0, 1, 1), (1, 2, 2, 3)),
    ((-1, 2), (2, 4)),
    ((1, -2, -1, 1), (3, 4)),
    ((-1, -2), (2, 3)),
    ((1, 1), (0, 3)),
]


def definition(x, widths, mode, value=0.0):
    """The axis from the end, one after the other: what is cut off, then what is added."""
    for k in range(len(widths) // 2):
        low, high = widths[2 * k : 2 * k + 2]
        axis = x.ndim - 1 - k
        kept = range(max(-low, 0), x.shape[axis] - max(-high, 0))
        x = np.take(x, kept, axis)
        pairs = [(0, 0)] * x.ndim
        pairs[axis] = (max(low, 0), max(high, 0))
        named = {"constant_values": value} if mode == "constant" else {}
        x = np.pad(x, pairs, NUMPY[mode], **named)
    return x


@pytest.mark.parametrize("mode", NUMPY)
@pytest.mark.parametrize(("widths", "shape"), WIDTHS)
def test_pad(widths, shape, mode):
    if widths[1:2] == (2,) and mode == "reflect" and shape[-1] < 3:
        return
    check_op(
        lambda x: F.pad(x, widths, mode), lambda x: definition(x, widths, mode), spaced(*shape)
    )


def test_a_value_has_a_gradient():
    check_op(
        lambda x, value: F.pad(x, [1, -1, 0, 2], value=value),
        lambda x, value: definition(x, [1, -1, 0, 2], "constant", value),
        spaced(2, 3),
        np.array(0.7),
    )


@pytest.mark.parametrize("dtype", ["int32", "bool", "bfloat16"])
@pytest.mark.parametrize("mode", NUMPY)
def test_dtypes_are_kept(mode, dtype):
    x = Tensor(np.array([3, 0, 1]), dtype=dtype)
    y = F.pad(x, (1, 2), mode)
    assert y.dtype == dtype
    np.testing.assert_array_equal(
        y.numpy().astype(float), definition(x.numpy().astype(float), (1, 2), mode)
    )


def test_pure_functions_and_jit():
    x = spaced(2, 3).astype(np.float32)
    expected = definition(x, (1, 1), "reflect")
    np.testing.assert_array_equal(jax.jit(lambda a: F.pad.pure(a, (1, 1), "reflect"))(x), expected)
    np.testing.assert_array_equal(
        lucid.jit(lambda a: F.pad(a, (1, 1), "reflect"))(Tensor(x)).numpy(), expected
    )


ERRORS = {
    "mode": (
        ((1, 1), "mirror"), ValueError,
        "pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got 'mirror'.",
    ),
    "value": (
        ((1, 1), "reflect", 2.0), ValueError,
        "pad: mode='reflect' takes its values from the input; leave value out.",
    ),
    "odd": (
        ((1, 1, 1),), ValueError,
        "pad: pad must have two numbers for each of the last axes, got 3 numbers for shape (2, 3).",
    ),
    "too many": (
        ((1,) * 6,), ValueError,
        "pad: pad must have two numbers for each of the last axes, got 6 numbers for shape (2, 3).",
    ),
    "an integer": ((1,), TypeError, "pad: pad must be a sequence of integers, got 1."),
    "a fraction": (
        ((1, 0.5),), TypeError, "pad: pad must be a sequence of integers, got (1, 0.5)."
    ),
    "cut off": (
        ((-2, -2),), ValueError, "pad: (-2, -2) cuts off more than axis 1 of (2, 3) has."
    ),
    "reflect": (
        ((3, 0), "reflect"), ValueError,
        "pad: mode='reflect' needs a padding smaller than the input on each axis, got "
        "padding=((3, 0),) for input size (3,).",
    ),
    "circular": (
        ((0, 4, 0, 1), "circular"), ValueError,
        "pad: mode='circular' needs a padding at most the input on each axis, got "
        "padding=((0, 1), (0, 4)) for input size (2, 3).",
    ),
    "replicate": (
        ((-3, 1), "replicate"), ValueError,
        "pad: mode='replicate' needs a padding at most the input on each axis, got "
        "padding=((0, 1),) for input size (0,).",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS.values(), ids=ERRORS)
def test_errors(case):
    arguments, error, text = case
    with pytest.raises(error, match=f"^{re.escape(text)}"):
        F.pad(lucid.zeros(2, 3), *arguments)


def test_layers_are_the_function():
    x = lucid.randn(2, 3, 4, 5, 3)
    for kind, mode in (
        ("Zero", "constant"), ("Reflection", "reflect"), ("Replication", "replicate"),
        ("Circular", "circular"),
    ):  # fmt: skip
        for rank in (1, 2, 3):
            widths = (1, 0, 2, 1, 0, 1)[: 2 * rank]
            layer = getattr(nn, f"{kind}Pad{rank}d")(widths)
            assert bool((layer(x) == F.pad(x, widths, mode)).all())
    layer = nn.ConstantPad2d(1, 0.5)
    assert bool((layer(x) == F.pad(x, (1, 1, 1, 1), value=0.5)).all())
    assert repr(layer) == "ConstantPad2d(padding=(1, 1, 1, 1), value=0.5)"
    text = "ReflectionPad2d: padding must be an integer or a tuple of 4 integers, got 2: (1, 1)."
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        nn.ReflectionPad2d((1, 1))


def test_every_function_is_tested():
    assert public_functions(padding) == {"extended", "pad"}
