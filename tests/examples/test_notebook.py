"""The notebook: it runs from start to end, shows its script's code, and is committed as it ran."""

import ast
import os
import re
from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("tqdm")

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "gan_decoder.ipynb"


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def functions(source):
    """Every function of a source by name, as a syntax tree without places."""
    nodes = ast.walk(ast.parse(source))
    return {node.name: ast.dump(node) for node in nodes if isinstance(node, ast.FunctionDef)}


def text_of(cell):
    """All that a cell printed or showed as text."""
    shown = []
    for output in cell.outputs:
        data = output.get("data", {})
        shown += [output.get("text", ""), data.get("text/markdown", data.get("text/plain", ""))]
    return "\n".join(shown)


# --- As it is committed -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def committed():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_small_and_was_run_from_top_to_bottom(committed):
    nbformat.validate(committed)
    assert NOTEBOOK.stat().st_size < 2_000_000  # mostly pictures
    counts = [cell.execution_count for cell in code_cells(committed)]
    assert counts == list(range(1, len(counts) + 1))
    for cell in code_cells(committed):
        only_defines = all(
            isinstance(node, (ast.FunctionDef, ast.Import, ast.ImportFrom, ast.Assign))
            for node in ast.parse(cell.source.replace("%matplotlib inline\n", "")).body
        )
        assert cell.outputs or only_defines, cell.source
        assert all(output.output_type != "error" for output in cell.outputs), cell.source
        assert all(output.get("name") != "stderr" for output in cell.outputs), cell.source


def test_it_names_no_path_of_a_machine(committed):
    for cell in code_cells(committed):
        assert not re.search(r"(?<![\w.])/(home|root|tmp|work|usr|Users|opt|var)/", text_of(cell))


def test_the_numbers_in_it_are_those_of_a_good_run(committed):
    """Trained samples are far better than untrained ones, of 8 classes or more, and repeatable."""
    text = "\n".join(map(text_of, code_cells(committed)))
    scores = {
        name: (float(distance), int(classes))
        for name, distance, classes in re.findall(
            r"\| (untrained|trained|real) \| (\d+) \| \d+% \| (\d+) of 10 \|", text
        )
    }
    assert scores["trained"][0] < min(scores["untrained"][0] / 10, 3 * scores["real"][0])
    assert scores["trained"][1] >= 8
    assert len(re.findall(r"the same .*: True", text)) == 4
    for row in ("lucid, eager", r"lucid, `@lucid\.jit`", "PyTorch, eager"):
        assert re.search(rf"\| {row} \| [\d.]+ \| \d+ \| [\d.]+ \|", text)


def test_its_networks_losses_and_step_are_the_script_s(committed):
    source = "\n".join(
        cell.source for cell in code_cells(committed) if "torch_step" not in cell.source
    )
    shown = functions(source.replace("%matplotlib inline\n", ""))
    script = functions((ROOT / "examples" / "gan_decoder.py").read_text())
    for name in (
        "make_generator",
        "make_discriminator",
        "discriminator_loss",
        "generator_loss",
        "gradient_penalty",
        "train_step",
    ):
        assert shown[name] == script[name], name


# --- Run anew -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_it_runs_from_start_to_end(monkeypatch):
    monkeypatch.setenv("GAN_STEPS", "8")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(
        notebook,
        timeout=1800,
        kernel_name="python3",
        resources={"metadata": {"path": str(NOTEBOOK.parent)}},
    ).execute()
    text = "\n".join(map(text_of, code_cells(notebook)))
    assert len(re.findall(r"the same .*: True", text)) == 4
    assert "programs compiled for 8 steps: 1\n" in text
