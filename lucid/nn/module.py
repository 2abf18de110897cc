"""Module: the base of all layers and models."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self, cast

from jax.sharding import Sharding

from lucid._core import arrays, epoch, hints, spread
from lucid._core.declaration import P, Result
from lucid._core.errors import locate
from lucid._core.misuse import Told, told
from lucid._core.mode import lock, state
from lucid._core.op import is_inexact
from lucid._core.tensor import Tensor
from lucid._core.typing import Array, Device, DType
from lucid.nn._module_hooks import Forward, Hooked
from lucid.nn._state import IncompatibleKeys, load_state
from lucid.nn._traversal import Traversal
from lucid.nn.parameter import Buffer, Parameter

__all__ = ["Module"]

TYPE_CHECKING = False  # defined here: checkers take it as true, editors see the form that runs


class Module(Traversal, Hooked, Told):
    """Base of all layers: owns Parameters, Buffers and other Modules, and computes `forward`.

    Assigning a Parameter, a Buffer or a Module to an attribute registers it. Names, order and
    shapes of the state are PyTorch's.

    >>> class Decoder(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.deconv1 = nn.ConvTranspose2d(16, 8, kernel_size=4, stride=2, padding=1)
    ...         self.relu = nn.ReLU()
    ...
    ...     def forward(self, x):
    ...         return self.relu(self.deconv1(x))
    >>> Decoder()(lucid.randn(1, 16, 8, 8)).shape
    (1, 8, 16, 16)
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Buffer | None]
    _modules: dict[str, Module | None]
    _transient: set[str]  # names of buffers that stay out of the state_dict
    _derived: dict[str, Callable[[Any], Tensor]]  # attributes that are computed when read
    _unsaved: ClassVar[frozenset[str]] = frozenset()  # see `set_state_dict_pass_attr`
    device: str | Device  # where the first Parameter or Buffer lies; a subclass may set its own

    def __init__(self) -> None:
        if state.trace is not None:
            state.trace.adopt(self)
        self.training = True
        self._parameters = {}
        self._buffers = {}
        self._modules = {}
        self._transient = set()
        self._derived = {}
        self._hooks = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the Module computes; each subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward method.")

    if TYPE_CHECKING:

        def __call__(self: Forward[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result: ...

    else:

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            hooks = self._hooks
            try:
                if state.trace is None:
                    if hooks is None:
                        return self.forward(*args, **kwargs)
                    return hooks.call(self, args, kwargs)
                with state.trace.entered(self):
                    if hooks is None:
                        return self.forward(*args, **kwargs)
                    return hooks.call(self, args, kwargs)
            except Exception as error:
                locate(error, self)
                raise

    def compile(self, **options: Any) -> Any:
        """`lucid.jit(self, **options)`: this Module as compiled programs."""
        from lucid._core.jit import jit  # an import of lucid does without it

        return jit(self, **options)

    # --- Registration ---

    def __setattr__(self, name: str, value: Any) -> None:
        registry = self._registry_for(value)
        if (self.__dict__ if registry is None else registry).get(name, self) is value:
            return  # a compiled program need not look again
        self._about_to_change()
        if registry is not None:
            self._forget(name, but=registry)
            registry[name] = value
            return
        for kind, registered in (("Parameter", "_parameters"), ("Module", "_modules")):
            if name in self.__dict__.get(registered, ()):
                if value is not None:
                    raise TypeError(
                        f"{type(self).__name__}.{name} is a {kind}; it can be set to a {kind} or "
                        f"None, not to a {type(value).__name__}."
                    )
                self.__dict__[registered][name] = None
                return
        if name in self.__dict__.get("_buffers", ()):
            self._set_buffer(name, value)
        else:
            object.__setattr__(self, name, value)

    def setattr_raw(self, name: str, value: Any) -> None:
        """Set an attribute without registering it, whatever it is.

        >>> net = nn.Module()
        >>> net.setattr_raw("teacher", nn.Linear(2, 1))
        >>> list(net.parameters())
        []
        """
        self._forget(name)
        object.__setattr__(self, name, value)

    def _set_buffer(self, name: str, value: Any) -> None:
        buffer = self._buffers[name]
        if value is None or buffer is None:
            self._buffers[name] = None if value is None else Buffer(value)
        else:  # the same object goes on, so that a compiled program finds it
            buffer.data = value

    def _registry_for(self, value: Any) -> dict[str, Any] | None:
        kinds = ((Parameter, "_parameters"), (Buffer, "_buffers"), (Module, "_modules"))
        for kind, registry in kinds:
            if isinstance(value, kind):
                if registry not in self.__dict__:
                    raise AttributeError(self._not_initialised())
                return self.__dict__[registry]
        return None

    def _about_to_change(self) -> None:
        if state.trace is not None:
            state.trace.touch(self)
        epoch.bump()

    def _forget(self, name: str, but: dict[str, Any] | None = None) -> None:
        """Take a name out of all registries, but not out of one where a new value replaces it."""
        self._about_to_change()
        for holder in (self.__dict__, self._parameters, self._buffers, self._modules):
            if holder is not but:
                holder.pop(name, None)
        if but is not self._buffers:
            self._transient.discard(name)

    def _registers(self, name: str) -> bool:
        return name in self._parameters or name in self._buffers or name in self._modules

    def _not_initialised(self) -> str:
        return (
            f"{type(self).__name__}: super().__init__() must be called first in __init__, before "
            "Parameters or Modules are assigned or the Module is used."
        )

    def __getattr__(self, name: str) -> Any:
        if "_modules" not in self.__dict__:
            raise AttributeError(self._not_initialised())
        if state.trace is not None:
            state.trace.touch(self)
        for registry in (self._parameters, self._buffers, self._modules):
            if name in registry:
                return registry[name]
        if name in self._derived:
            return self._derived[name](self)
        if name == "device":
            first = next(itertools.chain(self.parameters(), self.buffers()), None)
            return (Tensor(0.0) if first is None else first).device
        raise hints.missing(type(self).__name__, hints.MODULE, name, self)

    def __delattr__(self, name: str) -> None:
        if name not in self.__dict__ and not self._registers(name):
            raise hints.missing(type(self).__name__, {}, name, self)
        self._forget(name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._parameters, *self._buffers, *self._modules]

    def add_module(self, name: str, module: Module | None) -> None:
        """Register a Module under a name that need not be an identifier.

        Raises:
            TypeError: `module` is no Module.
            ValueError: the name is empty, holds a dot, or belongs to another attribute.
        """
        self._check_new("add_module", name, module, Module)
        self._modules[name] = module

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Register a Parameter, or None for one that is absent.

        Raises:
            TypeError: `param` is no Parameter.
            ValueError: the name is empty, holds a dot, or belongs to another attribute.
        """
        self._check_new("register_parameter", name, param, Parameter)
        self._parameters[name] = param

    def register_buffer(
        self, name: str, buffer: Any, dtype: DType = None, persistent: bool = True
    ) -> None:
        """Register a Buffer; anything that makes a Tensor will do, and None for an absent one.

        Args:
            persistent: whether it is part of the `state_dict`.

        Raises:
            ValueError: the name is empty, holds a dot, or belongs to another attribute.
        """
        self._check_new("register_buffer", name, None, Buffer)
        self._transient.discard(name)
        if buffer is not None and not (isinstance(buffer, Buffer) and dtype is None):
            buffer = Buffer(buffer, dtype)
        self._buffers[name] = buffer
        if not persistent:
            self._transient.add(name)

    def _check_new(self, call: str, name: str, value: Any, kind: type) -> None:
        if "_modules" not in self.__dict__:
            raise AttributeError(self._not_initialised())
        if value is not None and not isinstance(value, kind):
            raise TypeError(f"{call}: a {kind.__name__} is needed, got {type(value).__name__}.")
        if not name or "." in name:
            raise ValueError(f'{call}: a name must not be empty or hold a dot, got "{name}".')
        if hasattr(self, name) and not self._registers(name):
            raise ValueError(f'{call}: {type(self).__name__} has another attribute "{name}".')
        registries: dict[type, dict[str, Any]] = {
            Parameter: self._parameters,
            Buffer: self._buffers,
            Module: self._modules,
        }
        self._forget(name, but=registries[kind])

    # --- Modes and conversion ---

    def reset_parameters(self) -> None:
        """Give all Parameters their first values again, drawn anew.

        Each layer says how its own are drawn; a class that does not has zeros put into its own.

        >>> net = nn.Sequential(nn.Linear(2, 1), nn.ReLU())
        >>> before = net[0].weight.detach()
        >>> net.reset_parameters()
        >>> bool((net[0].weight != before).all())
        True
        """
        for parameter in self.parameters(recurse=False):
            parameter.zero()
        for module in self.children():
            module.reset_parameters()

    def train(self, mode: bool = True) -> Self:
        """Set training mode here and below; it changes layers such as dropout."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> Self:
        """Set evaluation mode here and below."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set `requires_grad` of all Parameters."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    @told
    def zero_grad(self) -> None:
        """Forget the gradients of all Parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every Module below, and then on this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    @told
    def to(self, device: str | Device | Sharding | DType) -> Self:
        """Move Parameters and Buffers to a device, or convert the floating-point ones to a dtype.

        Args:
            device: a device, a sharding that fits all of them, or a dtype in their place;
                `lucid.sharding.place` splits each by a rule.

        Raises:
            ValueError: a sharding splits an axis that its mesh does not divide; nothing was moved.

        >>> nn.Linear(2, 1).to("bfloat16").weight.dtype
        dtype(bfloat16)
        """
        place = arrays.find_device(device) if arrays.is_device(device) else None
        if place is None and not is_inexact(dtype := arrays.canonical_dtype(cast(DType, device))):
            raise TypeError(f"to: Parameters are floating-point numbers, not {dtype}.")

        def convert(array: Array) -> Array:
            if place is not None:
                return spread.put("to", array, place)
            return array.astype(dtype) if is_inexact(array.dtype) else array

        for name, tensor in (*self.named_parameters(), *self.named_buffers()):
            spread.check_split(f"to: {name}", tensor.shape, place)
        for tensor in (*self.parameters(), *self.buffers()):
            grad, tensor.grad = tensor.grad, None
            tensor.data = convert(tensor.data)
            if grad is not None:
                tensor.grad = Tensor(convert(grad.data))
        return self

    def state_dict(
        self,
        destination: OrderedDict[str, Tensor] | None = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> OrderedDict[str, Tensor]:
        """All Parameters and persistent Buffers by dotted name, in PyTorch's order.

        Args:
            destination: a dictionary to add to.
            prefix: put before each name.
            keep_vars: return the Tensors themselves instead of detached ones.

        >>> list(nn.Linear(2, 1).state_dict())
        ['weight', 'bias']
        """
        state = OrderedDict() if destination is None else destination
        if self._hooks is not None:
            self._hooks.run("state_dict_pre", self, prefix, keep_vars)
        with lock:  # all of one step
            self._add_state(state, prefix, keep_vars)
        if self._hooks is not None:
            self._hooks.run("state_dict", self, state, prefix, keep_vars)
        return state

    def _add_state(self, state: OrderedDict[str, Any], prefix: str, keep_vars: bool) -> None:
        own: dict[str, Tensor | None] = {**self._parameters}
        own.update((n, b) for n, b in self._buffers.items() if n not in self._transient)
        for name, value in own.items():
            if value is not None and name not in self._unsaved:
                state[prefix + name] = value if keep_vars else value.detach()
        for name, module in self._modules.items():
            if module is not None and name not in self._unsaved:
                module.state_dict(state, f"{prefix}{name}.", keep_vars)

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        strict: bool = True,
        *,
        verbose: bool = False,
        progress_desc: str | None = None,
    ) -> IncompatibleKeys:
        """Set Parameters and Buffers from a `state_dict`; their dtype and device stay.

        Everything is checked before anything changes.

        Args:
            state_dict: values by name: Tensors, arrays of NumPy, JAX and PyTorch, or whatever else
                a Tensor can be made of.
            strict: whether the names must be exactly those of `self.state_dict()`.
            verbose: print how many Tensors were set.
            progress_desc: what that line begins with; the name of the class by default.

        Returns:
            The names that were missing and those that were unexpected; none if `strict`.

        Raises:
            ValueError: names, shapes or kinds of dtype do not match; the message lists all of them.
            TypeError: `state_dict` is no dictionary.

        >>> a, b = nn.Linear(2, 1), nn.Linear(2, 1)
        >>> a.load_state_dict(b.state_dict())
        IncompatibleKeys(missing_keys=[], unexpected_keys=[])
        """
        if self._hooks is not None:
            state_dict = OrderedDict(state_dict)  # which the hooks may change
            self._hooks.run("load_pre", self, state_dict, strict)
        own = {n: t for n, t in self.state_dict(keep_vars=True).items() if isinstance(t, Tensor)}
        passed = load_state(type(self).__name__, own, state_dict, strict)
        if verbose:
            loaded = sum(name not in passed.unexpected_keys for name in state_dict)
            print(f"{progress_desc or type(self).__name__}: {loaded} of {len(own)} Tensors set.")
        if self._hooks is not None:
            self._hooks.run("load_post", self, *passed, strict)
        return passed

    def _snapshot(self) -> dict[str, Any]:
        """All that a compiled program depends on, apart from the values of Tensors."""
        snapshot = dict(self.__dict__)
        for registry in ("_parameters", "_buffers", "_modules"):
            for name, value in snapshot.pop(registry).items():
                snapshot[f"{registry}.{name}"] = value
        if self._hooks is not None:
            snapshot["_hooks"] = self._hooks.keys()
        return snapshot

    def _attributes(self) -> dict[str, Any]:
        """All attributes, to compare with later ones or to restore."""
        return {
            name: dict(value) if name in ("_parameters", "_buffers", "_modules") else value
            for name, value in self.__dict__.items()
        }

    def _restore(self, attributes: dict[str, Any]) -> None:
        """Put back what `_attributes` returned."""
        self.__dict__.clear()
        self.__dict__.update(attributes)
        epoch.bump()

    def extra_repr(self) -> str:
        """What `repr` shows between the parentheses, before the Modules below."""
        return ""

    def __repr__(self) -> str:
        head = f"{type(self).__name__}({self.extra_repr()}"
        lines = []
        for name, module in self._modules.items():
            lines.append(f"  ({name}): " + repr(module).replace("\n", "\n  "))
        return "\n".join([head, *lines, ")"]) if lines else f"{head})"
