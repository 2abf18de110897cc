"""What lucid 2 has in Module beside PyTorch's part: hooks of state_dict, raw attributes, ..."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import leaf


def net():
    return nn.Sequential(OrderedDict(a=nn.Linear(2, 3), b=nn.Linear(3, 1, bias=False)))


# --- Hooks of state_dict ------------------------------------------------------------------------


def test_hooks_around_state_dict_see_every_module():
    model, calls = net(), []
    for name, module in model.named_modules():
        module.register_state_dict_pre_hook(lambda *args, n=name: calls.append((n, *args[1:])))
        module.register_state_dict_hook(
            lambda m, state, prefix, keep, n=name: calls.append((n, list(state), prefix, keep))
        )
    model.state_dict(prefix="x.", keep_vars=True)
    both = ["x.a.weight", "x.a.bias"]
    assert calls == [
        ("", "x.", True), ("a", "x.a.", True), ("a", both, "x.a.", True), ("b", "x.b.", True),
        ("b", [*both, "x.b.weight"], "x.b.", True), ("", [*both, "x.b.weight"], "x.", True),
    ]  # fmt: skip


def test_a_state_dict_hook_may_add_and_remove():
    model = net()
    handle = model.register_state_dict_hook(
        lambda module, state, *_: (state.pop("a.bias"), state.update(version=3))
    )
    state = model.state_dict()
    assert list(state) == ["a.weight", "b.weight", "version"]
    state.pop("version")
    assert model.load_state_dict(state) == ([], [])  # which no longer knows a.bias
    handle.remove()
    assert list(model.state_dict()) == ["a.weight", "a.bias", "b.weight"]


def test_hooks_around_load_state_dict():
    model, other, seen = net(), net(), []

    def rename(module, state, strict):
        assert (module, strict) == (model, False)
        state["a.weight"] = state.pop("old.weight")

    first = model.register_load_state_dict_pre_hook(rename)
    model.register_load_state_dict_post_hook(lambda *args: seen.append(args))
    state = other.state_dict()
    state["old.weight"] = state.pop("a.weight")
    del state["b.weight"]
    state["more"] = Tensor([1.0])
    kept = dict(state)
    model.load_state_dict(state, strict=False)
    assert seen == [(model, ["b.weight"], ["more"], False)]
    assert state.keys() == kept.keys()  # the caller's dictionary is as it was
    assert (model.a.weight == other.a.weight).all()
    first.remove()
    with pytest.raises(ValueError, match=r"missing: a\.weight, b\.weight\n  unexpected: "):
        model.load_state_dict(state)
    assert len(seen) == 1


def test_loading_says_what_it_did(capsys):
    model = net()
    model.load_state_dict(model.state_dict(), verbose=True)
    model.load_state_dict({"b.weight": lucid.ones(1, 3), "c": 1}, False, verbose=True,
                          progress_desc="Part")  # fmt: skip
    assert capsys.readouterr().out == "Sequential: 3 of 3 Tensors set.\nPart: 1 of 3 Tensors set.\n"
    model.load_state_dict(model.state_dict())
    assert capsys.readouterr().out == ""


# --- The hook of an output's gradient -----------------------------------------------------------


def test_a_backward_hook_sees_output_and_gradient():
    layer, x, seen = nn.Linear(2, 3), leaf(4, 2), []
    handle = layer.register_backward_hook(lambda *args: seen.append(args))
    y = layer(x)
    (y * 2).backward()
    ((output, grad),) = seen
    assert (output == y).all() and not output.requires_grad
    assert grad.tolist() == [[2.0] * 3] * 4
    handle.remove()
    layer(x).backward()
    assert len(seen) == 1


def test_a_backward_hook_may_replace_the_gradient():
    layer, x = nn.Identity(), leaf(3)
    layer.register_backward_hook(lambda output, grad: grad * 10)
    for _ in range(2):  # the leaf itself gets no hook
        x.grad = None
        layer(x).backward()
        assert x.grad.tolist() == [10.0] * 3
    x.grad = None
    (x * 1).backward()
    assert x.grad.tolist() == [1.0] * 3
    assert layer(Tensor([1.0])).tolist() == [1.0]  # nothing to hook


def test_a_backward_hook_in_a_compiled_step():
    layer = nn.Linear(2, 1)
    layer.register_backward_hook(lambda output, grad: grad * 3)
    x = lucid.ones(1, 2)

    @lucid.jit
    def step():
        layer.zero_grad()
        layer(x).backward()

    step()
    assert layer.weight.grad.tolist() == [[3.0, 3.0]]


# --- Attributes ---------------------------------------------------------------------------------


def test_device():
    assert (nn.Module().device, net().device) == (Tensor(0.0).device, "cpu")
    assert nn.BatchNorm1d(2, affine=False).to("cpu").device == "cpu"

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.device = "mine"

    assert Own().device == "mine"


def test_parameter_size():
    assert net().parameter_size == net().count_parameters() == 2 * 3 + 3 + 3


def test_raw_attributes_are_not_registered():
    model, teacher, weight = net(), nn.Linear(2, 1), nn.Parameter([1.0])
    model.setattr_raw("teacher", teacher)
    model.setattr_raw("b", weight)  # takes the place of the registered one
    assert (model.teacher, model.b) == (teacher, weight)
    assert list(model.state_dict()) == ["a.weight", "a.bias"]
    assert model.parameter_size == 9


def test_a_compiled_module_sees_a_new_raw_attribute():
    class Scale(nn.Module):
        def forward(self, x):
            return self.factor * x

    scale, x = Scale(), lucid.ones(2)
    jitted = lucid.jit(scale)
    for factor in (nn.Parameter([2.0]), nn.Parameter([3.0])):
        scale.setattr_raw("factor", factor)
        assert jitted(x).tolist() == [factor.item()] * 2


def test_reset_parameters_asks_the_layers_below():
    lucid.random.seed(0)
    model = net()
    model.scale = nn.Parameter([3.0])
    before = {name: p.detach() for name, p in model.named_parameters()}
    model.reset_parameters()
    assert model.scale.tolist() == [0.0]
    for name in ("a.weight", "a.bias", "b.weight"):
        now = model.get_parameter(name)
        assert not (now == before[name]).any()
        assert np.abs(now.numpy()).max() <= 1 / np.sqrt(2)
    nn.ReLU().reset_parameters()


# --- Decorators ---------------------------------------------------------------------------------


def test_auto_repr():
    @nn.auto_repr("rate", "mode", "absent")
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.rate, self.mode = 0.5, "up"
            self.below = nn.ReLU()

    assert repr(Scale()) == "Scale(rate=0.5, mode=up, absent=None\n  (below): ReLU()\n)"


def test_names_that_stay_out_of_the_state_dict():
    @nn.set_state_dict_pass_attr("bias", "teacher")
    class Student(nn.Linear):
        pass

    @nn.set_state_dict_pass_attr("weight")
    class Nothing(Student):
        pass

    student = Student(2, 1)
    student.teacher = net()
    model = nn.Sequential(student, nn.Linear(1, 1))
    assert list(model.state_dict()) == ["0.weight", "1.weight", "1.bias"]
    assert student.parameter_size == 3 + 12
    bias = student.bias.detach()
    model.load_state_dict({name: value * 0 for name, value in model.state_dict().items()})
    assert (student.bias == bias).all() and not student.weight.any()
    assert list(Nothing(2, 1).state_dict()) == []
    assert list(nn.Linear(2, 1).state_dict()) == ["weight", "bias"]


def test_a_dtype_in_the_place_of_requires_grad_is_refused():
    text = r"^Parameter: requires_grad is True or False, got lucid\.Float16; name dtype=\.$"
    with pytest.raises(TypeError, match=text):
        nn.Parameter([1.0], lucid.Float16)
    assert nn.Parameter([1.0], dtype=lucid.Float16).dtype == lucid.Float16
    assert not nn.Parameter([1.0], False).requires_grad
