"""Seeded sampling of forms: every class of geometry that the public arguments can describe."""

from __future__ import annotations

import random

from lucid.ops.conv.geometry import Form

# Named regressions of other libraries, and corners that sampling could miss.
# batch, groups, small channels, large channels, small, large, kernel, stride, padding, dilation
CORNERS = {
    "k1 s2": Form(2, 1, 3, 2, (3, 4), (5, 7), (1, 1), (2, 2), (0, 0), (1, 1)),
    "dilation, output_padding": Form(2, 1, 2, 3, (3, 3), (9, 9), (3, 3), (2, 2), (1, 1), (2, 2)),
    "dilation with groups": Form(2, 2, 4, 4, (3, 3), (7, 7), (3, 3), (1, 1), (0, 0), (2, 2)),
    "channels per group": Form(2, 3, 6, 9, (3, 3), (6, 6), (4, 4), (2, 2), (2, 2), (1, 1)),
    "depthwise": Form(2, 4, 4, 4, (5, 5), (9, 9), (3, 3), (2, 2), (1, 1), (1, 1)),
    "depthwise, more of small": Form(2, 2, 6, 2, (3, 4), (6, 8), (4, 4), (2, 2), (1, 1), (1, 1)),
    "depthwise, more of large": Form(2, 2, 2, 6, (3, 4), (6, 8), (4, 4), (2, 2), (1, 1), (1, 1)),
    "k < s": Form(2, 1, 2, 3, (3, 3), (10, 8), (2, 1), (4, 3), (0, 0), (1, 1)),
    "k = s": Form(2, 1, 2, 3, (3, 3), (9, 6), (3, 2), (3, 2), (0, 0), (1, 1)),
    "k not a multiple of s": Form(2, 1, 2, 3, (4, 3), (12, 9), (5, 3), (3, 2), (1, 0), (1, 1)),
    "1x1 input": Form(3, 1, 4, 2, (1, 1), (4, 4), (4, 4), (1, 1), (0, 0), (1, 1)),
    "1x1 input, cropped": Form(3, 2, 4, 2, (1, 1), (2, 2), (4, 4), (2, 2), (1, 1), (1, 1)),
    "1x1 kernel": Form(2, 1, 4, 3, (4, 5), (4, 5), (1, 1), (1, 1), (0, 0), (1, 1)),
    "batch 0": Form(0, 2, 4, 2, (3, 3), (6, 6), (4, 4), (2, 2), (1, 1), (1, 1)),
    "padding beyond the kernel": Form(2, 1, 2, 3, (6, 6), (4, 5), (2, 3), (2, 2), (4, 3), (1, 1)),
    "end of large unused": Form(1, 1, 2, 2, (2, 2), (9, 9), (2, 2), (3, 3), (0, 1), (1, 1)),
    "overlap-add": Form(2, 1, 3, 1, (5,), (24,), (16,), (4,), (4,), (1,)),
    "long kernel": Form(2, 1, 3, 2, (5,), (30,), (20,), (3,), (2,), (1,)),
    "long kernel, 2-D": Form(1, 1, 2, 2, (4, 3), (25, 7), (20, 4), (3, 2), (4, 1), (1, 1)),
    "3-D": Form(1, 1, 3, 2, (2, 3, 2), (4, 6, 4), (4, 4, 4), (2, 2, 2), (1, 1, 1), (1, 1, 1)),
    "3-D, no stride": Form(
        1, 2, 4, 2, (3, 4, 3), (3, 4, 5), (3, 2, 3), (1, 1, 1), (1, 0, 2), (1, 1, 2)
    ),
    "few positions": Form(2, 1, 16, 3, (2, 2), (4, 5), (4, 4), (2, 2), (1, 1), (1, 1)),
    "few positions, no stride": Form(1, 1, 24, 2, (3, 2), (3, 2), (3, 3), (1, 1), (1, 1), (1, 1)),
    "stride on one axis": Form(2, 1, 3, 2, (3, 5), (7, 4), (3, 3), (2, 1), (1, 2), (1, 1)),
}  # fmt: skip


def sample(seed: int) -> Form:
    """A random small form; about a third of them depthwise, with a multiplier or grouped."""
    draw = random.Random(seed)
    rank = draw.choice((1, 2, 2, 2, 3))
    groups = draw.choice((1, 1, 1, 2, 3))
    small_per_group, large_per_group = draw.choice(((1, 1), (1, 2), (2, 1), (2, 3), (3, 2), (4, 1)))
    longest = 5 if rank < 3 else 3
    while True:
        kernel = tuple(draw.choice((1, 2, 2, 3, 4 if rank < 3 else 2)) for _ in range(rank))
        stride = tuple(draw.choice((1, 2, 2, 3)) for _ in range(rank))
        dilation = tuple(draw.choice((1, 1, 2, 3)) for _ in range(rank))
        small = tuple(draw.randint(1, longest) for _ in range(rank))
        form = Form(
            draw.choice((1, 2, 3)), groups, groups * small_per_group, groups * large_per_group,
            small, small, kernel, stride,
            tuple(draw.randint(0, d * (k - 1) + 1) for k, d in zip(kernel, dilation, strict=True)),
            dilation,
        )  # fmt: skip
        high = [draw.randint(0, d * (k - 1) + 1) for k, d in zip(kernel, dilation, strict=True)]
        extra = [draw.randrange(max(s, d)) for s, d in zip(stride, dilation, strict=True)]
        large = tuple(
            axis.reach - axis.padding - h + o
            for axis, h, o in zip(form.axes, high, extra, strict=True)
        )
        if min(large) >= 1:
            return Form(**{**vars(form), "large": large})


def aborts_xla(name: str, out: str, form: Form) -> bool:
    """Whether the definition would end the process: XLA's CPU compiler (jax 0.10.2) takes an axis
    with a kernel of 2, lhs_dilation 2 and no padding for a group when it exchanges the operands,
    and fails its own check. No form reaches the definition of `large` on CPU unless forced.
    """
    axes = zip(
        form.kernel, form.stride, form.dilation, form.padding, form.padding_high, strict=True
    )
    return name == "definition" and out == "large" and (2, 2, 1, 1, 1) in axes
