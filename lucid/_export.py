"""Modules as files that run without their Python code: StableHLO, written and read by `jax.export`.

A file is what `jax.export` serializes, followed by a digest of it and a mark. JAX's reader takes
such a file too: it does not look past its own part.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.export
import numpy as np
from jax.interpreters import mlir

from lucid import func
from lucid._core.arrays import as_array
from lucid._core.errors import JitError, user_line
from lucid._core.files import write_whole
from lucid._core.mode import no_grad
from lucid._core.tensor import Tensor
from lucid.nn.module import Module

PLATFORMS = ("cpu", "cuda", "tpu")
_MARK = b"lucid.export.1\n"
_DIGEST = hashlib.sha256().digest_size
_TRUST = "Such a file is code: load only one from a source that you trust."
_PATIENCE = 300  # seconds for a program that is tried in a process of its own


class ExportedModule:
    """A Module read from a file by `load_exported`; call it like the Module.

    It takes Tensors or arrays, and returns Tensors if it got a Tensor and else jax arrays. The
    results are not recorded: gradients stop here. A call compiles once for each input shape.
    """

    def __init__(self, exported: jax.export.Exported) -> None:
        self._exported = exported
        self._call = jax.jit(exported.call)

    @property
    def name(self) -> str:
        """The name of the class of the Module."""
        return self._exported.fun_name

    @property
    def platforms(self) -> tuple[str, ...]:
        """Where it runs."""
        return tuple(self._exported.platforms)

    @property
    def in_shapes(self) -> tuple[tuple[int | str, ...], ...]:
        """The shape of each input; a size of any value has a name instead of a number."""
        return tuple(map(_shape, self._exported.in_avals))

    def __call__(self, *args: Any) -> Any:
        """What the Module computes in evaluation mode.

        Raises:
            TypeError: the number or the dtype of the inputs is another one than in the file.
            ValueError: so is a shape.
        """
        arrays = [as_array(x.data if isinstance(x, Tensor) else x) for x in args]
        self._check(arrays)
        result = self._call(*arrays)
        return jax.tree.map(Tensor, result) if any(isinstance(x, Tensor) for x in args) else result

    def _check(self, arrays: list[jax.Array]) -> None:
        expected = self._exported.in_avals
        if len(arrays) != len(expected):
            raise TypeError(f"{self.name}: {len(expected)} inputs are needed, got {len(arrays)}.")
        sizes: dict[str, int] = {}
        for i, (array, aval) in enumerate(zip(arrays, expected, strict=True)):
            if array.dtype != aval.dtype:
                raise TypeError(
                    f"{self.name}: input {i} must have dtype {aval.dtype}, got {array.dtype}. "
                    "Convert it with astype."
                )
            shape = _shape(aval)
            if len(shape) != array.ndim or not all(
                n == (sizes.setdefault(size, n) if isinstance(size, str) else size) and n > 0
                for n, size in zip(array.shape, shape, strict=True)
            ):
                raise ValueError(
                    f"{self.name}: input {i} must have shape {_text(shape)}, got {array.shape}. A "
                    "size with a name is the same in all inputs, and at least 1."
                )

    def __repr__(self) -> str:
        sides = [
            ", ".join(f"{_text(_shape(aval))} {aval.dtype}" for aval in avals)
            for avals in (self._exported.in_avals, self._exported.out_avals)
        ]
        return f"ExportedModule({self.name}: {' -> '.join(sides)}; {', '.join(self.platforms)})"


def export(
    module: Module, example: Any, path: str | os.PathLike[str], *, dynamic_batch: bool = False
) -> Path:
    """Write a Module in evaluation mode as a program for CPU, CUDA and TPU at once.

    The file holds StableHLO with the Parameters and Buffers as constants, and needs neither the
    Module's class nor its weights to run; see `load_exported`. It is written whole or not at all.
    The Module stays as it was. What its forward pass writes into Buffers is dropped.

    Compatibility is that of `jax.export`: a file runs with a jaxlib that was released up to 6
    months later than the one that wrote it, or up to 3 weeks earlier. Beyond that it may be
    refused, so keep a checkpoint too.

    Args:
        module: the Module.
        example: its input, or a tuple of several; only shapes and dtypes matter.
        path: of any suffix; ".stablehlo" says what it is.
        dynamic_batch: let axis 0 of all inputs have any size, the same for all of them. On CPU the
            convolutions are then XLA's own, which are slower than those for a known batch.

    Returns:
        The path.

    Raises:
        ValueError: with `dynamic_batch`, the inputs have no common axis 0.
        TypeError: the Module returns something else than Tensors in tuples, lists and
            dictionaries with strings as keys.
        JitError: the forward pass needs the value of a Tensor, or draws random numbers.
        OSError: the file cannot be written; the message ends in the path.
        ModuleNotFoundError: the package flatbuffers, which JAX writes with, is not installed.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/classifier.stablehlo"
    >>> path = lucid.export(nn.Linear(3, 2), lucid.zeros(1, 3), path, dynamic_batch=True)
    >>> classifier = lucid.load_exported(path)
    >>> classifier
    ExportedModule(Linear: (batch, 3) float32 -> (batch, 2) float32; cpu, cuda, tpu)
    >>> classifier(lucid.zeros(5, 3)).shape
    (5, 2)
    """
    _require_flatbuffers()
    path = Path(path)
    name = type(module).__name__
    # Host arrays are constants of no device, however the Module's own are placed.
    state = jax.device_get(func.state_of(module))

    def forward(*inputs: jax.Array) -> Any:
        return func.functional_call(module, state, *inputs)

    forward.__name__ = forward.__qualname__ = name
    inputs = _specs(example, dynamic_batch)
    try:
        with _evaluation(module), no_grad():
            exported = jax.export.export(jax.jit(forward), platforms=PLATFORMS)(*inputs)
    except jax.errors.ConcretizationTypeError as error:
        raise JitError(
            f"export: {user_line(error.__traceback__)} needs the value of a Tensor, which a file "
            "for all inputs does not have. Choose with lucid.where."
        ) from error
    except Exception as error:
        if dynamic_batch:
            error.add_note(
                f"export: the batch of this {name} is a symbol. If its code needs the number, as "
                "in a comparison, export it with dynamic_batch=False."
            )
        raise
    try:
        program = bytes(exported.serialize())
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"export: {name} must return Tensors, in tuples, lists and dictionaries with strings "
            f"as keys ({error})."
        ) from error
    write_whole(path, lambda temporary: Path(temporary).write_bytes(_seal(program)))
    return path


def load_exported(path: str | os.PathLike[str], *, verify: str = "module") -> ExportedModule:
    """Read what `export` wrote, without the Python code of the Module.

    A .stablehlo file is code: load only one from a source that you trust. The digest in it tells
    damage, not malice. Before anything runs, the program is parsed and verified by MLIR; XLA, which
    compiles it at the first call, may still end the process over one that was made for that.

    Args:
        path: of the file.
        verify: "module" parses and verifies the program in this process; "process" first has
            another process do so and run it on the CPU with zeros (a size of any value is 1), which
            takes seconds, and after which what ends a process ends only that one.

    Returns:
        A callable, with `in_shapes` and `platforms`.

    Raises:
        ValueError: the file is truncated, damaged, of another kind, too old or too new for this
            JAX (see `export`), no valid program, or it failed in the process that tried it. The
            message names it. Or `verify` is another word.
        FileNotFoundError: there is no such file.
        ModuleNotFoundError: the package flatbuffers, which JAX reads with, is not installed.

    >>> import tempfile
    >>> path = lucid.export(nn.ReLU(), lucid.zeros(3), tempfile.mkdtemp() + "/relu.stablehlo")
    >>> relu = lucid.load_exported(path)
    >>> relu(Tensor([-1.0, 0.0, 2.0]))
    Tensor([0., 0., 2.])
    >>> relu.in_shapes, relu.platforms
    (((3,),), ('cpu', 'cuda', 'tpu'))
    """
    if verify not in ("module", "process"):
        raise ValueError(f'load_exported: verify must be "module" or "process", got {verify!r}.')
    _require_flatbuffers()
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"load_exported: there is no file {path}.")
    program = _unseal(path, path.read_bytes())
    if verify == "process":
        _try_in_a_process(path, program)
    try:
        return ExportedModule(_parse(program))
    except Exception as error:  # whatever JAX raises for a program of another time
        raise ValueError(
            f"load_exported: {path} is whole, but JAX {jax.__version__} cannot read it "
            f"({type(error).__name__}: {error}). Export the Module anew. {_TRUST}"
        ) from error


def _parse(program: bytes) -> jax.export.Exported:
    exported = jax.export.deserialize(bytearray(program))
    with mlir.make_ir_context():
        mlir.ir.Module.parse(exported.mlir_module()).operation.verify()
    return exported


def _try_in_a_process(path: Path, program: bytes) -> None:
    child = [sys.executable, "-c", "from lucid import _export; _export._try_standard_input()"]
    found = os.pathsep.join(filter(None, sys.path))
    try:
        done = subprocess.run(
            child, input=program, capture_output=True, timeout=_PATIENCE, check=False,
            env=os.environ | {"PYTHONPATH": found, "JAX_PLATFORMS": "cpu"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        trouble = f"it did not end within {_PATIENCE} seconds"
    else:
        if done.returncode == 0:
            return
        if done.returncode < 0:
            trouble = f"{signal.Signals(-done.returncode).name} ended it"
        else:
            trouble = (done.stderr.decode(errors="replace").strip().splitlines() or ["no word"])[-1]
    raise ValueError(
        f"load_exported: {path} failed in the process that tried it, and is not loaded "
        f"({trouble}). {_TRUST}"
    )


def _try_standard_input() -> None:
    exported = ExportedModule(_parse(sys.stdin.buffer.read()))
    shapes = [tuple(1 if isinstance(n, str) else n for n in s) for s in exported.in_shapes]
    dtypes = [aval.dtype for aval in exported._exported.in_avals]
    jax.block_until_ready(exported(*map(np.zeros, shapes, dtypes)))


def _specs(example: Any, dynamic_batch: bool) -> list[jax.ShapeDtypeStruct]:
    """The inputs without their values, and with a symbol for the batch if that is dynamic."""
    given = example if isinstance(example, (tuple, list)) else [example]
    arrays = [as_array(x.data if isinstance(x, Tensor) else x) for x in given]
    batch: Any = ()
    if dynamic_batch:
        if len({x.shape[:1] for x in arrays} - {()}) != 1 or any(x.ndim == 0 for x in arrays):
            raise ValueError(
                "export: dynamic_batch needs inputs with a common axis 0, got shapes "
                f"{[x.shape for x in arrays]}."
            )
        batch = jax.export.symbolic_shape("batch")
    return [jax.ShapeDtypeStruct((*batch, *x.shape[len(batch) :]), x.dtype) for x in arrays]


@contextlib.contextmanager
def _evaluation(module: Module) -> Iterator[None]:
    """Evaluation mode for a while; each Module below has a mode of its own."""
    modes = [(each, each.training) for each in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for each, training in modes:
            each.training = training


def _seal(program: bytes) -> bytes:
    return program + hashlib.sha256(program).digest() + _MARK


def _unseal(path: Path, content: bytes) -> bytes:
    if not content.endswith(_MARK):
        raise ValueError(f"load_exported: {path} is truncated, or no file that export wrote.")
    end = len(content) - len(_MARK)
    program, digest = content[: end - _DIGEST], content[end - _DIGEST : end]
    if hashlib.sha256(program).digest() != digest:
        raise ValueError(
            f"load_exported: {path} is damaged: its digest is another one. Get it anew. {_TRUST}"
        )
    return program


def _require_flatbuffers() -> None:
    try:
        importlib.import_module("flatbuffers")
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "exported files need the package flatbuffers: pip install lucid-jax[export]."
        ) from None


def _shape(aval: Any) -> tuple[int | str, ...]:
    return tuple(n if isinstance(n, int) else str(n) for n in aval.shape)


def _text(shape: tuple[int | str, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
