"""Attention and a Transformer's training step, as ratios from interleaved runs in one process.

    python tests/benchmarks/attention.py [--attention] [--transformer]

Attention is its forward pass and its gradients in float32, under `lucid.jit`; PyTorch does the same
eagerly, JAX by `jax.nn.dot_product_attention`. The Transformer is that of training.py, beside Flax
NNX too. Needs the `parity` extra, flax and optax. Below 1 is faster than the reference.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from networks import NETWORKS
from nnx_networks import transformer_step
from timing import interleave
from training import contestants

import lucid
import lucid.nn.functional as F
from lucid import Tensor

BATCH, HEADS, SIZE = 8, 8, 32


def attentions(length: int, causal: bool) -> dict[str, Callable[[], Any]]:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((BATCH, HEADS, length, SIZE)).astype("f") for _ in range(4)]
    *tensors, weight = map(Tensor, arrays)
    *theirs, their_weight = map(torch.tensor, arrays)

    @lucid.jit
    def step(query: Tensor, key: Tensor, value: Tensor) -> Any:
        inputs = [x.detach().requires_grad_() for x in (query, key, value)]
        y = F.scaled_dot_product_attention(*inputs, is_causal=causal)
        return lucid.autograd.grad((y * weight).sum(), inputs)

    @jax.jit
    def plain(*inputs: jax.Array) -> Any:
        def loss_of(*inputs: jax.Array) -> jax.Array:
            q, k, v = (x.swapaxes(1, 2) for x in inputs)
            y = jax.nn.dot_product_attention(q, k, v, is_causal=causal)
            return (y.swapaxes(1, 2) * weight.data).sum()

        return jax.grad(loss_of, (0, 1, 2))(*inputs)

    def by_torch() -> Any:
        inputs = [x.detach().requires_grad_() for x in theirs]
        y = torch.nn.functional.scaled_dot_product_attention(*inputs, is_causal=causal)
        return torch.autograd.grad((y * their_weight).sum(), inputs)

    arrays_of_jax = [jnp.asarray(x) for x in arrays[:3]]
    runs: dict[str, Callable[[], Any]] = {
        "lucid": lambda: jax.block_until_ready([x.data for x in step(*tensors)]),
        "torch": by_torch,
        "jax": lambda: jax.block_until_ready(plain(*arrays_of_jax)),
    }
    expected = by_torch()
    for name in ("lucid", "jax"):
        for found, value in zip(runs[name](), expected, strict=True):
            np.testing.assert_allclose(found, value, rtol=1e-3, atol=1e-4)
    return runs


def row(what: str, t: dict[str, float]) -> None:
    """A line of a table, whose heads name the references in their order."""
    ours, others = t["lucid"], [seconds for name, seconds in t.items() if name != "lucid"]
    ratios = "".join(f"{ours / seconds:>14.2f}" for seconds in others)
    print(f"{what:<44}{ours * 1e3:>12.2f}{ratios}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--attention", action="store_true", help="only the function")
    parser.add_argument("--transformer", action="store_true", help="only the whole model")
    args = parser.parse_args()
    if args.attention or not args.transformer:
        print(f"{'':<44}{'lucid, ms':>12}{'/ PyTorch':>14}{'/ jax.nn':>14}")
        for length in (64, 256, 512):
            for causal in (False, True):
                what = f"attention, length {length}{', causal' if causal else ''}, gradients"
                row(what, interleave(attentions(length, causal), block=0.1))
    if args.transformer or not args.attention:
        print(f"{'':<44}{'lucid, ms':>12}{'/ PyTorch':>14}{'/ Flax NNX':>14}")
        network = NETWORKS["Transformer"]
        runs = {**contestants(network, 8), "nnx": transformer_step(8, network.shape[0])}
        row("Transformer, batch 8, training step", interleave(runs, block=0.2, summary=min))


if __name__ == "__main__":
    main()
