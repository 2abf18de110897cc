"""Convolution, transposed convolution and patches: pure functions on jax arrays.

Read `geometry` (sizes and the trilinear form), then `maps` (the three primitives), `definition`
(what they mean), `lowerings` (how a platform computes them) and `tuning` (what was measured).
"""

from lucid.ops.conv.functional import (
    PaddingMode,
    check_padding_mode,
    conv,
    conv_transpose,
    convolve,
    convolve_transpose,
    force_lowering,
)
from lucid.ops.conv.geometry import Padding, Window, check_channels, check_window
from lucid.ops.conv.patches import fold, unfold

__all__ = [
    "Padding",
    "PaddingMode",
    "Window",
    "check_channels",
    "check_padding_mode",
    "check_window",
    "conv",
    "conv_transpose",
    "convolve",
    "convolve_transpose",
    "fold",
    "force_lowering",
    "unfold",
]
