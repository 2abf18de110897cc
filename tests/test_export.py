"""Exported Modules: their numbers, any batch size, other processes, and files that are no such."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import jax.export
import numpy as np
import pytest

import lucid
from lucid import Tensor, _export, nn
from lucid._export import _seal, _unseal
from tests.helpers import count_compiles, spaced

pytest.importorskip("flatbuffers")


class Generator(nn.Module):
    """The generator of DCGAN (arXiv:1511.06434), narrower."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.ConvTranspose2d(16, 12, 4, 1, 0, bias=False), nn.BatchNorm2d(12), nn.ReLU(),
            nn.ConvTranspose2d(12, 8, 4, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh(),
        )  # fmt: skip

    def forward(self, z):
        return self.body(z)


def generator():
    """A generator whose statistics have moved, in training mode."""
    lucid.random.seed(3)
    model = Generator()
    model(lucid.randn(8, 16, 1, 1))
    return model


def evaluated(model, *arrays):
    model.eval()
    with lucid.no_grad():
        return model(*map(Tensor, arrays)).numpy()


Z = spaced(5, 16, 1, 1).astype("f")


@pytest.mark.parametrize("dynamic_batch", [False, True])
def test_a_generator_gives_the_same_numbers(dynamic_batch, tmp_path):
    model = generator()
    path = lucid.export(model, Tensor(Z), tmp_path / "g.stablehlo", dynamic_batch=dynamic_batch)
    loaded = lucid.load_exported(path)
    image = loaded(Tensor(Z))
    assert isinstance(image, Tensor) and not image.requires_grad
    assert isinstance(loaded(Z), jax.Array)
    expected = evaluated(model, Z)
    assert image.shape == (5, 3, 16, 16)
    np.testing.assert_allclose(image.numpy(), expected, rtol=1e-5, atol=1e-6)
    batch = "batch" if dynamic_batch else 5
    assert loaded.in_shapes == ((batch, 16, 1, 1),)
    assert loaded.platforms == ("cpu", "cuda", "tpu")
    assert repr(loaded) == (
        f"ExportedModule(Generator: ({batch}, 16, 1, 1) float32 -> ({batch}, 3, 16, 16) float32; "
        "cpu, cuda, tpu)"
    )


@pytest.mark.slow
def test_a_new_process_without_the_class(tmp_path):
    model = generator()
    lucid.export(model, Z, tmp_path / "g.stablehlo", dynamic_batch=True)
    z = spaced(7, 16, 1, 1, seed=9).astype("f")
    np.save(tmp_path / "z.npy", z)
    code = """
        import numpy, sys, lucid
        generator = lucid.load_exported(sys.argv[1] + "/g.stablehlo")
        z = numpy.load(sys.argv[1] + "/z.npy")
        numpy.save(sys.argv[1] + "/seven.npy", generator(lucid.Tensor(z)).numpy())
        numpy.save(sys.argv[1] + "/two.npy", generator(lucid.Tensor(z[:2])).numpy())
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)],
        check=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(lucid.__file__).parents[1])},
    )
    for name, given in {"seven": z, "two": z[:2]}.items():
        got = np.load(tmp_path / f"{name}.npy")
        np.testing.assert_allclose(got, evaluated(model, given), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: nn.ConvTranspose2d(6, 4, (4, 3), (2, 3), (1, 2), output_padding=1, groups=2),
        lambda: nn.ConvTranspose2d(6, 12, 3, 2, groups=6),
        lambda: nn.ConvTranspose2d(6, 2, 8, 4, padding=2),
        lambda: nn.ConvTranspose2d(6, 2, 3, dilation=2),
        lambda: nn.Conv2d(6, 9, 3, 2, padding=1, groups=3),
        lambda: nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(24, 3)),
        lambda: nn.Sequential(nn.GroupNorm(2, 6), nn.Upsample(scale_factor=2)),
    ],
    ids=["groups", "depthwise", "stride 4", "dilation", "conv", "classifier", "upsampling"],
)
def test_layers_with_any_batch(layer, tmp_path):
    lucid.random.seed(1)
    model = layer()
    path = lucid.export(model, lucid.zeros(2, 6, 4, 5), tmp_path / "x", dynamic_batch=True)
    x = spaced(3, 6, 4, 5).astype("f")
    expected = evaluated(model, x)
    np.testing.assert_allclose(lucid.load_exported(path)(x), expected, rtol=1e-5, atol=1e-5)


def test_the_second_call_compiles_nothing(tmp_path):
    path = lucid.export(nn.Linear(3, 2), lucid.zeros(1, 3), tmp_path / "x", dynamic_batch=True)
    loaded, x = lucid.load_exported(path), Tensor(spaced(4, 3).astype("f"))
    loaded(x)
    with count_compiles(expect=0):
        loaded(x)


def test_inside_a_compiled_function(tmp_path):
    layer = nn.Linear(3, 2)
    loaded = lucid.load_exported(lucid.export(layer, lucid.zeros(4, 3), tmp_path / "x"))
    x = spaced(4, 3).astype("f")
    doubled = lucid.jit(lambda x: loaded(x) * 2)(Tensor(x))
    np.testing.assert_allclose(doubled.numpy(), 2 * evaluated(layer, x), rtol=1e-5)


def test_several_inputs_and_outputs(tmp_path):
    class Mixer(nn.Module):
        def forward(self, a, b):
            return {"sum": a + b, "parts": [a * 2, (b, a - b)]}

    a, b = spaced(3, 2, seed=1).astype("f"), spaced(3, 2, seed=2).astype("f")
    path = lucid.export(Mixer(), (a[:2], Tensor(b[:2])), tmp_path / "x", dynamic_batch=True)
    loaded = lucid.load_exported(path)
    out = loaded(Tensor(a), b)
    np.testing.assert_allclose(out["sum"].numpy(), a + b)
    np.testing.assert_allclose(out["parts"][1][1].numpy(), a - b)
    with pytest.raises(TypeError, match=r"^Mixer: 2 inputs are needed, got 1\.$"):
        loaded(a)
    with pytest.raises(
        ValueError, match=r"input 1 must have shape \(batch, 2\), got \(2, 2\)\. A "
    ):
        loaded(a, b[:2])
    with pytest.raises(ValueError, match=r"input 0 must have shape \(batch, 2\), got \(0, 2\)"):
        loaded(a[:0], b[:0])
    with pytest.raises(ValueError, match=r"input 0 must have shape \(batch, 2\), got \(3,\)"):
        loaded(a[:, 0], b)
    with pytest.raises(TypeError, match=r"input 0 must have dtype float32, got int32\. Conv"):
        loaded(np.ones((3, 2), np.int32), b)


def test_the_module_stays_as_it_was(tmp_path):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.0))
    model[2].eval()  # each layer has a mode of its own
    model[0].weight.grad = lucid.zeros(4, 3)
    x = Tensor(spaced(5, 3).astype("f"))
    modes = [m.training for m in model.modules()]
    before = {n: v.numpy().copy() for n, v in model.state_dict().items()}
    step = lucid.jit(lambda x: model(x))
    step(x)
    step(x)
    now = {n: v.numpy().copy() for n, v in model.state_dict().items()}
    lucid.export(model, x, tmp_path / "x")
    assert [m.training for m in model.modules()] == modes and len(set(modes)) == 2
    assert model[0].weight.grad is not None
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), now[name])
    assert any((before[n] != now[n]).any() for n in before)
    with count_compiles(expect=0):
        step(x)


def test_a_forward_that_writes_into_a_buffer_is_exported_without_it(tmp_path):
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.calls = nn.Buffer([0.0])

        def forward(self, x):
            self.calls.data = self.calls.data + 1
            return x + self.calls

    model = Counter()
    loaded = lucid.load_exported(lucid.export(model, lucid.zeros(2), tmp_path / "x"))
    assert model.calls.tolist() == [0.0]
    assert loaded(Tensor([3.0, 4.0])).tolist() == [4.0, 5.0]


def test_half_precision_and_sharing(tmp_path):
    first = nn.Linear(4, 4)
    model = nn.Sequential(first, nn.ReLU(), first).to("bfloat16")
    x = Tensor(spaced(2, 4)).astype("bfloat16")
    loaded = lucid.load_exported(lucid.export(model, x, tmp_path / "x"))
    assert loaded(x).dtype == lucid.BFloat16
    np.testing.assert_allclose(
        loaded(x).astype("float32").numpy(), model(x).astype("float32").numpy(), rtol=1e-2
    )


def test_jax_reads_the_file(tmp_path):
    layer, x = nn.Linear(3, 2), spaced(4, 3).astype("f")
    path = lucid.export(layer, x, tmp_path / "x")
    exported = jax.export.deserialize(bytearray(path.read_bytes()))
    np.testing.assert_allclose(exported.call(x), evaluated(layer, x), rtol=1e-5)


# --- What cannot be exported --------------------------------------------------------------------


class Asking(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x


class Drawing(nn.Module):
    def forward(self, x):
        return x + lucid.randn(3)


class Comparing(nn.Module):
    def forward(self, x):
        return x * 2 if x.shape[0] > 4 else x


def test_what_cannot_be_exported_leaves_all_as_it_was(tmp_path):
    path = lucid.export(nn.ReLU(), lucid.zeros(3), tmp_path / "x")
    before, state = path.read_bytes(), lucid.random.default_generator()._state.numpy().copy()
    for model, message in (
        (Asking(), r"^export: test_export\.py:\d+: `return x \* 2 if x\.sum\(\) > 0 else x` needs"),
        (Drawing(), "^random numbers inside jax.jit"),
    ):
        with pytest.raises(lucid.JitError, match=message):
            lucid.export(model, lucid.zeros(3), path)
        assert model.training
    with pytest.raises(Exception, match="inconclusive") as error:
        lucid.export(Comparing(), lucid.zeros(3), path, dynamic_batch=True)
    assert error.value.__notes__[-1] == (
        "export: the batch of this Comparing is a symbol. If its code needs the number, as in a "
        "comparison, export it with dynamic_batch=False."
    )
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    np.testing.assert_array_equal(lucid.random.default_generator()._state.numpy(), state)


def test_inputs_without_a_common_batch(tmp_path):
    for shapes in ([(2, 3), (3, 3)], [(2,), ()]):
        arrays = tuple(lucid.zeros(*shape) for shape in shapes)
        with pytest.raises(
            ValueError, match="dynamic_batch needs inputs with a common axis 0, got"
        ):
            lucid.export(nn.Identity(), arrays, tmp_path / "x", dynamic_batch=True)
    assert not list(tmp_path.iterdir())


def test_an_output_that_a_file_does_not_know(tmp_path):
    class Numbered(nn.Module):
        def forward(self, x):
            return {1: x}

    with pytest.raises(TypeError, match=r"^export: Numbered must return Tensors, in tuples,"):
        lucid.export(Numbered(), lucid.zeros(3), tmp_path / "x")
    assert not list(tmp_path.iterdir())


# --- Files --------------------------------------------------------------------------------------


def test_damaged_and_foreign_files_are_named(tmp_path):
    whole = lucid.export(nn.Linear(3, 2), lucid.zeros(1, 3), tmp_path / "x").read_bytes()
    path = tmp_path / "other.stablehlo"
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    cases = {
        b"": "is truncated, or no file that export wrote",
        b"PK\x03\x04 something else": "is truncated, or no file that export wrote",
        whole[:middle]: "is truncated, or no file that export wrote",
        whole[:-1]: "is truncated, or no file that export wrote",
        flipped: "is damaged",
        whole[100:]: "is damaged",
    }
    for content, message in cases.items():
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"^load_exported: {path} {message}"):
            lucid.load_exported(path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"there is no file {path}"):
        lucid.load_exported(path)


def test_a_whole_file_of_another_time(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(_seal(b"\x08\x00\x00\x00 what no JAX has written"))
    with pytest.raises(ValueError, match=f"{path} is whole, but JAX .* cannot read it .* anew"):
        lucid.load_exported(path)


def sealed(path, program):
    path.write_bytes(_seal(program))
    return path


def test_a_program_that_does_not_verify_is_refused_before_it_runs(tmp_path):
    path = lucid.export(nn.Linear(3, 2), lucid.zeros(1, 3), tmp_path / "x")
    program = bytearray(_unseal(path, path.read_bytes()))
    at = program.index(b"StableHLO_v")  # the head of the module
    program[at + 30 : at + 40] = bytes(10)
    with pytest.raises(
        ValueError,
        match=rf"^load_exported: {path} is whole, but JAX .* cannot read it \((.|\n)*\)\. Export "
        r"the Module anew\. Such a file is code: load only one from a source that you trust\.$",
    ):
        lucid.load_exported(sealed(path, bytes(program)))


@pytest.mark.slow
def test_a_program_may_be_tried_in_a_process(tmp_path, monkeypatch):
    path = lucid.export(nn.Linear(3, 2), lucid.zeros(1, 3), tmp_path / "x", dynamic_batch=True)
    assert lucid.load_exported(path, verify="process")(lucid.zeros(4, 3)).shape == (4, 2)
    text = rf"^load_exported: {tmp_path}/. failed in the process that tried it, and is not loaded "
    trust = r"\. Such a file is code: load only one from a source that you trust\.$"
    with pytest.raises(ValueError, match=text + r"\(AttributeError: 'NoneType' .*\)" + trust):
        lucid.load_exported(sealed(tmp_path / "y", bytes(8)), verify="process")
    ending = tmp_path / "ending"
    ending.write_text("#!/bin/sh\nkill -ABRT $$\n")
    ending.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(ending))
    with pytest.raises(ValueError, match=text + r"\(SIGABRT ended it\)" + trust):
        lucid.load_exported(path, verify="process")
    ending.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(_export, "_PATIENCE", 0.1)
    with pytest.raises(ValueError, match=text + r"\(it did not end within 0\.1 seconds\)" + trust):
        lucid.load_exported(path, verify="process")


def test_verify_is_one_of_two_words(tmp_path):
    with pytest.raises(ValueError, match=r'verify must be "module" or "process", got True\.$'):
        lucid.load_exported(tmp_path / "x", verify=True)


# Each mutation is loaded and run in a fork, made before JAX has threads; the seal fits again.
MUTATIONS = """
import os, signal, sys
from pathlib import Path
import numpy as np
import lucid
from lucid._export import _seal, _unseal
path, other = Path(sys.argv[1]), Path(sys.argv[2])
program = _unseal(path, path.read_bytes())
rng = np.random.default_rng(int(sys.argv[3]))
ends = {"right": 0, "refused": 0, "failed": 0, "held": 0, "ended": 0}
for _ in range(100):
    mutated = np.frombuffer(program, np.uint8).copy()
    places = rng.integers(0, len(mutated), rng.integers(1, 9))
    mutated[places] = rng.integers(0, 256, len(places))
    other.write_bytes(_seal(mutated.tobytes()))
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        status = 1
        try:
            loaded = lucid.load_exported(other)
            status = 2
            loaded(np.ones((2, 2, 8, 8), "f")).block_until_ready()
            status = 0
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    ends[{0: "right", 1: "refused", 2: "failed", -signal.SIGALRM: "held"}.get(status, "ended")] += 1
print(ends["ended"], ends["held"], ends["refused"])
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_as_many_mutations_end_the_process_as_the_readme_says(tmp_path):
    lucid.random.seed(0)
    layers = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)
    path = lucid.export(
        nn.Sequential(*layers), lucid.zeros(1, 2, 8, 8), tmp_path / "x", dynamic_batch=True
    )
    root = Path(lucid.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MUTATIONS, path, tmp_path / "y", "0"],
        env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True,
        errors="replace", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ended, held, refused = map(int, done.stdout.split())
    readme = " ".join((root / "README.md").read_text().split())
    said = re.search(
        r"of 300 random mutations of one, sealed anew, (\d+) ended the process and (\d+) held",
        readme,
    )
    # A third of them; where the bytes fall depends on the weights, the paths in the file and the
    # version of JAX.
    assert ended <= int(said[1]) + 1 and held <= int(said[2]), done.stdout
    assert refused > 50


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = lucid.export(nn.ReLU(), lucid.zeros(3), tmp_path / "x")
    before = path.read_bytes()

    def full(handle):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        lucid.export(nn.Tanh(), lucid.zeros(3), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_without_flatbuffers(tmp_path, monkeypatch):
    path = lucid.export(nn.ReLU(), lucid.zeros(3), tmp_path / "x")
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    for call in (
        lambda: lucid.export(nn.ReLU(), lucid.zeros(3), path),
        lambda: lucid.load_exported(path),
    ):
        with pytest.raises(ModuleNotFoundError, match=r"pip install lucid-jax\[export\]"):
            call()
