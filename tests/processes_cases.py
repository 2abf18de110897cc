"""What one of several processes does for tests/test_processes.py: `case process count port folder`.

One process alone runs the same without a mesh.
"""

import importlib.util
import json
import os
import pickle
import signal
import sys
from pathlib import Path

import jax
import numpy as np

import lucid
from lucid import nn, sharding

STEPS = 6
LIMITS = {"stopped": 6.0, "ended": 6.0, "late": 2.0}  # where time is what is tested


def raised(call):
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


class Gan:
    """A GAN with every kind of state; its step is written for the whole batch."""

    def __init__(self, mesh, rule):
        generator = nn.Sequential(
            nn.Linear(8, 64), nn.Unflatten(1, (16, 2, 2)), nn.BatchNorm2d(16), nn.ReLU(),
            nn.ConvTranspose2d(16, 1, 4, stride=2, padding=1), nn.Tanh(),
        )  # fmt: skip
        critic = nn.Sequential(
            nn.Flatten(), nn.Linear(16, 64), nn.LeakyReLU(0.2), nn.Dropout(0.25), nn.Linear(64, 1)
        )
        models = [generator.to("float64"), critic.to("float64")]
        average = nn.utils.EMA(generator, decay=0.9)
        if mesh is not None:
            for part in (*models, average, lucid.random.default_generator()):
                sharding.place(part, mesh, rule)
        optimizers = [lucid.optim.Adam(m.parameters(), lr=1e-2, eps=1e-3) for m in models]
        schedulers = [lucid.optim.lr_scheduler.StepLR(o, 2, gamma=0.5) for o in optimizers]
        self.parts = [*models, average, *optimizers, *schedulers, lucid.random.default_generator()]

        def follow(i, loss):
            optimizers[i].zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm(models[i].parameters(), 0.5)
            optimizers[i].step()

        @lucid.jit
        def step(real):
            noise = lucid.randn(real.shape[0], 8, dtype="float64")
            d_loss = (critic(generator(noise).detach()) - critic(real)).mean()
            follow(1, d_loss)
            g_loss = -critic(generator(noise)).mean()
            follow(0, g_loss)
            average.update(generator)
            return d_loss, g_loss

        def whole_step(real):
            losses = [loss.item() for loss in step(real)]
            for scheduler in schedulers:
                scheduler.step()
            return losses

        self.step = whole_step

    def state_dict(self):
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states):
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)

    def tensors(self):
        """Name and Tensor of all that lies on devices."""
        held = [p for p in self.parts if not isinstance(p, lucid.optim.lr_scheduler.LRScheduler)]
        return [(f"{i}.{n}", t) for i, p in enumerate(held) for n, t in sharding._state_of(p)]


def train(folder, mesh, name, rule=None, die=None):
    """Six steps, or those after the last checkpoint; one is written after each other step."""
    lucid.random.seed(3)
    gan = Gan(mesh, rule)
    path = folder / f"{name}.npz"
    done, losses = 0, []
    if path.exists():
        saved = lucid.load(path)
        done = saved["done"]
        gan.load_state_dict(saved["gan"])
    places = [t.data.sharding for _, t in gan.tensors()]
    rng = np.random.default_rng(0)
    data = rng.uniform(-1, 1, (STEPS, 8, 1, 4, 4))
    for i in range(done, STEPS):
        real = lucid.tensor(data[i], device=None if mesh is None else sharding.split(mesh))
        losses.append(gan.step(real))
        if i % 2:
            lucid.save({"gan": gan, "done": i + 1}, path)
        if die is not None and i == 4 and jax.process_index() == 1:
            die()
    return {
        "losses": losses,
        "state": {n: np.float64(sharding.whole(t)).tolist() for n, t in gan.tensors()},
        "stayed": all(
            t.data.sharding.is_equivalent_to(p, t.ndim)
            for (_, t), p in zip(gan.tensors(), places, strict=True)
        ),
        "spread": sum(lucid._core.spread.spans(t.data) for _, t in gan.tensors()),
    }


# --- Cases ------------------------------------------------------------------------------------


def together(folder):
    """What is read and refused, what begins alike, and the training."""
    mesh = sharding.mesh(data=-1)
    drawn = nn.Linear(3, 2).weight
    x = lucid.tensor(np.arange(8.0) - 4, device=sharding.split(mesh))
    unwritten = raised(lambda: lucid.save(x, folder / "nowhere" / "x.npz"))
    own = nn.Linear(2, 2)
    own.weight.data = np.full((2, 2), jax.process_index() - 0.0)
    sharding.place(own, mesh)
    return {
        "devices": jax.device_count(),
        "drawn": drawn.tolist(),
        "placed": [np.asarray(s.data).tolist() for s in own.weight.data.addressable_shards],
        "whole": sharding.whole(x * 2).tolist(),
        "texts": [repr(x), f"{x}"],
        "sum": x.sum().item(),
        "errors": [raised(call) for call in (x.tolist, x.numpy, lambda: pickle.dumps(x), x.free)],
        "twice": raised(lambda: sharding.initialize("127.0.0.1:1", 2, 0)),
        "unwritten": everywhere(
            ["FileNotFoundError" in unwritten, "process 0 failed" in unwritten]
        ),
        "differ": raised(lambda: sharding.place(nn.Linear(2, 2 + jax.process_index()), mesh)),
        "loader": loaded(mesh),
        "orbax": through_orbax(folder, mesh),
        "copies": train(folder, mesh, "copies"),
        "fsdp": train(folder, mesh, "fsdp", sharding.fsdp(min_size=256)),
    }


def through_orbax(folder, mesh):
    """Whether each Tensor comes back as it was, where it was; None without Orbax."""
    if importlib.util.find_spec("orbax") is None:
        return None
    from orbax.checkpoint import StandardCheckpointer

    lucid.random.seed(jax.process_index())
    rule = sharding.fsdp(min_size=16)
    one, other = (sharding.place(nn.Linear(8, 16), mesh, rule) for _ in range(2))
    arrays, targets = ({n: x.data for n, x in m.state_dict().items()} for m in (one, other))
    with StandardCheckpointer() as writer:
        writer.save(folder / "orbax", arrays)
    with StandardCheckpointer() as reader:
        other.load_state_dict(reader.restore(folder / "orbax", targets))
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return [
        bool((sharding.whole(a) == sharding.whole(b)).all()) and a.data.sharding == b.data.sharding
        for a, b in pairs
    ]


def loaded(mesh):
    """Epochs of samples that know who made them: the generators of the processes differ."""
    made = []

    class Squares(lucid.data.Dataset):
        def __len__(self):
            return 22

        def __getitem__(self, i):
            made.append(i)
            return {"x": np.full(3, float(i)), "y": i * i}

    def loader(batch_size=8, **how):
        generator = lucid.random.Generator(jax.process_index())
        place = sharding.split(mesh)
        return lucid.data.DataLoader(
            Squares(), batch_size, shuffle=True, generator=generator, device=place, **how
        )

    whole, shares = [], []
    for batch_size, epochs in ((4, 1), (8, 2)):  # for 2 or 4 devices
        batches = loader(batch_size, drop_last=True)
        for _ in range(epochs):
            made.clear()
            parts = [(sharding.whole(b["x"]), sharding.whole(b["y"])) for b in batches]
            whole.append([(x.tolist(), y.tolist()) for x, y in parts])
            shares.append(np.asarray(everywhere(made)).tolist())
    first, second = loader(drop_last=True), loader(drop_last=True)
    begun = iter(first)
    next(begun)
    second.load_state_dict(first.state_dict())
    rest = [[sharding.whole(b["y"]).tolist() for b in batches] for batches in (begun, second)]
    share = lucid.data.DistributedSampler(Squares(), 2, jax.process_index())
    plain = lucid.data.DataLoader(Squares(), 4, sampler=share)

    class Stream(lucid.data.IterableDataset):
        def __iter__(self):
            return iter(np.arange(22.0))

    streamed = lucid.data.DataLoader(Stream(), 8, drop_last=True, device=sharding.split(mesh))

    def odd(samples):
        return np.ones(3)

    return {
        "whole": whole,
        "shares": shares,
        "rest": rest,
        "streamed": [sharding.whole(b).tolist() for b in streamed],
        "uneven": raised(loader),
        "odd": raised(lambda: loader(6)),
        "twice": raised(
            lambda: lucid.data.DataLoader(Squares(), 8, sampler=share, device=sharding.split(mesh))
        ),
        "collated": raised(lambda: next(iter(loader(drop_last=True, collate_fn=odd)))),
        "distributed": everywhere([int(y) for b in plain for y in b["x"][:, 0].tolist()]),
    }


def everywhere(values):
    """A list of whole numbers of each process."""
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(np.asarray(values)).tolist()


def alone(folder):
    """The training on one device, and a file of 8 devices on fewer of them and back."""
    return {**train(folder, None, "alone"), "moved": moved(folder)}


def moved(folder):
    rule = sharding.fsdp(min_size=256)

    def on(count):
        lucid.random.seed(count)
        devices = np.array(jax.devices()[:count])
        return Gan(jax.sharding.Mesh(devices, ("data",)), rule)

    first = on(8)
    first.step(lucid.tensor(np.random.default_rng(0).normal(size=(8, 1, 4, 4))))
    lucid.save(first, folder / "8.npz")
    before = [np.asarray(t.data) for _, t in first.tensors()]
    found = {}
    for count in (1, 2, 4, 8):
        other = on(count)
        places = [t.data.sharding for _, t in other.tensors()]
        other.load_state_dict(lucid.load(folder / "8.npz"))
        lucid.save(other, folder / f"{count}.npz")
        held = [t.data for _, t in other.tensors()]
        found[count] = {
            "equal": all(
                (np.asarray(a) == b).all() and a.dtype == b.dtype
                for a, b in zip(held, before, strict=True)
            ),
            "stayed": [a.sharding for a in held] == places,
            "split": sum(not a.is_fully_replicated for a in held),
            "file": (folder / f"{count}.npz").read_bytes() == (folder / "8.npz").read_bytes(),
        }
    return found


def again(folder, die=None):
    """A training that can be gone on with."""
    rule = sharding.fsdp(min_size=256)
    return train(folder, sharding.mesh(data=-1), "again", rule, die)


def killed(folder):
    again(folder, lambda: os.kill(os.getpid(), signal.SIGKILL))


def stopped(folder):
    lose(0, lambda: os.kill(os.getpid(), signal.SIGSTOP))


def ended(folder):
    lucid._core.spread._PATIENCE = 1.0
    lose(0, sys.exit, lambda x: lucid.save(x, folder / "x.npz"))


def failed(folder):
    lose(1, lambda: 1 / 0)


def lose(process, die, wait=lambda x: x.sum().item()):
    """One process is lost while the other waits for it."""
    mesh = sharding.mesh(data=-1)
    x = lucid.ones(8, device=sharding.split(mesh))
    assert x.sum().item() == 8
    if jax.process_index() == process:
        die()
    wait(x)


if __name__ == "__main__":
    case, process, count, port, folder = sys.argv[1:]
    if count != "1":
        sharding.initialize(
            f"127.0.0.1:{port}", int(count), int(process), timeout=LIMITS.get(case, 60.0)
        )
    result = globals()[case](Path(folder))
    Path(folder, f"{case}{process}.json").write_text(json.dumps(result))
