"""CPU lowering: a matrix product with the taps of some axes gathered on the side of `small`.

A 3x3 kernel between C channels and C channels makes columns of 9 C numbers per position; with one
axis gathered on each side they are 3 C and 3 C, and the product is nearer to a square. Where small
has few channels, all axes are gathered there.
"""

from __future__ import annotations

from itertools import combinations

from jax import Array

from lucid.ops.conv import matmul, tuning
from lucid.ops.conv.geometry import Form


def claims(out: str, form: Form) -> bool:
    """Forms with an axis of stride 1 and more than one tap."""
    return bool(_movable(form))


def pays(out: str, form: Form) -> bool:
    """Kernels of two or three axes with no stride, or fewer channels on the side of small."""
    return traffic(form) < tuning.BALANCED_SHARE * matmul.traffic(form)


def traffic(form: Form) -> int:
    """Elements of all columns, which decide the time."""
    return matmul.traffic(form, axes_on_small(form))


def small(form: Form, large: Array, kernel: Array) -> Array:
    return matmul.small(form, large, kernel, axes_on_small(form))


def large(form: Form, small: Array, kernel: Array) -> Array:
    return matmul.large(form, small, kernel, axes_on_small(form))


def kernel(form: Form, small: Array, large: Array) -> Array:
    return matmul.kernel(form, small, large, axes_on_small(form))


def _movable(form: Form) -> list[int]:
    return [i for i, axis in enumerate(form.axes) if axis.stride == 1 and axis.kernel > 1]


def axes_on_small(form: Form) -> tuple[int, ...]:
    """The choice of at least one axis that makes the fewest elements of columns."""
    movable = _movable(form)
    choices = [c for n in range(1, len(movable) + 1) for c in combinations(movable, n)]
    return min(choices, key=lambda axes: matmul.traffic(form, axes))
