"""The same step on 1, 2, 4 and 8 devices: equal losses, and a part of the memory on each.

    python examples/data_parallel.py

Trains the autoencoder of `decoder_digits.py`, with copies of its state on all devices and with its
state split over them (FSDP). The step is the same each time; the lines that build differ. Where
there are fewer devices, the CPU is divided into 8. Prints for each how far losses and parameters
are from those of one device, what lies on a device, and what the devices exchange in a step.
"""

from __future__ import annotations

import argparse
import os
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import jax
import numpy as np
from decoder_digits import Decoder, Encoder
from support.digits import digits_at_32x32
from support.script import positive

import lucid
from lucid import Tensor, nn, optim, sharding

LATENT = 16
RULES = {"copies": None, "split": sharding.fsdp()}


class Run(NamedTuple):
    """One training."""

    losses: np.ndarray
    parameters: list[np.ndarray]
    state: int  # bytes of parameters and moments on the first device
    temporary: int  # bytes on each device while a step runs
    exchanged: Counter[str]  # collectives of a step by name


def train(batches: np.ndarray, devices: int, rule: sharding.Rule | None, seed: int) -> Run:
    """Train on the first so many devices, one step for each batch."""
    mesh = jax.sharding.Mesh(jax.devices()[:devices], ("data",))
    lucid.random.seed(seed)
    model = nn.Sequential(Encoder(LATENT), Decoder(LATENT))
    sharding.place(model, mesh, rule)
    # Its moments lie as the parameters do.
    optimizer = optim.Adam(model.parameters(), lr=2e-3, eps=1e-3)
    criterion = nn.MSELoss()

    @lucid.jit
    def step(x: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = criterion(model(x), x)
        loss.backward()
        optimizer.step()
        return loss

    split = sharding.split(mesh)
    losses = [step(Tensor(batch, device=split)).item() for batch in batches]
    compiled = step.lower(Tensor(batches[0], device=split)).compile()
    moments = (tensor for state in optimizer.state.values() for tensor in state.values())
    return Run(
        np.array(losses),
        [sharding.whole(p) for p in model.parameters()],
        bytes_on(jax.devices()[0], (*model.parameters(), *moments)),
        compiled.memory_analysis().temp_size_in_bytes,
        Counter(re.findall(r" (all-\w+|reduce-scatter)(?:-start)?\(", compiled.as_text())),
    )


def bytes_on(device: jax.Device, tensors: Iterable[Tensor]) -> int:
    """What of the Tensors lies on one device."""
    return sum(
        shard.data.nbytes
        for tensor in tensors
        for shard in tensor.data.addressable_shards
        if shard.device == device
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--steps", type=positive, default=10, help="training steps of each run")
    parser.add_argument("--batch", type=positive, default=64, help="digits in a step")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers")
    args = parser.parse_args()
    if args.batch % 8:
        parser.error(f"argument --batch: 8 devices must divide it, got {args.batch}")
    # Read when JAX first asks for its devices.
    os.environ["XLA_FLAGS"] = (
        f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    )
    # On few cores the threads of 8 devices that run ahead can wait for each other for ever.
    jax.config.update("jax_cpu_enable_async_dispatch", False)

    images = digits_at_32x32()
    order = np.random.default_rng(args.seed).integers(len(images), size=(args.steps, args.batch))
    batches = images[order]
    one = train(batches, 1, None, args.seed)
    print(f"loss on one device: {one.losses[0]:.6f} to {one.losses[-1]:.6f} in {args.steps} steps")
    print(f"{'':<18}{'difference':>12}{'state, KiB':>12}{'working, KiB':>14}  exchanged in a step")
    print(f"{'1 device':<18}{'':>12}{one.state / 1024:>12.0f}{one.temporary / 1024:>14.0f}")
    for name, rule in RULES.items():
        for devices in (2, 4, 8):
            run = train(batches, devices, rule, args.seed)
            pairs = zip([one.losses, *one.parameters], [run.losses, *run.parameters], strict=True)
            difference = max(float(np.abs(a - b).max()) for a, b in pairs)
            exchanged = ", ".join(f"{n} {what}" for what, n in sorted(run.exchanged.items()))
            print(
                f"{f'{devices} devices, {name}':<18}{difference:>12.1e}{run.state / 1024:>12.0f}"
                f"{run.temporary / 1024:>14.0f}  {exchanged}"
            )


if __name__ == "__main__":
    main()
