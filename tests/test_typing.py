"""What type checkers and editors know about the public names."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lucid
from tests.public import FUNCTIONS, METHODS, MODULES, NAMES

jedi = pytest.importorskip("jedi")
pytest.importorskip("mypy")
pytest.importorskip("basedpyright")

pytestmark = pytest.mark.slow

ROOT = Path(lucid.__file__).parent.parent
SCRIPTS = Path(__file__).parent / "typing"
MEMBERS = [name for name in dir(lucid.Tensor) if name[0] != "_"]
HEAD = "".join(f"import {module.__name__}\n" for module in MODULES) + "t = lucid.Tensor([1.0])\n"


def run_tool(tool, *arguments, cwd):
    environment = os.environ | {"MYPYPATH": str(ROOT), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", tool, *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    ).stdout


def mypy(cwd, *files):
    cache = f"--cache-dir={cwd.parent / 'mypy'}"  # lucid is read once for all tests
    options = ("--strict", "--config-file=", "--no-error-summary", cache)
    return run_tool("mypy", *options, *files, cwd=cwd)


def basedpyright(cwd, *files):
    config = cwd / "pyrightconfig.json"
    paths = "".join(f'"{path}", ' for path in files).rstrip(", ")
    config.write_text(
        f'{{"typeCheckingMode": "strict", "extraPaths": ["{ROOT}"], "include": [{paths}]}}'
    )
    return run_tool("basedpyright", "--pythonpath", sys.executable, "-p", config, cwd=cwd)


# --- mypy -------------------------------------------------------------------------------------

DATA = "whatever a Tensor can be made of: numbers, nested lists, an array of any library"
CALL = "the arguments and the result of any function"
CONTENTS = "whatever the user puts there"
# The public names in whose types `Any` stands, and of what it is the type.
WITH_ANY = {
    "lucid.Tensor": DATA,
    "lucid.diag": DATA,
    "lucid.tensor": DATA,
    "lucid.to_tensor": DATA,
    **{f"lucid.{name}": DATA for name in lucid.typed.__all__},
    "lucid.nn.Buffer": DATA,
    "lucid.nn.Parameter": DATA,
    "lucid.data.TensorDataset": DATA,
    "lucid.apply": CALL,
    "lucid.checkpoint": CALL,
    "lucid.cond": CALL,
    "lucid.scan": CALL,
    "lucid.summary": CALL,
    "lucid.while_loop": CALL,
    "lucid.export": CALL,
    "lucid.func.functional_call": CALL,
    "lucid.func.functionalize": CALL,
    "lucid.onnx.export": CALL,
    "lucid.nn.utils.apply_chunking_to_forward": CALL,
    "lucid.nn.utils.get_activation_from_name": CALL,
    "lucid.utils.cost": CALL,
    "lucid.data.DataLoader": CONTENTS,
    "lucid.data.default_collate": CONTENTS,
    "lucid.load": CONTENTS,
    "lucid.save": CONTENTS,
    "t.tolist": "a number, or lists of them as deep as there are axes",
}
# Where nothing is hidden: what NumPy's arrays are generic in, any class, numbers by their names.
HARMLESS = re.compile(r"(ndarray|generic)\[Any(, Any)?\]|d?type\[Any\]|dict\[str, Any\]")


@pytest.fixture(scope="module")
def revealed(tmp_path_factory):
    """The type of each public name and of each attribute of a Tensor."""
    folder = tmp_path_factory.mktemp("revealed")
    names = [*NAMES, *(f"t.{name}" for name in MEMBERS)]
    (folder / "names.py").write_text(HEAD + "".join(f"reveal_type({n})\n" for n in names))
    first = HEAD.count("\n") + 1
    types = {}
    for line in mypy(folder, "names.py").splitlines():
        found = re.fullmatch(r'names.py:(\d+): note: Revealed type is "(.*)"', line)
        assert found, line
        types[names[int(found[1]) - first]] = found[2]
    assert types.keys() == set(names)
    return types


def test_no_type_is_unknown(revealed):
    hidden = {n for n, text in revealed.items() if re.search(r"\bAny\b", HARMLESS.sub("", text))}
    assert hidden == WITH_ANY.keys()


@pytest.mark.parametrize("name", [*FUNCTIONS, *METHODS])
def test_results_are_what_the_annotations_say(revealed, name):
    result = str(inspect.signature({**FUNCTIONS, **METHODS}[name]).return_annotation)
    text = revealed[name.replace("lucid.Tensor.", "t.")]
    tensor = "lucid._core.tensor.Tensor"
    if result == "Self":
        result = "Tensor"
    if re.fullmatch(r"Tensor|tuple\[Tensor, (Tensor|...)\]", result):
        result = result.replace("Tensor", tensor)
        function, method = (
            rf"Function\[\[.*\], {re.escape(result)}, .*\]",
            rf"def .* -> {re.escape(result)}",
        )
        assert re.fullmatch(rf"lucid._core.declaration.{function}|{method}", text), text
    else:
        assert "Tensor" not in result or "Tensor" in text, text


MISTAKES = """
lucid.exp("a")
lucid.add(t, None)
t.sum(axis="a")
t.add_("a")
t + "a"
lucid.Tensor.randn("a")
lucid.zeros(2, requires_gradient=True)
lucid.nn.functional.softmax(t, axis="a")
lucid.nn.Linear(2, 1)("a")
lucid.nn.Linear(2, 1)(t, t)
lucid.nn.Linear(2, 1).to(3)
lucid.nn.Sequential(lucid.nn.ReLU())("a")
lucid.optim.SGD(lucid.nn.Linear(2, 1).parameters(), learning_rate=1)
lucid.nn.ReLU()(t).nothing
""".strip().splitlines()


@pytest.mark.parametrize("check", [mypy, basedpyright])
def test_mistakes_are_found(tmp_path, check):
    (tmp_path / "mistakes.py").write_text(HEAD + "\n".join(MISTAKES) + "\n")
    found = re.findall(r"mistakes.py:(\d+):.*error", check(tmp_path, "mistakes.py"))
    first = HEAD.count("\n") + 1
    assert {int(line) - first for line in found} >= set(range(len(MISTAKES)))


MODULES_OF_USERS = """
from typing import Any
import lucid
from lucid import Tensor, nn

class Pair(nn.Module):
    def forward(self, x: Tensor, scale: float = 1.0) -> tuple[Tensor, str]:
        return x * scale, "x"

class Wide(nn.Linear): ...

def anything(module: nn.Module) -> Any:
    return module(1, two=2)

x = lucid.zeros(1)
pair: tuple[Tensor, str] = Pair()(x, scale=2.0)
wide: Tensor = Wide(1, 1)(x)
called = [map_(x) for map_ in (nn.Linear(1, 1), nn.ReLU(), lucid.exp)]
first: Tensor = called[0]
Pair()(x, "2")
Pair()("x")
number: int = Pair()(x)
"""


@pytest.mark.parametrize("check", [mypy, basedpyright])
def test_a_call_of_a_module_has_the_type_of_its_forward(tmp_path, check):
    (tmp_path / "modules.py").write_text(MODULES_OF_USERS)
    found = re.findall(r"modules.py:(\d+):.*error", check(tmp_path, "modules.py"))
    assert sorted({int(line) for line in found}) == [20, 21, 22]


# --- Scripts of users -------------------------------------------------------------------------


@pytest.mark.parametrize("check", [mypy, basedpyright])
def test_a_script_passes_the_strictest_settings(tmp_path, check):
    (tmp_path / "script.py").write_text((SCRIPTS / "user_script.py").read_text())
    assert check(tmp_path, "script.py").strip() in ("", "0 errors, 0 warnings, 0 notes")


def test_the_script_runs(tmp_path):
    code = "import sys, pathlib, user_script; user_script.main(pathlib.Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, tmp_path / "x.npz"], cwd=SCRIPTS,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("check", [mypy, basedpyright])
def test_a_compiled_function_keeps_its_type(tmp_path, check):
    script = (SCRIPTS / "jitted_step.py").read_text()
    (tmp_path / "script.py").write_text(script)
    assert check(tmp_path, "script.py").strip() in ("", "0 errors, 0 warnings, 0 notes")
    (tmp_path / "script.py").write_text(script + 'step("a", lucid.ones(2, 1))\n')
    assert "error" in check(tmp_path, "script.py").replace("0 errors", "")


# --- Editors ----------------------------------------------------------------------------------

PROJECT = jedi.Project(ROOT)


@pytest.fixture(scope="module", autouse=True)
def cache_of_its_own(tmp_path_factory):
    """Jedi writes its files of parsed modules in place: two workers must not share a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jedi.settings, "cache_directory", tmp_path_factory.mktemp("jedi"))
        yield


def script_of(text):
    """The editor's view of a script that ends with `text`."""
    return jedi.Script(HEAD + text, path=ROOT / "example.py", project=PROJECT)


# Whose result an argument decides on.
SEVERAL = {
    "jit": ["Jitted[P, R]", "Callable[[Callable[P, R]], Jitted[P, R]]"],
    "scaled_dot_product_attention": ["Tensor", "tuple[Tensor, Tensor]"],
    "unique": ["Tensor", "Tensor | tuple[Tensor, ...]"],
    "count_flops": ["Iterator[None]", "Iterator[None]"],  # a context, which Jedi sees twice
}


@pytest.mark.parametrize("name", [*FUNCTIONS, *METHODS])
def test_editors_show_parameters_and_docstring(name):
    found = script_of(name.replace("lucid.Tensor.", "t.") + "(").get_signatures()
    results = [s.to_string().rpartition(" -> ")[2] for s in found]
    if (several := SEVERAL.get(name.rpartition(".")[2])) is not None:
        assert results == several
        return
    assert len(found) == 1
    result = str(inspect.signature({**FUNCTIONS, **METHODS}[name]).return_annotation)
    assert found[0].to_string().endswith(f" -> {result}")
    assert found[0].docstring(raw=True).strip()


SHOWN = {
    "lucid.exp(": "exp(a: Operand) -> Tensor",
    "t.sum(": "sum(axis: Axis=None, keepdims: bool=False) -> Tensor",
    "lucid.nn.functional.softmax(": "softmax(input_: Operand, axis: int=-1) -> Tensor",
    "t.add_(": "add(b: Operand) -> Tensor",
    "lucid.Tensor.randn(": "randn(*shape: Shape, generator: Generator | None=None, "
    "requires_grad: bool=False, keep_grad: bool=False, device: str | Device | None=None, "
    "dtype: DType=None) -> Tensor",
    "lucid.Tensor.zeros(": "zeros(*shape: Shape, **options: Unpack[Options]) -> Tensor",
    "lucid.nn.Linear(": "Linear(in_features: int, out_features: int, bias: bool=True)",
}


@pytest.mark.parametrize("call", SHOWN)
def test_editors_show_signatures(call):
    assert [found.to_string() for found in script_of(call).get_signatures()] == [SHOWN[call]]


@pytest.mark.parametrize(
    "expression",
    ["t + t", "t[0]", "t.sum()", "t.add_(t)", "lucid.exp(t)", "lucid.Tensor.randn(2)",
     "lucid.nn.functional.relu(t)", "lucid.nn.Linear(2, 1)(t)"],
)  # fmt: skip
def test_editors_complete_on_results(expression):
    completions = script_of(f"y = {expression}\ny.requires_g").complete()
    assert {c.name for c in completions} >= {"requires_grad", "requires_grad_"}
