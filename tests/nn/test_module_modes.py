"""Module: modes, conversion, printing and copying."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import spaced
from tests.nn.models import Block, Tree

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
