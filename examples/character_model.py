"""A small Transformer that learns to write, one character after the other, like Python's manual.

    python examples/character_model.py [--compare]

The text is the part of the language reference that Python itself ships, for `help()`. Prints the
bits per character on held-out text at the start and at the end, what the model writes, and how many
characters a second: the keys and values of earlier ones are kept in a `nn.StaticKVCache`, so that a
step of one shape, and so one compiled program, serves all positions. With --compare PyTorch, which
must be installed, writes with the same weights too.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pydoc_data.topics import topics

import numpy as np
from support.script import flags, positive, train

import lucid
import lucid.nn.functional as F
from lucid import Tensor, nn, optim

CONTEXT = 224  # characters that the model sees at most
CHARACTERS = " ',.abcdefghijklmnopqrstuvwxyz"
HEADS = 4

Write = Callable[[np.ndarray, int], np.ndarray]  # so many characters that follow a beginning


class CharacterModel(nn.Module):
    """Characters as integers (N, L) -> logits of the following ones (N, L, characters)."""

    def __init__(self, size: int, layers: int) -> None:
        super().__init__()
        self.characters = nn.Embedding(len(CHARACTERS), size)
        self.positions = nn.SinusoidalPosEmbedding()
        layer = nn.TransformerEncoderLayer(size, HEADS, 4 * size, 0.0, F.gelu, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, layers, nn.LayerNorm(size))
        self.logits = nn.Linear(size, len(CHARACTERS))

    def forward(
        self, ids: Tensor, start: int | Tensor = 0, cache: nn.KVCache | None = None
    ) -> Tensor:
        x = self.positions(self.characters(ids), start)
        x = self.blocks(x, is_causal=True, kv_cache=cache, use_cache=cache is not None)
        return self.logits(x)

    def bits(self, ids: Tensor, following: Tensor) -> Tensor:
        """What a character costs in the mean."""
        logits = self(ids).reshape(-1, len(CHARACTERS))
        return F.cross_entropy(logits, following.reshape(-1)) / np.log(2)


def numbers(text: str) -> np.ndarray:
    """The place of each character among all; small letters only, and one space for the unknown."""
    text = re.sub(f"[^{CHARACTERS[1:]}]+", " ", text.lower())
    return np.array([CHARACTERS.index(c) for c in text], np.int32)


def windows(text: np.ndarray, starts: np.ndarray) -> tuple[Tensor, Tensor]:
    """Pieces of the text, and the characters that follow each of theirs."""
    pieces = text[starts[:, None] + np.arange(CONTEXT + 1)]
    return Tensor(pieces[:, :-1]), Tensor(pieces[:, 1:])


def writer(model: CharacterModel, temperature: float) -> tuple[Write, Callable[[], int]]:
    """What continues a text, and how many programs were compiled for that.

    The step is compiled once for the beginning, and once for each character alone.
    """
    cache = nn.StaticKVCache(CONTEXT, model.blocks.num_layers)

    @lucid.jit
    @lucid.no_grad()
    def step(ids: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        logits = model(ids, start, cache)[:, -1]
        # The largest of logits with Gumbel noise is a draw from their softmax.
        noise = -lucid.log(-lucid.log(lucid.rand(logits.shape) + 1e-9))
        drawn = (logits + temperature * noise).argmax(axis=-1, keepdims=True)
        return drawn, start + ids.shape[1]

    def write(beginning: np.ndarray, count: int) -> np.ndarray:
        cache.reset()
        ids, start, written = Tensor(beginning[None]), Tensor(np.int32(0)), []
        for _ in range(count):
            ids, start = step(ids, start)
            written.append(ids)
        return lucid.concatenate(written, axis=1).numpy()[0]

    return write, lambda: step.cache_info().misses


def rate(write: Write, beginning: np.ndarray, count: int) -> float:
    """Characters a second, the best of three times."""
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        write(beginning, count)
        seconds.append(time.perf_counter() - begin)
    return count / min(seconds)


def main() -> None:
    out = "character_model.txt"
    parser = flags(__doc__, steps=1500, batch=4, out=out, result="what the model wrote")
    parser.add_argument("--size", type=positive, default=128, help=f"of a token; {HEADS} heads")
    parser.add_argument("--layers", type=positive, default=2, help="of the Transformer")
    parser.add_argument("--temperature", type=float, default=0.5, help="0 for no surprises")
    parser.add_argument("--beginning", default="the value of ", help="of what is written")
    parser.add_argument("--count", type=positive, default=200, help="characters to write")
    parser.add_argument("--compare", action="store_true", help="let PyTorch write too")
    args = parser.parse_args()
    beginning = numbers(args.beginning)
    if not 0 < len(beginning) <= CONTEXT - args.count:
        parser.error(f"--beginning and --count must have 1 to {CONTEXT} characters together")
    if args.size % (2 * HEADS):
        parser.error(f"argument --size: must be a multiple of {2 * HEADS}, got {args.size}")
    if args.compare:
        from support.torch_writer import torch_writer

    lucid.random.seed(args.seed)
    rng = np.random.default_rng(args.seed)
    text = numbers(" ".join(topics[name] for name in sorted(topics)))
    seen, held_out = text[:-20_000], text[-20_000:]

    model = CharacterModel(args.size, args.layers)
    optimizer = optim.AdamW(model.parameters(), lr=3e-3)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.steps)

    @lucid.jit
    def train_step(ids: Tensor, following: Tensor) -> Tensor:
        bits = model.bits(ids, following)
        optimizer.zero_grad()
        bits.backward()
        nn.utils.clip_grad_norm(model.parameters(), 1.0)
        optimizer.step()
        return bits

    @lucid.jit
    @lucid.no_grad()
    def evaluate(ids: Tensor, following: Tensor) -> Tensor:
        return model.bits(ids, following)

    def held_out_bits() -> float:
        return evaluate(*windows(held_out, np.arange(0, 64 * CONTEXT, CONTEXT))).item()

    print(f"bits per character on held-out text at the start: {held_out_bits():.3f}")

    def step() -> Tensor:
        starts = rng.integers(len(seen) - CONTEXT, size=args.batch)
        bits = train_step(*windows(seen, starts))
        scheduler.step()
        return bits

    train(args.steps, step, args.log)

    print(f"bits per character on held-out text at the end:   {held_out_bits():.3f}")

    write, programs = writer(model, args.temperature)
    written = "".join(CHARACTERS[i] for i in (*beginning, *write(beginning, args.count)))
    args.out.write_text(written + "\n")
    print(f"\n{written}\n")
    print(f"programs compiled to write {args.count} characters: {programs()}")
    print(f"characters a second: {rate(write, beginning, args.count):.0f}")
    if args.compare:
        theirs = torch_writer(model.state_dict(), HEADS, CONTEXT)
        likely, _ = writer(model, temperature=0)
        same = np.mean(theirs(beginning, args.count) == likely(beginning, args.count))
        print(f"characters a second with PyTorch: {rate(theirs, beginning, args.count):.0f}")
        print(f"of the most likely characters both write the same: {same:.0%}")


if __name__ == "__main__":
    main()
