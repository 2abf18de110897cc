"""Export to ONNX: the forward pass of a Module as a graph that other runtimes execute.

The Module is called on symbols, which have a shape and a dtype but no values, and its operations
are noted: once for the batch size of the example and once for twice that. A size that differs
between the two runs follows the batch; everything else must agree, and is fixed in the graph.
What does not depend on the inputs is computed here and becomes a constant.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import jax
import numpy as np

from lucid._core.arrays import as_array
from lucid._core.autocast import autocast
from lucid._core.declaration import Source
from lucid._core.files import write_whole
from lucid._core.mode import no_grad
from lucid._core.op import Op
from lucid._core.stand_in import StandIn
from lucid._core.tensor import Tensor
from lucid._core.trace import Capture
from lucid._version import __version__
from lucid.nn.module import Module
from lucid.onnx.graph import Graph, Node, Value
from lucid.onnx.operations import FOLLOW_SHAPE, TRANSLATIONS

__all__ = ["export"]

OPSET = 20  # the first with Gelu; onnxruntime reads it from version 1.17 on


def export(module: Module, example: Any, path: str | os.PathLike[str]) -> Path:
    """Write the forward pass of a Module as an ONNX file, whole or not at all.

    The first axis of every input is the batch, whose size the graph leaves open. Inputs have the
    names of the arguments of `forward`, Parameters and Buffers those of the `state_dict`, outputs
    "output", "output_1" and so on. Dropout and batch normalisation must be in evaluation mode. The
    graph computes in the dtypes of the Module, also under `lucid.autocast`. The Module does not
    change.

    Args:
        module: the Module.
        example: an input, or a tuple of inputs; only shapes and dtypes count.
        path: where the file is written.

    Returns:
        The path.

    Raises:
        NotImplementedError: an operation has no translation; the message names it and its Module.
        ValueError: the forward pass reads values, changes state, or cannot leave the batch open.
        ModuleNotFoundError: the `onnx` package is not installed.

    >>> import tempfile
    >>> model = nn.Sequential(nn.ConvTranspose2d(4, 2, 4, stride=2, padding=1), nn.Tanh())
    >>> path = lucid.onnx.export(model, lucid.zeros(1, 4, 8, 8), tempfile.mkdtemp() + "/up.onnx")
    >>> import onnx
    >>> [node.op_type for node in onnx.load(path).graph.node]
    ['ConvTranspose', 'Tanh']
    """
    onnx = _package()
    inputs = example if isinstance(example, (tuple, list)) else (example,)
    arrays = [as_array(x.data if isinstance(x, Tensor) else x) for x in inputs]
    sizes = {a.shape[0] if a.ndim else None for a in arrays}
    if len(sizes) != 1 or not sizes - {None, 0}:
        raise ValueError(
            "onnx.export: the first axis of every input must be the batch, of one size of at least "
            f"1; got shapes {[a.shape for a in arrays]}."
        )
    batch = arrays[0].shape[0]
    with autocast(enabled=False):
        run, doubled = _Recorder(module, arrays, batch), _Recorder(module, arrays, 2 * batch)
    values = _common(run.inputs, doubled.inputs, batch, "the input")
    model = _model(onnx, module, values, *_merge(run, doubled, batch))
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    write_whole(path := Path(path), lambda temporary: Path(temporary).write_bytes(content))
    return path


# --- Recording --------------------------------------------------------------------------------


class Symbol:
    """A value that exists only when the graph runs."""

    def __init__(self, number: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.number, self.shape, self.dtype = number, shape, dtype
        self.ndim, self.size = len(shape), math.prod(shape)

    def __getattr__(self, name: str) -> NoReturn:
        raise ValueError(
            f"onnx.export: the forward pass reads the values of a Tensor of shape {self.shape} "
            f"(.{name}), or keeps it as state; they exist only when the graph runs. Call eval() on "
            "the Module, and use lucid's functions of Tensors, such as lucid.where, instead of "
            "branches, numbers and arrays made from values."
        )


class Call(NamedTuple):
    """One operation of the forward pass."""

    fn: Callable[..., Any]
    static: dict[str, Any]
    names: tuple[str, ...]  # of the parameters that the operands belong to
    operands: tuple[Any, ...]
    results: tuple[Any, ...]
    path: str  # of the Module that called it; empty for the exported one
    kind: str  # the class of that Module


class _Recorder(Capture):
    """The operations of one call of a Module; what that call writes is dropped."""

    pieces = False  # a graph has each of the operations inside

    def __init__(self, module: Module, arrays: Sequence[Any], batch: int) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self._names = {id(m): name for name, m in module.named_modules()}
        self._entered: list[Module] = []
        self._n_symbols = 0
        self._tensors = {id(t): name for name, t in _state(module).items()}
        try:
            with self.active(), no_grad():
                self.inputs = [self._symbol((batch, *a.shape[1:]), a.dtype) for a in arrays]
                returned = module(*map(Tensor._wrap, self.inputs))
                leaves = jax.tree.leaves(returned, is_leaf=_is_tensor)
                if not leaves or not all(map(_is_tensor, leaves)):
                    raise ValueError(
                        "onnx.export: the forward pass must return Tensors, got "
                        f"{[type(leaf).__name__ for leaf in leaves]}."
                    )
                self.outputs = [y._cell()._data for y in leaves]
        finally:
            self.restore()
        self._check_unchanged()

    def stand_in(self, tensor: Any) -> StandIn:
        stand_in = self.stand_ins.get(id(tensor))
        if stand_in is None:
            stand_in = self.stand_ins[id(tensor)] = StandIn(tensor, tensor._share(), None, self)
            stand_in.needs_grad = False
        return stand_in

    def host(self, array: Any) -> Any:
        return array

    @contextlib.contextmanager
    def entered(self, module: Any) -> Iterator[None]:
        self._entered.append(module)
        try:
            with super().entered(module):
                yield
        finally:
            self._entered.pop()

    def enter(self, op: Op, inputs: Sequence[Any]) -> tuple[Callable[..., Any], Sequence[Any]]:
        _, operands = super().enter(op, inputs)
        return functools.partial(self._run, op), operands

    def _run(self, op: Op, *operands: Any) -> Any:
        """The outputs of an operation: symbols if it has symbols among its operands."""
        if not any(isinstance(x, Symbol) for x in operands):
            return op.run(*operands)
        fn, static, names = _taken_apart(op.source, operands)
        caller = self._entered[-1]
        path, kind = self._names.get(id(caller), ""), type(caller).__name__
        kept = tuple(np.array(x) if isinstance(x, np.ndarray) else x for x in operands)
        call = Call(fn, static, names, kept, (), path, kind)
        if fn not in TRANSLATIONS:
            raise _refusal(call, "it has no translation. Does the Module need eval()?")
        specs = [
            jax.ShapeDtypeStruct(x.shape, x.dtype) if isinstance(x, Symbol) else x for x in operands
        ]
        shapes = jax.eval_shape(op.run, *specs)
        outputs = jax.tree.map(lambda y: self._symbol(y.shape, y.dtype), shapes)
        results = tuple(outputs) if isinstance(outputs, (tuple, list)) else (outputs,)
        self.calls.append(call._replace(results=results))
        return outputs

    def _symbol(self, shape: tuple[int, ...], dtype: Any) -> Any:
        self._n_symbols += 1
        return Symbol(self._n_symbols, shape, np.dtype(dtype))

    def _check_unchanged(self) -> None:
        for key, stand_in in self.stand_ins.items():
            if stand_in.data_written:
                name = self._tensors.get(key)
                what = f'"{name}"' if name else "a random generator, or of another Tensor outside"
                raise ValueError(
                    f"onnx.export: the forward pass changes the value of {what}, and a graph keeps "
                    "no state. Call eval() on the Module, and pass random numbers as an input."
                )


def _state(module: Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


# --- What two runs agree on -------------------------------------------------------------------


def _merge(a: _Recorder, b: _Recorder, batch: int) -> tuple[list[Call], tuple[Any, ...]]:
    """The operations and outputs that both runs have, with Values in place of symbols."""
    if list(map(_kind, a.calls)) != list(map(_kind, b.calls)):
        raise ValueError(
            f"onnx.export: the forward pass runs other operations for a batch of {2 * batch} than "
            f"for one of {batch}. Write it so that the batch size does not steer it."
        )
    calls = []
    for x, y in zip(a.calls, b.calls, strict=True):
        if x.static != y.static and x.fn not in FOLLOW_SHAPE:
            raise ValueError(
                f"onnx.export: arguments of {_place(x)} depend on the batch size, which the graph "
                f"leaves open: {x.static} for a batch of {batch}, {y.static} for {2 * batch}."
            )
        calls.append(
            x._replace(
                static={name: _size(x.static[name], y.static[name], batch) for name in x.static},
                operands=_common(x.operands, y.operands, batch, _place(x)),
                results=_common(x.results, y.results, batch, _place(x)),
            )
        )
    return calls, _common(a.outputs, b.outputs, batch, "the output")


def _kind(call: Call) -> tuple[Any, ...]:
    return call.fn, call.path, [len(y.shape) for y in call.results if y is not None]


def _size(a: Any, b: Any, batch: int) -> Any:
    """A size, or a tuple with sizes, that two runs share; a string where it follows the batch."""
    if a == b:
        return a
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        items = [_size(x, y, batch) for x, y in zip(a, b, strict=True)]
        return type(a)(*items) if hasattr(a, "_fields") else tuple(items)
    return "batch" if (a, b) == (batch, 2 * batch) else "?"


def _common(first: Any, second: Any, batch: int, place: str) -> tuple[Any, ...]:
    """The Values of symbols, and the constants that two runs share."""
    found = []
    for a, b in zip(first, second, strict=True):
        symbols = isinstance(a, Symbol), isinstance(b, Symbol)
        if all(symbols) and a.number == b.number:
            found.append(Value(a.number, _size(a.shape, b.shape, batch), a.dtype))
        elif a is b or (not any(symbols) and _equal(a, b)):
            found.append(a)
        else:
            raise ValueError(
                f"onnx.export: a constant in {place} is computed from the batch size, which the "
                "graph leaves open. Give it a first axis of size 1, or compute it from an input."
            )
    return tuple(found)


def _equal(a: Any, b: Any) -> bool:
    x, y = np.asarray(a), np.asarray(b)
    return (x.shape, x.dtype, x.tobytes()) == (y.shape, y.dtype, y.tobytes())


def _place(call: Call) -> str:
    module = f'"{call.path}" ({call.kind})' if call.path else call.kind
    return f'the operation "{call.fn.__name__}" of {module}'


# --- Building ---------------------------------------------------------------------------------


def _model(
    onnx: Any,
    module: Module,
    inputs: tuple[Value, ...],
    calls: list[Call],
    outputs: tuple[Any, ...],
) -> Any:
    """The graph as a ModelProto."""
    graph = Graph({id(tensor.data): name for name, tensor in _state(module).items()})
    parameters = inspect.signature(module.forward).parameters.values()
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    for i, value in enumerate(inputs):
        graph.names[value.number] = graph.unused(names[i] if i < len(names) else f"input_{i}")
    for call in calls:
        _translate(graph, call)
    computed = {name for node in graph.nodes for name in node.outputs}
    final: dict[str, str] = {}  # what nodes compute, under the names of the outputs
    ends = [graph.unused(f"output_{i}" if i else "output") for i in range(len(outputs))]
    for name, y in zip(ends, outputs, strict=True):
        own = graph.operand(y)
        if own in computed and own not in final:
            final[own] = name
        else:  # an input, a constant, or an output that comes again
            graph.nodes.append(Node("Identity", [own], [name], name, {}))
    helper = onnx.helper

    def declared(name: str, y: Any) -> Any:
        shape = [None if n == "?" else n for n in y.shape]
        return helper.make_tensor_value_info(name, _code(onnx, y.dtype), shape)

    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(
        helper.make_graph(
            [_node(onnx, node, final) for node in graph.nodes],
            type(module).__name__,
            [declared(graph.names[value.number], value) for value in inputs],
            [declared(name, y) for name, y in zip(ends, outputs, strict=True)],
            [onnx.numpy_helper.from_array(a, name) for name, a in graph.constants.items()],
        ),
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
        producer_name="lucid",
        producer_version=__version__,
    )


def _translate(graph: Graph, call: Call) -> None:
    """Add the nodes of one operation."""
    results = [y for y in call.results if y is not None]
    graph.scope, graph.results = f"{call.path}/" if call.path else "", results
    try:
        names = TRANSLATIONS[call.fn](graph, results[0], **_arguments(call))
    except NotImplementedError as error:
        raise _refusal(call, str(error)) from None
    for y, name in zip(results, [names] if isinstance(names, str) else names, strict=True):
        graph.names[y.number] = name


def _taken_apart(
    source: Any, operands: Sequence[Any]
) -> tuple[Callable[..., Any], dict[str, Any], tuple[str, ...]]:
    """The function that an Op was made from, its static arguments, and its operands' names."""
    if isinstance(source, Source):
        return source.declaration.fn, source.static(), source.names()
    fn, static = source.fn, source.static
    parameters = inspect.signature(fn).parameters.values()
    names = [p.name for p in parameters if p.name not in static]
    return fn, static, tuple(names[: len(operands)])


def _arguments(call: Call) -> dict[str, Any]:
    """The arguments of an operation by name; several operands of one parameter are a tuple."""
    parameters = inspect.signature(call.fn).parameters
    arguments = {name: p.default for name, p in parameters.items() if p.default is not p.empty}
    arguments |= call.static
    for name, operand in zip(call.names, call.operands, strict=True):
        if parameters[name].kind is inspect.Parameter.VAR_POSITIONAL or isinstance(
            call.static.get(name), tuple
        ):
            arguments[name] = (*arguments[name], operand)
        else:
            arguments[name] = operand
    return {name: arguments[name] for name in parameters if name in arguments}  # in their order


def _refusal(call: Call, reason: str) -> NotImplementedError:
    return NotImplementedError(
        f"onnx.export: {_place(call)} cannot be written as ONNX: {reason} Write that part with "
        "other operations, or leave it out of the exported Module."
    )


def _node(onnx: Any, node: Node, final: dict[str, str]) -> Any:
    attributes = {
        name: _code(onnx, value) if isinstance(value, np.dtype) else value
        for name, value in node.attributes.items()
    }
    inputs, outputs = ([final.get(n, n) for n in names] for names in (node.inputs, node.outputs))
    return onnx.helper.make_node(node.op_type, inputs, outputs, node.name, **attributes)


def _code(onnx: Any, dtype: np.dtype[Any]) -> int:
    return onnx.helper.np_dtype_to_tensor_dtype(dtype)


def _package() -> Any:
    try:
        importlib.import_module("onnx.checker")
        return importlib.import_module("onnx")
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            'onnx.export needs the package onnx: pip install "lucid-jax[onnx]".'
        ) from None
