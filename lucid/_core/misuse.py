"""Calls that do not fit a signature: the error shows it, and says what lucid calls things."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeVar

from lucid._core import hints

F = TypeVar("F", bound=Callable[..., Any])


def misuse(
    call: str, signature: inspect.Signature, args: Sequence[Any], named: Mapping[str, Any]
) -> TypeError | None:
    """The error for arguments that do not fit; None if they do."""
    try:
        signature.bind(*args, **named)
    except TypeError as error:
        reason, advice = str(error), hints.advice(call.rpartition(".")[2])
    else:
        return None
    parameters = list(signature.parameters)
    for name in named:
        hint = None if name in parameters else hints.keyword(name, parameters)
        if hint is not None:
            reason, advice = f"got an unexpected keyword argument '{name}'; {hint}", ""
            break
    if args and isinstance(args[-1], bool) and "too many positional" in reason:
        advice += f" If {args[-1]} is for inplace: lucid returns a new Tensor, leave it out."
    shown = [
        p.replace(annotation=p.empty) for name, p in signature.parameters.items() if name != "self"
    ]
    return TypeError(f"{call}: {reason}; it is {call}{inspect.Signature(shown)}.{advice}")


def told(fn: F) -> F:
    """A plain function or method whose caller is told such an error; one of its body passes."""
    call_name = fn.__qualname__.removesuffix(".__init__")

    @functools.wraps(fn)
    def call(*args: Any, **named: Any) -> Any:
        try:
            return fn(*args, **named)
        except TypeError as error:
            here = error.__traceback__
            if here is None or here.tb_next is not None:
                raise
            raise misuse(call_name, inspect.signature(fn), args, named) or error from None

    return call  # type: ignore[return-value]


class Told:
    """Base of classes that are told such an error when one is made."""

    def __new__(cls, *args: Any, **named: Any) -> Self:
        if args or named:
            code = getattr(cls.__init__, "__code__", None)
            count = 0 if code is None else code.co_argcount
            known = () if code is None else code.co_varnames[: count + code.co_kwonlyargcount]
            if len(args) >= count or not named.keys() <= set(known):
                wrong = misuse(cls.__name__, inspect.signature(cls), args, named)
                if wrong is not None:
                    raise wrong
        return super().__new__(cls)
