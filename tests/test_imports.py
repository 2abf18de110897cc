"""Architecture: which module may import which, what an import costs, what is public."""

from __future__ import annotations

import ast
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import lucid
from tests.public import CLASSES, FUNCTIONS

ROOT = Path(lucid.__file__).parent

# Each module may import those of its own line and of the lines above it.
LAYERS = [
    [
        "_version",
        "_core",
        "_core.typing",
        "types",
        "_core.errors",
        "_core.epoch",
        "_core.files",
        "_core.hints",
        "_core.misuse",
        "_core.package",
        "_core.waiting",
        "_core.growth",
        "_core.arguments",
    ],
    [
        "_core.arguments",
        "_core.tracebacks",
        "_core.arrays",
        "_core.handle",
        "_core.spread",
        "error",
    ],
    ["_core.mode", "_core.op"],
    ["_core.autocast"],
    ["_core.variable"],
    ["_core.tape", "_core.static", "_core.known", "_core.integers"],
    ["_core.flops", "_core.gate", "_core.upkeep"],
    ["_core.declaration"],
    ["ops"],
    ["_core.backward"],
    ["_core.methods", "_core.repr"],
    ["_core.tensor"],
    ["_einops", "autograd", "creation", "_generator", "einops", "linalg", "typed"],
    ["random"],
    ["_core.stand_in", "_core.tree", "_core.watch", "_core.flat"],
    ["_core.trace"],
    ["_core.closing", "_core.nested", "control"],
    ["_core.program"],
    ["_core.jit"],
    ["data"],
    ["nn"],
    ["optim"],
    ["_processes", "func", "utils", "serialization", "sharding", "onnx"],
    ["_export", "_summary"],
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
REQUIRED = {"jax", "jaxlib", "numpy"}


def modules():
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts not in {("conftest",)}:
            found[".".join(parts).removesuffix(".__init__")] = ast.parse(path.read_text())
    return found


MODULES = modules()


def imported(tree):
    """The dotted names that a module imports, without those for the type checker alone."""
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            skipped.update(id(inner) for statement in node.body for inner in ast.walk(statement))
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                yield inside if inside.removeprefix("lucid.") in MODULES else node.module


def top(dotted):
    return dotted.split(".")[0]


def room(dotted):
    """What has a layer of its own: a module of the engine, or all of a package or file above."""
    return ".".join(dotted.split(".")[: 2 if top(dotted) == "_core" else 1])


def own_imports(name):
    return {d.removeprefix("lucid.") for d in imported(MODULES[name]) if d.startswith("lucid.")}


INSIDE = [name for name in MODULES if name != "__init__"]


@pytest.mark.parametrize("name", INSIDE)
def test_imports_point_upwards(name):
    layer = RANK[room(name)]
    for other in own_imports(name):
        assert RANK[room(other)] <= layer, f"lucid.{name} imports lucid.{other}, which stands later"


@pytest.mark.parametrize("name", INSIDE)
def test_no_module_imports_the_whole(name):
    assert "lucid" not in imported(MODULES[name])


def test_every_module_has_a_layer():
    assert {room(name) for name in INSIDE} == set(RANK)


def test_no_cycles():
    graph = {name: {d for d in own_imports(name) if d != name} for name in INSIDE}
    known = set(graph)
    done: set[str] = set()
    while graph:
        free = [name for name, needs in graph.items() if not (needs & known) - done]
        assert free, f"these modules import each other: {sorted(graph)}"
        for name in free:
            done.add(name)
            del graph[name]


@pytest.mark.parametrize("name", MODULES)
def test_no_optional_package_is_imported(name):
    foreign = {top(dotted) for dotted in imported(MODULES[name])} - {"lucid"}
    assert foreign <= REQUIRED | set(sys.stdlib_module_names)


@pytest.mark.parametrize("name", [name for name in INSIDE if top(name) == "ops"])
def test_operations_know_nothing_of_tensors(name):
    assert {room(d) for d in own_imports(name)} <= {
        "ops",
        "_core.typing",
        "_core.declaration",
        "_core.arguments",
        "_core.known",
        "_core.integers",
        "_core.errors",
    }


def test_one_module_calls_jax_vjp():
    callers = {
        name
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "jax.vjp"
    }
    assert callers == {"_core.op"}


def test_files_are_short():
    lengths = {
        str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in ROOT.rglob("*.py")
    }
    assert {name: n for name, n in lengths.items() if n > 500} == {}


# --- Cost -------------------------------------------------------------------------------------


def test_an_import_loads_nothing_that_can_wait():
    code = (
        "import sys, jax; before = set(sys.modules)\n"
        "import lucid; print(*set(sys.modules) - before)\n"
        "lucid.load, lucid.jit, lucid.nn.utils.clip_grad_norm; print(*set(sys.modules) - before)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT.parent)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    first, then = (set(line.split()) for line in done.stdout.splitlines())
    assert not [name for name in first if top(name) == "jax"]
    waiting = {
        "lucid._core.program", "lucid._export", "lucid.data", "lucid.einops", "lucid.func",
        "lucid.linalg", "lucid.nn.utils", "lucid.onnx", "lucid.ops.conv.maps",
        "lucid.serialization", "lucid.utils",
    }  # fmt: skip
    assert not first & waiting
    assert then & waiting == {
        "lucid._core.program", "lucid._export", "lucid.func", "lucid.nn.utils",
        "lucid.serialization",
    }  # fmt: skip


@pytest.mark.parametrize("module", [lucid, lucid.nn])
def test_names_that_wait_are_public(module):
    tree = ast.parse(inspect.getsource(module))
    blocks = [n for n in tree.body if isinstance(n, ast.If) and n.test.id == "TYPE_CHECKING"]
    waiting = {a.name for n in blocks for part in n.body for a in part.names}
    assert waiting
    assert waiting <= set(module.__all__) & set(dir(module))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        module.nothing  # noqa: B018


def test_an_import_starts_no_backend_and_loads_nothing_optional():
    code = (
        "import sys, lucid\n"
        "from jax._src import xla_bridge\n"
        "print(len(xla_bridge._backends))\n"
        "print(*sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'matplotlib', 'sklearn',"
        " 'tqdm', 'optax', 'pytest', 'flax', 'pandas'}))\n"
        "lucid.zeros(1); print(len(xla_bridge._backends))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT.parent, env=os.environ | {
            "PYTHONPATH": str(ROOT.parent)
        }, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["0", "", "1"]


# --- What is public ---------------------------------------------------------------------------

CALLABLE = {**FUNCTIONS, **CLASSES}
# Examples are in what uses these.
WITHOUT_EXAMPLE = {
    "lucid.JitError",
    "lucid.optim.Optimizer",
    "lucid.optim.lr_scheduler.LRScheduler",
    "lucid.random.get_seed",
    "lucid.utils.Cost",
}


def test_all_names_what_exists():
    for module in (lucid, lucid.nn, lucid.optim, lucid.autograd, lucid.data):
        assert len(module.__all__) == len(set(module.__all__))
        assert all(hasattr(module, name) for name in module.__all__)
    assert len(CALLABLE) > 100


@pytest.mark.parametrize("name", CALLABLE)
def test_public_names_are_documented_with_an_example(name):
    text = inspect.getdoc(CALLABLE[name]) or ""
    assert text.strip(), f"{name} has no docstring"
    assert ">>>" in text or name in WITHOUT_EXAMPLE, f"{name} has no example"


@pytest.mark.parametrize("cls", CLASSES.values(), ids=lambda cls: cls.__name__)
def test_public_methods_are_documented(cls):
    for name, member in vars(cls).items():
        if name[0] != "_" and (callable(member) or isinstance(member, property)):
            assert inspect.getdoc(getattr(cls, name)), f"{cls.__name__}.{name} has no docstring"


def test_the_package_is_typed():
    assert (ROOT / "py.typed").exists()
    assert not [m.name for m in pkgutil.iter_modules([str(ROOT)]) if m.name == "tests"]
