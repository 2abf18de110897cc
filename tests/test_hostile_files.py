"""Files that were made to harm, or damaged: refused by name, in bounded memory."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

import lucid
from lucid import Tensor

SUFFIXES = [".npz", ".safetensors"]
RNG = np.random.default_rng(0)
ROOT = Path(lucid.__file__).parents[1]


def npz_with_structure(path, structure):
    header = json.dumps({"structure": structure, "foreign": {}}).encode()
    np.savez(path, **{"lucid.structure": np.frombuffer(header, np.uint8), "x": np.ones(2, "f")})


def safetensors_with_structure(path, structure):
    from safetensors.numpy import save_file

    save_file({"x": np.ones(2, "f")}, path, metadata={"lucid.structure": structure})


@pytest.mark.parametrize("write", [npz_with_structure, safetensors_with_structure])
@pytest.mark.parametrize(("structure", "trouble"), [
    ("[" * 100_000 + "]" * 100_000, "RecursionError"),
    ('{"dict": 7}', 'unknown part "dict"'),
    ('{"tuple": "x"}', 'unknown part "tuple"'),
    ('{"dict": [["a", 1], ["a", 2]]}', 'it holds "a" twice'),
    ('{"tuple": [], "tuple": []}', "too many values"),
    ('{"dict": [[[], 1]]}', "unhashable"),
    ('{"array": ["x"]}', "unhashable"),
    ('{"array": "y"}', "y"),
    ('{"code": "x"}', 'unknown part "code"'),
    ("{}", "not enough values"),
    ("{", "JSONDecodeError"),
], ids=[
    "nesting", "dict", "tuple", "twice", "two", "key", "list", "absent", "kind", "empty", "cut",
])  # fmt: skip
def test_an_impossible_structure_is_refused(tmp_path, write, structure, trouble):
    path = tmp_path / ("c.npz" if write is npz_with_structure else "c.safetensors")
    write(path, '{"array": "x"}')
    assert lucid.load(path).tolist() == [1.0, 1.0]
    write(path, structure)
    with pytest.raises(ValueError, match=rf"^load: .*{path.name} is truncated.*{trouble}"):
        lucid.load(path)


def npy(claimed, dtype="<f4", data=bytes(8)):
    """A member whose header claims a shape, and what follows it."""
    member = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": claimed}
    np.lib.format.write_array_header_1_0(member, header)
    return member.getvalue() + data


@pytest.mark.parametrize(("member", "trouble"), [
    (npy((10**13,)), "claims 40000000000000 bytes of data and has 8"),
    (npy((3,)), "claims 12 bytes of data and has 8"),
    (npy((1,)), "claims 4 bytes of data and has 8"),
    (npy((1,), "|O"), "holds Python objects, which only code can load"),
    (npy((2,), "<U1"), "<U1 is not a valid JAX array type"),
    (npy((1,), "<i8", (2**40).to_bytes(8, "little")), "do not fit into int32"),
    (b"no array", "magic string"),
], ids=["huge", "larger", "smaller", "objects", "text", "int64", "foreign"])  # fmt: skip
def test_a_member_must_hold_what_it_claims(tmp_path, member, trouble):
    path = tmp_path / "c.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", member)
    with pytest.raises(ValueError, match=rf"^load: .*c\.npz is truncated.*{trouble}"):
        lucid.load(path)


def test_a_member_that_unpacks_to_very_much_is_refused(tmp_path):
    path = tmp_path / "c.npz"
    np.savez_compressed(path, x=np.zeros(5_000_000, np.float32))
    size = path.stat().st_size
    assert size < 30_000
    with pytest.raises(ValueError, match=(
        rf"c\.npz .* a file of {size} bytes that takes 40003756 bytes of memory, more than 10 "
        "times its size, is not read"
    )):  # fmt: skip
        lucid.load(path)
    np.savez_compressed(path, x=np.zeros(1_000_000, np.float32))  # little anyhow
    assert not lucid.load(path)["x"].numpy().any()


def test_members_of_one_name_are_refused(tmp_path):
    path = tmp_path / "c.npz"
    for second in ("x.npy", "x"):
        with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of zipfile
            archive.writestr("x.npy", npy((2,)))
            archive.writestr(second, npy((2,)))
        with pytest.raises(ValueError, match=r'^load: .*c\.npz is truncated.*it holds "x" twice'):
            lucid.load(path)


def test_a_save_that_load_would_refuse_is_refused(tmp_path):
    path = lucid.save({"n": 1}, tmp_path / "c.npz")
    many = [[] for _ in range(300_000)]
    with pytest.raises(ValueError, match=(
        r"^save: a file of 1200\d+ bytes that takes \d+ bytes of memory, more than 10 times its "
        r"size, is not read\. Save long lists of numbers as arrays\.$"
    )):  # fmt: skip
        lucid.save(many, path)
    assert lucid.load(path) == {"n": 1}
    assert list(tmp_path.iterdir()) == [path]
    assert lucid.load(lucid.save(list(range(300_000)), path)) == list(range(300_000))


@pytest.mark.parametrize(("header", "trouble"), [
    (b'{"x":{"dtype":"F32","shape":[1000],"data_offsets":[0,4000]}}', "SafetensorError"),
    (b'{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}', "SafetensorError"),
    (b"[" * 100_000, "SafetensorError"),
    (b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
     b'"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 'it holds "x" twice'),
    (b'{"__metadata__":{"a":"","a":""},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
     'it holds "a" twice'),
], ids=["longer than the file", "another shape", "nesting", "twice", "metadata"])  # fmt: skip
def test_a_header_must_fit_the_file(tmp_path, header, trouble):
    path = tmp_path / "c.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(ValueError, match=rf"^load: .*c\.safetensors is truncated.*{trouble}"):
        lucid.load(path)
    path.write_bytes((2**62).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(ValueError, match=r"^load: .*c\.safetensors is truncated.*SafetensorError"):
        lucid.load(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_random_damage_is_refused_by_name_or_harmless(tmp_path, suffix):
    saved = {"model": {"w": Tensor(RNG.standard_normal(8)), "h": Tensor([1.5], dtype="bfloat16")}}
    path = lucid.save({**saved, "n": [1, None, "text"]}, tmp_path / f"c{suffix}")
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), rng.integers(1, 4)):
            damaged[at] = rng.integers(256)
        if rng.random() < 0.3:
            del damaged[rng.integers(len(damaged)) :]
        path.write_bytes(damaged)
        try:
            loaded = lucid.load(path)
        except ValueError as error:
            assert str(error).startswith(f"load: {path} is truncated, corrupt or no file")
            refused += 1
        else:
            if suffix == ".npz":  # whose arrays have checksums
                assert list(loaded["model"]) == list(saved["model"])
                for name, tensor in saved["model"].items():
                    assert loaded["model"][name].dtype == tensor.dtype
                    np.testing.assert_array_equal(loaded["model"][name].numpy(), tensor.numpy())
    assert refused > 100


# --- Memory -----------------------------------------------------------------------------------

# Reads the peak of this process alone; what getrusage tells includes the parent's at the fork.
MEMORY = """
import os, re, sys
import jax, numpy as np
import lucid
path, size = sys.argv[1], 2**24
def kilobytes(kind):
    return int(re.search(kind + r":\\s+(\\d+)", open("/proc/self/status").read())[1])
def report():
    print((kilobytes("VmHWM") - before) * 1024 / (16 * size))
"""
SAVE = """
rng = np.random.default_rng(0)
state = {str(i): lucid.Tensor(rng.random(size // 4, "f")) for i in range(8)}
state |= {f"half {i}": state[str(i)].to("bfloat16") for i in range(8)}
state |= {f"other {i}": state[str(i)].to("float16") for i in range(8)}
jax.block_until_ready([value.data for value in state.values()])
before = kilobytes("VmRSS")
lucid.save(state, path)
report()
"""
LOAD = """
lucid.zeros(1)
before = kilobytes("VmRSS")
state = lucid.load(path)
jax.block_until_ready([value.data for value in state.values()])
assert sum(value.data.nbytes for value in state.values()) == 16 * size
report()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_large_checkpoints_are_not_held_twice(tmp_path, suffix):
    """256 MiB in 24 arrays of up to 16 MiB; of them some more may live at any time."""

    def peak(code):
        done = subprocess.run(
            [sys.executable, "-c", MEMORY + code, str(tmp_path / f"c{suffix}")],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": "."}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return float(done.stdout)

    assert peak(SAVE) < 0.3
    assert 0.9 < peak(LOAD) < 1.3


BOMB = """
lucid.zeros(1)
warm = os.path.join(os.path.dirname(path), "warm" + sys.argv[2])
lucid.load(lucid.save({"x": lucid.zeros(3)}, warm))
before = kilobytes("VmRSS")
try:
    lucid.load(path)
except ValueError:
    pass
print((kilobytes("VmHWM") - before) * 1024)
"""
N = 300_000
BOMBS = {
    "lists": "[" + "[]," * N + "[]]",
    "names": "[" + '{"array":"x"},' * N + '{"array":"x"}]',
    "keys": '{"dict":[' + ",".join(f'["{n:x}",0]' for n in range(N)) + "]}",
    "numbers": "[" + "-9," * N * 10 + "0]",
    "text": '["' + "\U0001f600" + "a" * 10 * N + '"]',
    "tuples": "[" + '{"tuple":[0]},' * N + "0]",
    "deep": "[" * 20_000 + "]" * 20_000,
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("write", [npz_with_structure, safetensors_with_structure])
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_structure_takes_no_more_memory_than_is_said(tmp_path, write, bomb):
    suffix = ".npz" if write is npz_with_structure else ".safetensors"
    path = tmp_path / f"c{suffix}"
    write(path, BOMBS[bomb])
    done = subprocess.run(
        [sys.executable, "-c", MEMORY + BOMB, str(path), suffix],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": "."}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < max(10 * path.stat().st_size, 2**24)
