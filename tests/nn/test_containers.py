"""Containers: lists and dictionaries of Modules and Parameters, and Sequential."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

from lucid import Tensor, nn
from tests.helpers import spaced

# --- Sequential -------------------------------------------------------------------------------


def test_sequential_applies_in_order():
    first, second = nn.Linear(2, 3), nn.Linear(3, 1)
    net = nn.Sequential(first, nn.Tanh(), second)
    x = Tensor(spaced(4, 2))
    np.testing.assert_array_equal(net(x).numpy(), second(first(x).tanh()).numpy())
    assert nn.Sequential()(x) is x


def test_sequential_from_names():
    net = nn.Sequential(OrderedDict(up=nn.Linear(2, 3), act=nn.ReLU()))
    assert list(net.state_dict()) == ["up.weight", "up.bias"]
    assert net.up is net[0]
    assert net[-1] is net.act
    assert [name for name, _ in net.named_children()] == ["up", "act"]
    net[1] = nn.Tanh()
    assert type(net.act) is nn.Tanh
    assert list(net[:1].state_dict()) == ["up.weight", "up.bias"]
    del net[0]
    assert net[0](Tensor([0.0])).tolist() == [0.0]
    assert [name for name, _ in net.named_children()] == ["0"]
    with pytest.raises(IndexError, match="index 1 is out of range for 1 items"):
        net[1]
    with pytest.raises(IndexError, match="index 1 is out of range for 1 items"):
        del net[1]
    with pytest.raises(ValueError, match="add_module: a name must not be empty or hold a dot"):
        nn.Sequential(OrderedDict({"a.b": nn.ReLU()}))


@pytest.mark.parametrize(
    "wrong, got",
    [
        (3, "int."),
        (None, "NoneType."),
        (nn.ReLU, "the class ReLU; call it: ReLU(...)."),
        ([nn.ReLU()], "list; unpack it with a star, *layers."),
    ],
)
def test_sequential_refuses_what_is_no_module(wrong, got):
    with pytest.raises(TypeError) as caught:
        nn.Sequential(nn.ReLU(), wrong)
    assert str(caught.value) == f"Sequential holds Modules, got {got}"


def test_sequential_made_by_its_class_methods():
    named = OrderedDict(up=nn.Linear(2, 3), act=nn.ReLU())
    from_names = nn.Sequential.from_ordered_dict(named)
    from_modules = nn.Sequential.from_modules(*named.values())
    x = Tensor.randn(4, 2)
    assert list(from_names.state_dict()) == ["up.weight", "up.bias"]
    assert list(from_modules.state_dict()) == ["0.weight", "0.bias"]
    assert (from_names(x) == from_modules(x)).all()
    with pytest.raises(TypeError, match=r"Sequential holds Modules, got int"):
        nn.Sequential.from_modules(1)


def test_arguments_by_name():
    linear, weight = nn.Linear(1, 1), nn.Parameter([1.0])
    modules, parameters = nn.ModuleList(modules=[linear]), nn.ParameterList(parameters=[weight])
    modules.append(module=nn.ReLU()).extend(modules=[nn.Tanh()]).insert(0, module=nn.Identity())
    parameters.append(param=weight).extend(parameters=[weight]).insert(0, param=weight)
    assert (len(modules), modules[1]) == (4, linear)
    assert len(parameters) == 4
    by_name, values = nn.ModuleDict(modules={"a": linear}), nn.ParameterDict(parameters=None)
    by_name.update(modules={"b": linear})
    values.update(parameters={"w": weight})
    assert (list(by_name), list(values)) == (["a", "b"], ["w"])
    assert len(nn.ModuleList(None)) == len(nn.ModuleDict(None)) == len(nn.ParameterList(None)) == 0


def test_a_module_used_twice():
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, layer)
    assert len(list(net.parameters())) == 2
    assert len(net) == 2
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]


# --- Lists ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "item"),
    [
        (lambda *items: nn.Sequential(*items), nn.ReLU),
        (lambda *items: nn.ModuleList(items), nn.ReLU),
        (lambda *items: nn.ParameterList(items), lambda: nn.Parameter(spaced(2))),
    ],
    ids=["Sequential", "ModuleList", "ParameterList"],
)
class TestList:
    def test_reading(self, make, item):
        a, b, c = items = [item() for _ in range(3)]
        held = make(*items)
        assert len(held) == 3
        assert [x is y for x, y in zip(held, items, strict=True)] == [True] * 3
        assert (held[0] is a, held[-1] is c, held[np.int64(1)] is b) == (True, True, True)
        part = held[1:]
        assert type(part) is type(held)
        assert [x is y for x, y in zip(part, [b, c], strict=True)] == [True] * 2
        assert len(held[::-1]) == 3
        assert held[::-1][0] is c
        for index in (3, -4):
            with pytest.raises(IndexError, match=f"index {index} is out of range for 3 items"):
                held[index]
        with pytest.raises(TypeError):
            held["a"]

    def test_changing(self, make, item):
        a, b, c, d, e = (item() for _ in range(5))
        held = make(a)
        assert held.append(b) is held
        assert held.extend([c]) is held
        held.insert(0, d)
        assert same(held, [d, a, b, c])
        held[1] = e
        assert same(held, [d, e, b, c])
        held[-1] = a
        del held[0]
        assert same(held, [e, b, a])
        del held[1:]
        assert same(held, [e])
        held.insert(-1, b)
        assert same(held, [b, e])
        names = [n for n, _ in (*held.named_children(), *held.named_parameters(recurse=False))]
        assert names == ["0", "1"]

    def test_refusals_change_nothing(self, make, item):
        held = make(item(), item())
        before = list(held)
        wrong = Tensor([1.0])
        for attempt in (
            lambda: held.append(wrong),
            lambda: held.extend([item(), wrong]),
            lambda: held.insert(0, wrong),
            lambda: held.__setitem__(0, wrong),
        ):
            with pytest.raises(TypeError, match=r"holds (Module|Parameter)s, got Tensor\.$"):
                attempt()
        with pytest.raises(IndexError):
            held[2] = item()
        with pytest.raises(IndexError):
            del held[2]
        assert same(held, before)


def same(held, items):
    return len(held) == len(items) and all(x is y for x, y in zip(held, items, strict=True))


def test_module_list_has_no_forward():
    with pytest.raises(
        NotImplementedError, match=r"^ModuleList defines no forward method\. \(in ModuleList\)$"
    ):
        nn.ModuleList([nn.ReLU()])(Tensor([1.0]))


def test_items_are_registered_and_named():
    module = nn.Module()
    module.blocks = nn.ModuleList([nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1, bias=False)])
    module.weights = nn.ParameterList([nn.Parameter([1.0]), nn.Parameter([2.0])])
    module.table = nn.ModuleDict({"b": nn.Linear(1, 1), "a": nn.ReLU()})
    module.scales = nn.ParameterDict({"z": nn.Parameter([1.0])})
    assert list(module.state_dict()) == [
        "blocks.0.weight", "blocks.0.bias", "blocks.2.weight", "weights.0", "weights.1",
        "table.b.weight", "table.b.bias", "scales.z",
    ]  # fmt: skip
    module.eval()
    assert not module.blocks[0].training


# --- Dictionaries -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "item"),
    [(nn.ModuleDict, nn.ReLU), (nn.ParameterDict, lambda: nn.Parameter(spaced(2)))],
    ids=["ModuleDict", "ParameterDict"],
)
class TestDict:
    def test_reading(self, kind, item):
        a, b = item(), item()
        for held in (kind({"b": b, "a": a}), kind([("b", b), ("a", a)])):
            assert list(held) == list(held.keys()) == ["b", "a"]
            assert len(held) == 2
            assert held["a"] is held.a is a
            assert [value is x for value, x in zip(held.values(), (b, a), strict=True)] == [
                True
            ] * 2
            assert [name for name, _ in held.items()] == ["b", "a"]
            assert "a" in held
            assert "c" not in held
        with pytest.raises(KeyError, match="c"):
            held["c"]
        assert len(kind()) == 0

    def test_changing(self, kind, item):
        a, b, c = item(), item(), item()
        held = kind({"a": a, "b": b})
        held["a"] = c
        assert list(held) == ["a", "b"]
        assert held["a"] is c
        held.update({"d": a})
        held.update([("e", b)])
        assert list(held) == ["a", "b", "d", "e"]
        assert held.pop("b") is b
        del held["d"]
        assert list(held) == ["a", "e"]
        with pytest.raises(KeyError, match="b"):
            held.pop("b")
        held.clear()
        assert len(held) == 0

    def test_refusals_change_nothing(self, kind, item):
        held = kind({"a": item()})
        before = held["a"]
        for attempt in (
            lambda: held.__setitem__("b", 3),
            lambda: held.update({"b": item(), "c": Tensor([1.0])}),
            lambda: held.__setitem__("a", Tensor([1.0])),
        ):
            with pytest.raises(TypeError, match=f"^{kind.__name__} holds"):
                attempt()
        for name in ("", "x.y", "keys", "training"):
            with pytest.raises(ValueError, match=f"^{kind.__name__}: "):
                held[name] = item()
        assert list(held) == ["a"]
        assert held["a"] is before


def test_repr_of_parameter_containers():
    assert repr(nn.ParameterList([nn.Parameter(spaced(2, 3))])) == "ParameterList((2, 3))"
    assert repr(nn.ParameterDict({"a": nn.Parameter([1.0])})) == "ParameterDict(a: (1,))"
