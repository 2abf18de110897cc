"""In which precision to compute: the one rule, for operations, clipping and optimizers.

The 16-bit floats store numbers, and float32 computes with them: sums, logarithms, powers and the
state of an optimizer are held in float32 at least, and a result is rounded once, at the end, to the
dtype of the input that it was computed from. float32 and float64 are computed in as they are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from lucid._core.typing import Array, Operand

F = TypeVar("F", bound=Callable[..., Any])


def wide_dtype(dtype: Any) -> np.dtype[Any]:
    """The dtype to compute in: float32 for a narrower one and for integers."""
    return jnp.promote_types(dtype, jnp.float32)


def accumulator(dtype: Any) -> Any:
    """The dtype that sums of products are held in: `wide_dtype`, but exact for integers."""
    return wide_dtype(dtype) if jnp.issubdtype(dtype, jnp.inexact) else dtype


def wide(x: Operand) -> Array:
    """`x` in the dtype to compute in."""
    x = jnp.asarray(x)
    return x.astype(wide_dtype(x.dtype))


def wide_integer(x: Operand) -> Array:
    """Integers that name places, such as classes and indices, in 32 bits at least.

    Else a bound such as the length of an axis would have to fit into their own dtype.
    """
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.int32))


def narrowed(y: Array, like: Operand) -> Array:
    """`y` in the dtype of `like`, the input that it was computed from; as it is for integers."""
    dtype = jnp.result_type(like)
    return y.astype(dtype) if jnp.issubdtype(dtype, jnp.inexact) else y


def check_one_dtype(call: str, *operands: Operand | None) -> None:
    """Refuse an input and weights of several dtypes: promotion would hide which of them is wrong.

    Raises:
        TypeError: naming the dtypes.
    """
    dtypes = [jnp.result_type(x) for x in operands if x is not None]
    if len(set(dtypes)) > 1:
        converts = all(jnp.issubdtype(d, jnp.floating) and d.itemsize <= 4 for d in dtypes)
        way_out = ", or compute under lucid.autocast" if converts else ""
        raise TypeError(
            f"{call}: input, weight and bias must have one dtype, got "
            f"{', '.join(map(str, dtypes))}. Convert them with astype{way_out}."
        )


def in_float32(fn: F) -> F:
    """A pure function of arrays that computes 16-bit floats in float32 and rounds each result once.

    So do its derivatives: gradients that are sums, as where an operand was broadcast or an element
    was read twice, are rounded once too.
    """

    @functools.wraps(fn)
    def widened(*args: Any, **named: Any) -> Any:
        arrays = [x for x in jax.tree.leaves((args, named)) if hasattr(x, "dtype")]
        if not any(map(_is_half, arrays)):
            return fn(*args, **named)
        dtype = jnp.result_type(*arrays)
        args, named = jax.tree.map(lambda x: wide(x) if _is_half(x) else x, (args, named))
        outputs = fn(*args, **named)
        if dtype.itemsize != 2:  # another operand is wider
            return outputs
        return jax.tree.map(lambda y: y.astype(dtype) if y.dtype == np.float32 else y, outputs)

    return widened


def summed_in_float32(fn: F) -> F:
    """A pure function that multiplies matrices: of 16-bit floats, its sums are in float32.

    GPUs and TPUs do so by themselves, and fast; on CPU, where XLA would add up bfloat16 in
    bfloat16, it computes as by `in_float32`.
    """
    on_cpu = in_float32(fn)

    @functools.wraps(fn)
    def chosen(*args: Any, **named: Any) -> Any:
        places = [i for i, x in enumerate(args) if hasattr(x, "dtype")]
        if not any(_is_half(args[i]) for i in places):
            return fn(*args, **named)

        def of_arrays(call: Callable[..., Any]) -> Callable[..., Any]:
            def run(*arrays: Array) -> Any:
                given = dict(zip(places, arrays, strict=True))
                return call(*(given.get(i, x) for i, x in enumerate(args)), **named)

            return run

        arrays = [args[i] for i in places]
        return jax.lax.platform_dependent(*arrays, cpu=of_arrays(on_cpu), default=of_arrays(fn))

    return chosen


def _is_half(x: Any) -> bool:
    return hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.floating) and x.dtype.itemsize == 2
