"""Optax: equal to plain optax, one program under `lucid.jit`, and state that travels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.optim import Optax
from tests.helpers import count_compiles, spaced

optax = pytest.importorskip("optax")

X, Y = spaced(8, 4, seed=1), spaced(8, 2, seed=2)
NAMES = ("0.weight", "0.bias", "2.weight", "2.bias")


def labels(params):
    return {name: "biases" if name.endswith("bias") else "weights" for name in params}


def weights_only(params):
    return {name: value.ndim > 1 for name, value in params.items()}


TRANSFORMATIONS = {
    "sgd momentum": lambda: optax.sgd(0.05, momentum=0.9, nesterov=True),
    "adamw": lambda: optax.adamw(0.02, weight_decay=0.1),
    "schedule": lambda: optax.adam(optax.cosine_decay_schedule(0.05, 15)),
    "chain": lambda: optax.chain(
        optax.clip_by_global_norm(0.1), optax.scale_by_adam(), optax.scale(-0.03)
    ),
    "masked": lambda: optax.chain(
        optax.masked(optax.add_decayed_weights(0.3), weights_only), optax.sgd(0.05)
    ),
    "multi_transform": lambda: optax.multi_transform(
        {"weights": optax.adamw(0.03), "biases": optax.sgd(0.2, momentum=0.5)}, labels
    ),
    "frozen": lambda: optax.multi_transform(
        {"weights": optax.set_to_zero(), "biases": optax.adam(0.1)}, labels
    ),
    "injected": lambda: optax.inject_hyperparams(optax.adam)(
        learning_rate=optax.linear_schedule(0.1, 0.0, 30)
    ),
    "accumulated": lambda: optax.MultiSteps(optax.adam(0.1), every_k_schedule=3),
    "noise": lambda: optax.chain(optax.add_noise(0.1, 0.5, jax.random.key(3)), optax.sgd(0.05)),
    "ema": lambda: optax.chain(optax.ema(0.9), optax.scale(-0.1)),
}


def make_model(dtype):
    lucid.random.seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))
    return model.to(dtype)


def plain(model, transformation, x, y, steps):
    """The parameters after some steps of plain optax under jax.jit."""
    pure, params = lucid.func.functionalize(model)
    state = transformation.init(params)

    @jax.jit
    def step(params, state):
        grads = jax.grad(lambda p: jnp.mean((pure(p, x)[0] - y) ** 2))(params)
        updates, state = transformation.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    for _ in range(steps):
        params, state = step(params, state)
    return params


def training(model, optimizer, x, y):
    x, y = Tensor(x), Tensor(y)

    def step():
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    return step


@pytest.mark.parametrize(
    ("name", "dtype", "compiled"),
    [
        *((name, "float64", True) for name in TRANSFORMATIONS),
        *((name, "float32", True) for name in ("sgd momentum", "adamw", "multi_transform")),
        *((name, "float64", False) for name in ("adamw", "noise")),
        ("schedule", "float32", False),
    ],
)
def test_equals_plain_optax(name, dtype, compiled):
    tolerance = {"float32": 1e-6, "float64": 1e-12}[dtype]
    with jax.enable_x64(dtype == "float64"):
        model, x, y = make_model(dtype), X.astype(dtype), Y.astype(dtype)
        before = lucid.func.state_of(model)
        expected = plain(model, TRANSFORMATIONS[name](), x, y, 20)
        optimizer = Optax(dict(model.named_parameters()), TRANSFORMATIONS[name]())
        step = training(model, optimizer, x, y)
        step = lucid.jit(step) if compiled else step
        step()
        with count_compiles(expect=0):
            for _ in range(19):
                step()
        after = lucid.func.state_of(model)
        assert any(np.abs(after[n] - before[n]).max() > 1e-2 for n in NAMES)
        for n in NAMES:
            assert after[n].dtype == dtype
            np.testing.assert_allclose(after[n], expected[n], rtol=tolerance, atol=tolerance)


def test_a_list_of_parameters_is_a_list_for_optax():
    model = make_model("float32")
    seen = []

    class Descent:
        def init(self, params):
            seen.append(params)
            return ()

        def update(self, grads, state, params):
            return [-0.5 * g for g in grads], state

    optimizer = Optax(model.parameters(), Descent())
    assert [p.shape for p in seen[0]] == [p.shape for p in model.parameters()]
    assert all(isinstance(p, jax.Array) for p in seen[0])
    before = [p.numpy() for p in model.parameters()]
    model(Tensor(X.astype("f"))).sum().backward()
    optimizer.step()
    for old, p in zip(before, model.parameters(), strict=True):
        np.testing.assert_allclose(p.numpy(), old - 0.5 * p.grad.numpy(), rtol=1e-6)
    assert repr(optimizer) == "Optax(4 parameters, Descent)"


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_extra_arguments_of_an_update(compiled):
    def transformation():
        return optax.chain(
            optax.sgd(0.1), optax.contrib.reduce_on_plateau(factor=0.5, patience=1, cooldown=0)
        )

    start, losses = np.array([1.0, -2.0], "f"), [3.0, 3.5, 4.0, 4.5, 5.0]
    w = nn.Parameter(start)
    optimizer = Optax([w], transformation())

    def step(loss):
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step(value=loss)

    run = lucid.jit(step) if compiled else step
    value, plain, state = start, transformation(), transformation().init([start])
    for loss in losses:
        run(Tensor(loss))
        updates, state = plain.update([2 * value], state, [value], value=loss)
        value = optax.apply_updates([value], updates)[0]
    np.testing.assert_allclose(w.numpy(), value, rtol=1e-6)
    unscaled = start * 0.8 ** len(losses)
    assert np.abs(w.numpy() - unscaled).max() > 0.1  # the plateau was found


def test_a_closure_gives_the_loss():
    w = nn.Parameter([2.0])
    optimizer = Optax([w], optax.sgd(0.25))

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 4.0
    assert w.tolist() == [1.0]


def test_gradients_that_are_none():
    a, b, frozen = nn.Parameter([1.0]), nn.Parameter([2.0]), nn.Parameter([3.0], False)
    optimizer = Optax([a, b, frozen], optax.adamw(0.1, weight_decay=0.5))
    optimizer.step()
    assert [p.item() for p in (a, b, frozen)] == [1.0, 2.0, 3.0]
    assert optimizer.state_dict()["state"]["[0].count"].item() == 0
    (a * a).backward()
    optimizer.step()
    np.testing.assert_allclose(a.item(), 1 - 0.1 - 0.05, rtol=1e-6)
    np.testing.assert_allclose(b.item(), 2 - 0.1, rtol=1e-6)  # decay alone, as in plain optax
    assert frozen.item() == 3.0


def test_placed_parameters_compile_once():
    device = jax.devices()[0]
    w = nn.Parameter(spaced(3, 2).astype("f"), device=device)
    optimizer = Optax([w], optax.adam(0.1))
    assert all(s.data.committed for s in optimizer.state_dict()["state"].values())

    def step():
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()

    step()
    with count_compiles(expect=0):
        step()


# --- State ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "suffix"), [("multi_transform", "safetensors"), ("injected", "npz"), ("noise", "npz")]
)
def test_training_goes_on_from_a_file(name, suffix, tmp_path):
    if suffix == "safetensors":
        pytest.importorskip("safetensors")
    x, y = X.astype("f"), Y.astype("f")
    models = [make_model("float32") for _ in range(2)]
    optimizers = [Optax(dict(m.named_parameters()), TRANSFORMATIONS[name]()) for m in models]
    steps = [lucid.jit(training(m, o, x, y)) for m, o in zip(models, optimizers, strict=True)]
    for _ in range(4):
        steps[0]()
    steps[1]()  # so that what is loaded replaces a state that has moved
    path = lucid.save(
        {"model": models[0].state_dict(), "optimizer": optimizers[0].state_dict()},
        tmp_path / f"checkpoint.{suffix}",
    )
    for _ in range(7):
        steps[0]()
    loaded = lucid.load(path)
    models[1].load_state_dict(loaded["model"])
    optimizers[1].load_state_dict(loaded["optimizer"])
    with count_compiles(expect=0):
        for _ in range(7):
            steps[1]()
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    first, second = (o.state_dict()["state"] for o in optimizers)
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_array_equal(first[key].numpy(), second[key].numpy())


def test_a_state_dict_keeps_its_values():
    w = nn.Parameter([1.0])
    optimizer = Optax({"w": w}, optax.adam(0.1))

    @lucid.jit
    def step():
        (w * w).sum().backward()
        optimizer.step()

    step()
    state = optimizer.state_dict()["state"]
    before = {name: value.numpy().copy() for name, value in state.items()}
    step()
    assert before["[0].count"] == 1
    for name, value in state.items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    assert optimizer.state_dict()["state"]["[0].count"].item() == 2


def test_a_state_that_does_not_fit_changes_nothing():
    w = nn.Parameter(spaced(3, 2).astype("f"))
    optimizer = Optax({"w": w}, optax.adam(0.1))
    (w * w).sum().backward()
    optimizer.step()
    before = {n: s.numpy().copy() for n, s in optimizer.state_dict()["state"].items()}
    state = {"[0].count": Tensor(7.5), "[0].mu['w']": Tensor([1.0]), "[0].other": Tensor(1)}
    with pytest.raises(ValueError) as error:
        optimizer.load_state_dict({"state": state})
    assert str(error.value) == (
        "load_state_dict: the state does not fit this Optax, and nothing was changed.\n"
        "  missing: [0].nu['w']\n"
        "  unexpected: [0].other\n"
        "  [0].count: dtype float32 instead of int32\n"
        "  [0].mu['w']: shape (1,) instead of (3, 2)"
    )
    with pytest.raises(ValueError, match='"state" is missing'):
        optimizer.load_state_dict({})
    for name, value in optimizer.state_dict()["state"].items():
        np.testing.assert_array_equal(value.numpy(), before[name])


# --- Errors -----------------------------------------------------------------------------------


def test_wrong_arguments():
    w = nn.Parameter([1.0])
    with pytest.raises(TypeError, match=r"must have the methods init and update, .* got float\."):
        Optax([w], 0.1)
    with pytest.raises(TypeError, match="in a list or by name, got one Tensor"):
        Optax(w, optax.sgd(0.1))
    with pytest.raises(TypeError, match="Parameters are needed, got str"):
        Optax(["w"], optax.sgd(0.1))
    with pytest.raises(ValueError, match="there are no parameters to optimise"):
        Optax([], optax.sgd(0.1))
    with pytest.raises(ValueError, match="a parameter is given twice"):
        Optax([w, w], optax.sgd(0.1))
    optimizer = Optax([w], optax.sgd(0.1))
    with pytest.raises(RuntimeError, match=r"cannot be added, .* optax\.multi_transform"):
        optimizer.add_param_group({"params": [nn.Parameter([2.0])]})
    with pytest.raises(TypeError, match=r"StepLR: Optax has no learning rate .* a schedule of opt"):
        lucid.optim.lr_scheduler.StepLR(optimizer, 2)


def test_a_transformation_that_changes_the_structure():
    class Growing:
        def init(self, params):
            return ()

        def update(self, grads, state, params):
            return grads, (*state, jnp.zeros(()))

    w = nn.Parameter([1.0])
    optimizer = Optax([w], Growing())
    (w * w).backward()
    with pytest.raises(TypeError, match="returned its state in another structure"):
        optimizer.step()
    assert w.tolist() == [1.0]
