"""The price of eager execution, as ratios from interleaved runs in one process.

    python tests/benchmarks/eager.py

Rows against PyTorch need the `parity` extra. Below 1 is faster than the reference.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from timing import geometric_mean, interleave

import lucid
from lucid import Tensor, nn, optim

torch.set_num_threads(2)
RNG = np.random.default_rng(0)


def row(what: str, ratio: float, limit: str, seconds: float) -> None:
    print(f"{what:<58} {ratio:6.2f}   {limit:<10} {seconds * 1e6:12.1f}", flush=True)


def elementwise() -> None:
    values = RNG.standard_normal((4, 4)).astype("f")
    x, tx = Tensor(values), torch.tensor(values)
    plain = jax.jit(lambda a: a + a)
    array = x.data
    ratios = []
    cases: dict[str, Callable[[Any], Any]] = {
        "x + x": lambda x: x + x,
        "x + 1.0": lambda x: x + 1.0,
        "x * x": lambda x: x * x,
        "x.exp()": lambda x: x.exp(),
        "x.tanh()": lambda x: x.tanh() if isinstance(x, torch.Tensor) else lucid.tanh(x),
        "x.sum()": lambda x: x.sum(),
    }
    for what, fn in cases.items():
        ours, theirs = functools.partial(fn, x), functools.partial(fn, tx)
        t = interleave({"lucid": ours, "torch": theirs})
        ratios.append(t["lucid"] / t["torch"])
        row(f"{what}, no gradient / PyTorch", ratios[-1], "", t["lucid"])
    print(f"{'elementwise, geometric mean / PyTorch':<58} {geometric_mean(ratios):>6.2f}   <= 3")
    t = interleave({"lucid": lambda: x + x, "jax": lambda: plain(array)})
    row("x + x / the same in jitted JAX", t["lucid"] / t["jax"], "", t["lucid"])


def chain() -> None:
    values = RNG.standard_normal((4, 4)).astype("f")
    x, tx = Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)

    def forward(y: Any) -> Any:
        for i in range(40):
            y = y * 1.01 if i % 2 else y.sin()
        return y.sum()

    def forward_and_backward(y: Any) -> None:
        y.grad = None
        forward(y).backward()

    def vjp_per_op() -> Any:
        y, pullbacks = x.data, []
        for i in range(40):
            y, pullback = jax.vjp(lambda a: a * 1.01, y) if i % 2 else jax.vjp(jnp.sin, y)
            pullbacks.append(pullback)
        y, pullback = jax.vjp(jnp.sum, y)
        g = pullback(jnp.ones_like(y))[0]
        for pullback in reversed(pullbacks):
            g = pullback(g)[0]
        return g

    t = interleave(
        {
            "lucid": lambda: forward_and_backward(x),
            "torch": lambda: forward_and_backward(tx),
            "vjp": vjp_per_op,
        }
    )
    row("41 small operations, f+b / PyTorch", t["lucid"] / t["torch"], "<= 4", t["lucid"])
    row(
        "41 small operations, f+b / jax.vjp per operation",
        t["lucid"] / t["vjp"],
        "<= 0.05",
        t["lucid"],
    )


def large() -> None:
    a = Tensor(RNG.standard_normal((1024, 1024)).astype("f"))
    product = jax.jit(jnp.matmul)
    t = interleave(
        {
            "lucid": lambda: (a @ a).data.block_until_ready(),
            "jax": lambda: product(a.data, a.data).block_until_ready(),
        }
    )
    row("matmul 1024 x 1024 / jitted JAX", t["lucid"] / t["jax"], "<= 1.05", t["lucid"])
    x = Tensor(RNG.standard_normal((16, 64, 32, 32)).astype("f"))
    w = Tensor(RNG.standard_normal((64, 64, 3, 3)).astype("f"))
    conv = jax.jit(
        lambda x, w: jax.lax.conv_general_dilated(
            x, w, (1, 1), [(1, 1)] * 2, dimension_numbers=("NCHW", "OIHW", "NCHW")
        )
    )
    t = interleave(
        {
            "lucid": lambda: nn.functional.conv2d(x, w, padding=1).data.block_until_ready(),
            "jax": lambda: conv(x.data, w.data).block_until_ready(),
        }
    )
    row(
        "conv2d 64 -> 64, k3, 16 x 32 x 32 / jitted JAX",
        t["lucid"] / t["jax"],
        "<= 1.05",
        t["lucid"],
    )


WIDTHS = (64, 128, 64, 32, 1)


def decoder() -> nn.Module:
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(itertools.pairwise(WIDTHS)):
        layers.append(nn.ConvTranspose2d(inputs, outputs, 4, *((1, 0) if i == 0 else (2, 1))))
        layers.append(nn.ReLU() if i < 3 else nn.Tanh())
    return nn.Sequential(*layers)


def pure_step(params: Any, velocity: Any, z: Any, y: Any) -> Any:
    def loss_of(params: Any) -> Any:
        x = z
        for i, (w, b) in enumerate(params):
            stride, pad = (1, 0) if i == 0 else (2, 1)
            x = jax.lax.conv_general_dilated(
                x,
                jnp.flip(w.swapaxes(0, 1), (2, 3)),
                (1, 1),
                [(3 - pad, 3 - pad)] * 2,
                lhs_dilation=(stride, stride),
                dimension_numbers=("NCHW", "OIHW", "NCHW"),
            )
            x = x + b[:, None, None]
            x = jax.nn.relu(x) if i < 3 else jnp.tanh(x)
        return jnp.mean((x - y) ** 2)

    loss, grads = jax.value_and_grad(loss_of)(params)
    velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, grads)
    return jax.tree.map(lambda p, v: p - 0.01 * v, params, velocity), velocity, loss


def warm_up() -> None:
    z = RNG.standard_normal((32, 64, 1, 1)).astype("f")
    y = RNG.standard_normal((32, 1, 32, 32)).astype("f")
    ratios, seconds = [], []
    for _ in range(3):
        model = decoder()
        optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        params = [(layer.weight.data, layer.bias.data) for layer in list(model)[::2]]
        velocity = jax.tree.map(jnp.zeros_like, params)
        jax.clear_caches()
        start = time.perf_counter()
        loss = nn.functional.mse_loss(model(Tensor(z)), Tensor(y))
        loss.backward()
        optimizer.step()
        jax.block_until_ready([p.data for p in model.parameters()])
        seconds.append(time.perf_counter() - start)
        jax.clear_caches()
        start = time.perf_counter()
        jax.block_until_ready(jax.jit(pure_step)(params, velocity, z, y))
        ratios.append(seconds[-1] / (time.perf_counter() - start))
    row(
        "first step of a 4-layer decoder / jitted JAX",
        sorted(ratios)[1],
        "<= 3",
        sorted(seconds)[1],
    )


def main() -> None:
    print(f"{'':<58} {'ratio':>6}   {'target':<10} {'lucid, us':>12}")
    elementwise()
    chain()
    large()
    warm_up()


if __name__ == "__main__":
    main()
