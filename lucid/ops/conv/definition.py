"""The three maps of a `Form`, each as one XLA convolution: the definition on every platform.

GPU and TPU compilers recognise these: a dilated left side with a reversed right side is a
transposed convolution, a dilated right side with batch and features exchanged is the gradient of a
kernel. The CPU compiler is slow on most of them, hence `lowerings`, which are tested against this
module.
"""

from __future__ import annotations

from jax import Array, lax

from lucid.ops.conv.geometry import Form


def small(form: Form, large: Array, kernel: Array) -> Array:
    """A strided convolution."""
    return lax.conv_general_dilated(
        large,
        kernel,
        window_strides=form.stride,
        padding=list(zip(form.padding, form.padding_high, strict=True)),
        rhs_dilation=form.dilation,
        feature_group_count=form.groups,
    )


def large(form: Form, small: Array, kernel: Array) -> Array:
    """A transposed convolution: zeros between the inputs, the kernel reversed.

    The reversed kernel is itself an operand, its channels exchanged by their numbers alone: XLA on
    GPU knows cuDNN's transposed convolution by that. With the exchange written out it multiplies
    the zeros as well, 2 to 20 times slower, and more for long kernels.
    """
    # Padding `large` by p moves the first tap p to the left: d (k - 1) - p remains on each side.
    spans = [d * (k - 1) for k, d in zip(form.kernel, form.dilation, strict=True)]
    padding = [
        (span - low, span - high)
        for span, low, high in zip(spans, form.padding, form.padding_high, strict=True)
    ]
    spatial = _spatial(form)
    as_usual, exchanged = (0, 1, *spatial), (1, 0, *spatial)
    return lax.conv_general_dilated(
        small,
        lax.rev(_groups_side_by_side(form, kernel), spatial),
        window_strides=(1,) * form.rank,
        padding=padding,
        lhs_dilation=form.stride,
        rhs_dilation=form.dilation,
        dimension_numbers=lax.ConvDimensionNumbers(as_usual, exchanged, as_usual),
        feature_group_count=form.groups,
    )


def kernel(form: Form, small: Array, large: Array) -> Array:
    """A convolution that sums over the batch: stride and dilation exchange their places."""
    channels_first = (1, 0, *_spatial(form))  # the batch is summed, as channels are elsewhere
    return lax.conv_general_dilated(
        large,
        small,
        window_strides=form.dilation,
        padding=list(zip(form.padding, form.padding_high, strict=True)),
        rhs_dilation=form.stride,
        dimension_numbers=lax.ConvDimensionNumbers(channels_first, channels_first, channels_first),
        batch_group_count=form.groups,
    )


def _spatial(form: Form) -> tuple[int, ...]:
    return tuple(range(2, 2 + form.rank))


def _groups_side_by_side(form: Form, kernel: Array) -> Array:
    """(g small, large, *k) -> (small, g large, *k), the channels within each of g groups."""
    if form.groups == 1:
        return kernel
    kernel = kernel.reshape(form.groups, -1, *kernel.shape[1:]).swapaxes(0, 1)
    return kernel.reshape(-1, form.large_channels, *form.kernel)


def claims(out: str, form: Form) -> bool:
    """Every map of every form."""
    return True


def pays(out: str, form: Form) -> bool:
    """Where a platform has nothing better."""
    return True
