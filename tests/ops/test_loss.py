"""Losses of one value per element."""

from __future__ import annotations

import re

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F
from tests.helpers import HAS_TORCH, check_op, spaced

if HAS_TORCH:
    import torch
    import torch.nn.functional as TF
else:
    torch = TF = None

X = spaced(3, 4)


@pytest.mark.parametrize("reduction", ["mean", "sum", None, "none"])
def test_mse_loss(reduction):
    def reference(x, y):
        values = (x - y) ** 2
        return {"mean": values.mean(), "sum": values.sum()}.get(reduction, values)

    torch_fn = torch and (lambda x, y: TF.mse_loss(x, y, reduction=reduction or "none"))
    check_op(nn.MSELoss(reduction), reference, X, spaced(3, 4, seed=1), torch_fn=torch_fn)


def test_mse_loss_refuses():
    text = "mse_loss: input and target must have one shape, got (3, 4) and (4,)."
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        F.mse_loss(Tensor(X), lucid.zeros(4))
    with pytest.raises(
        ValueError, match=r'^mse_loss: reduction must be "mean", "sum" or None, got'
    ):
        F.mse_loss(Tensor(X), Tensor(X), "avg")


def test_one_number_is_a_target_for_all():
    x = Tensor(spaced(3, 2).astype(np.float32))
    for loss in (nn.MSELoss(), nn.BCEWithLogitsLoss(), nn.HingeLoss(), nn.L1Loss()):
        np.testing.assert_allclose(loss(x, 1).item(), loss(x, lucid.ones(3, 2)).item(), rtol=1e-6)


def test_binary_cross_entropy():
    p, t = spaced(3, 4, low=0.1, high=0.9), spaced(3, 4, low=0.0, high=1.0, seed=1)
    check_op(
        lambda p, t: F.binary_cross_entropy(p, t, reduction=None),
        lambda p, t: -t * np.log(p) - (1 - t) * np.log(1 - p),
        p,
        t,
    )


@pytest.mark.parametrize("call", [F.binary_cross_entropy, lucid.jit(F.binary_cross_entropy)])
def test_saturated_probabilities_have_finite_losses_and_gradients(call):
    values = [0.0, 1.0, 0.0, 1.0, 1e-30, 1e-10]
    targets = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0]
    p = Tensor(values, requires_grad=True)
    loss = call(p, Tensor(targets), reduction="none")
    loss.backward()
    np.testing.assert_allclose(loss.numpy(), [100, 100, 0, 0, 69.0776, 23.0259], rtol=1e-5)
    np.testing.assert_allclose(p.grad.numpy(), [-1e12, 1e12, 0, 0, -1e12, -1e10], rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_saturated_probabilities_of_half_precision_have_finite_gradients(dtype):
    for logit in (-200.0, -20.0, -8.0):
        x = Tensor([logit], dtype=dtype, requires_grad=True)
        p = F.sigmoid(x)
        p.retain_grad()
        F.binary_cross_entropy(p, 1.0).backward()
        assert np.isfinite(p.grad.numpy().astype(float)).all()
        assert -1 <= x.grad.item() <= 0
    assert x.grad.item() < -0.98


def test_a_saturated_logit_has_a_finite_loss_and_gradient():
    x = Tensor([-1000.0, 1000.0], requires_grad=True)
    F.binary_cross_entropy_with_logits(x, Tensor([1.0, 0.0]), reduction="sum").backward()
    np.testing.assert_array_equal(x.grad.numpy(), [-1, 1])


@pytest.mark.parametrize("loss", [F.smooth_l1_loss, F.huber_loss])
def test_an_infinite_distance_has_a_finite_gradient(loss):
    x = Tensor([np.inf, -np.inf, 3.0], requires_grad=True)
    values = loss(x, lucid.zeros(3), reduction=None)
    values.backward()
    np.testing.assert_array_equal(values.numpy(), [np.inf, np.inf, 2.5])
    np.testing.assert_array_equal(x.grad.numpy(), [1, -1, 1])
