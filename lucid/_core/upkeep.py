"""Methods of Tensor that look after its memory, its place and its graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from lucid._core import arrays, spread
from lucid._core.flops import flops_of
from lucid._core.variable import Variable

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

Values = TypeVar("Values", jax.Array, "np.ndarray[Any, Any]", "Tensor")


class Upkeep(Variable):
    """Mixed into Tensor."""

    __slots__ = ()

    # --- Memory ---

    def zero(self) -> None:
        """Put zeros in the place of the values, without recording.

        >>> x = Tensor([1.0, 2.0], requires_grad=True)
        >>> x.zero()
        >>> x
        Tensor([0., 0.], requires_grad=True)
        """
        cell = self._cell()
        cell._put(jnp.zeros_like(cell._data))

    def eval(self) -> Self:
        """Wait until the values are computed, and return the Tensor.

        >>> lucid.ones(2).eval()
        Tensor([1., 1.])
        """
        jax.block_until_ready(self._cell()._data)
        return self

    def new_tensor(self) -> Tensor:
        """The same values in a Tensor of their own, off the tape.

        >>> Tensor([1.0], requires_grad=True).new_tensor()
        Tensor([1.])
        """
        return self._wrap(self._cell()._share())

    @classmethod
    def copy_data(cls, data: Values) -> Values:
        """A copy of an array of NumPy or JAX; a Tensor is copied as one off the tape.

        Raises:
            TypeError: `data` is no array.

        >>> Tensor.copy_data(np.array([1, 2]))
        array([1, 2])
        """
        if isinstance(data, Upkeep):
            return data.new_tensor()  # type: ignore[return-value]  # then Values is Tensor
        if not isinstance(data, (np.ndarray, jax.Array)):
            raise TypeError(f"copy_data: an array is needed, got {type(data).__name__}.")
        return data.copy()

    @classmethod
    def copy_grad(cls, grad: Values) -> Values:
        """`copy_data` of a gradient.

        >>> Tensor.copy_grad(Tensor([1.0]))
        Tensor([1.])
        """
        return cls.copy_data(grad)

    # --- Place ---

    def is_cpu(self) -> bool:
        """Whether the values lie in the memory of the CPU.

        >>> lucid.ones(2, device="cpu").is_cpu()
        True
        """
        return self._lies_on("cpu")

    def is_gpu(self) -> bool:
        """Whether the values lie in the memory of a GPU.

        >>> lucid.ones(2, device="cpu").is_gpu()
        False
        """
        return self._lies_on("gpu")

    def _lies_on(self, platform: str) -> bool:
        device: str = self.device  # type: ignore[attr-defined]  # of Tensor
        return device.partition(":")[0] == platform

    @property
    def is_free(self) -> bool:
        """Whether the Tensor is bound to no device: it goes to where the other operands lie.

        A Tensor is free unless it, or what it was computed from, was made or moved with `device`.

        >>> lucid.ones(2).is_free, lucid.ones(2, device="cpu").is_free
        (True, False)
        """
        return not getattr(self._cell()._data, "committed", False)

    @classmethod
    def is_all_free(cls, *tensors: Tensor) -> bool:
        """Whether all of the Tensors are free.

        >>> Tensor.is_all_free(lucid.ones(2), lucid.ones(2, device="cpu"))
        False
        """
        return all(tensor.is_free for tensor in tensors)

    def free(self) -> Self:
        """Bind the Tensor to no device any more, and return it.

        >>> lucid.ones(2, device="cpu").free().is_free
        True
        """
        if not self.is_free:
            cell = self._cell()
            cell._put(arrays.as_array(spread.read("free", cell._data, np.asarray)))
        return self

    # --- Graph ---

    def clear_node(self, clear_op: bool = True) -> None:
        """Cut the Tensor off what it was computed from: `backward` ends here, as at a leaf.

        Args:
            clear_op: lucid 2's; nothing of the operation stays in any case.

        >>> x = Tensor([2.0], requires_grad=True)
        >>> y = x * x
        >>> y.clear_node()
        >>> (y * 3).backward()
        >>> y.grad, x.grad
        (Tensor([3.]), None)
        """
        cell = self._cell()
        cell._node, cell._index = None, 0

    @property
    def flops(self) -> int:
        """The floating-point operations behind the Tensor as far as they are recorded.

        They are those that XLA counts in the program of each operation, before it optimises.

        >>> x = lucid.ones(4, 8, requires_grad=True)
        >>> (x @ x.T).flops
        256
        """
        return flops_of(self._cell())
