"""Update rules: (parameter, gradient, state, **hyperparameters) -> (parameter, state).

They are pure functions of arrays. The letters are PyTorch's, and so are the choices where a paper
leaves one open; `t` counts steps from 1.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from lucid._core.typing import Array

State = dict[str, Array]
Betas = tuple[float, float]


def _decay(
    p: Array, g: Array, lr: float, weight_decay: float, decoupled: bool, maximize: bool
) -> tuple[Array, Array]:
    """Weight decay as an L2 penalty, or, decoupled, of the parameter itself (arXiv:1711.05101)."""
    g = -g if maximize else g
    return (p * (1 - lr * weight_decay), g) if decoupled else (p, g + weight_decay * p)


def _bias(beta: Any, t: Array) -> Array:
    """1 - beta**t, without the cancellation that float32 suffers when beta is close to 1."""
    return -jnp.expm1(t * jnp.log(beta))


# --- Gradient descent and averaging ---


def sgd(
    p: Array,
    g: Array,
    state: State,
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    dampening: float,
    nesterov: bool,
    maximize: bool,
) -> tuple[Array, State]:
    """Gradient descent; Sutskever et al., ICML 2013, in PyTorch's form of momentum."""
    p, g = _decay(p, g, lr, weight_decay, False, maximize)
    if "momentum_buffer" not in state:
        return p - lr * g, {}
    new, damped = {}, (1 - dampening) * g
    if "step" in state:
        new["step"] = t = state["step"] + 1
        damped = jnp.where(t == 1, g, damped)
    # A momentum that was set to 0 leaves the buffer, and the gradient, as they are.
    moves, before = momentum != 0, state["momentum_buffer"]
    buffer = momentum * before + damped
    new["momentum_buffer"] = jnp.where(moves, buffer, before)
    direction = g + momentum * buffer if nesterov else buffer
    return p - lr * jnp.where(moves, direction, g), new


def asgd(
    p: Array,
    g: Array,
    state: State,
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    alpha: float,
    t0: float,
    lambd: float,
    maximize: bool,
) -> tuple[Array, State]:
    """Polyak & Juditsky, SIAM J. Control Optim. 30 (1992); eta follows Bottou, COMPSTAT 2010."""
    p, g = _decay(p, g, lr, weight_decay, False, maximize)
    t = state["step"] + 1
    # PyTorch computes the eta of a step at the end of the step before it.
    eta = jnp.where(t == 1, lr, state["eta"])
    new = {"step": t, "eta": lr / (1 + lambd * lr * t) ** alpha}
    if "momentum_buffer" in state:
        new["momentum_buffer"] = g = momentum * state["momentum_buffer"] + g
    p = p * (1 - lambd * eta) - eta * g
    mu = 1 / jnp.maximum(1, t - 1 - t0)
    new["ax"] = mu * p + (1 - mu) * state["ax"]
    return p, new


def rprop(
    p: Array,
    g: Array,
    state: State,
    *,
    lr: float,
    etas: tuple[float, float],
    step_sizes: tuple[float, float],
    maximize: bool,
) -> tuple[Array, State]:
    """Riedmiller & Braun, ICNN 1993, without weight backtracking."""
    g = -g if maximize else g
    t = state["step"] + 1
    agreement = jnp.sign(g) * jnp.sign(state["prev"])
    factor = jnp.where(agreement > 0, etas[1], jnp.where(agreement < 0, etas[0], 1.0))
    size = jnp.clip(jnp.where(t == 1, lr, state["step_size"]) * factor, *step_sizes)
    g = jnp.where(agreement < 0, 0, g)
    return p - size * jnp.sign(g), {"step": t, "prev": g, "step_size": size}


# --- A rate for every element ---


def adagrad(
    p: Array,
    g: Array,
    state: State,
    *,
    lr: float,
    eps: float,
    weight_decay: float,
    initial_accumulator_value: float,
    lr_decay: float,
    maximize: bool,
) -> tuple[Array, State]:
    """Duchi, Hazan & Singer, JMLR 12 (2011)."""
    p, g = _decay(p, g, lr, weight_decay, False, maximize)
    t = state["step"] + 1
    total = state["sum"] + g * g
    rate = lr / (1 + (t - 1) * lr_decay)
    return p - rate * g / (jnp.sqrt(total) + eps), {"step": t, "sum": total}


def adadelta(
    p: Array,
    g: Array,
    state: State,
    *,
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> tuple[Array, State]:
    """Zeiler, arXiv:1212.5701, algorithm 1."""
    p, g = _decay(p, g, lr, weight_decay, False, maximize)
    v = rho * state["square_avg"] + (1 - rho) * g * g
    delta = jnp.sqrt(state["acc_delta"] + eps) / jnp.sqrt(v + eps) * g
    acc_delta = rho * state["acc_delta"] + (1 - rho) * delta * delta
    return p - lr * delta, {"square_avg": v, "acc_delta": acc_delta}


def rmsprop(
    p: Array,
    g: Array,
    state: State,
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
    maximize: bool,
) -> tuple[Array, State]:
    """Hinton's lecture 6e (2012); centered as in Graves, arXiv:1308.0850, equations 38 to 45."""
    p, g = _decay(p, g, lr, weight_decay, False, maximize)
    v = alpha * state["square_avg"] + (1 - alpha) * g * g
    new = {"square_avg": v}
    if centered:
        new["grad_avg"] = mean = alpha * state["grad_avg"] + (1 - alpha) * g
        v = jnp.maximum(v - mean * mean, 0)  # which only rounding can make negative
    g = g / (jnp.sqrt(v) + eps)
    if "momentum_buffer" in state:
        new["momentum_buffer"] = g = momentum * state["momentum_buffer"] + g
    return p - lr * g, new


# --- Adam and its relatives ---


def _moments(g: Array, state: State, betas: Betas) -> State:
    b1, b2 = betas
    return {
        "step": state["step"] + 1,
        "exp_avg": b1 * state["exp_avg"] + (1 - b1) * g,
        "exp_avg_sq": b2 * state["exp_avg_sq"] + (1 - b2) * g * g,
    }


def adam(
    p: Array,
    g: Array,
    state: State,
    *,
    lr: float,
    betas: Betas,
    eps: float,
    weight_decay: float,
    amsgrad: bool,
    decoupled_weight_decay: bool,
    maximize: bool,
) -> tuple[Array, State]:
    """Kingma & Ba, arXiv:1412.6980, algorithm 1; with amsgrad, Reddi et al., arXiv:1904.09237."""
    p, g = _decay(p, g, lr, weight_decay, decoupled_weight_decay, maximize)
    new = _moments(g, state, betas)
    t, v = new["step"], new["exp_avg_sq"]
    if amsgrad:
        new["max_exp_avg_sq"] = v = jnp.maximum(state["max_exp_avg_sq"], v)
    m_hat = new["exp_avg"] / _bias(betas[0], t)
    v_hat = v / _bias(betas[1], t)
    return p - lr * m_hat / (jnp.sqrt(v_hat) + eps), new


def adamax(
    p: Array,
    g: Array,
    state: State,
    *,
    lr: float,
    betas: Betas,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> tuple[Array, State]:
    """Kingma & Ba, arXiv:1412.6980, algorithm 2; eps inside the maximum, as PyTorch has it."""
    p, g = _decay(p, g, lr, weight_decay, False, maximize)
    b1, b2 = betas
    t = state["step"] + 1
    m = b1 * state["exp_avg"] + (1 - b1) * g
    u = jnp.maximum(b2 * state["exp_inf"], jnp.abs(g) + eps)
    return p - lr / _bias(b1, t) * m / u, {"step": t, "exp_avg": m, "exp_inf": u}


def nadam(
    p: Array,
    g: Array,
    state: State,
    *,
    lr: float,
    betas: Betas,
    eps: float,
    weight_decay: float,
    momentum_decay: float,
    decoupled_weight_decay: bool,
    maximize: bool,
) -> tuple[Array, State]:
    """Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016, algorithm 2."""
    p, g = _decay(p, g, lr, weight_decay, decoupled_weight_decay, maximize)
    new = _moments(g, state, betas)
    t = new["step"]
    mu = betas[0] * (1 - 0.5 * 0.96 ** (t * momentum_decay))
    mu_next = betas[0] * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
    new["mu_product"] = mu_product = state["mu_product"] * mu
    m_hat = mu_next * new["exp_avg"] / (1 - mu_product * mu_next) + (1 - mu) * g / (1 - mu_product)
    v_hat = new["exp_avg_sq"] / _bias(betas[1], t)
    return p - lr * m_hat / (jnp.sqrt(v_hat) + eps), new


def radam(
    p: Array,
    g: Array,
    state: State,
    *,
    lr: float,
    betas: Betas,
    eps: float,
    weight_decay: float,
    decoupled_weight_decay: bool,
    maximize: bool,
) -> tuple[Array, State]:
    """Liu et al., arXiv:1908.03265, algorithm 2; the threshold of 5 is PyTorch's."""
    p, g = _decay(p, g, lr, weight_decay, decoupled_weight_decay, maximize)
    new = _moments(g, state, betas)
    t = new["step"]
    m_hat = new["exp_avg"] / _bias(betas[0], t)
    adaptive = jnp.sqrt(_bias(betas[1], t)) / (jnp.sqrt(new["exp_avg_sq"]) + eps)
    rho_inf = 2 / (1 - betas[1]) - 1
    rho = _simple_moving_length(betas[1], t)
    rectifies = rho > 5
    rho = jnp.where(rectifies, rho, 5)  # where it does not, no square root of a negative number
    ratio = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
    return p - lr * m_hat * jnp.where(rectifies, jnp.sqrt(jnp.abs(ratio)) * adaptive, 1), new


def _simple_moving_length(beta: Any, t: Array) -> Array:
    """rho_t = 2 / (1 - beta) - 1 - 2 t beta**t / (1 - beta**t) of arXiv:1908.03265, equation 4.

    Written so, it is a small difference of large numbers, which float32 cannot resolve to the
    threshold of 5. With h = -log(beta), and coth(y) = 1 / y + 1 - f(y), the large parts cancel:
    rho_t = coth(h / 2) - t coth(t h / 2) + t = 1 - f(h / 2) + t f(t h / 2).
    """
    h = -jnp.log(beta)
    return 1 - _f(h / 2) + t * _f(t * h / 2)


def _f(y: Array) -> Array:
    """1 + 1 / y - coth(y) for y > 0; for small y by Lambert's continued fraction of coth."""
    fraction: Any = 11.0
    for odd in range(9, 1, -2):
        fraction = odd + y * y / fraction
    return jnp.where(y < 0.25, 1 - y / fraction, 1 / y - 2 / jnp.expm1(2 * y))
