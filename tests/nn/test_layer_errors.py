"""What layers and losses refuse, and in which words."""

from __future__ import annotations

import re

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F


def zeros(*shape):
    return lucid.zeros(shape)


LINE, IMAGE = zeros(2, 3, 6), zeros(2, 3, 6, 5)
INTS = Tensor(np.zeros(2, np.int32))

ERRORS = [
    # Normalisation
    (lambda: nn.BatchNorm1d(0), "BatchNorm1d: num_features must be at least 1, got 0"),
    (lambda: nn.BatchNorm2d(3)(LINE), "an input with 4 axes is needed, got shape (2, 3, 6)"),
    (lambda: nn.BatchNorm1d(3)(IMAGE), "BatchNorm1d: an input with 2 or 3 axes is needed"),
    (lambda: nn.BatchNorm1d(4)(LINE), "batch_norm: running_mean must have shape (3,), got (4,)"),
    (
        lambda: nn.BatchNorm1d(3)(zeros(1, 3)),
        "batch_norm: training needs more than one value per channel, got input shape (1, 3)",
    ),
    (lambda: F.batch_norm(LINE, zeros(3)), "running_mean and running_var must be given together"),
    (lambda: F.batch_norm(LINE, weight=zeros(2)), "weight must have shape (3,), got (2,)"),
    (lambda: F.batch_norm(zeros(3)), "the input must have 2 axes or more, got shape (3,)"),
    (
        lambda: nn.InstanceNorm1d(3)(zeros(2, 3, 1)),
        "more than one value per channel and sample is needed, got input shape (2, 3, 1)",
    ),
    (lambda: nn.InstanceNorm2d(3)(zeros(2, 3)), "an input with 3 or 4 axes is needed"),
    (lambda: nn.LayerNorm(()), "normalized_shape must hold one size or more, got ()"),
    (
        lambda: nn.LayerNorm(5)(LINE),
        "the last axes of the input must be normalized_shape=(5,), got input shape (2, 3, 6)",
    ),
    (lambda: nn.RMSNorm(()), "RMSNorm: normalized_shape must hold one size or more, got ()"),
    (
        lambda: nn.RMSNorm(5)(LINE),
        "rms_norm: the last axes of the input must be normalized_shape=(5,), got input shape "
        "(2, 3, 6)",
    ),
    (lambda: F.rms_norm(LINE, 6, zeros(3)), "rms_norm: weight must have shape (6,), got (3,)"),
    (lambda: nn.GroupNorm(2, 3), "num_groups must divide num_channels, got 2 and 3"),
    (lambda: nn.GroupNorm(2, 4)(LINE), "an input of 4 channels is needed, got shape (2, 3, 6)"),
    (
        lambda: F.group_norm(LINE, 2),
        "num_groups must divide the channels, got num_groups=2 for input shape (2, 3, 6)",
    ),
    (lambda: F.normalize(LINE, 0), "normalize: ord must be positive, got 0"),
    # Activations
    (lambda: nn.Hardtanh(1.0, 1.0)(LINE), "min_val must be below max_val, got 1.0 and 1.0"),
    (lambda: nn.GELU("erf")(LINE), "gelu: approximate must be \"none\" or \"tanh\", got 'erf'"),
    (lambda: nn.Softplus(beta=0)(LINE), "softplus: beta must not be 0"),
    (
        lambda: nn.PReLU(2)(LINE),
        "prelu: weight must hold 1 value or one per channel, 3, got shape (2,)",
    ),
    # Dropout
    (lambda: nn.Dropout(1.5), "Dropout: p must be from 0 to 1, got 1.5"),
    (lambda: nn.DropPath(-1), "DropPath: drop_prob must be from 0 to 1, got -1"),
    (lambda: F.dropout(LINE, 2), "dropout: p must be from 0 to 1, got 2"),
    (
        lambda: nn.Dropout2d()(zeros(2, 3)),
        "dropout2d: an input of 4 axes (N, C, *spatial) or 3 axes (C, *spatial) is needed, got "
        "shape (2, 3)",
    ),
    (lambda: nn.DropBlock(7)(IMAGE), "squares of side 7 need an input (N, C, H, W) of at least"),
    # Pools
    (
        lambda: nn.MaxPool1d(2, padding=2),
        "MaxPool1d: padding must be from 0 to half of the kernel on each axis, got padding=(2,) "
        "for kernel_size=(2,)",
    ),
    (lambda: nn.AvgPool2d(7)(IMAGE), "of shape (2, 3, 6, 5) is too small for kernel_size=(7, 7)"),
    (lambda: nn.AvgPool2d(0), "AvgPool2d: kernel_size must be at least 1 on each axis, got (0, 0)"),
    (lambda: nn.MaxPool2d((2, 2, 2)), "MaxPool2d: kernel_size must be an integer or a tuple of 2"),
    (lambda: nn.MaxPool2d(2)(zeros(2, 3)), "max_pool2d: input must have 4 axes (N, C, *spatial)"),
    (
        lambda: F.max_pool1d(LINE, 2, padding=2),
        "max_pool1d: padding must be from 0 to half of the kernel on each axis, got padding=(2,) "
        "for kernel_size=(2,)",
    ),
    (
        lambda: nn.AdaptiveAvgPool2d((0, None)),
        "AdaptiveAvgPool2d: output_size must be at least 1 on each axis, got (0, None)",
    ),
    (
        lambda: F.adaptive_avg_pool1d(LINE, 0),
        "adaptive_avg_pool1d: output_size and the input's size must be at least 1 on each axis, "
        "got (0,) for input shape",
    ),
    # Resizing
    (lambda: nn.Upsample()(LINE), "one of size and scale_factor is needed, got size=None and"),
    (lambda: nn.Upsample(2, 2)(LINE), "one of size and scale_factor is needed, got size=2 and"),
    (lambda: nn.Upsample(2, mode="cubic")(LINE), "mode must be one of nearest, linear, bilinear"),
    (
        lambda: nn.Upsample(2, mode="bilinear")(LINE),
        'mode "bilinear" needs an input of 4 axes (N, C, *spatial), got shape (2, 3, 6)',
    ),
    (lambda: nn.Upsample(2, align_corners=True)(LINE), "align_corners has no meaning for mode"),
    (lambda: nn.Upsample(scale_factor=0.1)(LINE), "the new size must be at least 1 on each axis"),
    (lambda: nn.Upsample(scale_factor=-1.0)(LINE), "scale_factor must be positive"),
    (
        lambda: nn.PixelShuffle(2)(IMAGE),
        "the channels must be divisible by upscale_factor ** 2 = 4, got input shape (2, 3, 6, 5)",
    ),
    (
        lambda: nn.PixelUnshuffle(2)(IMAGE),
        "height and width must be divisible by downscale_factor=2, got input shape (2, 3, 6, 5)",
    ),
    (lambda: nn.Unflatten(1, (2, 2))(LINE), "axis 1 of shape (2, 3, 6) cannot be split into"),
    (lambda: nn.Unflatten(3, (2, 2))(LINE), "shape (2, 3, 6) has no axis 3"),
    # Embedding
    (lambda: nn.Embedding(3, 2, padding_idx=3), "padding_idx must be from -3 to 2, got 3"),
    (lambda: nn.Embedding(3, 2, _weight=LINE), "_weight must have shape (3, 2), got (2, 3, 6)"),
    (lambda: nn.Embedding(3, 2)(LINE), "embedding: integers are needed, got dtype float32"),
    (lambda: F.one_hot(LINE, 3), "one_hot: integers are needed, got dtype float32"),
    # Losses
    (
        lambda: nn.MSELoss()(LINE, zeros(2, 3)),
        "mse_loss: input and target must have one shape, got (2, 3, 6) and (2, 3)",
    ),
    (lambda: nn.L1Loss("avg")(LINE, LINE), "or None, got 'avg'"),
    (lambda: nn.SmoothL1Loss(beta=-1)(LINE, LINE), "beta must not be negative, got -1"),
    (lambda: nn.HuberLoss(delta=0)(LINE, LINE), "delta must be positive, got 0"),
    (
        lambda: nn.BCELoss(zeros(2, 2, 3, 6))(LINE, LINE),
        "weight must broadcast to the input's shape (2, 3, 6), got (2, 2, 3, 6)",
    ),
    (
        lambda: nn.BCEWithLogitsLoss(pos_weight=zeros(5))(LINE, LINE),
        "pos_weight must broadcast to the input's shape (2, 3, 6), got (5,)",
    ),
    (
        lambda: nn.CrossEntropyLoss()(LINE, INTS),
        "for an input of shape (2, 3, 6) the target must have shape (2, 6), got (2,)",
    ),
    (
        lambda: nn.CrossEntropyLoss()(LINE, zeros(2)),
        "a target of probabilities must have the input's shape (2, 3, 6), got (2,)",
    ),
    (lambda: nn.CrossEntropyLoss(label_smoothing=2)(LINE, LINE), "must be from 0 to 1, got 2"),
    (
        lambda: nn.NLLLoss(zeros(2))(zeros(2, 3), INTS),
        "weight must have one value per class, shape (3,), got (2,)",
    ),
    (lambda: nn.NLLLoss()(zeros(2, 3), zeros(2)), "must hold class numbers, got dtype float32"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), ERRORS, ids=[m[:50] for _, m in ERRORS])
def test_the_message_says_what_is_wrong(call, message):
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        call()
