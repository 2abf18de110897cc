"""Which lowering computes a form: the table against the rule written out."""

from __future__ import annotations

import dataclasses
from collections import Counter
from math import prod
from types import SimpleNamespace

import pytest

from lucid.ops.conv import balanced, depthwise, matmul, polyphase
from lucid.ops.conv.lowerings import ORDERS, choose
from tests.ops.conv.cases import CORNERS, sample

OUTPUTS = ("small", "large", "kernel")


def on_cpu(out, form):
    """What a CPU of two cores is fastest with."""
    columns = matmul.traffic(form)
    if depthwise.claims(out, form) and prod(form.kernel) <= 64:
        return "depthwise"
    if polyphase.claims(out, form) and polyphase.traffic(form) < 0.9 * columns:
        return "polyphase"
    if balanced.claims(out, form) and balanced.traffic(form) < 0.75 * columns:
        return "balanced"
    return "matmul"


def wider(form, seed):
    """The form with longer kernels, or with more channels on one side."""
    if seed % 4 == 0:
        kernel = tuple(5 * k * s for k, s in zip(form.kernel, form.stride, strict=True))
        return dataclasses.replace(form, kernel=kernel)
    factor = {f"{side}_channels": n * form.groups for side, n in (("small", 2), ("large", 16))}
    return dataclasses.replace(form, **factor) if seed % 4 == 1 else form


def on_gpu(out, form):
    """What an H200 is fastest with."""
    strided = [axis for axis in form.axes if axis.stride > 1]
    dilated = [axis for axis in form.axes if axis.dilation > 1]
    mixed = any(axis in dilated for axis in strided)
    if out != "kernel" and depthwise.claims(out, form) and prod(form.kernel) <= 64:
        return "depthwise"
    if out == "large" and strided and not mixed:
        taps = prod(-(-axis.kernel // axis.stride) * axis.stride for axis in form.axes)
        few = form.large_channels < 32 or prod(form.stride) >= 8
        wins = form.groups > 1 or (few and taps <= 2 * prod(form.kernel))
        return "phases" if wins else "definition"
    return "residues" if out == "kernel" and dilated and not mixed else "definition"


CPU = ("depthwise", "polyphase", "balanced", "matmul")
GPU = ("depthwise", "phases", "residues", "definition")


@pytest.mark.parametrize(
    ("platform", "expected", "names"),
    [("cpu", on_cpu, CPU), ("cuda", on_gpu, GPU)],
    ids=["cpu", "gpu"],
)
def test_choices(platform, expected, names):
    forms = [*CORNERS.values(), *(wider(sample(seed), seed) for seed in range(3000))]
    chosen = Counter()
    for form in forms:
        for out in OUTPUTS:
            name = choose(platform, "auto", out, form)
            assert name == expected(out, form), (out, form)
            chosen[name] += 1
    assert min(chosen[name] for name in names) > 100


@pytest.mark.parametrize("out", OUTPUTS)
def test_other_platforms_and_open_batches_run_the_definition(out):
    form = CORNERS["depthwise"]
    assert choose(None, "auto", out, form) == "definition"
    open_batch = dataclasses.replace(form, batch=SimpleNamespace())
    assert {choose(platform, "auto", out, open_batch) for platform in ORDERS} == {"definition"}
