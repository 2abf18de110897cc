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


def problem(dtype):
    """Where parameters start, and what is added to their gradient, cos(p), in each step."""
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


# PyTorch's ASGD has no momentum, and its SGD does not count the steps that dampening needs.
@pytest.mark.parametrize(
    ("name", "options"),
    [case for case in OPTIMIZERS if "ASGD" not in case.id and "dampening" not in case.id],
)
def test_a_state_of_pytorch_is_gone_on_with(name, options, float64):
    starts, noise = problem(np.float64)
    theirs = [torch.nn.Parameter(torch.tensor(start)) for start in starts]
    their_optimizer = getattr(torch.optim, name)(theirs, **options)

    def step(optimizer, params, as_tensor, t):
        for param, gradient in zip(params, noise[t], strict=True):
            param.grad = as_tensor(gradient)
        optimizer.step()

    for t in range(5):
        step(their_optimizer, theirs, torch.tensor, t)
    ours = [nn.Parameter(param.detach().numpy()) for param in theirs]
    our_optimizer = getattr(lucid.optim, name)(ours, lr=7.0)
    our_optimizer.load_state_dict(their_optimizer.state_dict())
    for t in range(5, 10):
        step(their_optimizer, theirs, torch.tensor, t)
        step(our_optimizer, ours, lucid.Tensor, t)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-12, atol=1e-12)


def lbfgs_path(library, parameter, values, options, steps):
    """What each step returned, the parameters behind it, and how often the loss was computed."""
    x, y = (parameter(np.array(v)) for v in ([-1.2, 1.0], [[0.5], [2.0]]))
    optimizer = library.optim.LBFGS([x, y], **options)
    path = []
    calls = [0]

    def closure():
        calls[0] += 1
        optimizer.zero_grad()
        a, b, c, d = x[0], x[1], y[0, 0], y[1, 0]
        loss = 100 * (b - a**2) ** 2 + (1 - a) ** 2 + (c - d) ** 4 + (c * a - 1) ** 2 + d**2
        loss.backward()
        return loss

    for _ in range(steps):
        loss = optimizer.step(closure)
        path.append([values(loss).item(), *values(x).ravel(), *values(y).ravel(), calls[0]])
    return np.array(path)


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"line_search_fn": "strong_wolfe"}, 4),
        ({"line_search_fn": "strong_wolfe", "max_iter": 3, "history_size": 2}, 12),
        ({"line_search_fn": "strong_wolfe", "lr": 0.3, "max_iter": 4}, 6),
        ({"line_search_fn": "strong_wolfe", "max_eval": 5}, 6),
        ({"lr": 0.1, "max_iter": 5}, 8),
        ({"lr": 0.05, "max_iter": 1, "history_size": 3}, 30),
    ],
)
def test_lbfgs(options, steps, float64):
    ours = lbfgs_path(lucid, nn.Parameter, lambda t: t.numpy(), options, steps)
    theirs = lbfgs_path(
        torch, lambda v: torch.nn.Parameter(torch.tensor(v)), lambda t: t.detach().numpy(),
        options, steps,
    )  # fmt: skip
    np.testing.assert_array_equal(ours[:, -1], theirs[:, -1])  # the same points were looked at
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


# --- Schedulers -------------------------------------------------------------------------------


def lambdas(module, optimizer, function):
    """lucid has the function first."""
    order = (function, optimizer) if module is lucid.optim.lr_scheduler else (optimizer, function)
    return module.LambdaLR(*order)


def warmup_then(module, optimizer, second):
    schedulers = [module.LinearLR(optimizer, 0.1, total_iters=7), second(module, optimizer)]
    return module.SequentialLR(optimizer, schedulers, milestones=[10])


SCHEDULERS = {
    "StepLR": lambda m, o: m.StepLR(o, 7, 0.3),
    "MultiStepLR": lambda m, o: m.MultiStepLR(o, [3, 9, 9, 30], 0.5),
    "ExponentialLR": lambda m, o: m.ExponentialLR(o, 0.93),
    "CosineAnnealingLR": lambda m, o: m.CosineAnnealingLR(o, 13, eta_min=0.01),
    "CosineAnnealingLR to 0": lambda m, o: m.CosineAnnealingLR(o, 20),
    "CosineAnnealingWarmRestarts": lambda m, o: m.CosineAnnealingWarmRestarts(o, 13, eta_min=0.01),
    "CosineAnnealingWarmRestarts, longer": lambda m, o: m.CosineAnnealingWarmRestarts(o, 5, 3),
    "ConstantLR": lambda m, o: m.ConstantLR(o, 0.2, 17),
    "PolynomialLR": lambda m, o: m.PolynomialLR(o, 40),
    "PolynomialLR, power": lambda m, o: m.PolynomialLR(o, 30, 0.7),
    "LambdaLR": lambda m, o: lambdas(m, o, lambda epoch: 1 / (1 + epoch)),
    "LambdaLR of groups": lambda m, o: lambdas(m, o, [lambda t: 0.9**t, lambda t: t / 60]),
    "LinearLR": lambda m, o: m.LinearLR(o, 0.25, 0.75, total_iters=11),
    "LinearLR to 0": lambda m, o: m.LinearLR(o, 1.0, 0.0, total_iters=30),
    "CyclicLR": lambda m, o: m.CyclicLR(o, 0.01, 0.3, 5, 8),
    "CyclicLR, mode": lambda m, o: m.CyclicLR(o, [0.01, 0.02], [0.3, 0.5], 6, mode="triangular2"),
    "CyclicLR, gamma": lambda m, o: m.CyclicLR(o, 0.01, 0.3, 5, mode="exp_range", gamma=0.97),
    "CyclicLR, scale": lambda m, o: m.CyclicLR(
        o, 0.01, 0.3, 5, scale_fn=lambda t: 1 / (1 + t), cycle_momentum=False
    ),
    "OneCycleLR": lambda m, o: m.OneCycleLR(o, 0.5, total_steps=61),
    "OneCycleLR, lines": lambda m, o: m.OneCycleLR(
        o, [0.5, 0.7], epochs=4, steps_per_epoch=20, anneal_strategy="linear", pct_start=0.4
    ),
    "OneCycleLR, three phases": lambda m, o: m.OneCycleLR(
        o, 0.5, 70, three_phase=True, base_momentum=0.7, div_factor=10.0, final_div_factor=50.0
    ),
    "SequentialLR": lambda m, o: warmup_then(m, o, lambda m, o: m.CosineAnnealingLR(o, 30)),
    "SequentialLR, exponential": lambda m, o: warmup_then(
        m, o, lambda m, o: m.ExponentialLR(o, 0.9)
    ),
    "SequentialLR, lambda": lambda m, o: warmup_then(m, o, lambda m, o: lambdas(m, o, lambda t: t)),
    "SequentialLR, cycle": lambda m, o: warmup_then(m, o, lambda m, o: m.CyclicLR(o, 0.1, 0.2, 5)),
    "two at once": lambda m, o: [m.StepLR(o, 5), m.CosineAnnealingLR(o, 25)],
    "two at once, a line": lambda m, o: [m.LinearLR(o), m.ExponentialLR(o, 0.9)],
}


def rates(make, optim, parameter, name, extra):
    groups = [{"params": [parameter()]}, {"params": [parameter()], "lr": 0.2}]
    optimizer = getattr(optim, name)(groups, lr=0.1, **extra)
    made = make(optim.lr_scheduler, optimizer)
    schedulers = made if isinstance(made, list) else [made]
    history = []
    for _ in range(61):
        momenta = [g["betas"][0] if "betas" in g else g["momentum"] for g in optimizer.param_groups]
        history.append([*schedulers[-1].get_last_lr(), *momenta])
        assert schedulers[-1].get_last_lr() == [g["lr"] for g in optimizer.param_groups]
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return np.array(history)


def both_rates(make, name, extra):
    ours = rates(make, lucid.optim, lambda: nn.Parameter([1.0]), name, extra)
    theirs = rates(make, torch.optim, lambda: torch.nn.Parameter(torch.ones(1)), name, extra)
    return ours, theirs


@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize(("name", "extra"), [("SGD", {"momentum": 0.9}), ("Adam", {})])
@pytest.mark.parametrize("case", SCHEDULERS)
def test_scheduler(case, name, extra):
    ours, theirs = both_rates(SCHEDULERS[case], name, extra)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-16)


PLATEAUS = [
    {"patience": 2},
    {"patience": 1, "mode": "max", "factor": 0.5, "cooldown": 3},
    {"patience": 0, "threshold": 0.1, "threshold_mode": "abs", "min_lr": [0.01, 0.001]},
    {"patience": 0, "threshold": 0.1, "threshold_mode": "abs", "mode": "max", "eps": 0.02},
    {"patience": 1, "threshold": 0.2, "mode": "max", "factor": 0.9},
]


@pytest.mark.parametrize("options", PLATEAUS)
def test_plateau(options):
    losses = np.random.default_rng(3).uniform(0.5, 1.5, 60) - 0.01 * np.arange(60)
    histories = []
    for optim, parameter in (
        (lucid.optim, nn.Parameter([1.0])),
        (torch.optim, torch.nn.Parameter(torch.ones(1))),
    ):
        second = [{"params": [parameter]}, {"params": [type(parameter)(parameter.data)], "lr": 0.2}]
        optimizer = optim.SGD(second, lr=0.1)
        scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
        history = []
        for loss in losses:
            scheduler.step(loss)
            history.append(list(scheduler.get_last_lr()))
        histories.append(history)
    np.testing.assert_allclose(*histories, rtol=1e-14)
    assert len(np.unique(histories[0])) > 3
