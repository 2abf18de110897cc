"""Module: registration, traversal, modes, conversion, printing, and its errors."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import spaced


class Block(nn.Module):
    def __init__(self, size=3):
        super().__init__()
        self.linear = nn.Linear(2, size)
        self.scale = nn.Parameter(spaced(size))
        self.mean = nn.Buffer(np.zeros(size))
        self.note = "plain"

    def forward(self, x):
        return self.linear(x) * self.scale - self.mean


class Tree(nn.Module):
    def __init__(self):
        super().__init__()
        self.left = Block()
        self.weight = nn.Parameter([1.0])
        self.right = self.left
        self.tied = self.left.scale
        self.other = nn.Sequential(nn.Linear(3, 1), nn.ReLU())
        self.none = None

    def forward(self, x):
        return self.other(self.right(self.left(x)[..., :2]))


def names(pairs):
    return [name for name, _ in pairs]


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
    with pytest.raises(AttributeError, match=r'^Block has no attribute "scale"\.'):
        _ = block.scale
    with pytest.raises(AttributeError, match=r'^Block has no attribute "scale"\.$'):
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


def test_an_unknown_attribute_names_the_nearest():
    block = Block()
    with pytest.raises(
        AttributeError, match=r'^Block has no attribute "sclae"\. Did you mean "scale"\?$'
    ):
        _ = block.sclae
    with pytest.raises(AttributeError, match=r'"forwrd"\. Did you mean "forward"\?$'):
        _ = block.forwrd
    with pytest.raises(AttributeError, match=r'^Block has no attribute "qqqqqq"\.$'):
        _ = block.qqqqqq
    assert not hasattr(block, "sclae")
    assert getattr(block, "sclae", 5) == 5


def test_forward_must_be_defined():
    with pytest.raises(NotImplementedError, match=r"^Module defines no forward method\.$"):
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
    with pytest.raises(
        AttributeError, match=r'^Block has no attribute "liner"\. Did you mean "linear"'
    ):
        tree.get_submodule("left.liner")
    with pytest.raises(AttributeError, match=r'^"left.mean" is no Parameter\.$'):
        tree.get_parameter("left.mean")


# --- Modes and conversion ---------------------------------------------------------------------


def test_train_and_eval():
    tree = Tree()
    assert tree.training
    assert tree.eval() is tree
    assert not any(module.training for module in tree.modules())
    tree.left.train()
    assert (tree.training, tree.left.linear.training) == (False, True)
    tree.train()
    assert all(module.training for module in tree.modules())


def test_requires_grad_and_zero_grad():
    block = Block()
    assert block.requires_grad_(False) is block
    x = Tensor(spaced(4, 2))
    assert not block(x).requires_grad
    block.requires_grad_()
    block(x).backward()
    assert all(p.grad is not None for p in block.parameters())
    block.zero_grad()
    assert all(p.grad is None for p in block.parameters())
    assert not block.mean.requires_grad


def test_apply_goes_from_the_leaves_up():
    seen = []
    tree = Tree()
    assert tree.apply(lambda m: seen.append(type(m).__name__)) is tree
    assert seen == ["Linear", "Block", "Linear", "ReLU", "Sequential", "Tree"]


def test_to_dtype():
    block = Block()
    block.register_buffer("count", 3)
    block(Tensor(spaced(4, 2))).backward()
    scale = block.scale
    assert block.to("bfloat16") is block
    assert block.scale is scale
    assert {str(p.dtype) for p in block.parameters()} == {"bfloat16"}
    assert {str(p.grad.dtype) for p in block.parameters()} == {"bfloat16"}
    assert (block.mean.dtype, block.count.dtype) == ("bfloat16", "int32")
    assert block(Tensor(spaced(4, 2), dtype="bfloat16")).dtype == "bfloat16"


def test_to_device():
    block = Block()
    before = block.scale.numpy()
    assert block.to("cpu").scale.device == "cpu"
    np.testing.assert_array_equal(block.scale.numpy(), before)


def test_to_refuses_and_changes_nothing():
    block = Block()
    with pytest.raises(
        TypeError, match=r"^to: Parameters are floating-point numbers, not int32\.$"
    ):
        block.to(int)
    with pytest.raises(ValueError, match=r'^device "tpu" is not present'):
        block.to("tpu")
    with pytest.raises(ValueError, match="float64 needs JAX's 64-bit mode"):
        block.to("float64")
    assert {str(p.dtype) for p in block.parameters()} == {"float32"}


# --- Printing and copying ---------------------------------------------------------------------


def test_repr():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.deconv = nn.ConvTranspose2d(16, 8, kernel_size=4, stride=2, padding=1)
            self.body = nn.Sequential(nn.Linear(4, 2, bias=False), nn.ReLU())
            self.table = nn.ModuleDict({"a": nn.Tanh()})

        def extra_repr(self):
            return "size=3"

    assert repr(Named()).splitlines() == [
        "Named(size=3",
        "  (deconv): ConvTranspose2d(16, 8, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1))",
        "  (body): Sequential(",
        "    (0): Linear(in_features=4, out_features=2, bias=False)",
        "    (1): ReLU()",
        "  )",
        "  (table): ModuleDict(",
        "    (a): Tanh()",
        "  )",
        ")",
    ]
    assert repr(nn.ReLU()) == "ReLU()"
    assert repr(nn.Flatten()) == "Flatten(start_axis=1, end_axis=-1)"


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_independent(copied):
    tree = Tree()
    other = copied(tree)
    x = Tensor(spaced(4, 2))
    np.testing.assert_array_equal(other(x).numpy(), tree(x).numpy())
    assert other.tied is other.left.scale
    assert other.right is other.left
    assert other.tied is not tree.tied
    with lucid.no_grad():
        other.left.linear.weight *= 0
    assert (tree.left.linear.weight != 0).all()
    assert list(other.state_dict()) == list(tree.state_dict())
