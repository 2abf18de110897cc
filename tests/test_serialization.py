"""Checkpoints: what goes in comes out, or nothing does."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn, optim

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
def test_tensors_that_were_others_are_others(tmp_path, suffix):
    model = nn.Linear(2, 2)
    one, other = model.state_dict(), model.state_dict()
    path = lucid.save({"model": one, "best": other, "again": [other]}, tmp_path / f"c{suffix}")
    loaded = lucid.load(path)
    assert loaded["best"]["weight"] is loaded["again"][0]["weight"]
    with lucid.no_grad():
        loaded["model"]["weight"][0, 0] = 99.0
    np.testing.assert_array_equal(loaded["best"]["weight"].numpy(), model.weight.numpy())
    assert path.stat().st_size < 4000  # the values are there once


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


@pytest.mark.parametrize("name", ["x.safetensors", "x.npz", "x", "x.lcd"])
def test_safetensors_by_argument(name, tmp_path):
    pytest.importorskip("safetensors")
    path = lucid.save({"w": Tensor([1.0, 2.0])}, tmp_path / name, safetensors=True)
    assert path == tmp_path / "x.safetensors"
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]
    assert lucid.load(path)["w"].tolist() == [1.0, 2.0]
