"""Convolutions whose kernels obey a constraint."""

from __future__ import annotations

from typing import Literal, Self, TypeAlias, get_args

from lucid._core.tensor import Tensor
from lucid._core.typing import Size
from lucid.nn.conv import _Conv
from lucid.ops.constraint import constrained
from lucid.ops.conv import Padding, convolve

__all__ = ["ConstrainedConv1d", "ConstrainedConv2d", "ConstrainedConv3d"]

Constraint: TypeAlias = Literal[
    "none", "nonneg", "sum_to_one", "zero_mean", "nonneg_sum1", "unit_l2", "max_l2", "fixed_center"
]
Enforce: TypeAlias = Literal["forward", "post_step"]


class _ConstrainedConv(_Conv):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        constraint: Constraint = "none",
        enforce: Enforce = "forward",
        eps: float = 1e-12,
        max_l2: float | None = None,
        center_value: float = -1.0,
        neighbor_sum: float = 1.0,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias
        )
        call = type(self).__name__
        for name, value, allowed in (
            ("constraint", constraint, get_args(Constraint)),
            ("enforce", enforce, get_args(Enforce)),
        ):
            if value not in allowed:
                raise ValueError(f"{call}: {name} is one of {', '.join(allowed)}, got {value!r}.")
        if constraint == "max_l2" and not (max_l2 is not None and max_l2 > 0):
            raise ValueError(f"{call}: max_l2 must be above 0, got {max_l2}.")
        if constraint == "fixed_center" and not all(size % 2 for size in self.kernel_size):
            raise ValueError(
                f"{call}: fixed_center needs odd kernel sizes, got {self.kernel_size}."
            )
        self.constraint, self.enforce, self.eps = constraint, enforce, eps
        self.max_l2, self.center_value, self.neighbor_sum = max_l2, center_value, neighbor_sum

    def _constrain(self) -> Tensor:
        if self.constraint == "none":
            return self.weight
        limit = self.max_l2 if self.constraint == "max_l2" else self.neighbor_sum
        assert limit is not None  # see __init__
        return constrained(
            self.weight, self.eps, limit, self.center_value, self.constraint, self.rank
        )

    def forward(self, input_: Tensor) -> Tensor:
        """The convolution of `input_`."""
        weight = self._constrain() if self.enforce == "forward" else self.weight
        return convolve(
            input_, weight, self.bias, window=self._window, padding_mode=self.padding_mode
        )

    def project_(self) -> Self:
        """Put the constrained weight into the place of the weight, and return the layer."""
        self.weight.data = self._constrain().data
        return self

    def extra_repr(self) -> str:
        parts = [super().extra_repr(), f"constraint={self.constraint!r}, enforce={self.enforce!r}"]
        if self.constraint == "max_l2":
            parts.append(f"max_l2={self.max_l2}")
        if self.constraint == "fixed_center":
            parts.append(f"center_value={self.center_value}, neighbor_sum={self.neighbor_sum}")
        return ", ".join(parts)


class ConstrainedConv1d(_ConstrainedConv):
    """`Conv1d` whose kernels, one for each pair of channels, obey a constraint.

    Shape: that of `Conv1d`.

    Args:
        in_channels: as for `Conv1d`; so are kernel_size, stride, padding, dilation, groups, bias.
        out_channels: channels of the output.
        constraint: what is computed from each kernel w:
            "none": w. "nonneg": max(w, 0). "zero_mean": w - mean(w).
            "sum_to_one": w / (sum(w) + eps). "nonneg_sum1": the same of max(w, 0).
            "unit_l2": w / sqrt(sum(w**2) + eps). "max_l2": the same times max_l2 where that is
            shorter than w, else w. "fixed_center": `center_value` in the middle, and around it w
            scaled to the sum `neighbor_sum` (Bayar & Stamm, IH&MMSec 2016).
        enforce: "forward" convolves with the constrained weight, and gradients flow through the
            constraint; with "post_step" call `project_()` after each step of the optimizer.
        eps: keeps divisors from zero.

    Raises:
        ValueError: an unknown constraint or enforce, max_l2 is missing or not above 0, or a kernel
            of fixed_center has no middle; or as for `Conv1d`.

    >>> layer = nn.ConstrainedConv1d(2, 4, 3, constraint="unit_l2", enforce="post_step")
    >>> np.round((layer.project_().weight ** 2).sum(axis=-1), 4).tolist()
    [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    """

    rank = 1


class ConstrainedConv2d(_ConstrainedConv):
    """`Conv2d` under a constraint; see `ConstrainedConv1d` for arguments and errors.

    Shape: that of `Conv2d`.

    >>> layer = nn.ConstrainedConv2d(1, 1, 3, constraint="fixed_center").project_()
    >>> layer.weight[0, 0, 1, 1].item(), abs(layer.weight.sum().item()) < 1e-5
    (-1.0, True)
    """

    rank = 2


class ConstrainedConv3d(_ConstrainedConv):
    """`Conv3d` under a constraint; see `ConstrainedConv1d` for arguments and errors.

    Shape: that of `Conv3d`.

    >>> layer = nn.ConstrainedConv3d(1, 1, 2, constraint="nonneg").project_()
    >>> bool((layer.weight >= 0).all())
    True
    """

    rank = 3
