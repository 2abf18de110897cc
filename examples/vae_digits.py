"""A convolutional variational autoencoder: it rebuilds handwritten digits and dreams up others.

    python examples/vae_digits.py

Maximizes the evidence lower bound (Kingma & Welling, arXiv:1312.6114): a digit x has the code z, a
normal variable of which the encoder gives mean and variance; the decoder gives the brightness of
each pixel. Prints the bound on held-out digits at the start and at the end, in nats per image, and
writes a picture: originals, reconstructions, draws from the prior, a walk from digit to digit.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from support.digits import digits_at_32x32
from support.script import flags, positive, train
from support.tiles import show_rows

import lucid
import lucid.nn.functional as F
from lucid import Tensor, nn, optim

ACROSS = 10  # digits in a row of the picture


class VAE(nn.Module):
    """Images (N, 1, 32, 32) in [0, 1], codes (N, latent)."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, kernel_size=4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(16, 32, kernel_size=4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(32, 64, kernel_size=4, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(64 * 4 * 4, 2 * latent),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent, 64 * 4 * 4),
            nn.SiLU(),
            nn.Unflatten(1, (64, 4, 4)),
            nn.ConvTranspose2d(64, 32, kernel_size=4, stride=2, padding=1),
            nn.SiLU(),
            nn.ConvTranspose2d(32, 16, kernel_size=4, stride=2, padding=1),
            nn.SiLU(),
            nn.ConvTranspose2d(16, 1, kernel_size=4, stride=2, padding=1),
        )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of the code of each digit."""
        mean, log_variance = lucid.chunk(self.encoder(x), 2, axis=1)
        return mean, log_variance

    def decode(self, z: Tensor) -> Tensor:
        """The picture that each code stands for."""
        return F.sigmoid(self.decoder(z))

    def elbo(self, x: Tensor) -> Tensor:
        """E_q[log p(x|z)] - KL(q(z|x) || N(0, I)) in nats per image, with one z for each."""
        mean, log_variance = self.encode(x)
        z = mean + lucid.exp(0.5 * log_variance) * lucid.random.randn(mean.shape)
        cross_entropy = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        kl = 0.5 * (mean**2 + lucid.exp(log_variance) - 1 - log_variance).sum()
        return -(cross_entropy + kl) / len(x)


def save_picture(path: Path, model: VAE, originals: np.ndarray) -> None:
    """Originals, reconstructions, draws from the prior, and a walk through some of the codes."""
    with lucid.no_grad():
        codes, _ = model.encode(Tensor(originals))
        stops = codes.numpy()[::3]
        at = np.linspace(0, len(stops) - 1, ACROSS)
        walk = np.stack([np.interp(at, np.arange(len(stops)), axis) for axis in stops.T], axis=1)
        walk = walk.astype(np.float32)
        drawn = [model.decode(z).numpy() for z in (codes, lucid.randn(codes.shape), Tensor(walk))]
    titles = "original", "rebuilt", "drawn", "a walk"
    rows = dict(zip(titles, (originals, *drawn), strict=True))
    show_rows(rows, columns=ACROSS, black=0).savefig(path)


def main() -> None:
    parser = flags(__doc__, steps=1500, batch=64, out="vae_digits.png")
    parser.add_argument("--latent", type=positive, default=8, help="numbers that make a digit")
    args = parser.parse_args()

    lucid.random.seed(args.seed)
    rng = np.random.default_rng(args.seed)
    images = digits_at_32x32()
    seen, held_out = images[:-100], images[-100:]

    model = VAE(args.latent)
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.steps)

    @lucid.jit
    def train_step(x: Tensor) -> Tensor:
        loss = -model.elbo(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    def held_out_elbo() -> float:
        with lucid.no_grad():
            return model.elbo(Tensor(held_out)).item()

    print(f"ELBO on held-out digits at the start: {held_out_elbo():.1f} nats per image")

    def step() -> Tensor:
        loss = train_step(Tensor(seen[rng.integers(len(seen), size=args.batch)]))
        scheduler.step()
        return loss

    train(args.steps, step, args.log)

    print(f"ELBO on held-out digits at the end:   {held_out_elbo():.1f} nats per image")

    save_picture(args.out, model, held_out[:ACROSS])
    print(f"originals, reconstructions, draws from the prior, a walk: {args.out}")


if __name__ == "__main__":
    main()
