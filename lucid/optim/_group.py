"""Parameter groups that announce their changes, so that a compiled step need not look for them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

import numpy as np

from lucid._core import epoch

Method = TypeVar("Method", bound=Callable[..., Any])


def _announced(method: Method) -> Method:
    """A method that changes a container, and says so, even if it fails half-way."""

    @functools.wraps(method)
    def change(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        finally:
            epoch.bump()

    return cast(Method, change)


class Watched(list[Any]):
    """A list that announces its changes."""

    __delitem__ = _announced(list.__delitem__)
    __iadd__ = _announced(list.__iadd__)
    __imul__ = _announced(list.__imul__)
    __setitem__ = _announced(list.__setitem__)
    append = _announced(list.append)
    clear = _announced(list.clear)
    extend = _announced(list.extend)
    insert = _announced(list.insert)
    pop = _announced(list.pop)
    remove = _announced(list.remove)
    reverse = _announced(list.reverse)
    sort = _announced(list.sort)


class Group(dict[str, Any]):
    """The parameters of a group and their hyperparameters: a dictionary that announces its changes.

    A number, or a tuple of numbers, that takes another one's place is no change: it is an argument
    of compiled programs. But one that becomes 0, or was, may switch off what an optimizer keeps.

    >>> group = lucid.optim.SGD([nn.Parameter([1.0])], lr=0.1).param_groups[0]
    >>> group["lr"] = 0.2  # costs nothing
    >>> group["maximize"] = True  # another program
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.update(*args, **kwargs)

    def __setitem__(self, name: str, value: Any) -> None:
        if name == "params" and not isinstance(value, Watched):
            value = Watched(value)
        before = _number(self.get(name))
        super().__setitem__(name, value)
        if before is None or _number(value) != before:
            epoch.bump()

    def update(self, *args: Any, **kwargs: Any) -> None:
        """As `dict.update`."""
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def setdefault(self, name: str, default: Any = None, /) -> Any:
        """As `dict.setdefault`."""
        if name not in self:
            self[name] = default
        return self[name]

    def __ior__(self, other: Any) -> Group:  # type: ignore[override, misc]  # returns itself
        self.update(other)
        return self

    __delitem__ = _announced(dict.__delitem__)
    clear = _announced(dict.clear)
    pop = _announced(dict.pop)
    popitem = _announced(dict.popitem)


def groups(entries: Iterable[dict[str, Any]]) -> Watched:
    """`entries` as what an optimizer keeps."""
    return Watched(entry if isinstance(entry, Group) else Group(entry) for entry in entries)


def _number(value: Any) -> bool | None:
    """Whether a number is another one than 0, True for several numbers, None for all else."""
    if isinstance(value, (tuple, list)):
        return True if all(_number(part) is not None for part in value) else None
    if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
        return bool(value)
    return None
