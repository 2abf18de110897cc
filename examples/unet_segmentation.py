"""A U-Net that segments: what each pixel of a noisy picture of overlapping shapes belongs to.

    python examples/unet_segmentation.py

Draws its own data: shaded discs, plain rings, striped boxes and dotted triangles, one over another
on a grey ground; form and texture tell the class, the tint does not. Prints the mean intersection
over union on held-out images at the start and at the end, and writes a picture: images, truth,
predictions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.image import imsave
from support.script import flags, train

import lucid
from lucid import Tensor, nn, optim

SIZE = 32  # pixels on a side
CLASSES = ("ground", "disc", "ring", "box", "triangle")
COLORS = np.array([[30, 34, 42], [240, 180, 60], [90, 170, 250], [120, 200, 110], [230, 90, 110]])


def double_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """Two 3x3 convolutions, each with BatchNorm; the size stays."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, 3, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


class UNet(nn.Module):
    """(N, 3, H, W) -> (N, classes, H, W), H and W multiples of 4 (Ronneberger, arXiv:1505.04597)"""

    def __init__(self, classes: int) -> None:
        super().__init__()
        pairs = ((12, 24), (24, 48))  # channels at a finer and the next coarser size
        self.first = double_conv(3, 12)
        self.down = nn.ModuleList([double_conv(fine, coarse) for fine, coarse in pairs])
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList(
            [nn.ConvTranspose2d(coarse, fine, kernel_size=2, stride=2) for fine, coarse in pairs]
        )
        self.merge = nn.ModuleList([double_conv(2 * fine, fine) for fine, _ in pairs])
        self.head = nn.Conv2d(12, classes, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(self.pool(x))
        for up, merge, skip in reversed(list(zip(self.up, self.merge, skips, strict=True))):
            x = merge(lucid.concatenate((skip, up(x)), axis=1))
        return self.head(x)


def shape(kind: int, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which points belong to a shape of radius 1 about the origin, and how bright they are."""
    radius = np.hypot(x, y)
    if CLASSES[kind] == "disc":
        return radius < 1, 1.5 - 2 * radius
    if CLASSES[kind] == "ring":
        return np.abs(radius - 0.75) < 0.25, np.ones_like(x)
    if CLASSES[kind] == "box":
        return np.maximum(np.abs(x), np.abs(y)) < 0.8, np.sin(8 * x)
    triangle = np.maximum(-y, 0.87 * np.abs(x) + 0.5 * y) < 0.5
    return triangle, np.sin(8 * x) * np.sin(8 * y)


def draw(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 3, SIZE, SIZE) and the class of each pixel (count, SIZE, SIZE)."""
    texture = rng.normal(size=(count, 1, SIZE // 4, SIZE // 4))
    images = 0.3 * texture.repeat(4, axis=2).repeat(4, axis=3).repeat(3, axis=1)
    labels = np.zeros((count, SIZE, SIZE), np.int32)
    grid = np.mgrid[:SIZE, :SIZE]
    for image, label in zip(images, labels, strict=True):
        for _ in range(rng.integers(2, 5)):
            kind = rng.integers(1, len(CLASSES))
            y, x = (grid - rng.uniform(5, SIZE - 5, (2, 1, 1))) / rng.uniform(6, 9)
            turn = rng.uniform(-0.4, 0.4)
            c, s = np.cos(turn), np.sin(turn)
            mask, brightness = shape(kind, c * x - s * y, s * x + c * y)
            image[:, mask] = rng.uniform(-1, 1, (3, 1)) + brightness[mask]
            label[mask] = kind
    images += 0.2 * rng.normal(size=images.shape)
    return images.astype(np.float32), labels


def mean_iou(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union of each class, over all pixels; the mean of the classes."""
    pairs = [(predicted == k, truth == k) for k in range(len(CLASSES))]
    return float(np.mean([(p & t).sum() / (p | t).sum() for p, t in pairs]))


def save_picture(path: Path, images: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> None:
    """Images in the upper row, the true classes below them, the predicted ones at the bottom."""
    shown = np.clip(images.transpose(0, 2, 3, 1) / 3 + 0.5, 0, 1)
    rows = np.stack([shown, COLORS[truth] / 255, COLORS[predicted] / 255])
    rows = np.pad(rows, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)), constant_values=1)
    picture = np.concatenate(np.concatenate(rows, axis=1), axis=1)
    imsave(path, picture.repeat(4, axis=0).repeat(4, axis=1))


def main() -> None:
    args = flags(__doc__, steps=200, batch=16, out="unet_segmentation.png").parse_args()

    lucid.random.seed(args.seed)
    rng = np.random.default_rng(args.seed)
    held_out, truth = draw(rng, 64)

    model = UNet(len(CLASSES))
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.steps)
    criterion = nn.CrossEntropyLoss()

    @lucid.jit
    def train_step(images: Tensor, labels: Tensor) -> Tensor:
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    @lucid.jit
    def scores(images: Tensor) -> Tensor:
        with lucid.no_grad():
            return model(images)

    model.eval()
    predicted = scores(Tensor(held_out)).numpy().argmax(axis=1)
    print(f"mean IoU on held-out images at the start: {mean_iou(predicted, truth):.3f}")

    model.train()

    def step() -> Tensor:
        images, labels = draw(rng, args.batch)
        loss = train_step(Tensor(images), Tensor(labels))
        scheduler.step()
        return loss

    train(args.steps, step, args.log)

    model.eval()
    predicted = scores(Tensor(held_out)).numpy().argmax(axis=1)
    print(f"mean IoU on held-out images at the end:   {mean_iou(predicted, truth):.3f}")

    save_picture(args.out, held_out[:8], truth[:8], predicted[:8])
    print(f"images, truth, predictions: {args.out}")


if __name__ == "__main__":
    main()
