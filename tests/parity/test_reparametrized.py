"""Spectral and weight normalisation against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

from lucid import Tensor, nn
from lucid.nn.parametrizations import spectral_norm, weight_norm
from tests.helpers import spaced

torch = pytest.importorskip("torch")

LAYERS = [
    ("Linear", (3, 4), (2, 3)),
    ("Conv2d", (3, 4, 3), (2, 3, 5, 5)),
    ("ConvTranspose1d", (3, 4, 3), (2, 3, 5)),
]


def pair(name, arguments, normed, their_normed, **options):
    theirs = their_normed(getattr(torch.nn, name)(*arguments), **options)
    ours = normed(getattr(nn, name)(*arguments), **options)
    state = {n: v.numpy().copy() for n, v in theirs.state_dict().items()}
    assert sorted(ours.state_dict()) == sorted(state)
    ours.load_state_dict(state)
    return ours, theirs


def assert_same_steps(ours, theirs, shape):
    for i in range(3):
        x = spaced(*shape, seed=i).astype(np.float32)
        for module, as_tensor in ((ours, Tensor), (theirs, torch.tensor)):
            module.zero_grad()
            (module(as_tensor(x)) ** 2).sum().backward()
        for name, parameter in theirs.named_parameters():
            gradient = ours.get_parameter(name).grad.numpy()
            np.testing.assert_allclose(gradient, parameter.grad.numpy(), rtol=1e-3, atol=1e-4)
        for name, value in theirs.state_dict().items():
            np.testing.assert_allclose(ours.state_dict()[name].numpy(), value.numpy(), atol=1e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(("name", "arguments", "shape"), LAYERS)
@pytest.mark.parametrize("steps", [1, 3])
def test_spectral_norm(name, arguments, shape, steps):
    theirs = torch.nn.utils.spectral_norm
    pair_ = pair(name, arguments, spectral_norm, theirs, n_power_iterations=steps)
    assert_same_steps(*pair_, shape)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(("name", "arguments", "shape"), LAYERS)
@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm(name, arguments, shape, dim):
    assert_same_steps(
        *pair(name, arguments, weight_norm, torch.nn.utils.weight_norm, dim=dim), shape
    )
