"""Nested arguments and results, taken apart and put together; dictionaries keep their order.

JAX sorts dictionaries by their keys, and so refuses keys of several types.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from typing import Any, NamedTuple

import jax

from lucid._core.variable import Variable


@dataclasses.dataclass(frozen=True)
class Static:
    """An argument that is part of the signature whatever it is."""

    value: Any


class Ordered(NamedTuple):
    """A dictionary in a tree: its class, its keys with their types, and its values' structure."""

    kind: type
    factory: Any  # of a defaultdict
    keys: tuple[Any, ...]
    types: tuple[type, ...]
    values: Structure


class Structure(NamedTuple):
    """A tree without its leaves. It is hashable if the keys of the dictionaries are."""

    treedef: Any
    dictionaries: tuple[tuple[int, int, Ordered], ...]  # (position among leaves, leaves in it, it)


_DICTIONARIES = frozenset({dict, defaultdict})


def is_leaf(value: Any) -> bool:
    """Whether a value is one leaf here, though JAX may know it as a node of a pytree."""
    return isinstance(value, (Variable, Static)) or type(value) in _DICTIONARIES


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """The leaves of a tree in their order, and its structure."""
    leaves, treedef = jax.tree.flatten(tree, is_leaf=is_leaf)
    if not _DICTIONARIES.intersection(map(type, leaves)):
        return leaves, Structure(treedef, ())
    flat: list[Any] = []
    found = []
    for i, leaf in enumerate(leaves):
        if type(leaf) not in _DICTIONARIES:
            flat.append(leaf)
            continue
        values, inner = flatten(list(leaf.values()))
        keys = tuple(leaf)
        factory = getattr(leaf, "default_factory", None)
        node = Ordered(type(leaf), factory, keys, tuple(map(type, keys)), inner)
        found.append((i, len(values), node))
        flat.extend(values)
    return flat, Structure(treedef, tuple(found))


def unflatten(structure: Structure, leaves: list[Any]) -> Any:
    """The tree of this structure with these leaves."""
    if not structure.dictionaries:
        return jax.tree.unflatten(structure.treedef, leaves)
    found = {at: (n, node) for at, n, node in structure.dictionaries}
    outer: list[Any] = []
    source = iter(leaves)
    for i in range(structure.treedef.num_leaves):
        if i not in found:
            outer.append(next(source))
            continue
        n, node = found[i]
        values = unflatten(node.values, [next(source) for _ in range(n)])
        pairs = zip(node.keys, values, strict=True)
        if node.kind is defaultdict:
            outer.append(defaultdict(node.factory, pairs))
        else:
            outer.append(dict(pairs))
    return jax.tree.unflatten(structure.treedef, outer)


def paths(structure: Structure) -> list[str]:
    """How each leaf is reached, as in `[0]['x']`."""
    numbered = jax.tree.unflatten(structure.treedef, range(structure.treedef.num_leaves))
    outer = [
        jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(numbered)
    ]
    found = {at: node for at, _, node in structure.dictionaries}
    names: list[str] = []
    for i, path in enumerate(outer):
        if i not in found:
            names.append(path)
            continue
        node = found[i]
        for inner in paths(node.values):
            index, _, rest = inner[1:].partition("]")
            names.append(f"{path}[{node.keys[int(index)]!r}]{rest}")
    return names
