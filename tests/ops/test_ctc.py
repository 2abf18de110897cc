"""CTC loss against its definition: the sum over all sequences of steps that give the target."""

from __future__ import annotations

import itertools
import re

import jax
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F
from lucid.ops import ctc
from tests.helpers import check_op, public_functions, spaced

STEPS, CLASSES = 4, 3


def spelt(path, blank):
    return [c for c, _ in itertools.groupby(path) if c != blank]


def definition(x, targets, own, lengths, blank=0, reduction="mean"):
    """`x` of shape (T, N, C); targets in rows."""
    losses = []
    for n, target in enumerate(targets):
        wanted = list(target[: lengths[n]])
        total = sum(
            np.exp(sum(x[t, n, c] for t, c in enumerate(path)))
            for path in itertools.product(range(x.shape[2]), repeat=own[n])
            if spelt(path, blank) == wanted
        )
        losses.append(-np.log(total))
    losses = np.array(losses)
    if reduction == "mean":
        return (losses / np.maximum(lengths, 1)).mean()
    return losses.sum() if reduction == "sum" else losses


ROWS = np.array([[1, 2], [2, 2], [1, 0]])
CASES = {
    "whole": (ROWS[:2], [4, 4], [2, 2], {}),
    "shorter": (ROWS, [4, 3, 2], [2, 2, 1], {}),
    "an empty target": (ROWS[:2], [4, 1], [0, 1], {}),
    "no step": (ROWS[:2], [4, 0], [2, 0], {}),
    "another blank": (np.array([[0, 1], [1, 1]]), [4, 4], [2, 2], {"blank": 2}),
    "sum": (ROWS, [4, 3, 2], [2, 2, 1], {"reduction": "sum"}),
    "each": (ROWS, [4, 3, 2], [2, 2, 1], {"reduction": None}),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_derivatives(name):
    rows, own, lengths, options = CASES[name]
    x = spaced(STEPS, len(rows), CLASSES, low=-2.0, high=-0.1)
    check_op(
        lambda x: F.ctc_loss(x, Tensor(rows), Tensor(own), Tensor(lengths), **options),
        lambda x: definition(x, rows, own, lengths, **options),
        x,
        rtol=1e-11,
    )


def test_targets_in_one_row_and_single_samples_are_the_same():
    x = Tensor(spaced(STEPS, 3, CLASSES, low=-2.0, high=-0.1))
    own, lengths = Tensor([4, 3, 2]), Tensor([2, 2, 1])
    expected = F.ctc_loss(x, Tensor(ROWS), own, lengths, reduction=None).numpy()
    joined = F.ctc_loss(x, Tensor([1, 2, 2, 2, 1]), own, lengths, reduction=None)
    np.testing.assert_allclose(joined.numpy(), expected, rtol=1e-6)
    compiled = lucid.jit(lambda *xs: F.ctc_loss(*xs, reduction=None))
    np.testing.assert_allclose(
        compiled(x, Tensor([1, 2, 2, 2, 1]), own, lengths).numpy(), expected, rtol=1e-6
    )
    for n, steps, length in ((0, 4, 2), (1, 3, 2), (2, 2, 1)):
        alone = F.ctc_loss(x[:, n], Tensor(ROWS[n]), steps, length, reduction=None)
        np.testing.assert_allclose(alone.numpy(), expected[n], rtol=1e-6)


@pytest.mark.parametrize("zero_infinity", [False, True])
def test_a_target_that_does_not_fit(zero_infinity):
    x = Tensor(spaced(STEPS, 2, CLASSES), requires_grad=True)  # 2, 2 needs a blank between
    loss = F.ctc_loss(
        x, Tensor(ROWS[:2]), Tensor([4, 2]), Tensor([2, 2]), reduction=None,
        zero_infinity=zero_infinity,
    )  # fmt: skip
    assert loss.numpy()[1] == (0 if zero_infinity else np.inf)
    assert np.isfinite(loss.numpy()[0])
    loss[1].backward()
    np.testing.assert_array_equal(x.grad.numpy(), 0)


def test_a_probability_of_zero_has_a_gradient_without_nan():
    logs = np.full((STEPS, 1, CLASSES), -1.0)
    logs[1, 0, 1] = -np.inf
    x = Tensor(logs, requires_grad=True)
    loss = F.ctc_loss(x, Tensor([[1, 2]]), Tensor([4]), Tensor([2]))
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(loss.item(), definition(logs, [[1, 2]], [4], [2]), rtol=1e-6)
    loss.backward()
    assert np.isfinite(x.grad.numpy()).all() and x.grad.numpy()[1, 0, 1] == 0


def test_long_sequences_neither_overflow_nor_compile_by_the_step():
    steps = 3000
    x = F.log_softmax(lucid.zeros(steps, 1, 5), -1)
    loss = F.ctc_loss(x, Tensor(np.arange(1000)[None] % 4 + 1), Tensor([steps]), Tensor([1000]))
    assert 0 < loss.item() < steps * np.log(5) / 1000
    equations = [
        len(jax.make_jaxpr(F.ctc_loss.pure)(np.zeros((t, 1, 5)), np.array([[1]]), 2, 1).eqns)
        for t in (10, 1000)
    ]
    assert equations[0] == equations[1]


def test_half_precision_is_summed_in_single():
    x = F.log_softmax(lucid.randn(40, 2, 6), -1).astype("bfloat16")
    arguments = (Tensor([[1, 2, 3], [4, 4, 5]]), Tensor([40, 30]), Tensor([3, 3]))
    loss = F.ctc_loss(x, *arguments)
    assert loss.dtype == "bfloat16"
    exact = F.ctc_loss(x.astype("float32"), *arguments)
    np.testing.assert_allclose(loss.astype("float32").item(), exact.item(), rtol=2**-8)


X = np.zeros((STEPS, 2, CLASSES), np.float32)
FINE = {
    "log_probs": X, "targets": ROWS[:2], "input_lengths": np.array([4, 3]),
    "target_lengths": np.array([2, 2]),
}  # fmt: skip
ERRORS = {
    "blank": ({"blank": 3}, "ctc_loss: blank must be from 0 to 2, got 3."),
    "input_lengths": (
        {"input_lengths": np.array([4, 5])},
        "ctc_loss: input_lengths must be from 0 to 4, got 5 at [1].",
    ),
    "target_lengths": (
        {"target_lengths": np.array([3, 2])},
        "ctc_loss: target_lengths must be from 0 to 2, got 3 at [0].",
    ),
    "sum": (
        {"targets": np.array([1, 2, 1])},
        "ctc_loss: the sum of target_lengths must be from 0 to 3, got 4.",
    ),
    "class": (
        {"targets": np.array([[1, 2], [3, 1]])},
        "ctc_loss: a class of targets must be from 0 to 2, got 3 at [2].",
    ),
    "axes": (
        {"log_probs": X[0, 0]},
        "ctc_loss: log_probs (T, N, C) or (T, C) are needed, got (3,).",
    ),
    "rows": (
        {"targets": ROWS},
        "ctc_loss: targets of 2 samples, or all in one row, are needed, got (3, 2).",
    ),
    "lengths": (
        {"input_lengths": np.array([4, 3, 2])},
        "ctc_loss: one length for each of 2 samples is needed, got shape (3,).",
    ),
    "reduction": (
        {"reduction": "max"},
        'ctc_loss: reduction must be "mean", "sum" or None, got \'max\'.',
    ),
}


@pytest.mark.parametrize("case", ERRORS.values(), ids=ERRORS)
def test_errors(case):
    changed, text = case
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        F.ctc_loss(**{**FINE, **changed})


@pytest.mark.parametrize(
    "changed",
    [
        {"targets": np.array([[1, 2], [3, 1]])},
        {"input_lengths": np.array([4, 5])},
        {"target_lengths": np.array([2, 3])},
    ],
)
def test_what_is_not_looked_at_gives_nan(changed):
    arguments = {**FINE, **changed}
    losses = jax.jit(lambda *xs: F.ctc_loss.pure(*xs, reduction=None))(*arguments.values())
    assert np.isfinite(losses[0]) and np.isnan(losses[1])


def test_what_lies_behind_a_target_does_not_matter():
    rows = np.array([[1, -1, 99], [2, 1, 0]])
    arguments = (Tensor([4, 3]), Tensor([1, 3]))
    x = Tensor(spaced(STEPS, 2, CLASSES))
    found = F.ctc_loss(x, Tensor(rows), *arguments)
    rows[0, 1:] = 0
    assert found.item() == F.ctc_loss(x, Tensor(rows), *arguments).item()


def test_the_layer_is_the_function():
    layer = nn.CTCLoss(2, "sum", zero_infinity=True)
    assert repr(layer) == "CTCLoss(blank=2, reduction='sum', zero_infinity=True)"
    x = Tensor(spaced(STEPS, 2, CLASSES) - 5)
    arguments = (x, Tensor([[0, 0], [1, 1]]), Tensor([4, 2]), Tensor([2, 2]))
    assert layer(*arguments).item() == F.ctc_loss(*arguments, 2, "sum", True).item() > 0


def test_every_function_is_tested():
    assert public_functions(ctc) == {"ctc_loss"}
