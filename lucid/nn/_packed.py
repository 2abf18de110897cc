"""PackedSequence, and lengths that may not be known yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from lucid._core.errors import JitError
from lucid._core.tensor import Tensor
from lucid._core.typing import Array, Operand
from lucid.ops import shape

Lengths: TypeAlias = "Sequence[int] | Operand"


class PackedSequence:
    """Sequences of several lengths, as recurrent layers take and return them.

    Its attributes show the elements of all sequences step by step, the longest sequence first; but
    what it holds is padded. So a recurrent layer computes on it as it is, and new lengths compile
    no new program.

    Args:
        data: the elements, (sum of lengths, *).
        batch_sizes: of each step, how many sequences have it.
        sorted_indices: of the first, second, ... longest sequence, which one it is; None if the
            sequences come in that order.
        unsorted_indices: the inverse of that permutation; it is enough to give one of them.

    Raises:
        ValueError: batch_sizes are not positive, grow, or do not add up to the elements of `data`;
            or the indices are no permutation of the sequences.
        JitError: inside `lucid.jit`, `batch_sizes` or the indices are not known; or, when `data` or
            `batch_sizes` is read, the lengths.

    >>> packed = nn.utils.rnn.PackedSequence(Tensor([1.0, 4.0, 2.0]), Tensor([2, 1]))
    >>> nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
    (Tensor([[1., 2.],
            [4., 0.]]), Tensor([2, 1], dtype=int32))
    """

    __slots__ = ("_lengths", "_order", "_padded")

    _padded: Tensor  # (T, N, *), in the order in which the sequences were given
    _lengths: Operand  # (N,); in the memory of the host if they are known
    _order: Operand | None  # the sorted indices

    def __init__(
        self,
        data: Tensor,
        batch_sizes: Lengths,
        sorted_indices: Lengths | None = None,
        unsorted_indices: Lengths | None = None,
    ) -> None:
        sizes = needed("PackedSequence: batch_sizes", batch_sizes)
        if (np.diff(sizes) > 0).any() or (sizes < 1).any() or sizes.sum() != data.shape[0]:
            raise ValueError(
                "PackedSequence: batch_sizes must be positive, must not grow, and must add up to "
                f"the elements of data, got {sizes.tolist()} for data of shape {data.shape}."
            )
        n = int(sizes.max(initial=0))
        order = inverse = None
        if sorted_indices is not None:
            order = _permutation("sorted_indices", sorted_indices, n)
            inverse = np.argsort(order)
        elif unsorted_indices is not None:
            inverse = _permutation("unsorted_indices", unsorted_indices, n)
            order = np.argsort(inverse)
        columns = np.arange(n) if inverse is None else inverse
        # Where a sequence has ended, any element will do.
        at = np.where(columns < sizes[:, None], (np.cumsum(sizes) - sizes)[:, None] + columns, 0)
        self._padded = data[at]
        self._lengths = (columns[:, None] < sizes).sum(1, dtype=np.int32)
        self._order = order

    @classmethod
    def _of_padded(
        cls, padded: Tensor, lengths: Operand, order: Operand | None = None
    ) -> PackedSequence:
        packed = object.__new__(cls)
        packed._padded, packed._lengths, packed._order = padded, lengths, order
        return packed

    def _with(self, padded: Tensor) -> PackedSequence:
        """Other elements in the same places."""
        return self._of_padded(padded, self._lengths, self._order)

    @property
    def data(self) -> Tensor:
        """The elements of all sequences, step by step: (sum of lengths, *)."""
        sizes = self._sizes("data")
        n = self._padded.shape[1]
        order = np.arange(n) if self._order is None else np.asarray(self._order)
        at = np.arange(len(sizes))[:, None] * n + order
        of_steps = shape.flatten(self._padded, 0, 1)
        return of_steps[at[np.arange(n) < sizes[:, None]]]

    @property
    def batch_sizes(self) -> Tensor:
        """Of each step, how many sequences have it."""
        return _constant(self._sizes("batch_sizes"))

    @property
    def sorted_indices(self) -> Tensor | None:
        """Of the first, second, ... longest sequence, which one it is."""
        return None if self._order is None else _constant(self._order)

    @property
    def unsorted_indices(self) -> Tensor | None:
        """Of each sequence, where it stands among the sorted ones."""
        return None if self._order is None else _constant(sorting(self._order))

    def _sizes(self, name: str) -> np.ndarray[Any, Any]:
        lengths = needed(f"PackedSequence.{name}: lengths", self._lengths)
        return (np.arange(lengths.max(initial=0))[:, None] < lengths).sum(1, dtype=np.int32)

    def __repr__(self) -> str:
        lengths = on_host(self._lengths)
        shown = "unknown" if lengths is None else lengths.tolist()
        return (
            f"PackedSequence(lengths={shown}, shape={self._padded.shape[2:]}, "
            f"dtype={self._padded.dtype})"
        )


jax.tree_util.register_pytree_node(
    PackedSequence,
    lambda packed: ((packed._padded, packed._lengths, packed._order), None),
    lambda _, parts: PackedSequence._of_padded(*parts),
)


# --- Lengths and other integers ---------------------------------------------------------------


def is_traced(value: Any) -> bool:
    return isinstance(value.data if isinstance(value, Tensor) else value, jax.core.Tracer)


def on_host(values: Any) -> np.ndarray[Any, Any] | None:
    """Values on the host; None if they are arguments of a function that is being traced."""
    return None if is_traced(values) else np.asarray(values)


def needed(what: str, values: Any) -> np.ndarray[Any, Any]:
    known = on_host(values)
    if known is None:
        raise JitError(
            f"{what} must be known here, and the arguments of a compiled function are not. Use "
            "pad_packed_sequence, which does not need them; or pass a list of Python integers, "
            "each of which is part of the program."
        )
    return known


def _constant(values: Any) -> Tensor:
    """A Tensor that can be looked at also where a function is traced, if `values` can."""
    if is_traced(values):
        return Tensor(values)
    with jax.ensure_compile_time_eval():
        return Tensor(np.asarray(values))


def sorting(keys: Any) -> np.ndarray[Any, Any] | Array:
    """What sorts `keys`, equal ones in their order."""
    known = on_host(keys)
    if known is not None:
        return np.argsort(known, kind="stable").astype(np.int32)
    return jnp.argsort(keys.data if isinstance(keys, Tensor) else keys)


def _permutation(name: str, indices: Any, n: int) -> np.ndarray[Any, Any]:
    known = needed(f"PackedSequence: {name}", indices)
    if not np.array_equal(np.sort(known), np.arange(n)):
        raise ValueError(
            f"PackedSequence: {name} must be a permutation of the {n} sequences, got "
            f"{known.tolist()}."
        )
    return known.astype(np.int32)
