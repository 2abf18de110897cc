"""Spectral and weight normalisation, and the average of a Module."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn.averaging import EMA
from lucid.nn.parametrizations import (
    remove_spectral_norm,
    remove_weight_norm,
    spectral_norm,
    weight_norm,
)
from tests.helpers import spaced

MAKERS = [
    lambda: nn.Linear(3, 4),
    lambda: nn.Conv2d(3, 4, 3),
    lambda: nn.ConvTranspose1d(3, 4, 3),
]


def input_of(module):
    shape = {nn.Linear: (2, 3), nn.Conv2d: (2, 3, 5, 5), nn.ConvTranspose1d: (2, 3, 5)}
    return Tensor(spaced(*shape[type(module)]).astype(np.float32))


def largest_singular_value(weight, dim):
    matrix = np.moveaxis(weight.numpy(), dim, 0)
    return np.linalg.svd(matrix.reshape(len(matrix), -1))[1][0]


@pytest.mark.parametrize("make", MAKERS)
def test_the_spectral_norm_is_one(make):
    lucid.random.seed(0)  # two values that are nearly the same take more iterations
    module = spectral_norm(make(), n_power_iterations=50)
    module(input_of(module))
    dim = 1 if isinstance(module, nn.ConvTranspose1d) else 0
    assert abs(largest_singular_value(module.weight, dim) - 1) < 1e-4
    assert module.weight_u.shape == (4,)


@pytest.mark.parametrize("normed", [spectral_norm, weight_norm])
@pytest.mark.parametrize("make", MAKERS)
def test_a_compiled_step_does_the_same(normed, make):
    eager = normed(make())
    jitted = copy.deepcopy(eager)

    def step(module, x):
        module.zero_grad()
        loss = (module(x) ** 2).sum() + module(x).mean()
        loss.backward()
        return loss

    compiled = lucid.jit(lambda x: step(jitted, x))
    x = input_of(eager)
    for _ in range(3):
        np.testing.assert_allclose(compiled(x).numpy(), step(eager, x).numpy(), rtol=1e-5)
        for ours, theirs in zip(jitted.parameters(), eager.parameters(), strict=True):
            np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-4, atol=1e-5)
        for name, value in eager.state_dict().items():
            np.testing.assert_allclose(jitted.state_dict()[name].numpy(), value.numpy(), rtol=1e-5)
    assert compiled.cache_info().programs == 1


@pytest.mark.parametrize(
    ("normed", "remove"),
    [(spectral_norm, remove_spectral_norm), (weight_norm, remove_weight_norm)],
)
def test_it_can_be_removed(normed, remove):
    module = normed(nn.Linear(3, 4)).eval()
    x = input_of(module)
    before = module(x).numpy()
    assert remove(module) is module
    np.testing.assert_array_equal(module(x).numpy(), before)
    assert isinstance(module.weight, nn.Parameter)
    assert sorted(module.state_dict()) == ["bias", "weight"]
    with pytest.raises(ValueError, match=r'"weight" of this Linear is not normalised'):
        remove(module)


def test_evaluation_takes_no_step_and_training_does():
    module = spectral_norm(nn.Linear(30, 40))
    x = lucid.zeros(1, 30)
    module.eval()(x)
    u = module.weight_u.numpy()
    module(x)
    np.testing.assert_array_equal(module.weight_u.numpy(), u)
    module.train()(x)
    assert (module.weight_u.numpy() != u).any()


@pytest.mark.parametrize("normed", [spectral_norm, weight_norm])
def test_copies_and_pickles_are_independent(normed):
    module = normed(nn.Linear(3, 4))
    x = input_of(module)
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        np.testing.assert_allclose(twin.eval()(x).numpy(), module.eval()(x).numpy(), rtol=1e-6)
        for parameter in twin.parameters():
            parameter.data = parameter.data * 2 + 1
        assert (twin(x).numpy() != module(x).numpy()).any()


def test_weight_norm_is_learned_apart():
    module = weight_norm(nn.Linear(3, 4))
    np.testing.assert_allclose(
        np.linalg.norm(module.weight.numpy(), axis=1), module.weight_g.numpy()[:, 0], rtol=1e-6
    )
    whole = weight_norm(nn.Linear(3, 4), dim=None)
    assert whole.weight_g.shape == ()


def test_errors_of_normalisations():
    linear = nn.Linear(3, 4)
    with pytest.raises(ValueError, match=r'spectral_norm: Linear has no Parameter "wieght"'):
        spectral_norm(linear, "wieght")
    with pytest.raises(ValueError, match=r"n_power_iterations must be at least 1, got 0"):
        spectral_norm(linear, n_power_iterations=0)
    with pytest.raises(ValueError, match=r"2 axes or more, among them dim=0.*shape \(4,\)"):
        spectral_norm(linear, "bias")
    with pytest.raises(ValueError, match=r"weight of shape \(4, 3\) has no axis 2"):
        weight_norm(linear, dim=2)
    assert list(linear.state_dict()) == ["weight", "bias"]
    with pytest.raises(ValueError, match=r'Linear has no Parameter "weight"'):
        weight_norm(spectral_norm(linear))


class TestEMA:
    def test_is_the_recursion_of_its_definition(self):
        model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        ema = EMA(model, decay=0.9)
        expected = None
        for i in range(4):
            model(lucid.randn(5, 2))
            for p in model.parameters():
                p.data = p.data + i
            now = [p.numpy() for p in model.parameters()]
            expected = now if i == 0 else [
                0.9 * e + 0.1 * n for e, n in zip(expected, now, strict=True)
            ]  # fmt: skip
            ema.update(model)
        for p, e in zip(ema.module.parameters(), expected, strict=True):
            np.testing.assert_allclose(p.numpy(), e, rtol=1e-5)
            assert not p.requires_grad
        for ours, theirs in zip(ema.module.buffers(), model.buffers(), strict=True):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
        assert ema.num_updates.item() == 4

    def test_updates_inside_a_compiled_step(self):
        model = spectral_norm(nn.Linear(2, 3))
        ema = EMA(model, decay=0.5)
        optimizer = lucid.optim.SGD(model.parameters(), lr=0.1)

        @lucid.jit
        def step(x):
            optimizer.zero_grad()
            (model(x) ** 2).mean().backward()
            optimizer.step()
            ema.update(model)

        bias = []
        for _ in range(3):
            step(lucid.ones(4, 2))
            bias.append(model.bias.numpy())
        expected = bias[0] / 4 + bias[1] / 4 + bias[2] / 2
        np.testing.assert_allclose(ema.module.bias.numpy(), expected, rtol=1e-5)
        assert step.cache_info().programs == 1
        assert ema.eval()(lucid.ones(1, 2)).shape == (1, 3)

    def test_errors(self):
        with pytest.raises(ValueError, match=r"decay must be from 0 to 1, got 1.5"):
            EMA(nn.Linear(1, 1), 1.5)
        ema = EMA(nn.Linear(2, 3))
        with pytest.raises(ValueError, match=r"differs from its copy in \['bias', 'weight'\]"):
            ema.update(nn.Linear(3, 2))


def test_removing_from_a_copy_leaves_the_original():
    module = spectral_norm(nn.Linear(30, 40))
    remove_spectral_norm(copy.deepcopy(module))
    u = module.weight_u.numpy()
    module(lucid.zeros(1, 30))
    assert (module.weight_u.numpy() != u).any()


@pytest.mark.slow
def test_a_compiled_gradient_penalty_does_the_same():
    lucid.random.seed(0)
    critic = nn.Sequential(
        spectral_norm(nn.Conv2d(1, 4, 4, 2, 1)), nn.LeakyReLU(0.2), nn.LayerNorm((4, 4, 4)),
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 1),
    )  # fmt: skip

    def stepper(critic):
        optimizer = lucid.optim.Adam(critic.parameters(), lr=1e-2)

        def step(real, fake):
            optimizer.zero_grad()
            between = Tensor((real.data + fake.data) / 2, requires_grad=True)
            (slope,) = lucid.autograd.grad([critic(between).sum()], [between], create_graph=True)
            norm = (slope * slope).sum(axis=(1, 2, 3)).sqrt()
            loss = critic(fake).mean() - critic(real).mean() + 10 * (norm - 1).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        return step

    jitted, eager = lucid.jit(stepper(copy.deepcopy(critic))), stepper(critic)
    for _ in range(3):
        images = lucid.randn(8, 1, 8, 8), lucid.randn(8, 1, 8, 8)
        np.testing.assert_allclose(jitted(*images).item(), eager(*images).item(), rtol=1e-4)
    assert jitted.cache_info().programs == 1
