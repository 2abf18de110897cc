"""The pictures of the GAN example. None needs pyplot, so scripts and notebooks share them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

import lucid
import lucid.nn.functional as F


def show_curves(history: Sequence[Sequence[float]]) -> Figure:
    """Losses, and what D makes of real and generated images, over the steps."""
    d_loss, g_loss, d_real, d_fake = np.array(history).T
    figure = Figure(figsize=(8.5, 2.8), dpi=80)
    figure.set_layout_engine("constrained")
    left, right = figure.subplots(1, 2)
    for axis, lines in (
        (left, {"D's loss": d_loss, "G's loss": g_loss}),
        (right, {"D(x), real": d_real, "D(G(z)), generated": d_fake}),
    ):
        for i, (label, values) in enumerate(lines.items()):
            smooth = _smooth(values)
            axis.plot(values, color=f"C{i}", alpha=0.25, linewidth=0.5)
            axis.plot(np.arange(len(smooth)), smooth, color=f"C{i}", label=label)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
        axis.legend()
    right.set_ylim(0, 1)
    return figure


def show_overlap(size: int = 5) -> Figure:
    """How many products each output pixel of a transposed convolution is the sum of."""
    figure = Figure(figsize=(7.5, 3.8), dpi=80)
    figure.set_layout_engine("constrained")
    axes = figure.subplots(1, 2)
    ones = lucid.ones(1, 1, size, size)
    for axis, kernel in zip(axes, (3, 4), strict=True):
        weight = lucid.ones(1, 1, kernel, kernel)
        counts = F.conv_transpose2d(ones, weight, stride=2, padding=1).numpy()[0, 0]
        axis.imshow(counts, cmap="viridis", vmin=0, vmax=4)
        for (i, j), count in np.ndenumerate(counts):
            color = "black" if count > 2 else "white"
            axis.text(j, i, f"{count:.0f}", ha="center", va="center", color=color, fontsize=8)
        axis.set(xticks=[], yticks=[], title=f"kernel {kernel}, stride 2, padding 1")
    return figure


def _smooth(values: np.ndarray, width: int = 25) -> np.ndarray:
    """The mean over the last `width` values, or fewer at the start."""
    total = np.cumsum(np.concatenate([np.zeros(1), values]))
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - width, 0)
    return (total[end] - total[start]) / (end - start)
