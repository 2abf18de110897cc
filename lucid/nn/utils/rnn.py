"""Sequences of several lengths: padded, packed, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from lucid._core.mode import state
from lucid._core.package import publish
from lucid._core.tensor import Tensor
from lucid._core.typing import Scalar
from lucid.nn._packed import Lengths, PackedSequence, is_traced, needed, on_host, sorting
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
    known = on_host(found)
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
    return PackedSequence._of_padded(padded, found, None if enforce_sorted else sorting(-found))


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
    padded, known = sequence._padded, on_host(sequence._lengths)
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
    if (state.grad_enabled and any(x.requires_grad for x in given)) or any(map(is_traced, given)):
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
    lengths = needed("unpack_sequence: lengths", sequence._lengths)
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
    known = _checked("unpad_sequence", padded, needed("unpad_sequence: lengths", lengths))
    return unpack_sequence(PackedSequence._of_padded(padded, known))


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
    known = on_host(lengths)
    found = lengths if known is None else known
    steps, n = padded.shape[:2]
    if found.shape != (n,):
        raise ValueError(
            f"{call}: {n} lengths are needed, one for each sequence, got shape {found.shape}."
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


publish(globals())
