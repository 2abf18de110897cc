"""Schedulers: definitions, combinations, checkpoints and errors."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.optim import lr_scheduler as s
from tests.helpers import count_compiles


def sgd(lr=0.5, **options):
    return lucid.optim.SGD([nn.Parameter([1.0])], lr, **options)


def rates(scheduler, steps=40):
    history = [scheduler.last_lr[0]]
    for _ in range(steps):
        scheduler.step()
        assert scheduler.last_lr == scheduler.get_last_lr()
        assert scheduler.optimizer.param_groups[0]["lr"] == scheduler.last_lr[0]
        assert isinstance(scheduler.last_lr[0], float)
        history.append(scheduler.last_lr[0])
    return np.array(history)


def triangle(t, up, down):
    at = t % (up + down)
    return at / up if at <= up else (up + down - at) / down


def one_cycle(t):
    """From 0.04 to 1 in 11 steps, then to 4e-6 in 28, on half cosines."""
    if t <= 11:
        return 1 + (0.04 - 1) * (1 + math.cos(math.pi * t / 11)) / 2
    return 4e-6 + (1 - 4e-6) * (1 + math.cos(math.pi * (t - 11) / 28)) / 2


def restarts(t):
    """Half cosines from 0.5 to 0.1 that begin at these epochs."""
    begin, end = next(pair for pair in itertools.pairwise((0, 3, 9, 21, 45)) if t < pair[1])
    return 0.1 + 0.2 * (1 + math.cos(math.pi * (t - begin) / (end - begin)))


# name: (scheduler, the rate of epoch t; the optimizer's own is 0.5)
MAKE = {
    "StepLR": (lambda o: s.StepLR(o, 6, 0.3), lambda t: 0.5 * 0.3 ** (t // 6)),
    "MultiStepLR": (
        lambda o: s.MultiStepLR(o, [9, 2, 9], 0.7),
        lambda t: 0.5 * 0.7 ** ((t >= 2) + 2 * (t >= 9)),
    ),
    "ExponentialLR": (lambda o: s.ExponentialLR(o, 0.9), lambda t: 0.5 * 0.9**t),
    "LinearLR": (lambda o: s.LinearLR(o, 0.2, 0.8, 10), lambda t: 0.5 * (0.2 + 0.06 * min(t, 10))),
    "ConstantLR": (lambda o: s.ConstantLR(o, 0.3, 7), lambda t: 0.15 if t < 7 else 0.5),
    "PolynomialLR": (
        lambda o: s.PolynomialLR(o, 30, 1.7),
        lambda t: 0.5 * max(1 - t / 30, 0) ** 1.7,
    ),
    "CosineAnnealingWarmRestarts": (
        lambda o: s.CosineAnnealingWarmRestarts(o, 3, 2, 0.1),
        restarts,
    ),
    "CosineAnnealingLR": (
        lambda o: s.CosineAnnealingLR(o, 8, 0.1),
        lambda t: 0.1 + 0.2 * (1 + math.cos(math.pi * t / 8)),
    ),
    "LambdaLR": (lambda o: s.LambdaLR(lambda t: 1 / (t + 1), o), lambda t: 0.5 / (t + 1)),
    "NoamScheduler": (
        lambda o: s.NoamScheduler(o, 16, 10, 2.0),
        lambda t: 2 / 4 * min(max(t, 1) ** -0.5, max(t, 1) * 10**-1.5),
    ),
    "CyclicLR": (
        lambda o: s.CyclicLR(o, 0.1, 0.9, 4, 6, cycle_momentum=False),
        lambda t: 0.1 + 0.8 * triangle(t, 4, 6),
    ),
    "OneCycleLR": (lambda o: s.OneCycleLR(o, 1.0, 40, cycle_momentum=False), one_cycle),
    "SequentialLR": (
        lambda o: s.SequentialLR(o, [s.LinearLR(o, 0.5), s.ExponentialLR(o, 0.9)], [10]),
        lambda t: 0.5 * (0.5 + 0.1 * min(t, 5) if t < 10 else 0.9 ** (t - 10)),
    ),
}


@pytest.mark.parametrize("name", MAKE)
class TestEvery:
    def test_definition(self, name):
        make, rate = MAKE[name]
        np.testing.assert_allclose(
            rates(make(sgd()), 39), [rate(t) for t in range(40)], rtol=1e-12, atol=1e-15
        )

    def test_jump(self, name):
        make, rate = MAKE[name]
        scheduler = make(sgd())
        for t in (17, 3, 0, 12):
            scheduler.step(t)
            assert scheduler.last_epoch == t
            assert scheduler.last_lr == pytest.approx([rate(t)], rel=1e-12)
        scheduler.step()
        assert scheduler.last_lr == pytest.approx([rate(13)], rel=1e-12)

    def test_state_dict(self, name):
        make, _ = MAKE[name]
        first, second = make(sgd()), make(sgd())
        rates(first, 13)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        second.optimizer.load_state_dict(first.optimizer.state_dict())
        assert second.last_lr == first.last_lr
        assert second.last_epoch == first.last_epoch == 13
        np.testing.assert_array_equal(rates(first, 20), rates(second, 20))

    def test_state_dict_is_refused_whole(self, name):
        make, _ = MAKE[name]
        scheduler = make(sgd())
        before = scheduler.state_dict()
        state = {**before, "last_epoch": 7, "base_lrs": [1.0, 2.0], "other": 1}
        del state["_last_lr"]
        text = (
            rf"the state does not fit this {name}, and nothing was changed.\n  missing: _last_lr"
            r"\n  unexpected: other\n  base_lrs: 2 groups instead of 1"
        )
        with pytest.raises(ValueError, match=text):
            scheduler.load_state_dict(state)
        assert scheduler.state_dict() == before

    def test_step_compiles_nothing(self, name):
        make, _ = MAKE[name]
        w = nn.Parameter([1.0])
        optimizer = lucid.optim.SGD([w], 0.5, momentum=0.9)
        w.grad = lucid.ones_like(w)
        optimizer.step()
        scheduler = make(optimizer)
        with count_compiles(expect=0):
            for _ in range(12):
                scheduler.step()
                optimizer.step()

    def test_needs_an_optimizer(self, name):
        make, _ = MAKE[name]
        with pytest.raises(TypeError, match="optimizer must be an Optimizer, got list"):
            make([])


def test_every_scheduler_is_here():
    assert set(s.__all__) == {*MAKE, "LRScheduler", "ReduceLROnPlateau"}


@pytest.mark.parametrize(("mult", "length"), [(1, 4), (2, 8)])
def test_fractions_of_an_epoch(mult, length):
    scheduler = s.CosineAnnealingWarmRestarts(sgd(), 4, mult)
    scheduler.step(4.5)
    assert scheduler.last_lr == [0.25 * (1 + math.cos(math.pi * 0.5 / length))]
    scheduler.step()
    assert scheduler.last_epoch == 5.5
    assert scheduler.last_lr == [0.25 * (1 + math.cos(math.pi * 1.5 / length))]


# --- Groups and combinations ------------------------------------------------------------------


def test_groups_and_lists():
    groups = [{"params": [nn.Parameter([1.0])]}, {"params": [nn.Parameter([1.0])], "lr": 0.1}]
    optimizer = lucid.optim.SGD(groups, lr=1.0)
    scheduler = s.LambdaLR([lambda t: 2.0**t, lambda t: 3.0**t], optimizer)
    scheduler.step()
    assert scheduler.last_lr == pytest.approx([2.0, 0.3])
    optimizer.add_param_group({"params": [nn.Parameter([1.0])]})
    with pytest.raises(ValueError, match="has 3 parameter groups, and the scheduler was made for"):
        scheduler.step()
    assert scheduler.last_epoch == 1


def test_two_schedulers_multiply_and_hand_changes_stay():
    optimizer = sgd(1.0)
    steps, falls = s.StepLR(optimizer, 2, 0.5), s.ExponentialLR(optimizer, 0.9)
    for t in range(1, 7):
        steps.step()
        falls.step()
        assert falls.last_lr == pytest.approx([0.5 ** (t // 2) * 0.9**t])
    optimizer.param_groups[0]["lr"] = 8.0
    steps.step()
    steps.step()
    assert steps.last_lr == [4.0]


def test_resume_by_last_epoch():
    optimizer = sgd(1.0)
    scheduler = s.ExponentialLR(optimizer, 0.5)
    rates(scheduler, 3)
    again = sgd(7.0)
    again.load_state_dict(optimizer.state_dict())
    resumed = s.ExponentialLR(again, 0.5, last_epoch=scheduler.last_epoch - 1)
    assert resumed.last_lr == scheduler.last_lr
    np.testing.assert_array_equal(rates(resumed, 5), rates(scheduler, 5))
    with pytest.raises(ValueError, match=r'last_epoch=2 resumes, but a group .* no "initial_lr"'):
        s.ExponentialLR(sgd(), 0.5, last_epoch=2)


def test_sequential_in_sequential():
    optimizer = sgd(1.0)
    inner = s.SequentialLR(optimizer, [s.LinearLR(optimizer, 0.5, 1.0, 2), s.StepLR(optimizer, 2)],
                           [3])  # fmt: skip
    outer = s.SequentialLR(optimizer, [s.ExponentialLR(optimizer, 0.5), inner], [2])
    expected = [1, 0.5, 0.5, 0.75, 1, 1, 1, 0.1, 0.1, 0.01]
    np.testing.assert_allclose(rates(outer, 9), expected)
    inner_first = s.SequentialLR(optimizer, [inner, s.ExponentialLR(optimizer, 0.5)], [5])
    np.testing.assert_allclose(rates(inner_first, 6), [0.5, 0.75, 1, 1, 1, 1, 0.5])


@pytest.mark.parametrize("make", [sgd, lambda **o: lucid.optim.Adam([nn.Parameter([1.0])])])
def test_momentum_moves_against_the_rate(make):
    optimizer = make(momentum=0.9)
    scheduler = s.CyclicLR(optimizer, 0.1, 0.5, 2, base_momentum=0.6, max_momentum=0.8)

    def momentum():
        (group,) = optimizer.param_groups
        return group["betas"][0] if "betas" in group else group["momentum"]

    seen = [momentum()]
    for _ in range(4):
        scheduler.step()
        seen.append(momentum())
    assert seen == pytest.approx([0.8, 0.7, 0.6, 0.7, 0.8])


def test_verbose(capsys):
    scheduler = s.StepLR(sgd(), 1, verbose=True)
    scheduler.step()
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 0: learning rate of group 0 is 5.0000e-01.",
        "Epoch 1: learning rate of group 0 is 5.0000e-02.",
    ]


def test_a_schedule_that_raises_does_not_advance():
    def rate(t):
        if t == 2:
            raise RuntimeError("no such epoch")
        return 1.0

    scheduler = s.LambdaLR(rate, sgd())
    scheduler.step()
    with pytest.raises(RuntimeError, match="no such epoch"):
        scheduler.step()
    assert scheduler.last_epoch == 1
    short = s.OneCycleLR(sgd(momentum=0.9), 1.0, 2)
    rates(short, 2)
    before = short.state_dict()
    with pytest.raises(ValueError, match="the cycle has 2 steps, and step 3 was asked for"):
        short.step()
    assert short.state_dict() == before


# --- ReduceLROnPlateau ------------------------------------------------------------------------


def test_plateau():
    scheduler = s.ReduceLROnPlateau(sgd(1.0), "min", 0.5, patience=1, cooldown=2, min_lr=0.2)
    losses = [3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    seen = []
    for loss in losses:
        scheduler.step(lucid.Tensor(loss))
        seen += scheduler.last_lr
    assert seen == [1.0] * 3 + [0.5] * 4 + [0.25] * 4 + [0.2] * 3
    again = s.ReduceLROnPlateau(sgd(1.0), "min")
    again.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
    assert again.state_dict() == scheduler.state_dict()
    assert again.is_better(0.5)
    assert not again.is_better(1.0)


# --- Errors -----------------------------------------------------------------------------------

ERRORS = {
    "step_size": (lambda o: s.StepLR(o, 0), "StepLR: step_size must be above 0, got 0."),
    "gamma": (lambda o: s.ExponentialLR(o, -1.0), "ExponentialLR: gamma must be above 0, got -1.0"),
    "T_0": (
        lambda o: s.CosineAnnealingWarmRestarts(o, 0),
        "CosineAnnealingWarmRestarts: T_0 must be above 0, got 0.",
    ),
    "T_mult": (
        lambda o: s.CosineAnnealingWarmRestarts(o, 2, 1.5),
        "CosineAnnealingWarmRestarts: T_mult must be an integer, got 1.5.",
    ),
    "power": (lambda o: s.PolynomialLR(o, 5, 0), "PolynomialLR: power must be above 0, got 0."),
    "share": (lambda o: s.ConstantLR(o, 1.5), "ConstantLR: factor must be at most 1, got 1.5."),
    "T_max": (lambda o: s.CosineAnnealingLR(o, 0), "CosineAnnealingLR: T_max must be above 0"),
    "start": (lambda o: s.LinearLR(o, 2.0), "LinearLR: factors must lie between 0 and 1, got"),
    "warmup": (lambda o: s.NoamScheduler(o, 8, 0), "NoamScheduler: warmup_steps must be above 0"),
    "mode": (
        lambda o: s.CyclicLR(o, 0.1, 1.0, 5, mode="square"),
        'CyclicLR: mode must be "triangular", "triangular2" or "exp_range", got \'square\'.',
    ),
    "momentum": (
        lambda o: s.CyclicLR(o, 0.1, 1.0, 5),
        "CyclicLR: cycle_momentum needs betas or a momentum above 0 in every group. Pass "
        "cycle_momentum=False",
    ),
    "max_lr": (
        lambda o: s.CyclicLR(o, 0.1, [1.0, 2.0], 5),
        "CyclicLR: max_lr has 2 entries for 1 parameter groups.",
    ),
    "length": (
        lambda o: s.OneCycleLR(o, 1.0, epochs=3),
        "OneCycleLR: give total_steps, or epochs and steps_per_epoch.",
    ),
    "pct_start": (lambda o: s.OneCycleLR(o, 1.0, 9, pct_start=2.0), "OneCycleLR: pct_start must"),
    "strategy": (
        lambda o: s.OneCycleLR(o, 1.0, 9, anneal_strategy="sin"),
        'OneCycleLR: anneal_strategy must be "cos" or "linear", got \'sin\'.',
    ),
    "factor": (
        lambda o: s.ReduceLROnPlateau(o, "min", 1.0),
        "ReduceLROnPlateau: factor must be at least 0 and below 1, got 1.0.",
    ),
    "plateau mode": (
        lambda o: s.ReduceLROnPlateau(o, "low"),
        'ReduceLROnPlateau: mode must be "min" or "max", got \'low\'.',
    ),
    "milestones": (
        lambda o: s.SequentialLR(o, [s.StepLR(o, 1)], [1]),
        "SequentialLR: there must be one milestone less than schedulers, got 1 milestones and 1",
    ),
    "order": (
        lambda o: s.SequentialLR(o, [s.StepLR(o, 1) for _ in range(3)], [4, 4]),
        r"SequentialLR: milestones must ascend from above 0, got \[4, 4\].",
    ),
    "plateau in a sequence": (
        lambda o: s.SequentialLR(o, [s.ReduceLROnPlateau(o)], []),
        "SequentialLR: scheduler 0 is a ReduceLROnPlateau, which needs a measurement",
    ),
    "another optimizer": (
        lambda o: s.SequentialLR(o, [s.StepLR(sgd(), 1)], []),
        "SequentialLR: scheduler 0 belongs to another optimizer.",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_refusal(case):
    make, text = ERRORS[case]
    optimizer = sgd()
    with pytest.raises(ValueError, match=text):
        make(optimizer)
    assert optimizer.param_groups[0]["momentum"] == 0


def test_a_refused_cycle_leaves_the_optimizer_as_it_was():
    optimizer = sgd()
    before = optimizer.state_dict()
    for case in ("mode", "momentum", "max_lr", "length", "pct_start", "strategy"):
        with pytest.raises(ValueError, match="LR: "):
            ERRORS[case][0](optimizer)
    assert optimizer.state_dict() == before


def test_lambda_refuses_other_types():
    with pytest.raises(TypeError, match="lr_lambda comes first, then the optimizer"):
        s.LambdaLR(sgd(), lambda t: 1.0)
    with pytest.raises(TypeError, match="lr_lambda must be a function, got float"):
        s.LambdaLR(0.5, sgd())
    with pytest.raises(TypeError, match="scheduler 0 must be an LRScheduler, got int"):
        s.SequentialLR(sgd(), [1], [])


def test_a_scheduler_shows_its_numbers_and_rates():
    optimizer = lucid.optim.SGD([nn.Parameter([1.0])], lr=1.0)
    step = lucid.optim.lr_scheduler.StepLR(optimizer, step_size=2)
    step.step()
    assert repr(step) == "StepLR(step_size=2, gamma=0.1, last_epoch=1, last_lr=[1.0])"
    both = lucid.optim.lr_scheduler.SequentialLR(optimizer, [step], [])
    assert repr(both) == (
        "SequentialLR(schedulers=[StepLR(step_size=2, gamma=0.1, last_epoch=0, last_lr=[1.0])], "
        "milestones=[], last_epoch=0, last_lr=[1.0])"
    )
