"""What each figure of lucid/ops/conv/tuning.py is worth on this CPU.

    python tests/benchmarks/tuning.py [FIGURE ...]

A line is one form: where it lies on the scale of the figure, and the milliseconds of its three maps
without and with what the figure decides. Today's figure is right if "with" wins on its side alone.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from math import prod
from typing import Any, NamedTuple

import jax
import numpy as np
from timing import interleave

from lucid.ops.conv import balanced, matmul, polyphase, tuning
from lucid.ops.conv.geometry import Form
from lucid.ops.conv.maps import ROLES, bind

MIB = 1 << 20
NEVER, ALWAYS = 0, 1 << 60


def form(
    batch: int,
    small: int,
    large: int,
    size: int,
    k: int,
    s: int = 1,
    groups: int = 1,
    rank: int = 2,
) -> Form:
    """Windows of k by k, with `small` and `large` channels, at size by size positions."""
    lengths = (size,) * rank, (s * (size - 1) + k,) * rank
    ones, zeros = (1,) * rank, (0,) * rank
    return Form(batch, groups, small, large, *lengths, (k,) * rank, (s,) * rank, zeros, ones)


class Figure(NamedTuple):
    scale: Callable[[Form], float]
    forms: list[Form]  # from both sides of the figure
    without: dict[str, float]
    with_: dict[str, float]
    unit: float = 1


def columns(form: Form) -> float:
    return 4 * matmul.traffic(form)


FIGURES = {
    "DEPTHWISE_TAPS": Figure(
        lambda f: prod(f.kernel),
        [form(8, 64, 64, 28, k, 1, 64) for k in (3, 5, 7, 8, 9, 11)],
        {"DEPTHWISE_TAPS": NEVER}, {"DEPTHWISE_TAPS": ALWAYS},
    ),
    "DEPTHWISE_CHANNELS": Figure(
        lambda f: f.small_channels / f.groups,
        [form(8, 32 * n, 32, 28, 3, 1, 32) for n in (1, 2, 4, 8, 16)],
        {"DEPTHWISE_CHANNELS": NEVER}, {"DEPTHWISE_CHANNELS": ALWAYS},
    ),
    "POLYPHASE_SHARE": Figure(
        lambda f: polyphase.traffic(f) / matmul.traffic(f),
        [form(8, small, 64, 16, k, 2) for small, k in ((16, 4), (64, 8), (64, 4), (128, 4))]
        + [form(1, 21, 21, 34, 16, 8)],
        {"POLYPHASE_SHARE": NEVER}, {"POLYPHASE_SHARE": ALWAYS},
    ),
    "BALANCED_SHARE": Figure(
        lambda f: balanced.traffic(f) / matmul.traffic(f),
        [form(8, small, 64, 30, 3) for small in (16, 64, 96, 128, 192)],
        {"BALANCED_SHARE": NEVER}, {"BALANCED_SHARE": ALWAYS},
    ),
    "FEW_POSITIONS": Figure(
        lambda f: f.batch * prod(f.small) / f.small_channels,
        [
            form(1, 512, 256, 4, 4, 2), form(1, 256, 128, 8, 4, 2), form(1, 256, 256, 14, 2, 2),
            form(1, 64, 64, 8, 3, 2), form(1, 128, 64, 16, 4, 2), form(8, 512, 256, 4, 4, 2),
        ],
        {"FEW_POSITIONS": NEVER}, {"FEW_POSITIONS": ALWAYS},
    ),
    "WHOLE_BYTES": Figure(
        columns,
        [form(batch, 64, 32, 16, 4, 2) for batch in (8, 16, 24, 32, 64)],
        {"WHOLE_BYTES": ALWAYS}, {"WHOLE_BYTES": NEVER},
        unit=MIB,
    ),
    "IMAGE_BYTES": Figure(
        lambda f: columns(f) / f.batch,
        [form(2, 32, 16, size, 4, 2) for size in (64, 96, 160, 256)],
        {"IMAGE_BYTES": ALWAYS, "WHOLE_BYTES": NEVER}, {"IMAGE_BYTES": NEVER, "WHOLE_BYTES": NEVER},
        unit=MIB,
    ),
    "PIECE_BYTES": Figure(
        columns,
        [form(64, 64, 32, 16, 4, 2), form(32, 64, 64, 32, 4, 2)],
        {"PIECE_BYTES": 16 * MIB}, {"PIECE_BYTES": tuning.PIECE_BYTES},
        unit=MIB,
    ),
    "LONG_KERNEL": Figure(
        lambda f: max(f.kernel),
        [form(4, 64, 1, 400, k, k // 2, rank=1) for k in (8, 16, 32, 128)],
        {"LONG_KERNEL": ALWAYS, "POLYPHASE_SHARE": NEVER},
        {"LONG_KERNEL": NEVER, "POLYPHASE_SHARE": NEVER},
    ),
    "TAPS_PER_SCATTER": Figure(
        lambda f: prod(f.kernel),
        [form(2, 32, 16, 16, k, 2) for k in (3, 5, 7, 9, 11)],
        {"TAPS_PER_SCATTER": NEVER, "POLYPHASE_SHARE": NEVER},
        {"TAPS_PER_SCATTER": ALWAYS, "POLYPHASE_SHARE": NEVER},
    ),
    "TAPS_PER_REDUCTION": Figure(
        lambda f: prod(f.kernel),
        [form(8, 64, 64, 28, k, 1, 64) for k in (5, 6, 7, 8)],
        {"TAPS_PER_REDUCTION": 1}, {"TAPS_PER_REDUCTION": ALWAYS},
    ),
}  # fmt: skip


@contextlib.contextmanager
def figures(values: dict[str, float]) -> Iterator[None]:
    before = {name: getattr(tuning, name) for name in values}
    try:
        for name, value in values.items():
            setattr(tuning, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(tuning, name, value)


def compiled(form: Form, values: dict[str, float]) -> Callable[[], Any]:
    """All three maps of a form, as one program."""
    rng = np.random.default_rng(0)
    shapes = {role: getattr(form, f"{role}_shape") for role in ("small", "large", "kernel")}
    arrays = {role: rng.standard_normal(s).astype(np.float32) for role, s in shapes.items()}

    def maps(arrays: dict[str, jax.Array]) -> list[jax.Array]:
        operands = ({role: arrays[role] for role in roles[:2]} for roles in ROLES.values())
        return [bind(values, form, "auto") for values in operands]

    arrays = jax.device_put(arrays)
    with figures(values):
        program = jax.jit(maps).lower(arrays).compile()
    return lambda: jax.block_until_ready(program(arrays))


def main() -> None:
    for name in sys.argv[1:] or FIGURES:
        figure = FIGURES[name]
        print(f"{name} = {getattr(tuning, name) / figure.unit:g}")
        print(f"{'at':>12}{'without':>12}{'with':>12}{'with / without':>18}")
        for one in figure.forms:
            times = interleave(
                {"without": compiled(one, figure.without), "with": compiled(one, figure.with_)},
                rounds=9, summary=min,
            )  # fmt: skip
            without, with_ = times["without"] * 1e3, times["with"] * 1e3
            at = figure.scale(one) / figure.unit
            print(f"{at:12.3g}{without:12.2f}{with_:12.2f}{with_ / without:18.2f}", flush=True)


if __name__ == "__main__":
    main()
