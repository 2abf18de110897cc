"""Layers over windows: their arguments are checked once, and handed on as one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

from lucid.nn.module import Module


class Windowed(Module):
    """A layer whose arguments are checked when it is made, and then handed on as `_window`.

    Those that are set later take effect at the next call, which checks them together.
    """

    rank: ClassVar[int]
    _check: ClassVar[Callable[..., Any]]  # makes the window: (name, rank, **arguments)
    _arguments: ClassVar[tuple[str, ...]]  # the attributes that it is made from

    @functools.cached_property
    def _window(self) -> Any:
        arguments = {name: getattr(self, name) for name in self._arguments}
        return self._check(type(self).__name__, self.rank, **arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in self._arguments:
            self.__dict__.pop("_window", None)
