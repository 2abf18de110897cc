"""Columns too large for a cache: a form cut into pieces that are computed one after the other.

Columns repeat `large` once per tap. Written out whole for a large batch they leave the cache, and
a program whose temporary memory exceeds what the allocator keeps (32 MiB for glibc) pays for fresh
pages at every call.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal, TypeAlias, cast

import jax
import jax.numpy as jnp
from jax import Array, lax

from lucid.ops.conv import tuning
from lucid.ops.conv.geometry import Form
from lucid.ops.conv.windows import pad_axis

# What computes a map of one piece, from the piece's form and its operands.
Run: TypeAlias = Callable[[Form, Array], Array]
RunPair: TypeAlias = Callable[[Form, Array, Array], Array]


@dataclasses.dataclass(frozen=True)
class Strips:
    """How pieces lie in one array, opened to (images of a piece, pieces, channels, rows, ...).

    The images of a piece lie apart in the batch, so that a sharded batch stays sharded.
    """

    images: int
    per_image: int  # pieces along the rows of an image
    step: int  # rows from one piece to the next; fewer than `length` where pieces overlap
    length: int  # rows of a piece
    low: int  # rows of zeros before the array
    rows: int  # rows of the array

    def open(self, x: Array) -> Array:
        total = (self.per_image - 1) * self.step + self.length
        x = pad_axis(x, 2, self.low, total - self.low - self.rows)
        return x.reshape(self.images, x.shape[0] // self.images, *x.shape[1:])

    def close(self, x: Array) -> Array:
        x = x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])
        return pad_axis(x, 2, -self.low, self.rows + self.low - x.shape[2])

    def at(self, x: Array, t: Array) -> Array:
        """Piece number t."""
        sizes = (self.images, 1, x.shape[2], self.length, *x.shape[4:])
        return lax.dynamic_slice(x, self._start(x, t), sizes).squeeze(1)

    def add(self, x: Array, t: Array, piece: Array) -> Array:
        """x, at first zero, with `piece` added as piece number t."""
        if self.per_image > 1 and self.step < self.length:
            piece = piece + self.at(x, t)
        return lax.dynamic_update_slice(x, piece[:, None], self._start(x, t))

    def _start(self, x: Array, t: Array) -> list[Array | int]:
        row = t % self.per_image * self.step
        return [0, t // self.per_image, 0, row, *(0 for _ in x.shape[4:])]


@dataclasses.dataclass(frozen=True)
class Pieces:
    """`count` equal pieces, each of the form `form`: images, or rows of one image."""

    form: Form
    count: int
    small: Strips
    large: Strips

    def on_each_of(self, shards: int) -> Pieces:
        """These pieces of each of `shards` parts of a larger batch, all parts at a time."""
        return Pieces(
            dataclasses.replace(self.form, batch=self.form.batch * shards),
            self.count,
            dataclasses.replace(self.small, images=self.small.images * shards),
            dataclasses.replace(self.large, images=self.large.images * shards),
        )


def cut(form: Form, column_bytes: int) -> Pieces | None:
    """The pieces of a form whose columns take so many bytes; None where that is little."""
    shards = form.shards
    if shards > 1 and form.batch % shards == 0:
        # Each device cuts its own images, or the partitioner would gather all images on each.
        own = dataclasses.replace(form, batch=form.batch // shards, shards=1)
        pieces = cut(own, column_bytes // shards)
        return None if pieces is None else pieces.on_each_of(shards)
    if column_bytes <= tuning.WHOLE_BYTES:
        return None
    image = column_bytes // form.batch
    row = image // form.small[0]
    if image <= tuning.IMAGE_BYTES:
        fit = max(1, tuning.PIECE_BYTES // image)
        images = max(n for n in range(1, fit + 1) if form.batch % n == 0)
        piece = dataclasses.replace(form, batch=images)
        return Pieces(
            piece,
            form.batch // images,
            Strips(images, 1, 0, form.small[0], 0, form.small[0]),
            Strips(images, 1, 0, form.large[0], 0, form.large[0]),
        )
    rows = -(-form.small[0] // -(-image // max(tuning.PIECE_BYTES, row)))
    per_image = -(-form.small[0] // rows)
    step = form.stride[0] * rows
    reach = step - form.stride[0] + form.dilation[0] * (form.kernel[0] - 1) + 1
    piece = dataclasses.replace(
        form,
        batch=1,
        small=(rows, *form.small[1:]),
        large=(reach, *form.large[1:]),
        padding=(0, *form.padding[1:]),
    )
    return Pieces(
        piece,
        form.batch * per_image,
        Strips(1, per_image, rows, rows, 0, form.small[0]),
        Strips(1, per_image, step, reach, form.padding[0], form.large[0]),
    )


def joined(
    out: Literal["small", "large"], form: Form, column_bytes: int, run: Run, x: Array
) -> Array:
    """small from large, or large from small, in pieces: `run` computes that of a piece."""
    pieces = cut(form, column_bytes)
    if pieces is None:
        return run(form, x)
    small, large = pieces.small, pieces.large
    source, target = (large, small) if out == "small" else (small, large)
    opened = source.open(x)

    def step(t: Array, result: Array) -> Array:
        return target.add(result, t, run(pieces.form, source.at(opened, t)))

    zeros = target.open(jnp.zeros(getattr(form, f"{out}_shape"), x.dtype))
    return target.close(lax.fori_loop(0, pieces.count, step, zeros))


def summed(form: Form, column_bytes: int, run: RunPair, small: Array, large: Array) -> Array:
    """The kernel in pieces: the sum of what `run` returns for each, in whatever shape."""
    pieces = cut(form, column_bytes)
    if pieces is None:
        return run(form, small, large)
    opened_small, opened_large = pieces.small.open(small), pieces.large.open(large)

    def piece(t: Array) -> Array:
        x, y = pieces.small.at(opened_small, t), pieces.large.at(opened_large, t)
        return run(pieces.form, x, y)

    zeros = jnp.zeros(jax.eval_shape(piece, 0).shape, small.dtype)
    total = lax.fori_loop(0, pieces.count, lambda t, total: total + piece(t), zeros)
    return cast(Array, total)
