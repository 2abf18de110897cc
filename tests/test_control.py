"""checkpoint, scan, cond and while_loop: the same as the Python that they stand for."""

from __future__ import annotations

import re

import jax
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn, optim
from tests.helpers import count_compiles

BATCH = np.random.default_rng(0).standard_normal((4, 6, 3)).astype("f")
BOTH = pytest.mark.parametrize("wrap", [lambda fn: fn, lucid.jit], ids=["eager", "compiled"])


def network():
    lucid.random.seed(0)
    return nn.Sequential(
        nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2)
    )


def snapshot(model, optimizer=None):
    """All values that a step changes."""
    values = {name: t.numpy() for name, t in model.state_dict().items()}
    values |= {
        f"{n}.grad": p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None
    }
    values["random"] = lucid.random.default_generator().state.numpy()
    if optimizer is not None:
        for i, state in enumerate(optimizer.state.values()):
            values |= {f"{i}.{key}": np.asarray(value.numpy()) for key, value in state.items()}
    return values


def assert_close(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=2e-5, atol=1e-6, err_msg=name)


# --- checkpoint ---------------------------------------------------------------------------------


@BOTH
def test_checkpoint_is_the_plain_call(wrap):
    found = []
    for call in (lambda model, x: model(x), lucid.checkpoint):
        model = network()

        @wrap
        def step(x, model=model, call=call):
            model.zero_grad()
            loss = (call(model, x) ** 2).mean()
            loss.backward()
            return loss

        losses = [step(Tensor(x)).item() for x in BATCH[:2]]
        found.append({**snapshot(model), "losses": np.array(losses)})
    assert_close(*found)


def test_checkpoint_computes_anew_in_the_backward_pass():
    layer = nn.Linear(3, 3)

    x = Tensor(BATCH[0], requires_grad=True)
    counts = []
    for call in (lambda fn, x: fn(x), lucid.checkpoint):

        @lucid.jit
        def gradient(x, call=call):
            def block(x):
                return layer(layer(layer(x).tanh()).tanh()).tanh()

            loss = call(block, x).sum()
            return loss, lucid.autograd.grad(loss, x)

        counts.append(gradient.lower(x).as_text().count("stablehlo.tanh"))
    plain, anew = counts
    assert (plain, anew) == (3, 6)


def test_checkpoint_of_several_arguments_and_results_with_second_derivatives():
    rng = np.random.default_rng(1)
    x, y = (Tensor(v, requires_grad=True) for v in rng.uniform(0.5, 1.5, (2, 3)).astype("f"))

    def block(pair, *, power, label):
        a, b = pair
        return {"product": (a * b) ** power, "label": label, "sum": a + b}

    @lucid.jit
    def second(x, y):
        found = lucid.checkpoint(block, (x, y), power=3, label="name")
        assert found["label"] == "name"
        (dx,) = lucid.autograd.grad((found["product"] + found["sum"]).sum(), [x], create_graph=True)
        return lucid.autograd.grad(dx.sum(), [x, y])

    a, b = x.numpy(), y.numpy()
    for ours, expected in zip(second(x, y), (6 * a * b**3, 9 * a**2 * b**2), strict=True):
        np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-5)


# --- scan ---------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("gradients", ["none", "zeroed", "present"])
def test_micro_batches_add_up_gradients_and_change_state_as_a_python_loop(wrap, gradients):
    found = []
    for loop in ("python", "scan"):
        model = network()
        optimizer = optim.Adam(model.parameters(), lr=0.1)

        def micro(total, x, model=model):
            loss = (model(x) ** 2).mean() / 4
            loss.backward()
            return total + loss.detach(), loss.detach() * 2

        @wrap
        def step(batch, loop=loop, model=model, optimizer=optimizer, micro=micro):
            if gradients == "zeroed":
                optimizer.zero_grad()
            if loop == "scan":
                total, losses = lucid.scan(micro, 0.0, batch)
            else:
                total, parts = 0.0, []
                for x in batch:
                    total, part = micro(total, x)
                    parts.append(part)
                losses = lucid.stack(parts)
            optimizer.step()
            return total, losses

        if gradients == "present":
            (model(Tensor(BATCH[0])) ** 2).mean().backward()
        results = []
        for _ in range(2):
            total, losses = step(Tensor(BATCH))
            results.append(np.append(losses.numpy(), total.numpy()))
        found.append({**snapshot(model, optimizer), "results": np.array(results)})
    assert_close(*found)


@BOTH
def test_training_steps_in_a_loop(wrap):
    found = []
    for loop in ("python", "scan"):
        model = network()
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

        def train(count, x, model=model, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (model(x) ** 2).mean()
            loss.backward()
            nn.utils.clip_grad_norm(model.parameters(), 0.5)
            optimizer.step()
            return count + 1, loss.detach()

        @wrap
        def epoch(batch, loop=loop, train=train):
            if loop == "scan":
                return lucid.scan(train, 0, batch)
            losses = [train(0, x)[1] for x in batch]
            return Tensor(4), lucid.stack(losses)

        count, losses = epoch(Tensor(BATCH))
        assert count.item() == 4
        found.append({**snapshot(model, optimizer), "losses": losses.numpy()})
    assert_close(*found)


@BOTH
def test_gradients_of_all_that_a_loop_uses_and_their_gradients(wrap):
    cell = nn.Linear(5, 2)
    rng = np.random.default_rng(2)
    x0 = rng.standard_normal((4, 6, 3)).astype("f")
    h0 = rng.standard_normal((6, 2)).astype("f")

    def turn(h, x):
        h = cell(lucid.concatenate([h, x], axis=1)).tanh()
        return h, h.sum(axis=1)

    def python(h, xs):
        ys = []
        for i in range(len(xs)):
            h, y = turn(h, xs[i])
            ys.append(y)
        return h, lucid.stack(ys)

    found = []
    for loop in (python, lambda h, xs: lucid.scan(turn, h, xs)):

        @wrap
        def derivatives(h, xs, loop=loop):
            last, ys = loop(h, xs)
            inputs = [h, xs, cell.weight]
            first = lucid.autograd.grad((last**2).sum() + (ys**3).sum(), inputs, create_graph=True)
            second = lucid.autograd.grad(sum((g**2).sum() for g in first), inputs)
            return [last, ys, *first, *second]

        h, xs = Tensor(h0, requires_grad=True), Tensor(x0, requires_grad=True)
        found.append({str(i): y.numpy() for i, y in enumerate(derivatives(h, xs))})
    assert_close(*found)


def test_a_loop_over_a_number_of_turns_and_over_nested_rows():
    total, nothing = lucid.scan(lambda c, x: (c * 2, None), 1.0, length=5)
    assert total.item() == 32 and nothing is None
    rows = {"a": Tensor(BATCH[:, 0, 0]), "b": (Tensor(BATCH[:, 1]),)}
    jitted = lucid.jit(lambda rows: lucid.scan(lambda c, r: (c, (r["a"] + r["b"][0], c)), 0, rows))
    last, (sums, counts) = jitted(rows)
    np.testing.assert_allclose(sums.numpy(), BATCH[:, :1, 0] + BATCH[:, 1], rtol=1e-6)
    assert counts.tolist() == [0] * 4 and last.dtype == counts.dtype == np.int32
    empty = lucid.jit(lambda xs: lucid.scan(lambda c, x: (c, x * 2), 0.0, xs))
    assert empty(lucid.zeros(0, 3))[1].shape == (0, 3)


def test_four_micro_batches_take_a_quarter_of_the_memory():
    lucid.random.seed(0)
    model = nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 256), nn.Tanh())
    batch = lucid.randn(1024, 64)

    @lucid.jit
    def plain(batch):
        model.zero_grad()
        loss = (model(batch) ** 2).mean()
        loss.backward()
        return loss.detach()

    def micro(total, x):
        loss = (model(x) ** 2).mean() / 4
        loss.backward()
        return total + loss.detach(), None

    @lucid.jit
    def looped(batch):
        model.zero_grad()
        return lucid.scan(micro, 0.0, batch.reshape(4, 256, 64))[0]

    whole, quarter = (
        step.lower(batch).compile().memory_analysis().temp_size_in_bytes for step in (plain, looped)
    )
    assert quarter <= 0.4 * whole
    np.testing.assert_allclose(plain(batch).item(), looped(batch).item(), rtol=1e-5)


def halved(x):
    with lucid.no_grad():
        return x / 2


@BOTH
@pytest.mark.parametrize("leave", [lambda x: x.detach(), halved, lambda x: Tensor(x)])
@pytest.mark.parametrize("call", ["checkpoint", "scan", "cond"])
def test_what_left_the_tape_inside_is_constant(wrap, leave, call):
    def product(x):
        return (leave(x) * x).sum()

    @wrap
    def gradient(x):
        if call == "checkpoint":
            y = lucid.checkpoint(product, x)
        elif call == "scan":
            y, _ = lucid.scan(lambda total, row: (total + product(row), None), 0.0, x)
        else:
            y = lucid.cond(x.sum() > -1e6, product, lambda x: x.sum(), x)
        return lucid.autograd.grad(y, x)

    x = Tensor(BATCH, requires_grad=True)
    expected = BATCH / 2 if leave is halved else BATCH
    np.testing.assert_allclose(gradient(x).numpy(), expected, rtol=1e-6)


# --- cond and while_loop ------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("large", [False, True])
def test_a_branch_changes_only_its_state_and_has_its_gradients(wrap, large):
    left, right = nn.Parameter([2.0]), nn.Parameter([3.0])
    calls = nn.Buffer(lucid.zeros(2))

    def true_fn(x):
        calls[0] += 1
        return (x * left) ** 2

    def false_fn(x):
        calls[1] += 1
        return x * right

    @wrap
    def step(pred, x):
        y = lucid.cond(pred, true_fn, false_fn, x)
        y.backward()
        return y

    x = Tensor([5.0], requires_grad=True)
    y = step(Tensor(large), x)
    gradients = [0.0 if p.grad is None else p.grad.item() for p in (x, left, right)]
    assert calls.tolist() == [large, not large]
    assert [y.item(), *gradients] == ([100, 40, 100, 0] if large else [15, 3, 0, 5])


@BOTH
def test_a_branch_may_take_an_optimizer_s_step(wrap):
    weight = nn.Parameter([1.0])
    optimizer = optim.Adam([weight], lr=0.5)

    @wrap
    def step(x):
        optimizer.zero_grad()
        loss = (weight * x).sum()
        loss.backward()
        lucid.cond(x.isfinite().all(), optimizer.step, lambda: None)
        return loss.detach()

    for x in (1.0, np.inf, 1.0):
        step(Tensor([x]))
    assert weight.item() == pytest.approx(0.0, abs=1e-5)
    assert next(iter(optimizer.state.values()))["step"].item() == 2


@BOTH
def test_a_loop_until_a_condition_changes_state_and_is_off_the_tape(wrap):
    steps = nn.Buffer(lucid.zeros(()))

    @wrap
    def newton(x):
        def better(state):
            steps.data = steps.data + 1
            return {"root": (state["root"] + x / state["root"]) / 2, "n": state["n"] + 1}

        start = {"root": x, "n": 0}
        found = lucid.while_loop(lambda s: abs(s["root"] ** 2 - x) > 1e-3 * x, better, start)
        return found["root"] * x, found["n"]

    x = Tensor(2.0, requires_grad=True)
    y, n = newton(x)
    assert y.item() == pytest.approx(2 * 2**0.5, rel=1e-3)
    assert n.item() == steps.item() == 3
    y.backward()
    assert x.grad.item() == pytest.approx(2**0.5, rel=1e-3)  # the root is a constant


# --- As operations of a program -----------------------------------------------------------------


def test_the_second_call_compiles_nothing_and_buffers_are_given_away():
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=0.1)

    def micro(total, x):
        loss = (lucid.checkpoint(model, x) ** 2).mean()
        loss.backward()
        return total + loss.detach(), None

    @lucid.jit
    def step(batch):
        optimizer.zero_grad()
        total, _ = lucid.scan(micro, 0.0, batch)
        lucid.cond(total > 0, optimizer.step, lambda: None)
        return total

    batch = Tensor(BATCH)
    step(batch)
    step(batch)
    weight = model[0].weight._data
    with count_compiles(0):
        step(batch)
    assert weight.is_deleted()
    assert step.cache_info().programs == 1


def test_jax_differentiates_a_module_that_loops():
    class Loops(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            h, _ = lucid.scan(lambda h, _: (self.layer(h).tanh(), None), x, length=3)
            return lucid.cond(h.sum() > 1e6, lambda h: h, lambda h: h * 2, h)

    model = Loops()
    pure, state = lucid.func.functionalize(model)
    x = BATCH[0]
    ours = jax.jit(jax.grad(lambda s: (pure(s, x)[0] ** 2).sum()))(state)
    y = Tensor(x)
    for _ in range(3):
        y = model.layer(y).tanh()
    ((2 * y) ** 2).sum().backward()
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(ours[name], parameter.grad.numpy(), rtol=1e-4, atol=1e-6)


# --- Errors -------------------------------------------------------------------------------------

X = Tensor(BATCH[0])
ERRORS = {
    "lengths": (
        lambda: lucid.scan(lambda c, x: (c, None), 0.0, [X, X[:2]]),
        "scan: there must be one number of turns: the length of the first axes of xs, or length; "
        "got xs of shapes [(6, 3), (2, 3)] and length=None.",
    ),
    "no length": (lambda: lucid.scan(lambda c, x: (c, None), 0.0), "got no xs and length=None."),
    "axes": (lambda: lucid.scan(lambda c, x: (c, x), 0.0, Tensor(1.0)), "xs of shapes [()]"),
    "no pair": (
        lambda: lucid.scan(lambda c, x: c, X, X),
        "scan: the function must return a pair (carry, y), got Tensor.",
    ),
    "shape": (
        lambda: lucid.scan(lambda c, x: ({"h": c["h"][:1]}, None), {"h": X}, X),
        "scan: carry['h'] must keep its shape and dtype, float32[6, 3]; the function returned "
        "float32[1, 3].",
    ),
    "dtype": (
        lambda: lucid.scan(lambda c, x: (c > 0, None), 0.0, X),
        "scan: carry must keep its shape and dtype, float32[]; the function returned bool[].",
    ),
    "structure": (
        lambda: lucid.scan(lambda c, x: ((c, c), None), X, X),
        "scan: the function must return a carry of the structure that it gets, PyTreeDef(*), got "
        "PyTreeDef((*, *)).",
    ),
    "pred": (
        lambda: lucid.cond(X > 0, lambda: 0, lambda: 1),
        "cond: pred must have one element, got shape (6, 3).",
    ),
    "condition": (
        lambda: lucid.while_loop(lambda x: x > 0, lambda x: x, X),
        "while_loop: the condition must return a Tensor with one element, got shape (6, 3).",
    ),
}


@BOTH
@pytest.mark.parametrize("name", ERRORS)
def test_what_is_refused(name, wrap):
    call, said = ERRORS[name]
    with pytest.raises(ValueError, match=re.escape(said)):
        wrap(lambda: call())()


def test_what_is_refused_in_programs_alone():
    weight, state = nn.Parameter([1.0]), nn.Buffer(lucid.zeros(2))

    def grows():
        state.data = lucid.zeros(3)

    def unwound(x):
        (weight * x).sum().backward()
        return x

    def conditions(x):
        state.data = state.data + 1
        return x.sum() > 0

    def steers(c, x):
        return (c if x.sum() > 0 else -c), None

    cases = [
        (lambda x: lucid.cond(x.sum() > 0, lambda: x, lambda: x[:1]), "cond: the results of both"),
        (lambda x: lucid.checkpoint(unwound, x), "checkpoint: .* calls backward"),
        (
            lambda x: lucid.checkpoint(lambda x: x.add_(1), x * 1),
            "checkpoint: .*test_control.* in place",
        ),
        (
            lambda x: lucid.cond(x.sum() > 0, lambda x: x, lambda x: x.add_(1), x * 1),
            "cond: .* changes an argument in place",
        ),
        (lambda x: lucid.while_loop(conditions, lambda x: x, x), "while_loop: .* only the body"),
        (
            lambda x: lucid.scan(lambda c, x: (c, grows()), 0.0, x),
            r"scan: a Tensor from outside must keep its shape and dtype, float32\[2\]",
        ),
        (lambda x: lucid.scan(steers, 0.0, x)[0], "needs the value of a Tensor"),
    ]
    for fn, said in cases:
        with pytest.raises((ValueError, lucid.JitError), match=said):
            lucid.jit(fn)(Tensor([1.0, 2.0]))
        assert weight.grad is None and state.tolist() == [0, 0]
