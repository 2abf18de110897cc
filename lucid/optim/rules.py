"""Update rules: (parameter, gradient, state, **hyperparameters) -> (parameter, state)."""

from __future__ import annotations

import jax.numpy as jnp

from lucid._typing import Array

State = dict[str, Array]


def sgd(
    p: Array,
    g: Array,
    state: State,
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> tuple[Array, State]:
    """Gradient descent; Sutskever et al., ICML 2013, in PyTorch's form of momentum."""
    g = (-g if maximize else g) + weight_decay * p
    if "momentum_buffer" not in state:
        return p - lr * g, {}
    buffer = momentum * state["momentum_buffer"] + g
    g = g + momentum * buffer if nesterov else buffer
    return p - lr * g, {"momentum_buffer": buffer}


def adam(
    p: Array,
    g: Array,
    state: State,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    amsgrad: bool,
    maximize: bool,
) -> tuple[Array, State]:
    """Kingma & Ba, arXiv:1412.6980, algorithm 1; with amsgrad, Reddi et al., arXiv:1904.09237."""
    b1, b2 = betas
    g = (-g if maximize else g) + weight_decay * p
    t = state["step"] + 1
    m = b1 * state["exp_avg"] + (1 - b1) * g
    v = b2 * state["exp_avg_sq"] + (1 - b2) * g * g
    new = {"step": t, "exp_avg": m, "exp_avg_sq": v}
    if amsgrad:
        new["max_exp_avg_sq"] = v = jnp.maximum(state["max_exp_avg_sq"], v)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return p - lr * m_hat / (jnp.sqrt(v_hat) + eps), new
