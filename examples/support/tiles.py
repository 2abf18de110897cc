"""Pictures of many small images. None needs pyplot, so scripts and notebooks share them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imsave

GAP = 2  # pixels between the images of a grid


def tile(images: np.ndarray, columns: int) -> np.ndarray:
    """Images (N, 1, H, W), white at 1, as one picture, row by row, with white gaps."""
    n, _, height, width = images.shape
    rows = -(-n // columns)
    picture = np.ones((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP), np.float32)
    for i, image in enumerate(images[:, 0]):
        top, left = i // columns * (height + GAP), i % columns * (width + GAP)
        picture[top : top + height, left : left + width] = image
    return picture


def save_tiles(path: Path, images: np.ndarray, columns: int) -> None:
    """Write a grid of images as a PNG, each pixel twice as large."""
    imsave(path, tile(images, columns).repeat(2, 0).repeat(2, 1), cmap="gray", vmin=-1, vmax=1)


def show_tiles(images: np.ndarray, columns: int) -> Figure:
    """A grid of images."""
    return show_rows({"": images}, columns)


def show_rows(groups: Mapping[str, np.ndarray], columns: int, black: float = -1) -> Figure:
    """Grids of images one below the other, each with its title at the left."""
    pictures = {title: tile(images, columns) for title, images in groups.items()}
    heights = [picture.shape[0] for picture in pictures.values()]
    width = 7.5
    scale = width / next(iter(pictures.values())).shape[1]
    figure = Figure(figsize=(width + 1, scale * sum(heights) + 0.15 * len(heights)), dpi=100)
    figure.set_layout_engine("constrained")
    axes = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
        axis.imshow(picture, cmap="gray", vmin=black, vmax=1)
        axis.set(xticks=[], yticks=[], frame_on=False)
        axis.set_ylabel(title, rotation=0, ha="right", va="center")
    return figure
