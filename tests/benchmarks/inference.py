"""Whole models, forward only: what serving costs, as ratios from interleaved runs in one process.

    python tests/benchmarks/inference.py [--batches 1 8] [--networks NAME ...]

`plain` is `jax.jit` of the functionalized model: the same program without lucid around it. ONNX
Runtime runs what `lucid.onnx.export` wrote. Needs the `parity` extra. Below 1 is faster than the
reference.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import onnxruntime
import torch
from networks import NETWORKS, Network
from timing import geometric_mean, interleave

import lucid
from lucid import Tensor, nn

THREADS = 2
torch.set_num_threads(THREADS)


def contestants(network: Network, batch: int) -> dict[str, Callable[[], Any]]:
    """The same trained numbers in every library; each result is there when the call returns."""
    values = np.random.default_rng(0).standard_normal((batch, *network.shape)).astype("float32")
    model, theirs = network.make(nn).eval(), network.make(torch.nn).eval()
    model.load_state_dict(theirs.state_dict())
    x, tx = Tensor(values), torch.tensor(values)
    jitted = lucid.jit(model)
    pure, state = lucid.func.functionalize(model)
    plain = jax.jit(lambda state, x: pure(state, x)[0])

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        lucid.onnx.export(model, x, path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        # Its threads spin no longer than it runs, or whoever follows would read too much.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        session = onnxruntime.InferenceSession(path.read_bytes(), options)
    name = session.get_inputs()[0].name

    def run_lucid() -> Any:
        with lucid.no_grad():
            return jitted(x).data.block_until_ready()

    def run_torch() -> Any:
        with torch.no_grad():
            return theirs(tx)

    runs = {
        "lucid": run_lucid,
        "plain": lambda: plain(state, x.data).block_until_ready(),
        "torch": run_torch,
        "onnx": lambda: session.run(None, {name: values})[0],
    }
    expected = run_torch().numpy()
    scale = np.abs(expected).max()
    for run in runs.values():
        np.testing.assert_allclose(np.asarray(run()), expected, atol=1e-3 * scale, rtol=1e-2)
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=NETWORKS)
    options = parser.parse_args()
    against = {"plain": "plain JAX", "torch": "PyTorch", "onnx": "ONNX Runtime"}
    ratios: dict[str, list[float]] = defaultdict(list)
    print(f"{'':<28}{'lucid, ms':>12}" + "".join(f"{'/ ' + n:>16}" for n in against.values()))
    for name in options.networks:
        for batch in options.batches:
            t = interleave(contestants(NETWORKS[name], batch), block=0.1, summary=min)
            row = {other: t["lucid"] / t[other] for other in against}
            for other, ratio in row.items():
                ratios[other].append(ratio)
            text = "".join(f"{ratio:>16.2f}" for ratio in row.values())
            print(f"{name + f', batch {batch}':<28}{t['lucid'] * 1e3:>12.2f}{text}", flush=True)
    means = "".join(f"{geometric_mean(ratios[other]):>16.2f}" for other in against)
    print(f"{'geometric mean':<28}{'':>12}{means}")


if __name__ == "__main__":
    main()
