"""A GAN that draws handwritten digits: one imperative training step, compiled as one program.

    python examples/gan_decoder.py
    python examples/gan_decoder.py --steps 6000 --resume gan_decoder/checkpoint.npz

Trains a generator of transposed convolutions on scikit-learn's digits, writes pictures of the same
noise over time and a checkpoint, and measures at the end how far the samples are from real digits.
The notebook beside it shows the same step by step.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from support.digits import split_digits
from support.gan_figures import show_curves
from support.gan_metrics import Judge
from support.script import new_folder, positive, rate, share
from support.tiles import save_tiles
from tqdm import tqdm

import lucid
import lucid.nn.functional as F
from lucid import nn, optim
from lucid.data import DataLoader, TensorDataset

LOSSES = ("non-saturating", "hinge", "wgan-gp")


# --- Networks ---------------------------------------------------------------------------------


def make_generator(latent, width, nn=nn):
    """(N, latent) -> (N, 1, 32, 32) in [-1, 1]; Radford et al., arXiv:1511.06434."""
    return nn.Sequential(
        nn.Unflatten(1, (latent, 1, 1)),
        nn.ConvTranspose2d(latent, 4 * width, kernel_size=4, bias=False),
        nn.BatchNorm2d(4 * width),
        nn.ReLU(),  # 4 x 4
        nn.ConvTranspose2d(4 * width, 2 * width, kernel_size=4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),  # 8 x 8
        nn.ConvTranspose2d(2 * width, width, kernel_size=4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),  # 16 x 16
        nn.ConvTranspose2d(width, 1, kernel_size=4, stride=2, padding=1),
        nn.Tanh(),  # 32 x 32
    )


def make_discriminator(width, nn=nn):
    """(N, 1, 32, 32) -> (N, 1): a logit; Miyato et al., arXiv:1802.05957."""
    spectral_norm = nn.utils.spectral_norm
    return nn.Sequential(
        spectral_norm(nn.Conv2d(1, width, kernel_size=4, stride=2, padding=1)),
        nn.LeakyReLU(0.2),  # 16 x 16
        spectral_norm(nn.Conv2d(width, 2 * width, kernel_size=4, stride=2, padding=1)),
        nn.LeakyReLU(0.2),  # 8 x 8
        spectral_norm(nn.Conv2d(2 * width, 4 * width, kernel_size=4, stride=2, padding=1)),
        nn.LeakyReLU(0.2),  # 4 x 4
        nn.Flatten(),
        spectral_norm(nn.Linear(4 * width * 4 * 4, 1)),
    )


# --- Losses -----------------------------------------------------------------------------------


def discriminator_loss(loss, real_logits, fake_logits):
    """What the discriminator minimises, apart from a penalty."""
    if loss == "non-saturating":  # Goodfellow et al., arXiv:1406.2661
        return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
    if loss == "hinge":  # Lim & Ye, arXiv:1705.02894
        return F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()
    return fake_logits.mean() - real_logits.mean()  # Arjovsky et al., arXiv:1701.07875


def generator_loss(loss, fake_logits):
    """What the generator minimises."""
    if loss == "non-saturating":
        return F.softplus(-fake_logits).mean()
    return -fake_logits.mean()


def gradient_penalty(D, real, fake):
    """Mean of (|dD/dx| - 1)^2 between real and generated; Gulrajani et al., arXiv:1704.00028."""
    share = lucid.rand(len(real), 1, 1, 1)
    between = (share * real + (1 - share) * fake.detach()).requires_grad_()
    slope = lucid.autograd.grad(D(between), between, create_graph=True)
    length = ((slope**2).sum(axis=(1, 2, 3)) + 1e-12) ** 0.5
    return ((length - 1) ** 2).mean()


# --- Training ---------------------------------------------------------------------------------


class Training:
    """The networks, all that a checkpoint must hold besides, and the compiled step.

    Args:
        images: real images, (N, 1, 32, 32) in [-1, 1].
        loss: one of `LOSSES`.
        batch, latent, width, g_lr, d_lr, ema_decay: sizes and rates.
        seed: of initial values, batches and noise.

    Raises:
        ValueError: a batch is larger than the number of images.
    """

    def __init__(
        self,
        images: np.ndarray,
        loss: str = "non-saturating",
        batch: int = 64,
        latent: int = 32,
        width: int = 16,
        g_lr: float = 1e-3,
        d_lr: float = 3e-3,
        ema_decay: float = 0.99,
        seed: int = 0,
    ) -> None:
        if batch > len(images):
            raise ValueError(f"a batch of {batch} cannot be drawn from {len(images)} images.")
        lucid.random.seed(seed)
        G, D = make_generator(latent, width), make_discriminator(width)
        ema = nn.utils.EMA(G, ema_decay).eval()
        d_optimizer = optim.Adam(D.parameters(), lr=d_lr, betas=(0.5, 0.999))
        g_optimizer = optim.Adam(G.parameters(), lr=g_lr, betas=(0.5, 0.999))
        loader = DataLoader(TensorDataset(images), batch, shuffle=True, drop_last=True)

        @lucid.jit
        def train_step(real):
            fake = G(lucid.randn(len(real), latent))

            d_optimizer.zero_grad()
            real_logits, fake_logits = D(real), D(fake.detach())
            d_loss = discriminator_loss(loss, real_logits, fake_logits)
            if loss == "wgan-gp":
                d_loss = d_loss + 10 * gradient_penalty(D, real, fake)
            d_loss.backward()
            d_optimizer.step()

            g_optimizer.zero_grad()
            g_loss = generator_loss(loss, D(fake))
            g_loss.backward()
            g_optimizer.step()
            ema.update(G)

            d_real, d_fake = F.sigmoid(real_logits).mean(), F.sigmoid(fake_logits).mean()
            return lucid.stack([d_loss, g_loss, d_real, d_fake])

        self.G, self.D, self.ema, self.train_step = G, D, ema, train_step
        self.parts = {
            "G": G,
            "D": D,
            "ema": ema,
            "d_optimizer": d_optimizer,
            "g_optimizer": g_optimizer,
            "loader": loader,
            "random": lucid.random.default_generator(),
        }
        self.batches = endless(loader)
        self.history: list[list[float]] = []  # for each step, what train_step returned
        self.checkpoint = "none"  # the last one written or read
        # Noise of its own stream: drawing it leaves the training as it is.
        self.noise = lucid.randn(400, latent, generator=lucid.random.Generator(seed))

    @property
    def step(self) -> int:
        """How many steps were done."""
        return len(self.history)

    def run(self, until: int) -> Iterator[list[float]]:
        """Train up to step `until`, and give out what each step returned.

        Raises:
            FloatingPointError: a loss is not finite.
            ValueError: more steps were done already.
        """
        if until < self.step:
            raise ValueError(f"{self.step} steps were done already; give more than {until}.")
        for (real,) in itertools.islice(self.batches, until - self.step):
            self.history.append(self.train_step(real).tolist())
            if not all(map(math.isfinite, self.history[-1])):
                raise FloatingPointError(self._not_finite("a loss"))
            yield self.history[-1]

    def sample(self) -> np.ndarray:
        """What the averaged generator makes of noise that is always the same."""
        with lucid.no_grad():
            return self.ema(self.noise).numpy()

    def interpolate(self, rows: int = 4, columns: int = 16) -> np.ndarray:
        """What lies between one draw of noise and the next, on the circle through both."""
        t = lucid.tensor(np.linspace(0, np.pi / 2, columns, dtype=np.float32)).reshape(-1, 1)
        ways = [
            lucid.cos(t) * self.noise[i] + lucid.sin(t) * self.noise[i + 1] for i in range(rows)
        ]
        with lucid.no_grad():
            return self.ema(lucid.concatenate(ways)).numpy()

    def save(self, path: Path) -> None:
        """Write a checkpoint, if the networks are fit to go on.

        Raises:
            FloatingPointError: D(G(z)) is not finite.
        """
        for network in (self.G, self.D):
            network.eval()
        with lucid.no_grad():
            logits = self.D(self.G(self.noise)).numpy()
        for network in (self.G, self.D):
            network.train()
        if not np.isfinite(logits).all():
            raise FloatingPointError(self._not_finite("D(G(z))"))
        save_checkpoint(path, self.parts, self.history)
        self.checkpoint = f"{path}, of step {self.step}"

    def load(self, path: Path) -> None:
        """Go to where `save` was called; see `load_checkpoint`."""
        self.history = load_checkpoint(path, self.parts)
        self.batches = endless(self.parts["loader"])
        self.checkpoint = f"{path}, of step {self.step}"

    def _not_finite(self, what: str) -> str:
        d_loss, g_loss, *_ = self.history[-1]
        return (
            f"step {self.step}: {what} is not finite; the discriminator's loss was {d_loss:g}, the "
            f"generator's {g_loss:g}."
        )


def endless(loader: DataLoader) -> Iterator[Any]:
    """The batches of one epoch after the other."""
    while True:
        yield from loader


def save_checkpoint(path: Path, parts: Mapping[str, Any], history: list[list[float]]) -> None:
    """Write the states of all parts, and the history, whole or not at all."""
    states = {name: part.state_dict() for name, part in parts.items()}
    lucid.save({**states, "history": np.array(history).reshape(-1, 4)}, path)


def load_checkpoint(path: Path, parts: Mapping[str, Any]) -> list[list[float]]:
    """Load every part's state, or none, and return the history.

    Raises:
        ValueError: the file is damaged, or parts do not fit; the message lists all keys and shapes
            that do not, and nothing was changed.
        FileNotFoundError: there is no such file.
    """
    states = lucid.load(path)
    if not isinstance(states, dict):
        raise ValueError(f"{path} holds a {type(states).__name__}, and no checkpoint of a GAN.")
    problems = [f"missing: {name}" for name in (*parts, "history") if name not in states]
    problems += [f"unexpected: {n}" for n in states if n not in parts and n != "history"]
    before = {name: part.state_dict() for name, part in parts.items()}
    try:
        for name in parts.keys() & states.keys():
            try:
                parts[name].load_state_dict(states[name])
            except ValueError as error:
                lines = str(error).split("\n  ")  # a headline, and a line for each problem
                problems += [f"{name}: {line}" for line in lines[1:] or lines]
        if problems:
            raise ValueError(
                f"{path} does not fit this run, and nothing was changed.\n  "
                + "\n  ".join(sorted(problems))
            )
        return states["history"].tolist()
    except BaseException:
        for name, part in parts.items():
            part.load_state_dict(before[name])
        raise


# --- The script -------------------------------------------------------------------------------


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--loss", choices=LOSSES, default=LOSSES[0], help="what is trained for")
    parser.add_argument("--steps", type=positive, default=3000, help="training steps in all")
    parser.add_argument("--batch", type=positive, default=64, help="images in a step")
    parser.add_argument(
        "--latent", type=positive, default=32, help="numbers that a digit is made of"
    )
    parser.add_argument("--width", type=positive, default=16, help="channels next to the image")
    parser.add_argument("--g-lr", type=rate, default=1e-3, help="generator's learning rate")
    parser.add_argument("--d-lr", type=rate, default=3e-3, help="discriminator's learning rate")
    parser.add_argument("--ema-decay", type=share, default=0.99, help="of the averaged generator")
    parser.add_argument("--seed", type=int, default=0, help="of initial values, batches and noise")
    parser.add_argument("--sample-every", type=positive, default=200, help="steps between pictures")
    parser.add_argument(
        "--checkpoint-every", type=positive, default=100, help="steps between writes"
    )
    parser.add_argument(
        "--classifier-steps", type=positive, default=300, help="of what judges samples"
    )
    parser.add_argument(
        "--resume", type=Path, metavar="CHECKPOINT", help="go on from this file, at the rates given"
    )
    parser.add_argument(
        "--out", type=new_folder, default=Path("gan_decoder"), help="folder of results"
    )
    return parser.parse_args(argv)


def train(training: Training, args: argparse.Namespace) -> None:
    """Train to the last step, with pictures and checkpoints on the way."""
    with tqdm(
        total=args.steps * args.batch,
        initial=training.step * args.batch,
        unit="img",
        unit_scale=True,
    ) as progress:
        for d_loss, g_loss, d_real, d_fake in training.run(args.steps):
            if progress.n == progress.initial:
                progress.unpause()  # the rate counts no compilation
            progress.set_postfix(
                D=f"{d_loss:.3f}", G=f"{g_loss:.3f}", Dx=f"{d_real:.2f}", DGz=f"{d_fake:.2f}"
            )
            progress.update(args.batch)
            last = training.step == args.steps
            draws = last or training.step % args.sample_every == 0
            keeps = last or training.step % args.checkpoint_every == 0
            if draws or keeps:  # an early Ctrl-C leaves no empty folder
                args.out.mkdir(parents=True, exist_ok=True)
            if draws:
                picture = args.out / f"samples_{training.step:06}.png"
                save_tiles(picture, training.sample()[:64], columns=16)
            if keeps:
                training.save(args.out / "checkpoint.npz")


def report(training: Training, untrained: np.ndarray, args: argparse.Namespace) -> None:
    """Curves, and scores of samples before and after training beside those of real digits."""
    images, labels, held_out, held_out_labels = split_digits()
    show_curves(training.history).savefig(args.out / "curves.png")
    save_tiles(args.out / "interpolation.png", training.interpolate(), columns=16)
    judge = Judge(images, labels, held_out, held_out_labels, args.classifier_steps)
    print(f"the classifier recognises {judge.accuracy:.1%} of the held-out digits")
    for name, candidates in {
        "untrained generator": untrained,
        "trained generator": training.sample(),
        "real digits": images[: len(held_out)],
    }.items():
        score = judge.score(candidates)
        print(
            f"{name:<20} Frechet distance {score.distance:8.1f}, {score.recognised:4.0%} "
            f"recognised, {score.classes:2} classes covered"
        )


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    try:
        training = Training(
            split_digits()[0],
            loss=args.loss,
            batch=args.batch,
            latent=args.latent,
            width=args.width,
            g_lr=args.g_lr,
            d_lr=args.d_lr,
            ema_decay=args.ema_decay,
            seed=args.seed,
        )
        untrained = training.sample()
        if args.resume:
            training.load(args.resume)
            for name, lr in (("g_optimizer", args.g_lr), ("d_optimizer", args.d_lr)):
                training.parts[name].param_groups[0]["lr"] = lr
            print(f"resumed from {training.checkpoint}")
        train(training, args)
    except (ValueError, OSError) as error:
        sys.exit(f"{error}")
    except FloatingPointError as error:
        sys.exit(f"{error} The last good checkpoint: {training.checkpoint}.")
    except KeyboardInterrupt:
        sys.exit(f"stopped at step {training.step}. The last checkpoint: {training.checkpoint}.")
    report(training, untrained, args)
    print(f"pictures and checkpoint: {args.out}")


if __name__ == "__main__":
    main()
