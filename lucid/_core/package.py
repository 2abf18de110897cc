"""What a package shows of itself: its names, those that wait to be asked for, and misses."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from typing import Any

from lucid._core import hints


def publish(namespace: dict[str, Any], *later: str) -> None:
    """Show the names of `__all__` as those of a module, and answer for all others.

    Functions learn the module that users see them in; help and pickle ask for it. Not classes:
    where one was defined, `inspect` looks for its source.

    A name of `__all__` that the module lacks is imported when it is first asked for: as a module
    of that name, or else from the first of the modules `later` that has it. For type checkers and
    editors such names are imported under `if TYPE_CHECKING`.

    Args:
        namespace: the `globals()` of the module.
        later: dotted names of modules.
    """
    owner: str = namespace["__name__"]
    names = frozenset(namespace.get("__all__", ()))
    foreign = hints.MODULES[owner]

    # Put in without a definition: a type checker that saw `__getattr__` would find no miss.
    def __getattr__(name: str) -> Any:
        if name not in names:
            raise hints.missing(owner, foreign, name, sys.modules[owner])
        if importlib.util.find_spec(f"{owner}.{name}") is not None:
            return importlib.import_module(f"{owner}.{name}")
        holders = map(importlib.import_module, later)
        namespace[name] = next(getattr(m, name) for m in holders if hasattr(m, name))
        _adopt(namespace, name)
        return namespace[name]

    def __dir__() -> list[str]:
        return sorted(names)

    namespace.update(__getattr__=__getattr__, __dir__=__dir__)
    for name in names:
        if name in namespace:
            _adopt(namespace, name)


def _adopt(namespace: dict[str, Any], name: str) -> None:
    value = namespace[name]
    if inspect.isfunction(value) and value.__name__ == name:  # a second name is none to show
        value.__module__, value.__qualname__ = namespace["__name__"], name


def publish_methods(cls: type, module: str, name: str) -> None:
    """Let the methods of a class know that users see them in `name` of `module`.

    Declared functions among them that are public themselves are published after this.
    """
    for attribute, entry in vars(cls).items():
        value = entry.__func__ if isinstance(entry, classmethod) else entry
        if inspect.isfunction(value):
            value.__name__, value.__qualname__ = attribute, f"{name}.{attribute}"
            value.__module__ = module
