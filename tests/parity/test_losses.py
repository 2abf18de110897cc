"""Losses against PyTorch's in float64, at logits where exponentials over- and underflow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.nn import functional as F

torch = pytest.importorskip("torch")
TF = torch.nn.functional

INF = math.inf
EXTREMES = [-INF, -1e4, -80.0, -20.0, -1.0, 0.0, 0.5, 1.0, 20.0, 100.0, 1e4, INF]
LOGITS = np.array(EXTREMES)
FINITE = LOGITS[1:-1]
SATURATING = LOGITS[LOGITS != 20]  # whose sigmoid is 1 in float32 alone
PAIRS = np.array([(a, b) for a in EXTREMES for b in EXTREMES])
DIFFERENT = PAIRS[PAIRS[:, 0] != PAIRS[:, 1]]
# The last ones lie where PyTorch bounds p * (1 - p), and where their logarithms reach -100.
SHARES = np.array([0.0, 1.0, 0.5, 1 - 2.0**-20, 2.0**-20, 1e-13, 1e-30, 0.0, 1.0, 0.25])
ROWS = np.array([(a, b, c) for a in (-INF, -1e4, 0.0) for b in (0.0, 1e4) for c in (-1e4, 2.0)])
WEIGHT = np.array([0.5, 2.0, 0.25])


class Case(NamedTuple):
    """A loss of both libraries and its arguments; those of floats are differentiated."""

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    inputs: tuple[Any, ...]


def targets(x: np.ndarray, value: float) -> np.ndarray:
    return np.full(x.shape, value)


def cases() -> list[Case]:
    found = [
        Case(name, getattr(F, name), getattr(TF, name), tuple(PAIRS.T))
        for name in ("mse_loss", "smooth_l1_loss", "huber_loss")
    ]
    found += [
        Case("l1_loss", F.l1_loss, TF.l1_loss, tuple(DIFFERENT.T)),
        Case("smooth_l1_loss beta=20", lambda x, t, **r: F.smooth_l1_loss(x, t, beta=20.0, **r),
             lambda x, t, **r: TF.smooth_l1_loss(x, t, beta=20.0, **r), tuple(PAIRS.T)),
        Case("smooth_l1_loss beta=0", lambda x, t, **r: F.smooth_l1_loss(x, t, beta=0.0, **r),
             lambda x, t, **r: TF.smooth_l1_loss(x, t, beta=0.0, **r), (FINITE, FINITE[::-1])),
        Case("huber_loss delta=20", lambda x, t, **r: F.huber_loss(x, t, delta=20.0, **r),
             lambda x, t, **r: TF.huber_loss(x, t, delta=20.0, **r), tuple(PAIRS.T)),
    ]  # fmt: skip
    for t in (-1, 1):
        signs = np.full(LOGITS.shape, t)
        found += [
            Case(f"hinge_embedding_loss {t}", F.hinge_embedding_loss, TF.hinge_embedding_loss,
                 (LOGITS, signs)),
            Case(f"hinge_loss {t}", F.hinge_loss, their_hinge, (LOGITS, signs)),
        ]  # fmt: skip
    for t in (0.0, 0.3, 1.0):
        found += [
            Case(f"bce {t}", F.binary_cross_entropy, TF.binary_cross_entropy,
                 (SHARES, targets(SHARES, t))),
            Case(f"bce of sigmoid {t}",
                 lambda x, t, **r: F.binary_cross_entropy(F.sigmoid(x), t, **r),
                 lambda x, t, **r: TF.binary_cross_entropy(torch.sigmoid(x), t, **r),
                 (SATURATING, targets(SATURATING, t))),
            Case(f"bce with logits {t}",
                 F.binary_cross_entropy_with_logits, TF.binary_cross_entropy_with_logits,
                 (LOGITS, targets(LOGITS, t))),
            Case(f"bce with logits and weights {t}",
                 lambda x, t, w, p, **r: F.binary_cross_entropy_with_logits(x, t, w, p, **r),
                 lambda x, t, w, p, **r: TF.binary_cross_entropy_with_logits(
                     x, t, w, pos_weight=p, **r),
                 (LOGITS, targets(LOGITS, t), np.array(0.5), np.array([3.0]))),
            Case(f"kl_div {t}", F.kl_div, TF.kl_div, (LOGITS, targets(LOGITS, t))),
        ]  # fmt: skip
    found.append(
        Case("kl_div log_target", lambda x, t, **r: F.kl_div(x, t, log_target=True, **r),
             lambda x, t, **r: TF.kl_div(x, t, log_target=True, **r), tuple(np.minimum(PAIRS, 0).T))
    )  # fmt: skip
    classes = np.arange(len(ROWS)) % 3
    ignored = np.where(np.arange(len(ROWS)) % 4 == 1, -100, classes)
    shares = np.random.default_rng(0).dirichlet(np.ones(3), len(ROWS))
    for what, target in (("classes", classes), ("ignored", ignored), ("shares", shares)):
        found += [
            Case(f"cross_entropy {what}", F.cross_entropy, TF.cross_entropy, (ROWS, target)),
            Case(f"cross_entropy {what} weighted, smoothed",
                 lambda x, t, w, **r: F.cross_entropy(x, t, w, label_smoothing=0.1, **r),
                 lambda x, t, w, **r: TF.cross_entropy(x, t, w.detach(), label_smoothing=0.1, **r),
                 (ROWS, target, WEIGHT)),
        ]  # fmt: skip
    for what, target in (("classes", classes), ("ignored", ignored)):
        found += [
            Case(f"nll_loss {what}", F.nll_loss, TF.nll_loss, (ROWS, target)),
            Case(f"nll_loss of log_softmax {what}",
                 lambda x, t, **r: F.nll_loss(F.log_softmax(x, 1), t, **r),
                 lambda x, t, **r: TF.nll_loss(torch.log_softmax(x, 1), t, **r), (ROWS, target)),
        ]  # fmt: skip
    return found


def their_hinge(x: Any, t: Any, reduction: str) -> Any:
    return getattr(torch, reduction, lambda y: y)(torch.relu(1 - t * x))


CASES = cases()


def agree(ours: Any, theirs: Any, dtype: str) -> int:
    """Compare where PyTorch's value is a number; the number of such places."""
    defined = ~np.isnan(theirs)
    ours = np.asarray(ours, np.float64)
    assert ours.shape == theirs.shape
    # PyTorch holds the bound 1e-12 of binary cross entropy in float32, which is off by 4e-9.
    rtol, atol = {"float64": (1e-8, 1e-12), "float32": (2e-5, 2e-6)}[dtype]
    np.testing.assert_allclose(ours[defined], theirs[defined], rtol=rtol, atol=atol)
    return int(defined.sum())


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
def test_values_and_gradients_at_extreme_logits(case: Case, dtype: str) -> None:
    inputs: Sequence[np.ndarray] = [np.asarray(x) for x in case.inputs]
    inputs = [x.astype(dtype) if x.dtype.kind == "f" else x for x in inputs]
    with jax.enable_x64(dtype == "float64"):
        xs = [Tensor(x, requires_grad=i == 0) for i, x in enumerate(inputs)]
        values = case.ours(*xs, reduction="none")
        seed = np.random.default_rng(1).uniform(0.5, 1.5, values.shape)
        values.backward(Tensor(seed.astype(dtype)))
        ours = [values.numpy(), xs[0].grad.numpy(), case.ours(*xs, reduction="mean").numpy()]
    ts = [torch.tensor(x.astype(float) if x.dtype.kind == "f" else x) for x in inputs]
    ts[0].requires_grad_()
    their_values = case.theirs(*ts, reduction="none")
    their_values.backward(torch.tensor(seed.astype(dtype).astype(float)))
    mean = case.theirs(*ts, reduction="mean")
    theirs = [x.numpy(force=True) for x in (their_values, ts[0].grad, mean)]
    compared = [agree(a, b, dtype) for a, b in zip(ours, theirs, strict=True)]
    assert min(compared[:2]) >= len(inputs[0]) // 2


def test_a_confident_discriminator_goes_on_learning() -> None:
    for score in (-20.0, -60.0, -90.0):
        logit = torch.tensor(score, requires_grad=True)
        loss = TF.binary_cross_entropy(torch.sigmoid(logit), torch.tensor(1.0))
        loss.backward()
        ours = lucid.tensor(score, requires_grad=True)
        found = F.binary_cross_entropy(F.sigmoid(ours), 1.0)
        found.backward()
        np.testing.assert_allclose(found.item(), loss.item(), rtol=1e-6)
        np.testing.assert_allclose(ours.grad.item(), logit.grad.item(), rtol=1e-5)


CTC_TARGETS = {
    "rows": (np.array([[1, 2, 2, 3], [2, 1, 9, 9], [3, 3, 3, 9]]), [4, 2, 3]),
    "one row": (np.array([1, 2, 2, 3, 2, 1, 3, 3, 3]), [4, 2, 3]),
    "an empty one": (np.array([[1, 2], [2, 2], [1, 1]]), [2, 0, 1]),
}


@pytest.mark.parametrize(("reduction", "blank"), [("mean", 0), ("sum", 4), ("none", 0)])
@pytest.mark.parametrize("name", CTC_TARGETS)
def test_ctc_behind_a_log_softmax(name: str, reduction: str, blank: int) -> None:
    """PyTorch's own gradient by log_probs holds what the log_softmax takes out again."""
    targets, lengths = CTC_TARGETS[name]
    own = np.array([7, 5, 6])
    logits = np.random.default_rng(0).standard_normal((7, 3, 5))
    seeds = np.array([1.0, -0.5, 2.0]) if reduction == "none" else np.array(1.0)
    with jax.enable_x64(True):
        x = Tensor(logits, requires_grad=True)
        loss = F.ctc_loss(
            F.log_softmax(x, -1), Tensor(targets), Tensor(own), Tensor(lengths), blank,
            reduction,
        )  # fmt: skip
        loss.backward(Tensor(seeds))
    y = torch.tensor(logits, requires_grad=True)
    theirs = TF.ctc_loss(
        TF.log_softmax(y, -1), torch.tensor(targets), torch.tensor(own), torch.tensor(lengths),
        blank, reduction,
    )  # fmt: skip
    theirs.backward(torch.tensor(seeds))
    np.testing.assert_allclose(loss.numpy(), theirs.numpy(force=True), rtol=1e-10)
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("zero_infinity", [False, True])
def test_ctc_of_targets_that_do_not_fit(zero_infinity: bool) -> None:
    logits = np.random.default_rng(1).standard_normal((4, 2, 3)).astype("f")
    targets, own, lengths = np.array([[1, 1, 1], [1, 2, 0]]), np.array([4, 4]), np.array([3, 2])
    x = Tensor(logits, requires_grad=True)
    loss = F.ctc_loss(
        F.log_softmax(x, -1), Tensor(targets), Tensor(own), Tensor(lengths),
        zero_infinity=zero_infinity,
    )  # fmt: skip
    y = torch.tensor(logits, requires_grad=True)
    theirs = TF.ctc_loss(
        TF.log_softmax(y, -1), torch.tensor(targets), torch.tensor(own), torch.tensor(lengths),
        zero_infinity=zero_infinity,
    )  # fmt: skip
    np.testing.assert_allclose(loss.numpy(), theirs.numpy(force=True), rtol=1e-5)
    if zero_infinity:  # else PyTorch's gradient is no number
        loss.backward()
        theirs.backward()
        np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-5, atol=1e-6)
