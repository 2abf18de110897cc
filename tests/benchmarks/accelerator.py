"""Convolutions and training steps on a GPU: lucid against plain JAX and PyTorch.

    python tests/benchmarks/accelerator.py [--dtype bfloat16] [--only networks]

Needs JAX and PyTorch built for the GPU. A row of a layer is a forward pass (f), or one with both
gradients (f+b), at `--batch` times the batch of `conv_transpose`; plain JAX is the convolution with
lhs_dilation of a kernel that is stored as it needs it, which is Flax's ConvTranspose. A row of a
network is the training step of `training`. Calls are queued and waited for together, as in a
training loop. Both sides may multiply float32 in TF32 and try algorithms out.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from conv_transpose import ORDINARY, TRANSPOSED, Problem, Row, head, line
from jax import lax
from networks import NETWORKS
from timing import geometric_mean, interleave
from training import table

from lucid.ops.conv.geometry import Form

CALLS = 20
torch.backends.cudnn.benchmark = True
torch.backends.cuda.matmul.allow_tf32 = True


def plain_transposed(form: Form, x: jax.Array, w: jax.Array) -> jax.Array:
    """Of a kernel (out, in // groups, *k), to be convolved as it is."""
    spans = [d * (k - 1) for k, d in zip(form.kernel, form.dilation, strict=True)]
    ends = zip(spans, form.padding, form.padding_high, strict=True)
    return lax.conv_general_dilated(
        x, w, (1,) * form.rank, [(span - low, span - high) for span, low, high in ends],
        form.stride, form.dilation, feature_group_count=form.groups,
    )  # fmt: skip


def by_plain_jax(problem: Problem) -> tuple[Any, list[np.ndarray]]:
    if not problem.transposed:
        return problem.by_plain_jax, problem.arrays
    form, (x, w, ct) = problem.form, problem.arrays
    per_group = form.small_channels // form.groups
    stored = w.reshape(form.large_channels, per_group, *form.kernel)  # as many numbers
    return lambda x, w: plain_transposed(form, x, w), [x, stored, ct]


def queued(call: Callable[[], Any], wait: Callable[[Any], Any]) -> Callable[[], Any]:
    """Several calls of which only the last is waited for."""

    def run() -> Any:
        for _ in range(CALLS - 1):
            call()
        return wait(call())

    return run


def by_jax(function: Any, arrays: list[np.ndarray], dtype: str, backward: bool) -> Any:
    x, w, ct = (jnp.asarray(array, dtype) for array in arrays)

    def run(x: jax.Array, w: jax.Array, ct: jax.Array) -> Any:
        if not backward:
            return function(x, w)
        y, vjp = jax.vjp(function, x, w)
        return y, *vjp(ct)

    compiled = jax.jit(run).lower(x, w, ct).compile()
    return queued(lambda: compiled(x, w, ct), jax.block_until_ready)


def by_torch(problem: Problem, dtype: str, backward: bool) -> Any:
    call = problem.by_torch(backward, "cuda", getattr(torch, dtype))

    def wait(result: Any) -> Any:
        torch.cuda.synchronize()
        return result

    return queued(call, wait)


def check(ours: Any, theirs: Any) -> None:
    """The forward pass, or the gradients, within what TF32 and 16 bits leave."""
    ours = ours[1:] if isinstance(ours, tuple) else (ours,)
    theirs = theirs if isinstance(theirs, tuple) else (theirs,)
    for a, b in zip(ours, theirs, strict=True):
        b = b.float().cpu().numpy()
        np.testing.assert_allclose(np.asarray(a, "float32"), b, atol=0.02 * np.abs(b).max())


def measure(row: Row, transposed: bool, dtype: str) -> dict[str, float]:
    problem, found = Problem(row, transposed), {}
    plain, arrays = by_plain_jax(problem)
    for kind, backward in (("f", False), ("f+b", True)):
        candidates = {
            "torch": by_torch(problem, dtype, backward),
            "lucid": by_jax(problem.by_lucid, problem.arrays, dtype, backward),
            "plain": by_jax(plain, arrays, dtype, backward),
        }
        check(candidates["lucid"](), candidates["torch"]())
        seconds = interleave(candidates, rounds=4, block=0.01, summary=min)
        found[f"{kind} us"] = seconds["lucid"] * 1e6 / CALLS
        for other in ("torch", "plain"):
            found[f"{kind} /{other}"] = seconds["lucid"] / seconds[other]
    return found


def layers(title: str, rows: list[Row], dtype: str, batch: int) -> None:
    figures: list[dict[str, float]] = []
    for row in rows:
        row = row._replace(x=(batch * row.x[0], *row.x[1:]))
        figures.append(measure(row, title == "transposed", dtype))
        if len(figures) == 1:
            print(head(f"{title}, {dtype}", list(figures[0]), False))
        print(line(row.name, figures[-1], False), flush=True)
    for name, function in (("geometric mean", geometric_mean), ("worst", max)):
        total = {key: function([f[key] for f in figures]) for key in figures[0]}
        print(line(f"{title}, {name}", total, False), flush=True)


def networks(batch: int) -> None:
    table(dict.fromkeys(NETWORKS, batch), "cuda", rtol=0.01)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--batch", type=int, default=16, help="times the batch of each row")
    parser.add_argument("--only", choices=["networks", "transposed", "ordinary"])
    parser.add_argument("--rows", nargs="*", help="only rows whose name contains one of these")
    options = parser.parse_args()
    print(jax.devices()[0].device_kind, f"jax {jax.__version__}, torch {torch.__version__}")
    if options.only in (None, "networks"):
        networks(4 * options.batch)
    for title, rows in (("transposed", TRANSPOSED), ("ordinary", ORDINARY)):
        if options.rows:
            rows = [row for row in rows if any(part in row.name for part in options.rows)]
        if options.only in (None, title) and rows:
            layers(title, rows, options.dtype, options.batch)


if __name__ == "__main__":
    main()
