"""Hooks of Modules: what they see, what they replace, and that handles take them back."""

from __future__ import annotations

import re

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import spaced


class Scale(nn.Module):
    """x * weight, and as a second output x + weight if asked."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter([2.0])

    def forward(self, x, *, both=False):
        y = x * self.weight
        return (y, x + self.weight) if both else y


def data(**options):
    return Tensor(spaced(3), **options)


# --- Forward ----------------------------------------------------------------------------------


def test_forward_hooks_see_and_replace():
    module, x, seen = Scale(), data(), []
    module.register_forward_hook(lambda m, args, y: seen.append((m, args, y)))
    module.register_forward_hook(lambda m, args, y: y + 1)
    module.register_forward_hook(lambda m, args, y: y * 10)
    result = module(x)
    assert seen[0][0] is module
    assert seen[0][1][0] is x
    np.testing.assert_allclose(seen[0][2].numpy(), x.numpy() * 2)
    np.testing.assert_allclose(result.numpy(), (x.numpy() * 2 + 1) * 10, rtol=1e-6)


def test_forward_pre_hooks_replace_arguments():
    module, x = Scale(), data()
    module.register_forward_pre_hook(lambda m, args: None)
    module.register_forward_pre_hook(lambda m, args: args[0] + 1)
    module.register_forward_pre_hook(lambda m, args: (args[0] * 10,))
    np.testing.assert_allclose(module(x).numpy(), (x.numpy() + 1) * 20, rtol=1e-6)


def test_hooks_with_kwargs():
    module, x, seen = Scale(), data(), []
    module.register_forward_pre_hook(
        lambda m, args, kwargs: (args, {**kwargs, "both": True}), with_kwargs=True
    )
    module.register_forward_hook(lambda m, args, kwargs, y: seen.append(kwargs), with_kwargs=True)
    assert len(module(x)) == 2
    assert seen == [{"both": True}]


def test_handles_take_hooks_back():
    module, x = Scale(), data(requires_grad=True)
    handles = [
        module.register_forward_pre_hook(lambda m, args: args[0] * 3),
        module.register_forward_hook(lambda m, args, y: y * 5),
        module.register_full_backward_hook(lambda m, gi, go: (gi[0] * 7,)),
        module.register_full_backward_pre_hook(lambda m, go: (go[0] * 11,)),
    ]
    module(x).backward()
    assert x.grad.tolist() == [2 * 3 * 5 * 7 * 11] * 3
    for handle in handles:
        handle.remove()
    x.zero_grad()
    module(x).backward()
    assert x.grad.tolist() == [2, 2, 2]


def test_a_hook_that_removes_itself_runs_once():
    module, x, calls = Scale(), data(), []

    def once(m, args, y):
        calls.append(1)
        handle.remove()

    handle = module.register_forward_hook(once)
    module.register_forward_hook(lambda m, args, y: calls.append(2))
    module(x), module(x)
    assert calls == [1, 2, 2]


def test_hooks_belong_to_one_module():
    net, calls = nn.Sequential(Scale(), Scale()), []
    net[1].register_forward_hook(lambda m, args, y: calls.append(m))
    net(data())
    assert calls == [net[1]]


# --- Backward ---------------------------------------------------------------------------------


def test_backward_hooks_see_gradients_of_inputs_and_outputs():
    module, x, seen = Scale(), data(requires_grad=True), []
    module.register_full_backward_hook(lambda m, gi, go: seen.append((m, gi, go)))
    (module(x) * 3).backward()
    ((owner, grad_input, grad_output),) = seen
    assert owner is module
    assert [g.tolist() for g in grad_output] == [[3, 3, 3]]
    assert [g.tolist() for g in grad_input] == [[6, 6, 6]]
    assert x.grad.tolist() == [6, 6, 6]


def test_backward_hooks_replace_grad_input():
    module, x = Scale(), data(requires_grad=True)
    module.register_full_backward_hook(lambda m, gi, go: (gi[0] * 10,))
    module.register_full_backward_hook(lambda m, gi, go: gi[0] + 1)
    module(x).backward()
    assert x.grad.tolist() == [21, 21, 21]
    np.testing.assert_allclose(module.weight.grad.numpy(), x.numpy().sum(), rtol=1e-5)


def test_backward_pre_hooks_replace_grad_output():
    module, x, seen = Scale(), data(requires_grad=True), []
    module.register_full_backward_pre_hook(lambda m, go: (go[0] * 10,))
    module.register_full_backward_hook(lambda m, gi, go: seen.append(go[0].tolist()))
    module(x).backward()
    assert x.grad.tolist() == [20, 20, 20]
    np.testing.assert_allclose(module.weight.grad.numpy(), 10 * x.numpy().sum(), rtol=1e-5)
    assert seen == [[10, 10, 10]]


def test_backward_hooks_of_several_outputs():
    module, x, seen = Scale(), data(requires_grad=True), []
    module.register_full_backward_hook(lambda m, gi, go: seen.append(go))
    product, total = module(x, both=True)
    (product * 3 + total).backward()
    assert [g.tolist() for g in seen[0]] == [[3, 3, 3], [1, 1, 1]]
    assert x.grad.tolist() == [7, 7, 7]
    product, total = module(x, both=True)
    product.backward()
    assert [g if g is None else g.tolist() for g in seen[1]] == [[1, 1, 1], None]


def test_backward_hooks_without_gradient_of_the_input():
    module, seen = Scale(), []
    module.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0].tolist())))
    module(data()).backward()
    assert seen == [((None,), [1, 1, 1])]
    assert module.weight.grad is not None


def test_backward_hooks_run_once_for_each_call():
    module, x, seen = Scale(), data(requires_grad=True), []
    module.register_full_backward_hook(lambda m, gi, go: seen.append(go[0].tolist()))
    (module(module(x)) * 3).backward()
    assert seen == [[3, 3, 3], [6, 6, 6]]


def test_backward_hooks_under_no_grad_do_nothing():
    module = Scale()
    module.register_full_backward_hook(lambda m, gi, go: 1 / 0)
    with lucid.no_grad():
        assert not module(data(requires_grad=True)).requires_grad


def test_backward_hooks_see_recorded_gradients_under_create_graph():
    module, x = Scale(), data(requires_grad=True)
    module.register_full_backward_hook(lambda m, gi, go: (gi[0] * gi[0],))
    (dx,) = lucid.autograd.grad(module(x * x), [x], create_graph=True)
    np.testing.assert_allclose(dx.numpy(), 8 * x.numpy(), rtol=1e-6)
    assert lucid.autograd.grad(dx, x).tolist() == [8, 8, 8]


def test_errors_of_backward_hooks():
    module, x = Scale(), data(requires_grad=True)
    handle = module.register_full_backward_hook(lambda m, gi, go: (gi[0], gi[0]))
    with pytest.raises(ValueError, match=r"^a backward hook must return 1 gradients, got 2\.$"):
        module(x).backward()
    handle.remove()
    for wrong, error, text in (
        (lucid.ones(4), ValueError, r"has shape \(4,\); it must have the Tensor's shape \(3,\)"),
        (lucid.ones(3, dtype="float16"), TypeError, "has dtype float16"),
        (3.0, TypeError, "must be a Tensor, got float"),
    ):
        handle = module.register_full_backward_hook(lambda m, gi, go, wrong=wrong: (wrong,))
        with pytest.raises(error, match=text):
            module(x).backward()
        handle.remove()
    assert x.grad is None


def test_backward_hooks_need_tensors_as_output():
    class Dictionary(nn.Module):
        def forward(self, x):
            return {"y": x}

    module = Dictionary()
    module.register_full_backward_hook(lambda m, gi, go: None)
    text = "Dictionary: backward hooks need a Tensor or a tuple of Tensors as output, got dict."
    with pytest.raises(TypeError, match=f"^{re.escape(text)} \\(in Dictionary\\)$"):
        module(data())
