"""A training step of a DCGAN decoder: time, compile time and memory.

    python tests/benchmarks/decoder.py

Four transposed convolutions with ReLU between them, squared error, gradients and an SGD update,
batch 32. Plain JAX is the same step with `lax.conv_general_dilated` and lhs_dilation. Below 1 is
less than the reference. "temporary" is XLA's own analysis of the compiled step; "peak" is by how
much the resident memory of a process of its own rises during the first steps (Linux), the median of
nine processes.
"""

from __future__ import annotations

import ctypes
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from timing import interleave

from lucid.ops.conv import check_window, conv_transpose
from lucid.ops.conv.definition import large as plain
from lucid.ops.conv.geometry import conv_transpose_form

torch.set_num_threads(2)
BATCH, RATE = 32, 1e-3
# in, out, stride, padding; all kernels are 4 x 4.
LAYERS = [(100, 256, 1, 0), (256, 128, 2, 1), (128, 64, 2, 1), (64, 3, 2, 1)]


def by_lucid(x: jax.Array, w: jax.Array, stride: int, padding: int) -> jax.Array:
    return conv_transpose(x, w, rank=2, stride=stride, padding=padding)


def by_lhs_dilation(x: jax.Array, w: jax.Array, stride: int, padding: int) -> jax.Array:
    window = check_window("plain", 2, w.shape[2:], stride, padding, 1, 1, 0)
    return plain(conv_transpose_form("plain", x.shape, w.shape, window), x, w)


def data(batch: int = BATCH) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731
    weights = [0.05 * draw(i, o, 4, 4) for i, o, *_ in LAYERS]
    return weights, draw(batch, LAYERS[0][0], 1, 1), draw(batch, LAYERS[-1][1], 32, 32)


def lower(layer: Callable[..., jax.Array], arrays: Any) -> Any:
    def loss(weights: list[jax.Array], z: jax.Array, y: jax.Array) -> jax.Array:
        for w, (_, _, stride, padding) in zip(weights, LAYERS, strict=True):
            z = layer(z if w is weights[0] else jax.nn.relu(z), w, stride, padding)
        return ((jnp.tanh(z) - y) ** 2).mean()

    def step(weights: list[jax.Array], z: jax.Array, y: jax.Array) -> Any:
        value, grads = jax.value_and_grad(loss)(weights, z, y)
        return [w - RATE * g for w, g in zip(weights, grads, strict=True)], value

    return jax.jit(step).lower(*arrays)


def jax_step(layer: Callable[..., jax.Array], batch: int) -> Callable[[], Any]:
    arrays = jax.tree.map(jnp.asarray, data(batch))
    compiled = lower(layer, arrays).compile()
    return lambda: jax.block_until_ready(compiled(*arrays))


def torch_step(batch: int) -> Callable[[], Any]:
    weights, z, y = data(batch)
    parameters = [torch.tensor(w, requires_grad=True) for w in weights]
    first, target = torch.tensor(z), torch.tensor(y)
    optimizer = torch.optim.SGD(parameters, lr=RATE)

    def run() -> None:
        x = first
        for w, (_, _, stride, padding) in zip(parameters, LAYERS, strict=True):
            x = torch.relu(x) if w is not parameters[0] else x
            x = torch.nn.functional.conv_transpose2d(x, w, None, stride, padding)
        optimizer.zero_grad()
        ((torch.tanh(x) - target) ** 2).mean().backward()
        optimizer.step()

    return run


STEPS = {
    "lucid": lambda batch: jax_step(by_lucid, batch),
    "plain": lambda batch: jax_step(by_lhs_dilation, batch),
    "torch": torch_step,
}


def peak_of_one_step(name: str) -> float:
    """MiB by which the resident memory of this process rises during the first steps."""
    STEPS[name](1)()  # loads the libraries' code
    run = STEPS[name](BATCH)
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    before = _status("VmRSS")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # forget the highest resident size
    for _ in range(3):
        run()
    return (_status("VmHWM") - before) / 1024


def _status(field: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field))


def peak(name: str) -> float:
    command = [sys.executable, __file__, "--peak", name]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(result.stdout)


def seconds_to_compile() -> list[float]:
    """From the function to the compiled step, by lucid and by plain JAX; the shortest of five."""
    arrays = jax.tree.map(jnp.asarray, data())
    times = []
    for _ in range(5):
        for layer in (by_lucid, by_lhs_dilation):
            jax.clear_caches()
            start = time.perf_counter()
            lower(layer, arrays).compile()
            times.append(time.perf_counter() - start)
    return [min(times[::2]), min(times[1::2])]


def row(what: str, value: float, unit: str, references: dict[str, float], limit: str) -> None:
    ratios = ", ".join(f"{value / other:.2f} of {name}" for name, other in references.items())
    print(f"{what:<12}{value:10.2f} {unit:<5}{ratios:<36}{limit}", flush=True)


def main() -> None:
    if sys.argv[1:2] == ["--peak"]:
        print(peak_of_one_step(sys.argv[2]))
        return
    t = interleave({name: make(BATCH) for name, make in STEPS.items()}, rounds=9, block=0.05)
    names = {"plain": "plain JAX", "torch": "PyTorch"}
    row("time", t["lucid"] * 1e3, "ms", {names[n]: t[n] * 1e3 for n in names}, "")
    compile_ours, compile_plain = seconds_to_compile()
    row("compile", compile_ours, "s", {"plain JAX": compile_plain}, "<= 1.5")
    arrays = jax.tree.map(jnp.asarray, data())
    programs = [lower(layer, arrays).compile() for layer in (by_lucid, by_lhs_dilation)]
    ours, theirs = (p.memory_analysis().temp_size_in_bytes / 2**20 for p in programs)
    row("temporary", ours, "MiB", {"plain JAX": theirs}, "")
    peaks = {name: statistics.median(peak(name) for _ in range(9)) for name in STEPS}
    row("peak", peaks["lucid"], "MiB", {names[n]: peaks[n] for n in names}, "<= 1.5 of PyTorch")


if __name__ == "__main__":
    main()
