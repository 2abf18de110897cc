"""Layers and losses against PyTorch's: values, gradients and second derivatives in float64."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.nn import functional as F
from tests.helpers import check_torch, same, spaced

torch = pytest.importorskip("torch")


class HardSigmoid(torch.nn.Module):
    """torch's own has no second derivative."""

    def forward(self, x: Any) -> Any:
        return torch.nn.functional.relu6(x + 3) / 6


class Case(NamedTuple):
    """A layer of the same name in both libraries, its arguments, and the shapes of its inputs."""

    name: str
    options: dict[str, Any]
    inputs: tuple[Any, ...]  # shapes, or arrays
    theirs: dict[str, Any] | None = None  # PyTorch's arguments, where they have other names
    their_class: Any = None
    training: bool = True

    @property
    def id(self) -> str:
        options = "-".join(f"{k}={v}" for k, v in self.options.items() if np.ndim(v) < 2)
        shapes = "-".join("x".join(map(str, np.shape(x))) for x in self.arrays())
        return f"{self.name}-{options}-{shapes}" + ("" if self.training else "-eval")

    def arrays(self) -> list[np.ndarray]:
        return [
            spaced(*x, seed=i) if isinstance(x, tuple) else np.asarray(x)
            for i, x in enumerate(self.inputs)
        ]


def activations() -> list[Case]:
    shape = (2, 3, 4)
    cases = [
        Case(name, {}, (shape,))
        for name in ("ReLU", "ReLU6", "SELU", "Sigmoid", "SiLU", "Mish", "Tanh", "GELU", "PReLU")
    ]
    cases += [
        Case("HardSigmoid", {}, (spaced(*shape, low=-5, high=5),), their_class=HardSigmoid),
        Case("HardSwish", {}, (spaced(*shape, low=-5, high=5),), their_class=torch.nn.Hardswish),
        Case("Swish", {}, (shape,), their_class=torch.nn.SiLU),
        Case("ReLU6", {}, (spaced(*shape, low=-1, high=9),)),
        Case("PReLU", {"num_parameters": 3, "init": 0.1}, (shape,)),
        Case("PReLU", {}, ((5,),)),
        Case("GELU", {"approximate": "tanh"}, (shape,)),
        Case("Softplus", {"beta": 2.0, "threshold": 1.5}, (shape,)),
        Case("Softplus", {}, (spaced(*shape, low=-40, high=40),)),
        Case("Hardtanh", {"min_val": -0.5, "max_val": 1.5}, (shape,)),
        Case("ELU", {"alpha": 0.7}, (shape,)),
        Case("LeakyReLU", {"negative_slope": 0.3}, (shape,)),
        Case("Softmax", {"axis": 1}, (shape,), {"dim": 1}),
        Case("LogSoftmax", {"axis": -1}, (shape,), {"dim": -1}),
        Case("LogSoftmax", {"axis": 0}, (100 * spaced(*shape),), {"dim": 0}),
    ]
    return cases


def norms() -> list[Case]:
    cases = []
    for rank, shape in ((1, (4, 3)), (1, (2, 3, 5)), (2, (2, 3, 4, 3)), (3, (2, 3, 2, 3, 2))):
        options: dict[str, Any] = {"num_features": 3}
        cases += [
            Case(f"BatchNorm{rank}d", options, (shape,), training=training)
            for training in (True, False)
        ]
        cases.append(Case(f"BatchNorm{rank}d", {"num_features": 3, "momentum": None}, (shape,)))
        no_stats = {"num_features": 3, "affine": False, "track_running_stats": False, "eps": 0.1}
        cases.append(Case(f"BatchNorm{rank}d", no_stats, (shape,), training=False))
    for rank, shape in ((1, (2, 3, 5)), (2, (2, 3, 4, 3)), (2, (3, 4, 3)), (3, (2, 3, 2, 3, 2))):
        for training in (True, False):
            options = {"num_features": 3, "affine": True, "track_running_stats": True}
            cases.append(Case(f"InstanceNorm{rank}d", options, (shape,), training=training))
        options = {"num_features": 3, "affine": False, "track_running_stats": False}
        cases.append(Case(f"InstanceNorm{rank}d", options, (shape,)))
    cases += [
        Case("LayerNorm", {"normalized_shape": 5}, ((2, 3, 5),)),
        Case("LayerNorm", {"normalized_shape": (3, 5), "eps": 0.1}, ((2, 3, 5),)),
        Case("LayerNorm", {"normalized_shape": (5,), "bias": False}, ((5,),)),
        Case("LayerNorm", {"normalized_shape": 5, "elementwise_affine": False}, ((2, 5),)),
        Case("RMSNorm", {"normalized_shape": 5}, ((2, 3, 5),)),
        Case("RMSNorm", {"normalized_shape": (3, 5), "eps": 0.1}, ((2, 3, 5),)),
        Case("RMSNorm", {"normalized_shape": 5, "elementwise_affine": False}, ((5,),)),
        Case("GroupNorm", {"num_groups": 2, "num_channels": 4}, ((2, 4, 3),)),
        Case("GroupNorm", {"num_groups": 1, "num_channels": 4, "affine": False}, ((2, 4, 3, 2),)),
        Case("GroupNorm", {"num_groups": 4, "num_channels": 4}, ((2, 4, 3, 1, 2),)),
    ]
    return cases


def pools() -> list[Case]:
    cases = []
    shapes = {1: (2, 3, 9), 2: (2, 2, 7, 6), 3: (1, 2, 5, 4, 6)}
    for rank, shape in shapes.items():
        for options in (
            {"kernel_size": 2},
            {"kernel_size": 3, "stride": 2, "padding": 1},
            {"kernel_size": 3, "stride": 1},
            {"kernel_size": 2, "stride": 3, "ceil_mode": True},
            {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
        ):
            cases.append(Case(f"MaxPool{rank}d", options, (shape,)))
            cases.append(Case(f"AvgPool{rank}d", options, (shape,)))
            if options.get("padding"):
                options = {**options, "count_include_pad": False}
                cases.append(Case(f"AvgPool{rank}d", options, (shape,)))
        cases.append(
            Case(f"MaxPool{rank}d", {"kernel_size": 2, "stride": 1, "dilation": 2}, (shape,))
        )
        cases.append(Case(f"MaxPool{rank}d", {"kernel_size": 2}, (shape[1:],)))
        cases.append(Case(f"AvgPool{rank}d", {"kernel_size": 2}, (shape[1:],)))
        for size in (1, 3, 4, 11):
            cases.append(Case(f"AdaptiveMaxPool{rank}d", {"output_size": size}, (shape,)))
            cases.append(Case(f"AdaptiveAvgPool{rank}d", {"output_size": size}, (shape,)))
    options = {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 0)}
    cases += [
        Case("MaxPool2d", options, ((2, 2, 5, 6),)),
        Case("AvgPool2d", options, ((2, 2, 5, 6),)),
        Case("AdaptiveAvgPool2d", {"output_size": (None, 3)}, ((2, 2, 5, 4),)),
        Case("AdaptiveMaxPool3d", {"output_size": (2, None, 5)}, ((2, 2, 3, 2, 4),)),
        # Of equal values the first gets the gradient.
        Case("MaxPool2d", {"kernel_size": 3, "stride": 1}, (np.zeros((1, 2, 5, 5)),)),
        Case("AdaptiveMaxPool2d", {"output_size": 3}, (np.ones((1, 2, 5, 4)),)),
    ]
    return cases


def resizes() -> list[Case]:
    cases = []
    shapes = {1: (2, 3, 5), 2: (2, 2, 4, 3), 3: (1, 2, 3, 2, 4)}
    modes = {1: ("linear",), 2: ("bilinear", "bicubic"), 3: ("trilinear",)}
    for rank, shape in shapes.items():
        how: list[dict[str, Any]] = [
            {"scale_factor": 2},
            {"scale_factor": 0.7},
            {"size": 7},
            {"size": 1},
        ]
        for to in how:
            cases.append(Case("Upsample", to, (shape,)))
            for mode in modes[rank]:
                for corners in (False, True):
                    options = {**to, "mode": mode, "align_corners": corners}
                    cases.append(Case("Upsample", options, (shape,)))
    cases += [
        Case("Upsample", {"size": (3, 9)}, ((2, 2, 4, 3),)),
        Case("Upsample", {"scale_factor": (0.5, 3.0), "mode": "bicubic"}, ((2, 2, 4, 3),)),
        Case("PixelShuffle", {"upscale_factor": 2}, ((2, 8, 3, 2),)),
        Case("PixelShuffle", {"upscale_factor": 3}, ((9, 1, 2),)),
        Case("PixelUnshuffle", {"downscale_factor": 2}, ((2, 3, 4, 6),)),
        Case("Unflatten", {"axis": 1, "unflattened_size": (2, -1)}, ((2, 6),),
             {"dim": 1, "unflattened_size": (2, -1)}),
    ]  # fmt: skip
    sizes = {"num_embeddings": 5, "embedding_dim": 3}
    for options in (sizes, {**sizes, "padding_idx": -1}, {**sizes, "max_norm": 0.5}):
        cases.append(Case("Embedding", options, ([[0, 4], [4, 1]],)))
    return cases


def pads() -> list[Case]:
    cases = []
    shapes = {1: (2, 3, 5), 2: (2, 3, 4, 5), 3: (1, 2, 3, 4, 4)}
    for rank, shape in shapes.items():
        for padding in (1, (2, 0, 1, 2, 0, 1)[: 2 * rank], (-1, 2, 1, -2, 0, 0)[: 2 * rank]):
            cases += [
                Case(f"{kind}Pad{rank}d", {"padding": padding}, (shape,))
                for kind in ("Zero", "Reflection", "Replication", "Circular")
            ]
            options = {"padding": padding, "value": 0.7}
            cases.append(Case(f"ConstantPad{rank}d", options, (shape,)))
    return [
        *cases,
        Case("CosineSimilarity", {}, ((2, 3), (2, 3))),
        # Below eps torch differentiates a norm that it does not use.
        Case("CosineSimilarity", {"axis": -1, "eps": 0.01}, ((2, 3, 4), (3, 1)),
             {"dim": -1, "eps": 0.01}),
    ]  # fmt: skip


def losses() -> list[Case]:
    shape = (3, 4)
    p, q = spaced(*shape, low=0.05, high=0.95), spaced(*shape, low=0.05, high=0.95, seed=1)
    signs = np.where(spaced(*shape) > 0, 1, -1)
    weight, spread = np.array([0.5, 2.0, 1.0, 0.7]), np.array([[0.5], [2.0], [1.5]])
    classes = np.array([3, 0, 3])
    images = np.array([[[0, 1], [2, 3]], [[3, -100], [1, 0]]])
    cases = []
    for reduction in ("mean", "sum", None):
        r = {"reduction": reduction}
        cases += [
            Case("MSELoss", r, (shape, shape)),
            Case("L1Loss", r, (shape, shape)),
            Case("SmoothL1Loss", {**r, "beta": 0.6}, (shape, shape)),
            Case("HuberLoss", {**r, "delta": 0.6}, (shape, shape)),
            Case("KLDivLoss", r, (shape, p)),
            Case("HingeEmbeddingLoss", {**r, "margin": 0.9}, (shape, signs)),
            Case("BCELoss", {**r, "weight": weight}, (p, q)),
            Case("BCEWithLogitsLoss", {**r, "weight": spread, "pos_weight": weight}, (shape, q)),
            Case("NLLLoss", {**r, "weight": weight, "ignore_index": 0}, (shape, classes)),
            Case("NLLLoss", r, ((2, 4, 2, 2), images)),
            Case("CrossEntropyLoss", r, (shape, classes)),
            Case("CrossEntropyLoss", {**r, "weight": weight, "label_smoothing": 0.2},
                 ((2, 4, 2, 2), images)),
            Case("CrossEntropyLoss", {**r, "weight": weight, "label_smoothing": 0.2}, (shape, q)),
        ]  # fmt: skip
    cases += [
        Case("KLDivLoss", {"reduction": "batchmean", "log_target": True}, (shape, shape)),
        Case("SmoothL1Loss", {"beta": 0.0}, (shape, shape)),
        Case("BCEWithLogitsLoss", {}, (50 * spaced(*shape), q)),
        Case("CrossEntropyLoss", {"ignore_index": 3}, (shape, classes)),
        Case("CrossEntropyLoss", {"label_smoothing": 0.1}, ((4,), np.array(2))),
        Case("CrossEntropyLoss", {}, ((2, 4, 3), spaced(2, 4, 3, low=0.1, high=0.9))),
    ]
    return cases


CASES = activations() + norms() + pools() + resizes() + pads() + losses()


def their_options(case: Case) -> dict[str, Any]:
    options = dict(case.options if case.theirs is None else case.theirs)
    for name, value in options.items():
        if isinstance(value, np.ndarray):
            options[name] = torch.tensor(value)
    if "reduction" in options and options["reduction"] is None:
        options["reduction"] = "none"
    if case.name == "Upsample" and options.get("mode", "nearest") == "nearest":
        options.pop("align_corners", None)
    return options


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize("case", CASES, ids=[c.id for c in CASES])
def test_values_and_derivatives(case: Case) -> None:
    with jax.enable_x64(True):
        options = {
            n: Tensor(v) if isinstance(v, np.ndarray) else v for n, v in case.options.items()
        }
        ours = getattr(nn, case.name)(**options).train(case.training)
        theirs = (case.their_class or getattr(torch.nn, case.name))(**their_options(case)).double()
        theirs.train(case.training)
        state = {n: p for n, p in theirs.state_dict(keep_vars=True).items() if p.requires_grad}
        assert list(ours.state_dict()) == list(theirs.state_dict())
        rng = np.random.default_rng(5)
        for name, buffer in theirs.named_buffers():
            if name.startswith("running"):
                buffer.copy_(torch.tensor(rng.uniform(0.5, 1.5, buffer.shape)))
                ours.get_submodule("")._buffers[name].data = buffer.numpy().copy()
        n = len(case.inputs)

        def call_ours(*xs: Any) -> Any:
            parameters = dict(zip(state, xs[n:], strict=True))
            return lucid.func.functional_call(ours, parameters, *xs[:n])

        def call_theirs(*xs: Any) -> Any:
            parameters = dict(zip(state, xs[n:], strict=True))
            return torch.func.functional_call(theirs, parameters, xs[:n])

        values = [spaced(*p.shape, seed=9 + i) for i, p in enumerate(state.values())]
        rtol = 1e-8 if case.name == "BCELoss" else 1e-9  # torch bounds the denominator by 1e-12
        check_torch(call_ours, call_theirs, *case.arrays(), *values, rtol=rtol)


def batched() -> list[Case]:
    """The first case of each layer whose samples can be left out."""
    found = {}
    for case in reversed(CASES):
        # PyTorch's PixelUnshuffle does not change the shape of nothing, its InstanceNorm fails.
        refuses = case.name == "PixelUnshuffle" or case.options.get("track_running_stats")
        if not refuses and "pos_weight" not in case.options:
            found[case.name] = case
    return list(found.values())


BATCHED = batched()


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("case", BATCHED, ids=[c.id for c in BATCHED])
def test_an_empty_batch(case: Case, training: bool) -> None:
    options = {n: Tensor(v) if isinstance(v, np.ndarray) else v for n, v in case.options.items()}
    ours = getattr(nn, case.name)(**options).train(training)
    theirs = (case.their_class or getattr(torch.nn, case.name))(**their_options(case)).double()
    inputs = [x[:0] for x in case.arrays()]
    expected = theirs.train(training)(*map(torch.tensor, inputs)).numpy(force=True)
    found = ours(*map(Tensor, inputs)).numpy()
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)  # a number, if it is a mean: no number
    for name, value in theirs.named_buffers():
        if name.startswith("running"):
            np.testing.assert_array_equal(ours.state_dict()[name].numpy(), value.numpy())


NORMS = [c for c in norms() if c.training and c.options.get("track_running_stats", True)]
NORMS = [c for c in NORMS if "Norm" in c.name and "num_features" in c.options]


@pytest.mark.parametrize("case", NORMS, ids=[c.id for c in NORMS])
def test_running_statistics(case: Case) -> None:
    (x,) = case.arrays()
    with jax.enable_x64(True):
        ours = getattr(nn, case.name)(**case.options)
        theirs = getattr(torch.nn, case.name)(**case.options).double()
        for factor in (1.0, 2.0, -3.0):
            ours(Tensor(factor * x + 1))
            theirs(torch.tensor(factor * x + 1))
        for name, value in theirs.state_dict().items():
            if name != "num_batches_tracked":
                same(getattr(ours, name).numpy(), value.numpy(), rtol=1e-9)
        assert ours.num_batches_tracked.item() == 3


FUNCTIONS = {
    "normalize": (lambda x: F.normalize(x), lambda x: torch.nn.functional.normalize(x)),
    "normalize-3": (
        lambda x: F.normalize(x, ord=3, axis=0, eps=5.0),
        lambda x: torch.nn.functional.normalize(x, p=3, dim=0, eps=5.0),
    ),
    "normalize-inf": (
        lambda x: F.normalize(x, ord=float("inf"), axis=-1),
        lambda x: torch.nn.functional.normalize(x, p=float("inf"), dim=-1),
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    check_torch(*FUNCTIONS[name], spaced(3, 4), rtol=1e-9)


@pytest.mark.parametrize("n", range(1, 13))
def test_nearest_of_every_size(n: int) -> None:
    x = np.arange(n, dtype=np.float32)[None, None]
    for m in range(1, 25):
        ours = F.interpolate(Tensor(x), m, mode="nearest").numpy()
        np.testing.assert_array_equal(ours[0, 0], np.arange(m) * n // m)
