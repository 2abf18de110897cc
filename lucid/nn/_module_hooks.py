"""Hooks of a Module, and a call that runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar

from lucid._core.backward import check_gradient
from lucid._core.declaration import P
from lucid._core.gate import apply
from lucid._core.tensor import Tensor
from lucid._core.typing import Array

Gradients: TypeAlias = tuple[Tensor | None, ...]
Hook: TypeAlias = Callable[..., Any]  # its parameters depend on `with_kwargs`
BackwardHook: TypeAlias = Callable[[Any, Gradients, Gradients], Gradients | Tensor | None]
BackwardPreHook: TypeAlias = Callable[[Any, Gradients], Gradients | Tensor | None]
Result_co = TypeVar("Result_co", covariant=True)


class Forward(Protocol[P, Result_co]):
    """A Module to type checkers: its call takes and returns what its `forward` does."""

    def forward(self, *args: P.args, **kwargs: P.kwargs) -> Result_co: ...


class ModuleHooks:
    """The hooks of one Module, by kind."""

    def __init__(self) -> None:
        self.forward_pre: dict[int, Any] = {}
        self.forward: dict[int, Any] = {}
        self.backward_pre: dict[int, Any] = {}
        self.backward: dict[int, Any] = {}

    def keys(self) -> tuple[int, ...]:
        """What tells one set of hooks from another."""
        return (*self.forward_pre, *self.forward, *self.backward_pre, *self.backward)

    def call(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`module.forward(*args, **kwargs)` between the hooks."""
        for hook, with_kwargs in list(self.forward_pre.values()):
            if with_kwargs:
                changed = hook(module, args, kwargs)
                args, kwargs = (args, kwargs) if changed is None else changed
            else:
                changed = hook(module, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        backward = _BackwardHooks(module, self) if self.backward or self.backward_pre else None
        if backward is not None:
            args = backward.enter(args)
        output = module.forward(*args, **kwargs)
        for hook, with_kwargs in list(self.forward.values()):
            changed = (
                hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)
            )
            output = output if changed is None else changed
        return output if backward is None else backward.leave(output)


def _identity(*arrays: Array) -> tuple[Array, ...]:
    return arrays


class _BackwardHooks:
    """Two identities around one call, whose nodes see the gradients of all inputs and outputs."""

    def __init__(self, module: Any, hooks: ModuleHooks) -> None:
        self.module = module
        self.hooks = hooks
        self.grad_output: Gradients = ()
        self.n_inputs = 0
        self.sees_inputs = False  # whether an input requires a gradient

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        at = [i for i, x in enumerate(args) if isinstance(x, Tensor)]
        self.n_inputs = len(at)
        passed = apply(_identity, *(args[i] for i in at))
        if any(_node_of(x) for x in passed):
            node = next(n for n in map(_node_of, passed) if n)
            node.observe().gate = _gate(self.on_inputs)
            self.sees_inputs = True
        replaced = list(args)
        for i, x in zip(at, passed, strict=True):
            replaced[i] = x
        return tuple(replaced)

    def leave(self, output: Any) -> Any:
        single = isinstance(output, Tensor)
        outputs = output if isinstance(output, (tuple, list)) else (output,)
        if not all(isinstance(y, Tensor) for y in outputs):
            raise TypeError(
                f"{type(self.module).__name__}: backward hooks need a Tensor or a tuple of Tensors "
                f"as output, got {type(output).__name__}."
            )
        passed = apply(_identity, *outputs)
        node = next((n for n in map(_node_of, passed) if n), None)
        if node is not None:
            node.observe().gate = _gate(self.on_outputs)
        return passed[0] if single else passed

    def on_outputs(self, gradients: Gradients) -> Gradients:
        for hook in list(self.hooks.backward_pre.values()):
            changed = hook(self.module, gradients)
            gradients = gradients if changed is None else _as_tuple(changed)
        self.grad_output = gradients
        if not self.sees_inputs:
            self.on_inputs((None,) * self.n_inputs)
        return gradients

    def on_inputs(self, gradients: Gradients) -> Gradients:
        for hook in list(self.hooks.backward.values()):
            changed = hook(self.module, gradients, self.grad_output)
            gradients = gradients if changed is None else _as_tuple(changed)
        return gradients


def _gate(fn: Callable[[Gradients], Gradients]) -> Callable[[list[Any]], list[Any]]:
    """`fn`, which deals in Tensors, for a walk that may deal in arrays."""

    def gate(cotangents: list[Any]) -> list[Any]:
        recorded = any(isinstance(ct, Tensor) for ct in cotangents)
        given = [ct if ct is None or recorded else Tensor._wrap(ct) for ct in cotangents]
        result = fn(tuple(given))
        if len(result) != len(given):
            raise ValueError(
                f"a backward hook must return {len(given)} gradients, got {len(result)}."
            )
        for old, new in zip(given, result, strict=True):
            if old is not None and new is not None:
                check_gradient("a backward hook's result", new, old.data)
        return [ct if ct is None or recorded else ct.data for ct in result]

    return gate


def _node_of(tensor: Tensor) -> Any:
    return tensor._node


def _as_tuple(gradients: Any) -> Gradients:
    return gradients if isinstance(gradients, tuple) else (gradients,)
