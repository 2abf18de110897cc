"""Errors of compiled functions: they name the user's line, and leave all state as it was."""

from __future__ import annotations

import inspect
import re

import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from tests.helpers import count_compiles

X = Tensor([1.0, 2.0])


def here(fn, text):
    """The pattern of the line of `fn` that holds `text`, as messages name it."""
    lines, first = inspect.getsourcelines(fn)
    (offset,) = (i for i, line in enumerate(lines) if text in line)
    return re.escape(f"test_errors.py:{first + offset}: `{lines[offset].strip()}`")


def branch(x):
    total = x.sum()
    if total > 1:
        return x
    return -x


def loop(x):
    total = x.sum()
    while total < 100:
        total = total * 2
    return total


def item(x):
    return x * x.sum().item()


def numpy(x):
    return Tensor(x.numpy() * 2)


def tolist(x):
    return x.tolist()


def to_float(x):
    return float(x.sum())


def index(x):
    return [10, 20, 30][x.sum().astype("int32")]


def asarray(x):
    return np.asarray(x).sum()


def branch_on_a_plain_array(x):
    return x if x.data.sum() > 1 else -x


@pytest.mark.parametrize(
    ("fn", "line"),
    [
        (branch, "if total"),
        (loop, "while total"),
        (item, ".item()"),
        (numpy, ".numpy()"),
        (tolist, ".tolist()"),
        (to_float, "return float"),
        (index, "[10"),
        (asarray, "np.asarray"),
        (branch_on_a_plain_array, "x.data"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_value_is_needed(fn, line):
    message = (
        here(fn, line) + " needs the value of a Tensor, .* Return the Tensor and look at it "
        "outside, or choose with lucid.where"
    )
    jitted = lucid.jit(fn)
    for _ in range(2):  # nothing half-made is kept
        with pytest.raises(lucid.JitError, match=message):
            jitted(X)
    assert jitted.cache_info().programs == 0


WEIGHT = Tensor([1.0])


def of_state(x):
    return x if WEIGHT > 0 else -x


def test_the_value_of_state_is_as_unknown_as_that_of_an_argument():
    with pytest.raises(lucid.JitError, match=here(of_state, "if WEIGHT")):
        lucid.jit(of_state)(X)


def printing(x):
    y = x * 2
    print(y)
    return y


def formatting(x):
    return f"{x}"


@pytest.mark.parametrize(("fn", "line"), [(printing, "print("), (formatting, 'f"{x}')])
def test_printing(fn, line, capsys):
    with pytest.raises(lucid.JitError, match=here(fn, line) + " prints a Tensor, .* outside"):
        lucid.jit(fn)(X)
    assert capsys.readouterr().out == ""


def test_repr_shows_shape_and_dtype():
    seen = []
    lucid.jit(lambda x: seen.append(repr(x)))(X)
    assert set(seen) == {"Tensor(<traced float32[2]>)"}


ARRAY = np.ones(2, np.float32)


def change_array(x):
    y = x * ARRAY
    ARRAY[0] = 5
    return y


def test_a_captured_numpy_array_changed_in_place():
    message = r"a NumPy array of shape \(2,\) was changed in place inside a compiled function"
    with pytest.raises(lucid.JitError, match=message):
        lucid.jit(change_array)(X)
    assert ARRAY.tolist() == [1.0, 1.0]
    assert ARRAY.tolist() == [1, 1]
    ARRAY[0] = 1  # it can be changed outside again


class Box:
    pass


def test_a_tensor_stored_on_an_object():
    box, model, kept = Box(), nn.Linear(2, 2), []

    def attribute(x):
        box.cached = x * 2

    def module_attribute(x):
        model.cached = model(x)

    def element(x):
        kept.append(x * 2)

    for fn, line, place in (
        (attribute, "x * 2", "Box.cached"),
        (module_attribute, "model(x)", "Linear.cached"),
        (element, "x * 2", "an element of a list"),
    ):
        message = here(fn, line) + rf": a Tensor of shape \(2,\) left the .*{place}. Return it"
        with pytest.raises(lucid.JitError, match=message):
            lucid.jit(fn)(X)
    assert not hasattr(model, "cached")


@pytest.mark.parametrize("changes", ["state", "gradient", "argument"])
def test_a_tensor_that_is_argument_and_state(changes):
    w = nn.Parameter([1.0, 2.0])

    def fn(x):
        if changes == "state":
            with lucid.no_grad():
                w.mul_(2)
        if changes == "gradient":
            (w * x.detach()).sum().backward()
        if changes == "argument":
            with lucid.no_grad():
                x.mul_(2)
        return (w.detach() * x.detach()).sum()

    jitted = lucid.jit(fn)
    jitted(nn.Parameter([5.0, 6.0]))
    before, gradient = w.tolist(), w.grad
    message = here(fn, "def fn") + r": the function changes a Tensor of shape \(2,\) that is an arg"
    for call in (jitted, lucid.jit(fn)):  # traced before, and now
        with pytest.raises(lucid.JitError, match=message):
            call(w)
        assert w.tolist() == before and w.grad is gradient
    assert lucid.jit(lambda x: w * x)(w).tolist() == [v * v for v in before]


def test_a_changed_structure_of_arguments():
    def append(xs):
        xs.append(xs[0] * 2)

    def replace(options):
        options["x"] = options["x"] * 2
        return options["x"]

    for fn, argument in ((append, [X]), (replace, {"x": X})):
        message = here(fn, "def ") + ": the function changed a list or dictionary"
        with pytest.raises(lucid.JitError, match=message):
            lucid.jit(fn)(argument)
    assert lucid.jit(lambda xs: [*xs, xs[0]])([X])[1] is X


def test_a_hyperparameter_set_inside():
    w = nn.Parameter([1.0])
    optimizer = lucid.optim.SGD([w], lr=0.1)

    @lucid.jit
    def step():
        (w * w).sum().backward()
        optimizer.step()
        optimizer.param_groups[0]["lr"] = 0.05

    message = r'"lr" was set from 0.1 to 0.05 .* Step schedulers out'
    with pytest.raises(lucid.JitError, match=r"test_errors.py:\d+: `def step\(\):`: .*" + message):
        step()
    assert w.tolist() == [1.0]


@pytest.mark.parametrize("first", ["scheduler", "optimizer"])
def test_a_scheduler_stepped_inside(first):
    w = nn.Parameter([1.0])
    optimizer = lucid.optim.SGD([w], lr=0.1)
    scheduler = lucid.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)

    @lucid.jit
    def step():
        (w * w).sum().backward()
        parts = [scheduler, optimizer] if first == "scheduler" else [optimizer, scheduler]
        for part in parts:
            part.step()

    with pytest.raises(lucid.JitError, match="ExponentialLR: a scheduler was stepped inside"):
        step()
    assert w.tolist() == [1.0] and scheduler.last_epoch == 0 and scheduler.last_lr == [0.1]


def test_in_place_on_outer_tensors_and_gradients_that_leave():
    w = nn.Parameter([1.0])
    outer = Tensor([1.0])
    computed = w * 2

    def in_place():
        outer.add_(w) if hasattr(outer, "add_") else outer.__iadd__(w)

    message = here(in_place, "__iadd__") + ": .* was changed in place by a recorded operation"
    with pytest.raises(lucid.JitError, match=message):
        lucid.jit(in_place)()
    assert outer.tolist() == [1.0]

    def leaves():
        (computed * 3).sum().backward()

    message = here(leaves, "backward()") + ": backward reached .* computed outside"
    with pytest.raises(lucid.JitError, match=message):
        lucid.jit(leaves)()
    assert w.grad is None and computed.grad is None


def test_requires_grad_left_changed():
    layer = nn.Linear(2, 2)

    def freeze(x):
        layer.requires_grad_(False)
        return layer(x)

    def for_a_while(x):
        layer.requires_grad_(False)
        y = layer(x)
        layer.requires_grad_(True)
        return y

    message = (
        here(freeze, "layer.requires") + ": requires_grad of a Tensor of shape .* Set it outside"
    )
    with pytest.raises(lucid.JitError, match=message):
        lucid.jit(freeze)(X)
    assert layer.weight.requires_grad
    assert not lucid.jit(for_a_while)(X).requires_grad


def test_an_attribute_that_changes_every_time():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.calls, self.last = 0, None

        def forward(self, x):
            if self.counts:
                self.calls += 1
            self.last = x.shape  # the same each time
            return x

    module = Counting()
    module.counts = True
    message = here(Counting.forward, "def forward") + ": Counting.calls was set from .* Buffer"
    with pytest.raises(lucid.JitError, match=message):
        lucid.jit(module)(X)
    assert module.calls == 0 and module.last is None
    module.counts = False
    forward = lucid.jit(module)
    forward(X)
    assert module.last == (2,)
    with count_compiles(0):
        forward(X)


def test_a_function_that_does_something_else_each_time():
    tensors = iter([Tensor([1.0]), Tensor([2.0])])

    def other(x):
        return x * next(tensors)

    message = here(other, "next(") + ": the function touched a Tensor of shape .* must do the same"
    with pytest.raises(lucid.JitError, match=message):
        lucid.jit(other)(X)


def test_what_cannot_be_compiled_or_hashed():
    with pytest.raises(TypeError, match="a function or a Module is needed, got int"):
        lucid.jit(3)
    with pytest.raises(TypeError, match="must be hashable"):
        lucid.jit(lambda x, names: x)(X, {1, 2})


@pytest.mark.parametrize("call", [1, 2])  # while it is traced the first time, or anew
def test_a_function_that_raises_half_way_changes_nothing(call):
    lucid.random.seed(0)
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))
    optimizer = lucid.optim.Adam(model.parameters(), lr=0.1)
    total, array = Tensor([1.0]), np.ones(2, np.float32)

    def everything():
        slots = [t for state in optimizer.state.values() for t in state.values()]
        tensors = (*model.parameters(), *model.buffers(), *slots, total)
        grads = [None if p.grad is None else p.grad.tolist() for p in model.parameters()]
        generator = lucid.random.default_generator().state.tolist()
        attributes = [dict(vars(module)) for module in model.modules()]
        return [t.tolist() for t in tensors], grads, generator, attributes

    def step(x, fail):
        loss = (model(x * array) ** 2).mean()
        loss.backward()
        optimizer.step()
        total.data = (total + 1).data
        if fail:
            model[2].p = 0.25
            model.eval()
            model.mark = "new"
            raise ZeroDivisionError("half-way")
        optimizer.zero_grad()

    jitted = lucid.jit(step)
    x = Tensor(np.ones((4, 2), np.float32))
    if call == 2:
        jitted(x, False)
    before = everything()
    with pytest.raises(ZeroDivisionError, match="half-way"):
        jitted(x, True)
    assert everything() == before
    assert lucid.grad_enabled() and array.flags.writeable
    assert (x + 1).data.sum() == 16  # no trace is active
    jitted(x, False)
    assert total.item() == 1.0 + call and isinstance(model[0].weight.data, jnp.ndarray)
