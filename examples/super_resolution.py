"""Photographs four times as large: transposed convolutions learn what bicubic enlargement misses.

    python examples/super_resolution.py

Reads scikit-learn's two photographs: learns from the temple, and enlarges a small version of the
flower, which it never saw. Prints the PSNR and SSIM of nearest, bilinear, bicubic and learned
enlargement, and writes a picture: the small photograph, bicubic, ours, the original, with a detail.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_sample_image
from support.script import flags, positive, train

import lucid
from lucid import Tensor, nn, optim

SCALE = 4
DETAIL = slice(56, 136), slice(305, 425)  # of the flower: rows and columns
RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


class Residual(nn.Module):
    """(N, C, H, W), unchanged: x + conv(relu(conv(x)))"""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.relu(self.conv1(x)))


class Enlarger(nn.Module):
    """(N, 3, H, W) -> (N, 3, 4 H, 4 W): what is to be added to a bicubic enlargement"""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        half = channels // 2
        self.head = nn.Conv2d(3, channels, kernel_size=5, padding=2)
        self.body = nn.Sequential(*(Residual(channels) for _ in range(blocks)))
        self.up = nn.Sequential(
            nn.ConvTranspose2d(channels, half, kernel_size=4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(half, 3, kernel_size=4, stride=2, padding=1),
        )
        nn.init.constant(self.up[2].weight, 0.0)  # it starts as bicubic enlargement
        nn.init.constant(self.up[2].bias, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(x)
        return self.up(x + self.body(x))


def resized(image: np.ndarray, height: int, width: int, method: str) -> np.ndarray:
    """An image (H, W, 3) in another size; each smaller pixel is a mean of larger ones."""
    planes = [Image.fromarray(plane) for plane in np.moveaxis(image, 2, 0)]
    return np.stack([p.resize((width, height), RESAMPLING[method]) for p in planes], axis=2)


def photograph(name: str) -> np.ndarray:
    """One of scikit-learn's photographs, (H, W, 3) in [0, 1], cut to multiples of SCALE."""
    image = load_sample_image(name).astype(np.float32) / 255
    return image[: image.shape[0] // SCALE * SCALE, : image.shape[1] // SCALE * SCALE]


def shrunk(image: np.ndarray) -> np.ndarray:
    height, width, _ = image.shape
    return resized(image, height // SCALE, width // SCALE, "bicubic")


def enlarged(image: np.ndarray, method: str) -> np.ndarray:
    height, width, _ = image.shape
    return resized(image, height * SCALE, width * SCALE, method)


class Patches:
    """Random pieces of a photograph in several sizes, turned and mirrored."""

    def __init__(self, image: np.ndarray, size: int, rng: np.random.Generator) -> None:
        self.size, self.rng = size, rng
        self.levels = []
        for factor in (1.0, 0.8, 0.6):
            height, width = (int(n * factor) // SCALE * SCALE for n in image.shape[:2])
            large = resized(image, height, width, "bicubic")
            small = shrunk(large)
            self.levels.append((small, large - enlarged(small, "bicubic")))

    def batch(self, count: int) -> tuple[Tensor, Tensor]:
        """Small pieces (count, 3, size, size), and what bicubic enlargement misses of them."""
        pieces = []
        for _ in range(count):
            small, missing = self.levels[self.rng.integers(len(self.levels))]
            row, column = (self.rng.integers(n - self.size + 1) for n in small.shape[:2])
            turns, mirrored = self.rng.integers(4), self.rng.integers(2)
            pair = []
            for image, scale in ((small, 1), (missing, SCALE)):
                rows = slice(scale * row, scale * (row + self.size))
                columns = slice(scale * column, scale * (column + self.size))
                piece = np.rot90(image[rows, columns], turns)
                pair.append((piece[:, ::-1] if mirrored else piece).transpose(2, 0, 1))
            pieces.append(pair)
        return Tensor(np.stack([p[0] for p in pieces])), Tensor(np.stack([p[1] for p in pieces]))


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal to noise, in dB: -10 log10 of the mean squared error of values in [0, 1]."""
    return float(-10 * np.log10(np.mean((np.clip(image, 0, 1) - truth) ** 2)))


def ssim(image: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity of the brightness (Wang et al., IEEE TIP 2004): 1 for equal images."""

    def blurred(x: np.ndarray) -> np.ndarray:
        return gaussian_filter(x, sigma=1.5, truncate=3.5)

    a, b = (np.clip(x, 0, 1).mean(axis=2, dtype=np.float64) for x in (image, truth))
    mean_a, mean_b = blurred(a), blurred(b)
    var_a, var_b = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2
    covariance = blurred(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    likeness = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float(np.mean(likeness / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))))


def learned(model: nn.Module, small: np.ndarray) -> np.ndarray:
    """A photograph four times as large: the mean over the eight ways to turn and mirror it."""

    def turned(image: np.ndarray, turns: int, mirrored: bool) -> np.ndarray:
        return np.rot90(image[:, ::-1] if mirrored else image, turns)

    def turned_back(image: np.ndarray, turns: int, mirrored: bool) -> np.ndarray:
        image = np.rot90(image, -turns)
        return image[:, ::-1] if mirrored else image

    ways = [(turns, mirrored) for turns in range(4) for mirrored in (False, True)]
    with lucid.no_grad():
        missing = [
            model(Tensor(turned(small, *way).transpose(2, 0, 1)[None])).numpy()[0] for way in ways
        ]
    found = [turned_back(m.transpose(1, 2, 0), *way) for m, way in zip(missing, ways, strict=True)]
    return enlarged(small, "bicubic") + np.mean(found, axis=0)


def save_picture(path: Path, panels: dict[str, np.ndarray]) -> None:
    """Photographs of one size beside each other, by their titles; below each, its detail."""
    rows, columns = DETAIL
    frame = (columns.start, rows.start), columns.stop - columns.start, rows.stop - rows.start
    figure = Figure(figsize=(12, 4.3), dpi=130, layout="constrained")
    axes = figure.subplots(2, len(panels))
    for (whole, detail), (title, image) in zip(axes.T, panels.items(), strict=True):
        whole.imshow(np.clip(image, 0, 1))
        whole.add_patch(Rectangle(*frame, fill=False, color="white"))
        whole.set_title(title)
        detail.imshow(np.clip(image[DETAIL], 0, 1), interpolation="nearest")
        whole.set_axis_off()
        detail.set_axis_off()
    figure.savefig(path)


def main() -> None:
    parser = flags(__doc__, steps=600, batch=8, out="super_resolution.png")
    parser.add_argument("--size", type=positive, default=24, help="pixels of a small piece's side")
    parser.add_argument("--channels", type=positive, default=48, help="of the features")
    parser.add_argument("--blocks", type=positive, default=3, help="residual blocks")
    parser.add_argument("--autocast", action="store_true", help="convolutions in bfloat16")
    args = parser.parse_args()

    lucid.random.seed(args.seed)
    patches = Patches(photograph("china.jpg"), args.size, np.random.default_rng(args.seed))
    truth = photograph("flower.jpg")
    small = shrunk(truth)

    model = Enlarger(args.channels, args.blocks)
    average = nn.utils.EMA(model, decay=0.99)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.steps)

    @lucid.jit
    def train_step(small: Tensor, missing: Tensor) -> Tensor:
        optimizer.zero_grad()
        with lucid.autocast(enabled=args.autocast):
            loss = lucid.abs(model(small) - missing).mean()
        loss.backward()
        optimizer.step()
        average.update(model)
        return loss

    def step() -> Tensor:
        loss = train_step(*patches.batch(args.batch))
        scheduler.step()
        return loss

    train(args.steps, step, args.log)

    found = {method: enlarged(small, method) for method in RESAMPLING}
    found["learned"] = learned(average, small)
    print(f"{'the unseen photograph':<24}{'PSNR, dB':>10}{'SSIM':>8}")
    for method, image in found.items():
        print(f"{method:<24}{psnr(image, truth):>10.2f}{ssim(image, truth):>8.3f}")

    height, width, _ = small.shape
    panels = {f"{width} x {height} pixels": found["nearest"]}
    for method in ("bicubic", "learned"):
        panels[f"{method}, {psnr(found[method], truth):.2f} dB"] = found[method]
    save_picture(args.out, {**panels, "original": truth})
    print(f"small, bicubic, learned, original: {args.out}")


if __name__ == "__main__":
    main()
