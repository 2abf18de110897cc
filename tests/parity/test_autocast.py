"""Which dtype a function computes in under autocast, beside PyTorch's on CPU; scales of both."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn, optim
from lucid.nn import functional as F

torch = pytest.importorskip("torch")
TF = torch.nn.functional

VALUES = np.random.default_rng(0).uniform(0.1, 0.9, 1000).astype("f")


def numbers(*shape):
    return VALUES[: int(np.prod(shape))].reshape(shape)


# Ours, theirs, shapes of the operands.
SAME = {
    "matmul": (lucid.matmul, torch.matmul, [(2, 3), (3, 4)]),
    "batched": (lucid.matmul, torch.bmm, [(2, 2, 3), (2, 3, 4)]),
    "linear": (F.linear, TF.linear, [(2, 3), (4, 3), (4,)]),
    "conv1d": (F.conv1d, TF.conv1d, [(1, 2, 5), (3, 2, 3)]),
    "conv2d": (F.conv2d, TF.conv2d, [(1, 2, 5, 5), (3, 2, 3, 3), (3,)]),
    "conv_transpose2d": (F.conv_transpose2d, TF.conv_transpose2d, [(1, 2, 5, 5), (2, 3, 3, 3)]),
    "attention": (
        F.scaled_dot_product_attention, TF.scaled_dot_product_attention, [(1, 3, 4)] * 3,
    ),
    "einsum": (
        lambda a, b: lucid.einsum("ij,jk->ik", a, b),
        lambda a, b: torch.einsum("ij,jk->ik", a, b),
        [(2, 3), (3, 4)],
    ),
    "mse_loss": (F.mse_loss, TF.mse_loss, [(3,), (3,)]),
    "l1_loss": (F.l1_loss, TF.l1_loss, [(3,), (3,)]),
    "smooth_l1_loss": (F.smooth_l1_loss, TF.smooth_l1_loss, [(3,), (3,)]),
    "binary_cross_entropy": (F.binary_cross_entropy, TF.binary_cross_entropy, [(3,), (3,)]),
    "prod": (lucid.prod, torch.prod, [(3,)]),
    "trace": (lucid.trace, torch.trace, [(3, 3)]),
    "inv": (lucid.linalg.inv, torch.linalg.inv, [(2, 2)]),
    "qr": (lambda a: lucid.linalg.qr(a)[1], lambda a: torch.linalg.qr(a)[1], [(2, 2)]),
    "add": (lucid.add, torch.add, [(3,), (3,)]),
    "relu": (F.relu, torch.relu, [(3,)]),
    "tanh": (lucid.tanh, torch.tanh, [(3,)]),
    "max_pool2d": (lambda a: F.max_pool2d(a, 2), lambda a: TF.max_pool2d(a, 2), [(1, 1, 4, 4)]),
}  # fmt: skip
# What PyTorch leaves in 16 bits on CPU, though on CUDA it has most of it in float32 too: the sums
# round once there and here, but what they feed, such as a loss, would be rounded as well.
WIDER = {
    "softmax": (lambda a: F.softmax(a, -1), lambda a: torch.softmax(a, -1), [(3,)]),
    "log_softmax": (lambda a: F.log_softmax(a, -1), lambda a: torch.log_softmax(a, -1), [(3,)]),
    "layer_norm": (
        lambda a: F.layer_norm(a, (3,)), lambda a: TF.layer_norm(a, (3,)), [(2, 3)],
    ),
    "sum": (lucid.sum, torch.sum, [(3,)]),
    "mean": (lucid.mean, torch.mean, [(3,)]),
    "exp": (lucid.exp, torch.exp, [(3,)]),
    "log": (lucid.log, torch.log, [(3,)]),
    "power": (lambda a: a**2.5, lambda a: a**2.5, [(3,)]),
    "cumsum": (lambda a: lucid.cumsum(a, 0), lambda a: torch.cumsum(a, 0), [(3,)]),
}  # fmt: skip


@pytest.mark.parametrize("given", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", [*SAME, *WIDER])
def test_dtypes(name, given):
    ours, theirs, shapes = {**SAME, **WIDER}[name]
    with lucid.autocast():
        found = ours(*[Tensor(numbers(*shape), dtype=given) for shape in shapes])
    with torch.autocast("cpu", torch.bfloat16):
        operands = [torch.tensor(numbers(*s)).to(getattr(torch, given)) for s in shapes]
        expected = theirs(*operands)
    if name in WIDER:
        assert str(found.dtype) == "float32" and str(expected.dtype) == f"torch.{given}"
    else:
        assert f"torch.{found.dtype}" == str(expected.dtype)


FACTORS = np.where(np.random.default_rng(3).random(40) < 0.2, np.inf, 1.0)


def test_scales_of_grad_scaler():
    numbers = {
        "init_scale": 2.0**10, "growth_factor": 3.0, "backoff_factor": 0.25, "growth_interval": 4,
    }  # fmt: skip
    weight, their_weight = nn.Parameter([1.0]), torch.nn.Parameter(torch.tensor([1.0]))
    optimizer, their_optimizer = optim.SGD([weight], lr=0.1), torch.optim.SGD([their_weight], 0.1)
    scaler, theirs = optim.GradScaler(**numbers), torch.amp.GradScaler("cpu", **numbers)
    for factor in FACTORS.tolist():
        optimizer.zero_grad()
        scaler.scale((weight * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        their_optimizer.zero_grad()
        theirs.scale((their_weight * factor).sum()).backward()
        theirs.step(their_optimizer)
        theirs.update()
        assert scaler.get_scale() == theirs.get_scale()
        assert scaler.state_dict() == theirs.state_dict()
        np.testing.assert_allclose(weight.item(), their_weight.item(), rtol=1e-6, atol=1e-7)
    scaler = optim.GradScaler()
    scaler.load_state_dict(theirs.state_dict())
    assert scaler.state_dict() == theirs.state_dict()
