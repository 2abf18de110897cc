"""What leads to another program and what does not, and what a user can see of it."""

from __future__ import annotations

import logging
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests._core.jit.models import X, sgd, train
from tests.helpers import count_compiles


def traced(jitted):
    return jitted.cache_info().misses


# --- What leads to another program ---


def test_alternating_modes_compile_once_each():
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.BatchNorm1d(3))
    forward = lucid.jit(model)
    x = Tensor(X)
    for mode in (True, False):
        model.train(mode)
        forward(x)
    with count_compiles(0):
        for mode in (True, False, True, True, False):
            model.train(mode)
            forward(x)
    assert forward.cache_info() == (5, 2, 2, 8)
    assert forward(x).tolist() == forward(x).tolist() == model(x).tolist()  # evaluation


def test_state_that_is_bound_to_a_device_and_state_that_is_not():
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)).to("cpu")
    forward = lucid.jit(model)
    x = lucid.zeros(6, 3, device="cpu")
    forward(x)
    with count_compiles(0):
        forward(x)


def test_requires_grad():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    step = lucid.jit(train(model, sgd(model)))
    step(Tensor(X))
    model[0].requires_grad_(False)
    frozen, free = model[0].weight.numpy(), model[1].weight.numpy()
    model.zero_grad()
    step(Tensor(X))
    assert (model[0].weight.numpy() == frozen).all() and (model[1].weight.numpy() != free).any()
    assert model[0].weight.grad is None
    model[0].requires_grad_(True)
    step(Tensor(X))
    assert (model[0].weight.numpy() != frozen).all()
    assert traced(step) == 2


def test_requires_grad_of_an_argument():
    fn = lucid.jit(lambda x: x * 2)
    assert not fn(Tensor([1.0])).requires_grad
    assert fn(Tensor([1.0], requires_grad=True)).requires_grad


def test_replaced_and_added_parameters():
    model = nn.Sequential(nn.Linear(3, 2))
    forward = lucid.jit(model)
    forward(Tensor(X))
    model[0].weight = nn.Parameter(np.ones((2, 3), np.float32))
    np.testing.assert_allclose(forward(Tensor(X)).numpy(), model(Tensor(X)).numpy(), atol=1e-6)
    model.add_module("more", nn.Linear(2, 4))
    assert forward(Tensor(X)).shape == (6, 4)
    model[0].bias = None
    np.testing.assert_allclose(forward(Tensor(X)).numpy(), model(Tensor(X)).numpy(), atol=1e-6)
    model[0].register_parameter("bias", nn.Parameter(np.ones(2, np.float32)))
    np.testing.assert_allclose(forward(Tensor(X)).numpy(), model(Tensor(X)).numpy(), atol=1e-6)
    assert traced(forward) == 5


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor, self.unused = 2.0, Tensor([1.0])

    def forward(self, x):
        return x * self.factor


def test_changed_attributes():
    module = Scaled()
    outer = nn.Sequential(nn.Identity(), module)
    forward = lucid.jit(outer)
    x = Tensor([1.0])
    assert forward(x).item() == 2.0
    module.factor = 3.0
    assert forward(x).item() == 3.0
    module.factor = 2.0
    with count_compiles(0):
        assert forward(x).item() == 2.0
    del module.factor
    with pytest.raises(AttributeError, match="factor"):
        forward(x)


def test_a_hook_added_and_removed():
    model = nn.Linear(3, 2)
    forward = lucid.jit(model)
    plain = forward(Tensor(X)).numpy()
    handle = model.register_forward_hook(lambda module, args, output: output * 2)
    np.testing.assert_allclose(forward(Tensor(X)).numpy(), 2 * plain, rtol=1e-6)
    handle.remove()
    np.testing.assert_allclose(forward(Tensor(X)).numpy(), plain, rtol=1e-6)


def test_a_gradient_hook_added_and_removed():
    w = nn.Parameter([1.0])

    @lucid.jit
    def gradient():
        w.grad = None
        (w * 2).sum().backward()
        return w.grad

    assert gradient().item() == 2.0
    handle = w.register_hook(lambda grad: grad * 10)
    assert gradient().item() == 20.0
    handle.remove()
    assert gradient().item() == 2.0


MODEL = nn.Linear(3, 2)


@lucid.jit
def forward_of_global(x):
    return MODEL(x)


def test_a_variable_that_stands_for_another_object(caplog, monkeypatch):
    forward_of_global(Tensor(X))
    other = nn.Linear(3, 5)
    monkeypatch.setitem(globals(), "MODEL", other)
    with caplog.at_level(logging.DEBUG, logger="lucid.jit"):
        np.testing.assert_allclose(
            forward_of_global(Tensor(X)).numpy(), other(Tensor(X)).numpy(), atol=1e-6
        )
    assert caplog.messages == [
        'forward_of_global: traced again, because the variable "MODEL" changed'
    ]

    offset, scales = Tensor([1.0]), [2]

    @lucid.jit
    def fn(x):
        return x * scales[0] + offset

    x = Tensor([1.0])
    assert fn(x).item() == 3.0
    offset, scales = Tensor([5.0]), [2]  # another Tensor, and an equal list
    assert fn(x).item() == 7.0
    with count_compiles(0):
        fn(x)
    assert fn.cache_info().misses == 2


def test_changes_of_other_modules_compile_nothing():
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    forward = lucid.jit(model)
    x = Tensor(X)
    forward(x)
    other.eval().requires_grad_(False)
    nn.Dropout(0.1)
    with count_compiles(0):
        forward(x)


def test_grad_mode():
    model = nn.Linear(3, 2)
    forward = lucid.jit(model)
    assert forward(Tensor(X)).requires_grad
    with lucid.no_grad():
        assert not forward(Tensor(X)).requires_grad
        forward(Tensor(X))
    assert forward(Tensor(X)).requires_grad and traced(forward) == 2


def test_shapes_and_dtypes():
    fn = lucid.jit(lambda x: x + x)
    for x in (jnp.ones(2), jnp.ones(3), jnp.ones(2, int), jnp.ones((2, 1)), jnp.ones(2)):
        assert fn(Tensor(x)).dtype == x.dtype and fn(Tensor(x)).shape == x.shape
    assert traced(fn) == 4
    with jax.enable_x64(True):
        assert fn(Tensor(np.ones(2))).dtype == np.float64
    assert fn(Tensor(np.ones(2))).dtype == np.float32


def test_a_parameter_that_changes_its_dtype():
    model = nn.Linear(3, 2)
    forward = lucid.jit(model)
    forward(Tensor(X))
    model.to("bfloat16")
    x = Tensor(X).to("bfloat16")
    np.testing.assert_array_equal(forward(x).numpy(), lucid.jit(model)(x).numpy())


def test_changed_flags_and_hyperparameters_of_an_optimizer():
    model = nn.Linear(3, 2)
    optimizer = sgd(model)
    step = lucid.jit(train(model, optimizer))
    losses = [step(Tensor(X)).item() for _ in range(2)]
    optimizer.param_groups[0]["maximize"] = True
    losses += [step(Tensor(X)).item() for _ in range(3)]
    assert losses[0] > losses[1] > losses[2] and losses[2] < losses[3] < losses[4]


def test_momentum_raised_from_zero_is_refused():
    model = nn.Linear(3, 2)
    optimizer = sgd(model)
    step = lucid.jit(train(model, optimizer))
    step(Tensor(X))
    before = model.weight.numpy()
    optimizer.param_groups[0]["momentum"] = 0.9
    with pytest.raises(RuntimeError, match=r"SGD: the hyperparameters now need \['momentum_buffer"):
        step(Tensor(X))
    assert (model.weight.numpy() == before).all()


def test_an_added_parameter_group():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    optimizer = lucid.optim.SGD(model[0].parameters(), lr=0.1)
    step = lucid.jit(train(model, optimizer))
    head = model[1].weight.numpy()
    step(Tensor(X))
    assert (model[1].weight.numpy() == head).all()
    model.zero_grad()
    optimizer.add_param_group({"params": list(model[1].parameters()), "lr": 0.5})
    step(Tensor(X))
    assert (model[1].weight.numpy() != head).any()


def test_a_loaded_optimizer_state():
    model = nn.Linear(3, 2)
    optimizer = sgd(model, momentum=0.9)
    step = lucid.jit(train(model, optimizer))
    step(Tensor(X))
    saved, weights = optimizer.state_dict(), model.state_dict()
    expected = step(Tensor(X)).item(), step(Tensor(X)).item()
    optimizer.load_state_dict(saved)
    model.load_state_dict(weights)
    with count_compiles(0):
        again = step(Tensor(X)), step(Tensor(X))
    assert tuple(y.item() for y in again) == expected


# --- What a user can see of it ---


def test_cache_info_and_eviction():
    fn = lucid.jit(lambda x: x * 2, max_cache_entries=2)
    for n in (1, 2, 1, 3, 1):
        fn(Tensor(np.ones(n)))
    assert fn.cache_info() == (1, 4, 2, 2)  # the third shape drove the first one out
    with pytest.raises(ValueError, match="max_cache_entries must be at least 1, got 0"):
        lucid.jit(lambda: None, max_cache_entries=0)


def _messages(caplog, change, *calls):
    caplog.clear()
    with caplog.at_level(logging.DEBUG, logger="lucid.jit"):
        change()
        for call in calls:
            call()
    return [record.getMessage() for record in caplog.records]


def test_the_log_names_what_changed(caplog):
    model = nn.Sequential(nn.Linear(3, 2))
    optimizer = sgd(model)

    @lucid.jit
    def step(batch, scale=1.0):
        loss = (model(batch["x"]) ** 2).mean() * scale
        loss.backward()
        optimizer.step()

    def run(x=X, **options):
        model.zero_grad()
        step({"x": Tensor(x)}, **options)

    def log(change, call=run):
        return _messages(caplog, change, call)

    def nothing():
        pass

    again = "step: traced again, because {} changed"
    assert log(nothing) == ["step: traced for the first time"]
    assert log(nothing) == []
    assert log(nothing, lambda: run(X[:2])) == [again.format("argument \"batch\"['x']")]
    assert log(model.eval) == [again.format("Sequential.training")]
    assert log(model.train, lambda: run(X[:2])) == []
    assert log(nothing, lambda: run(scale=2)) == [again.format("the structure of the arguments")]
    assert log(nothing, lambda: run(scale=3)) == [again.format('argument "scale"')]

    def attribute():
        model[0].flag = 1

    assert log(attribute, lambda: run(scale=3)) == [again.format("Linear.flag")]
    assert log(lambda: model[0].weight.requires_grad_(False), lambda: run(scale=3)) == [
        again.format("requires_grad of a Tensor of shape (2, 3)")
    ]


def test_many_traces_warn_and_name_the_argument():
    fn = lucid.jit(lambda x, flag: x * 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in range(1, 6):
            fn(Tensor(np.ones(n)), flag=True)
    with pytest.warns(
        RuntimeWarning, match=r'was traced 5 times because argument "x" changed'
    ) as w:
        fn(Tensor(np.ones(6)), flag=True)
    assert w[0].filename == __file__


def test_a_variable_with_the_name_of_an_attribute_does_not_matter(tmp_path):
    namespace = {"lucid": lucid}
    path = tmp_path / "script.py"
    path.write_text("@lucid.jit\ndef step(x):\n    return x.sum() + x.T.sum()\n")
    exec(compile(path.read_text(), str(path), "exec"), namespace)
    x = lucid.ones(2, 2)
    for i in range(3):
        namespace["sum"] = namespace["T"] = i
        namespace["step"](x)
    assert namespace["step"].cache_info().misses == 1
