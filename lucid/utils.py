"""Tools to look at what a function costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from lucid._core.jit import Jitted


class Cost(NamedTuple):
    """What XLA expects a compiled function to cost."""

    flops: float  # floating-point operations
    bytes_accessed: float  # bytes read and written
    temporary_bytes: int  # peak memory beside arguments and results


def cost(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Cost:
    """The cost of a call, from XLA's own analysis; `fn` is compiled and not run.

    Args:
        fn: a function, a Module, or what `lucid.jit` returned.
        args: arguments of the call; so are `kwargs`.

    Raises:
        JitError: `fn` cannot be compiled.

    >>> a = lucid.ones(8, 16)
    >>> lucid.utils.cost(lambda x: x @ x.T, a).flops >= 2 * 8 * 8 * 16
    True
    """
    jitted = fn if isinstance(fn, Jitted) else Jitted(fn)
    compiled = jitted.lower(*args, **kwargs).compile()
    analysis: Any = compiled.cost_analysis()
    memory: Any = compiled.memory_analysis()
    return Cost(
        analysis.get("flops", 0.0),
        analysis.get("bytes accessed", 0.0),
        memory.temp_size_in_bytes,
    )
