"""The networks of the benchmarks, once for every library that spells its layers like PyTorch.

`nn` is `lucid.nn` or `torch.nn`; argument names that both share are used.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple


def dcgan(nn: Any, channels: int = 64) -> Any:
    """The generator of DCGAN (Radford et al., arXiv:1511.06434) for pictures of 64 x 64."""
    widths = [100, 8 * channels, 4 * channels, 2 * channels, channels]
    layers = []
    for i, (a, b) in enumerate(pairwise(widths)):
        stride, padding = (2, 1) if i else (1, 0)
        layers += [nn.ConvTranspose2d(a, b, 4, stride, padding, bias=False)]
        layers += [nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(channels, 3, 4, 2, 1), nn.Tanh())


def decoder(nn: Any) -> Any:
    """Three transposed convolutions from 16 channels of 8 x 8 to a picture of 64 x 64."""
    return nn.Sequential(
        nn.ConvTranspose2d(16, 32, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 16, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 1, 4, 2, 1),
    )


def vocoder(nn: Any, channels: int = 128) -> Any:
    """A small HiFi-GAN generator (Kong et al., arXiv:2010.05646): 256 samples a frame."""

    class Residual(nn.Module):  # type: ignore[misc]
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.convs = nn.ModuleList(
                [nn.Conv1d(channels, channels, 3, padding=d, dilation=d) for d in (1, 3, 5)]
            )
            self.relu = nn.LeakyReLU(0.1)

        def forward(self, x: Any) -> Any:
            for conv in self.convs:
                x = x + conv(self.relu(x))
            return x

    layers = [nn.Conv1d(80, channels, 7, padding=3)]
    for kernel, stride in ((16, 8), (16, 8), (4, 2), (4, 2)):
        half = (kernel - stride) // 2
        layers += [
            nn.LeakyReLU(0.1),
            nn.ConvTranspose1d(channels, channels // 2, kernel, stride, half),
            Residual(channels // 2),
        ]
        channels //= 2
    return nn.Sequential(*layers, nn.Conv1d(channels, 1, 7, padding=3), nn.Tanh())


def unet(nn: Any, channels: int = 32) -> Any:
    """A U-Net (Ronneberger et al., arXiv:1505.04597) of three levels, with transposed layers."""

    def double(a: int, b: int) -> Any:
        return nn.Sequential(
            nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(),
            nn.Conv2d(b, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(),
        )  # fmt: skip

    class UNet(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            c = channels
            self.down = nn.ModuleList([double(3, c), double(c, 2 * c), double(2 * c, 4 * c)])
            self.pool = nn.MaxPool2d(2, stride=2)
            self.up2 = nn.ConvTranspose2d(4 * c, 2 * c, 2, 2)
            self.up1 = nn.ConvTranspose2d(2 * c, c, 2, 2)
            # Skips are added, since the libraries spell concatenation differently.
            self.join2, self.join1 = double(2 * c, 2 * c), double(c, c)
            self.head = nn.Conv2d(c, 1, 1)

        def forward(self, x: Any) -> Any:
            first = self.down[0](x)
            second = self.down[1](self.pool(first))
            y = self.up2(self.down[2](self.pool(second)))
            y = self.up1(self.join2(y + second))
            return self.head(self.join1(y + first))

    return UNet()


def resnet50(nn: Any, classes: int = 1000) -> Any:
    """ResNet-50 (He et al., arXiv:1512.03385), the stride in the middle of a block."""

    class Bottleneck(nn.Module):  # type: ignore[misc]
        def __init__(self, channels: int, width: int, stride: int) -> None:
            super().__init__()
            out = 4 * width
            self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.conv3 = nn.Conv2d(width, out, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(out)
            self.relu = nn.ReLU()
            self.downsample = None
            if stride != 1 or channels != out:
                self.downsample = nn.Sequential(
                    nn.Conv2d(channels, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out)
                )

        def forward(self, x: Any) -> Any:
            y = self.relu(self.bn1(self.conv1(x)))
            y = self.relu(self.bn2(self.conv2(y)))
            y = self.bn3(self.conv3(y))
            return self.relu(y + (x if self.downsample is None else self.downsample(x)))

    layers = [
        nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
    ]
    channels = 64
    for width, blocks, stride in [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]:
        for i in range(blocks):
            layers.append(Bottleneck(channels, width, stride if i == 0 else 1))
            channels = 4 * width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
    return nn.Sequential(*layers)


def transformer(nn: Any, size: int = 256, layers: int = 6) -> Any:
    """An encoder (Vaswani et al., arXiv:1706.03762) of six layers, and maps to it and from it.

    It drops nothing, so that all libraries compute the same.
    """
    # The one argument that is not shared: here the first axis is the batch without being told.
    first = {"batch_first": True} if nn.__name__ == "torch.nn" else {}
    layer = nn.TransformerEncoderLayer(size, 8, 4 * size, 0.0, **first)
    encoder = nn.TransformerEncoder(layer, layers)
    return nn.Sequential(nn.Linear(64, size), encoder, nn.Linear(size, 64))


class Network(NamedTuple):
    """A network of the benchmarks and what it takes."""

    make: Callable[[Any], Any]  # from `lucid.nn` or `torch.nn`
    shape: tuple[int, ...]  # of one input, without the batch


NETWORKS = {
    "decoder": Network(decoder, (16, 8, 8)),
    "DCGAN generator": Network(dcgan, (100, 1, 1)),
    "U-Net": Network(unet, (3, 64, 64)),
    "ResNet-50": Network(resnet50, (3, 64, 64)),
    "HiFi-GAN generator": Network(vocoder, (80, 32)),
    "Transformer": Network(transformer, (128, 64)),
}
