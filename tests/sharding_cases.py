"""On 8 devices: what is refused, what follows a change of place, and training: JSON for a test."""

import json
import re
from typing import Any, NamedTuple

import jax
import numpy as np

import lucid
from lucid import Tensor, nn, optim, sharding

MESH = sharding.mesh(data=-1)
SPLIT = sharding.split(MESH)
DATA = lucid.data.TensorDataset(np.ones((20, 3), "f"))
compilations = []


def optimise(whether):
    """Where only numbers are compared, XLA's optimisations do not count, and take their time."""
    jax.config.update("jax_disable_most_optimizations", not whether)


def listen(event, *_, **__):
    if event == "/jax/core/compile/backend_compile_duration":
        compilations.append(event)


# --- What is refused ----------------------------------------------------------------------------


def placed(rule=None):
    return sharding.place(nn.Linear(8, 8), MESH, rule)


def elsewhere():
    return nn.Linear(8, 8).to(jax.devices()[3])


ERRORS = {
    "two sizes left open": lambda: sharding.mesh(data=-1, model=-1),
    "a batch": lambda: lucid.ones(15, 3).to(SPLIT),
    "a new Tensor": lambda: Tensor(np.ones((3, 2)), device=SPLIT),
    "a Module": lambda: nn.Linear(8, 3).to(SPLIT),
    "an unknown axis": lambda: placed(lambda *_: ("model",)),
    "too many axes": lambda: placed(lambda *_: ("data", None, None)),
    "a rule without a tuple": lambda: placed(lambda *_: "data"),
    "no mesh": lambda: sharding.place(nn.Linear(8, 8), 8),
    "a Module elsewhere": lambda: elsewhere()(placed()(lucid.ones(8, 8))),
    "a compiled Module elsewhere": lambda: lucid.jit(
        lambda x, a=elsewhere(), b=placed(): a(b(x))  # noqa: B008
    )(lucid.ones(8, 8)),
    "a last batch": lambda: list(lucid.data.DataLoader(DATA, 8, device=SPLIT)),
}


def refusals():
    found = {}
    for name, call in ERRORS.items():
        try:
            call()
        except (ValueError, TypeError) as error:
            found[name] = str(error)
    return found


# --- Changes of place ---------------------------------------------------------------------------


def changes():
    """A step goes on after its state was placed, and after it was placed on another mesh."""
    model = nn.Linear(8, 8)
    optimizer = optim.Adam(model.parameters())

    @lucid.jit
    def step(x):
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    x = lucid.ones(16, 8)
    losses = [step(x).item()]
    for mesh in (MESH, sharding.mesh(a=2, b=4)):
        for part in (model, optimizer):
            sharding.place(part, mesh)
        losses += [step(x.to(sharding.split(mesh))).item() for _ in range(2)]
    return {"falls": losses == sorted(losses, reverse=True), "devices": devices_of(model)}


def devices_of(model):
    return [len(p.data.sharding.device_set) for p in model.parameters()]


# --- Training -----------------------------------------------------------------------------------


class Training(NamedTuple):
    """What came of some steps."""

    losses: list[float]
    values: list[Any]  # of the parameters, and of their averages
    step: Any
    batch: lucid.Tensor
    stayed: bool  # whether all state lies where it lay
    split: int  # how many Tensors of the state do not lie whole on each device
    compiled_later: int  # programs that a later step than the first compiled

    def distance(self, other):
        """How far losses and values of two trainings are from each other."""
        pairs = zip([self.losses, *self.values], [other.losses, *other.values], strict=True)
        return max(float(abs(np.subtract(a, b)).max()) for a, b in pairs)


def perceptron():
    return nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 8))


def transformer():
    layer = nn.TransformerEncoderLayer(8, 2, 16)
    return nn.Sequential(nn.Unflatten(1, (2, 4)), nn.Linear(4, 8), layer, nn.Flatten())


def convolutions():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Dropout(0.25),
        nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1), nn.Flatten(), nn.Linear(8 * 256, 8),
    )  # fmt: skip


def optimizers():
    closures = {"LBFGS"}  # it calls the step itself
    names = [n for n in optim.__all__ if n not in closures | {"Optimizer", "Optax", "GradScaler"}]
    found = {
        name: lambda params, name=name: getattr(optim, name)(params, lr=1e-3)
        for name in names
        if isinstance(getattr(optim, name), type)
    }
    try:
        import optax
    except ModuleNotFoundError:
        return found
    return {**found, "Optax": lambda params: optim.Optax(params, optax.adamw(1e-3))}


def train(make, optimizer, rule=None, devices=False, wrap=lucid.jit, shape=(16, 8), steps=4):
    # A new seed leaves the generator on the mesh; this one lies on one device.
    lucid.random.default_generator().state.data = lucid.random.Generator(0).state.data
    model = make().to("float64")
    average = nn.utils.EMA(model, 0.5)
    if devices:
        for part in (model, average, lucid.random.default_generator()):
            sharding.place(part, MESH, rule)
    updates = optimizer(list(model.parameters()))
    scheduler = None
    if not isinstance(updates, optim.Optax):
        scheduler = optim.lr_scheduler.StepLR(updates, 2)

    @wrap
    def step(x):
        updates.zero_grad()
        loss = (model(x + 0.1 * lucid.randn(*x.shape)) ** 2).mean()
        loss.backward()
        nn.utils.clip_grad_norm(model.parameters(), 0.5)
        updates.step()
        average.update(model)
        return loss

    state = [*model.parameters(), *average.parameters()]
    if scheduler is not None:
        state += [t for s in updates.state.values() for t in s.values()]
    before = [t.data.sharding for t in state]
    rng = np.random.default_rng(0)
    losses, compiled = [], []
    for _ in range(steps):
        x = lucid.tensor(rng.normal(size=shape))
        x = x.to(SPLIT) if devices else x
        losses.append(step(x).item())
        compiled.append(len(compilations))
        if scheduler is not None:
            scheduler.step()
    return Training(
        losses,
        [t.numpy() for t in (*model.parameters(), *average.parameters())],
        step,
        x,
        all(
            t.data.sharding.is_equivalent_to(b, t.ndim) for t, b in zip(state, before, strict=True)
        ),
        sum(not t.data.is_fully_replicated for t in state),
        compiled[-1] - compiled[0],
    )


def copies_and_split():
    """By how the state lies: ten steps of a network with draws and running statistics."""

    def run(*how):
        return train(convolutions, adam, *how, shape=(16, 3, 8, 8), steps=10)

    def adam(params):
        return optim.Adam(params, lr=1e-3, eps=1e-3)

    one = run()
    others = {"one": one, "copies": run(None, True), "fsdp": run(sharding.fsdp(), True)}
    return {
        name: {
            "distance": one.distance(other),
            "stayed": other.stayed,
            "split": other.split,
            "compiled_later": other.compiled_later,
        }
        for name, other in others.items()
    }


def differences():
    """By optimizer: how far copies and split state are from one device; of copies, what moves."""
    found = {}
    for name, optimizer in optimizers().items():
        make = transformer if name == "AdamW" else perceptron
        one = train(make, optimizer)
        rows = []
        for rule in (None, sharding.fsdp(min_size=1)):
            other = train(make, optimizer, rule, devices=True)
            optimise(True)
            text = other.step.lower(other.batch).compile().as_text()
            optimise(False)
            collectives = set(re.findall(r"\b(all-\w+|reduce-scatter)\(", text))
            programs = other.step.cache_info().programs
            rows.append([one.distance(other), sorted(collectives), programs])
        found[name] = rows
    return found


def eager():
    """How far a training on 8 devices that is not compiled is from one on one device that is."""
    one = train(perceptron, optimizers()["Adam"])
    rules = None, sharding.fsdp(min_size=1)
    return [
        one.distance(train(perceptron, optimizers()["Adam"], rule, True, wrap=lambda fn: fn))
        for rule in rules
    ]


if __name__ == "__main__":
    optimise(False)
    jax.monitoring.register_event_duration_secs_listener(listen)
    print(json.dumps({
        "refused": refusals(),
        "changes": changes(),
        "copies and split": copies_and_split(),
        "optimizers": differences(),
        "eager": eager(),
    }))  # fmt: skip
