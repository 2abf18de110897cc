"""Dropout layers. In training they draw from the default generator; in evaluation they pass on."""

from __future__ import annotations

from lucid._core.arguments import count
from lucid._core.tensor import Tensor
from lucid.nn import functional as F
from lucid.nn.module import Module

__all__ = [
    "AlphaDropout",
    "DropBlock",
    "DropPath",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
]


class _Dropout(Module):
    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = _probability(type(self).__name__, "p", p)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout(_Dropout):
    """Zeros with probability `p`, each element on its own; the rest is divided by 1 - p.

    Only in training. Srivastava et al., JMLR 15, 2014.

    Args:
        p: probability, from 0 to 1.

    Raises:
        ValueError: p is out of range.

    >>> nn.Dropout(0.5).eval()(Tensor([1.0, 2.0]))
    Tensor([1., 2.])
    """

    def forward(self, input_: Tensor) -> Tensor:
        """`F.dropout(input_, p)` in training."""
        return F.dropout(input_, self.p, self.training)


class Dropout1d(_Dropout):
    """Whole channels of (N, C, L) or (C, L) zero with probability `p`; see `Dropout`.

    >>> nn.Dropout1d()(lucid.ones(2, 3, 4)).shape
    (2, 3, 4)
    """

    def forward(self, input_: Tensor) -> Tensor:
        """`F.dropout1d(input_, p)` in training."""
        return F.dropout1d(input_, self.p, self.training)


class Dropout2d(_Dropout):
    """Whole channels of (N, C, H, W) or (C, H, W) zero with probability `p`; see `Dropout`.

    >>> nn.Dropout2d()(lucid.ones(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    def forward(self, input_: Tensor) -> Tensor:
        """`F.dropout2d(input_, p)` in training."""
        return F.dropout2d(input_, self.p, self.training)


class Dropout3d(_Dropout):
    """Whole channels of (N, C, D, H, W) or (C, D, H, W) zero with probability `p`; see `Dropout`.

    >>> nn.Dropout3d()(lucid.ones(2, 3, 4, 4, 4)).shape
    (2, 3, 4, 4, 4)
    """

    def forward(self, input_: Tensor) -> Tensor:
        """`F.dropout3d(input_, p)` in training."""
        return F.dropout3d(input_, self.p, self.training)


class AlphaDropout(_Dropout):
    """Sets to SELU's lower bound with probability `p`, and keeps mean 0 and variance 1.

    Only in training. Klambauer et al., arXiv:1706.02515.

    >>> nn.AlphaDropout().eval()(Tensor([1.0, 2.0]))
    Tensor([1., 2.])
    """

    def forward(self, input_: Tensor) -> Tensor:
        """`F.alpha_dropout(input_, p)` in training."""
        return F.alpha_dropout(input_, self.p, self.training)


class DropPath(Module):
    """Whole samples, along axis 0, zero with probability `drop_prob`.

    Only in training. Huang et al., arXiv:1603.09382.

    Args:
        drop_prob: probability, from 0 to 1.
        scale_by_keep: divide the rest by 1 - drop_prob.

    Raises:
        ValueError: drop_prob is out of range.

    >>> nn.DropPath(0.5).eval()(Tensor([1.0, 2.0]))
    Tensor([1., 2.])
    """

    def __init__(self, drop_prob: float = 0.1, scale_by_keep: bool = True) -> None:
        super().__init__()
        self.drop_prob = _probability("DropPath", "drop_prob", drop_prob)
        self.scale_by_keep = scale_by_keep

    def forward(self, input_: Tensor) -> Tensor:
        """`F.drop_path(input_, drop_prob)` in training."""
        return F.drop_path(input_, self.drop_prob, self.scale_by_keep, self.training)

    def extra_repr(self) -> str:
        return f"drop_prob={self.drop_prob}, scale_by_keep={self.scale_by_keep}"


class DropBlock(Module):
    """Squares of an image zero, about a share `p` of it; the rest is scaled up.

    Only in training. Ghiasi et al., arXiv:1810.12890.

    Shape: (N, C, H, W), unchanged

    Args:
        block_size: side of a square.
        p: the share of elements that zero, if squares did not overlap.
        eps: added to the number of elements that stay, by which the rest is scaled.

    Raises:
        ValueError: p is out of range, or a square does not fit into the image.

    >>> nn.DropBlock(3)(lucid.ones(2, 3, 8, 8)).shape
    (2, 3, 8, 8)
    """

    def __init__(self, block_size: int, p: float = 0.1, eps: float = 1e-07) -> None:
        super().__init__()
        self.block_size = count("DropBlock", "block_size", block_size)
        self.p = _probability("DropBlock", "p", p)
        self.eps = eps

    def forward(self, input_: Tensor) -> Tensor:
        """`F.drop_block(input_, block_size, p)` in training."""
        return F.drop_block(input_, self.block_size, self.p, self.eps, self.training)

    def extra_repr(self) -> str:
        return f"block_size={self.block_size}, p={self.p}"


def _probability(call: str, name: str, p: float) -> float:
    if not 0 <= p <= 1:
        raise ValueError(f"{call}: {name} must be from 0 to 1, got {p}.")
    return p
