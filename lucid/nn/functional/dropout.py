"""Dropouts as functions. They draw from the default generator of `lucid.random`."""

from __future__ import annotations

from typing import Any

from lucid import random
from lucid._core.arguments import is_number
from lucid._core.known import check_within
from lucid._core.misuse import told
from lucid._core.tensor import Tensor
from lucid._core.typing import Operand
from lucid.ops import dropout as ops


@told
def dropout(input_: Operand, p: Operand = 0.5, training: bool = True) -> Tensor:
    """Zeros with probability `p`, each element on its own; the rest is divided by 1 - p.

    The input itself without `training`. Srivastava et al., JMLR 15, 2014.

    Raises:
        ValueError: p is not from 0 to 1.

    >>> x = F.dropout(lucid.ones(1000), 0.2)
    >>> sorted(set(x.tolist()))
    [0.0, 1.25]
    """
    x = _checked("dropout", p, input_)
    return _dropped(x, p, training, tuple(range(x.ndim)))


@told
def dropout1d(input_: Operand, p: Operand = 0.5, training: bool = True) -> Tensor:
    """Whole channels of (N, C, L) or (C, L) zero with probability `p`; see `dropout`.

    Raises:
        ValueError: p is not from 0 to 1, or the input has another number of axes.

    >>> F.dropout1d(lucid.ones(2, 3, 4)).shape
    (2, 3, 4)
    """
    return _dropped_channels(1, input_, p, training)


@told
def dropout2d(input_: Operand, p: Operand = 0.5, training: bool = True) -> Tensor:
    """Whole channels of (N, C, H, W) or (C, H, W) zero with probability `p`; see `dropout`.

    Tompson et al., arXiv:1411.4280.

    Raises:
        ValueError: p is not from 0 to 1, or the input has another number of axes.

    >>> F.dropout2d(lucid.ones(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """
    return _dropped_channels(2, input_, p, training)


@told
def dropout3d(input_: Operand, p: Operand = 0.5, training: bool = True) -> Tensor:
    """Whole channels of (N, C, D, H, W) or (C, D, H, W) zero with probability `p`; see `dropout`.

    Raises:
        ValueError: p is not from 0 to 1, or the input has another number of axes.

    >>> F.dropout3d(lucid.ones(2, 3, 4, 4, 4)).shape
    (2, 3, 4, 4, 4)
    """
    return _dropped_channels(3, input_, p, training)


def alpha_dropout(input_: Operand, p: Operand = 0.5, training: bool = True) -> Tensor:
    """Sets to SELU's lower bound with probability `p`, and keeps mean 0 and variance 1.

    The input itself without `training`. Klambauer et al., arXiv:1706.02515.

    Raises:
        ValueError: p is not from 0 to 1.

    >>> x = F.alpha_dropout(lucid.randn(10000), 0.3)
    >>> bool(abs(x.mean()) < 0.1), bool(abs(x.var() - 1) < 0.1)
    (True, True)
    """
    x = _checked("alpha_dropout", p, input_)
    return _drawn(ops.alpha_dropout, x, p) if _drops(p, training) else x


def drop_path(
    input_: Operand, p: Operand = 0.1, scale_by_keep: bool = True, training: bool = True
) -> Tensor:
    """Whole samples, along axis 0, zero with probability `p`; Huang et al., arXiv:1603.09382.

    Args:
        scale_by_keep: divide the rest by 1 - p.
        training: without it, the result is the input itself.

    Raises:
        ValueError: p is not from 0 to 1.

    >>> F.drop_path(lucid.ones(2, 3), training=False)
    Tensor([[1., 1., 1.],
            [1., 1., 1.]])
    """
    return _dropped(_checked("drop_path", p, input_), p, training, (0,), scale_by_keep)


def drop_block(
    input_: Operand, block_size: int, p: Operand = 0.1, eps: Operand = 1e-07, training: bool = True
) -> Tensor:
    """Squares of an image zero, about a share `p` of it; Ghiasi et al., arXiv:1810.12890.

    Shape: (N, C, H, W), unchanged

    Args:
        block_size: side of a square.
        p: the share of elements that zero, if squares did not overlap.
        eps: added to the number of elements that stay, by which the rest is scaled.
        training: without it, the result is the input itself.

    Raises:
        ValueError: p is not from 0 to 1, or a square does not fit into the image.

    >>> F.drop_block(lucid.ones(2, 3, 8, 8), 3).shape
    (2, 3, 8, 8)
    """
    x = _checked("drop_block", p, input_)
    if x.ndim != 4 or not 1 <= block_size <= min(x.shape[2:]):
        raise ValueError(
            f"drop_block: squares of side {block_size} need an input (N, C, H, W) of at least that "
            f"size, got shape {x.shape}."
        )
    if not _drops(p, training):
        return x
    return _drawn(ops.drop_block, x, p, eps, block_size=block_size)


def _checked(call: str, p: Operand, input_: Operand) -> Tensor:
    check_within(call, "p", p, 0, 1)
    return input_ if isinstance(input_, Tensor) else Tensor(input_)


def _dropped(
    x: Tensor, p: Operand, training: bool, axes: tuple[int, ...], rescale: bool = True
) -> Tensor:
    if not _drops(p, training):
        return x
    return _drawn(ops.dropout, x, p, axes=axes, rescale=rescale)


def _dropped_channels(rank: int, input_: Operand, p: Operand, training: bool) -> Tensor:
    x = _checked(f"dropout{rank}d", p, input_)
    if x.ndim not in (rank + 1, rank + 2):
        raise ValueError(
            f"dropout{rank}d: an input of {rank + 2} axes (N, C, *spatial) or {rank + 1} axes "
            f"(C, *spatial) is needed, got shape {x.shape}."
        )
    return _dropped(x, p, training, tuple(range(x.ndim - rank)))


def _drops(p: Operand, training: bool) -> bool:
    return training and not (is_number(p) and p == 0)


def _drawn(sample: Any, *operands: Operand, **static: Any) -> Tensor:
    return random.default_generator().draw(sample, *operands, **static)
