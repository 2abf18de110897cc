"""Whole models, one training step: as ratios to PyTorch from interleaved runs in one process.

    python tests/benchmarks/training.py [--networks NAME ...]

A step is `zero_grad`, the forward pass, a mean of squares, `backward` and SGD with momentum, under
`lucid.jit`; PyTorch runs the same eagerly, as its users do. Needs the `parity` extra. Below 1 is
faster than PyTorch.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import torch
from networks import NETWORKS, Network
from timing import geometric_mean, interleave

import lucid
from lucid import Tensor, nn, optim

torch.set_num_threads(2)
BATCHES = {"DCGAN generator": 32, "decoder": 32, "HiFi-GAN generator": 4}
RATE, MOMENTUM = 1e-3, 0.9


def contestants(
    network: Network, batch: int, device: str = "cpu", rtol: float = 1e-3
) -> dict[str, Callable[[], Any]]:
    """Both steps, after a first one whose losses agree; PyTorch's on the device of that name."""
    values = np.random.default_rng(0).standard_normal((batch, *network.shape)).astype("float32")
    model, theirs = network.make(nn), network.make(torch.nn)
    model.load_state_dict(theirs.state_dict())
    theirs.to(device)
    ours = optim.SGD(model.parameters(), RATE, MOMENTUM)
    other = torch.optim.SGD(theirs.parameters(), RATE, MOMENTUM)
    x, tx = Tensor(values), torch.tensor(values, device=device)
    parameters = list(model.parameters())

    @lucid.jit
    def step(x: Tensor) -> Tensor:
        ours.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        ours.step()
        return loss

    def run_lucid() -> Any:
        loss = step(x)
        jax.block_until_ready([p._data for p in parameters])
        return loss.item()

    def run_torch() -> Any:
        other.zero_grad()
        loss = (theirs(tx) ** 2).mean()
        loss.backward()
        other.step()
        return loss.item()

    np.testing.assert_allclose(run_lucid(), run_torch(), rtol=rtol)
    return {"lucid": run_lucid, "torch": run_torch}


def table(batches: dict[str, int], device: str = "cpu", rtol: float = 1e-3) -> None:
    """A row for each network at its batch, and their mean."""
    ratios = []
    print(f"{'':<28}{'lucid, ms':>12}{'PyTorch, ms':>14}{'/ PyTorch':>12}")
    for name, batch in batches.items():
        steps = contestants(NETWORKS[name], batch, device, rtol)
        t = interleave(steps, block=0.2, rounds=7, summary=min)
        ratios.append(t["lucid"] / t["torch"])
        times = f"{t['lucid'] * 1e3:>12.2f}{t['torch'] * 1e3:>14.2f}"
        print(f"{name + f', batch {batch}':<28}{times}{ratios[-1]:>12.2f}", flush=True)
    print(f"{'geometric mean':<28}{'':>26}{geometric_mean(ratios):>12.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=NETWORKS)
    table({name: BATCHES.get(name, 8) for name in parser.parse_args().networks})


if __name__ == "__main__":
    main()
