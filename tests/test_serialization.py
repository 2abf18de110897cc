"""Files: what goes in comes out, or nothing does; a killed writer leaves a whole file."""

import errno
import io
import json
import os
import subprocess
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn, optim
from lucid._core.files import write_whole

SUFFIXES = [".npz", ".safetensors"]
RNG = np.random.default_rng(0)
ROOT = Path(__file__).parents[1]


def checkpoint():
    shared = Tensor(RNG.standard_normal((2, 3)))
    return {
        "model": {"a.weight": shared, "b.weight": shared, "count": Tensor(3)},
        "half": Tensor(RNG.standard_normal((4,)), dtype="bfloat16"),
        "file": Tensor(1.5, dtype="bfloat16"),
        "optimizer": {"state": {0: {"step": Tensor(7)}}, "param_groups": [{"betas": (0.5, 0.9)}]},
        "empty": Tensor(np.zeros((0, 3))),
        "flags": [True, None, "text", 1.5, -2],
        "host": np.arange(4, dtype=np.int32),
    }


def assert_same(a, b):
    if isinstance(a, (Tensor, np.ndarray)):
        assert isinstance(b, Tensor)
        assert (np.asarray(a).dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(np.asarray(a), b.numpy())
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert type(a) is type(b) and len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert type(a) is type(b) and a == b


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_nested_checkpoint_comes_back(tmp_path, suffix):
    saved = checkpoint()
    path = lucid.save(saved, tmp_path / f"c{suffix}")
    loaded = lucid.load(path)
    assert_same(saved, loaded)
    assert loaded["model"]["a.weight"] is loaded["model"]["b.weight"]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_model_and_its_optimizer_go_on_where_they_were(tmp_path, suffix):
    x = Tensor(RNG.standard_normal((5, 3)))

    def made():
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        return model, optim.Adam(model.parameters(), lr=0.1)

    def step(model, optimizer):
        optimizer.zero_grad()
        (model(x) ** 2).mean().backward()
        optimizer.step()

    model, optimizer = made()
    step(model, optimizer)
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    path = lucid.save(state, tmp_path / f"c{suffix}")
    step(model, optimizer)
    other, other_optimizer = made()
    loaded = lucid.load(path)
    other.load_state_dict(loaded["model"])
    other_optimizer.load_state_dict(loaded["optimizer"])
    step(other, other_optimizer)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), other.state_dict()[name].numpy())


def test_a_file_of_another_program_gives_its_tensors(tmp_path):
    from safetensors.numpy import save_file

    weight = RNG.standard_normal((2, 2)).astype("f")
    save_file({"layer.weight": weight}, tmp_path / "other.safetensors")
    np.savez(tmp_path / "other.npz", weight=weight)
    loaded = lucid.load(tmp_path / "other.safetensors")
    np.testing.assert_array_equal(loaded["layer.weight"].numpy(), weight)
    np.testing.assert_array_equal(lucid.load(tmp_path / "other.npz")["weight"].numpy(), weight)


def test_a_flat_state_keeps_its_names_in_the_file(tmp_path):
    from safetensors.numpy import load_file

    model = nn.Linear(3, 2)
    path = lucid.save(model.state_dict(), tmp_path / "m.safetensors")
    found = load_file(path)
    assert sorted(found) == ["bias", "weight"]
    np.testing.assert_array_equal(found["weight"], model.weight.numpy())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_damaged_file_is_refused_by_name(tmp_path, suffix):
    path = lucid.save(checkpoint(), tmp_path / f"c{suffix}")
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:7], b"", b"no file of this kind" * 20):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"load: .*c\{suffix} is truncated, corrupt or no"):
            lucid.load(path)


def test_a_changed_byte_in_an_array_is_noticed(tmp_path):
    path = lucid.save({"x": Tensor(RNG.standard_normal(100))}, tmp_path / "c.npz")
    content = bytearray(path.read_bytes())
    at = content.index(b"x.npy") + 300
    content[at] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=r"c\.npz is truncated, corrupt"):
        lucid.load(path)


def test_pickled_objects_are_not_loaded(tmp_path):
    np.savez(tmp_path / "evil.npz", x=np.array([object()], dtype=object))
    with pytest.raises(ValueError, match=r"evil\.npz is truncated, corrupt or no file"):
        lucid.load(tmp_path / "evil.npz")


def test_what_cannot_be_saved_leaves_the_old_file(tmp_path):
    path = lucid.save({"x": Tensor([1.0])}, tmp_path / "c.npz")
    before = path.read_bytes()
    with pytest.raises(TypeError, match=r'save: .* got function at "model\.act"'):
        lucid.save({"model": {"act": jnp.tanh.__wrapped__}}, path)
    assert path.read_bytes() == before
    with pytest.raises(TypeError, match=r"save: a key must be a string or an integer, got 1\.5"):
        lucid.save({1.5: 1}, path)
    with pytest.raises(ValueError, match=r'ends in "\.npz" or "\.safetensors", got "c\.pt"'):
        lucid.save({}, tmp_path / "c.pt")
    with pytest.raises(FileNotFoundError, match=r"load: there is no file .*none\.npz"):
        lucid.load(tmp_path / "none.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["c.npz"]


# --- Names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_others_may_read_the_file_as_far_as_the_umask_says(tmp_path, suffix):
    (tmp_path / "plain").touch()
    lucid.save(Tensor(1.0), tmp_path / f"one{suffix}")
    assert (tmp_path / f"one{suffix}").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_equal_dotted_names_stay_apart(tmp_path, suffix):
    one, two, three = (Tensor(RNG.standard_normal(3)) for _ in range(3))
    for saved in (
        {"a": {"b": one}, "a.b": two, "a.b_": three},
        {0: one, "0": two},
        {"": one, "tensor": two},
        {"lucid": {"structure": one}, "__metadata__": two, "a\0b": three, "a": one},
    ):
        assert_same(saved, lucid.load(lucid.save(saved, tmp_path / f"c{suffix}")))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_arrays_in_any_layout_come_back(tmp_path, suffix):
    values = RNG.standard_normal((3, 4)).astype(np.float32)
    half = jnp.asarray(values, jnp.bfloat16)
    saved = {
        "columns": np.asfortranarray(values),
        "gaps": values[:, ::2],
        "big end first": values.astype(">f4"),
        "half columns": np.asfortranarray(half),
        "half gaps": np.asarray(half)[:, ::2],
    }
    if suffix == ".npz":
        saved |= {name: half.astype(name) for name in ("float8_e4m3fn", "float8_e5m2", "int4")}
    loaded = lucid.load(lucid.save(saved, tmp_path / f"c{suffix}"))
    for name, value in saved.items():
        np.testing.assert_array_equal(loaded[name].numpy(), np.asarray(value))
        assert loaded[name].dtype == value.dtype.newbyteorder("=")


def test_what_the_format_does_not_know_is_refused(tmp_path):
    for value, dtype in [
        (np.array([object()]), "object"), (np.array(["text"]), "<U4"), (jax.random.key(0), "key"),
    ]:  # fmt: skip
        with pytest.raises(TypeError, match=rf'save: .* of dtype {dtype}.* at "a\.b"'):
            lucid.save({"a": {"b": value}}, tmp_path / "c.npz")
    with pytest.raises(
        TypeError, match=r'holds no float8_e5m2, the dtype of "x"\. Save it as \.np'
    ):
        lucid.save({"x": jnp.ones(3, "float8_e5m2")}, tmp_path / "c.safetensors")
    itself = []
    itself.append(itself)
    with pytest.raises(ValueError, match=r"save: the checkpoint holds itself, or is nested too"):
        lucid.save(itself, tmp_path / "c.npz")


# --- Hostile files ----------------------------------------------------------------------------


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
                assert_same(saved["model"], loaded["model"])
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


# --- Killed writers ---------------------------------------------------------------------------

# The writers are forked, so that the time goes into writing; they hold NumPy arrays, so that no
# JAX runtime with threads is there when they are forked.
WRITERS = """
import os, random, signal, sys, time
import numpy as np
import lucid
path, kills = sys.argv[1], int(sys.argv[2])
delays = random.Random(0)
for _ in range(2):  # the first also imports
    start = time.perf_counter()
    lucid.save({"n": 0, "x": np.zeros(200_000, "f")}, path)
one = time.perf_counter() - start
for kill in range(kills):
    writer = os.fork()
    if writer == 0:
        for n in range(kill * 1000, 10**9):
            lucid.save({"n": n, "x": np.full(200_000, n % 1000, "f")}, path)
    time.sleep(delays.uniform(0, 5 * one))
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    os.link(path, f"{sys.argv[3]}/{kill}{os.path.splitext(path)[1]}")
    print(len(os.listdir(os.path.dirname(path))) - 1)
lucid.save({}, path)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_killed_writer_leaves_a_whole_file(tmp_path, suffix):
    kills = 60
    found, work = tmp_path / "found", tmp_path / "work"
    found.mkdir(), work.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", WRITERS, str(work / f"c{suffix}"), str(kills), str(found)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": "."}, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = []
    for kill in range(kills):
        loaded = lucid.load(found / f"{kill}{suffix}")
        assert (loaded["x"].numpy() == loaded["n"] % 1000).all()
        seen.append(loaded["n"])
    assert seen == sorted(seen)
    assert len(set(seen)) > kills / 4
    # A kill that comes while the file is being written leaves a folder, which the next save sweeps.
    left = [int(count) for count in done.stdout.split()]
    assert set(left) == {0, 1} and sum(left) > kills / 4
    assert [path.name for path in work.iterdir()] == [f"c{suffix}"]


# --- Places -----------------------------------------------------------------------------------


def test_a_save_leaves_that_of_another_alone(tmp_path):
    path = tmp_path / "c.npz"

    def write(temporary):
        lucid.save({"n": 1}, path)
        assert Path(temporary).exists() and lucid.load(path) == {"n": 1}
        Path(temporary).write_bytes(b"the last one stays")

    write_whole(path, write)
    assert path.read_bytes() == b"the last one stays"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_link_is_followed_and_a_mode_kept(tmp_path, suffix):
    (tmp_path / "deep").mkdir()
    target, link = tmp_path / "deep" / f"c{suffix}", tmp_path / f"link{suffix}"
    link.symlink_to(Path("deep") / f"c{suffix}")
    assert lucid.save({"n": 1}, link) == link
    for mode in (0o640, 0o777):
        target.chmod(mode)
        lucid.save({"n": mode}, link)
        assert link.is_symlink() and lucid.load(target) == {"n": mode}
        assert target.stat().st_mode & 0o7777 == mode
    assert [p.name for p in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_name_may_be_as_long_as_the_file_system_takes(tmp_path, suffix):
    name = "ä" * 100 + "x" * (55 - len(suffix)) + suffix
    lucid.save({"n": 1}, tmp_path / name)
    assert lucid.load(tmp_path / name) == {"n": 1}
    with pytest.raises(OSError, match=rf"^\[Errno {errno.ENAMETOOLONG}\] .*x{name}'$"):
        lucid.save({"n": 1}, tmp_path / f"x{name}")
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_place_that_takes_no_file_is_named(tmp_path):
    (tmp_path / "folder.npz").mkdir()
    os.mkfifo(tmp_path / "fifo.npz")
    (tmp_path / "circle.npz").symlink_to("circle.npz")
    before = sorted(tmp_path.iterdir())
    for name, error, text in [
        ("folder.npz", IsADirectoryError, "Is a directory"),
        ("fifo.npz", OSError, "This is no regular file, and stays"),
        ("circle.npz", OSError, "This is no regular file, and stays"),
        ("none/c.npz", FileNotFoundError, "No such file or directory"),
    ]:
        with pytest.raises(error, match=rf"^\[Errno \d+\] {text}: '{tmp_path}/{name}'$"):
            lucid.save({"n": 1}, tmp_path / name)
    assert sorted(tmp_path.iterdir()) == before


FULL = """
import os, resource, sys
import numpy as np
import lucid
path = sys.argv[1]
lucid.save({"n": 1}, path)
if sys.argv[2] == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
else:
    os.chmod(os.path.dirname(path), 0o555)
    if os.getuid() == 0:  # whom nothing is forbidden
        os.seteuid(65534)
try:
    lucid.save({"x": np.ones(200_000, "f")}, path)
except OSError as error:
    print(type(error).__name__, error)
os.seteuid(os.getuid())
print(lucid.load(path), os.listdir(os.path.dirname(path)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("trouble", "text"), [
    ("full", "OSError [Errno 27] File too large"),
    ("forbidden", "PermissionError [Errno 13] Permission denied"),
])  # fmt: skip
def test_a_save_that_fails_names_the_path_and_leaves_the_old_file(suffix, trouble, text):
    with tempfile.TemporaryDirectory() as folder:  # which other users may enter
        os.chmod(folder, 0o755)
        path = Path(folder) / f"c{suffix}"
        done = subprocess.run(
            [sys.executable, "-c", FULL, str(path), trouble],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": "."}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        os.chmod(folder, 0o755)
    assert done.stdout == f"{text}: '{path}'\n{{'n': 1}} ['{path.name}']\n", done.stderr


# --- Format -----------------------------------------------------------------------------------


def test_the_structure_is_json(tmp_path):
    path = lucid.save({"x": Tensor([1.0]), "n": 1}, tmp_path / "c.npz")
    with np.load(path) as file:
        header = json.loads(file["lucid.structure"].tobytes())
    assert json.loads(header["structure"]) == {"dict": [["x", {"array": "x"}], ["n", 1]]}


@pytest.mark.parametrize("call", [lucid.load, lambda path: lucid.save({}, path)])
def test_files_of_pytorch_are_named_and_the_way_too(call, tmp_path):
    with pytest.raises(ValueError) as caught:
        call(tmp_path / "model.pth")
    assert str(caught.value) == (
        'a checkpoint ends in ".npz" or ".safetensors", got "model.pth". PyTorch reads its own '
        'files: safetensors.torch.save_file(torch.load("model.pth"), "model.safetensors"), then '
        "lucid.load."
    )
    assert not list(tmp_path.iterdir())
