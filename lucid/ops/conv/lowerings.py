"""How each platform computes a map: a table of lowerings, chosen from by static shapes.

A platform runs the first of its lowerings that claims a form and pays; forms whose batch is a
symbol, as in an export for any batch size, have no size to choose by and run the definition.
"""

from __future__ import annotations

from typing import Protocol

from jax import Array

from lucid.ops.conv import balanced, definition, depthwise, matmul, polyphase
from lucid.ops.conv.geometry import Form


class Lowering(Protocol):
    """A module that computes the three maps: each from a form and two arrays to the third."""

    def claims(self, out: str, form: Form) -> bool:
        """Whether it can compute the map to `out`: "small", "large" or "kernel"."""

    def pays(self, out: str, form: Form) -> bool:
        """Whether it is faster than those after it in the table, for a form that it claims."""

    def small(self, form: Form, large: Array, kernel: Array) -> Array: ...

    def large(self, form: Form, small: Array, kernel: Array) -> Array: ...

    def kernel(self, form: Form, small: Array, large: Array) -> Array: ...


# By platform; None stands for all that have no table of their own.
LOWERINGS: dict[str | None, dict[str, Lowering]] = {
    None: {"definition": definition},
    "cpu": {
        "depthwise": depthwise,
        "polyphase": polyphase,
        "balanced": balanced,
        "matmul": matmul,
        "definition": definition,
    },
}


def choose(platform: str | None, lowering: str, out: str, form: Form) -> str:
    """The name of the lowering that computes `out`; `lowering` is "auto" or the forced one."""
    table = LOWERINGS[platform]
    if not isinstance(form.batch, int):
        return "definition"
    if lowering != "auto":
        claimed = lowering in table and table[lowering].claims(out, form)
        return lowering if claimed else "definition"
    return next(
        name for name, one in table.items() if one.claims(out, form) and one.pays(out, form)
    )


def run(platform: str | None, name: str, out: str, form: Form, a: Array, b: Array) -> Array:
    """The map to `out` by one lowering; but for the definition, 16-bit floats become float32."""
    dtype = a.dtype
    if name != "definition":
        a, b = (v.astype(definition.accumulator(dtype)) for v in (a, b))
    result: Array = getattr(LOWERINGS[platform][name], out)(form, a, b)
    return result.astype(dtype)
