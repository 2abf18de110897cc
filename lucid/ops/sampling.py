"""Reading images at positions between their pixels.

Positions are normalised: -1 and 1 are the ends of an axis, the centres of the outer pixels with
`align_corners` and their outer edges without it. The last axis of a grid is (x, y), so x counts
columns. Jaderberg et al., "Spatial transformer networks", arXiv:1506.02025.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import jax
import jax.numpy as jnp

from lucid._core.declaration import op
from lucid._core.typing import Array, Operand
from lucid.ops.precision import in_float32

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

__all__ = ["affine_grid", "grid_sample", "rotate"]

Mode = Literal["bilinear", "nearest"]
PaddingMode = Literal["zeros", "border", "reflection"]


@op
@in_float32
def affine_grid(theta: Operand, size: tuple[int, ...], align_corners: bool = True) -> Tensor:
    """The positions that an affine map sends the pixels of an image of `size` to.

    Shape: theta (N, 2, 3) -> (N, H, W, 2)

    Args:
        theta: for each sample the matrix that takes (x, y, 1) of the output to (x, y) of the input.
        size: shape (N, C, H, W) of the output.
        align_corners: whether -1 and 1 are the centres of the outer pixels, or their outer edges.

    Raises:
        ValueError: the shapes do not fit.

    >>> F.affine_grid(Tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]), (1, 1, 1, 2))
    Tensor([[[[-1.,  0.],
              [ 1.,  0.]]]])
    """
    shape = jnp.shape(theta)
    if len(size) != 4 or shape != (size[0], 2, 3):
        raise ValueError(
            "affine_grid: theta must have shape (N, 2, 3) for a size (N, C, H, W), got "
            f"{shape} for size {tuple(size)}."
        )
    ys, xs = (_positions(n, align_corners) for n in size[2:])
    x, y = jnp.broadcast_arrays(xs[None, :], ys[:, None])
    places = jnp.stack([x, y, jnp.ones_like(x)], -1)
    return jnp.einsum("hwk,njk->nhwj", places, theta, precision=jax.lax.Precision.HIGHEST)


@op
@in_float32
def grid_sample(
    input_: Operand,
    grid: Operand,
    mode: Mode = "bilinear",
    padding_mode: PaddingMode = "zeros",
    align_corners: bool = True,
) -> Tensor:
    """The values of images at the positions of a grid.

    Shape: input_ (N, C, H, W), grid (N, H', W', 2) -> (N, C, H', W')

    Args:
        input_: the images.
        grid: normalised positions (x, y); those outside -1 to 1 lie outside the image.
        mode: "bilinear" weighs the four pixels around a position, "nearest" takes the nearest.
        padding_mode: what lies outside: "zeros", the pixels of the "border", or the image mirrored
            at its ends ("reflection").
        align_corners: whether -1 and 1 are the centres of the outer pixels, or their outer edges.

    Raises:
        ValueError: the shapes do not fit, or a mode is unknown.

    >>> image = Tensor([[[[1.0, 3.0]]]])
    >>> F.grid_sample(image, Tensor([[[[0.0, 0.0], [1.0, 0.0]]]]))
    Tensor([[[[2., 3.]]]])
    """
    images, places = jnp.asarray(input_), jnp.asarray(grid)
    _check(images.shape, places.shape, mode, padding_mode)
    height, width = images.shape[2:]
    x = _pixels(places[..., 0], width, padding_mode, align_corners)
    y = _pixels(places[..., 1], height, padding_mode, align_corners)
    if mode == "nearest":
        return _read(images, jnp.round(y), jnp.round(x))
    left, top = jnp.floor(x), jnp.floor(y)
    right_share, bottom_share = x - left, y - top
    total = jnp.zeros((), images.dtype)
    for row, of_row in ((top, 1 - bottom_share), (top + 1, bottom_share)):
        for column, of_column in ((left, 1 - right_share), (left + 1, right_share)):
            total = total + _read(images, row, column) * (of_row * of_column)[:, None]
    return total


@op
@in_float32
def rotate(input_: Operand, angle: float, center: tuple[float, float] | None = None) -> Tensor:
    """Images turned counterclockwise; each pixel of the result takes the nearest one, or 0.

    Shape: (N, C, H, W), unchanged

    Args:
        input_: the images.
        angle: in degrees.
        center: the point (x, y), in pixels, that stays; the centre of the image by default.

    Raises:
        ValueError: the input does not have 4 axes.

    >>> F.rotate(Tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), 90)
    Tensor([[[[2., 4.],
              [1., 3.]]]])
    """
    images = jnp.asarray(input_)
    if images.ndim != 4:
        raise ValueError(f"rotate: an input (N, C, H, W) is needed, got shape {images.shape}.")
    height, width = images.shape[2:]
    middle_x, middle_y = ((width - 1) / 2, (height - 1) / 2) if center is None else center
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    x, y = jnp.arange(width) - middle_x, (jnp.arange(height) - middle_y)[:, None]
    # Where a pixel of the result came from: turned back. Rows count downwards.
    from_x, from_y = cos * x - sin * y + middle_x, sin * x + cos * y + middle_y
    rows, columns = (
        jnp.broadcast_to(jnp.round(v), (images.shape[0], height, width)) for v in (from_y, from_x)
    )
    return _read(images, rows, columns)


def _check(images: tuple[int, ...], grid: tuple[int, ...], mode: str, padding_mode: str) -> None:
    if len(images) != 4 or len(grid) != 4 or grid[3] != 2 or grid[0] != images[0]:
        raise ValueError(
            "grid_sample: an input (N, C, H, W) and a grid (N, H', W', 2) are needed, got "
            f"{images} and {grid}."
        )
    for name, value, known in (
        ("mode", mode, ("bilinear", "nearest")),
        ("padding_mode", padding_mode, ("zeros", "border", "reflection")),
    ):
        if value not in known:
            raise ValueError(f"grid_sample: {name} must be one of {known}, got {value!r}.")


def _positions(n: int, align_corners: bool) -> Array:
    """The normalised positions of the pixels of an axis."""
    centres = jnp.arange(n) - (n - 1) / 2
    return centres * (2 / (max(n - 1, 1) if align_corners else n))


def _pixels(places: Array, n: int, padding_mode: str, align_corners: bool) -> Array:
    """Normalised positions along an axis of `n` pixels as numbers of pixels."""
    pixels = (places + 1) * ((n - 1) / 2) if align_corners else ((places + 1) * n - 1) / 2
    if padding_mode == "reflection":
        low, span = (0.0, n - 1.0) if align_corners else (-0.5, float(n))
        # Back and forth between the ends: a triangle wave.
        pixels = (
            span - jnp.abs(jnp.mod(pixels - low, 2 * span) - span) + low if span else pixels * 0
        )
    if padding_mode == "zeros":
        return pixels
    # No gradient at the outermost pixels, where there is nothing to move to on one side.
    inside = (pixels > 0) & (pixels < n - 1)
    return jnp.where(inside, pixels, jax.lax.stop_gradient(jnp.clip(pixels, 0, n - 1)))


def _read(images: Array, rows: Array, columns: Array) -> Array:
    """The pixels at whole numbers of rows and columns (N, H', W'); 0 for those outside."""
    height, width = images.shape[2:]
    inside = (rows >= 0) & (rows <= height - 1) & (columns >= 0) & (columns <= width - 1)
    at_row = jnp.where(inside, rows, 0).astype(jnp.int32)
    at_column = jnp.where(inside, columns, 0).astype(jnp.int32)
    found = jax.vmap(lambda image, r, c: image[:, r, c])(images, at_row, at_column)
    return jnp.where(inside[:, None], found, 0)
