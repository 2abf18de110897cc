"""Whole programs, run eagerly and compiled from the same seeds: equal parameters after many steps.

In float64 to 1e-12. In float32 to 2e-4: XLA fuses what eager mode rounds one by one, and steps of
an optimizer carry the differences on.
"""

from __future__ import annotations

import copy

import jax
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F
from lucid.nn.utils import clip_grad_norm
from tests._core.jit.models import mlp
from tests.optim.cases import OPTIMIZERS

STEPS = 50
EAGER_IS_SLOW = 12  # steps of programs of which one eager step takes tens of milliseconds
DTYPES = [pytest.param("float64", 1e-12, id="float64"), pytest.param("float32", 2e-4, id="float32")]


def batch(i, n=4, width=3):
    rng = np.random.default_rng(i)
    return Tensor(rng.standard_normal((n, width)), dtype=float)


def values(*holders):
    """All that Modules, optimizers and Tensors hold, as NumPy arrays."""
    found = []
    for holder in holders:
        if isinstance(holder, Tensor):
            found.append(holder.numpy())
        elif isinstance(holder, nn.Module):
            found += [t.numpy() for t in (*holder.parameters(), *holder.buffers())]
        else:
            found += [t.numpy() for state in holder.state.values() for t in state.values()]
    return found


# Each program takes the wrapper of its steps (`lucid.jit`, or nothing) and returns what to compare.


def accumulation(wrap):
    model = mlp(3, 4, 1)
    optimizer = lucid.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    @wrap
    def step(batches):
        optimizer.zero_grad()
        for x in batches:
            ((model(x) - x.sum(1, keepdims=True)) ** 2).mean().backward()
        optimizer.step()

    for i in range(EAGER_IS_SLOW):
        step([batch(i), batch(i + 1), batch(i + 2)])
    return values(model, optimizer)


def accumulation_over_calls(wrap):
    model = mlp(3, 4, 1)
    optimizer = lucid.optim.SGD(model.parameters(), lr=0.1)
    accumulate = wrap(lambda x: (model(x) ** 2).mean().backward())

    @wrap
    def update():
        optimizer.step()
        optimizer.zero_grad()

    for i in range(STEPS):
        accumulate(batch(i))
        if i % 3 == 2:
            update()
    return values(model)


def gan(wrap):
    D, G = mlp(4, 5, 1, seed=1), mlp(64, 4, seed=2)
    d_opt = lucid.optim.Adam(D.parameters(), lr=0.01)
    g_opt = lucid.optim.Adam(G.parameters(), lr=0.01)

    def bce(x, target):
        return F.binary_cross_entropy(F.sigmoid(x), lucid.full_like(x, target))

    # fmt: off
    @wrap
    def train_step(real):
        z = lucid.random.randn(real.shape[0], 64)
        d_opt.zero_grad(); d_loss = bce(D(real), 1) + bce(D(G(z).detach()), 0); d_loss.backward(); d_opt.step()  # noqa: E501, E702
        g_opt.zero_grad(); g_loss = bce(D(G(z)), 1);                            g_loss.backward(); g_opt.step()  # noqa: E501, E702
        return d_loss, g_loss
    # fmt: on

    losses = [y.item() for i in range(EAGER_IS_SLOW) for y in train_step(batch(i, width=4))]
    return [*values(D, G, d_opt, g_opt), np.array(losses)]


def moving_average(wrap):
    model = mlp(3, 4, 1)
    average = copy.deepcopy(model).requires_grad_(False)
    optimizer = lucid.optim.Adam(model.parameters(), lr=0.05)

    @wrap
    def step(x):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), average(x) + 1)
        loss.backward()
        optimizer.step()
        with lucid.no_grad():
            for mean, p in zip(average.parameters(), model.parameters(), strict=True):
                mean.data = mean * 0.9 + p * 0.1

    for i in range(STEPS):
        step(batch(i))
    return values(model, average)


def clipping(wrap):
    model = mlp(3, 4, 1)
    optimizer = lucid.optim.SGD(model.parameters(), lr=0.5)

    @wrap
    def step(x):
        optimizer.zero_grad()
        (model(x) ** 4).sum().backward()
        norm = clip_grad_norm(model.parameters(), 0.1)
        optimizer.step()
        return norm

    norms = [step(10 * batch(i)).item() for i in range(STEPS)]
    return [*values(model), np.array(norms)]


def freezing(wrap):
    model = mlp(3, 4, 1)
    optimizer = lucid.optim.Adam(model.parameters(), lr=0.05)

    @wrap
    def step(x):
        optimizer.zero_grad()
        ((model(x) - 1) ** 2).mean().backward()
        optimizer.step()

    between = []
    for i in range(STEPS):
        if i in (10, 30):
            model[0].requires_grad_(i == 30)
        step(batch(i))
        if i in (10, 29):
            between.append(model[0].weight.numpy())
    np.testing.assert_array_equal(*between)
    return values(model, optimizer)


def dropout(wrap):
    model = nn.Sequential(mlp(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    optimizer = lucid.optim.SGD(model.parameters(), lr=0.1)

    @wrap
    def step(x):
        optimizer.zero_grad()
        ((model(x) - 1) ** 2).mean().backward()
        optimizer.step()

    for i in range(EAGER_IS_SLOW):
        step(batch(i))
    return [*values(model), lucid.rand(3, dtype=float).numpy()]


def tied_weights(wrap):
    model = mlp(3, 3, 3)
    model[2].weight = model[0].weight
    optimizer = lucid.optim.AdamW(model.parameters(), lr=0.05)

    @wrap
    def step(x):
        optimizer.zero_grad()
        F.mse_loss(model(x), x).backward()
        optimizer.step()

    for i in range(STEPS):
        step(batch(i))
    assert model[2].weight is model[0].weight
    return values(model, optimizer)


def gradient_penalty(wrap):
    model = mlp(3, 4, 1)
    optimizer = lucid.optim.SGD(model.parameters(), lr=0.05)

    @wrap
    def step(x):
        x = Tensor(x, requires_grad=True)
        y = model(x)
        (slope,) = lucid.autograd.grad([y.sum()], [x], create_graph=True)
        loss = ((slope**2).sum(1) - 1).square().mean() + y.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    losses = [step(batch(i)).item() for i in range(STEPS)]
    return [*values(model), np.array(losses)]


def alternation(wrap):
    model = nn.Sequential(mlp(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.2), nn.Linear(4, 1))
    optimizer = lucid.optim.SGD(model.parameters(), lr=0.1)

    @wrap
    def step(x):
        loss = (model(x) ** 2).mean()
        if model.training:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss

    losses = []
    for i in range(STEPS):
        model.train(i % 5 != 4)
        losses.append(step(batch(i)).item())
    return [*values(model), np.array(losses)]


def replacement(wrap):
    model = mlp(3, 4, 1)
    optimizer = lucid.optim.SGD(model.parameters(), lr=0.1)

    @wrap
    def step(x):
        model.zero_grad()
        ((model(x) - 1) ** 2).mean().backward()
        optimizer.step()

    for i in range(STEPS):
        if i == 20:
            model[0].weight = nn.Parameter(np.linspace(-1.0, 1.0, 12).reshape(4, 3))
            optimizer.add_param_group({"params": [model[0].weight], "lr": 0.05})
        step(batch(i))
    return values(model)


def exceptions(wrap):
    model = nn.Sequential(mlp(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.2), nn.Linear(4, 1))
    optimizer = lucid.optim.SGD(model.parameters(), lr=0.05)

    @wrap
    def step(x):
        if x.shape[1] != 3:  # before anything changes, since eager mode undoes nothing
            raise ValueError("three columns are needed")
        optimizer.zero_grad()
        (model(x) ** 2).mean().backward()
        optimizer.step()

    for i in range(STEPS):
        if i % 10 == 0:
            with pytest.raises(ValueError, match="three columns"):
                step(batch(i, width=2))
        step(batch(i))
    return values(model, optimizer)


PROGRAMS = [
    accumulation,
    accumulation_over_calls,
    gan,
    moving_average,
    clipping,
    freezing,
    dropout,
    tied_weights,
    gradient_penalty,
    alternation,
    replacement,
    exceptions,
]


def check(program, dtype, bound):
    with jax.enable_x64(dtype == "float64"):
        lucid.random.seed(0)
        eager = program(lambda fn: fn)
        lucid.random.seed(0)
        jitted = program(lucid.jit)
    assert len(eager) == len(jitted) > 0
    for a, b in zip(eager, jitted, strict=True):
        assert a.dtype == b.dtype and np.isfinite(a).all()
        np.testing.assert_allclose(b, a, rtol=0, atol=bound * max(1.0, np.abs(a).max()))
    assert any(x.dtype == dtype for x in eager)


@pytest.mark.parametrize(("dtype", "bound"), DTYPES)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_program(program, dtype, bound):
    check(program, dtype, bound)


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_optimizer(name, options):
    def program(wrap):
        layer = mlp(3, 2)
        optimizer = getattr(lucid.optim, name)(layer.parameters(), **options)
        sign = -1 if options.get("maximize") else 1

        @wrap
        def step(x):
            optimizer.zero_grad()
            loss = sign * F.mse_loss(layer(x), x[:, :2])
            loss.backward()
            optimizer.step()

        for i in range(STEPS):
            step(batch(i % 7))
        return values(layer, optimizer)

    check(program, "float64", 1e-12)


SCHEDULERS = {
    "StepLR": lambda s, o: s.StepLR(o, 7, 0.5),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.9),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 20),
    "CyclicLR": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 5),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.1, total_steps=STEPS + 1),
    "ReduceLROnPlateau": lambda s, o: s.ReduceLROnPlateau(o, patience=1),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_scheduler(name):
    def program(wrap):
        layer = mlp(3, 2)
        optimizer = lucid.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
        scheduler = SCHEDULERS[name](lucid.optim.lr_scheduler, optimizer)

        @wrap
        def step(x):
            optimizer.zero_grad()
            loss = F.mse_loss(layer(x), x[:, :2])
            loss.backward()
            optimizer.step()
            return loss

        rates = []
        for i in range(STEPS):
            loss = step(batch(i % 7))
            scheduler.step(*([loss.item()] if name == "ReduceLROnPlateau" else []))
            rates.append(optimizer.param_groups[0]["lr"])
        assert len(set(rates)) > 2
        if wrap is lucid.jit:
            assert step.cache_info().misses == 1
        return [*values(layer), np.array(rates)]

    check(program, "float64", 1e-12)
