"""Three bilinear primitives, each other's transposes, behind every convolution and gradient.

A `Form` joins small, large and kernel in one trilinear sum. Each primitive takes two of the three
and returns the derivative of that sum in the third:

    conv            (large, kernel) -> small    a convolution
    conv_transpose  (small, kernel) -> large    its transpose
    conv_kernel     (small, large) -> kernel    the gradient of either in the kernel

Differentiating any of them gives another of them, so every derivative of any order, forward or
reverse, runs through these three and is as fast as they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from lucid.ops.conv import lowerings
from lucid.ops.conv.geometry import Form

conv_p = Primitive("conv")
conv_transpose_p = Primitive("conv_transpose")
conv_kernel_p = Primitive("conv_kernel")

# The role of an array in the form, for each primitive's operands and then its result.
ROLES = {
    conv_p: ("large", "kernel", "small"),
    conv_transpose_p: ("small", "kernel", "large"),
    conv_kernel_p: ("small", "large", "kernel"),
}


def bind(values: dict[str, Array], form: Form, lowering: str) -> Array:
    """The map whose operands are `values`, given by their roles."""
    (primitive,) = (p for p, (*operands, _) in ROLES.items() if set(operands) == set(values))
    *roles, out = ROLES[primitive]
    run: Any = partial(primitive.bind, form=form, lowering=lowering)
    place = _explicit_place(values, out)
    if place is not None:
        run = jax.sharding.auto_axes(run, out_sharding=place)
    result: Array = run(*_varying_alike([values[role] for role in roles]))
    return result


def _explicit_place(values: dict[str, Array], out: str) -> NamedSharding | None:
    """Where the result lies on a mesh with Explicit axes: each axis as in the operand with it."""
    places = {role: jax.typeof(value).sharding for role, value in values.items()}
    meshes = [p.mesh for p in places.values() if AxisType.Explicit in p.mesh.axis_types]
    if not meshes:
        return None
    spec: list[Any] = [None] * len(next(iter(places.values())).spec)
    used: set[str] = set()
    for role in sorted(places, reverse=True):  # the batch is in `small` or `large`: first
        shared = _PLACE[_SHARED[frozenset({role, out})]]
        entry = places[role].spec[shared[role][0]]
        names = set(entry if isinstance(entry, tuple) else () if entry is None else (entry,))
        if not names & used:  # one axis of the mesh splits one axis of an array
            spec[shared[out][0]] = entry
            used |= names
    return NamedSharding(meshes[0], PartitionSpec(*spec))


def _varying_alike(operands: list[Array]) -> list[Array]:
    """The operands, each varying over the axes of a shard_map over which any of them does."""
    kinds = [_varying(x) for x in operands]
    if kinds[0] == kinds[1]:
        return operands
    every = kinds[0] | kinds[1]
    return [_vary(x, tuple(every - kind)) for x, kind in zip(operands, kinds, strict=True)]


def _varying(x: Array) -> frozenset[Any]:
    aval: Any = jax.typeof(x)
    found: frozenset[Any] = (
        aval.manual_axis_type.varying if hasattr(aval, "manual_axis_type") else aval.vma
    )
    return found


def _vary(x: Array, axes: tuple[Any, ...]) -> Array:
    if not axes:
        return x
    module: Any = lax  # it lacks one of the two names
    new = hasattr(module, "pcast")
    result: Array = module.pcast(x, axes, to="varying") if new else module.pvary(x, axes)
    return result


def _abstract(
    out: str, lhs: ShapedArray, rhs: ShapedArray, *, form: Form, lowering: str
) -> ShapedArray:
    # What varies over axes of a shard_map, as both operands do, varies in the result.
    aval: ShapedArray = lhs.update(shape=getattr(form, f"{out}_shape"), weak_type=False)
    return aval


# vmap. Each pair of arrays shares one axis of the form: (batch), the channels of small, or those
# of large. An axis mapped in one operand is folded into the axis which that operand shares with
# the result; an axis mapped in both operands becomes groups.
_SHARED = {
    frozenset({"small", "large"}): "batch",
    frozenset({"small", "kernel"}): "small_channels",
    frozenset({"large", "kernel"}): "large_channels",
}
# Where an axis of the form lies in an array: the axis, and whether groups are its outer part.
_PLACE = {
    "batch": {"small": (0, False), "large": (0, False)},
    "small_channels": {"small": (1, True), "kernel": (0, True)},
    "large_channels": {"large": (1, True), "kernel": (1, False)},
    "groups": {"small": (1, False), "large": (1, False), "kernel": (0, False)},
}


def _batch(
    primitive: Primitive,
    operands: tuple[Array, Array],
    axes: tuple[int | None, int | None],
    *,
    form: Form,
    lowering: str,
) -> tuple[Array, int]:
    *roles, out = ROLES[primitive]
    mapped = [role for role, axis in zip(roles, axes, strict=True) if axis is not None]
    into = "groups" if len(mapped) == 2 else _SHARED[frozenset({mapped[0], out})]
    size = next(v.shape[a] for v, a in zip(operands, axes, strict=True) if a is not None)

    folded = []
    for value, axis, role in zip(operands, axes, roles, strict=True):
        if axis is not None:
            place, grouped = _PLACE[into][role]
            value = _fold(value, axis, place, form.groups if grouped else 1)
        folded.append(value)

    changes = {into: size * getattr(form, into)}
    if into == "groups":
        changes |= {c: size * getattr(form, c) for c in ("small_channels", "large_channels")}
    form_of_all = dataclasses.replace(form, **changes)
    result = primitive.bind(*folded, form=form_of_all, lowering=lowering)
    place, grouped = _PLACE[into][out]
    return _unfold(result, place, form.groups if grouped else 1, size)


def _fold(value: Array, axis: int, place: int, groups: int) -> Array:
    """Merge the mapped axis into the axis `place`: (g m) becomes (g mapped m)."""
    value = jnp.moveaxis(value, axis, place)
    mapped, length = value.shape[place : place + 2]
    value = value.reshape(
        *value.shape[:place], mapped, groups, length // groups, *value.shape[place + 2 :]
    )
    value = value.swapaxes(place, place + 1)
    return value.reshape(*value.shape[:place], mapped * length, *value.shape[place + 3 :])


def _unfold(value: Array, place: int, groups: int, mapped: int) -> tuple[Array, int]:
    """Take the mapped axis out again; the result is mapped along `place`."""
    rest = value.shape[place] // (groups * mapped)
    value = value.reshape(*value.shape[:place], groups, mapped, rest, *value.shape[place + 1 :])
    value = value.swapaxes(place, place + 1)
    return value.reshape(*value.shape[: place + 1], groups * rest, *value.shape[place + 3 :]), place


def _register(primitive: Primitive) -> None:
    lhs, rhs, out = ROLES[primitive]
    primitive.def_impl(jax.jit(primitive.bind, static_argnames=("form", "lowering")))
    primitive.def_abstract_eval(partial(_abstract, out))
    ad.defbilinear(
        primitive,
        lambda ct, _, b, *, form, lowering: bind({out: ct, rhs: b}, form, lowering),
        lambda ct, a, _, *, form, lowering: bind({out: ct, lhs: a}, form, lowering),
    )
    batching.primitive_batchers[primitive] = partial(_batch, primitive)

    for platform in lowerings.ORDERS:
        mlir.register_lowering(primitive, partial(_lower, platform, out), platform)


def _lower(
    platform: str | None, out: str, context: Any, a: Any, b: Any, *, form: Form, lowering: str
) -> Any:
    # Of a program for many devices; inside shard_map the shapes are already those of one.
    devices = getattr(context.module_context.axis_context, "num_devices", None) or 1
    form = dataclasses.replace(form, shards=devices)
    # A lowering makes arrays that vary over nothing, and its operands are arrays like them.
    plain = [ShapedArray(aval.shape, aval.dtype) for aval in context.avals_in]
    run = mlir.lower_fun(partial(_run, platform, out), multiple_results=False)
    return run(context.replace(avals_in=plain), a, b, form=form, lowering=lowering)


def _run(platform: str | None, out: str, a: Array, b: Array, *, form: Form, lowering: str) -> Array:
    name = lowerings.choose(platform, lowering, out, form)
    return lowerings.run(platform, name, out, form, a, b)


for _primitive in ROLES:
    _register(_primitive)


def chosen_lowerings(function: Callable[..., Any], *args: Any) -> list[tuple[str, str]]:
    """The (operation, lowering on CPU) of every map that `function(*args)` runs, in order.

    >>> from jax import numpy as jnp
    >>> from lucid.ops.conv import conv
    >>> x, w = jnp.zeros((1, 8, 9, 9)), jnp.zeros((8, 1, 3, 3))
    >>> chosen_lowerings(lambda x: conv(x, w, rank=2, groups=8), x)
    [('conv', 'depthwise')]
    """
    found: list[tuple[str, str]] = []
    _collect(jax.make_jaxpr(function)(*args).jaxpr, found)
    return found


def _collect(jaxpr: Any, found: list[tuple[str, str]]) -> None:
    for equation in jaxpr.eqns:
        primitive, params = equation.primitive, equation.params
        if primitive in ROLES:
            *_, out = ROLES[primitive]
            name = lowerings.choose("cpu", params["lowering"], out, params["form"])
            found.append((primitive.name, name))
        for inner in jax.tree.leaves(list(params.values()), is_leaf=_is_jaxpr):
            if _is_jaxpr(inner):
                _collect(getattr(inner, "jaxpr", inner), found)


def _is_jaxpr(value: Any) -> bool:
    return hasattr(value, "eqns")
