"""Numbers are data: new values compile nothing, and a Tensor is read anew and gets its gradient."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F
from tests.helpers import check_op, count_compiles, spaced


class Case(NamedTuple):
    """A function of a Tensor and of a number, and where that number may lie."""

    fn: Callable[[Any, Any], Any]
    reference: Callable[[Any, Any], Any] | None  # in NumPy; None where the gradient is not defined
    low: float = 0.1
    high: float = 0.9


X = spaced(3, 4)
IMAGE = spaced(2, 4, 3, 3)
MASK = np.arange(12).reshape(3, 4) % 3 == 0
P = spaced(3, 4, low=0.1, high=0.9, seed=1)
SIGNS = np.where(spaced(3, 4, seed=2) > 0, 1.0, -1.0)
TARGET = spaced(3, 4, seed=3)
CLASSES = np.array([3, 0, 1])


def log_softmax(x):
    return x - np.log(np.sum(np.exp(x), 1, keepdims=True))


def bounded(x, eps):
    return x / np.maximum(np.linalg.norm(x, 2, 1, keepdims=True), eps)


def smoothed(x, s):
    logs = log_softmax(x)
    return np.mean(-(1 - s) * logs[range(3), CLASSES] - s * np.mean(logs, 1))


def smoothed_probabilities(x, s):
    return np.mean(-np.sum(log_softmax(x) * (P * (1 - s) + s / 4), 1))


def standardised(x, axes, eps):
    centred = x - np.mean(x, axes, keepdims=True)
    return centred / np.sqrt(np.mean(centred**2, axes, keepdims=True) + eps)


def grouped(x, eps):
    return standardised(x.reshape(2, 2, 2, 3, 3), (2, 3, 4), eps).reshape(x.shape)


def response(x, eps):
    norm = np.sqrt(np.sum(x**2, (2, 3), keepdims=True))
    return x + x * norm / (np.mean(norm, 1, keepdims=True) + eps)


def smooth_l1(x, beta):
    d = np.abs(x - TARGET)
    return np.mean(np.where(d < beta, d**2 / (2 * beta), d - beta / 2))


def huber(x, delta):
    d = np.abs(x - TARGET)
    return np.mean(np.where(d <= delta, d**2 / 2, delta * (d - delta / 2)))


def hinge_embedding(x, margin):
    return np.mean(np.where(SIGNS == 1, x, np.maximum(0, margin - x)))


CASES = {
    "lucid.clip min": Case(lambda x, v: lucid.clip(x, v), lambda x, v: np.maximum(x, v)),
    "lucid.clip max": Case(lambda x, v: lucid.clip(x, None, v), lambda x, v: np.minimum(x, v)),
    "lucid.clip both": Case(
        lambda x, v: lucid.clip(x, v - 1, v), lambda x, v: np.clip(x, v - 1, v)
    ),
    "lucid.power": Case(lambda x, v: lucid.power(x * x, v), lambda x, v: (x * x) ** v),
    "lucid.masked_fill": Case(
        lambda x, v: lucid.masked_fill(x, Tensor(MASK), v), lambda x, v: np.where(MASK, v, x)
    ),
    "lucid.pad": Case(
        lambda x, v: lucid.pad(x, (1, 2), v),
        lambda x, v: v + np.pad(x - v, (1, 2)),
    ),
    "lucid.full": Case(lambda x, v: x * lucid.full((3, 4), v), lambda x, v: x * v),
    "F.leaky_relu": Case(F.leaky_relu, lambda x, v: np.where(x > 0, x, v * x)),
    "F.elu": Case(F.elu, lambda x, v: np.where(x > 0, x, v * np.expm1(x))),
    "F.hardtanh min": Case(
        lambda x, v: F.hardtanh(x, -v), lambda x, v: np.minimum(np.maximum(x, -v), 1)
    ),
    "F.hardtanh max": Case(
        lambda x, v: F.hardtanh(x, -1.0, v), lambda x, v: np.minimum(np.maximum(x, -1), v)
    ),
    "F.softplus beta": Case(F.softplus, lambda x, v: np.log1p(np.exp(v * x)) / v),
    "F.softplus threshold": Case(lambda x, v: F.softplus(x, 1.0, v), None),
    "F.smooth_l1_loss": Case(lambda x, v: F.smooth_l1_loss(x, TARGET, beta=v), smooth_l1),
    "F.huber_loss": Case(lambda x, v: F.huber_loss(x, TARGET, v), huber),
    "F.hinge_loss": Case(
        lambda x, v: F.hinge_loss(x, SIGNS, v),
        lambda x, v: np.mean(np.maximum(0, v - SIGNS * x)),
    ),
    "F.hinge_embedding_loss": Case(
        lambda x, v: F.hinge_embedding_loss(x, SIGNS, v), hinge_embedding
    ),
    "F.binary_cross_entropy eps": Case(
        lambda x, v: F.binary_cross_entropy(F.sigmoid(x), P, eps=v), None
    ),
    "F.cross_entropy smoothing": Case(
        lambda x, v: F.cross_entropy(x, CLASSES, label_smoothing=v), smoothed
    ),
    "F.cross_entropy of probabilities": Case(
        lambda x, v: F.cross_entropy(x, P, label_smoothing=v), smoothed_probabilities
    ),
    "F.cross_entropy eps": Case(lambda x, v: F.cross_entropy(x, CLASSES, eps=v), None),
    "F.batch_norm eps": Case(
        lambda x, v: F.batch_norm(x, eps=v), lambda x, v: standardised(x, 0, v)
    ),
    "F.batch_norm evaluation": Case(
        lambda x, v: F.batch_norm(x, TARGET[0], P[0], training=False, eps=v),
        lambda x, v: (x - TARGET[0]) / np.sqrt(P[0] + v),
    ),
    "F.layer_norm": Case(
        lambda x, v: F.layer_norm(x, 4, eps=v), lambda x, v: standardised(x, 1, v)
    ),
    "F.normalize eps": Case(
        lambda x, v: F.normalize(x, eps=v * 20), lambda x, v: bounded(x, v * 20)
    ),
    "F.cosine_similarity": Case(
        lambda x, v: F.cosine_similarity(x, x * x, eps=v * 20),
        lambda x, v: np.sum(bounded(x, v * 20) * bounded(x * x, v * 20), 1),
    ),
    "F.normalize ord": Case(
        lambda x, v: F.normalize(x, v + 1.53),
        lambda x, v: x / np.sum(np.abs(x) ** (v + 1.53), 1, keepdims=True) ** (1 / (v + 1.53)),
    ),
}
OF_IMAGES = {
    "F.instance_norm eps": Case(
        lambda x, v: F.instance_norm(x, eps=v), lambda x, v: standardised(x, (2, 3), v)
    ),
    "F.group_norm": Case(lambda x, v: F.group_norm(x, 2, eps=v), grouped),
    "F.global_response_norm": Case(
        lambda x, v: F.global_response_norm(x, np.ones(4), np.zeros(4), v), response
    ),
}
# Numbers that act on what is drawn or kept.
OTHERS: dict[str, Callable[[Any, Any], Any]] = {
    "F.batch_norm momentum": lambda x, v: F.batch_norm(x, *statistics(), momentum=v),
    "F.instance_norm momentum": lambda x, v: F.instance_norm(x, *statistics(), momentum=v),
    "F.dropout": F.dropout,
    "F.dropout1d": lambda x, v: F.dropout1d(x[0], v),
    "F.dropout2d": F.dropout2d,
    "F.dropout3d": F.dropout3d,
    "F.alpha_dropout": F.alpha_dropout,
    "F.drop_path": F.drop_path,
    "lucid.isclose": lambda x, v: lucid.isclose(x, 2 * x, v, v),
    "lucid.allclose": lambda x, v: lucid.allclose(x, 2 * x, v, v),
    "F.drop_block": lambda x, v: F.drop_block(x, 2, v),
    "F.drop_block eps": lambda x, v: F.drop_block(x, 2, 0.5, v),
    "F.embedding max_norm": lambda x, v: F.embedding(IDS, WEIGHT, max_norm=v),
    "F.embedding norm_type": lambda x, v: F.embedding(IDS, WEIGHT, max_norm=1.0, norm_type=v + 1),
    "nn.init": lambda x, v: [
        nn.init.uniform(WEIGHT, -v, v),
        nn.init.normal(WEIGHT, v, v),
        nn.init.constant(WEIGHT, v),
        nn.init.xavier_uniform(WEIGHT, v),
        nn.init.kaiming_normal(WEIGHT, a=v),
    ],
    "nn.utils": lambda x, v: [
        nn.utils.clip_grad_value(LEARNED, v),
        nn.utils.clip_grad_norm(LEARNED, v, v + 1, v),
        nn.utils.get_total_norm(LEARNED, v),
    ],
    "nn.utils.EMA": lambda x, v: averaged(v),
}
IDS = Tensor([2, 0, 2])
WEIGHT = Tensor(spaced(4, 3).astype(np.float32))
LEARNED = nn.Parameter([1.0, 2.0])
LEARNED.grad = Tensor([0.5, 3.0])
AVERAGE = nn.utils.EMA(nn.Linear(2, 2))
MODEL = nn.Linear(2, 2)
STATISTICS = (Tensor(np.zeros(4)), Tensor(np.ones(4)))


def statistics():
    return STATISTICS


def averaged(decay):
    AVERAGE.decay = decay
    AVERAGE.update(MODEL)


ALL = {
    **{name: (case.fn, X, case.low, case.high) for name, case in CASES.items()},
    **{name: (case.fn, IMAGE, case.low, case.high) for name, case in OF_IMAGES.items()},
    **{name: (fn, IMAGE, 0.1, 0.9) for name, fn in OTHERS.items()},
}


@pytest.mark.parametrize("name", ALL)
def test_new_numbers_compile_nothing(name):
    fn, array, low, high = ALL[name]
    x = Tensor(array.astype(np.float32), requires_grad=True)

    def run(value):
        y = fn(x, value)
        if isinstance(y, Tensor) and y.requires_grad:
            y.backward()

    values = np.linspace(low, high, 33).tolist()
    run(values.pop())
    run(values.pop())
    with count_compiles(expect=0):
        for value in values:
            run(value)


WITH_GRADIENT = {
    name: (case, array)
    for cases, array in ((CASES, X), (OF_IMAGES, IMAGE))
    for name, case in cases.items()
    if case.reference is not None
}


@pytest.mark.parametrize("name", WITH_GRADIENT)
def test_a_tensor_has_the_gradient(name):
    case, array = WITH_GRADIENT[name]
    check_op(case.fn, case.reference, array, np.array(0.4567))


@pytest.mark.parametrize("name", WITH_GRADIENT)
def test_a_tensor_is_read_anew_and_counts_as_the_number(name):
    case, array = WITH_GRADIENT[name]
    x, number = Tensor(array.astype(np.float32)), Tensor(0.3)
    for value in (0.3, 0.7):
        number.data = value
        np.testing.assert_allclose(
            case.fn(x, number).numpy(), case.fn(x, value).numpy(), rtol=2e-6, atol=1e-6
        )


@pytest.mark.parametrize("name", sorted(set(WITH_GRADIENT) - {"lucid.full"}))
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bit_floats_stay(name, dtype):
    case, array = WITH_GRADIENT[name]
    x = Tensor(array, dtype=dtype)
    assert case.fn(x, 0.4).dtype == x.dtype


@pytest.mark.parametrize("name", WITH_GRADIENT)
def test_the_number_counts_inside_a_compiled_function(name):
    case, array = WITH_GRADIENT[name]
    x, number = Tensor(array.astype(np.float32)), Tensor(0.3)
    compiled = lucid.jit(case.fn)
    for value in (0.3, 0.7):
        number.data = value
        expected = case.fn(x, value).numpy()
        np.testing.assert_allclose(compiled(x, number).numpy(), expected, rtol=2e-5, atol=2e-6)


def test_the_table_holds_all_numbers():
    """Every parameter of a declared function whose default is a number and that is data."""
    numbers = {
        f"{place}.{name}"
        for place, module in (("lucid", lucid), ("F", F))
        for name, function in inspect.getmembers(module)
        if inspect.isfunction(function) and hasattr(function, "declaration")
        for kind, default in zip(
            function.declaration.kinds, function.declaration.defaults, strict=True
        )
        if kind.data and isinstance(default, float)
    }
    assert numbers <= {name.split()[0] for name in ALL}


@pytest.mark.parametrize("ord", [1, 2, 3.0, 2.5, np.inf, -1])
def test_norms_of_all_orders(ord):
    if ord == -1:
        with pytest.raises(ValueError, match=r"^normalize: ord must be positive, got -1\.$"):
            F.normalize(Tensor(X), ord)
        return
    norm = np.linalg.norm(X, ord, 1, keepdims=True)
    check_op(
        lambda x: F.normalize(x, ord), lambda x: x / np.linalg.norm(x, ord, 1, keepdims=True), X
    )
    with jax.enable_x64(True):
        given = Tensor(float(ord))
        np.testing.assert_allclose(F.normalize(Tensor(X), given).numpy(), X / norm, rtol=1e-12)
