"""The README's Python runs as it stands there."""

import contextlib
import copy
import io
import math
import re
from pathlib import Path

import numpy as np
import pytest

import lucid
from lucid import nn, optim

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.S)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page's Python, block after block in one namespace; and what each block printed."""
    names: dict[str, object] = {}
    printed = []
    with contextlib.chdir(tmp_path_factory.mktemp("page")):
        for block in BLOCKS:
            shown = io.StringIO()
            with contextlib.redirect_stdout(shown):
                exec(block, names)
            printed.append(shown.getvalue().splitlines())
    generator = lucid.random.default_generator()
    generator.manual_seed(0)  # no longer on the page's mesh
    return names, printed


def test_the_page_prints_what_the_page_says(page):
    assert page[1][0] == re.findall(r"# (\(.*\))", BLOCKS[0])


def test_the_gan_step_runs_as_one_program(page):
    names, _ = page
    step, before = names["train_step"], names["G"][0].weight.numpy()
    losses = [loss.item() for loss in step(lucid.randn(8, 1, 16, 16))]
    assert step.cache_info().misses == 1
    assert all(map(math.isfinite, losses)) and len(set(losses)) == 2
    assert not (names["G"][0].weight.numpy() == before).all()


def test_the_pure_function_has_a_gradient(page):
    names, _ = page
    model = copy.deepcopy(names["D"])
    model.load_state_dict(names["state"])
    model.zero_grad()
    (model(lucid.Tensor(names["images"])) ** 2).mean().backward()
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(
            parameter.grad.numpy(), names["grads"][name], rtol=1e-4, atol=1e-7
        )


def test_a_training_is_taken_up_again(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = dict(page[0])
    save, load = BLOCKS[3].split("\n\n")
    exec(save, names)
    batches = iter(names["loader"])
    next(batches)
    exec(save.splitlines()[-1], names)
    weight, rest = names["G"][0].weight, list(batches)
    before = weight.numpy(), [x.tolist() for (x,) in rest], lucid.rand(2).tolist()
    nn.init.zeros(weight)
    exec(load, names)
    after = weight.numpy(), [x.tolist() for (x,) in names["loader"]], lucid.rand(2).tolist()
    assert (before[0] == after[0]).all() and before[1:] == after[1:]
    assert len(before[1]) == 7


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


def test_links_lead_to_files_of_the_project():
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    assert len(links) > 4
    assert [link for link in links if not (README.parent / link).exists()] == []
