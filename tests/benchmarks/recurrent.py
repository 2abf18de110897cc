"""A training step of an LSTM language model, as ratios from interleaved runs in one process.

    python tests/benchmarks/recurrent.py [small medium]

Embedding, two LSTM layers, a projection to the vocabulary, cross entropy, gradients and an SGD
update. Plain JAX is the same step with hand-written `lax.scan` and JAX's own derivative of it.
Needs the `parity` extra. Below 1 is faster than the reference.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from timing import interleave

import lucid
from lucid import Tensor, nn, optim

torch.set_num_threads(2)
RATE = 0.1
LAYERS = 2


class Size(NamedTuple):
    """Of a model and a batch."""

    words: int
    hidden: int
    steps: int
    batch: int


SIZES = {"small": Size(1000, 128, 35, 20), "medium": Size(5000, 512, 35, 20)}
Step = Callable[[], Any]  # returns the loss


def row(what: str, ratio: float, limit: str, seconds: float) -> None:
    print(f"{what:<60} {ratio:6.2f}   {limit:<8} {seconds * 1e3:10.3f}", flush=True)


def data(size: Size) -> tuple[np.ndarray, np.ndarray]:
    tokens = np.random.default_rng(0).integers(size.words, size=(size.steps + 1, size.batch))
    return tokens[:-1].astype(np.int32), tokens[1:].astype(np.int32)


def model_of(library: Any, size: Size) -> Any:
    """The same model in both libraries."""

    class Model(library.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = library.Embedding(size.words, size.hidden)
            self.lstm = library.LSTM(size.hidden, size.hidden, LAYERS)
            self.head = library.Linear(size.hidden, size.words)

        def forward(self, tokens: Any) -> Any:
            return self.head(self.lstm(self.embedding(tokens))[0]).reshape(-1, size.words)

    return Model()


def weights(size: Size) -> dict[str, np.ndarray]:
    torch.manual_seed(0)
    return {name: w.numpy() for name, w in model_of(torch.nn, size).state_dict().items()}


def by_lucid(size: Size, jitted: bool = True) -> Step:
    model = model_of(nn, size)
    model.load_state_dict(weights(size))
    optimizer = optim.SGD(model.parameters(), RATE)
    tokens, following = map(Tensor, data(size))

    def step(tokens: Tensor, following: Tensor) -> Tensor:
        loss = nn.functional.cross_entropy(model(tokens), following.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    fast = lucid.jit(step) if jitted else step

    def run() -> Any:
        loss = fast(tokens, following)
        return jax.block_until_ready([loss.data, *(p._data for p in model.parameters())])[0]

    return run


def by_torch(size: Size) -> Step:
    model = model_of(torch.nn, size)
    model.load_state_dict({name: torch.tensor(w) for name, w in weights(size).items()})
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    tokens, following = (torch.tensor(x).long() for x in data(size))

    def run() -> Any:
        loss = torch.nn.functional.cross_entropy(model(tokens), following.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def by_plain_scan(size: Size) -> Step:
    def layer(p: Any, suffix: str, x: jax.Array) -> jax.Array:
        pushes = x @ p["weight_ih" + suffix].T + p["bias_ih" + suffix] + p["bias_hh" + suffix]
        weight = p["weight_hh" + suffix]

        def step(state: Any, push: jax.Array) -> Any:
            h, c = state
            i, f, g, o = jnp.split(push + h @ weight.T, 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zeros = jnp.zeros((size.batch, size.hidden))
        return jax.lax.scan(step, (zeros, zeros), pushes)[1]

    def loss_of(p: Any, tokens: jax.Array, following: jax.Array) -> jax.Array:
        x = p["embedding.weight"][tokens]
        for i in range(LAYERS):
            x = layer({k.removeprefix("lstm."): w for k, w in p.items()}, f"_l{i}", x)
        logits = x @ p["head.weight"].T + p["head.bias"]
        found = jnp.take_along_axis(jax.nn.log_softmax(logits), following[..., None], -1)
        return -found.mean()

    def step(p: Any, tokens: jax.Array, following: jax.Array) -> Any:
        loss, gradient = jax.value_and_grad(loss_of)(p, tokens, following)
        return jax.tree.map(lambda w, g: w - RATE * g, p, gradient), loss

    jitted = jax.jit(step, donate_argnums=0)
    state = [jax.tree.map(jnp.array, weights(size))]
    tokens, following = map(jnp.asarray, data(size))

    def run() -> Any:
        state[0], loss = jitted(state[0], tokens, following)
        return jax.block_until_ready([loss, state[0]])[0]

    return run


MAKERS = {"lucid": by_lucid, "torch": by_torch, "plain": by_plain_scan}


def check(size: Size) -> None:
    """Fail unless all do the same: a second loss follows from the gradients of the first."""
    losses = []
    for make in MAKERS.values():
        run = make(size)
        losses.append([float(run()) for _ in range(2)])
    np.testing.assert_allclose(losses[1:], [losses[0]] * 2, rtol=1e-4)


def main() -> None:
    print(f"{'':<60} {'ratio':>6}   {'target':<8} {'lucid, ms':>10}")
    for name in sys.argv[1:] or SIZES:
        size = SIZES[name]
        check(size)
        candidates = {key: make(size) for key, make in MAKERS.items()}
        candidates["eager"] = by_lucid(size, jitted=False)
        t = interleave(candidates, block=0.1)
        what = f"LSTM language model, {name}"
        row(f"{what} / PyTorch", t["lucid"] / t["torch"], "<= 0.8", t["lucid"])
        row(f"{what} / plain lax.scan", t["lucid"] / t["plain"], "<= 1.1", t["lucid"])
        row(f"{what} / eager lucid", t["lucid"] / t["eager"], "", t["lucid"])


if __name__ == "__main__":
    main()
