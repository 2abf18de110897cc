"""A 1-D decoder that plays: features, 125 frames of them a second, become waveforms.

    python examples/waveform_decoder.py

The sounds are made here, of harmonics under gliding contours of pitch, loudness and brightness. The
decoder sees the contours at every 64th sample, with the phase that the pitch contour adds up to (as
in neural source-filter models; Wang et al., arXiv:1904.12088), and learns from a multi-resolution
spectral loss (Yamamoto et al., arXiv:1910.11480) and the waveform. Prints the spectral error on
held-out sounds at the start and at the end, and writes a picture: waveforms and spectrograms.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from support.script import flags, train

import lucid
import lucid.nn.functional as F
from lucid import Tensor, nn, optim

RATE, HOP = 8000, 64  # samples in a second, samples in a frame
FRAMES = 64  # of a training sound


class Residual(nn.Module):
    """(N, C, T) -> (N, C, T)"""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, kernel_size=3, padding=1)
        self.mix = nn.Conv1d(channels, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mix(F.silu(self.conv(x)))


def decoder() -> nn.Sequential:
    """Features (N, 5, frames) -> sound (N, 1, 64 * frames): two layers, each 8 times as long."""
    return nn.Sequential(
        nn.Conv1d(5, 96, kernel_size=3, padding=1),
        nn.SiLU(),
        Residual(96),
        nn.ConvTranspose1d(96, 48, kernel_size=16, stride=8, padding=4),
        nn.SiLU(),
        Residual(48),
        nn.ConvTranspose1d(48, 16, kernel_size=16, stride=8, padding=4),
        nn.SiLU(),
        Residual(16),
        nn.Conv1d(16, 1, kernel_size=7, padding=3),
    )


def contour(rng: np.random.Generator, count: int, length: int) -> np.ndarray:
    """Smooth curves in [0, 1], (count, length): three slow waves each."""
    seconds = np.arange(length) / RATE
    speed, start = rng.uniform(0.3, 3, (3, count, 1)), rng.uniform(0, 2 * np.pi, (3, count, 1))
    return 0.5 + np.sin(2 * np.pi * speed * seconds + start).mean(axis=0) / 2


def sounds(rng: np.random.Generator, count: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (count, 5, frames) and the sounds that they describe (count, 1, HOP * frames)."""
    pitch, loudness, brightness = (contour(rng, count, HOP * frames) for _ in range(3))
    frequency = 110 * 2**pitch  # Hz, one octave
    phase = 2 * np.pi * np.cumsum(frequency, axis=1) / RATE
    harmonics = [(0.8 * brightness) ** k * np.sin((k + 1) * phase) for k in range(8)]
    wave = 0.6 * loudness**2 * np.sum(harmonics, axis=0)
    features = [2 * pitch - 1, loudness, brightness, np.sin(phase), np.cos(phase)]
    at_frames = np.stack(features, axis=1)[:, :, HOP // 2 :: HOP]
    return at_frames.astype(np.float32), wave[:, None].astype(np.float32)


def spectrum(wave: Tensor, size: int) -> Tensor:
    """Magnitudes of the short-time Fourier transform, (N, 1, T) -> (N, frames, size // 2 + 1).

    Frames overlap by three quarters; cosines and sines are columns of a matrix.
    """
    quarters = wave.reshape(len(wave), -1, size // 4)
    count = quarters.shape[1] - 3
    frames = lucid.concatenate([quarters[:, i : i + count] for i in range(4)], axis=2)
    angle = 2 * np.pi * np.outer(np.arange(size), np.arange(size // 2 + 1)) / size
    window = np.hanning(size)[:, None] * 2 / size
    cosines, sines = (Tensor((f(angle) * window).astype(np.float32)) for f in (np.cos, np.sin))
    # The constant makes it differentiable where there is silence.
    return lucid.sqrt((frames @ cosines) ** 2 + (frames @ sines) ** 2 + 1e-8)


def spectral_errors(made: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """||S(made) - S(target)|| / ||S(target)||, and the L1 distance of log S; means of three S."""
    pairs = [(spectrum(made, size), spectrum(target, size)) for size in (64, 128, 256)]
    relative = [lucid.sqrt(((a - b) ** 2).sum() / (b**2).sum()) for a, b in pairs]
    logarithmic = [F.l1_loss(lucid.log(a + 1e-3), lucid.log(b + 1e-3)) for a, b in pairs]
    return sum(relative) / 3, sum(logarithmic) / 3


def save_picture(path: Path, target: np.ndarray, made: np.ndarray) -> None:
    """The target on the left, what the decoder made of its features on the right."""
    _, axes = plt.subplots(3, 2, figsize=(11, 7), sharey="row", layout="constrained")
    seconds, middle = np.arange(target.size) / RATE, slice(target.size // 2, target.size // 2 + 320)
    sides = {"target": target, "made from the features": made}
    for (whole, close, spectrogram), (title, wave) in zip(axes.T, sides.items(), strict=True):
        whole.plot(seconds, wave, linewidth=0.4)
        whole.set(title=title, xlabel="seconds", xlim=(0, seconds[-1]))
        close.plot(1000 * seconds[middle], wave[middle])
        close.set(xlabel="milliseconds")
        spectrogram.specgram(wave + 1e-6, NFFT=256, Fs=RATE, noverlap=192, vmin=-110, vmax=-30)
        spectrogram.set(xlabel="seconds", ylabel="Hz", ylim=(0, 2500))
    plt.savefig(path, dpi=90)


def main() -> None:
    args = flags(__doc__, steps=400, batch=8, out="waveform_decoder.png").parse_args()

    lucid.random.seed(args.seed)
    rng = np.random.default_rng(args.seed)
    held_out, targets = sounds(rng, 16, frames=2 * FRAMES)  # longer than any in training

    model = decoder()
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.steps)

    @lucid.jit
    def train_step(features: Tensor, target: Tensor) -> Tensor:
        made = model(features)
        loss = sum(spectral_errors(made, target)) + 10 * F.l1_loss(made, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    @lucid.jit
    def decode(features: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        with lucid.no_grad():
            made = model(features)
            return made, spectral_errors(made, target)[0]

    _, error = decode(Tensor(held_out), Tensor(targets))
    print(f"spectral error on held-out sounds at the start: {error.item():.3f}")

    def step() -> Tensor:
        features, target = sounds(rng, args.batch, FRAMES)
        loss = train_step(Tensor(features), Tensor(target))
        scheduler.step()
        return loss

    train(args.steps, step, args.log)

    made, error = decode(Tensor(held_out), Tensor(targets))
    print(f"spectral error on held-out sounds at the end:   {error.item():.3f}")

    save_picture(args.out, targets[0, 0], made.numpy()[0, 0])
    print(f"target and made sound: {args.out}")


if __name__ == "__main__":
    main()
