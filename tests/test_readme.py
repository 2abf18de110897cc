"""The README's Python runs as it stands there."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

import lucid
from lucid import nn, optim

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.S)


def test_the_page_prints_what_the_page_says(capsys):
    exec(BLOCKS[0], {})
    said = re.findall(r"# (\(.*\))", BLOCKS[0])
    assert capsys.readouterr().out.splitlines() == said


def test_the_gan_step_runs_as_one_program():
    lucid.random.seed(0)
    G = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 4))
    D = nn.Sequential(nn.Linear(4, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))

    def bce(logits, label):
        return nn.functional.binary_cross_entropy_with_logits(
            logits, lucid.full(logits.shape, float(label))
        )

    names = {
        "lucid": lucid,
        "G": G,
        "D": D,
        "bce": bce,
        "d_opt": optim.Adam(D.parameters(), 1e-3),
        "g_opt": optim.Adam(G.parameters(), 1e-3),
    }
    exec(BLOCKS[1], names)
    step = names["train_step"]
    real = lucid.randn(8, 4)
    before = G[0].weight.numpy()
    losses = [tuple(loss.item() for loss in step(real)) for _ in range(3)]
    assert step.cache_info().misses == 1
    assert len(set(losses)) == 3
    assert not (G[0].weight.numpy() == before).all()


def test_the_pure_function_has_a_gradient():
    model = nn.Linear(3, 1)
    x = lucid.randn(5, 3).data
    names = {"lucid": lucid, "jax": jax, "model": model, "x": x, "loss": lambda y: (y**2).mean()}
    exec(BLOCKS[2], names)
    loss = (model(lucid.Tensor(x)) ** 2).mean()
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.numpy() == pytest.approx(np.asarray(names["grads"][name]), rel=1e-5)


def test_a_training_is_taken_up_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = nn.Linear(3, 1)
    dataset = lucid.data.TensorDataset(lucid.arange(10))
    names = {
        "lucid": lucid,
        "model": model,
        "optimizer": optim.Adam(model.parameters()),
        "loader": lucid.data.DataLoader(dataset, 2, shuffle=True),
    }
    save, load = BLOCKS[3].split("\n\n")
    batches = iter(names["loader"])
    next(batches)
    exec(save, names)
    before = model.weight.numpy(), [x.tolist() for (x,) in batches], lucid.rand(2).tolist()
    nn.init.zeros(model.weight)
    exec(load, names)
    after = model.weight.numpy(), [x.tolist() for (x,) in names["loader"]], lucid.rand(2).tolist()
    assert (before[0] == after[0]).all() and before[1:] == after[1:]


def lines_of(row):
    """The lines of code in a row of the table "from / to"."""
    (cells,) = re.findall(rf"^\| {re.escape(row)}[^|]* \|(.*)\|$", README.read_text(), flags=re.M)
    return re.findall(r"`([^`]*)`", cells)


def test_files_and_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = nn.Linear(3, 1)
    before = model.weight.numpy()
    names = {"lucid": lucid, "model": model, "np": np, "array": np.arange(2.0, dtype=np.float32)}
    (save,), (load,) = (
        lines_of("lucid to a file"),
        lines_of("PyTorch's `.safetensors` to lucid"),
    )
    exec(save, names)
    nn.init.zeros(model.weight)
    exec(load, names)
    assert (model.weight.numpy() == before).all()
    shared, exported, _ = lines_of("NumPy or torch memory")
    names["x"] = eval(shared, names)
    assert eval(exported, names).tolist() == [0, 1]


def test_jax_optax_and_stablehlo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    optax = pytest.importorskip("optax")
    model, x = nn.Linear(3, 1), lucid.randn(2, 3)
    names = {"lucid": lucid, "model": model, "x": x, "optax": optax}
    exec(lines_of("JAX")[0], names)
    assert names["pure"](names["state"], x.data)[0].tolist() == model(x).tolist()
    assert isinstance(eval(lines_of("optax")[0], names), optim.Optimizer)
    export, load = lines_of("StableHLO")
    exec(export, names)
    np.testing.assert_allclose(eval(load, names).numpy(), model(x).numpy(), rtol=1e-5)
