"""Sampling of images against loops in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import lucid.nn.functional as F
from lucid import Tensor
from tests.helpers import check_op, spaced

IMAGES = spaced(2, 3, 4, 5)


def positions(shape, n):
    """Random positions along an axis of `n` pixels, away from where the sampling has kinks."""
    drawn = np.random.default_rng(n).uniform(-1.7, 1.7, 1000)
    pixels = np.stack([(drawn + 1) * (n - 1) / 2, ((drawn + 1) * n - 1) / 2])
    far = np.abs(2 * pixels - np.round(2 * pixels)) > 0.1
    return drawn[far.all(0)][: np.prod(shape)].reshape(shape)


def mirrored(pixel, n, corners):
    """A position reflected at the ends of an axis, one bounce after the other."""
    low, high = (0.0, n - 1.0) if corners else (-0.5, n - 0.5)
    while not low <= pixel <= high:
        pixel = 2 * low - pixel if pixel < low else 2 * high - pixel
    return pixel


def at(image, row, column):
    height, width = image.shape[1:]
    inside = 0 <= row < height and 0 <= column < width
    return image[:, int(row), int(column)] if inside else np.zeros(len(image))


def sampled(images, grid, mode, padding, corners):
    out = np.zeros((*images.shape[:2], *grid.shape[1:3]))
    sizes = images.shape[2:][::-1]
    for n, h, w in np.ndindex(grid.shape[:3]):
        place = []
        for value, size in zip(grid[n, h, w], sizes, strict=True):
            pixel = (value + 1) * (size - 1) / 2 if corners else ((value + 1) * size - 1) / 2
            if padding == "reflection":
                pixel = mirrored(pixel, size, corners)
            place.append(pixel if padding == "zeros" else np.clip(pixel, 0, size - 1))
        x, y = place
        if mode == "nearest":
            out[n, :, h, w] = at(images[n], np.round(y), np.round(x))
            continue
        for row in (np.floor(y), np.floor(y) + 1):
            for column in (np.floor(x), np.floor(x) + 1):
                share = (1 - abs(y - row)) * (1 - abs(x - column))
                out[n, :, h, w] += share * at(images[n], row, column)
    return out


@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_grid_sample(mode, padding, corners):
    grid = np.stack([positions((2, 3, 3), size) for size in (5, 4)], -1)
    if mode == "nearest":  # the positions have no gradient
        found = F.grid_sample(Tensor(IMAGES), Tensor(grid), mode, padding, corners)
        expected = sampled(IMAGES, grid, mode, padding, corners)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)
        return
    check_op(
        lambda x, g: F.grid_sample(x, g, mode, padding, corners),
        lambda x, g: sampled(x, g, mode, padding, corners),
        IMAGES,
        grid,
    )


@pytest.mark.parametrize("corners", [True, False])
def test_affine_grid_of_the_identity_reads_the_image_itself(corners):
    theta = np.broadcast_to(np.eye(2, 3), (2, 2, 3))
    grid = F.affine_grid(Tensor(theta), IMAGES.shape, corners)
    same = F.grid_sample(Tensor(IMAGES), grid, align_corners=corners)
    np.testing.assert_allclose(same.numpy(), IMAGES, rtol=1e-5, atol=1e-6)


def test_affine_grid_maps_positions():
    theta = spaced(2, 2, 3)
    ys, xs = np.linspace(-1, 1, 3), np.linspace(-1, 1, 4)

    def expected(theta):
        places = np.array([[[x, y, 1.0] for x in xs] for y in ys])
        return np.einsum("hwk,njk->nhwj", places, theta)

    check_op(lambda t: F.affine_grid(t, (2, 1, 3, 4)), expected, theta)


@pytest.mark.parametrize("quarters", [-1, 0, 1, 2, 3])
def test_quarter_turns_are_those_of_numpy(quarters):
    square = spaced(2, 3, 4, 4)
    expected = np.rot90(square, quarters, (2, 3))
    found = F.rotate(Tensor(square), 90.0 * quarters)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_a_turn_about_a_corner_keeps_it():
    image = spaced(1, 1, 4, 4)
    turned = F.rotate(Tensor(image), 90, center=(0.0, 0.0)).numpy()
    assert turned[0, 0, 0, 0] == np.float32(image[0, 0, 0, 0])
    assert not turned[0, 0, 1:].any()


def test_errors_name_the_rule():
    with pytest.raises(ValueError) as caught:
        F.grid_sample(Tensor(IMAGES), Tensor(np.zeros((1, 2, 2, 2))))
    assert str(caught.value) == (
        "grid_sample: an input (N, C, H, W) and a grid (N, H', W', 2) are needed, got "
        "(2, 3, 4, 5) and (1, 2, 2, 2)."
    )
    with pytest.raises(ValueError, match=r"grid_sample: mode must be one of .* got 'cubic'"):
        F.grid_sample(Tensor(IMAGES), Tensor(np.zeros((2, 2, 2, 2))), "cubic")
    with pytest.raises(ValueError, match="affine_grid: theta must have shape"):
        F.affine_grid(Tensor(np.zeros((1, 3, 3))), (1, 1, 2, 2))
    with pytest.raises(ValueError, match="rotate: an input"):
        F.rotate(Tensor(np.zeros((3, 3))), 1.0)


@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("padding", ["border", "reflection"])
def test_at_the_outermost_pixels_a_constant_image_has_no_slope(padding, corners):
    theta = Tensor([[[1.0, 0, 0], [0, 1.0, 0]]], requires_grad=True)
    grid = F.affine_grid(theta, (1, 1, 3, 3), align_corners=corners)
    y = F.grid_sample(Tensor(np.full((1, 1, 3, 3), 5.0, "f")), grid, "bilinear", padding, corners)
    y.sum().backward()
    assert theta.grad.numpy().ravel().tolist() == [0.0] * 6
