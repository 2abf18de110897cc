"""Compiled operations and their vjps: the only module that calls `jax.vjp`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from lucid._core import growth
from lucid._core.typing import Array


@functools.cache
def is_inexact(dtype: Any) -> bool:
    """Whether values of `dtype` have gradients (floats and complex numbers do)."""
    return bool(jnp.issubdtype(dtype, jnp.inexact))


# Cotangents of the outputs, None for zeros -> gradients of the inputs, None for unwanted ones.
Pullback: TypeAlias = Callable[[Sequence[Any]], tuple[Array | None, ...]]


class Op:
    """A pure function with its static arguments bound: compiled, with compiled vjps of any order.

    The backward pass is compiled from the inputs of the forward pass instead of from stored
    residuals: XLA drops the part of the forward pass that a gradient does not need, one forward
    program serves recorded and unrecorded calls, and a vjp is an Op itself, so that derivatives
    of every order come from this one mechanism.

    Args:
        fn: takes arrays and returns one array, or a tuple of them, which may have named fields.
        name: what profilers, errors and `repr` call it.
        compiled: whether JAX may compile it; else it runs as it stands.
        source: what `fn` was made from, for translations into other formats.
    """

    __slots__ = ("_linearized", "_vjps", "compiled", "fn", "name", "run", "source")

    run: Callable[..., Any]  # `fn`, compiled

    def __init__(
        self, fn: Callable[..., Any], name: str, compiled: bool = True, source: Any = None
    ) -> None:
        def named(*inputs: Any) -> Any:
            with jax.named_scope(name):
                return jax.tree.map(_strong, fn(*inputs))

        named.__name__ = name
        self.source = source
        self.fn = named
        self.name = name
        self.compiled = compiled
        self._vjps: dict[tuple[bool, ...], Op] = {}
        self._linearized: dict[tuple[bool, ...], tuple[Callable[..., Any], Callable[..., Any]]] = {}

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name != "run":
                raise AttributeError(name)
            # Made when it is first asked for: most functions of lucid never are in a program.
            self.run = jax.jit(growth.counted(self.fn), inline=True) if self.compiled else self.fn
            return self.run

    def linearize(self, wanted: tuple[bool, ...], inputs: Sequence[Any]) -> tuple[Any, Pullback]:
        """The outputs, and the pullback to the `wanted` inputs that reuses the forward pass.

        For use while a program is traced: there a residual costs nothing, and XLA does not always
        see that a second forward pass is the same as the first.
        """
        if not self.compiled or not _pullbacks_are_data():
            return _linearize(self.fn, wanted, *inputs)
        found = self._linearized.get(wanted)
        if found is None:  # JAX remembers both by the shapes: most operations of a model repeat
            linearized = jax.jit(functools.partial(_linearize, self.fn, wanted), inline=True)
            found = self._linearized[wanted] = linearized, jax.jit(_call, inline=True)
        forward, call = found
        outputs, pullback = forward(*inputs)
        return outputs, lambda cotangents: call(pullback, cotangents)

    def vjp(self, wanted: tuple[bool, ...]) -> Op:
        """The Op `(*inputs, *cotangents) -> gradients`, a tuple with None for unwanted inputs.

        There is one cotangent per output; None stands for zeros.
        """
        op = self._vjps.get(wanted)
        if op is None:
            pullback = functools.partial(_pull_back, self.fn, wanted)
            op = self._vjps[wanted] = Op(pullback, f"{self.name}_vjp", self.compiled)
        return op

    def vjp_reads_inputs(self, wanted: tuple[bool, ...], inputs: Sequence[Any]) -> bool:
        """Whether the gradients depend on the values of the arrays among `inputs`.

        Those of a sum or of a piece of an array do not. Abstract values can stand for the arrays.
        """
        outputs = jax.tree.leaves(jax.eval_shape(self.fn, *inputs))
        cotangents = [y if is_inexact(y.dtype) else None for y in outputs]
        arrays = [i for i, x in enumerate(inputs) if hasattr(x, "dtype")]

        def gradients(*values: Any) -> Any:
            given = list(inputs)
            for i, value in zip(arrays, values, strict=False):
                given[i] = value
            return self.vjp(wanted).fn(*given, *values[len(arrays) :])

        jaxpr = jax.make_jaxpr(gradients)(*(inputs[i] for i in arrays), *cotangents).jaxpr
        read = set(map(id, jaxpr.outvars))
        for equation in reversed(jaxpr.eqns):
            if any(id(variable) in read for variable in equation.outvars):
                read.update(map(id, equation.invars))
        return any(id(variable) in read for variable in jaxpr.invars[: len(arrays)])


def _strong(x: Array) -> Array:
    # A weak dtype would let a result change its dtype, and compile again, in a later operation.
    return jnp.asarray(x, dtype=x.dtype)


def _linearize(
    fn: Callable[..., Any], wanted: tuple[bool, ...], *inputs: Any
) -> tuple[Any, Pullback]:
    """`fn(*inputs)`, and its pullback: cotangents of the outputs -> gradients of the inputs."""

    def of_wanted(*values: Array) -> Any:
        source = iter(values)
        return fn(*(next(source) if w else x for x, w in zip(inputs, wanted, strict=True)))

    outputs, vjp = jax.vjp(of_wanted, *(x for x, w in zip(inputs, wanted, strict=True) if w))
    # A pytree, so that a compiled function may return it.
    return outputs, jax.tree_util.Partial(functools.partial(_pull, wanted), vjp, outputs)


@functools.cache
def _pullbacks_are_data() -> bool:
    """Whether JAX's pullbacks keep all that was traced in leaves, so that a cache may hold them.

    Those of older JAX, such as 0.8, hold traced values beside their leaves.
    """
    _, pullback = jax.vjp(lambda x: x, 1.0)
    return not isinstance(pullback, jax.tree_util.Partial)


def _pull(
    wanted: tuple[bool, ...], vjp: Callable[..., Any], outputs: Any, cotangents: Sequence[Any]
) -> tuple[Array | None, ...]:
    if isinstance(outputs, (tuple, list)):
        make = getattr(type(outputs), "_make", type(outputs))
        filled: Any = make(map(_cotangent, outputs, cotangents))
    else:
        filled = _cotangent(outputs, *cotangents)
    gradients = iter(vjp(jax.tree.map(_conjugated, filled)))
    return tuple(_conjugated(next(gradients)) if w else None for w in wanted)


def _conjugated(x: Any) -> Any:
    """From JAX's convention for complex gradients to PyTorch's and back.

    JAX's gradient of a real function of a + ib is d/da - i d/db; descent needs d/da + i d/db.
    """
    return x.conj() if jnp.issubdtype(x.dtype, jnp.complexfloating) else x


def _call(pullback: Pullback, cotangents: Sequence[Any]) -> tuple[Array | None, ...]:
    return pullback(cotangents)


def _pull_back(
    fn: Callable[..., Any], wanted: tuple[bool, ...], *args: Any
) -> tuple[Array | None, ...]:
    """The gradients of `fn` at `args`, which are its inputs and then the cotangents."""
    _, pullback = _linearize(fn, wanted, *args[: len(wanted)])
    return pullback(args[len(wanted) :])


def _cotangent(output: Array | None, cotangent: Array | None) -> Any:
    if cotangent is not None or output is None:
        return cotangent
    if is_inexact(output.dtype):
        return jnp.zeros_like(output)
    return np.zeros(output.shape, jax.dtypes.float0)
