"""The definition of a convolution and its relatives as NumPy loops, in float64."""

from __future__ import annotations

import itertools

import numpy as np

from lucid.ops.conv.geometry import Form


def _meetings(form: Form):
    """Kernel elements with the slices of small and large that meet through them."""
    for taps in itertools.product(*map(range, form.kernel)):
        small, large = [], []
        for i, h, y, s, d, p in zip(
            taps, form.small, form.large, form.stride, form.dilation, form.padding, strict=True
        ):
            inside = [j for j in range(h) if 0 <= s * j + d * i - p < y]
            small.append(inside)
            large.append([s * j + d * i - p for j in inside])
        yield taps, np.ix_(*small), np.ix_(*large)


def _channels(form: Form):
    """Channels of small, their group's channels of large, and their places in the kernel."""
    per_group = form.large_channels // form.groups
    for c in range(form.small_channels):
        group = c // (form.small_channels // form.groups)
        for o in range(per_group):
            yield c, group * per_group + o, o


def large(form: Form, small: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Scatter: every element of small spreads the kernel over large."""
    out = np.zeros(form.large_shape, np.result_type(small, np.float64))
    for taps, at_small, at_large in _meetings(form):
        for c, o_large, o in _channels(form):
            for n in range(form.batch):
                out[n, o_large][at_large] += small[n, c][at_small] * kernel[(c, o, *taps)]
    return out


def small(form: Form, large: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Gather: every element of small sums what the kernel sees of large."""
    out = np.zeros(form.small_shape, np.result_type(large, np.float64))
    for taps, at_small, at_large in _meetings(form):
        for c, o_large, o in _channels(form):
            for n in range(form.batch):
                out[n, c][at_small] += large[n, o_large][at_large] * kernel[(c, o, *taps)]
    return out


def kernel(form: Form, small: np.ndarray, large: np.ndarray) -> np.ndarray:
    """Correlate: every element of the kernel sums the products that it carries."""
    out = np.zeros(form.kernel_shape, np.result_type(small, np.float64))
    for taps, at_small, at_large in _meetings(form):
        for c, o_large, o in _channels(form):
            for n in range(form.batch):
                out[(c, o, *taps)] += np.sum(small[n, c][at_small] * large[n, o_large][at_large])
    return out
