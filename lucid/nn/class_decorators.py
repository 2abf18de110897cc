"""Decorators for classes of Modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from lucid.nn.module import Module

__all__ = ["auto_repr", "set_state_dict_pass_attr"]

M = TypeVar("M", bound=Module)


def auto_repr(*attr_names: str) -> Callable[[type[M]], type[M]]:
    """Let `repr` of a Module show these attributes.

    >>> @nn.auto_repr("rate")
    ... class Scale(nn.Module):
    ...     def __init__(self, rate):
    ...         super().__init__()
    ...         self.rate = rate
    >>> Scale(0.5)
    Scale(rate=0.5)
    """

    def extra_repr(self: Module) -> str:
        return ", ".join(f"{name}={getattr(self, name, None)}" for name in attr_names)

    def decorate(cls: type[M]) -> type[M]:
        cls.extra_repr = extra_repr  # type: ignore[method-assign]
        return cls

    return decorate


def set_state_dict_pass_attr(*attr_names: str) -> Callable[[type[M]], type[M]]:
    """Leave these Parameters, Buffers and Modules of a class out of `state_dict` and of loading.

    >>> @nn.set_state_dict_pass_attr("teacher")
    ... class Student(nn.Linear):
    ...     pass
    >>> student = Student(2, 1)
    >>> student.teacher = nn.Linear(2, 1)
    >>> list(student.state_dict())
    ['weight', 'bias']
    """

    def decorate(cls: type[M]) -> type[M]:
        cls._unsaved = cls._unsaved | set(attr_names)
        return cls

    return decorate
