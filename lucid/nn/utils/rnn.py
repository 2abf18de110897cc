"""Sequences of several lengths: padded, packed, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from lucid._core.declaration import publish
from lucid._core.errors import JitError
from lucid._core.mode import state
from lucid._core.tensor import Tensor
from lucid._core.typing import Array, Operand, Scalar
from lucid.ops import shape
from lucid.ops.recurrent import filled

__all__ = [
    "PackedSequence",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]

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
        sizes = _needed("PackedSequence: batch_sizes", batch_sizes)
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
        return None if self._order is None else _constant(_sorting(self._order))

    def _sizes(self, name: str) -> np.ndarray[Any, Any]:
        lengths = _needed(f"PackedSequence.{name}: lengths", self._lengths)
        return (np.arange(lengths.max(initial=0))[:, None] < lengths).sum(1, dtype=np.int32)

    def __repr__(self) -> str:
        lengths = _known(self._lengths)
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


def pack_padded_sequence(
    input_: Tensor, lengths: Lengths, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Padded sequences with their lengths, for a recurrent layer.

    Inside `lucid.jit`, pass the lengths as a Tensor or an array that is an argument: one program
    then serves all lengths. What they must be is checked only where they are known.

    Shape: (T, N, *), or (N, T, *) with `batch_first`

    Args:
        input_: the sequences; what stands after the end of one has no influence.
        lengths: N integers, from 1 to T.
        batch_first: whether the sequences come along axis 0.
        enforce_sorted: whether the longest sequence must come first. Nothing here needs that; but
            without it, the attributes of the result show the sequences sorted.

    Raises:
        ValueError: the lengths are not N, are out of range, or not in decreasing order.
        TypeError: the lengths are no integers.

    >>> x = Tensor([[1.0, 2.0, 3.0], [4.0, 0.0, 0.0]])
    >>> nn.utils.rnn.pack_padded_sequence(x, [3, 1], batch_first=True).data
    Tensor([1., 4., 2., 3.])
    """
    padded = _time_first("pack_padded_sequence", input_, batch_first)
    found = _checked("pack_padded_sequence", padded, lengths)
    known = _known(found)
    if known is not None:
        if (known < 1).any():
            raise ValueError(
                f"pack_padded_sequence: lengths must be at least 1, got {known.tolist()}."
            )
        if enforce_sorted and (np.diff(known) > 0).any():
            raise ValueError(
                "pack_padded_sequence: with enforce_sorted the longest sequence must come first, "
                f"got lengths {known.tolist()}. Sort them, or pass enforce_sorted=False."
            )
        padded = _first_steps(padded, known)
    return PackedSequence._of_padded(padded, found, None if enforce_sorted else _sorting(-found))


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: Scalar = 0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The sequences padded to the longest one, and their lengths; in the order they came in.

    Inside `lucid.jit`, where lengths that are arguments are not known, the sequences keep the
    length that they were packed with.

    Shape: (T, N, *), or (N, T, *) with `batch_first`; lengths (N,)

    Args:
        sequence: what a recurrent layer or `pack_padded_sequence` returned.
        batch_first: whether the sequences shall lie along axis 0.
        padding_value: what stands after the end of a sequence.
        total_length: pad to this length instead.

    Raises:
        ValueError: total_length is less than the longest sequence.

    >>> packed = nn.utils.rnn.pack_sequence([Tensor([1.0, 2.0]), Tensor([3.0])])
    >>> nn.utils.rnn.pad_packed_sequence(packed, batch_first=True, padding_value=-1)
    (Tensor([[ 1.,  2.],
            [ 3., -1.]]), Tensor([2, 1], dtype=int32))
    """
    padded, known = sequence._padded, _known(sequence._lengths)
    if known is not None:
        padded = _first_steps(padded, known)
    steps = padded.shape[0]
    if total_length is not None and total_length != steps:
        if total_length < steps:
            raise ValueError(
                "pad_packed_sequence: total_length must be at least that of the longest sequence, "
                f"{steps}, got {total_length}."
            )
        widths = ((0, total_length - steps), *((0, 0),) * (padded.ndim - 1))
        padded = shape.pad(padded, widths)
    padded = filled(padded, sequence._lengths, padding_value)
    return (
        shape.swapaxes(padded, 0, 1) if batch_first else padded,
        Tensor(sequence._lengths),
    )


def pad_sequence(
    sequences: Iterable[Tensor], batch_first: bool = False, padding_value: Scalar = 0
) -> Tensor:
    """The sequences side by side, padded to the longest one.

    Shape: N times (T_i, *) -> (T, N, *), or (N, T, *) with `batch_first`; T = max(T_i)

    Raises:
        ValueError: there are no sequences, or they differ in more than their lengths.

    >>> nn.utils.rnn.pad_sequence([Tensor([1.0, 2.0]), Tensor([3.0])], batch_first=True)
    Tensor([[1., 2.],
            [3., 0.]])
    """
    given = _listed("pad_sequence", sequences)
    steps = max(len(x) for x in given)
    axis = 0 if batch_first else 1
    if (state.grad_enabled and any(x.requires_grad for x in given)) or any(map(_is_traced, given)):
        widths = [((0, steps - len(x)), *((0, 0),) * (x.ndim - 1)) for x in given]
        padded = [shape.pad(x, w, padding_value) for x, w in zip(given, widths, strict=True)]
        return shape.stack(padded, axis)
    # On the host, where other lengths need no other program.
    first = given[0]
    host = np.full((len(given), steps, *first.shape[1:]), padding_value, first.dtype)
    for row, x in zip(host, given, strict=True):
        row[: len(x)] = np.asarray(x)
    return Tensor(host if batch_first else host.swapaxes(0, 1))


def pack_sequence(sequences: Iterable[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """The sequences, for a recurrent layer; see `pack_padded_sequence`.

    Raises:
        ValueError: there are no sequences, they differ in more than their lengths, or the longest
            one does not come first although `enforce_sorted`.

    >>> nn.utils.rnn.pack_sequence([Tensor([1.0, 2.0]), Tensor([3.0])]).data
    Tensor([1., 3., 2.])
    """
    given = _listed("pack_sequence", sequences)
    lengths = [len(x) for x in given]
    return pack_padded_sequence(pad_sequence(given), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(sequence: PackedSequence, batch_first: bool = False) -> list[Tensor]:
    """Each sequence by itself, in the order they came in.

    Args:
        sequence: what a recurrent layer or `pack_sequence` returned.
        batch_first: makes no difference, as in lucid 2.

    Raises:
        JitError: inside `lucid.jit`, the lengths are not known.

    >>> packed = nn.utils.rnn.pack_sequence([Tensor([1.0, 2.0]), Tensor([3.0])])
    >>> nn.utils.rnn.unpack_sequence(packed)
    [Tensor([1., 2.]), Tensor([3.])]
    """
    lengths = _needed("unpack_sequence: lengths", sequence._lengths)
    return [sequence._padded[:n, i] for i, n in enumerate(lengths.tolist())]


def unpad_sequence(
    padded_sequences: Tensor, lengths: Lengths, batch_first: bool = False
) -> list[Tensor]:
    """Each of the padded sequences by itself.

    Shape: (T, N, *), or (N, T, *) with `batch_first` -> N times (T_i, *)

    Raises:
        ValueError: the lengths are not N, or out of range.
        TypeError: the lengths are no integers.
        JitError: inside `lucid.jit`, the lengths are not known.

    >>> nn.utils.rnn.unpad_sequence(Tensor([[1.0, 2.0], [3.0, 0.0]]), [2, 1], batch_first=True)
    [Tensor([1., 2.]), Tensor([3.])]
    """
    padded = _time_first("unpad_sequence", padded_sequences, batch_first)
    known = _checked("unpad_sequence", padded, _needed("unpad_sequence: lengths", lengths))
    return unpack_sequence(PackedSequence._of_padded(padded, known))


# --- Lengths and other integers ---------------------------------------------------------------


def _is_traced(value: Any) -> bool:
    return isinstance(value.data if isinstance(value, Tensor) else value, jax.core.Tracer)


def _known(values: Any) -> np.ndarray[Any, Any] | None:
    """Values on the host; None if they are arguments of a function that is being traced."""
    return None if _is_traced(values) else np.asarray(values)


def _needed(what: str, values: Any) -> np.ndarray[Any, Any]:
    known = _known(values)
    if known is None:
        raise JitError(
            f"{what} must be known here, and the arguments of a compiled function are not. Use "
            "pad_packed_sequence, which needs them not; or pass a list of Python integers, each of "
            "which is part of the program."
        )
    return known


def _constant(values: Any) -> Tensor:
    """A Tensor that can be looked at also where a function is traced, if `values` can."""
    if _is_traced(values):
        return Tensor(values)
    with jax.ensure_compile_time_eval():
        return Tensor(np.asarray(values))


def _sorting(keys: Any) -> np.ndarray[Any, Any] | Array:
    """What sorts `keys`, equal ones in their order."""
    known = _known(keys)
    if known is not None:
        return np.argsort(known, kind="stable").astype(np.int32)
    return jnp.argsort(keys.data if isinstance(keys, Tensor) else keys)


def _permutation(name: str, indices: Any, n: int) -> np.ndarray[Any, Any]:
    known = _needed(f"PackedSequence: {name}", indices)
    if not np.array_equal(np.sort(known), np.arange(n)):
        raise ValueError(
            f"PackedSequence: {name} must be a permutation of the {n} sequences, got "
            f"{known.tolist()}."
        )
    return known.astype(np.int32)


def _time_first(call: str, padded: Tensor, batch_first: bool) -> Tensor:
    if padded.ndim < 2:
        axes = "(N, T, *)" if batch_first else "(T, N, *)"
        raise ValueError(f"{call}: sequences of shape {axes} are needed, got {padded.shape}.")
    return shape.swapaxes(padded, 0, 1) if batch_first else padded


def _first_steps(padded: Tensor, lengths: np.ndarray[Any, Any]) -> Tensor:
    """As many as the longest sequence has."""
    steps = int(lengths.max(initial=0))
    return padded if steps == padded.shape[0] else padded[:steps]


def _checked(call: str, padded: Tensor, lengths: Any) -> Any:
    """The lengths as an array, on the host if they are known: N integers from 0 to T."""
    known = _known(lengths)
    found = lengths if known is None else known
    steps, n = padded.shape[:2]
    if found.shape != (n,):
        raise ValueError(
            f"{call}: a length for each of the {n} sequences is needed, got {found.shape} lengths."
        )
    if found.dtype.kind not in "iu" and n:
        raise TypeError(f"{call}: lengths must be integers, got dtype {found.dtype}.")
    if known is None:
        return lengths
    if n and (known.min() < 0 or known.max() > steps):
        raise ValueError(
            f"{call}: the sequences have {steps} steps at most, got lengths {known.tolist()}."
        )
    return known.astype(np.int32)


def _listed(call: str, sequences: Iterable[Tensor]) -> list[Tensor]:
    given = list(sequences)
    if not given:
        raise ValueError(f"{call}: at least one sequence is needed, got none.")
    if len({(x.shape[1:], x.dtype, x.ndim > 0) for x in given}) > 1 or not given[0].ndim:
        raise ValueError(
            f"{call}: the sequences must agree in dtype and in all axes but the first, got "
            f"{', '.join(f'{x.dtype}{list(x.shape)}' for x in given)}."
        )
    return given


publish(globals(), __all__)
