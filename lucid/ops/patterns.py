"""Axes by name: patterns lowered to reshape, transpose, reductions and broadcasts.

A pattern is that of the einops package. On both sides of "->" stand the axes in their order:

- a name; the same one on both sides is the same axis;
- (a b): one axis that is made of several, the last of which varies fastest;
- ...: all axes that are not named; in parentheses, on the right, as one axis;
- 1 or (): an axis of size 1;
- another number: an axis of that size without a name, which `reduce` reduces and `repeat` adds.

A size that the shape does not tell is a keyword: h=2.
"""

from __future__ import annotations

import math
import re
import string
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import jax.numpy as jnp

from lucid._core.declaration import op
from lucid._core.typing import Array, Operand
from lucid.ops import linalg, shape
from lucid.ops import reduce as reductions

if TYPE_CHECKING:
    from lucid._core.tensor import Tensor

REDUCTIONS = ("sum", "mean", "max", "min", "prod", "any", "all")
ELLIPSIS = "..."

# A name that stands alone, or those in parentheses.
Side: TypeAlias = "list[str | tuple[str, ...]]"
Groups: TypeAlias = list[tuple[str, ...]]


@op
def rearrange(a: Operand, /, pattern: str, **shapes: int) -> Tensor:
    """The axes in another order, split and joined as `pattern` says.

    Args:
        pattern: in the language of einops, such as "b (h w) c -> b c h w".
        shapes: sizes of axes by name.

    Raises:
        ValueError: the pattern has no meaning, or does not fit the shape.

    >>> lucid.einops.rearrange(lucid.zeros(2, 12, 5), "b (h w) c -> b c h w", h=3).shape
    (2, 5, 3, 4)
    """
    return _carried_out("rearrange", a, pattern, None, shapes)


@op
def reduce(a: Operand, /, pattern: str, reduction: str = "sum", **shapes: int) -> Tensor:
    """`a` reduced over the axes that stand only on the left, and rearranged.

    Args:
        pattern: in the language of einops, such as "b c (h 2) (w 2) -> b h w c".
        reduction: "sum", "mean", "max", "min", "prod", "any" or "all".
        shapes: sizes of axes by name.

    Raises:
        ValueError: the pattern has no meaning, or does not fit the shape.

    >>> lucid.einops.reduce(Tensor([[1.0, 2.0], [3.0, 5.0]]), "h w -> w", "mean")
    Tensor([2. , 3.5])
    """
    return _carried_out("reduce", a, pattern, reduction, shapes)


@op
def repeat(a: Operand, /, pattern: str, **shapes: int) -> Tensor:
    """`a` repeated along the axes that stand only on the right, and rearranged.

    Args:
        pattern: in the language of einops, such as "h w -> (h 2) w c".
        shapes: sizes of axes by name; those of new axes are needed.

    Raises:
        ValueError: the pattern has no meaning, or does not fit the shape.

    >>> lucid.einops.repeat(Tensor([1, 2]), "n -> (n k)", k=2)
    Tensor([1, 1, 2, 2], dtype=int32)
    """
    return _carried_out("repeat", a, pattern, None, shapes)


def einsum(pattern: str, *tensors: Operand) -> Tensor:
    """Sum of products over the axes that do not stand on the right.

    Args:
        pattern: with one letter for each axis, "bi,ij->bj"; or with names that spaces separate,
            "batch i, i j -> batch j".

    >>> a, b = Tensor([[1.0, 2.0], [3.0, 4.0]]), Tensor([1.0, 1.0])
    >>> lucid.einops.einsum("row col, col -> row", a, b)
    Tensor([3., 7.])
    """
    parts = re.split("(,|->)", pattern)
    if not any(len(part.split()) > 1 for part in parts):
        return linalg.einsum(pattern, *tensors)
    letters = {ELLIPSIS: ELLIPSIS}
    for name in pattern.replace(",", " ").replace("->", " ").split():
        letters.setdefault(name, string.ascii_letters[len(letters) - 1])
    lettered = ("".join(letters.get(name, name) for name in part.split()) for part in parts)
    return linalg.einsum("".join(lettered), *tensors)


def _carried_out(
    call: str, a: Operand, pattern: str, reduction: str | None, shapes: dict[str, int]
) -> Array:
    a = jnp.asarray(a)
    try:
        plan = _plan(call, pattern, a.shape, dict(shapes))
        if reduction is not None and reduction not in REDUCTIONS:
            raise ValueError(f'there is no reduction "{reduction}"; name one of {REDUCTIONS}')
    except ValueError as error:
        raise ValueError(
            f'{call}: {error}; got the pattern "{pattern}" for the shape {a.shape}.'
        ) from None
    a = a.reshape(plan.split)
    if reduction is not None:
        a = getattr(reductions, reduction).pure(a, plan.reduced)
    a = jnp.expand_dims(a.transpose(plan.order), plan.added)
    return shape.broadcast_to.pure(a, plan.whole).reshape(plan.joined)


class Plan(NamedTuple):
    """How a pattern is carried out for a shape."""

    split: tuple[int, ...]  # the sizes of all axes on the left
    reduced: tuple[int, ...]  # which of them are not on the right
    order: tuple[int, ...]  # of those that are
    added: tuple[int, ...]  # which axes on the right are new
    whole: tuple[int, ...]  # the sizes of all axes on the right
    joined: tuple[int, ...]  # the shape of the result


def _plan(call: str, pattern: str, shape: tuple[int, ...], sizes: dict[str, int]) -> Plan:
    sides = pattern.split("->")
    if len(sides) != 2:
        raise ValueError('a pattern has two sides, joined by one "->"')
    left, right = (_parse(side, place, sizes) for place, side in zip("<>", sides, strict=True))
    _check_names(call, _names(left), _names(right), sizes)
    unnamed = len(shape) - len(left) + 1
    if ELLIPSIS not in left:
        if ELLIPSIS in _names(left):
            raise ValueError("on the left ... stands in no parentheses")
        if unnamed != 1:
            raise ValueError(f"the left side has {len(left)} axes, but the shape {len(shape)}")
    elif unnamed < 0:
        raise ValueError(f"the left side has {len(left) - 1} axes, but the shape {len(shape)}")
    rest = tuple(f"{ELLIPSIS}{i}" for i in range(unnamed))
    groups, joined = _expanded(left, rest), _expanded(right, rest)
    for axis, (group, size) in enumerate(zip(groups, shape, strict=True)):
        _infer(axis, group, size, sizes)
    before, after = _names(groups), _names(joined)
    kept = [name for name in before if name in after]
    return Plan(
        split=tuple(sizes[name] for name in before),
        reduced=tuple(i for i, name in enumerate(before) if name not in after),
        order=tuple(kept.index(name) for name in after if name in kept),
        added=tuple(i for i, name in enumerate(after) if name not in kept),
        whole=tuple(sizes[name] for name in after),
        joined=tuple(math.prod(sizes[name] for name in group) for group in joined),
    )


def _parse(side: str, place: str, sizes: dict[str, int]) -> Side:
    """The axes of a side. Numbers become names, which differ by their place, with sizes."""
    items: Side = []
    group: tuple[str, ...] | None = None
    for i, token in enumerate(re.findall(r"\.\.\.|\w+|\S", side)):
        if token in "()":
            if (token == "(") == (group is not None):
                raise ValueError("parentheses stand in pairs, and not in one another")
            if group is not None:
                items.append(group)
            group = () if token == "(" else None
            continue
        if token.isdecimal() and token != "1":
            name = f"{token}{place}{i}"
            sizes[name] = int(token)
        elif token.isidentifier() or token in ("1", ELLIPSIS):
            name = token
        else:
            raise ValueError(f'"{token}" is no name of an axis')
        if group is not None:
            group += () if name == "1" else (name,)
        else:
            items.append(() if name == "1" else name)
    if group is not None:
        raise ValueError("parentheses stand in pairs, and not in one another")
    return items


def _names(side: Side | Groups) -> list[str]:
    return [name for item in side for name in ((item,) if isinstance(item, str) else item)]


def _check_names(call: str, left: list[str], right: list[str], sizes: dict[str, int]) -> None:
    for name in (*left, *right):
        if left.count(name) > 1 or right.count(name) > 1:
            raise ValueError(f"{name} stands twice on one side")
    for name in left:
        if name not in right and call != "reduce":
            raise ValueError(f"{_shown(name)} stands only on the left; `reduce` reduces axes")
    for name in right:
        if name not in left and (call != "repeat" or name == ELLIPSIS):
            raise ValueError(f"{_shown(name)} stands only on the right; `repeat` adds axes")
        if name not in left and name not in sizes:
            raise ValueError(f"the axis {name} is new and needs a size, such as {name}=2")
    for name, size in sizes.items():
        if name not in left and name not in right:
            raise ValueError(f"{name}={size} is given, but no axis has that name")
        if not isinstance(size, int) or size < 0:
            raise ValueError(f"the size of {name} must be a whole number, not {size!r}")


def _shown(name: str) -> str:
    return re.split("[<>]", name)[0]


def _expanded(side: Side, rest: tuple[str, ...]) -> Groups:
    """A side with the axes `rest` in place of the ellipsis."""
    groups: Groups = []
    for item in side:
        if item == ELLIPSIS:
            groups += [(name,) for name in rest]
        elif isinstance(item, str):
            groups.append((item,))
        else:
            pairs = ((rest if name == ELLIPSIS else (name,)) for name in item)
            groups.append(tuple(name for part in pairs for name in part))
    return groups


def _infer(axis: int, group: tuple[str, ...], size: int, sizes: dict[str, int]) -> None:
    """Find the size that is missing for one axis of the shape, which the axes `group` make."""
    unknown = [name for name in group if name not in sizes]
    known = math.prod(sizes[name] for name in group if name in sizes)
    if len(unknown) > 1:
        raise ValueError(f"of the axes {unknown} of axis {axis} all but one need a size")
    if unknown and (known == 0 or size % known):
        raise ValueError(f"axis {axis} of size {size} cannot be split into parts of {known}")
    if not unknown and known != size:
        raise ValueError(f"axis {axis} has size {size}, but the pattern says {known}")
    for name in unknown:
        sizes[name] = size // known
