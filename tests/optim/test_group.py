"""Parameter groups: which changes they announce, and that compiled steps notice them."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid._core import epoch
from tests.helpers import count_compiles


def adam(count=2):
    return lucid.optim.Adam([nn.Parameter([1.0, 2.0]) for _ in range(count)], lr=0.1)


FREE = {
    "a number": lambda g: g.__setitem__("lr", 0.2),
    "an integer": lambda g: g.__setitem__("lr", 2),
    "a number of NumPy": lambda g: g.__setitem__("lr", np.float32(0.2)),
    "numbers": lambda g: g.__setitem__("betas", (0.5, 0.6)),
    "a list of numbers": lambda g: g.__setitem__("betas", [0.5, 0.6]),
    "update": lambda g: g.update({"lr": 0.2}, eps=1e-3),
    "update from pairs": lambda g: g.update([("lr", 0.2)]),
    "|=": lambda g: g.__ior__({"lr": 0.2}),
    "setdefault": lambda g: g.setdefault("lr", 0.2),
    "reading": lambda g: (g["lr"], g["params"][0], g.copy(), g | {"lr": 1.0}, [*g["params"]]),
}
ANNOUNCED = {
    "a flag": lambda g: g.__setitem__("maximize", True),
    "a number to a flag": lambda g: g.__setitem__("lr", True),
    "a number to a Tensor": lambda g: g.__setitem__("lr", Tensor(0.2)),
    "a number to None": lambda g: g.__setitem__("lr", None),
    "a number to 0": lambda g: g.__setitem__("lr", 0.0),
    "a number from 0": lambda g: g.__setitem__("weight_decay", 0.1),
    "numbers with a flag": lambda g: g.__setitem__("betas", (0.5, True)),
    "update": lambda g: g.update(maximize=True),
    "|=": lambda g: g.__ior__([("maximize", True)]),
    "setdefault": lambda g: g.setdefault("initial_lr", 0.1),
    "pop": lambda g: g.pop("lr"),
    "popitem": lambda g: g.popitem(),
    "del": lambda g: g.__delitem__("lr"),
    "clear": lambda g: g.clear(),
    "params": lambda g: g.__setitem__("params", g["params"][:1]),
    "params +=": lambda g: g["params"].__iadd__([1]),
    "params *=": lambda g: g["params"].__imul__(2),
    "params[0]": lambda g: g["params"].__setitem__(0, 1),
    "params[:]": lambda g: g["params"].__setitem__(slice(None), []),
    "del params[0]": lambda g: g["params"].__delitem__(0),
    "params.append": lambda g: g["params"].append(1),
    "params.clear": lambda g: g["params"].clear(),
    "params.extend": lambda g: g["params"].extend([1]),
    "params.insert": lambda g: g["params"].insert(0, 1),
    "params.pop": lambda g: g["params"].pop(),
    "params.remove": lambda g: g["params"].remove(g["params"][0]),
    "params.reverse": lambda g: g["params"].reverse(),
    "params.sort": lambda g: g["params"].sort(key=id),
}


@pytest.mark.parametrize("change", FREE)
def test_numbers_change_for_free(change):
    (group,) = adam().param_groups
    before = epoch.current
    FREE[change](group)
    assert epoch.current == before


@pytest.mark.parametrize("change", ANNOUNCED)
def test_all_else_is_announced(change):
    (group,) = adam().param_groups
    plain = {**group, "params": list(group["params"])}
    before = epoch.current
    ANNOUNCED[change](group)
    assert epoch.current != before
    # The change itself is that of a dictionary. The lists hold what has no truth value.
    ANNOUNCED[change](plain)
    assert group.keys() == plain.keys()
    for name in group.keys() - {"params", "lr"}:
        assert group[name] == plain[name]
    if "params" in plain:
        assert list(map(id, group["params"])) == list(map(id, plain["params"]))


def test_the_list_of_groups_is_watched_too():
    optimizer = adam()
    group = optimizer.param_groups[0]
    before = epoch.current
    optimizer.param_groups = [group]
    assert epoch.current != before
    assert optimizer.param_groups[0] is group
    before = epoch.current
    del optimizer.param_groups[0]
    assert epoch.current != before
    optimizer.param_groups = [dict(group)]
    before = epoch.current
    optimizer.param_groups[0]["maximize"] = True
    assert epoch.current != before


def test_groups_are_dictionaries():
    optimizer = adam()
    (group,) = optimizer.param_groups
    plain = {**group, "params": list(group["params"])}
    assert group == plain and plain == group
    assert [] + group["params"] == plain["params"]
    assert isinstance(group, dict) and isinstance(group["params"], list)
    saved = optimizer.state_dict()
    assert type(saved["param_groups"]) is list
    assert type(saved["param_groups"][0]) is dict
    assert type(saved["param_groups"][0]["params"]) is list
    assert saved["param_groups"][0] == {**plain, "params": [0, 1]}


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_are_watched_and_independent(twin):
    optimizer = adam()
    again = twin(optimizer)
    (group,), (copied,) = optimizer.param_groups, again.param_groups
    assert {**copied, "params": 0} == {**group, "params": 0}
    assert [p.tolist() for p in copied["params"]] == [p.tolist() for p in group["params"]]
    assert copied["params"][0] is not group["params"][0]
    assert list(again.state) == copied["params"]
    for change in (
        lambda: copied.update(maximize=True),
        lambda: copied["params"].pop(),
        lambda: again.param_groups.clear(),
    ):
        before = epoch.current
        change()
        assert epoch.current != before
    assert not group["maximize"] and len(group["params"]) == 2


# --- Inside lucid.jit -------------------------------------------------------------------------


def problem(wrap):
    params = [nn.Parameter([1.0, 2.0]), nn.Parameter([3.0])]
    optimizer = lucid.optim.SGD([{"params": params[:1]}, {"params": params[1:], "lr": 0.3}], lr=0.1)

    @wrap
    def step():
        for param in params:
            param.grad = None
        sum((p * p * p).sum() for p in params).backward()
        optimizer.step()

    return params, optimizer, step


CHANGES = {
    "a flag": lambda o: o.param_groups[0].__setitem__("maximize", True),
    "a flag of two": lambda o: [group.update(maximize=True) for group in o.param_groups],
    "a number that is a flag": lambda o: o.param_groups[0].update(lr=True),
    "no parameters": lambda o: o.param_groups[0]["params"].clear(),
    "exchanged parameters": lambda o: o.param_groups[0].update(params=o.param_groups[1]["params"]),
    "exchanged in place": lambda o: o.param_groups[1]["params"].__setitem__(
        0, o.param_groups[0]["params"][0]
    ),
    "no group": lambda o: o.param_groups.clear(),
    "reversed groups": lambda o: o.param_groups.reverse(),
    "other groups": lambda o: setattr(o, "param_groups", o.param_groups[1:]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_compiled_step_notices(change):
    ends = []
    for wrap in (lambda fn: fn, lucid.jit):
        params, optimizer, step = problem(wrap)
        step()
        CHANGES[change](optimizer)
        step()
        ends.append([param.numpy() for param in params])
    for ours, expected in zip(*ends, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_a_steady_step_does_not_ask_the_optimizer(monkeypatch):
    _, optimizer, step = problem(lucid.jit)
    step()
    step()
    asked = []
    monkeypatch.setattr(
        lucid.optim.SGD, "slots", lambda self, group: asked.append(group) or {}, raising=True
    )
    optimizer.param_groups[0]["lr"] = 0.5
    with count_compiles(0):
        step()
    assert not asked
    epoch.bump()
    with count_compiles(0):
        step()
    assert asked
