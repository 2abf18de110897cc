"""Checkpoints: nested dictionaries and lists of Tensors in files that run no code when loaded.

The format follows the suffix: `.npz` (NumPy's zip of arrays) or `.safetensors` (needs the
`safetensors` package). The nesting is stored beside the arrays as JSON; a flat dictionary of
Tensors keeps its names, so that other programs read the file as they read their own.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import math
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lucid._core import spread
from lucid._core.arrays import from_host
from lucid._core.files import write_whole
from lucid._core.misuse import told
from lucid._core.mode import lock
from lucid._core.tensor import Tensor

_STRUCTURE = "lucid.structure"
# A file may take this many times its size in memory, or what is little anyhow.
_LARGEST_RATIO, _LITTLE = 10, 2**24
# About what a Tensor takes beside its values, and what a mark of JSON stands for: a list or a
# dictionary, half a string, a number with its place in a list.
_PER_TENSOR, _PER_MARK = 3500, {b"[": 88, b"{": 88, b'"': 30, b",": 36}


def save(obj: Any, path: str | os.PathLike[str], safetensors: bool = False) -> Path:
    """Write a Tensor, a state_dict, or a nested checkpoint of both, whole or not at all.

    A Module, an optimizer or whatever else has a `state_dict` is written as that. So one call
    takes a model and its optimizer together, of one step, also while another thread trains.

    The file is written beside its place and moved there at the end: whenever the process dies, the
    old file or the new one is there. What a killed save left besides, the next one to the same path
    sweeps away, if the file system has locks. A link is followed, and a file that exists keeps its
    mode. An array that is held twice, as by tied parameters, is written once. Arrays in the memory
    of the CPU are written from where they lie.

    Several processes call it together, with equal paths: process 0 gathers and writes, and all
    return when the file is there.

    Args:
        obj: Tensors, arrays, numbers, strings, None, what has a `state_dict`, and dictionaries,
            lists and tuples of them.
        path: ends in `.npz` or `.safetensors`.
        safetensors: write to `path` with the suffix `.safetensors`, whatever its own is.

    Returns:
        The path of the file.

    Raises:
        ValueError: the suffix is another one, `obj` holds itself, or `load` would refuse the file
            for the memory that it takes: there are very many small objects and few large arrays.
        TypeError: `obj` holds something else, or a dtype that the format does not know.
        OSError: the file cannot be written; the message ends in the path.
        ModuleNotFoundError: `.safetensors` without the `safetensors` package.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/model.npz"
    >>> saved = lucid.save({"model": nn.Linear(2, 1).state_dict(), "epoch": 3}, path)
    >>> lucid.load(path)["epoch"]
    3
    """
    path = Path(path).with_suffix(".safetensors") if safetensors else Path(path)
    suffix = _suffix(path)
    arrays: dict[str, Any] = {}
    try:
        with lock:  # all of one step
            structure = json.dumps(_take_apart(obj, "", arrays, {}, {}))
    except RecursionError:
        raise ValueError(
            "save: the checkpoint holds itself, or is nested too deeply. Pass a flatter one."
        ) from None

    def write(temporary: str) -> None:
        (_write_npz if suffix == ".npz" else _write_safetensors)(temporary, arrays, structure)
        try:
            with _open(Path(temporary), suffix):
                pass
        except ValueError as error:
            raise ValueError(f"save: {error}. Save long lists of numbers as arrays.") from None

    if spread.several():
        first = jax.process_index() == 0
        spread.agree(f"save of {len(arrays)} arrays to {path.name}")
        for name, array in arrays.items():
            values = spread.whole(array)
            arrays[name] = values if first else None
        spread.by_first("save", lambda: write_whole(path, write))
    else:
        write_whole(path, write)
    return path


@told
def load(path: str | os.PathLike[str]) -> Any:
    """Read what `save` wrote, or any `.safetensors` or `.npz` file of arrays, as Tensors.

    Loading runs no code of the file, and reads all of it or raises. Arrays are read one by one, so
    it needs the memory of the Tensors and once more that of the largest: at most ten times the size
    of the file, or 16 MiB if that is more.

    Args:
        path: ends in `.npz` or `.safetensors`.

    Returns:
        What was saved, with a Tensor for each Tensor or array. A file of another program gives a
        dictionary of Tensors.

    Raises:
        ValueError: the file is truncated, corrupt, of another format, holds a name twice, or takes
            more memory than that; the message names it and says what is wrong.
        FileNotFoundError: there is no such file.
        OSError: it cannot be read.
        ModuleNotFoundError: `.safetensors` without the `safetensors` package.

    >>> import tempfile
    >>> lucid.load(lucid.save(Tensor([1.0, 2.0]), tempfile.mkdtemp() + "/x.npz"))
    Tensor([1., 2.])
    """
    path = Path(path)
    suffix = _suffix(path)
    if not path.is_file():
        raise FileNotFoundError(f"load: there is no file {path}.")
    path.open("rb").close()  # what the system says of a file that is closed to this user
    try:
        with _open(path, suffix) as file:
            # Each array becomes a Tensor before the next one is read.
            array = functools.cache(lambda name: from_host(file.read(name)))
            if file.structure is None:
                return {name: Tensor(array(name)) for name in file.names}
            return _put_together(file.structure, lambda name: Tensor(array(name)))
    except ModuleNotFoundError:
        raise
    except Exception as error:  # whatever zipfile, json and NumPy make of damaged bytes
        raise ValueError(
            f"load: {path} is truncated, corrupt or no file that can be loaded, and nothing was "
            f"loaded ({type(error).__name__}: {error})."
        ) from error


def _suffix(path: Path) -> str:
    if path.suffix in (".pth", ".pt"):
        raise ValueError(
            f'a checkpoint ends in ".npz" or ".safetensors", got "{path.name}". PyTorch reads its '
            f'own files: safetensors.torch.save_file(torch.load("{path.name}"), '
            f'"{path.stem}.safetensors"), then lucid.load.'
        )
    if path.suffix not in (".npz", ".safetensors"):
        raise ValueError(f'a checkpoint ends in ".npz" or ".safetensors", got "{path.name}".')
    return path.suffix


# --- Structure --------------------------------------------------------------------------------
# In JSON, {"array": name} stands for a Tensor of an array, {"other": [name, number]} for another
# Tensor of that array, {"dict": [[key, value], ...]} for a dictionary, {"tuple": [...]} for a
# tuple, a list for a list, and plain values for themselves.


def _take_apart(
    obj: Any,
    name: str,
    arrays: dict[str, Any],
    seen: dict[int, str],
    tensors: dict[int, tuple[Any, Any]],
) -> Any:
    """`obj` as JSON; its arrays go into `arrays` under their dotted names.

    `seen` has the names by array, `tensors` has each Tensor, so that it lives on, and its JSON.
    """
    if callable(getattr(obj, "state_dict", None)):
        obj = obj.state_dict()
    data = obj.data if isinstance(obj, Tensor) else obj
    if isinstance(data, (jax.Array, np.ndarray)) and _is_number(data.dtype):
        if id(obj) not in tensors:
            if id(data) in seen:
                part: Any = {"other": [seen[id(data)], len(tensors)]}
            else:
                seen[id(data)] = unused = _unused(name, arrays)
                arrays[unused] = data
                part = {"array": unused}
            tensors[id(obj)] = obj, part
        return tensors[id(obj)][1]
    if obj is None or isinstance(obj, (bool, int, float, str)):
        return obj
    if isinstance(obj, np.generic) and isinstance(obj.item(), (bool, int, float, str)):
        return obj.item()
    if isinstance(obj, Mapping):
        pairs = []
        for key, value in obj.items():
            if not isinstance(key, (str, int)):
                raise TypeError(f"save: a key must be a string or an integer, got {key!r}.")
            pairs.append([key, _take_apart(value, _join(name, key), arrays, seen, tensors)])
        return {"dict": pairs}
    if isinstance(obj, (list, tuple)):
        items = [_take_apart(v, _join(name, i), arrays, seen, tensors) for i, v in enumerate(obj)]
        return items if isinstance(obj, list) else {"tuple": items}
    of_dtype = f" of dtype {obj.dtype}" if hasattr(obj, "dtype") else ""
    raise TypeError(
        f"save: a checkpoint holds Tensors, arrays, numbers, strings, None, dictionaries, lists "
        f'and tuples; got {type(obj).__name__}{of_dtype} at "{name}".'
    )


def _is_number(dtype: Any) -> bool:
    return any(jnp.issubdtype(dtype, kind) for kind in (np.number, np.bool_))


def _unused(name: str, arrays: Mapping[str, Any]) -> str:
    """A name like `name` that is free in a file: {"a": {"b": x}} and {"a.b": x} differ."""
    name = name.replace("\0", "_") or "tensor"
    while name in arrays or name in (_STRUCTURE, "__metadata__"):
        name += "_"
    return name


def _join(name: str, key: object) -> str:
    return f"{name}.{key}" if name else str(key)


def _put_together(structure: str, make: Callable[[str], Tensor]) -> Any:
    firsts: dict[str, Tensor] = {}
    others: dict[int, Tensor] = {}

    def part(pairs: list[tuple[str, Any]]) -> Any:
        ((kind, value),) = pairs
        if kind == "array":
            if value not in firsts:
                firsts[value] = make(value)
            return firsts[value]
        if kind == "other":
            of, number = value
            if number not in others:
                others[number] = make(of)
            return others[number]
        if kind not in ("tuple", "dict") or not isinstance(value, list):
            raise ValueError(f'unknown part "{kind}" in the structure')
        return tuple(value) if kind == "tuple" else _without_repeats(value)

    # Each part is made as soon as it is read, so that its JSON does not live on beside it.
    return json.loads(structure, object_pairs_hook=part)


def _without_repeats(pairs: list[Any]) -> dict[Any, Any]:
    seen: dict[Any, Any] = {}
    for key, value in pairs:
        if key in seen:
            raise ValueError(f'it holds "{key}" twice')
        seen[key] = value
    return seen


# --- Formats ----------------------------------------------------------------------------------


class _File(NamedTuple):
    """An open file of arrays."""

    names: list[str]
    structure: str | None  # as JSON; None in a file of another program
    read: Callable[[str], np.ndarray[Any, Any]]


def _open(path: Path, suffix: str) -> contextlib.AbstractContextManager[_File]:
    return (_open_npz if suffix == ".npz" else _open_safetensors)(path)


def _refuse_bomb(path: Path, sizes: list[int], structure: bytes = b"") -> None:
    """Raise if arrays of these sizes and a structure take far more memory than the file."""
    size = path.stat().st_size
    needed = sum(sizes) + max(sizes, default=0) + _PER_TENSOR * len(sizes)
    # Text of any language takes up to four bytes a character, and is held more than once.
    needed += len(structure) * (1 if structure.isascii() else 10)
    needed += sum(cost * structure.count(mark) for mark, cost in _PER_MARK.items())
    if needed > max(_LARGEST_RATIO * size, _LITTLE):
        raise ValueError(
            f"a file of {size} bytes that takes {needed} bytes of memory, more than "
            f"{_LARGEST_RATIO} times its size, is not read"
        )


def _write_npz(path: str, arrays: Mapping[str, Any], structure: str) -> None:
    # NumPy's format knows its own dtypes (isbuiltin 0 or 1), but not bfloat16 (2): such arrays are
    # stored as bytes, dtype and shape beside.
    foreign = {
        n: [a.dtype.name, a.shape] for n, a in arrays.items() if np.dtype(a.dtype).isbuiltin == 2
    }
    header = json.dumps({"structure": structure, "foreign": foreign}).encode()
    # As numpy.savez does it, which cannot take every name as a keyword.
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in {_STRUCTURE: np.frombuffer(header, np.uint8), **arrays}.items():
            host = np.asarray(array)
            if name in foreign:
                host = np.ascontiguousarray(host).reshape(-1).view(np.uint8)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, host, allow_pickle=False)


@contextlib.contextmanager
def _open_npz(path: Path) -> Iterator[_File]:
    with zipfile.ZipFile(path) as archive:
        sizes = [member.file_size for member in archive.infolist()]
        _refuse_bomb(path, sizes)
        members = _without_repeats(
            [(m.filename.removesuffix(".npy"), m) for m in archive.infolist()]
        )
        foreign: dict[str, Any] = {}

        def read(name: str) -> np.ndarray[Any, Any]:
            array = _read_member(archive, members[name])
            if name not in foreign:
                return array
            dtype, shape = foreign[name]
            return array.view(dtype).reshape(shape)

        if _STRUCTURE not in members:
            yield _File(list(members), None, read)
        else:
            content = read(_STRUCTURE).tobytes()
            _refuse_bomb(path, sizes, content)
            header = json.loads(content)
            del content
            foreign.update(header["foreign"])
            yield _File(list(members), header["structure"], read)


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray[Any, Any]:
    """One array, whose header must claim just the bytes that are there."""
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        read_header = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read_header = np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(member)
        claimed, present = math.prod(shape) * dtype.itemsize, info.file_size - member.tell()
    if dtype.hasobject:
        raise ValueError(f'"{info.filename}" holds Python objects, which only code can load')
    if claimed != present:
        raise ValueError(f'"{info.filename}" claims {claimed} bytes of data and has {present}')
    # Opened anew, since a member that was rewound does not compare its checksum.
    with archive.open(info) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


_IN_SAFETENSORS = {
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
    "float16", "bfloat16", "float32", "float64", "complex64",
}  # fmt: skip


def _write_safetensors(path: str, arrays: Mapping[str, Any], structure: str) -> None:
    numpy_format = _safetensors().numpy
    for name, array in arrays.items():
        if array.dtype.name not in _IN_SAFETENSORS:
            raise TypeError(
                f'save: a .safetensors file holds no {array.dtype.name}, the dtype of "{name}". '
                "Save it as .npz or in another dtype."
            )
    # The writer takes the memory as it lies, so an array must lie in row-major order.
    contiguous = {name: np.ascontiguousarray(a).reshape(a.shape) for name, a in arrays.items()}
    try:
        numpy_format.save_file(contiguous, path, metadata={_STRUCTURE: structure})
    except _safetensors().SafetensorError as error:  # also for a full disk
        number = re.search(r"\(os error (\d+)\)$", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


@contextlib.contextmanager
def _open_safetensors(path: Path) -> Iterator[_File]:
    # Not mapped into memory: the pages of a mapped file would count beside the Tensors.
    with _safetensors().safe_open(path, framework="numpy", backend="pread") as file:
        names = list(file.keys())
        # Of a name that comes twice the package takes the last.
        with path.open("rb") as raw:
            header = raw.read(int.from_bytes(raw.read(8), "little"))
        _refuse_bomb(path, [], header)
        entries = json.loads(header, object_pairs_hook=_without_repeats)
        ends = [entries[name]["data_offsets"] for name in names]
        _refuse_bomb(path, [end - start for start, end in ends], header)
        del header, entries, ends
        structure = (file.metadata() or {}).get(_STRUCTURE)
        yield _File(names, structure, file.get_tensor)


def _safetensors() -> Any:
    try:
        importlib.import_module("safetensors.numpy")
        return importlib.import_module("safetensors")
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "a .safetensors file needs the package safetensors: pip install safetensors. "
            "A .npz file needs nothing more."
        ) from None
