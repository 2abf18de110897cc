"""Ten steps on one device, on 8 with copies, and on 8 with split state: JSON for a test."""

import json

import jax
import numpy as np

import lucid
from lucid import nn, sharding

compilations = []


def listen(event, *_, **__):
    if event == "/jax/core/compile/backend_compile_duration":
        compilations.append(event)


def train(rule, sharded):
    lucid.random.seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Dropout(0.25),
        nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1), nn.Flatten(), nn.Linear(8 * 256, 8),
    ).to("float64")  # fmt: skip
    mesh = sharding.mesh(data=-1)
    if sharded:
        sharding.place(model, mesh, rule)
    optimizer = lucid.optim.Adam(model.parameters(), lr=1e-3, eps=1e-3)

    @lucid.jit
    def step(x):
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    rng = np.random.default_rng(0)
    losses, compiled = [], []
    state = [*model.parameters(), *(t for s in optimizer.state.values() for t in s.values())]
    before = [t.data.sharding for t in state]
    for _ in range(10):
        x = lucid.tensor(rng.normal(size=(16, 3, 8, 8)))
        losses.append(step(x.to(sharding.split(mesh)) if sharded else x).item())
        compiled.append(len(compilations))
    stayed = all(
        t.data.sharding.is_equivalent_to(b, t.ndim) for t, b in zip(state, before, strict=True)
    )
    return {
        "losses": losses,
        "parameters": [np.asarray(t.data).ravel().tolist() for t in model.parameters()],
        "stayed": stayed,
        "compiled_later": compiled[-1] - compiled[0],
        "split": sum(not t.data.is_fully_replicated for t in state),
    }


if __name__ == "__main__":
    jax.monitoring.register_event_duration_secs_listener(listen)
    rules = {"one": (None, False), "copies": (None, True), "fsdp": (sharding.fsdp(), True)}
    print(json.dumps({name: train(*how) for name, how in rules.items()}))
