"""What `help`, `inspect`, `pickle` and `copy` make of public functions, classes and methods."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pydoc

import pytest

from tests.public import CLASSES, FUNCTIONS, METHODS, OPERATORS

ALL = {**FUNCTIONS, **CLASSES, **METHODS, **OPERATORS}
CODE = {**FUNCTIONS, **METHODS, **OPERATORS}


def test_there_are_many():
    assert len(FUNCTIONS) > 150 and len(CLASSES) > 120 and len(METHODS) > 110


@pytest.mark.parametrize("name", ALL)
def test_they_are_pickled_and_copied_as_themselves(name):
    value = ALL[name]  # a class method is a new object each time, equal to the others
    assert pickle.loads(pickle.dumps(value)) == value
    assert copy.copy(value) == value
    assert copy.deepcopy(value) == value


@pytest.mark.parametrize("name", CODE)
def test_functions_are_where_they_say(name):
    function = CODE[name]
    assert function.__module__.split(".")[0] == "lucid"
    assert not {"_core", "ops", "_export"} & set(function.__module__.split("."))
    assert "<" not in function.__qualname__
    found = importlib.import_module(function.__module__)
    for part in function.__qualname__.split("."):
        found = getattr(found, part)
    assert found == function
    assert function.__name__ == function.__qualname__.split(".")[-1]


# Python's own exceptions have no signature to show.
@pytest.mark.parametrize("name", sorted(ALL.keys() - {"lucid.JitError"}))
def test_they_show_their_parameters(name):
    assert isinstance(inspect.signature(ALL[name]), inspect.Signature)


@pytest.mark.parametrize("name", CODE)
def test_functions_are_annotated(name):
    signature = inspect.signature(CODE[name])
    parameters = list(signature.parameters.values())
    assert signature.return_annotation is not signature.empty
    for i, parameter in enumerate(parameters):
        is_self = parameter.name == "self" and i == 0
        assert is_self or parameter.annotation is not parameter.empty
    # What a wrapper shows that does not say whom it wraps.
    assert [str(p) for p in parameters] != ["*args: 'Any'", "**kwargs: 'Any'"]


@pytest.mark.parametrize("name", CODE)
def test_help_shows_name_parameters_and_docstring(name):
    function = CODE[name]
    if name in OPERATORS and not function.__doc__:
        return  # a method of Python's own protocols
    text = pydoc.plain(pydoc.render_doc(function))
    assert f"{function.__name__}(" in text or f"{function.__name__} =" in text
    assert inspect.getdoc(function).splitlines()[0] in text


@pytest.mark.parametrize("name", ["randn", "rand", "zeros", "ones"])
def test_constructors_of_tensor_are_the_functions_of_that_name(name):
    import lucid

    assert getattr(lucid.Tensor, name) is getattr(lucid, name)
    assert str(inspect.signature(getattr(lucid.Tensor, name))).startswith("(*shape: 'Shape', ")


def test_a_module_that_holds_functions_is_pickled(tmp_path):
    import lucid
    import lucid.nn.functional as F

    model = lucid.nn.Sequential(lucid.nn.Linear(2, 2), lucid.nn.ReLU())
    model.activation, model.exp = F.relu, lucid.exp
    again = pickle.loads(pickle.dumps(model))
    assert again.activation is F.relu and again.exp is lucid.exp
    x = lucid.randn(3, 2)
    assert bool((again(x) == model(x)).all())
