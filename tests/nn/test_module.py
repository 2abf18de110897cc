"""Module: registration, traversal, and the errors of both."""

from __future__ import annotations

import re

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import printed, spaced
from tests.nn.models import Block, Tree, names

# --- Registration -----------------------------------------------------------------------------


def test_assignment_registers():
    block = Block()
    assert names(block.named_parameters()) == ["scale", "linear.weight", "linear.bias"]
    assert names(block.named_buffers()) == ["mean"]
    assert names(block.named_children()) == ["linear"]
    assert block.note == "plain"
    assert "scale" not in vars(block)
    assert {"scale", "mean", "linear", "note", "forward"} <= set(dir(block))


def test_reassignment_moves_between_registries():
    block = Block()
    block.note = nn.Parameter([1.0])
    assert "note" in names(block.named_parameters())
    block.scale = nn.ReLU()
    assert "scale" not in names(block.named_parameters())
    assert names(block.named_children()) == ["linear", "scale"]
    block.mean = nn.Parameter([2.0])
    assert names(block.named_buffers()) == []


def test_a_replaced_entry_keeps_its_place():
    module = nn.Linear(2, 3)
    module.act, module.last = nn.ReLU(), nn.Tanh()
    module.mean, module.var = nn.Buffer([1.0]), nn.Buffer([2.0])
    before = list(module.state_dict())
    weight = nn.Parameter(np.ones((3, 2)))
    module.weight, module.act, module.mean = weight, nn.Sigmoid(), nn.Buffer([3.0])
    assert module.weight is weight
    assert list(module.state_dict()) == before == ["weight", "bias", "mean", "var"]
    assert names(module.named_children()) == ["act", "last"]
    module.register_parameter("weight", nn.Parameter(np.ones((3, 2))))
    module.register_buffer("mean", [4.0])
    module.add_module("act", nn.ReLU())
    assert list(module.state_dict()) == before
    assert names(module.named_children()) == ["act", "last"]


def test_an_update_in_place_keeps_the_order():
    module = nn.Linear(2, 3)
    weight = module.weight
    with lucid.no_grad():
        module.weight -= 0.5
        module.bias *= 2.0
    assert module.weight is weight
    assert names(module.named_parameters()) == ["weight", "bias"]


def test_a_transient_buffer_stays_transient():
    block = Block()
    block.register_buffer("transient", [1.0], persistent=False)
    block.transient = nn.Buffer([2.0])
    block.transient = Tensor([3.0])
    assert block.transient.tolist() == [3.0]
    assert list(block.state_dict()) == ["scale", "mean", "linear.weight", "linear.bias"]
    block.register_buffer("transient", [4.0])
    assert "transient" in block.state_dict()
    block.transient = nn.Parameter([5.0])
    assert "transient" in names(block.named_parameters())


def test_none_takes_the_place_of_what_was_registered():
    block = Block()
    block.scale = None
    block.linear = None
    block.mean = None
    assert (block.scale, block.linear, block.mean) == (None, None, None)
    assert list(block.parameters()) == []
    assert list(block.buffers()) == []
    assert list(block.children()) == []
    assert list(block.state_dict()) == []
    block.scale = nn.Parameter([1.0])
    block.linear = nn.ReLU()
    assert names(block.named_parameters()) == ["scale"]


@pytest.mark.parametrize(
    ("name", "kind"), [("scale", "Parameter"), ("linear", "Module")]
)  # fmt: skip
def test_other_values_are_refused(name, kind):
    block = Block()
    before = getattr(block, name)
    text = f"Block.{name} is a {kind}; it can be set to a {kind} or None, not to a Tensor."
    with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
        setattr(block, name, Tensor([1.0]))
    assert getattr(block, name) is before


def test_a_value_assigned_to_a_buffer_becomes_a_buffer():
    block = Block()
    block.mean = Tensor([1.0, 2.0, 3.0])
    assert type(block.mean) is nn.Buffer
    assert block.state_dict()["mean"].tolist() == [1, 2, 3]


def test_deletion():
    block = Block()
    del block.scale, block.mean, block.linear, block.note
    assert list(block.state_dict()) == []
    with pytest.raises(AttributeError, match=r"^Block has no attribute 'scale'$"):
        _ = block.scale
    with pytest.raises(AttributeError, match=r"^Block has no attribute 'scale'$"):
        del block.scale


def test_register_by_call():
    module = nn.Module()
    module.register_parameter("weight", nn.Parameter([1.0]))
    module.register_parameter("bias", None)
    module.register_buffer("mean", np.zeros(2))
    module.register_buffer("count", 0, dtype=int)
    module.register_buffer("hidden", Tensor([1.0]), persistent=False)
    module.register_buffer("absent", None)
    module.add_module("act-1", nn.ReLU())
    module.add_module("later", None)
    assert list(module.state_dict()) == ["weight", "mean", "count"]
    assert names(module.named_buffers()) == ["mean", "count", "hidden"]
    assert (module.bias, module.absent, module.later) == (None, None, None)
    assert type(module.mean) is type(module.hidden) is nn.Buffer
    assert (module.count.dtype, module.count.shape) == (np.int32, ())
    assert names(module.named_children()) == ["act-1"]


REGISTRATION_ERRORS = {
    "no parameter": (
        lambda m: m.register_parameter("w", Tensor([1.0])), TypeError,
        "register_parameter: a Parameter is needed, got Tensor.",
    ),
    "no module": (
        lambda m: m.add_module("w", nn.ReLU), TypeError,
        "add_module: a Module is needed, got type.",
    ),
    "empty name": (
        lambda m: m.add_module("", nn.ReLU()), ValueError,
        'add_module: a name must not be empty or hold a dot, got "".',
    ),
    "dotted name": (
        lambda m: m.register_buffer("a.b", [1.0]), ValueError,
        'register_buffer: a name must not be empty or hold a dot, got "a.b".',
    ),
    "taken name": (
        lambda m: m.register_parameter("forward", nn.Parameter([1.0])), ValueError,
        'register_parameter: Block has another attribute "forward".',
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REGISTRATION_ERRORS.values(), ids=REGISTRATION_ERRORS)
def test_registration_errors(case):
    call, error, text = case
    block = Block()
    before = list(block.state_dict())
    with pytest.raises(error, match=f"^{re.escape(text)}$"):
        call(block)
    assert list(block.state_dict()) == before


# --- super().__init__() and unknown attributes ------------------------------------------------


class Forgetful(nn.Module):
    def __init__(self, value):
        self.value = value


FORGOTTEN = (
    "Forgetful: super().__init__() must be called first in __init__, before Parameters or Modules "
    "are assigned or the Module is used."
)


@pytest.mark.parametrize("value", [
    lambda: nn.Parameter([1.0]), lambda: nn.Buffer([1.0]), lambda: nn.ReLU()
])  # fmt: skip
def test_forgotten_init_at_assignment(value):
    with pytest.raises(AttributeError, match=f"^{re.escape(FORGOTTEN)}$"):
        Forgetful(value())


@pytest.mark.parametrize("use", [
    lambda m: m(1.0), lambda m: m.parameters(), lambda m: m.unknown, lambda m: m.state_dict(),
    lambda m: m.train(), lambda m: repr(m), lambda m: m.register_buffer("b", [1.0]),
    lambda m: list(m.named_modules()), lambda m: nn.Sequential(m).eval(), lambda m: delete(m),
])  # fmt: skip
def test_forgotten_init_at_use(use):
    module = Forgetful(3)
    assert module.value == 3
    with pytest.raises(AttributeError, match=f"^{re.escape(FORGOTTEN)}$"):
        list(use(module))


def delete(module):
    del module.unknown


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("sclae", ". Did you mean: 'scale'?"), ("forwrd", ". Did you mean: 'forward'?"), ("qq", "")],
)
def test_an_unknown_attribute_names_the_nearest(name, suggestion):
    block = Block()
    text = f"Block has no attribute '{name}'"
    with pytest.raises(AttributeError, match=f"^{text}$") as caught:
        getattr(block, name)
    assert printed(caught.value) == f"AttributeError: {text}{suggestion}"


def test_unknown_attributes_can_be_asked_for():
    block = Block()
    assert not hasattr(block, "sclae")
    assert getattr(block, "sclae", 5) == 5


def test_forward_must_be_defined():
    with pytest.raises(
        NotImplementedError, match=r"^Module defines no forward method\. \(in Module\)$"
    ):
        nn.Module()(1)


# --- Traversal --------------------------------------------------------------------------------


def test_traversal_gives_each_once():
    tree = Tree()
    assert names(tree.named_modules()) == ["", "left", "left.linear", "other", "other.0", "other.1"]
    assert names(tree.named_children()) == ["left", "other"]
    assert names(tree.named_parameters()) == [
        "weight", "tied", "left.linear.weight", "left.linear.bias",
        "other.0.weight", "other.0.bias",
    ]  # fmt: skip
    assert names(tree.named_parameters(recurse=False)) == ["weight", "tied"]
    assert names(tree.named_parameters(prefix="net"))[:2] == ["net.weight", "net.tied"]
    assert names(tree.named_buffers()) == ["left.mean"]
    assert names(tree.named_buffers(recurse=False)) == []
    assert names(tree.named_modules(prefix="net"))[:2] == ["net", "net.left"]
    for plain, named in (
        (tree.modules(), tree.named_modules()),
        (tree.children(), tree.named_children()),
        (tree.parameters(), tree.named_parameters()),
        (tree.buffers(), tree.named_buffers()),
    ):
        assert [id(x) for x in plain] == [id(x) for _, x in named]
    assert tree.count_parameters() == 1 + 3 + 6 + 3 + 3 + 1
    assert tree.count_parameters(recurse=False) == 4


def test_tied_parameters_get_one_gradient():
    tree = Tree()
    assert tree.tied is tree.left.scale
    tree(Tensor(spaced(4, 2))).sum().backward()
    assert tree.tied.grad is tree.left.scale.grad
    assert tree.tied.grad is not None


def test_cycles_end():
    a, b = nn.Module(), nn.Module()
    a.b, b.a = b, a
    assert [id(m) for m in a.modules()] == [id(a), id(b)]


def test_access_by_dotted_name():
    tree = Tree()
    assert tree.get_submodule("") is tree
    assert tree.get_submodule("other.0") is tree.other[0]
    assert tree.get_parameter("left.linear.weight") is tree.left.linear.weight
    with pytest.raises(AttributeError, match=r'^"note" in "left.note" is no Module\.$'):
        tree.get_submodule("left.note")
    with pytest.raises(AttributeError, match=r"^Block has no attribute 'liner'$"):
        tree.get_submodule("left.liner")
    with pytest.raises(AttributeError, match=r'^"left.mean" is no Parameter\.$'):
        tree.get_parameter("left.mean")
