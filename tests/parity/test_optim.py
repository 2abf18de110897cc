"""Optimizers and schedulers against PyTorch's, step by step."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import lucid
from lucid import nn
from tests.optim.cases import OPTIMIZERS

torch = pytest.importorskip("torch")

STEPS = 50
SHAPES = [(3, 4), (5,), ()]
# What PyTorch calls an argument that has another name or place here.
TORCH_NAMES = {"step_sizes": "step_sizes"}


def problem(dtype):
    """Start, and the matrices of a quadratic with saddles: the gradient is A p + b, noisy."""
    rng = np.random.default_rng(0)
    starts = [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]
    noise = [[rng.standard_normal(shape).astype(dtype) for shape in SHAPES] for _ in range(STEPS)]
    return starts, noise


def run(make, parameter, as_tensor, as_array, dtype, schedule):
    starts, noise = problem(dtype)
    params = [parameter(start) for start in starts]
    optimizer = make(params)
    history = []
    for t in range(STEPS):
        for param, extra in zip(params, noise[t], strict=True):
            param.grad = as_tensor(np.cos(as_array(param)).astype(dtype) + extra)
        if schedule:
            optimizer.param_groups[0]["lr"] = 0.01 * (1 + t % 7)
        optimizer.step()
        history.append(np.concatenate([as_array(param).ravel() for param in params]))
    return np.array(history)


def both(name, options, dtype, schedule=False):
    ours = run(
        lambda params: getattr(lucid.optim, name)(params, **options),
        nn.Parameter, lucid.Tensor, lambda p: p.numpy(), dtype, schedule,
    )  # fmt: skip
    theirs = run(
        lambda params: getattr(torch.optim, name)(params, **options),
        lambda start: torch.nn.Parameter(torch.tensor(start)),
        lambda g: torch.tensor(g), lambda p: p.detach().numpy(), dtype, schedule,
    )  # fmt: skip
    assert ours.dtype == theirs.dtype == dtype
    return ours, theirs


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)  # also of NAdam's mu_product
    with jax.enable_x64(True):
        yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("schedule", [False, True], ids=["", "changing lr"])
@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_float64(name, options, schedule, float64):
    ours, theirs = both(name, options, np.float64, schedule)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_float32(name, options):
    ours, theirs = both(name, options, np.float32)
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5)
