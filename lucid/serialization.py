"""Checkpoints: nested dictionaries and lists of Tensors in files that run no code when loaded.

The format follows the suffix: `.npz` (NumPy's zip of arrays) or `.safetensors` (needs the
`safetensors` package). The nesting is stored beside the arrays as JSON; a flat dictionary of
Tensors keeps its names, so that other programs read the file as they read their own.
"""

from __future__ import annotations

import importlib
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lucid._tensor import Tensor

_STRUCTURE = "lucid.structure"


def save(obj: Any, path: str | os.PathLike[str]) -> Path:
    """Write a Tensor, a state_dict, or a nested checkpoint of both, whole or not at all.

    The file is written beside its place and moved there at the end: whenever the process dies, the
    old file or the new one is there. An array that is held twice, as by tied parameters, is
    written once.

    Args:
        obj: Tensors, arrays, numbers, strings, None, and dictionaries, lists and tuples of them.
        path: ends in `.npz` or `.safetensors`.

    Returns:
        The path.

    Raises:
        ValueError: the suffix is another one.
        TypeError: `obj` holds something else.
        ModuleNotFoundError: `.safetensors` without the `safetensors` package.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/model.npz"
    >>> saved = lucid.save({"model": nn.Linear(2, 1).state_dict(), "epoch": 3}, path)
    >>> lucid.load(path)["epoch"]
    3
    """
    path = Path(path)
    suffix = _suffix(path)
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    structure = _take_apart(obj, "", arrays, {})
    write = _write_npz if suffix == ".npz" else _write_safetensors
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        write(temporary, arrays, json.dumps(structure))
        _flush(temporary)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _flush(path.parent)
    return path


def load(path: str | os.PathLike[str]) -> Any:
    """Read what `save` wrote, or any `.safetensors` or `.npz` file of arrays, as Tensors.

    Loading runs no code of the file, and reads all of it or raises.

    Args:
        path: ends in `.npz` or `.safetensors`.

    Returns:
        What was saved, with a Tensor for each Tensor or array. A file of another program gives a
        dictionary of Tensors.

    Raises:
        ValueError: the file is truncated, corrupt or of another format; the message names it.
        FileNotFoundError: there is no such file.

    >>> import tempfile
    >>> lucid.load(lucid.save(Tensor([1.0, 2.0]), tempfile.mkdtemp() + "/x.npz"))
    Tensor([1., 2.])
    """
    path = Path(path)
    suffix = _suffix(path)
    if not path.is_file():
        raise FileNotFoundError(f"load: there is no file {path}.")
    try:
        arrays, text = (_read_npz if suffix == ".npz" else _read_safetensors)(path)
        if text is None:
            return {name: Tensor(array) for name, array in arrays.items()}
        return _put_together(json.loads(text), arrays, {})
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError, OSError, RecursionError) as error:
        raise ValueError(
            f"load: {path} is truncated, corrupt or no file of this format, and nothing was "
            f"loaded ({type(error).__name__}: {error})."
        ) from error


def _suffix(path: Path) -> str:
    if path.suffix not in (".npz", ".safetensors"):
        raise ValueError(f'a checkpoint ends in ".npz" or ".safetensors", got "{path.name}".')
    return path.suffix


def _flush(path: str | os.PathLike[str]) -> None:
    """Have the system put a file, or a directory's entries, onto the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- Structure --------------------------------------------------------------------------------
# In JSON, {"array": name} stands for an array, {"dict": [[key, value], ...]} for a dictionary,
# {"tuple": [...]} for a tuple, a list for a list, and plain values for themselves.


def _take_apart(
    obj: Any, name: str, arrays: dict[str, np.ndarray[Any, Any]], seen: dict[int, str]
) -> Any:
    """`obj` as JSON; its arrays go into `arrays` under their dotted names."""
    data = obj.data if isinstance(obj, Tensor) else obj
    if isinstance(data, (jax.Array, np.ndarray)):
        if id(data) not in seen:
            seen[id(data)] = name or "tensor"
            arrays[name or "tensor"] = np.asarray(data)
        return {"array": seen[id(data)]}
    if obj is None or isinstance(obj, (bool, int, float, str)):
        return obj
    if isinstance(obj, np.generic):
        return obj.item()
    if isinstance(obj, Mapping):
        pairs = []
        for key, value in obj.items():
            if not isinstance(key, (str, int)):
                raise TypeError(f"save: a key must be a string or an integer, got {key!r}.")
            pairs.append([key, _take_apart(value, _join(name, key), arrays, seen)])
        return {"dict": pairs}
    if isinstance(obj, (list, tuple)):
        items = [_take_apart(v, _join(name, i), arrays, seen) for i, v in enumerate(obj)]
        return items if isinstance(obj, list) else {"tuple": items}
    raise TypeError(
        f"save: a checkpoint holds Tensors, arrays, numbers, strings, None, dictionaries, lists "
        f'and tuples; got {type(obj).__name__} at "{name}".'
    )


def _join(name: str, key: object) -> str:
    return f"{name}.{key}" if name else str(key)


def _put_together(
    node: Any, arrays: Mapping[str, np.ndarray[Any, Any]], made: dict[str, Tensor]
) -> Any:
    if isinstance(node, list):
        return [_put_together(item, arrays, made) for item in node]
    if not isinstance(node, dict):
        return node
    ((kind, value),) = node.items()
    if kind == "array":
        if value not in made:
            made[value] = Tensor(arrays[value])
        return made[value]
    if kind == "tuple":
        return tuple(_put_together(item, arrays, made) for item in value)
    if kind == "dict":
        return {key: _put_together(item, arrays, made) for key, item in value}
    raise ValueError(f'unknown part "{kind}" in the structure')


# --- Formats ----------------------------------------------------------------------------------


def _write_npz(path: str, arrays: Mapping[str, Any], structure: str) -> None:
    # NumPy's format knows no bfloat16: such arrays are stored as bytes, dtype and shape beside.
    foreign = {n: [str(a.dtype), a.shape] for n, a in arrays.items() if a.dtype.kind == "V"}
    stored = {
        n: np.frombuffer(a.tobytes(), np.uint8) if n in foreign else a for n, a in arrays.items()
    }
    header = json.dumps({"structure": structure, "foreign": foreign}).encode()
    # As numpy.savez does it, which cannot take every name as a keyword.
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in {_STRUCTURE: np.frombuffer(header, np.uint8), **stored}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def _read_npz(path: Path) -> tuple[dict[str, Any], str | None]:
    with zipfile.ZipFile(path) as archive:
        claimed = sum(member.file_size for member in archive.infolist())
        compressed = sum(member.compress_size for member in archive.infolist())
        if claimed > 1000 * max(compressed, 1):
            raise ValueError(f"it claims to unpack to {claimed} bytes")
        damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"the part {damaged} is damaged")
    with np.load(path, allow_pickle=False) as file:
        names = [name for name in file.files if name != _STRUCTURE]
        if len(names) == len(file.files):
            return {name: file[name] for name in names}, None
        header = json.loads(file[_STRUCTURE].tobytes())
        arrays = {}
        for name in names:
            arrays[name] = file[name]
            if name in header["foreign"]:
                dtype, shape = header["foreign"][name]
                arrays[name] = np.frombuffer(arrays[name].tobytes(), dtype).reshape(shape)
        return arrays, header["structure"]


def _write_safetensors(path: str, arrays: Mapping[str, Any], structure: str) -> None:
    numpy_format = _safetensors().numpy
    # The writer takes the memory as it lies, so an array must lie in row-major order.
    contiguous = {name: np.ascontiguousarray(a).reshape(a.shape) for name, a in arrays.items()}
    numpy_format.save_file(contiguous, path, metadata={_STRUCTURE: structure})


def _read_safetensors(path: Path) -> tuple[dict[str, Any], str | None]:
    package = _safetensors()
    try:
        with package.safe_open(path, framework="numpy") as file:
            names, metadata = list(file.keys()), file.metadata() or {}
            return {name: file.get_tensor(name) for name in names}, metadata.get(_STRUCTURE)
    except package.SafetensorError as error:
        raise ValueError(str(error)) from error


def _safetensors() -> Any:
    try:
        importlib.import_module("safetensors.numpy")
        return importlib.import_module("safetensors")
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "a .safetensors file needs the package safetensors: pip install safetensors. "
            "A .npz file needs nothing more."
        ) from None
