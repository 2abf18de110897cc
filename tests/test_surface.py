"""The public surface of lucid 2.16 is here: names, arguments, their order and their defaults.

`lucid-2.16-surface.json` lists it: dotted names with signatures. A call that 2.16 accepts must be
accepted here and mean the same. What differs on purpose stands in `DIFFERENCES`, with the reason.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import math
import re
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import lucid

SURFACE: dict[str, str] = json.loads(
    Path(__file__).with_name("lucid-2.16-surface.json").read_text(encoding="utf-8")
)

# Names that lucid leaves out, as patterns. Model zoo, data sets and conversion are other libraries'
# work on JAX; MLX and the flags of 2.16's engine have nothing to mean here.
LEFT_OUT = (
    r"lucid\.(models|weights|datasets|transforms|port|visual|data\.tokenizers)",
    r"lucid\.(register_model|MODELS_REGISTRY_PATH|USE_\w+|CONV_VIEW_LIMIT_MB)",
    r"lucid\.Tensor\.mlx",
)

# What differs on purpose, as patterns: with what a caller of 2.16 has to know.
DIFFERENCES = {
    r"lucid\.Tensor\.backward": "takes the gradient first, as in PyTorch; a Tensor keeps its "
    "gradient by retain_grad() or keep_grad=True, not by an argument",
    r"lucid\.autograd\.backward": "takes one or several Tensors and their gradients, as in PyTorch",
    r"lucid\.autograd\.grad": "create_graph stands before allow_unused, as in PyTorch: name both",
    r"lucid\.Tensor\.__truediv__": "Python gives an operator no third argument: lucid.div(a, b, "
    "floor=True) or a // b",
    r"lucid\.nn\.Parameter": "the second argument is requires_grad, as in PyTorch: name dtype",
    r"lucid\.nn\.(functional\.)?(avg|max)_?pool[123]d": "stride is the window's size by default, "
    "as in PyTorch; 2.16 moves by 1",
    r"lucid\.nn\.functional\.(cross_entropy|nll_loss)": "ignore_index is -100 by default, as in "
    "PyTorch; no class has that number, so nothing else changes",
    r"lucid\.meshgrid": "takes any number of vectors, so indexing is named",
    r"lucid\.to_tensor": "is lucid.tensor itself, whose first argument is called data",
    r"lucid\.JITModule": "is lucid.JITFunction: one class for both, whose argument is called fn",
    r"lucid\.nn\.functional\.tanh": "is lucid.tanh itself, whose operand is called a",
}


def exempt(name: str, patterns: Any) -> bool:
    return any(re.fullmatch(pattern, name, re.IGNORECASE) for pattern in patterns)


def find(name: str) -> Any:
    """What stands under a dotted name: of a class, what it defines for its objects."""
    parts = name.split(".")
    found: Any = importlib.import_module(parts[0])
    for i, part in enumerate(parts[1:], 1):
        if inspect.isclass(found) and hasattr(found, part):
            found = inspect.getattr_static(found, part)
        elif inspect.isclass(found):  # an attribute that only objects have
            found = getattr(found(), part)
        else:
            try:
                found = getattr(found, part)
            except AttributeError:
                found = importlib.import_module(".".join(parts[: i + 1]))
    return found


def theirs(text: str) -> list[inspect.Signature]:
    """The signatures of an entry, one for each overload; none if it describes no call."""
    text = re.sub(r"^(class|static)method ", "", text).replace("<class 'int'>", "int")
    heads = [overload.partition(" -> ")[0] for overload in re.split(r" \| (?=\()", text)]
    scope: dict[str, Any] = {"inf": math.inf, "lucid": lucid}
    signatures = []
    for head in heads:
        try:
            exec(f"from __future__ import annotations\ndef f{head}: ...", scope)
        except SyntaxError:  # a description
            return []
        signatures.append(inspect.signature(scope["f"]))
    return signatures


def ours(found: Any, name: str) -> inspect.Signature:
    """The signature of a call of what stands here, without `self`, and with options one by one."""
    function = getattr(found, "__func__", found)
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    owner = name.rpartition(".")[0]
    if re.search(r"\.[A-Z]\w*$", owner) and not isinstance(found, staticmethod):
        parameters = parameters[1:]
    if parameters and "Unpack[Options]" in str(parameters[-1].annotation):
        options = get_type_hints(importlib.import_module("lucid._core.typing").Options)
        parameters[-1:] = [
            inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=None)
            for option in options
            if option not in signature.parameters
        ]
    return signature.replace(parameters=parameters)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, list):  # for which a tuple stands, that nobody can change
        return tuple(a) == b
    return a == b or (a == "cpu" and b is None)  # which is the default device


def problems(name: str, text: str) -> list[str]:
    """What keeps a caller of 2.16 from using the name."""
    try:
        found = find(name)
    except (AttributeError, ImportError, TypeError) as error:
        return [str(error)]
    signatures = theirs(text)
    if text == "<property>" and not isinstance(found, property | functools.cached_property):
        return ["is no property"]
    if not signatures:
        return []
    here = ours(found, name)
    return [p for s in signatures for p in _compare(s, here, name, overloaded=len(signatures) > 1)]


def _compare(
    there: inspect.Signature, here: inspect.Signature, name: str, overloaded: bool
) -> list[str]:
    parameters = list(there.parameters.values())
    by_name = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    by_place = [p for p in parameters if p not in by_name and p.kind is not p.VAR_KEYWORD]
    wrong = []
    values = [object() for _ in by_place]
    needed = {p.name: object() for p in by_name if p.default is p.empty}
    required = [p for p in by_place if p.default is p.empty]
    try:
        here.bind(*values[: len(required)], **needed)  # the shortest call
        bound = here.bind(*values, **needed).arguments  # all by place
    except TypeError as error:
        return [f"by place: {error}"]
    if overloaded or (name.rpartition(".")[2].startswith("__") and "__init__" not in name):
        return []  # 2.16 takes these by *args, and operators have no names
    named = [
        p for p in (*by_place, *by_name) if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    for parameter, value in zip(by_place, values, strict=True):
        if parameter in named and bound.get(parameter.name) is not value:
            wrong.append(f"another argument stands in the place of {parameter.name}")
    try:
        alone = [object() for p in by_place if p.kind is p.POSITIONAL_ONLY]
        here.bind(*alone, **{p.name: object() for p in named})
    except TypeError as error:
        wrong.append(f"by name: {error}")
    for parameter in named:
        mine = here.parameters.get(parameter.name)
        known = parameter.default is not parameter.empty and mine is not None
        if known and not same(parameter.default, mine.default):
            wrong.append(f"{parameter.name} is {mine.default!r} by default")
    return wrong


COMPARED = [name for name in SURFACE if not exempt(name, LEFT_OUT)]


@pytest.mark.parametrize("name", [n for n in COMPARED if not exempt(n, DIFFERENCES)])
def test_a_name_of_2_16_is_here(name):
    assert problems(name, SURFACE[name]) == []


@pytest.mark.parametrize("pattern", LEFT_OUT)
def test_what_is_left_out_is_not_there(pattern):
    names = [n for n in SURFACE if exempt(n, [pattern])]
    assert names and all(problems(name, "") for name in names)


def test_the_differences_are_few_and_real():
    assert len(DIFFERENCES) <= 40
    for pattern in DIFFERENCES:
        names = [n for n in COMPARED if exempt(n, [pattern])]
        assert names and all(problems(n, SURFACE[n]) for n in names), pattern


@pytest.mark.parametrize("text, bad", [
    ("(a: Tensor, /) -> Tensor", []),
    ("(a: Tensor, /, axis: int | None = None, keepdims: bool = False) -> Tensor", []),
    ("(a: Tensor, /, keepdims: bool = False) -> Tensor",
     ["another argument stands in the place of keepdims"]),
    ("(a: Tensor, /, axis: int = 0) -> Tensor", ["axis is None by default"]),
    ("(a: Tensor, /, axis: int, dims: int) -> Tensor",
     ["another argument stands in the place of dims",
      "by name: got an unexpected keyword argument 'dims'"]),
    ("(a, axis, keepdims, more) -> Tensor", ["by place: too many positional arguments"]),
])  # fmt: skip
def test_the_comparison_sees_what_differs(text, bad):
    assert problems("lucid.sum", text) == bad


def test_a_name_that_is_missing_is_seen():
    assert problems("lucid.nn.Nothing", "") and problems("lucid.nothing.nothing", "module")
