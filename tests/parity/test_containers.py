"""Containers against torch: the same calls give the same names and the same errors."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import lucid

torch = pytest.importorskip("torch")


def names(module):
    return [name for name, _ in module.named_children()] + list(module.state_dict())


SCENARIOS = {
    "sequential": lambda nn: names(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))),
    "sequential slice": lambda nn: names(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))[1:]),
    "named sequential": lambda nn: names(
        nn.Sequential(OrderedDict(a=nn.Linear(1, 1), b=nn.ReLU()))
    ),
    "named sequential, append": lambda nn: names(
        nn.Sequential(OrderedDict(a=nn.Linear(1, 1))).append(nn.Linear(1, 1))
    ),
    "sequential, delete": lambda nn: delete(nn.Sequential(nn.ReLU(), nn.Linear(1, 1)), 0),
    "sequential, set": lambda nn: put(nn.Sequential(nn.ReLU(), nn.Tanh()), -2, nn.Linear(1, 1)),
    "list": lambda nn: names(nn.ModuleList([nn.Linear(1, 1), nn.ReLU()])),
    "list slice": lambda nn: names(nn.ModuleList([nn.ReLU(), nn.Linear(1, 1)])[1:]),
    "list, insert": lambda nn: insert(nn.ModuleList([nn.ReLU(), nn.Linear(1, 1)]), 0, nn.Tanh()),
    "list, delete slice": lambda nn: delete(
        nn.ModuleList([nn.ReLU(), nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1)]), slice(1, 3)
    ),
    "list, extend": lambda nn: names(nn.ModuleList([nn.ReLU()]).extend([nn.Linear(1, 1)])),
    "dict": lambda nn: names(nn.ModuleDict({"b": nn.Linear(1, 1), "a": nn.ReLU()})),
    "dict, replace": lambda nn: put(
        nn.ModuleDict({"b": nn.ReLU(), "a": nn.ReLU()}), "b", nn.Linear(1, 1)
    ),
    "dict, delete": lambda nn: delete(nn.ModuleDict({"b": nn.ReLU(), "a": nn.ReLU()}), "b"),
    "list, out of range": lambda nn: error(lambda: nn.ModuleList([nn.ReLU()])[1]),
    "sequential, out of range": lambda nn: error(lambda: nn.Sequential(nn.ReLU())[-2]),
    "dict, missing": lambda nn: error(lambda: nn.ModuleDict()["a"]),
    "list, wrong kind": lambda nn: error(lambda: nn.ModuleList([3])),
    "list, no forward": lambda nn: error(lambda: nn.ModuleList()(1)),
}  # fmt: skip


def delete(module, key):
    del module[key]
    return names(module)


def put(module, key, value):
    module[key] = value
    return names(module)


def insert(module, index, value):
    module.insert(index, value)
    return names(module)


def error(call):
    with pytest.raises((IndexError, KeyError, TypeError, NotImplementedError)) as caught:
        call()
    return caught.type


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name):
    assert SCENARIOS[name](lucid.nn) == SCENARIOS[name](torch.nn)


ATTRIBUTES = {
    "replace parameter": lambda nn, m, p: setattr(m, "weight", p(nn.Linear(2, 3).weight)),
    "replace child": lambda nn, m, p: setattr(m, "act", nn.Linear(1, 1)),
    "parameter to none": lambda nn, m, p: setattr(m, "bias", None),
    "child becomes parameter": lambda nn, m, p: setattr(m, "act", p(nn.Linear(2, 3).weight)),
    "delete": lambda nn, m, p: delattr(m, "weight"),
    "register again": lambda nn, m, p: m.register_parameter("weight", p(nn.Linear(2, 3).weight)),
    "add again": lambda nn, m, p: m.add_module("act", nn.Linear(1, 1)),
}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes(name):
    found = []
    for nn in (lucid.nn, torch.nn):
        module = nn.Linear(2, 3)
        module.act, module.last = nn.ReLU(), nn.Tanh()
        ATTRIBUTES[name](nn, module, lambda weight: weight)
        found.append(names(module))
    assert found[0] == found[1]
