"""Walks over the Modules, Parameters and Buffers that belong to a Module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from lucid.nn.parameter import Buffer, Parameter

if TYPE_CHECKING:
    from lucid.nn.module import Module


class Traversal:
    """Mixed into Module."""

    def _module(self) -> Module:
        return cast("Module", self)

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This Module and all below it, each once, with dotted names."""
        seen: set[int] = set()
        stack: list[tuple[str, Module]] = [(prefix, self._module())]
        while stack:
            name, module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield name, module
            below = [
                (f"{name}.{key}" if name else key, child)
                for key, child in module._modules.items()
                if child is not None
            ]
            stack.extend(reversed(below))

    def modules(self) -> Iterator[Module]:
        """This Module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The Modules that this one owns itself, each once, with their names."""
        seen: set[int] = set()
        for name, module in self._module()._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """The Modules that this one owns itself, each once."""
        return (module for _, module in self.named_children())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The Parameters, each once, with dotted names; without those of Modules below if told."""
        return self._named("_parameters", prefix, recurse)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The Parameters, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Buffer]]:
        """The Buffers, each once, with dotted names; without those of Modules below if told."""
        return self._named("_buffers", prefix, recurse)

    def buffers(self, recurse: bool = True) -> Iterator[Buffer]:
        """The Buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named(self, registry: str, prefix: str, recurse: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for module_name, module in (
            self.named_modules(prefix) if recurse else [(prefix, self._module())]
        ):
            for name, value in getattr(module, registry).items():
                if value is not None and id(value) not in seen:
                    seen.add(id(value))
                    yield f"{module_name}.{name}" if module_name else name, value

    def get_submodule(self, target: str) -> Module:
        """The Module under a dotted name; this one for "".

        Raises:
            AttributeError: there is none.
        """
        module: Any = self
        for name in target.split(".") if target else ():
            module = getattr(module, name)
            if not isinstance(module, Traversal):
                raise AttributeError(f'"{name}" in "{target}" is no Module.')
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The Parameter under a dotted name.

        Raises:
            AttributeError: there is none.
        """
        path, _, name = target.rpartition(".")
        value = getattr(self.get_submodule(path), name)
        if not isinstance(value, Parameter):
            raise AttributeError(f'"{target}" is no Parameter.')
        return value

    def count_parameters(self, recurse: bool = True) -> int:
        """The number of values in all Parameters."""
        return sum(parameter.size for parameter in self.parameters(recurse))

    @property
    def parameter_size(self) -> int:
        """`count_parameters()`."""
        return self.count_parameters()
