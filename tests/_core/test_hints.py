"""Names of other libraries."""

from __future__ import annotations

import builtins
import copy
import functools
import importlib
import pickle
import re

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid._core import hints
from lucid.nn import functional as F
from tests.helpers import printed

X = lucid.zeros(2, 3)
PLACES = {
    "Tensor": (X, hints.TENSOR),
    "Module": (nn.Module(), hints.MODULE),
    **{name: (importlib.import_module(name), names) for name, names in hints.MODULES.items()},
}
ENTRIES = [(place, name) for place, (_, names) in PLACES.items() for name in names]


@pytest.mark.parametrize(("place", "name"), ENTRIES, ids=lambda value: value)
def test_a_hint_is_for_what_is_missing(place, name):
    holder, names = PLACES[place]
    assert not hasattr(holder, name), f"{place} has {name} by now: remove its hint"
    with pytest.raises(AttributeError) as caught:
        getattr(holder, name)
    clause = names[name] if names[name].startswith("lucid ") else f"lucid calls it {names[name]}"
    text = f"{place} has no attribute '{name}'; {clause}."
    assert str(caught.value) == text
    assert caught.value.name == name
    assert printed(caught.value) == f"AttributeError: {text}"


@pytest.mark.parametrize(("place", "name"), ENTRIES, ids=lambda value: value)
def test_what_a_hint_recommends_exists(place, name):
    holder, names = PLACES[place]
    spelling = names[name]
    if spelling.startswith("lucid "):
        return
    if re.match(r"[~-]?a( \S+ b)?$", spelling):
        a, b = Tensor([5]), Tensor([3])
        assert isinstance(eval(spelling, {"a": a, "b": b}), Tensor)
        return
    if re.match(r"[ax][.\[]", spelling):
        x = lucid.zeros(2, 3)
        exec(spelling, {"a": x, "x": x, "index": 0, "value": 1, "other": lucid.ones(2, 3)})
        return
    for part in re.split(r", (?=[A-Z])| or ", spelling):
        dotted = re.match(r"[\w.]+", part).group().removeprefix("lucid.")
        roots = (holder, lucid, builtins)
        assert any(reaches(root, dotted) for root in roots), f"{place}.{name}: no {dotted}"


def reaches(root, dotted):
    try:
        functools.reduce(getattr, dotted.split("."), root)
    except AttributeError:
        return False
    return True


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (lambda: X.view, "Tensor has no attribute 'view'; lucid calls it reshape(*shape)."),
        (lambda: X.permute, "Tensor has no attribute 'permute'; lucid calls it transpose(axes)."),
        (lambda: lucid.cat, "lucid has no attribute 'cat'; lucid calls it concatenate."),
        (lambda: nn.Conv2D, "lucid.nn has no attribute 'Conv2D'; lucid calls it Conv2d."),
        (
            lambda: F.hardswish,
            "lucid.nn.functional has no attribute 'hardswish'; lucid calls it hard_swish.",
        ),
        (
            lambda: nn.Linear(1, 1).cuda,
            "Linear has no attribute 'cuda'; lucid calls it to(\"gpu\").",
        ),
        (
            lambda: nn.init.normal_,
            "lucid.nn.init has no attribute 'normal_'; lucid calls it normal.",
        ),
    ],
)
def test_texts(read, text):
    with pytest.raises(AttributeError, match=f"^{re.escape(text)}$"):
        read()


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (lambda: X.reshap, "Tensor has no attribute 'reshap'. Did you mean: 'reshape'?"),
        (lambda: lucid.matmull, "lucid has no attribute 'matmull'. Did you mean: 'matmul'?"),
        (lambda: nn.Linaer, "lucid.nn has no attribute 'Linaer'. Did you mean: 'Linear'?"),
        (lambda: X.qqqqqqqq, "Tensor has no attribute 'qqqqqqqq'"),
    ],
)
def test_python_suggests_the_nearest_of_other_names(read, text):
    with pytest.raises(AttributeError) as caught:
        read()
    assert printed(caught.value) == f"AttributeError: {text}"


# --- Keywords ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: lucid.sum(X, dim=1), "sum: {} 'dim'; lucid calls it axis; it is sum(a"),
        (lambda: X.sum(dim=1), "sum: {} 'dim'; lucid calls it axis; "),
        (lambda: X.sum(0, keepdim=True), "sum: {} 'keepdim'; lucid calls it keepdims; "),
        (lambda: F.softmax(X, dim=1), "softmax: {} 'dim'; lucid calls it axis; "),
        (lambda: X.unsqueeze(dim=0), "unsqueeze: {} 'dim'; lucid calls it axis; "),
        (lambda: lucid.concatenate(tensors=[X]), "concatenate: {} 'tensors'; lucid calls it arr; "),
        (lambda: X.clip(min=0), "clip: {} 'min'; lucid calls it min_value; "),
        (
            lambda: F.relu(X, inplace=True),
            "relu: {} 'inplace'; lucid returns a new Tensor: leave it out; it is relu(",
        ),
        (lambda: F.relu(input=X), "relu: {} 'input'; lucid calls it input_; "),
        (lambda: lucid.exp(input=X), "exp: {} 'input'; lucid calls it a; "),
        (lambda: lucid.exp(X, dim=1), "exp: {} 'dim'; it is exp("),
        (lambda: lucid.sum(X, axes=1), "sum: {} 'axes'; it is sum("),
        (lambda: X.norm(p=2), "norm: {} 'p'; lucid calls it ord; "),
        (lambda: X.std(ddof=1), "std: {} 'ddof'; lucid calls it correction; "),
        (
            lambda: X.var(unbiased=True),
            "var: {} 'unbiased'; lucid takes correction=1 for the unbiased estimate; ",
        ),
    ],
)
def test_keywords(call, text):
    text = text.format("got an unexpected keyword argument")
    with pytest.raises(TypeError, match=f"^{re.escape(text)}"):
        call()


def test_every_keyword_that_is_recommended_exists():
    functions = {**vars(lucid), **vars(F)}.values()
    known = [f.declaration.names for f in functions if hasattr(f, "pure")]
    for foreign, spellings in hints.KEYWORDS.items():
        for spelling in spellings:
            assert spelling.startswith("lucid ") or any(
                spelling in names and foreign not in names for names in known
            ), (foreign, spelling)


# --- Asking for what is not there -------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: Tensor([1.0, 2.0]), lambda: nn.Parameter([1.0, 2.0])])
def test_probing_goes_on_working(make):
    tensor = make()
    for name in (
        "nope",
        "_repr_html_",
        "_ipython_canary_method_should_not_exist_",
        "__cuda_array__",
    ):
        assert not hasattr(tensor, name)
        assert getattr(tensor, name, 5) == 5
    for copied in (copy.copy(tensor), copy.deepcopy(tensor), pickle.loads(pickle.dumps(tensor))):
        assert type(copied) is type(tensor)
        np.testing.assert_array_equal(copied.numpy(), tensor.numpy())
    np.testing.assert_array_equal(np.asarray(tensor), [1, 2])
    np.testing.assert_array_equal(np.from_dlpack(tensor), [1, 2])
    assert repr(tensor.data) == repr(np.asarray(tensor)).replace("array", "Array")


def test_a_tensor_without_its_slots_ends_in_an_attribute_error():
    empty = object.__new__(Tensor)
    for read in (lambda: empty.data, lambda: empty.shape, lambda: empty._data, lambda: repr(empty)):
        with pytest.raises(AttributeError):
            read()


def test_an_error_of_a_miss_can_be_pickled():
    for holder in (X, nn.Linear(1, 1), lucid):
        with pytest.raises(AttributeError) as caught:
            holder.nope  # noqa: B018
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_miss_composes_no_suggestion():
    """`hasattr` is asked often: the nearest name is looked for when an error is shown."""

    class Watched(nn.Module):
        def __dir__(self):
            raise AssertionError("a miss looked through all names")

    assert not hasattr(Watched(), "nope")
    assert not hasattr(Watched(), "cuda")


@pytest.mark.parametrize("make", [lambda: nn.Linear(2, 2), lambda: nn.BatchNorm1d(2)])
def test_a_compiled_module_asks_for_nothing_that_is_missing(make, monkeypatch):
    model, x = make(), lucid.ones(2, 2)
    compiled = lucid.jit(model)
    compiled(x), compiled(x)
    missed = []
    missing = hints.missing
    monkeypatch.setattr(hints, "missing", lambda *args: missed.append(args) or missing(*args))
    compiled(x)
    assert not hasattr(model, "nope")
    assert [name for _, _, name, _ in missed] == ["nope"]


def test_a_module_that_a_trace_asks_is_noted():
    model = nn.Linear(2, 2)

    @lucid.jit
    def step(x):
        return model(x) * (2 if hasattr(model, "scale") else 1)

    x = lucid.ones(1, 2)
    first = step(x).numpy()
    model.scale = 3
    np.testing.assert_allclose(step(x).numpy(), 2 * first, rtol=1e-6)
