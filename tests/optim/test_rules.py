"""The rules against their papers, as loops over steps in float64 NumPy."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.optim import rules

STEPS = 12


def gradients(seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((STEPS, 3, 2)), rng.standard_normal((3, 2))


def exact(p):
    """How a parameter is stored."""
    return p


def sgd(p, grads, lr, momentum, weight_decay, store=exact):
    velocity = np.zeros_like(p)
    for g in grads:
        velocity = momentum * velocity + g + weight_decay * p
        p = store(p - lr * velocity)
    return p


def sgd_nesterov(p, grads, lr, momentum, weight_decay, store=exact):
    velocity = np.zeros_like(p)
    for g in grads:
        g = g + weight_decay * p
        velocity = momentum * velocity + g
        p = store(p - lr * (g + momentum * velocity))
    return p


def asgd(p, grads, lr, lambd, alpha, t0, momentum, store=exact):
    velocity, average = np.zeros_like(p), np.zeros_like(p)
    for t, g in enumerate(grads):
        eta = lr / (1 + lambd * lr * t) ** alpha
        velocity = momentum * velocity + g
        p = p - eta * lambd * p - eta * velocity
        average = average + (p - average) / max(1, t - t0)
        p = store(p)
    return store(average)


def rprop(p, grads, lr, etas, step_sizes, store=exact):
    p, size, last = p.copy(), np.full_like(p, lr), np.zeros_like(p)
    for g in grads:
        for at in np.ndindex(p.shape):
            if last[at] * g[at] > 0:
                size[at] = min(size[at] * etas[1], step_sizes[1])
            elif last[at] * g[at] < 0:
                size[at] = max(size[at] * etas[0], step_sizes[0])
                last[at] = 0
                continue
            p[at] = store(p[at] - np.sign(g[at]) * size[at])
            last[at] = g[at]
    return p


def adagrad(p, grads, lr, eps, lr_decay, store=exact):
    total = np.zeros_like(p)
    for t, g in enumerate(grads):
        total = total + g**2
        p = store(p - lr / (1 + t * lr_decay) * g / (np.sqrt(total) + eps))
    return p


def adadelta(p, grads, lr, rho, eps, store=exact):
    squares, steps = np.zeros_like(p), np.zeros_like(p)
    for g in grads:
        squares = rho * squares + (1 - rho) * g**2
        step = -np.sqrt(steps + eps) / np.sqrt(squares + eps) * g
        steps = rho * steps + (1 - rho) * step**2
        p = store(p + lr * step)
    return p


def rmsprop(p, grads, lr, alpha, eps, momentum, store=exact):
    n, mean, velocity = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    for g in grads:
        n, mean = alpha * n + (1 - alpha) * g**2, alpha * mean + (1 - alpha) * g
        velocity = momentum * velocity + g / (np.sqrt(n - mean**2) + eps)
        p = store(p - lr * velocity)
    return p


def adam(p, grads, lr, betas, eps, weight_decay=0.0, store=exact):
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t, g in enumerate(grads, 1):
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g**2
        step = m / (1 - betas[0] ** t) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
        p = store(p - lr * (step + weight_decay * p))
    return p


def amsgrad(p, grads, lr, betas, eps, store=exact):
    m, v, largest = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    for t, g in enumerate(grads, 1):
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g**2
        largest = np.maximum(largest, v)
        p = store(p - lr * m / (1 - betas[0] ** t) / (np.sqrt(largest / (1 - betas[1] ** t)) + eps))
    return p


def adamax(p, grads, lr, betas, eps, store=exact):
    m, u = np.zeros_like(p), np.zeros_like(p)
    for t, g in enumerate(grads, 1):
        m, u = betas[0] * m + (1 - betas[0]) * g, np.maximum(betas[1] * u, np.abs(g) + eps)
        p = store(p - lr / (1 - betas[0] ** t) * m / u)
    return p


def nadam(p, grads, lr, betas, eps, momentum_decay, store=exact):
    m, v = np.zeros_like(p), np.zeros_like(p)
    mus = [betas[0] * (1 - 0.5 * 0.96 ** (t * momentum_decay)) for t in range(1, STEPS + 2)]
    for t, g in enumerate(grads, 1):
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g**2
        look_ahead = mus[t] * m / (1 - math.prod(mus[: t + 1]))
        now = (1 - mus[t - 1]) * g / (1 - math.prod(mus[:t]))
        p = store(p - lr * (look_ahead + now) / (np.sqrt(v / (1 - betas[1] ** t)) + eps))
    return p


def radam(p, grads, lr, betas, eps, store=exact):
    m, v = np.zeros_like(p), np.zeros_like(p)
    rho_inf = 2 / (1 - betas[1]) - 1
    for t, g in enumerate(grads, 1):
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g**2
        m_hat = m / (1 - betas[0] ** t)
        rho = rho_inf - 2 * t * betas[1] ** t / (1 - betas[1] ** t)
        if rho > 5:
            rect = ((rho - 4) * (rho - 2) * rho_inf) / ((rho_inf - 4) * (rho_inf - 2) * rho)
            p = store(p - lr * m_hat * np.sqrt(rect * (1 - betas[1] ** t)) / (np.sqrt(v) + eps))
        else:
            p = store(p - lr * m_hat)
    return p


BETAS = {"betas": (0.8, 0.9), "eps": 1e-3}
# optimizer, definition, the definition's options, more options
CASES = {
    "SGD": ("SGD", sgd, {"momentum": 0.9, "weight_decay": 0.1}, {}),
    "SGD, no momentum": ("SGD", sgd, {"momentum": 0.0, "weight_decay": 0.0}, {}),
    "SGD, nesterov": (
        "SGD", sgd_nesterov, {"momentum": 0.9, "weight_decay": 0.1}, {"nesterov": True},
    ),
    "ASGD": ("ASGD", asgd, {"lambd": 0.2, "alpha": 0.6, "t0": 4, "momentum": 0.0}, {}),
    "ASGD, momentum": ("ASGD", asgd, {"lambd": 0.2, "alpha": 0.6, "t0": 4, "momentum": 0.7}, {}),
    "Rprop": ("Rprop", rprop, {"etas": (0.5, 1.3), "step_sizes": (0.06, 0.2)}, {}),
    "Adagrad": ("Adagrad", adagrad, {"eps": 1e-3, "lr_decay": 0.1}, {}),
    "Adadelta": ("Adadelta", adadelta, {"rho": 0.8, "eps": 1e-3}, {}),
    "RMSprop": (
        "RMSprop", rmsprop, {"alpha": 0.9, "eps": 1e-3, "momentum": 0.5}, {"centered": True},
    ),
    "Adam": ("Adam", adam, BETAS, {}),
    "Adam, amsgrad": ("Adam", amsgrad, BETAS, {"amsgrad": True}),
    "AdamW": ("AdamW", adam, {**BETAS, "weight_decay": 0.1}, {}),
    "Adamax": ("Adamax", adamax, BETAS, {}),
    "NAdam": ("NAdam", nadam, {**BETAS, "momentum_decay": 0.1}, {}),
    "RAdam": ("RAdam", radam, BETAS, {}),
}  # fmt: skip


def run(name, start, grads, x64=True, **options):
    with jax.enable_x64(x64):
        w = nn.Parameter(start)
        optimizer = getattr(lucid.optim, name)([w], lr=0.1, **options)
        for g in grads:
            w.grad = lucid.Tensor(g)
            optimizer.step()
        return optimizer.get_averages()[0].numpy() if name == "ASGD" else w.numpy()


@pytest.mark.parametrize("case", CASES)
def test_definition(case):
    name, definition, options, more = CASES[case]
    grads, start = gradients()
    expected = definition(start, grads, lr=0.1, **options)
    result = run(name, start, grads, **options, **more)
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16])
@pytest.mark.parametrize("case", CASES)
def test_half_precision_rounds_the_parameter_and_nothing_else(case, dtype):
    name, definition, options, more = CASES[case]

    def stored(p):
        return np.asarray(p).astype(dtype).astype(np.float64)

    grads, start = map(stored, gradients())
    expected = definition(start, grads, lr=0.1, **options, store=stored)
    result = run(name, start.astype(dtype), grads.astype(dtype), x64=False, **options, **more)
    assert result.dtype == dtype
    unit = np.ldexp(float(jnp.finfo(dtype).eps), np.frexp(expected)[1] - 1)
    assert (np.abs(result.astype(np.float64) - expected) <= unit).all()


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16, np.float32])
def test_a_second_moment_decays_in_half_precision(dtype):
    w = nn.Parameter(np.zeros(3, dtype))
    optimizer = lucid.optim.Adam([w])
    beta, expected = float(np.float32(0.999)), 0.0
    for gradient in [32.0] + [0.0] * 2000:
        w.grad = lucid.Tensor(np.full(3, gradient, dtype))
        optimizer.step()
        expected = beta * expected + (1 - beta) * gradient**2
    np.testing.assert_allclose(optimizer.state[w]["exp_avg_sq"].numpy(), expected, rtol=5e-5)


@pytest.mark.parametrize("case", CASES)
def test_maximize(case):
    name, _, options, more = CASES[case]
    grads, start = gradients()
    up = run(name, start, grads, **options, **more, maximize=True)
    np.testing.assert_array_equal(up, run(name, start, -grads, **options, **more))


def test_every_optimizer_is_here():
    public = {name for name in lucid.optim.__all__ if isinstance(getattr(lucid.optim, name), type)}
    assert public - {"Optimizer", "Optax", "LBFGS", "GradScaler"} == {
        name for name, *_ in CASES.values()
    }


def test_dampening_begins_with_the_second_step():
    grads, start = gradients()
    velocity, p = grads[0], start - 0.1 * grads[0]
    for g in grads[1:]:
        velocity = 0.9 * velocity + 0.6 * g
        p = p - 0.1 * velocity
    result = run("SGD", start, grads, momentum=0.9, dampening=0.4)
    np.testing.assert_allclose(result, p, rtol=1e-12)


def test_a_momentum_that_is_turned_off_for_a_while():
    """As PyTorch has it: the gradient itself steps, and the velocity waits."""
    grads, start = gradients()
    w = nn.Parameter(start)
    optimizer = lucid.optim.SGD([w], lr=0.1, momentum=0.9, dampening=0.4)
    velocity, p = None, start
    for i, g in enumerate(grads):
        momentum = 0.0 if i in (1, 2) else 0.9
        optimizer.param_groups[0]["momentum"] = momentum
        w.grad = lucid.Tensor(g)
        optimizer.step()
        if momentum:
            velocity = g if velocity is None else 0.9 * velocity + 0.6 * g
        p = p - 0.1 * (velocity if momentum else g)
    np.testing.assert_allclose(w.numpy(), p, rtol=1e-5)


def test_centered_rmsprop_survives_a_constant_gradient():
    w = nn.Parameter(np.zeros(1000))
    optimizer = lucid.optim.RMSprop([w], centered=True, alpha=0.5)
    for _ in range(60):
        w.grad = lucid.Tensor(np.linspace(0, 3, 1000, dtype=np.float32))
        optimizer.step()
    assert np.isfinite(w.numpy()).all()


@pytest.mark.parametrize("beta", [0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999])
def test_float32_bias_corrections(beta):
    """Where the plain formulas lose all digits: an error of 1e-6 against the float64 value."""
    beta = float(np.float32(beta))
    t = np.arange(1, 3000, dtype=np.int32)
    bias = jax.jit(rules._bias)(beta, t)
    exact = -np.expm1(t * np.log(beta))
    np.testing.assert_allclose(bias, exact, rtol=1e-6)
    length = jax.jit(rules._simple_moving_length)(beta, t)
    powers = beta ** np.arange(3000.0)
    # rho_t + 1 is twice the mean age of a gradient, a quotient of sums without cancellation.
    exact = 2 * np.cumsum(powers * np.arange(1, 3001)) / np.cumsum(powers) - 1
    np.testing.assert_allclose(length, exact[:-1], rtol=3e-6)
    if beta > 0.99:
        assert not (length[:5] > 5).any()
        assert (length[5:] > 5).all()
