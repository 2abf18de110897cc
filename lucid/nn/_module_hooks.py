"""Hooks of a Module, and a call that runs them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar

from lucid._core.backward import check_gradient
from lucid._core.declaration import P, op
from lucid._core.handle import Handle
from lucid._core.tensor import Tensor
from lucid._core.typing import Operand

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
        self.output_grad: dict[int, Any] = {}
        self.state_dict_pre: dict[int, Any] = {}
        self.state_dict: dict[int, Any] = {}
        self.load_pre: dict[int, Any] = {}
        self.load_post: dict[int, Any] = {}

    def keys(self) -> tuple[int, ...]:
        """What tells one set of hooks of a call from another."""
        kinds = (self.forward_pre, self.forward, self.backward_pre, self.backward, self.output_grad)
        return tuple(key for kind in kinds for key in kind)

    def run(self, kind: str, *args: Any) -> None:
        """Call the hooks of one kind, in their order."""
        for hook in list(getattr(self, kind).values()):
            hook(*args)

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
        if self.output_grad and isinstance(output, Tensor) and output.requires_grad:
            (output,) = _identity(output)  # which no other call and no leaf shares
            for hook in list(self.output_grad.values()):
                output.register_hook(functools.partial(hook, output.detach()))
        return output if backward is None else backward.leave(output)


class Hooked:
    """What registers hooks; mixed into Module."""

    _hooks: ModuleHooks | None  # None until one is registered, so that a plain call is plain

    def register_forward_pre_hook(self, hook: Hook, *, with_kwargs: bool = False) -> Handle:
        """Call `hook(module, args)` before `forward`; what it returns takes the arguments' place.

        Args:
            with_kwargs: call `hook(module, args, kwargs)`, which returns both or None.
        """
        return Handle(self._hook_registry().forward_pre, (hook, with_kwargs))

    def register_forward_hook(self, hook: Hook, *, with_kwargs: bool = False) -> Handle:
        """Call `hook(module, args, output)` after `forward`; its result takes the output's place.

        Args:
            with_kwargs: call `hook(module, args, kwargs, output)`.
        """
        return Handle(self._hook_registry().forward, (hook, with_kwargs))

    def register_full_backward_pre_hook(self, hook: BackwardPreHook) -> Handle:
        """Call `hook(module, grad_output)` before the Module's backward pass.

        What it returns takes the place of `grad_output`, a tuple with a gradient per output.
        """
        return Handle(self._hook_registry().backward_pre, hook)

    def register_full_backward_hook(self, hook: BackwardHook) -> Handle:
        """Call `hook(module, grad_input, grad_output)` after the Module's backward pass.

        What it returns takes the place of `grad_input`, a tuple with a gradient per input.
        """
        return Handle(self._hook_registry().backward, hook)

    def register_backward_hook(self, hook: Callable[[Tensor, Tensor], Tensor | None]) -> Handle:
        """Call `hook(output, grad)` when the gradient of an output that is one Tensor is known.

        What it returns takes the place of `grad`. This is lucid 2's form; PyTorch's hook of this
        name is `register_full_backward_hook`.

        >>> layer = nn.Linear(2, 1)
        >>> handle = layer.register_backward_hook(lambda output, grad: print(grad))
        >>> layer(lucid.ones(1, 2)).backward()
        Tensor([[1.]])
        """
        return Handle(self._hook_registry().output_grad, hook)

    def register_state_dict_pre_hook(self, hook: Callable[[Any, str, bool], Any]) -> Handle:
        """Call `hook(module, prefix, keep_vars)` before this Module adds to a `state_dict`."""
        return Handle(self._hook_registry().state_dict_pre, hook)

    def register_state_dict_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call `hook(module, state_dict, prefix, keep_vars)` after this Module added to it.

        The hook may change the dictionary.

        >>> layer = nn.Linear(2, 1)
        >>> handle = layer.register_state_dict_hook(lambda module, state, *_: state.pop("bias"))
        >>> list(layer.state_dict())
        ['weight']
        """
        return Handle(self._hook_registry().state_dict, hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call `hook(module, state_dict, strict)` before `load_state_dict` of this Module.

        The hook may change the dictionary, which is a copy.

        >>> layer = nn.Linear(2, 1, bias=False)
        >>> handle = layer.register_load_state_dict_pre_hook(
        ...     lambda module, state, strict: state.update(weight=state.pop("w"))
        ... )
        >>> layer.load_state_dict({"w": lucid.ones(1, 2)})
        IncompatibleKeys(missing_keys=[], unexpected_keys=[])
        """
        return Handle(self._hook_registry().load_pre, hook)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call `hook(module, missing_keys, unexpected_keys, strict)` after `load_state_dict`."""
        return Handle(self._hook_registry().load_post, hook)

    def _hook_registry(self) -> ModuleHooks:
        if self._hooks is None:
            self._hooks = ModuleHooks()
        return self._hooks


@op
def _identity(*tensors: Operand) -> tuple[Tensor, ...]:
    return tensors  # type: ignore[return-value]  # of arrays


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
        passed = _identity(*(args[i] for i in at))
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
        passed = _identity(*outputs)
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
