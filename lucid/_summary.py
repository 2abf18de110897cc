"""A table of what a Module is made of and what its layers cost."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax

from lucid._core.flops import cost_of
from lucid._core.jit import Jitted
from lucid._core.mode import no_grad
from lucid._core.nested import State
from lucid._core.op import Op
from lucid._core.tensor import Tensor
from lucid._core.trace import Substitution
from lucid.creation import zeros
from lucid.nn.module import Module

__all__ = ["summary"]


class Layer(NamedTuple):
    """One call of a Module in a forward pass; costs are those outside the Modules that it calls."""

    name: str  # within the Module that the summary is of; empty for that one
    kind: str  # its class
    shapes: tuple[tuple[int, ...], ...]  # of the Tensors that it returned
    parameters: int  # elements of its own Parameters; 0 where they were counted before
    flops: float  # floating-point operations
    bytes_accessed: float  # bytes read and written, if no two operations were fused


class Summary(NamedTuple):
    """The layers of a forward pass in the order of their calls; printed as a table."""

    layers: tuple[Layer, ...]
    parameters: int  # elements of all Parameters
    flops: float
    bytes_accessed: float

    def __repr__(self) -> str:
        head = "layer", "class", "output", "parameters", "MFLOP", "MiB"
        rows = [
            (
                "  " * layer.name.count(".") + layer.name.rpartition(".")[2],
                layer.kind,
                " ".join(map(str, layer.shapes)),
                *_numbers(layer.parameters, layer.flops, layer.bytes_accessed),
            )
            for layer in self.layers
        ]
        total = "total", "", "", *_numbers(self.parameters, self.flops, self.bytes_accessed)
        widths = [max(map(len, column)) for column in zip(head, *rows, total, strict=True)]
        rule = "-" * (sum(widths) + 2 * len(widths) - 2)

        def line(cells: Sequence[str]) -> str:
            words = [
                cell.ljust(width) if i < 3 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
            ]
            return "  ".join(words).rstrip()

        return "\n".join([line(head), rule, *map(line, rows), rule, line(total)])


def _numbers(parameters: int, flops: float, bytes_accessed: float) -> tuple[str, str, str]:
    return (
        f"{parameters:,}" if parameters else "",
        _shortened(flops / 1e6),
        _shortened(bytes_accessed / 2**20),
    )


def _shortened(x: float) -> str:
    """A number to three digits; nothing for 0."""
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}" if x else ""


def summary(module: Module, *example: Any) -> Summary:
    """The layers of a Module with their output shapes, Parameters and costs, as XLA counts them.

    The forward pass is traced, not run: nothing is computed, and buffers, the random generator and
    the mode stay as they are. Operations are counted one by one, before XLA fuses them; those of a
    loop count once, and those of all branches.

    Args:
        module: the Module.
        example: its arguments: Tensors, arrays, or what has a shape and a dtype, such as
            `jax.ShapeDtypeStruct`.

    Raises:
        TypeError: `module` is no Module.
        JitError: the forward pass breaks a rule of `lucid.jit`.

    >>> model = nn.Sequential(nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1), nn.ReLU())
    >>> found = lucid.summary(model, lucid.zeros(1, 8, 16, 16))
    >>> [(layer.name, layer.shapes, layer.parameters) for layer in found.layers[1:]]
    [('0', ((1, 4, 32, 32),), 516), ('1', ((1, 4, 32, 32),), 0)]
    """
    if not isinstance(module, Module):
        raise TypeError(f"summary: a Module is needed, got {type(module).__name__}.")
    recorder = _Recorder(module)

    def observed(*args: Any) -> Any:
        with recorder.recording():
            return module(*args)

    given = [
        zeros(*x.shape, dtype=x.dtype) if isinstance(x, jax.ShapeDtypeStruct) else x
        for x in example
    ]
    with recorder.observing():
        Jitted(observed).lower(*given)
    layers = tuple(recorder.layers())
    return Summary(
        layers,
        module.count_parameters(),
        sum(layer.flops for layer in layers),
        sum(layer.bytes_accessed for layer in layers),
    )


class _Call:
    """A call of a Module, while it is noted."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.shapes: tuple[tuple[int, ...], ...] = ()
        self.flops = self.bytes_accessed = 0.0


class _Recorder(Substitution):
    """Notes the calls of Modules, and what each operation costs to the innermost of them."""

    def __init__(self, module: Module) -> None:
        self._names = {id(m): name for name, m in module.named_modules()}
        self._modules = [m for _, m in module.named_modules()]
        self._costs: dict[Any, tuple[float, float]] = {}

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Note what is called from here on, and nothing from before."""
        super().__init__()
        self._calls: list[_Call] = []
        self._entered: list[_Call] = []
        self._counts = True
        with self.active(), no_grad():
            yield

    @contextlib.contextmanager
    def observing(self) -> Iterator[None]:
        """See what Modules return; afterwards their hooks are as they were."""
        before = [m._hooks for m in self._modules]
        handles = [m.register_forward_hook(self._returned) for m in self._modules]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            for m, hooks in zip(self._modules, before, strict=True):
                m.__dict__["_hooks"] = hooks

    def _returned(self, module: Module, args: Any, output: Any) -> None:
        if not self._counts:
            return
        leaves = jax.tree.leaves(output, is_leaf=lambda leaf: isinstance(leaf, Tensor))
        self._entered[-1].shapes = tuple(y.shape for y in leaves if isinstance(y, Tensor))

    @contextlib.contextmanager
    def entered(self, module: Any) -> Iterator[None]:
        call = _Call(module)
        if self._counts:
            self._calls.append(call)
        self._entered.append(call)
        try:
            with super().entered(module):
                yield
        finally:
            self._entered.pop()

    def enter(self, op: Op, inputs: Sequence[Any]) -> tuple[Callable[..., Any], Sequence[Any]]:
        execute, operands = super().enter(op, inputs)
        if isinstance(op.source, State):
            return self._uncounted(execute), operands

        def run(*arrays: Any) -> Any:
            if self._counts:
                flops, bytes_accessed = self._cost(op, arrays)
                self._entered[-1].flops += flops
                self._entered[-1].bytes_accessed += bytes_accessed
            return execute(*arrays)

        return run, operands

    def _uncounted(self, execute: Callable[..., Any]) -> Callable[..., Any]:
        """A loop or branch whose operations were counted when it was traced for its state."""

        def run(*arrays: Any) -> Any:
            before, self._counts = self._counts, False
            try:
                return execute(*arrays)
            finally:
                self._counts = before

        return run

    def _cost(self, op: Op, arrays: Sequence[Any]) -> tuple[float, float]:
        specs = tuple(
            jax.ShapeDtypeStruct(x.shape, x.dtype) if hasattr(x, "dtype") else x for x in arrays
        )
        if (op, specs) not in self._costs:
            self._costs[op, specs] = cost_of(op, specs)
        return self._costs[op, specs]

    def layers(self) -> Iterator[Layer]:
        counted: set[int] = set()
        for call in self._calls:
            own = [p for p in call.module.parameters(recurse=False) if id(p) not in counted]
            counted.update(map(id, own))
            yield Layer(
                self._names.get(id(call.module), "?"),
                type(call.module).__name__,
                call.shapes,
                sum(p.size for p in own),
                call.flops,
                call.bytes_accessed,
            )
