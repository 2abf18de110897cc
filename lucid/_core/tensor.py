"""Tensor: an array that records what is computed from it."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast

import jax
import numpy as np
from jax.sharding import Sharding

from lucid._core import arrays, backward, epoch, hints, spread
from lucid._core.errors import JitError, user_line
from lucid._core.gate import run
from lucid._core.handle import Handle
from lucid._core.integers import check_integer
from lucid._core.methods import Methods
from lucid._core.misuse import told
from lucid._core.mode import off_tape, state
from lucid._core.op import Op, is_inexact
from lucid._core.package import publish_methods
from lucid._core.repr import tensor_repr
from lucid._core.typing import Array, Device, DType
from lucid._core.upkeep import Upkeep
from lucid.ops import indexing

if TYPE_CHECKING:
    from lucid import creation, random

_new = object.__new__


class Tensor(Upkeep, Methods):
    """An array that records what is computed from it, so that `backward` can differentiate it.

    Args:
        data: a Python number, nested lists of numbers, a NumPy or jax array, a Tensor, or one of
            PyTorch; all but the jax array are copied.
        requires_grad: whether `backward` shall leave a gradient in `grad`.
        keep_grad: the same for a Tensor that is not a leaf; see `retain_grad`.
        dtype: a dtype, its name, or `float`, `int`, `bool`. By default that of `data`, but 64-bit
            numbers become 32-bit ones unless JAX's x64 mode is on, and Python integers that require
            a gradient floats.
        device: "cpu", "gpu", "tpu", "gpu:1", or a `jax.Device`; JAX's default device if None.

    Raises:
        TypeError: `data` is not made of numbers, or `requires_grad` for integers.
        ValueError: the device is not present, or the dtype needs x64 mode.

    >>> x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    Tensor([[2., 4.],
            [6., 8.]])
    """

    __slots__ = ()

    if TYPE_CHECKING:
        # Constructors under the class's name, which these modules assign.
        randn = staticmethod(random.randn)
        rand = staticmethod(random.rand)
        zeros = staticmethod(creation.zeros)
        ones = staticmethod(creation.ones)

    def __init__(
        self,
        data: Any,
        requires_grad: bool = False,
        keep_grad: bool = False,
        dtype: DType = None,
        device: str | Device | None = None,
    ) -> None:
        if requires_grad is not False and not isinstance(requires_grad, (bool, np.bool_)):
            raise TypeError(
                f"Tensor: requires_grad must be True or False, got {requires_grad!r}. A Tensor of "
                "a shape is made by lucid.empty, zeros, ones or randn."
            )
        array = arrays.as_array(_visible(data), dtype, device)
        if state.trace is not None:
            # Not without a trace of lucid: then it may be a value that JAX differentiates.
            array = off_tape(array)
        if requires_grad:
            if dtype is None and isinstance(data, (int, list, tuple)) and array.dtype.kind in "iu":
                array = array.astype(arrays.canonical_dtype(float))
            backward.check_differentiable("Tensor", array)
        _initialise(self, array, bool(requires_grad), bool(keep_grad))

    # --- What it holds ---

    @property
    def data(self) -> Array:
        """The jax array. Assigning replaces it without recording."""
        data = self._cell()._share()
        return data if state.trace is None else off_tape(data)  # as in the constructor

    @data.setter
    def data(self, value: Any) -> None:
        array = arrays.as_array(_visible(value))
        self._cell()._put(array if state.trace is None else off_tape(array))

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the axes."""
        return self._cell()._data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._cell()._data.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._cell()._data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of the elements."""
        return np.dtype(self._cell()._data.dtype)

    @property
    def device(self) -> str:
        """The name of the device; the platform's name if the array lies on several."""
        if state.trace is not None and (known := state.trace.device(self)) is not None:
            return known
        return arrays.device_of(self._cell()._data)

    @property
    def T(self) -> Tensor:
        """The axes in reverse order."""
        return self.transpose()

    @property
    def mT(self) -> Tensor:
        """The last two axes exchanged."""
        return self.swapaxes(-1, -2)

    # --- Gradients ---

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this Tensor are recorded."""
        return self._cell()._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set `requires_grad` of a leaf, and return the Tensor."""
        cell = self._cell()
        if requires_grad:
            backward.check_differentiable("requires_grad_", cell._data)
        elif cell._node is not None:
            raise RuntimeError(
                "requires_grad_: this Tensor was computed from others that require a gradient. "
                "Use detach() for a Tensor that does not."
            )
        if cell._requires_grad is not bool(requires_grad):
            cell._requires_grad = bool(requires_grad)
            epoch.bump()
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether the Tensor was made by the user, not computed from others on the tape."""
        return self._cell()._node is None

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` left here; calls add up until it is set to None."""
        return self._cell()._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            backward.check_gradient("grad", value, self.data)
        self._cell()._grad = value

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self._cell()._grad = None

    def detach(self) -> Tensor:
        """The same values off the tape."""
        return self._wrap(off_tape(self.data))

    @property
    def keep_grad(self) -> bool:
        """Whether `backward` leaves a gradient here although the Tensor is not a leaf."""
        return self._cell()._keep_grad

    @keep_grad.setter
    def keep_grad(self, value: bool) -> None:
        cell = self._cell()
        cell._keep_grad = bool(value)
        if cell._node is not None:
            kept = cell._node.observe().kept
            if value:
                kept[cell._index] = weakref.ref(cell)
            else:
                kept.pop(cell._index, None)

    def retain_grad(self) -> None:
        """Have `backward` leave a gradient here although the Tensor is not a leaf.

        >>> x = Tensor([3.0], requires_grad=True)
        >>> y = x * x
        >>> y.retain_grad()
        >>> (y * 2).backward()
        >>> y.grad
        Tensor([2.])
        """
        if not self.requires_grad:
            raise RuntimeError("retain_grad: this Tensor does not require a gradient.")
        self.keep_grad = True

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Handle:
        """Call `hook` with the gradient of this Tensor; what it returns takes the gradient's place.

        >>> x = Tensor([3.0], requires_grad=True)
        >>> handle = x.register_hook(lambda grad: grad * 10)
        >>> (x * 2).backward()
        >>> x.grad
        Tensor([20.])
        """
        cell = self._cell()
        if not cell._requires_grad:
            raise RuntimeError("register_hook: this Tensor does not require a gradient.")

        def on_gradient(gradient: Any) -> Any:
            recorded = isinstance(gradient, Tensor)
            result = hook(gradient if recorded else self._wrap(gradient))
            if result is None:
                return gradient
            like = gradient._data if recorded else gradient
            backward.check_gradient("register_hook: the hook's result", result, like)
            return result if recorded else result.data

        if cell._node is None:
            registry = cell._hooks = {} if cell._hooks is None else cell._hooks
        else:
            registry = cell._node.observe().hooks.setdefault(cell._index, {})
        return Handle(registry, on_gradient)

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool = False,
        create_graph: bool = False,
    ) -> None:
        """Add the gradient of this Tensor to `grad` of every leaf that it was computed from.

        Args:
            gradient: what to multiply by, in the shape of this Tensor; ones by default.
            retain_graph: keep the graph, so that `backward` can be called on it again.
            create_graph: record the gradients themselves, for gradients of gradients.

        Raises:
            RuntimeError: the Tensor requires no gradient, or its graph was freed.
            ValueError: `gradient` has another shape.
            TypeError: `gradient` has another dtype.

        >>> x = Tensor([1.0, 2.0], requires_grad=True)
        >>> (x * x).backward()
        >>> x.grad
        Tensor([2., 4.])
        """
        gradients = None if gradient is None else [gradient]
        backward.backward([self], gradients, retain_graph, create_graph)

    @staticmethod
    def _wrap(data: Array, node: Any = None, index: int = 0) -> Tensor:
        tensor = _new(Tensor)
        tensor._data = tensor._shared = data
        tensor._gradient = tensor._hooks = None
        tensor._keep_grad = False
        tensor._born = state.trace
        if node is not None and is_inexact(data.dtype):
            tensor._node = node
            tensor._index = index
            tensor._requires_grad = True
        else:
            tensor._node = None
            tensor._index = 0
            tensor._requires_grad = False
        if tensor._born is not None:
            tensor._born.note(tensor)
        return tensor

    def _rebind(self, name: str, result: Tensor) -> Self:
        """Take the place of `result`: data and graph. How all in-place operations end."""
        self._check_in_place(name)
        if result.shape != self.shape:
            raise ValueError(
                f"{name}: the result has shape {result.shape} and cannot be put into a Tensor of "
                f"shape {self.shape}."
            )
        if result.dtype != self.dtype:
            if not np.can_cast(result.dtype, self.dtype, "same_kind"):
                raise TypeError(
                    f"{name}: the result has dtype {result.dtype} and cannot be put into a Tensor "
                    f"of dtype {self.dtype}. Use the operation that returns a new Tensor."
                )
            result = result.astype(self.dtype)
        cell = self._cell()
        cell._put(result._data)
        if result._requires_grad:
            keeps = cell._keep_grad
            self.keep_grad = False  # of the value that goes
            cell._node, cell._index, cell._requires_grad = result._node, result._index, True
            self.keep_grad = keeps
        return self

    def _check_in_place(self, name: str) -> None:
        cell = self._cell()
        if cell._requires_grad and cell._node is None and state.grad_enabled:
            raise RuntimeError(
                f"{name}: a leaf that requires a gradient cannot be changed in place while "
                "operations are recorded. Do it under lucid.no_grad()."
            )

    # --- Indexing ---

    def __getitem__(self, index: Any) -> Tensor:
        """What NumPy's index selects, as a new Tensor.

        An integer out of range is an error; so is one of an index array that comes from the host,
        or lies ready on the CPU and has fewer than 65,536 elements. Else, as in a compiled
        function, it reads the nearest element, and `x[index] = value` does not assign it.
        """
        selection, positions = indexing.parse(_arrays_in(index), self.shape)
        return indexing.take(self, *positions, selection=selection)

    def __setitem__(self, index: Any, value: Any) -> None:
        self._check_in_place("index assignment")
        selection, positions = indexing.parse(_arrays_in(index), self.shape)
        if not isinstance(value, Tensor):
            check_integer("index assignment", value, self.dtype)
            value = arrays.as_array(_visible(value))
        self._rebind("index assignment", indexing.put(self, value, *positions, selection=selection))

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len() of a Tensor without axes.")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if self.ndim == 0:
            raise TypeError("A Tensor without axes cannot be iterated over.")
        return (self[i] for i in range(len(self)))

    # --- Conversion ---

    def numpy(self) -> np.ndarray[Any, Any]:
        """The values as a NumPy array of their own."""
        return spread.read("numpy", self.data, np.array)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        array = functools.partial(np.array, dtype=dtype, copy=copy)
        return spread.read("numpy", self.data, array)

    def __jax_array__(self) -> Array:
        return self.data

    def __dlpack__(self, **options: Any) -> Any:
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[Any, int]:
        return self.data.__dlpack_device__()  # type: ignore[attr-defined]

    @told
    def to(self, target: str | Device | Sharding | DType) -> Tensor:
        """This Tensor on another device, as a sharding says, or in another dtype; recorded.

        >>> Tensor([1.5]).to("cpu").to("int32")
        Tensor([1], dtype=int32)
        """
        if arrays.is_device(target):
            device, data = arrays.find_device(target), self._cell()._data
            spread.check_split("to", data.shape, device)
            traced = isinstance(data, jax.core.Tracer)
            if not traced and data.devices() == {device}:
                return self
            if spread.over_processes(device) and not (traced or self._cell()._requires_grad):
                return self._wrap(spread.put("to", data, device))
            moved: Tensor = run(_transfer(device, None if traced else data.sharding), self)
            return moved
        dtype = cast(DType, target)
        return self if arrays.canonical_dtype(dtype) == self.dtype else self.astype(dtype)

    def cpu(self) -> Tensor:
        """This Tensor in the memory of the CPU."""
        return self.to("cpu")

    def gpu(self) -> Tensor:
        """This Tensor on the first GPU."""
        return self.to("gpu")

    if not TYPE_CHECKING:  # which shall find what does not exist

        def __getattr__(self, name: str) -> NoReturn:
            raise hints.missing("Tensor", hints.TENSOR, name, self)

    def __repr__(self) -> str:
        return tensor_repr(self, type(self).__name__)

    def __str__(self) -> str:
        if state.trace is not None:
            raise JitError(
                f"{user_line()} prints a Tensor, whose value does not exist while the function is "
                "compiled. Return it and print it outside; repr() shows its shape and dtype."
            )
        return repr(self)

    # `==` compares values; a Tensor in a set or a dictionary is itself.
    __hash__ = object.__hash__

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = memo[id(self)] = _new(type(self))
        # A jax array never changes, so the copy can share it.
        _initialise(copied, self.data, self.requires_grad, self.keep_grad)
        if self.grad is not None:
            copied._grad = self.grad.__deepcopy__(memo)
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        values = spread.read("pickle", self.data, np.asarray)
        return _unpickle, (type(self), values, self.requires_grad)


# --- Helpers ----------------------------------------------------------------------------------


def _visible(data: Any) -> Any:
    """What a Tensor is made of: the array of another one; in a trace, a NumPy array as an input."""
    if isinstance(data, Tensor):
        return data.data
    return data if state.trace is None else state.trace.host(data)


def _arrays_in(index: Any) -> Any:
    """An index with its Tensors as jax arrays."""
    if isinstance(index, tuple):
        return tuple(_arrays_in(item) for item in index)
    return index.data if isinstance(index, Tensor) else index


@functools.cache
def _transfer(device: Device, source: Any) -> Op:
    # Not compiled, since a compiled program leaves its results on the device of its operands.
    # The source is where the gradient goes.
    move = functools.partial(jax.device_put, device=device, src=source)
    return Op(move, "to", compiled=False)


def _unpickle(cls: type[Tensor], values: np.ndarray[Any, Any], requires_grad: bool) -> Tensor:
    return _rebuild(cls, jax.device_put(values), requires_grad)


def _rebuild(cls: type[Tensor], data: Any, requires_grad: bool) -> Tensor:
    tensor = _new(cls)
    _initialise(tensor, data, requires_grad)
    return tensor


def _initialise(
    tensor: Tensor, data: Any, requires_grad: bool = False, keep_grad: bool = False
) -> None:
    """Set all slots of a leaf."""
    tensor._data = tensor._shared = data
    tensor._gradient = tensor._hooks = tensor._node = None
    tensor._index = 0
    tensor._requires_grad, tensor._keep_grad = requires_grad, keep_grad
    tensor._born = state.trace
    if state.trace is not None:
        state.trace.note(tensor)


def register_pytree(cls: type[Tensor]) -> None:
    """Make a class of Tensors a pytree node: one child, its array.

    Whatever JAX puts into the child's place is kept as it is, since transformations also pass
    placeholders through `unflatten`.
    """
    jax.tree_util.register_pytree_with_keys(
        cls,
        lambda t: (((jax.tree_util.GetAttrKey("data"), t.data),), t.requires_grad),
        lambda requires_grad, children: _rebuild(cls, next(iter(children)), requires_grad),
        lambda t: ((t.data,), t.requires_grad),
    )


register_pytree(Tensor)
publish_methods(Methods, "lucid", "Tensor")
publish_methods(Upkeep, "lucid", "Tensor")
publish_methods(Tensor, "lucid", "Tensor")
