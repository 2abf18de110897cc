"""Sampling of images: values and gradients as PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import Tensor

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((2, 3, 5, 4)).astype("f")
GRID = RNG.uniform(-1.6, 1.6, (2, 6, 3, 2)).astype("f")
THETA = RNG.standard_normal((2, 2, 3)).astype("f")


def compared(ours, theirs, *arrays):
    mine = [Tensor(a, requires_grad=True) for a in arrays]
    other = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, z = ours(*mine), theirs(*other)
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-4, atol=1e-5)
    seed = np.random.default_rng(1).standard_normal(y.shape).astype("f")
    found = lucid.autograd.grad((y,), mine, (Tensor(seed),))
    expected = torch.autograd.grad(z, other, torch.tensor(seed))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_grid_sample(mode, padding, corners):
    compared(
        lambda x, g: F.grid_sample(x, g, mode, padding, corners),
        lambda x, g: torch.nn.functional.grid_sample(x, g, mode, padding, corners),
        IMAGES,
        GRID,
    )


@pytest.mark.parametrize("corners", [True, False])
def test_affine_grid(corners):
    compared(
        lambda t: F.affine_grid(t, (2, 3, 5, 4), corners),
        lambda t: torch.nn.functional.affine_grid(t, (2, 3, 5, 4), corners),
        THETA,
    )


@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("padding", ["border", "reflection"])
def test_gradients_of_the_identity(padding, corners):
    identity = np.array([[[1, 0, 0], [0, 1, 0]]] * 2, "f")

    def sample(library):
        def fn(x, theta):
            # Of sizes at which the positions of the pixels are exact.
            grid = library.affine_grid(theta, (2, 3, 5, 3), align_corners=corners)
            return library.grid_sample(x, grid, "bilinear", padding, corners)

        return fn

    compared(sample(F), sample(torch.nn.functional), IMAGES[..., :3], identity)
