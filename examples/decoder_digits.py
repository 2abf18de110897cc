"""An autoencoder of handwritten digits: a Decoder of transposed convolutions learns to draw.

    python examples/decoder_digits.py

Reads scikit-learn's digits, trains an imperative step (forward, loss, backward, step) as one
compiled program, prints the loss at the start and at the end, and writes a picture with originals
above reconstructions.
"""

from __future__ import annotations

from collections.abc import Iterator

from support.digits import digits_at_32x32
from support.script import flags, positive, train
from support.tiles import show_rows

import lucid
from lucid import Tensor, nn, optim
from lucid.data import DataLoader, TensorDataset


class Encoder(nn.Module):
    """(N, 1, 32, 32) -> (N, latent)"""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, kernel_size=4, stride=2, padding=1)
        self.conv2 = nn.Conv2d(16, 32, kernel_size=4, stride=2, padding=1)
        self.head = nn.Linear(32 * 8 * 8, latent)
        self.relu = nn.ReLU()
        self.flatten = nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.conv1(x))
        x = self.relu(self.conv2(x))
        return self.head(self.flatten(x))


class Decoder(nn.Module):
    """(N, latent) -> (N, 1, 32, 32)"""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.deconv1 = nn.ConvTranspose2d(latent, 64, kernel_size=4)
        self.deconv2 = nn.ConvTranspose2d(64, 32, kernel_size=4, stride=2, padding=1)
        self.deconv3 = nn.ConvTranspose2d(32, 16, kernel_size=4, stride=2, padding=1)
        self.deconv4 = nn.ConvTranspose2d(16, 1, kernel_size=4, stride=2, padding=1)
        self.relu = nn.ReLU()
        self.sigmoid = nn.Sigmoid()

    def forward(self, z: Tensor) -> Tensor:
        x = z.reshape(*z.shape, 1, 1)
        x = self.relu(self.deconv1(x))
        x = self.relu(self.deconv2(x))
        x = self.relu(self.deconv3(x))
        return self.sigmoid(self.deconv4(x))


def endless(loader: DataLoader) -> Iterator[Tensor]:
    """Batches of images, epoch after epoch."""
    while True:
        for (images,) in loader:
            yield images


def main() -> None:
    parser = flags(__doc__, steps=500, batch=64, out="decoder_digits.png")
    parser.add_argument("--latent", type=positive, default=16, help="numbers that make a digit")
    args = parser.parse_args()

    images = digits_at_32x32()
    seen, held_out = images[:-100], images[-100:]
    if args.batch > len(seen):
        parser.error(f"argument --batch: there are {len(seen)} digits to learn from")
    lucid.random.seed(args.seed)
    batches = endless(DataLoader(TensorDataset(seen), args.batch, shuffle=True, drop_last=True))

    encoder, decoder = Encoder(args.latent), Decoder(args.latent)
    optimizer = optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=2e-3)
    criterion = nn.MSELoss()

    with lucid.no_grad():
        x = Tensor(held_out)
        first = criterion(decoder(encoder(x)), x).item()
    print(f"loss on held-out digits at the start: {first:.4f}")

    @lucid.jit
    def train_step(x: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = criterion(decoder(encoder(x)), x)
        loss.backward()
        optimizer.step()
        return loss

    train(args.steps, lambda: train_step(next(batches)), args.log)

    with lucid.no_grad():
        x = Tensor(held_out)
        rebuilt = decoder(encoder(x))
        last = criterion(rebuilt, x).item()
    print(f"loss on held-out digits at the end:   {last:.4f}")

    rows = {"original": held_out[:10], "rebuilt": rebuilt.numpy()[:10]}
    show_rows(rows, columns=10, black=0).savefig(args.out)
    print(f"originals above reconstructions: {args.out}")


if __name__ == "__main__":
    main()
