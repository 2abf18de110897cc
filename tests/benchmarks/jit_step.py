"""What a compiled imperative step costs, as ratios from interleaved runs in one process.

    python tests/benchmarks/jit_step.py

Needs the `parity` extra, flax and optax. Below 1 is faster than the reference.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax import nnx
from timing import interleave

import lucid
from lucid import Tensor, nn, optim
from lucid.ops.conv import conv_transpose

torch.set_num_threads(2)
RNG = np.random.default_rng(0)
BATCH = 32
# in, out, stride, padding, bias: a DCGAN generator for 32 x 32 images.
LAYERS = [
    (64, 128, 1, 0, False),
    (128, 64, 2, 1, False),
    (64, 32, 2, 1, False),
    (32, 1, 2, 1, True),
]
LOWERED: dict[str, Callable[[], Any]] = {}  # the programs, for XLA's own analysis of memory
LR, BETAS, EPS = 2e-4, (0.5, 0.999), 1e-8


def row(what: str, ratio: float, limit: str, seconds: float) -> None:
    print(f"{what:<60} {ratio:6.2f}   {limit:<8} {seconds * 1e3:10.3f}", flush=True)


# --- Depth 100: what Python costs -------------------------------------------------------------


def deep_lucid(depth: int, zero_grad_first: bool = False) -> Callable[[], Any]:
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(depth)))
    optimizer = optim.SGD(model.parameters(), lr=1e-3)

    @lucid.jit
    def step(x: Tensor) -> Tensor:
        if zero_grad_first:
            optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        if not zero_grad_first:
            optimizer.zero_grad()
        return loss

    x = lucid.ones(2, 4)
    return lambda: step(x).data.block_until_ready()


def deep_jax(depth: int) -> Callable[[], Any]:
    params = [(jnp.full((4, 4), 0.1), jnp.zeros(4)) for _ in range(depth)]

    def loss_of(params: Any, x: Any) -> Any:
        for w, b in params:
            x = x @ w.T + b
        return (x**2).mean()

    def step(params: Any, x: Any) -> Any:
        loss, grads = jax.value_and_grad(loss_of)(params, x)
        return jax.tree.map(lambda p, g: p - 1e-3 * g, params, grads), loss

    jitted = jax.jit(step, donate_argnums=0)
    x = jnp.ones((2, 4))
    state = [params]

    def run() -> Any:
        state[0], loss = jitted(state[0], x)
        return loss.block_until_ready()

    return run


def deep_nnx(depth: int) -> Callable[[], Any]:
    class Deep(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.layers = nnx.List([nnx.Linear(4, 4, rngs=rngs) for _ in range(depth)])

        def __call__(self, x: Any) -> Any:
            for layer in self.layers:
                x = layer(x)
            return x

    model = Deep(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.sgd(1e-3), wrt=nnx.Param)

    @nnx.jit
    def step(model: Any, optimizer: Any, x: Any) -> Any:
        loss, grads = nnx.value_and_grad(lambda m: (m(x) ** 2).mean())(model)
        optimizer.update(model, grads)
        return loss

    x = jnp.ones((2, 4))
    return lambda: step(model, optimizer, x).block_until_ready()


# --- A GAN decoder's step: what the computation costs ------------------------------------------


def data() -> tuple[np.ndarray, np.ndarray]:
    z = RNG.standard_normal((BATCH, 64, 1, 1)).astype("f")
    return z, RNG.standard_normal((BATCH, 1, 32, 32)).astype("f")


def generator(package: Any) -> Any:
    modules = []
    for i, o, stride, padding, bias in LAYERS:
        modules.append(package.ConvTranspose2d(i, o, 4, stride, padding, bias=bias))
        modules += [package.Tanh()] if bias else [package.BatchNorm2d(o), package.ReLU()]
    return package.Sequential(*modules)


def gan_lucid(jitted: bool = True) -> Callable[[], Any]:
    model = generator(nn)
    optimizer = optim.Adam(model.parameters(), LR, BETAS, EPS)
    z, y = map(Tensor, data())

    def step(z: Tensor, y: Tensor) -> Tensor:
        loss = nn.functional.mse_loss(model(z), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    fast = lucid.jit(step) if jitted else step

    def run() -> Any:
        loss = fast(z, y)
        # The step has ended when the parameters are there, not only the loss. `data` would hand
        # them out, and the next step would copy what was handed out.
        return jax.block_until_ready([loss.data, *(p._data for p in model.parameters())])

    if jitted:
        LOWERED["lucid"] = lambda: fast.lower(z, y)
    return run


def gan_torch() -> Callable[[], Any]:
    model = generator(torch.nn)
    optimizer = torch.optim.Adam(model.parameters(), LR, BETAS, EPS)
    z, y = map(torch.tensor, data())

    def step() -> Any:
        loss = ((model(z) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def gan_jax() -> Callable[[], Any]:
    """The step that an expert writes by hand, with the same convolutions."""
    weights = [jnp.asarray(RNG.standard_normal((i, o, 4, 4)) * 0.02, "f") for i, o, *_ in LAYERS]
    norms = [(jnp.ones(o), jnp.zeros(o)) for _, o, *_ in LAYERS[:-1]]
    params = {"w": weights, "norm": norms, "bias": jnp.zeros(1)}
    stats = [(jnp.zeros(o), jnp.ones(o)) for _, o, *_ in LAYERS[:-1]]
    z, y = map(jnp.asarray, data())

    def forward(params: Any, stats: Any, x: Any) -> Any:
        new_stats = []
        for i, (_, _, stride, padding, last) in enumerate(LAYERS):
            bias = params["bias"] if last else None
            x = conv_transpose(x, params["w"][i], bias, rank=2, stride=stride, padding=padding)
            if last:
                return jnp.tanh(x), new_stats
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
            count = x.size / x.shape[1]
            old_mean, old_var = stats[i]
            unbiased = var * count / (count - 1)
            new_stats.append((0.9 * old_mean + 0.1 * mean, 0.9 * old_var + 0.1 * unbiased))
            scale, shift = params["norm"][i]
            factor = scale * jax.lax.rsqrt(var + 1e-5)
            x = (x - mean[:, None, None]) * factor[:, None, None] + shift[:, None, None]
            x = jax.nn.relu(x)
        raise AssertionError

    def step(params: Any, stats: Any, m: Any, v: Any, t: Any, z: Any, y: Any) -> Any:
        def loss_of(params: Any) -> Any:
            out, new_stats = forward(params, stats, z)
            return jnp.mean((out - y) ** 2), new_stats

        (loss, stats), grads = jax.value_and_grad(loss_of, has_aux=True)(params)
        t = t + 1
        b1, b2 = BETAS
        m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, m, grads)
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, v, grads)
        params = jax.tree.map(
            lambda p, m, v: p - LR * (m / (1 - b1**t)) / (jnp.sqrt(v / (1 - b2**t)) + EPS),
            params,
            m,
            v,
        )
        return (params, stats, m, v, t), loss

    zeros = jax.tree.map(jnp.zeros_like, params)
    carry = [(params, stats, zeros, jax.tree.map(jnp.copy, zeros), jnp.zeros((), int))]
    jitted = jax.jit(step, donate_argnums=(0, 1, 2, 3, 4))

    def run() -> Any:
        carry[0], loss = jitted(*carry[0], z, y)
        return jax.block_until_ready([loss, carry[0]])

    LOWERED["jax"] = lambda: jitted.lower(*carry[0], z, y)
    return run


def gan_nnx() -> Callable[[], Any]:
    class Generator(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.convs = nnx.List(
                nnx.ConvTranspose(
                    i,
                    o,
                    (4, 4),
                    strides=(stride, stride),
                    padding="SAME" if padding else "VALID",
                    use_bias=bias,
                    rngs=rngs,
                )
                for i, o, stride, padding, bias in LAYERS
            )
            self.norms = nnx.List(nnx.BatchNorm(o, rngs=rngs) for _, o, *_ in LAYERS[:-1])

        def __call__(self, x: Any) -> Any:
            for conv, norm in zip(self.convs, self.norms, strict=False):
                x = nnx.relu(norm(conv(x)))
            return jnp.tanh(self.convs[-1](x))

    model = Generator(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(LR, *BETAS), wrt=nnx.Param)
    z, y = (jnp.asarray(a.transpose(0, 2, 3, 1)) for a in data())

    @nnx.jit
    def step(model: Any, optimizer: Any, z: Any, y: Any) -> Any:
        loss, grads = nnx.value_and_grad(lambda m: jnp.mean((m(z) - y) ** 2))(model)
        optimizer.update(model, grads)
        return loss

    return lambda: step(model, optimizer, z, y).block_until_ready()


def first_call(make: Callable[[], Callable[[], Any]]) -> float:
    run = make()
    jax.clear_caches()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def peak_memory(name: str) -> float:
    """Bytes that a program needs at once, where results that reuse an argument count once."""
    memory = LOWERED[name]().compile().memory_analysis()
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes
    return held + memory.temp_size_in_bytes - memory.alias_size_in_bytes


def main() -> None:
    print(f"{'':<60} {'ratio':>6}   {'target':<8} {'lucid, ms':>10}")
    t = interleave({"lucid": deep_lucid(100), "jax": deep_jax(100), "nnx": deep_nnx(100)})
    row("depth 100, 200 parameters / hand-written JAX", t["lucid"] / t["jax"], "<= 1.3", t["lucid"])
    row("depth 100, 200 parameters / Flax NNX", t["lucid"] / t["nnx"], "<= 0.1", t["lucid"])
    t = interleave({"lucid": deep_lucid(100, zero_grad_first=True), "jax": deep_jax(100)})
    row("  the same, gradients left in .grad / JAX", t["lucid"] / t["jax"], "", t["lucid"])
    t = interleave({"100": deep_lucid(100), "25": deep_lucid(25)})
    row("depth 100 / depth 25 (linear: at most 4)", t["100"] / t["25"], "<= 4", t["100"])
    t = interleave(
        {
            "lucid": gan_lucid(),
            "jax": gan_jax(),
            "torch": gan_torch(),
            "eager": gan_lucid(jitted=False),
            "nnx": gan_nnx(),
        },
        block=0.1,
    )
    row("GAN decoder step / hand-written JAX", t["lucid"] / t["jax"], "<= 1.03", t["lucid"])
    row("GAN decoder step / PyTorch", t["lucid"] / t["torch"], "<= 0.75", t["lucid"])
    row("GAN decoder step / Flax NNX", t["lucid"] / t["nnx"], "<= 0.2", t["lucid"])
    row("GAN decoder step / eager lucid", t["lucid"] / t["eager"], "", t["lucid"])
    ratios = [(first_call(gan_lucid), first_call(gan_jax)) for _ in range(3)]
    ours, theirs = (sorted(column)[1] for column in zip(*ratios, strict=True))
    row("GAN decoder, trace and compile / hand-written JAX", ours / theirs, "<= 1.3", ours)
    ours, theirs = peak_memory("lucid"), peak_memory("jax")
    print(f"{'GAN decoder, peak memory / hand-written JAX':<60} {ours / theirs:6.2f}   <= 1.1")


if __name__ == "__main__":
    main()
