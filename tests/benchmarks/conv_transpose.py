"""Convolutions on CPU: lucid against PyTorch, plain JAX and the matrix products alone.

    python tests/benchmarks/conv_transpose.py [--quick] [--rows NAME ...] [--drawn N] [--markdown]

A row times the forward pass (f) and forward with both gradients (f+b, one compiled program). The
contestants take turns in one process, see `timing`; the figures are the shortest times and their
ratios. `--quick` compares the forward pass with PyTorch alone, and leaves out the matrix products.
`--drawn` times random shapes, none of which was looked at when the lowerings were tuned.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from timing import geometric_mean, interleave

from lucid.ops.conv import check_window, conv, conv_transpose, force_lowering
from lucid.ops.conv.definition import large as plain_conv_transpose
from lucid.ops.conv.definition import small as plain_conv
from lucid.ops.conv.geometry import Form, conv_form, conv_transpose_form

Contestant = Callable[[], Any]


class Row(NamedTuple):
    name: str
    x: tuple[int, ...]
    out_channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    output_padding: int = 0
    dilation: int = 1
    groups: int = 1


TRANSPOSED = [
    Row("DCGAN z 1x1", (32, 100, 1, 1), 256, 4),
    Row("DCGAN 4x4", (32, 256, 4, 4), 128, 4, 2, 1),
    Row("DCGAN 8x8", (32, 128, 8, 8), 64, 4, 2, 1),
    Row("DCGAN 16x16", (32, 64, 16, 16), 32, 4, 2, 1),
    Row("DCGAN to RGB", (32, 64, 32, 32), 3, 4, 2, 1),
    Row("pix2pix inner", (1, 512, 4, 4), 512, 4, 2, 1),
    Row("pix2pix outer", (1, 512, 32, 32), 128, 4, 2, 1),
    Row("U-Net k2", (4, 128, 32, 32), 64, 2, 2),
    Row("U-Net k2 deep", (4, 512, 8, 8), 256, 2, 2),
    Row("StyleGAN k3 s2", (8, 128, 16, 16), 128, 3, 2, 1, 1),
    Row("k3 s1", (8, 64, 32, 32), 64, 3, 1, 1),
    Row("k5 s2", (16, 64, 16, 16), 32, 5, 2, 2, 1),
    Row("dilation 2", (8, 64, 24, 24), 64, 3, 1, 2, 0, 2),
    Row("groups 4", (16, 128, 16, 16), 64, 4, 2, 1, 0, 1, 4),
    Row("depthwise k3 s2", (8, 64, 32, 32), 64, 3, 2, 1, 1, 1, 64),
    Row("depthwise k4 s2", (8, 64, 32, 32), 64, 4, 2, 1, 0, 1, 64),
    Row("depthwise k3 s1", (8, 64, 32, 32), 64, 3, 1, 1, 0, 1, 64),
    Row("FCN k16 s8", (1, 21, 34, 34), 21, 16, 8, 4),
    Row("FCN k16 s8 dw", (1, 21, 34, 34), 21, 16, 8, 4, 0, 1, 21),
    Row("FCN k64 s32", (1, 21, 16, 16), 21, 64, 32, 16),
    Row("HiFi-GAN k16 s8", (8, 256, 256), 128, 16, 8, 4),
    Row("HiFi-GAN k4 s2", (8, 64, 4096), 32, 4, 2, 1),
    Row("overlap-add k256", (4, 257, 400), 1, 256, 128),
    Row("nnU-Net 3-D k2", (2, 128, 8, 8, 8), 64, 2, 2),
    Row("3-D k4 s2", (1, 64, 8, 16, 16), 32, 4, 2, 1),
    Row("3-D depthwise k4", (2, 32, 8, 16, 16), 32, 4, 2, 1, 0, 1, 32),
]
ORDINARY = [
    Row("conv k3", (8, 64, 32, 32), 64, 3, 1, 1),
    Row("conv k3 128ch", (16, 128, 16, 16), 128, 3, 1, 1),
    Row("conv RGB k7 s2", (8, 3, 64, 64), 64, 7, 2, 3),
    Row("conv to RGB k3", (8, 64, 32, 32), 3, 3, 1, 1),
    Row("conv k4 s2", (16, 64, 32, 32), 128, 4, 2, 1),
    Row("conv 1x1", (8, 128, 32, 32), 128, 1),
    Row("conv 1x1 s2", (8, 128, 32, 32), 256, 1, 2),
    Row("conv groups 4", (8, 128, 32, 32), 128, 3, 1, 1, 0, 1, 4),
    Row("conv groups 32", (8, 128, 28, 28), 128, 3, 1, 1, 0, 1, 32),
    Row("conv depthwise k3", (8, 128, 32, 32), 128, 3, 1, 1, 0, 1, 128),
    Row("conv depthwise s2", (8, 96, 32, 32), 96, 3, 2, 1, 0, 1, 96),
    Row("conv depthwise k7", (4, 96, 28, 28), 96, 7, 1, 3, 0, 1, 96),
    Row("conv dilation 2", (8, 64, 32, 32), 64, 3, 1, 2, 0, 2),
    Row("conv 1-D k5", (8, 64, 1024), 128, 5, 1, 2),
    Row("conv 3-D k3", (2, 32, 16, 16, 16), 32, 3, 1, 1),
]


def drawn(count: int, transposed: bool, seed: int = 2026) -> list[Row]:
    """Random rows of at most 2 GFLOP, and of at least what takes longer than a call."""
    rng = np.random.default_rng(seed + transposed)
    rows: list[Row] = []
    while len(rows) < count:
        batch, stride = int(2 ** rng.integers(0, 6)), int(rng.choice([1, 1, 2, 2, 2, 4]))
        channels = [int(c) for c in rng.choice([3, 16, 24, 48, 64, 96, 128, 192, 256, 384], 2)]
        depthwise = rng.random() < 0.2
        kernel = int(rng.integers(1, 8)) if depthwise else int(rng.integers(1, 6))
        size = int(2 ** rng.uniform(1, 6))
        if depthwise:
            channels[1] = channels[0]
        groups = channels[0] if depthwise else 1
        taps = batch * size**2 * kernel**2 // (1 if transposed else stride**2)
        flops = 2 * taps * channels[0] * channels[1] // groups
        if (
            kernel >= stride
            and 2e6 < flops < 2e9
            and (transposed or size + 2 * (kernel // 2) >= kernel)
        ):
            shape = (batch, channels[0], size, size)
            padding = (kernel - stride) // 2 if transposed else kernel // 2
            name = f"{'x'.join(map(str, shape))} to {channels[1]} k{kernel} s{stride}"
            name += " dw" if depthwise else ""
            rows.append(Row(name, shape, channels[1], kernel, stride, padding, groups=groups))
    return rows


class Problem:
    """A row's arrays, and its contestants as functions of no arguments."""

    def __init__(self, row: Row, transposed: bool) -> None:
        self.row, self.transposed, self.rank = row, transposed, len(row.x) - 2
        channels = (row.x[1], row.out_channels)
        first, second = channels if transposed else channels[::-1]
        self.w_shape = (first, second // row.groups, *(row.kernel,) * self.rank)
        window = check_window(
            "benchmark", self.rank, row.kernel, row.stride, row.padding, row.dilation, row.groups,
            row.output_padding,
        )  # fmt: skip
        form_of = conv_transpose_form if transposed else conv_form
        self.form: Form = form_of("benchmark", row.x, self.w_shape, window)
        y_shape = self.form.large_shape if transposed else self.form.small_shape
        rng = np.random.default_rng(0)
        shapes = (row.x, self.w_shape, y_shape)
        self.arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]

    def contestants(self, backward: bool) -> dict[str, Callable[[], Contestant]]:
        """What makes each contestant; compiling is left to the caller."""
        return {
            "torch": lambda: self.by_torch(backward),
            "lucid": lambda: _compiled(self.by_lucid, self.arrays, backward),
            "plain": lambda: _compiled(self.by_plain_jax, self.arrays, backward),
            "limit": lambda: self._matmuls(backward),
        }

    def by_lucid(self, x: jax.Array, w: jax.Array) -> jax.Array:
        row = self.row
        geometry = {
            "stride": row.stride, "padding": row.padding, "dilation": row.dilation,
            "groups": row.groups,
        }  # fmt: skip
        if not self.transposed:
            return conv(x, w, rank=self.rank, **geometry)
        return conv_transpose(x, w, rank=self.rank, output_padding=row.output_padding, **geometry)

    def by_plain_jax(self, x: jax.Array, w: jax.Array) -> jax.Array:
        return (plain_conv_transpose if self.transposed else plain_conv)(self.form, x, w)

    def by_torch(
        self, backward: bool, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> Contestant:
        x, w, ct = (torch.tensor(array, device=device, dtype=dtype) for array in self.arrays)
        row, rank = self.row, self.rank
        geometry = (
            (row.stride,) * rank, (row.padding,) * rank, (row.dilation,) * rank, self.transposed,
            (row.output_padding,) * rank, row.groups,
        )  # fmt: skip
        if not backward:
            return lambda: torch.convolution(x, w, None, *geometry)
        x.requires_grad_(), w.requires_grad_()
        return lambda: torch.autograd.grad(torch.convolution(x, w, None, *geometry), (x, w), ct)

    def _matmuls(self, backward: bool) -> Contestant:
        """The multiply-adds of each map as one matrix product per group, and nothing else."""
        form = self.form
        rows = form.small_channels // form.groups
        columns = math.prod(self.w_shape[1:])
        positions = form.batch * math.prod(form.small)
        a = jnp.ones((form.groups, rows, columns))
        b = jnp.ones((form.groups, columns, positions))
        c = jnp.ones((form.groups, rows, positions))

        def run(a: jax.Array, b: jax.Array, c: jax.Array) -> list[jax.Array]:
            forward = a.mT @ c if self.transposed else a @ b
            backward_x = a @ b if self.transposed else a.mT @ c
            return [forward, backward_x, c @ b.mT] if backward else [forward]

        compiled = jax.jit(run).lower(a, b, c).compile()
        return lambda: jax.block_until_ready(compiled(a, b, c))


def _compiled(function: Any, arrays: list[np.ndarray], backward: bool) -> Contestant:
    x, w, ct = (jnp.asarray(array) for array in arrays)

    def run(x: jax.Array, w: jax.Array, ct: jax.Array) -> Any:
        if not backward:
            return function(x, w)
        y, vjp = jax.vjp(function, x, w)
        return y, vjp(ct)

    compiled = jax.jit(run).lower(x, w, ct).compile()
    return lambda: jax.block_until_ready(compiled(x, w, ct))


def measure(row: Row, transposed: bool, quick: bool) -> dict[str, float]:
    """For f and f+b: milliseconds, and the ratios to PyTorch, plain JAX and the limit."""
    problem, found = Problem(row, transposed), {}
    for kind, backward in (("f", False), ("f+b", True)):
        contestants = problem.contestants(backward)
        if quick:  # compiling takes most of the time
            wanted = ("torch", "lucid", "plain") if backward else ("torch", "lucid")
            contestants = {name: contestants[name] for name in wanted}
        calls = {name: make() for name, make in contestants.items()}
        seconds = interleave(calls, rounds=6 if quick else 20, block=0.004, summary=min)
        found[f"{kind} ms"] = seconds["lucid"] * 1e3
        for other in ("torch", "plain", "limit"):
            ratio = seconds["lucid"] / seconds[other] if other in seconds else math.nan
            found[f"{kind} /{other}"] = ratio
    return found


def line(name: str, values: dict[str, float], markdown: bool) -> str:
    texts = ["" if math.isnan(v) else f"{v:.2f}" for v in values.values()]
    if markdown:
        return f"| {name} | " + " | ".join(texts) + " |"
    return f"{name:28}" + "".join(f"{text:>11}" for text in texts)


def head(title: str, columns: list[str], markdown: bool) -> str:
    if markdown:
        return f"| {title} | " + " | ".join(columns) + " |\n|---|" + "---:|" * len(columns)
    return f"{title:28}" + "".join(f"{column:>11}" for column in columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds: under two minutes")
    parser.add_argument("--rows", nargs="*", help="only rows whose name contains one of these")
    parser.add_argument("--drawn", type=int, help="so many random shapes in place of the rows")
    parser.add_argument("--lowering", help="force a CPU lowering")
    parser.add_argument("--markdown", action="store_true", help="print the table of the README")
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))

    with force_lowering(options.lowering) if options.lowering else nullcontext():
        for title, rows in (("transposed", TRANSPOSED), ("ordinary", ORDINARY)):
            if options.drawn:
                rows = drawn(options.drawn, title == "transposed")
            if options.rows:
                rows = [row for row in rows if any(part in row.name for part in options.rows)]
            figures: list[dict[str, float]] = []
            for row in rows:
                values = measure(row, title == "transposed", options.quick)
                if options.markdown:
                    values = {
                        name: values[name] for name in ("f /torch", "f+b /torch", "f+b /plain")
                    }
                if not figures:
                    print(head(title, list(values), options.markdown))
                figures.append(values)
                print(line(row.name, values, options.markdown), flush=True)
            for name, function in (("geometric mean", geometric_mean), ("worst", max)):
                if figures:
                    total = {key: function([f[key] for f in figures]) for key in figures[0]}
                    print(line(f"{title}, {name}", total, options.markdown), flush=True)


if __name__ == "__main__":
    main()
