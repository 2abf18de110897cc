"""Labels, ids, indices and probabilities out of range: errors where they are known, and what they
give in a compiled function, where nothing can raise.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F
from tests.helpers import spaced

X = spaced(4, 3).astype(np.float32)
ROWS = np.arange(10, dtype=np.float32).reshape(5, 2)
NAN = np.nan


class Case(NamedTuple):
    """A function of the data that is checked, data that is refused, and the result elsewhere."""

    call: Callable[[Any], Any]
    bad: Any
    error: type[Exception]
    text: str
    compiled: Any  # what a compiled function gives


CASES = {
    "cross_entropy": Case(
        lambda t: F.cross_entropy(Tensor(X), t, reduction=None), np.array([0, 3, 1, 2]),
        IndexError, "cross_entropy: target must be from 0 to 2 or -100, got 3 at [1].",
        [-np.log(np.exp(X[i, t]) / np.exp(X[i]).sum()) if t < 3 else NAN
         for i, t in enumerate([0, 3, 1, 2])],
    ),
    "cross_entropy of images": Case(
        lambda t: F.cross_entropy(lucid.zeros(1, 3, 2, 2), t, ignore_index=None),
        np.array([[[0, 1], [-1, 2]]]),
        IndexError, "cross_entropy: target must be from 0 to 2, got -1 at [0, 1, 0].", NAN,
    ),
    "cross_entropy of a sample": Case(
        lambda t: F.cross_entropy(lucid.zeros(3), t), np.array(3),
        IndexError, "cross_entropy: target must be from 0 to 2 or -100, got 3.", NAN,
    ),
    "nll_loss": Case(
        lambda t: F.nll_loss(lucid.ones(2, 3), t, ignore_index=-1, reduction=None),
        np.array([-1, -2]),
        IndexError, "nll_loss: target must be from 0 to 2 or -1, got -2 at [1].", [0, NAN],
    ),
    "NLLLoss": Case(
        lambda t: nn.NLLLoss()(lucid.ones(2, 3), t), np.array([1, 3], np.uint8),
        IndexError,
        "nll_loss: target must be from 0 to 2 or -100, got 3 at [1]. (in NLLLoss)", NAN,
    ),
    "embedding": Case(
        lambda i: F.embedding(i, Tensor(ROWS)), np.array([[4, 5]]),
        IndexError, "embedding: input must be from 0 to 4, got 5 at [0, 1].",
        [[[8, 9], [NAN, NAN]]],
    ),
    "embedding below": Case(
        lambda i: F.embedding(i, Tensor(ROWS)), np.array([-1, 1]),
        IndexError, "embedding: input must be from 0 to 4, got -1 at [0].", [[NAN, NAN], [2, 3]],
    ),
    "one_hot": Case(
        lambda i: F.one_hot(i, 2), np.array([1, 2, -1]),
        IndexError, "one_hot: input must be from 0 to 1, got 2 at [1].", [[0, 1], [0, 0], [0, 0]],
    ),
    "gather": Case(
        lambda i: Tensor(ROWS).gather(1, i), np.array([[1, -2, 2]]),
        IndexError, "gather: index must be from -2 to 1, got 2 at [0, 2].",
        [[ROWS[0, 1], ROWS[0, 0], NAN]],
    ),
    "index": Case(
        lambda i: Tensor(ROWS)[:, i], np.array([0, -3, 7]),
        IndexError, "index: the index array of axis 1 must be from -2 to 1, got -3 at [1].",
        ROWS[:, [0, 0, 1]],
    ),
    "binary_cross_entropy": Case(
        lambda p: F.binary_cross_entropy(p, 1.0, reduction=None), np.array([[0.5, 1.5, NAN]], "f"),
        ValueError, "binary_cross_entropy: input must be from 0 to 1, got 1.5 at [0, 1].",
        [[np.log(2), NAN, NAN]],
    ),
    "binary_cross_entropy of no number": Case(
        lambda p: nn.BCELoss()(p, 1.0), np.array([NAN], "f"), ValueError,
        "binary_cross_entropy: input must be from 0 to 1, got nan at [0]. (in BCELoss)", NAN,
    ),
    "target of binary_cross_entropy": Case(
        lambda t: F.binary_cross_entropy(lucid.full((2,), 0.5), t, reduction=None),
        np.array([1.0, -2.0], "f"), ValueError,
        "binary_cross_entropy: target must be from 0 to 1, got -2.0 at [1].", [np.log(2)] * 2,
    ),
    "kl_div": Case(
        lambda t: F.kl_div(lucid.zeros(2), t, reduction=None), np.array([1.0, -0.5], "f"),
        ValueError, "kl_div: target must be at least 0, got -0.5 at [1].", [0, NAN],
    ),
    "label_smoothing": Case(
        lambda s: F.cross_entropy(lucid.zeros(1, 3), np.array([0]), label_smoothing=s),
        np.array(1.5, "f"),
        ValueError, "cross_entropy: label_smoothing must be from 0 to 1, got 1.5.", np.log(3),
    ),
    "dropout": Case(
        lambda p: F.dropout(lucid.ones(3), p), np.array(-0.5, "f"),
        ValueError, "dropout: p must be from 0 to 1, got -0.5.", None,
    ),
    "bernoulli": Case(
        lucid.random.bernoulli, np.array([-0.5, 1.5, NAN], "f"),
        ValueError, "bernoulli: probs must be from 0 to 1, got -0.5 at [0].", [0, 1, 0],
    ),
    "uniform": Case(
        lambda x: lucid.random.uniform(x, 1.0, 3), np.array([1.0, 2.0, 3.0], "f"),
        ValueError, "uniform: high - low must be at least 0, got -1.0 at [1].", [1, 2, 3],
    ),
    "normal": Case(
        lambda x: lucid.random.normal(0.0, x, 2), np.array([0.0, -1.0], "f"),
        ValueError, "normal: std must be at least 0, got -1.0 at [1].", None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", [np.asarray, Tensor], ids=["numpy", "tensor"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_known_data_is_checked(case: Case, kind: Any) -> None:
    with pytest.raises(case.error, match=f"^{re.escape(case.text)}$"):
        case.call(kind(case.bad))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_compiled_function_gives_what_is_documented(case: Case) -> None:
    result = lucid.jit(case.call)(Tensor(case.bad))
    if case.compiled is not None:
        np.testing.assert_allclose(result.numpy(), case.compiled, rtol=1e-5)


def test_a_refused_draw_moves_no_generator() -> None:
    lucid.random.seed(3)
    before = lucid.random.default_generator().state.tolist()
    for name in ("dropout", "bernoulli", "uniform", "normal"):
        with pytest.raises(ValueError, match=f"^{name}: "):
            CASES[name].call(CASES[name].bad)
    assert lucid.random.default_generator().state.tolist() == before


def test_refused_ids_rescale_no_row() -> None:
    for bad, options in ((7, {}), (-1, {}), (0, {"max_norm": -1.0})):
        layer = nn.Embedding(5, 2, **{"max_norm": 0.1, **options})
        before = layer.weight.numpy()
        with pytest.raises((IndexError, ValueError), match=r"^embedding: "):
            layer(np.array([0, bad]))
        np.testing.assert_array_equal(layer.weight.numpy(), before)
    with pytest.raises(ValueError, match=r"^embedding: padding_idx must be from -5 to 4, got 9\.$"):
        F.embedding(np.array([0]), layer.weight, 9, max_norm=0.1)
    np.testing.assert_array_equal(layer.weight.numpy(), before)


def test_ids_that_do_not_exist_rescale_no_row_in_a_compiled_function() -> None:
    layer = nn.Embedding(5, 2, max_norm=0.1)
    before = layer.weight.numpy()
    lucid.jit(layer)(Tensor([-1, 5]))
    np.testing.assert_array_equal(layer.weight.numpy(), before)


def test_assigning_out_of_range_changes_nothing() -> None:
    x = Tensor(X)
    with pytest.raises(IndexError, match=r"^index: the index array of axis 0 must be from -4 to 3"):
        x[Tensor([1, 4])] = 0.0
    np.testing.assert_array_equal(x.numpy(), X)

    def assign(x: Tensor, i: Tensor) -> Tensor:
        y = x * 1
        y[i] = 0.0
        return y

    found = lucid.jit(assign)(x, Tensor([1, 4]))
    np.testing.assert_array_equal(found.numpy(), np.where(np.arange(4)[:, None] == 1, 0, X))


def test_data_in_range_is_let_through() -> None:
    assert F.cross_entropy(Tensor(X), Tensor([0, -100, 2, 1])).shape == ()
    assert F.cross_entropy(Tensor(X), Tensor(np.full((4, 3), 1 / 3, "f"))).shape == ()
    assert F.binary_cross_entropy(Tensor([0.0, 1.0]), Tensor([1.0, 0.0])).shape == ()
    assert F.kl_div(Tensor([-1.0]), Tensor([-3.0]), log_target=True).shape == ()
    assert F.embedding(Tensor([0, 4]), Tensor(ROWS)).shape == (2, 2)
    assert Tensor(ROWS)[Tensor([-5, 4])].shape == (2, 2)
    assert lucid.random.uniform(1, 1, 2).tolist() == [1, 1]
    assert lucid.random.normal(1, 0, 2).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (1, 0, "uniform: high - low must be at least 0, got -1.0."),
        (0.0, np.inf, f"uniform: high must be from {-np.finfo('f').max:.16e} to"),
        (NAN, 1.0, f"uniform: low must be from {-np.finfo('f').max:.16e} to"),
    ],
)
def test_bounds_of_uniform(low: float, high: float, text: str) -> None:
    weight = lucid.ones(2)
    for call in (lucid.random.uniform, lambda a, b: nn.init.uniform(weight, a, b)):
        with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
            call(low, high)
    assert weight.tolist() == [1, 1]
