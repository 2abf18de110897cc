"""The same imperative step on one device and on a mesh of devices.

    mesh = lucid.sharding.mesh(data=-1)
    model = lucid.sharding.place(Decoder(), mesh)      # copies on all devices; or rule=fsdp()
    optimizer = lucid.optim.Adam(model.parameters())   # its state lies as the parameters do
    loader = lucid.data.DataLoader(dataset, 64, device=lucid.sharding.split(mesh))

A step is written for a whole batch: its mean is that of the whole batch, and so are the statistics
of BatchNorm. Under `lucid.jit` state stays where it was placed.

Over several processes, for example one on each machine, all run the same program; it begins with

    lucid.sharding.initialize("10.0.0.1:4321", processes=2, process=0)   # 1 in the other

Then the mesh has the devices of all, what is placed is that of process 0, each process loads its
own part of a batch, `lucid.save` writes one file, and `whole` brings a Tensor's values together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from lucid._core import spread
from lucid._core.tensor import Tensor
from lucid._processes import initialize
from lucid.nn.module import Module
from lucid.optim.optimizer import Optimizer
from lucid.random import Generator

__all__ = ["fsdp", "initialize", "mesh", "place", "split", "whole"]

T = TypeVar("T")
# (name of the Tensor, its shape, the mesh) -> an axis of the mesh or None for each axis
Rule = Callable[[str, tuple[int, ...], Mesh], tuple[str | None, ...]]


def mesh(**axes: int) -> Mesh:
    """All devices on named axes; one size may be -1, for what is left.

    Args:
        axes: the size of each axis.

    Raises:
        ValueError: the sizes do not multiply to the number of devices.

    >>> lucid.sharding.mesh(data=-1).axis_names
    ('data',)
    """
    axes = axes or {"data": -1}
    count, sizes = jax.device_count(), list(axes.values())
    known = math.prod(n for n in sizes if n != -1)
    if sizes.count(-1) == 1 and known > 0:
        sizes[sizes.index(-1)] = count // known
    if min(sizes) < 1 or math.prod(sizes) != count:
        raise ValueError(
            f"mesh: the sizes {axes} do not multiply to the {count} devices that are present. "
            "One of them may be -1, for what is left."
        )
    return jax.make_mesh(tuple(sizes), tuple(axes), (AxisType.Auto,) * len(sizes))


def split(mesh: Mesh, *axes: str | None) -> NamedSharding:
    """Where a batch lies: its first axis over the first of the mesh, or each as `axes` say.

    Args:
        mesh: the mesh.
        axes: for each axis of an array the axis of the mesh that splits it, or None.

    Raises:
        ValueError: the mesh has no such axis, or one of them comes twice.
        TypeError: `mesh` is none.

    >>> lucid.sharding.split(lucid.sharding.mesh(data=-1)).spec[0]
    'data'
    """
    _check_mesh("split", mesh)
    unknown = [a for a in axes if a is not None and a not in mesh.axis_names]
    if unknown:
        raise ValueError(f"split: the mesh has the axes {mesh.axis_names}, not {unknown}.")
    if not _differ(axes):
        raise ValueError(f"split: each axis of the mesh splits one axis of an array, got {axes}.")
    return NamedSharding(mesh, PartitionSpec(*axes or mesh.axis_names[:1]))


def fsdp(axis: str = "data", min_size: int = 4096) -> Rule:
    """A rule for `place`: split the longest axis that the mesh divides.

    Args:
        axis: the axis of the mesh.
        min_size: a Tensor of fewer elements is copied.

    >>> mesh = lucid.sharding.mesh(data=-1)
    >>> lucid.sharding.fsdp()("weight", (64, 128 * mesh.size), mesh)
    (None, 'data')
    """

    def rule(name: str, shape: tuple[int, ...], mesh: Mesh) -> tuple[str | None, ...]:
        if axis not in mesh.shape:
            raise ValueError(f'fsdp: the mesh has the axes {mesh.axis_names}, not "{axis}".')
        fit = [i for i, n in enumerate(shape) if n % mesh.shape[axis] == 0]
        if math.prod(shape) < min_size or not fit:
            return ()
        return (*(None,) * max(fit, key=lambda i: shape[i]), axis)

    return rule


def place(target: T, mesh: Mesh, rule: Rule | None = None) -> T:
    """Move the state of a Module, an Optimizer or a Generator onto a mesh; returns the target.

    Where the mesh spans processes, all call this, and the values are those of process 0.

    Args:
        target: what is moved, in place.
        mesh: the mesh.
        rule: (name, shape, mesh) -> how the Tensor is split; by default each device has a copy.

    Raises:
        TypeError: the target is something else.
        ValueError: a rule returns no tuple of axes, or splits an axis that the mesh does not
            divide; nothing was moved.

    >>> model = lucid.sharding.place(nn.Linear(2, 1), lucid.sharding.mesh(data=-1))
    >>> model.weight.data.sharding.mesh.axis_names
    ('data',)
    """
    _check_mesh("place", mesh)
    places = []
    for name, tensor in _state_of(target):
        axes: Any = rule(name, tensor.shape, mesh) if rule else ()
        known = (None, *mesh.axis_names)
        fits = isinstance(axes, tuple) and all(axis in known for axis in axes) and _differ(axes)
        if not fits:
            raise ValueError(
                f"place: a rule returns a tuple with one of the mesh's axes {mesh.axis_names} or "
                f"None for each axis of a Tensor, none twice; got {axes!r} for {name}. Nothing was "
                "moved."
            )
        sharding = NamedSharding(mesh, PartitionSpec(*axes))
        spread.check_split(f"place: {name}, and nothing was moved", tensor.shape, sharding)
        places.append((name, tensor, sharding))
    for name, tensor, sharding in places:
        # A copy, or two arrays may share a buffer, and donation ends the life of both.
        tensor.data = spread.put(f"place: {name}", tensor.data.copy(), sharding)
    return target


def whole(tensor: Tensor) -> np.ndarray[Any, Any]:
    """All values of a Tensor, also where they lie on several processes; all of them then call this.

    Args:
        tensor: the Tensor.

    Raises:
        RuntimeError: the processes do not make the same call.

    >>> lucid.sharding.whole(lucid.ones(2)).tolist()
    [1.0, 1.0]
    """
    return spread.whole(tensor.data)


def _check_mesh(call: str, mesh: Any) -> None:
    if not isinstance(mesh, Mesh):
        raise TypeError(f"{call}: a mesh is needed, got {type(mesh).__name__}.")


def _differ(axes: Sequence[str | None]) -> bool:
    named = [axis for axis in axes if axis is not None]
    return len(set(named)) == len(named)


def _state_of(target: Any) -> list[tuple[str, Tensor]]:
    if isinstance(target, Module):
        return [*target.named_parameters(), *target.named_buffers()]
    if isinstance(target, Optimizer):
        states = enumerate(target.state.values())
        return [(f"{i}.{key}", tensor) for i, held in states for key, tensor in held.items()]
    if isinstance(target, Generator):
        return [("state", target.state)]
    raise TypeError(
        f"place: a Module, an Optimizer or a Generator is needed, got {type(target).__name__}."
    )
