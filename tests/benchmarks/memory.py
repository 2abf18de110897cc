"""Memory of a training step beside its state: at once, recomputed, and in four micro-batches.

    python tests/benchmarks/memory.py

What XLA sets aside for a step of a decoder of transposed convolutions, batch 64. Recomputation
shows in the operations of the program; XLA:CPU orders it so that it saves little.
"""

from __future__ import annotations

from collections.abc import Callable

from networks import NETWORKS

import lucid
from lucid import Tensor, nn, optim

BATCH, PARTS = 64, 4


def main() -> None:
    network = NETWORKS["DCGAN generator"]
    model = network.make(nn)
    optimizer = optim.SGD(model.parameters(), 1e-3)
    x = lucid.randn(BATCH, *network.shape)

    def loss_of(y: Tensor) -> Tensor:
        return (y**2).mean()

    def at_once(x: Tensor) -> Tensor:
        loss = loss_of(model(x))
        loss.backward()
        return loss

    def recomputed(x: Tensor) -> Tensor:
        loss = loss_of(lucid.checkpoint(model, x))
        loss.backward()
        return loss

    def part(total: Tensor, x: Tensor) -> tuple[Tensor, None]:
        loss = loss_of(model(x)) / PARTS
        loss.backward()
        return total + loss.detach(), None

    def unrolled(x: Tensor) -> Tensor:
        total = lucid.zeros(())
        for piece in lucid.split(x, BATCH // PARTS):
            total, _ = part(total, piece)
        return total

    def looped(x: Tensor) -> Tensor:
        return lucid.scan(part, 0.0, x.reshape(PARTS, -1, *network.shape))[0]

    def measured(gradients: Callable[[Tensor], Tensor]) -> tuple[float, float]:
        @lucid.jit
        def step(x: Tensor) -> Tensor:
            optimizer.zero_grad()
            loss = gradients(x)
            optimizer.step()
            return loss

        compiled = step.lower(x).compile()
        flops = compiled.cost_analysis()["flops"]
        return compiled.memory_analysis().temp_size_in_bytes / 2**20, flops / 1e9

    rows = {
        "at once": at_once,
        "recomputed, lucid.checkpoint": recomputed,
        f"{PARTS} micro-batches, a Python loop": unrolled,
        f"{PARTS} micro-batches, lucid.scan": looped,
    }
    whole, _ = measured(at_once)
    print(f"{'DCGAN generator, batch 64':<34}{'MiB':>8}{'ratio':>8}{'GFLOP':>8}")
    for name, gradients in rows.items():
        size, flops = measured(gradients)
        # Those of other batches are of other lowerings, and a loop counts once.
        shown = f"{flops:>8.1f}" if gradients in (at_once, recomputed) else ""
        print(f"{name:<34}{size:>8.1f}{size / whole:>8.2f}{shown}")


if __name__ == "__main__":
    main()
