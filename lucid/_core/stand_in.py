"""What a trace sees of a Tensor from outside."""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from lucid._core.errors import JitError, Place, definition, user_place
from lucid._core.mode import Trace, state
from lucid._core.repr import tensor_repr
from lucid._core.tensor import Tensor
from lucid._core.typing import Array


class StandIn(Tensor):
    """A leaf in the place of a Tensor, and a record of what happened to it."""

    __slots__ = (
        "_first_gradient",
        "data_written",
        "device_read",
        "grad_in_place",
        "grad_read",
        "grad_written",
        "gradient",
        "needs_grad",
        "owner",
        "place",
        "toggled",
        "value",
    )

    def __init__(self, owner: Tensor, value: Array, gradient: Tensor | None, born: Trace) -> None:
        self.owner = owner
        self.value = value
        self.gradient = gradient
        self._first_gradient = None if gradient is None else (gradient, gradient._data)
        self.place: Place | None = None  # where it was last written
        self.toggled: Place | None = None  # where its `requires_grad` was last set
        self.data_written = self.grad_read = self.grad_written = self.device_read = False
        self.grad_in_place = False
        self._hooks = None if owner._hooks is None else dict(owner._hooks)
        self._node, self._index = None, 0
        self.needs_grad, self._keep_grad = owner._requires_grad, owner._keep_grad
        self._born = born  # not the trace inside it that may be active

    def __repr__(self) -> str:
        return tensor_repr(self, "Tensor")

    @property  # a slot of Tensor, observed here
    def _data(self) -> Array:
        return self.value

    @_data.setter
    def _data(self, value: Array) -> None:
        trace = state.trace
        same_form = (value.shape, value.dtype) == (self.value.shape, self.value.dtype)
        if self.needs_grad and same_form and trace is not None and trace.cuts:
            value = _as_leaf(value, self.value)
        self.value = value
        self.data_written = True
        self.place = user_place()

    @property  # a slot of Tensor, observed here
    def _requires_grad(self) -> bool:
        return self.needs_grad

    @_requires_grad.setter
    def _requires_grad(self, value: bool) -> None:
        self.needs_grad = value
        self.toggled = user_place()

    @property  # a slot of Tensor: what a trace holds is never reused under it
    def _shared(self) -> Array:
        return self.value

    def _share(self) -> Array:
        return self.value

    def _put(self, data: Array) -> None:
        self._data = data

    @property  # a slot of Tensor, observed here
    def _grad(self) -> Tensor | None:
        # Only a gradient that is read before it is written comes from outside.
        self.grad_read = self.grad_read or not self.grad_written
        return self.gradient

    @_grad.setter
    def _grad(self, value: Tensor | None) -> None:
        self.gradient = value
        self.grad_written = True
        self.place = user_place()

    def notice_gradient(self) -> None:
        """Take a change in place of the gradient that was there before for setting it."""
        if self._first_gradient is not None and not self.grad_written:
            gradient, array = self._first_gradient
            if gradient is self.gradient and gradient._data is not array:
                self.grad_read = self.grad_in_place = True
                self._grad = gradient

    def forget(self) -> None:
        """Let go of the traced values."""
        del self.value, self.gradient, self._first_gradient


def _as_leaf(value: Array, before: Array) -> Array:
    """A new value of a leaf: its gradients are gradients of the leaf, like those of the old one.

    By arithmetic, since JAX forgets custom rules in some derivatives of derivatives. Taking 0 away
    keeps the bits of the value, -0.0 included.
    """
    cut, finite = jax.lax.stop_gradient, jnp.where(jnp.isfinite(before), before, 0)
    return cut(value) - (cut(finite) - finite)


def check_tensor(fn: Callable[..., Any], stand_in: StandIn) -> None:
    """Refuse what a trace did to a Tensor from outside and a program would not do."""
    owner = stand_in.owner
    shape = owner._data.shape
    if stand_in.needs_grad != owner._requires_grad and stand_in._node is None:
        raise JitError(
            f"{stand_in.toggled}: requires_grad of a Tensor of shape {shape} was changed inside a "
            "compiled function, which would happen only while it is traced. Set it outside, or "
            "set it back before the function ends."
        )
    if stand_in._node is not None:
        raise JitError(
            f"{stand_in.place}: a Tensor of shape {shape} from outside was changed in place by a "
            "recorded operation. Do it under lucid.no_grad(), or return the new value."
        )
    if stand_in.grad_written and owner._node is not None:
        raise JitError(
            f"{stand_in.place}: backward reached a Tensor of shape {shape} that was computed "
            "outside the compiled function; its gradient cannot flow further. Compute it inside, "
            "or call backward outside."
        )
    if tuple(stand_in._hooks or ()) != tuple(owner._hooks or ()):
        raise JitError(
            f"{definition(fn)}: a hook of a Tensor of shape {shape} was registered or removed "
            "inside a compiled function, which would happen only while it is traced. Register it "
            "outside, or remove it before the function ends."
        )


def check_gradients(fn: Callable[..., Any], stand_ins: Mapping[int, StandIn]) -> None:
    """Refuse a change of a gradient that is reached in another way too, which would not see it."""
    uses = collections.Counter(id(s.owner._grad) for s in stand_ins.values())
    for stand_in in stand_ins.values():
        gradient = stand_in.owner._grad
        if gradient is None:
            continue
        itself = stand_ins.get(id(gradient))
        shared = itself is not None or uses[id(gradient)] > 1
        if (shared and stand_in.grad_in_place) or (
            itself is not None and itself.data_written and stand_in.grad_read
        ):
            raise JitError(
                f"{definition(fn)}: the function changes a gradient of shape {gradient.shape} in "
                "place that it also reaches from outside, or through another Tensor, and would "
                "take them for two. Assign the new value to `grad`."
            )


def opaque(array: Array) -> Array:
    """A traced value like `array`: a constant of a trace that fails would keep all of the trace."""
    return jax.lax.empty(array.shape, array.dtype)
