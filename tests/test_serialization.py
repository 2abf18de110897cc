"""Files: what goes in comes out, or nothing does; a killed writer leaves a whole file."""

import json
import random
import signal
import subprocess
import sys
import time

import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn, optim

SUFFIXES = [".npz", ".safetensors"]
RNG = np.random.default_rng(0)


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


WRITER = """
import sys
import numpy as np
import lucid
path = sys.argv[1]
print("ready", flush=True)
for i in range(1_000_000):
    lucid.save({"n": i, "x": lucid.Tensor(np.full(200_000, i % 1000))}, path)
"""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_killed_writer_leaves_a_whole_file(tmp_path, suffix):
    path = tmp_path / f"c{suffix}"
    delays = random.Random(0)
    seen = set()
    for _ in range(4):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout.readline() == "ready\n"
        while not path.exists():
            time.sleep(0.01)
        time.sleep(delays.uniform(0.05, 0.5))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        loaded = lucid.load(path)
        assert (loaded["x"].numpy() == loaded["n"] % 1000).all()
        seen.add(loaded["n"])
    assert max(seen) > 0


def test_the_structure_is_json(tmp_path):
    path = lucid.save({"x": Tensor([1.0]), "n": 1}, tmp_path / "c.npz")
    with np.load(path) as file:
        header = json.loads(file["lucid.structure"].tobytes())
    assert json.loads(header["structure"]) == {"dict": [["x", {"array": "x"}], ["n", 1]]}
