"""Modules that hold other Modules or Parameters in order or by name."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Generic, Self, TypeAlias, TypeVar, overload

from lucid._core import epoch
from lucid._core.tensor import Tensor
from lucid.nn.module import Module
from lucid.nn.parameter import Parameter

__all__ = [
    "ModuleDict",
    "ModuleList",
    "ParameterDict",
    "ParameterList",
    "Sequential",
]

T = TypeVar("T", Module, Parameter)
Named: TypeAlias = Mapping[str, T] | Iterable[tuple[str, T]]


class _Items(Module, Generic[T]):
    """What lists and dictionaries of Modules or of Parameters share."""

    _kind: type  # Module or Parameter
    _registry_name: str

    @property
    def _items(self) -> dict[str, T]:
        return getattr(self, self._registry_name)

    def _items_to_change(self) -> dict[str, T]:
        epoch.bump()
        return self._items

    def _check(self, value: Any) -> None:
        if not isinstance(value, self._kind):
            got = type(value).__name__
            if isinstance(value, type):
                got = f"the class {value.__name__}; call it: {value.__name__}(...)"
            elif isinstance(value, (list, tuple)):
                got += "; unpack it with a star, *layers"
            raise TypeError(f"{type(self).__name__} holds {self._kind.__name__}s, got {got}.")

    def __len__(self) -> int:
        return len(self._items)


class _List(_Items[T]):
    def _renumber(self, values: list[T]) -> None:
        self._items_to_change().clear()
        self._items.update((str(i), value) for i, value in enumerate(values))

    def _position(self, index: int) -> int:
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(
                f"{type(self).__name__}: index {position} is out of range for {len(self)} items."
            )
        return position % len(self)

    def _key(self, index: int) -> str:
        return list(self._items)[self._position(index)]

    def _part(self, index: slice) -> Self:
        return type(self)()._extend(list(self)[index])

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._items.values()))

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> T | Self:
        if isinstance(index, slice):
            return self._part(index)
        return self._items[self._key(index)]

    def __setitem__(self, index: int, value: T) -> None:
        self._check(value)
        self._items_to_change()[self._key(index)] = value

    def __delitem__(self, index: int | slice) -> None:
        values = list(self)
        del values[index if isinstance(index, slice) else self._position(index)]
        self._renumber(values)

    def _extend(self, values: Iterable[T]) -> Self:
        values = list(values)
        for value in values:
            self._check(value)
        for value in values:
            self._items_to_change()[str(len(self))] = value
        return self

    def _insert(self, index: int, value: T) -> None:
        self._check(value)
        values = list(self)
        values.insert(index, value)
        self._renumber(values)


class _Dict(_Items[T]):
    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __getitem__(self, key: str) -> T:
        return self._items[key]

    def __setitem__(self, key: str, value: T) -> None:
        self._check(value)
        self._check_new(type(self).__name__, key, value, self._kind)
        self._items_to_change()[key] = value

    def __delitem__(self, key: str) -> None:
        del self._items_to_change()[key]

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._items.keys()

    def values(self) -> ValuesView[T]:
        """What the names stand for."""
        return self._items.values()

    def items(self) -> ItemsView[str, T]:
        """The names with what they stand for."""
        return self._items.items()

    def _update(self, items: Named[T]) -> None:
        pairs = list(items.items() if isinstance(items, Mapping) else items)
        for _, value in pairs:
            self._check(value)
        for key, value in pairs:
            self[key] = value

    def pop(self, key: str) -> T:
        """Take one out and return it."""
        return self._items_to_change().pop(key)

    def clear(self) -> None:
        """Take all out."""
        self._items_to_change().clear()


class _ModuleList(_List[Module]):
    _kind = Module
    _registry_name = "_modules"

    def append(self, module: Module) -> Self:
        """Put one more at the end."""
        return self._extend([module])

    def extend(self, modules: Iterable[Module]) -> Self:
        """Put several more at the end."""
        return self._extend(modules)

    def insert(self, index: int, module: Module) -> None:
        """Put one more before position `index`."""
        self._insert(index, module)


class ModuleList(_ModuleList):
    """A list of Modules, all registered.

    >>> layers = nn.ModuleList([nn.Linear(4, 4), nn.ReLU()])
    >>> len(layers), len(list(layers.parameters()))
    (2, 2)
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self._extend(() if modules is None else modules)


class ParameterList(_List[Parameter]):
    """A list of Parameters, all registered.

    >>> len(list(nn.ParameterList([nn.Parameter([1.0]), nn.Parameter([2.0])]).parameters()))
    2
    """

    _kind = Parameter
    _registry_name = "_parameters"

    def __init__(self, parameters: Iterable[Parameter] | None = None) -> None:
        super().__init__()
        self._extend(() if parameters is None else parameters)

    def append(self, param: Parameter) -> Self:
        """Put one more at the end."""
        return self._extend([param])

    def extend(self, parameters: Iterable[Parameter]) -> Self:
        """Put several more at the end."""
        return self._extend(parameters)

    def insert(self, index: int, param: Parameter) -> None:
        """Put one more before position `index`."""
        self._insert(index, param)

    def extra_repr(self) -> str:
        return ", ".join(str(parameter.shape) for parameter in self)


class ModuleDict(_Dict[Module]):
    """Modules by name, all registered.

    >>> nn.ModuleDict({"up": nn.ConvTranspose2d(4, 2, 2), "act": nn.ReLU()})["act"]
    ReLU()
    """

    _kind = Module
    _registry_name = "_modules"

    def __init__(self, modules: Named[Module] | None = None) -> None:
        super().__init__()
        self._update(() if modules is None else modules)

    def update(self, modules: Named[Module]) -> None:
        """Add or replace several."""
        self._update(modules)


class ParameterDict(_Dict[Parameter]):
    """Parameters by name, all registered.

    >>> list(nn.ParameterDict({"scale": nn.Parameter([1.0])}))
    ['scale']
    """

    _kind = Parameter
    _registry_name = "_parameters"

    def __init__(self, parameters: Named[Parameter] | None = None) -> None:
        super().__init__()
        self._update(() if parameters is None else parameters)

    def update(self, parameters: Named[Parameter]) -> None:
        """Add or replace several."""
        self._update(parameters)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}: {parameter.shape}" for name, parameter in self.items())


class Sequential(_ModuleList):
    """Modules applied one after the other; also made from an OrderedDict of named Modules.

    >>> nn.Sequential(nn.Linear(4, 2), nn.ReLU())(lucid.zeros(1, 4)).shape
    (1, 2)
    """

    def __init__(self, *modules: Module | OrderedDict[str, Module]) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], OrderedDict):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            self.extend(modules)  # type: ignore[arg-type]  # checked by extend

    @classmethod
    def from_modules(cls, *modules: Module) -> Self:
        """`Sequential(*modules)`."""
        return cls(*modules)

    @classmethod
    def from_ordered_dict(cls, odict: OrderedDict[str, Module]) -> Self:
        """`Sequential(odict)`: the Modules in their order, under their names."""
        return cls(OrderedDict(odict))

    def _part(self, index: slice) -> Self:
        part = type(self)()
        part._modules.update(list(self._modules.items())[index])  # under their names
        return part

    def forward(self, input: Tensor) -> Tensor:
        """The last Module's output."""
        for module in self._modules.values():
            assert module is not None
            input = module(input)
        return input
