"""Hooks against torch: what they see, in which order they run, and what their results do."""

from __future__ import annotations

import numpy as np
import pytest

import lucid
from tests.helpers import spaced

torch = pytest.importorskip("torch")


class Library:
    """One library's names, so that a scenario is written once."""

    def __init__(self, lib):
        self.lib, self.nn = lib, lib.nn

    def tensor(self, *shape, seed=0, requires_grad=True):
        data = spaced(*shape, seed=seed).astype(np.float32)
        if self.lib is torch:
            return torch.tensor(data, requires_grad=requires_grad)
        return lucid.Tensor(data, requires_grad=requires_grad)

    def net(self):
        net = self.nn.Sequential(self.nn.Linear(3, 4), self.nn.Tanh(), self.nn.Linear(4, 2))
        for i, p in enumerate(net.parameters()):
            data = self.tensor(*p.shape, seed=i).data
            p.data = data
        return net


def plain(value):
    """Lists of numbers for Tensors anywhere in a value."""
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (lucid.Tensor, torch.Tensor)):
        return value.detach().numpy().tolist()
    return value


def flat(value):
    if isinstance(value, list):
        for item in value:
            yield from flat(item)
    else:
        yield value


SCENARIOS = {}


def scenario(fn):
    SCENARIOS[fn.__name__] = fn
    return fn


@scenario
def order_of_all_hooks(lib):
    net, x, log = lib.net(), lib.tensor(5, 3), []
    for i, module in enumerate(net):
        module.register_forward_pre_hook(lambda m, a, i=i: log.append(["pre", i, a]))
        module.register_forward_hook(lambda m, a, y, i=i: log.append(["post", i, a, y]))
        module.register_full_backward_pre_hook(lambda m, go, i=i: log.append(["bpre", i, go]))
        module.register_full_backward_hook(lambda m, gi, go, i=i: log.append(["back", i, gi, go]))
    net.register_full_backward_hook(lambda m, gi, go: log.append(["net", gi, go]))
    net(x).sum().backward()
    return [log, x.grad, [p.grad for p in net.parameters()]]


@scenario
def results_replace(lib):
    net, x = lib.net(), lib.tensor(5, 3)
    net[0].register_forward_pre_hook(lambda m, a: (a[0] * 2,))
    net[1].register_forward_hook(lambda m, a, y: y * y)
    net[2].register_full_backward_pre_hook(lambda m, go: (go[0] * 3,))
    net[2].register_full_backward_hook(lambda m, gi, go: (gi[0] + 1,))
    y = net(x)
    y.sum().backward()
    return [y, x.grad, [p.grad for p in net.parameters()]]


@scenario
def two_inputs_of_which_one_is_data(lib):
    class Add(lib.nn.Module):
        def forward(self, x, y):
            return x * y

    module, seen = Add(), []
    module.register_full_backward_hook(lambda m, gi, go: seen.append([gi, go]))
    x, y = lib.tensor(3), lib.tensor(3, seed=1, requires_grad=False)
    module(x, y).sum().backward()
    return [len(seen), seen[0][0][0], seen[0][1], x.grad]


@scenario
def frozen_parameters(lib):
    net, x, seen = lib.net(), lib.tensor(5, 3), []
    for p in net[2].parameters():
        p.requires_grad_(False)
    net[2].register_full_backward_hook(lambda m, gi, go: seen.append([gi, go]))
    net(x).sum().backward()
    return [seen, x.grad, [p.grad for p in net.parameters()]]


@scenario
def tensor_hooks(lib):
    x, log = lib.tensor(3), []
    y = x * x
    y.retain_grad()
    y.register_hook(lambda g: log.append(["y1", g]))
    y.register_hook(lambda g: g * 2)
    x.register_hook(lambda g: log.append(["x", g]))
    x.register_hook(lambda g: g + 1)
    z = y * 3 + x
    handle = z.register_hook(lambda g: g * 100)
    handle.remove()
    z.sum().backward()
    return [log, x.grad, y.grad]


@scenario
def hooks_on_leaves_run_once_per_backward(lib):
    x, log = lib.tensor(3), []
    x.register_hook(lambda g: log.append(g))
    y = x * 2 + x * x
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    return [log, x.grad]


@scenario
def forward_hooks_with_kwargs(lib):
    class Scale(lib.nn.Module):
        def forward(self, x, by=1.0):
            return x * by

    module, x, log = Scale(), lib.tensor(3), []
    module.register_forward_pre_hook(lambda m, a, k: (a, {"by": k["by"] * 2}), with_kwargs=True)
    module.register_forward_hook(lambda m, a, k, y: log.append([a, k, y]), with_kwargs=True)
    return [module(x, by=3.0), log]


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name):
    got, expected = (plain(SCENARIOS[name](Library(lib))) for lib in (lucid, torch))
    a, b = list(flat(got)), list(flat(expected))
    assert [type(x) for x in a] == [type(x) for x in b]
    for x, y in zip(a, b, strict=True):
        assert x == (pytest.approx(y, rel=1e-4, abs=1e-6) if isinstance(y, float) else y)
