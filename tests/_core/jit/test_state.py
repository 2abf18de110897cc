"""State that a compiled function finds by itself."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F
from tests._core.jit.models import X, linear, train
from tests.helpers import close, count_compiles


def test_parameters_gradients_and_moments_are_written():
    results = []
    for wrap in (lambda f: f, lucid.jit):
        model = linear()
        optimizer = lucid.optim.Adam(model.parameters(), lr=0.1, amsgrad=True)
        step = wrap(train(model, optimizer))
        losses = [step(Tensor(X)).item() for _ in range(3)]
        slots = [slot for state in optimizer.state.values() for slot in state.values()]
        results.append(
            (
                losses,
                [t.numpy() for t in (*model.parameters(), *slots)],
                [p.grad.numpy() for p in model.parameters()],
            )
        )
    jax.tree.map(close, *results)
    counts = [state["step"].item() for state in optimizer.state.values()]
    assert counts == [3, 3]


def test_second_call_compiles_nothing():
    model = linear()
    step = lucid.jit(train(model, lucid.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)))
    x = Tensor(X)
    step(x)
    with count_compiles(0):
        for _ in range(3):
            step(x)
    assert step.cache_info() == (3, 1, 1, 8)


def test_second_call_compiles_nothing_whatever_the_state():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    step = lucid.jit(train(model, lucid.optim.Adam(model.parameters())))
    forward = lucid.jit(model)
    x = Tensor(X)
    for fn in (step, forward):
        fn(x)
        with count_compiles(0):
            fn(x)


def test_a_module_made_inside_is_a_local_value():
    def fn(x):
        scale = nn.Module()
        scale.weight = nn.Parameter(np.ones(3, np.float32))
        y = (scale.weight * x).sum()
        y.backward()
        return scale.weight.grad

    fast = lucid.jit(fn)
    for _ in range(2):
        assert fast(Tensor([1.0, 2.0, 3.0])).tolist() == [1.0, 2.0, 3.0]


def test_batch_norm_statistics_over_several_forwards():
    results = []
    for wrap in (lambda f: f, lucid.jit):
        norm = nn.BatchNorm1d(3)

        @wrap
        def step(a, b, norm=norm):
            return norm(a).sum() + norm(b).sum()

        for k in range(3):
            step(Tensor(X + k), Tensor(10 * X))
        results.append([b.numpy() for b in norm.buffers()])
    assert len(results[0]) == 3
    jax.tree.map(close, *results)
    assert results[1][2] == 6  # num_batches_tracked


def test_gradients_accumulate_over_calls_until_they_are_dropped():
    w = Tensor([1.0, 2.0], requires_grad=True)

    @lucid.jit
    def accumulate():
        (w * w).sum().backward()

    accumulate()
    first = w.grad.numpy()
    accumulate()
    close(w.grad.numpy(), 2 * first)
    w.grad = None
    accumulate()
    close(w.grad.numpy(), first)
    assert accumulate.cache_info().programs == 2  # without a gradient, and with one


def test_a_gradient_that_is_only_read_stays():
    w = Tensor([3.0], requires_grad=True)
    w.grad = Tensor([5.0])
    assert lucid.jit(lambda: w.grad * 2)().tolist() == [10.0]
    assert w.grad.tolist() == [5.0]


@pytest.mark.parametrize("change", [{"lr": 0.5}, {"betas": (0.1, 0.2)}, {"weight_decay": 0.3}])
def test_a_changed_hyperparameter_counts_and_compiles_nothing(change):
    ends = []
    for wrap in (lambda f: f, lucid.jit):
        model = linear()
        optimizer = lucid.optim.Adam(model.parameters(), lr=0.1)
        step = wrap(train(model, optimizer))
        x = Tensor(X)
        step(x)
        optimizer.param_groups[0].update(change)
        if wrap is lucid.jit:
            with count_compiles(0):
                step(x)
        else:
            step(x)
        ends.append(model.weight.numpy())
    close(*ends)
    unchanged = linear()
    step = train(unchanged, lucid.optim.Adam(unchanged.parameters(), lr=0.1))
    step(Tensor(X))
    step(Tensor(X))
    assert np.abs(unchanged.weight.numpy() - ends[0]).max() > 1e-4


def test_a_scheduler_step_compiles_nothing():
    model = linear()
    optimizer = lucid.optim.SGD(model.parameters(), lr=1)  # an int at first, a float later
    scheduler = lucid.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    step = lucid.jit(train(model, optimizer))
    x = Tensor(X)
    step(x)
    with count_compiles(0):
        for _ in range(4):
            scheduler.step()
            step(x)


def test_random_generators_move_on_and_agree_with_eager():
    own = lucid.random.Generator(5)

    def draw():
        return lucid.randn(3), lucid.rand(2, generator=own), lucid.random.permutation(4)

    sequences = []
    for wrap in (lambda f: f, lucid.jit):
        lucid.random.seed(1)
        own.manual_seed(5)
        fn = wrap(draw)
        sequences.append([[t.tolist() for t in fn()] for _ in range(3)] + [lucid.rand(1).tolist()])
    assert sequences[0] == sequences[1]
    assert sequences[0][0] != sequences[0][1]


def test_seeding_anew_between_calls_counts():
    fn = lucid.jit(lambda: lucid.randn(3))
    draws = []
    for _ in range(2):
        lucid.random.seed(3)
        draws.append(fn().tolist())
    assert draws[0] == draws[1] and lucid.random.get_seed() == 3
    assert fn.cache_info().misses == 1


GLOBAL = Tensor([1.0])


class Counter:
    """Not a Module: state is found wherever it is."""

    def __init__(self):
        self.total = Tensor(0.0)

    @lucid.jit
    def add(self, x):
        self.total.data = (self.total + x).data
        return self.total * 1


def test_closures_globals_self_lists_and_dictionaries():
    GLOBAL.data = np.array([1.0], np.float32)
    held = Tensor([10.0])
    nested = {"list": [Tensor([100.0]), {"deep": Tensor([1000.0])}]}

    @lucid.jit
    def fn():
        total = GLOBAL + held + nested["list"][0] + nested["list"][1]["deep"]
        for tensor in (GLOBAL, held, nested["list"][0], nested["list"][1]["deep"]):
            tensor.data = (tensor * 2).data
        return total

    assert [fn().item() for _ in range(3)] == [1111.0, 2222.0, 4444.0]
    held.data = np.array([0.0], np.float32)
    assert fn().item() == 8888.0 - 80.0
    a, b = Counter(), Counter()
    assert [a.add(Tensor(2.0)).item(), a.add(Tensor(3.0)).item()] == [2.0, 5.0]
    assert b.add(Tensor(1.0)).item() == 1.0 and a.total.item() == 5.0


def test_a_captured_numpy_array_is_read_anew():
    data, scalar = np.ones(3, np.float32), np.array(1.0, np.float32)
    x = Tensor([1.0, 2.0, 3.0])
    fn = lucid.jit(lambda: (x * data, Tensor(data) * scalar, x + 0))
    fn()
    data[:], scalar[...] = [4.0, 5.0, 6.0], 2.0
    with count_compiles(0):
        product, scaled, _ = fn()
    assert product.tolist() == [4.0, 10.0, 18.0] and scaled.tolist() == [8.0, 10.0, 12.0]
    data[0] = 0  # still the caller's to change


def test_numpy_arrays_of_the_function_itself_are_constants():
    def fn(x):
        local = np.arange(3, dtype=np.float32)
        return x * local + Tensor(local) + x * np.ones(3, np.float32)

    jitted = lucid.jit(fn)
    x = Tensor([1.0, 2.0, 3.0])
    for _ in range(2):
        assert jitted(x).tolist() == [1.0, 5.0, 11.0]
    (program,) = jitted._programs.popitem()[1]
    assert program.hosts == []


def test_tied_parameters_are_one_slot():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    optimizer = lucid.optim.SGD(model.parameters(), lr=0.1)
    step = lucid.jit(train(model, optimizer))
    step(Tensor(X))
    step(Tensor(X))
    assert model[1].weight is model[0].weight
    (program,) = step._programs.popitem()[1]
    assert len(program.written) == 3  # a weight and two biases


def test_several_models_optimizers_and_backwards():
    results = []
    for wrap in (lambda f: f, lucid.jit):
        a, b = linear(0, 3), linear(1, 3)
        first = lucid.optim.SGD(a.parameters(), lr=0.1)
        second = lucid.optim.Adam(b.parameters(), lr=0.1)

        def step(x, a=a, b=b, first=first, second=second):
            first.zero_grad()
            loss = F.mse_loss(a(x), b(x).detach())
            loss.backward()
            first.step()
            second.zero_grad()
            other = F.mse_loss(b(x), a(x).detach())  # sees what the first step made
            other.backward()
            second.step()
            return loss, other

        step = wrap(step)
        losses = [[y.item() for y in step(Tensor(X))] for _ in range(4)]
        results.append((losses, [p.numpy() for p in (*a.parameters(), *b.parameters())]))
    jax.tree.map(close, *results)


def test_a_jitted_function_inside_another_is_a_part_of_it():
    model = linear()
    optimizer = lucid.optim.SGD(model.parameters(), lr=0.1)
    forward = lucid.jit(model)
    step = lucid.jit(train(forward, optimizer))
    twin = linear()
    eager = train(twin, lucid.optim.SGD(twin.parameters(), lr=0.1))
    for _ in range(3):
        close(step(Tensor(X)).numpy(), eager(Tensor(X)).numpy())
    assert forward.cache_info().misses == 0
    close(model.weight.numpy(), twin.weight.numpy())


def test_arguments_can_be_written_and_get_gradients():
    x, w = Tensor([1.0, 2.0]), Tensor([3.0, 4.0], requires_grad=True)

    @lucid.jit
    def fn(x, w):
        (x * w).sum().backward()
        x.data = (x + 1).data
        return x

    assert fn(x, w) is x
    assert x.tolist() == [2.0, 3.0] and w.grad.tolist() == [1.0, 2.0]
    fn(x, w)
    assert w.grad.tolist() == [3.0, 5.0]


def test_a_tensor_given_twice_is_one():
    def fn(a, b):
        a.data = (a * 2).data
        (a * b).sum().backward()
        return a + b

    jitted = lucid.jit(fn)
    x, y, z = (Tensor([1.0], requires_grad=True) for _ in range(3))
    assert jitted(x, x).tolist() == fn(y, y).tolist() == [4.0]
    assert x.tolist() == y.tolist() == [2.0] and x.grad.tolist() == y.grad.tolist() == [4.0]
    assert jitted(x, z).tolist() == [5.0] and z.grad.tolist() == [4.0]
    assert jitted.cache_info().misses == 2


def test_pytrees_of_arguments_and_results():
    @lucid.jit
    def fn(batch, *, scale, name):
        return {"out": [batch["x"] * scale, batch["y"][0]], "name": name, "none": None}

    out = fn({"x": Tensor([1.0]), "y": (jnp.ones(2),)}, scale=np.float32(3), name="a")
    assert out["out"][0].tolist() == [3.0] and out["name"] == "a" and out["none"] is None
    assert isinstance(out["out"][1], jax.Array)
    fn({"x": Tensor([1.0]), "y": (jnp.ones(2),)}, scale=np.float32(4), name="a")
    assert fn.cache_info().misses == 1
    assert fn({"x": Tensor([2.0]), "y": (jnp.ones(2),)}, scale=4, name="b")["name"] == "b"


def test_static_argnames():
    @lucid.jit(static_argnames="n")
    def repeat(x, n):
        return sum((x for _ in range(int(n))), Tensor(0.0))

    two = np.int64(2)
    assert repeat(Tensor(3.0), two).item() == 6.0
    assert repeat(Tensor(3.0), n=np.int64(3)).item() == 9.0
    assert repeat(Tensor(5.0), two).item() == 10.0
    assert repeat.cache_info().misses == 2


def test_a_module_keeps_its_attributes():
    model = linear()
    for fast in (lucid.jit(model), model.compile(), lucid.compile(model, max_cache_entries=3)):
        assert fast.weight is model.weight and fast.in_features == 3
        close(fast(Tensor(X)).numpy(), model(Tensor(X)).numpy())
    assert fast.cache_info().max_programs == 3
    assert list(fast.state_dict()) == ["weight", "bias"]
