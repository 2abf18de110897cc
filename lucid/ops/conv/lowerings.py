"""How each platform computes a map: lowerings in an order, chosen from by static shapes.

A map is computed by the first lowering of its platform's order that claims the form and pays, else
by the definition. Forms whose batch is a symbol, as in an export for any batch size, have no size
to choose by and run the definition.
"""

from __future__ import annotations

from typing import Protocol

from jax import Array

from lucid.ops.conv import balanced, definition, depthwise, matmul, phases, polyphase, residues
from lucid.ops.conv.geometry import Form
from lucid.ops.precision import accumulator


class Lowering(Protocol):
    """A module with a function for each map that it claims, of a form and two arrays.

    The functions are named by what they compute, "small", "large" or "kernel", and are given the
    other two in the order of these names.
    """

    def claims(self, out: str, form: Form) -> bool:
        """Whether it can compute the map to `out`."""

    def pays(self, out: str, form: Form) -> bool:
        """Whether it is faster than those after it in an order, for a form that it claims."""


LOWERINGS: dict[str, Lowering] = {
    "depthwise": depthwise,
    "polyphase": polyphase,
    "balanced": balanced,
    "matmul": matmul,
    "phases": phases,
    "residues": residues,
    "definition": definition,
}
# What is tried before the definition, by platform and map; None stands for all other platforms.
ON_CPU = ("depthwise", "polyphase", "balanced", "matmul")
ORDERS: dict[str | None, dict[str, tuple[str, ...]]] = {
    None: {"small": (), "large": (), "kernel": ()},
    "cpu": {"small": ON_CPU, "large": ON_CPU, "kernel": ON_CPU},
    "cuda": {"small": ("depthwise",), "large": ("depthwise", "phases"), "kernel": ("residues",)},
}
# Convolutions to XLA, which holds the sums of 16-bit floats in float32 on all platforms but CPU:
# operands cast before would be read at twice the size, and not by the fastest units.
CONVOLUTIONS = ("phases", "residues", "definition")


def choose(platform: str | None, lowering: str, out: str, form: Form) -> str:
    """The name of the lowering that computes `out`; `lowering` is "auto" or the forced one."""
    if not isinstance(form.batch, int):
        return "definition"
    if lowering != "auto":
        claimed = lowering in LOWERINGS and LOWERINGS[lowering].claims(out, form)
        return lowering if claimed else "definition"
    for name in ORDERS[platform][out]:
        if LOWERINGS[name].claims(out, form) and LOWERINGS[name].pays(out, form):
            return name
    return "definition"


def run(platform: str | None, name: str, out: str, form: Form, a: Array, b: Array) -> Array:
    """The map to `out` by one lowering, the sums of 16-bit floats held in float32."""
    dtype = a.dtype
    if platform == "cpu" or name not in CONVOLUTIONS:
        a, b = (v.astype(accumulator(dtype)) for v in (a, b))
    result: Array = getattr(LOWERINGS[name], out)(form, a, b)
    return result.astype(dtype)
