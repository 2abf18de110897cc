"""What scripts written for PyTorch or NumPy reach for: it runs, or an error says lucid's way."""

from __future__ import annotations

import importlib.util
import re

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.data import DataLoader
from lucid.nn import functional as F

X = lucid.ones(2, 3)
MODEL = nn.Linear(3, 1)


def parameters():
    return [nn.Parameter([1.0])]


# --- What runs --------------------------------------------------------------------------------

RUNS = {
    "formatting": lambda: f"{X.sum():.4f}" == "6.0000",
    "x.to": lambda: X.to("cpu").to("float32"),
    "x.cpu().numpy()": lambda: X.detach().cpu().numpy(),
    "x.float(), x.long()": lambda: (X.float(), X.long()),
    "x.requires_grad_()": lambda: lucid.ones(2).requires_grad_(),
    "F.pad": lambda: F.pad(X, (1, 1), mode="reflect"),
    "F.scaled_dot_product_attention": lambda: F.scaled_dot_product_attention(X, X, X),
    "F.cosine_similarity": lambda: F.cosine_similarity(X, X),
    "F.ctc_loss": lambda: F.ctc_loss(X, Tensor([1]), 2, 1),
    "padding layers": lambda: (nn.ReflectionPad2d(1), nn.ReplicationPad2d(1), nn.ZeroPad2d(1)),
    "recurrent layers": lambda: (nn.RNN(2, 3), nn.LSTM(2, 3), nn.GRU(2, 3)),
    "nn.Transformer": lambda: nn.Transformer,
    "calculate_gain": lambda: nn.init.calculate_gain("relu"),
    "init.orthogonal": lambda: nn.init.orthogonal(lucid.ones(2, 2)),
    "modules": lambda: MODEL.apply(lambda module: None),
    "samplers": lambda: DataLoader([1, 2], sampler=lucid.data.RandomSampler([1, 2])),
    "LBFGS": lambda: lucid.optim.LBFGS(parameters()),
    "warm restarts": lambda: lucid.optim.lr_scheduler.CosineAnnealingWarmRestarts(
        lucid.optim.SGD(parameters(), 0.1), T_0=3
    ),
    "array + tensor": lambda: np.ones(3) + X,
    "masks": lambda: X.masked_fill(lucid.tril(X) == 0, float("-inf")),
}


@pytest.mark.parametrize("call", RUNS.values(), ids=RUNS)
def test_it_runs(call):
    assert call() is not False


# --- What is called otherwise -----------------------------------------------------------------

# A call, and how its error begins; the missing names of hints.py are tested one by one there.
SAYS = {
    "to(device=)": (
        lambda: X.to(device="cpu", dtype="float32", non_blocking=True),
        "Tensor.to: got an unexpected keyword argument 'device'; lucid takes one by place, as in "
        "x.to(device); it is Tensor.to(target).",
    ),
    "to(non_blocking=)": (
        lambda: X.to("cpu", non_blocking=True),
        "Tensor.to: got an unexpected keyword argument 'non_blocking'; lucid never waits for a "
        "copy: leave it out; ",
    ),
    "module.to(dtype=)": (
        lambda: MODEL.to(dtype="float32"),
        "Module.to: got an unexpected keyword argument 'dtype'; lucid takes one by place, as in",
    ),
    "a device by its other name": (
        lambda: X.to("cuda:0"),
        'device "cuda:0" is not present. Present: cpu (lucid calls CUDA "gpu"); or pass a jax',
    ),
    "x.cuda()": (lambda: X.cuda(), "Tensor has no attribute 'cuda'; lucid calls it gpu()."),
    "save to .pth": (
        lambda: lucid.save(X, "x.pth"), 'a checkpoint ends in ".npz" or ".safetensors", got "x.pth'
    ),
    "load(map_location=)": (
        lambda: lucid.load("x.npz", map_location="cpu"),
        "load: got an unexpected keyword argument 'map_location'; lucid loads to the default",
    ),
    "view": (lambda: X.view(-1), "Tensor has no attribute 'view'; lucid calls it reshape(*shape)"),
    "num_workers": (
        lambda: DataLoader([1], num_workers=4),
        "DataLoader: got an unexpected keyword argument 'num_workers'; lucid makes batches ahead "
        "in one thread: prefetch is how many; it is DataLoader(dataset, ",
    ),
    "pin_memory": (
        lambda: DataLoader([1], pin_memory=True),
        "DataLoader: got an unexpected keyword argument 'pin_memory'; lucid needs none: leave it",
    ),
    "manual_seed": (
        lambda: lucid.manual_seed(0), "lucid has no attribute 'manual_seed'; lucid calls it random"
    ),
    "dim=": (
        lambda: X.sum(dim=1), "sum: got an unexpected keyword argument 'dim'; lucid calls it axis"
    ),
    "keepdim=": (
        lambda: X.mean(1, keepdim=True),
        "mean: got an unexpected keyword argument 'keepdim'; lucid calls it keepdims; ",
    ),
    "dim= of a layer": (
        lambda: nn.Softmax(dim=1),
        "Softmax: got an unexpected keyword argument 'dim'; lucid calls it axis; it is Softmax(",
    ),
    "cat": (lambda: lucid.cat([X, X]), "lucid has no attribute 'cat'; lucid calls it concatenate"),
    "ReLU(True)": (
        lambda: nn.ReLU(True),
        "ReLU: too many positional arguments; it is ReLU(). If True is for inplace: "
        "lucid returns a new Tensor, leave it out.",
    ),
    "LeakyReLU(0.2, True)": (
        lambda: nn.LeakyReLU(0.2, True), "LeakyReLU: too many positional arguments; it is LeakyReLU"
    ),
    "inplace=": (
        lambda: nn.Dropout(0.5, inplace=True),
        "Dropout: got an unexpected keyword argument 'inplace'; lucid returns a new Tensor: leave",
    ),
    "F.relu(inplace=)": (
        lambda: F.relu(X, inplace=True),
        "relu: got an unexpected keyword argument 'inplace'; lucid returns a new Tensor: leave",
    ),
    "F.dropout(inplace)": (
        lambda: F.dropout(X, 0.5, True, True),
        "dropout: too many positional arguments; it is dropout(input_, ",
    ),
    "contiguous": (
        lambda: X.contiguous(), "Tensor has no attribute 'contiguous'; lucid needs none: "
    ),
    "init.normal_": (
        lambda: nn.init.normal_(X), "lucid.nn.init has no attribute 'normal_'; lucid calls it norm"
    ),
    "init.orthogonal_": (
        lambda: nn.init.orthogonal_(X),
        "lucid.nn.init has no attribute 'orthogonal_'; lucid calls it orthogonal.",
    ),
    "float32": (
        lambda: lucid.float32, "lucid has no attribute 'float32'; lucid calls it Float32."
    ),
    "transpose(0, 1)": (
        lambda: X.transpose(0, 1),
        "transpose: too many positional arguments; it is transpose(a, axes=None). Two axes are "
        "exchanged by swapaxes(axis1, axis2).",
    ),
    "pow": (lambda: X.pow(2), "Tensor has no attribute 'pow'; lucid calls it a ** b."),
    "dim()": (lambda: X.dim(), "Tensor has no attribute 'dim'; lucid calls it ndim."),
    "from_numpy": (
        lambda: lucid.from_numpy(np.ones(2)), "lucid has no attribute 'from_numpy'; lucid calls it"
    ),
    "permute": (
        lambda: X.permute(1, 0), "Tensor has no attribute 'permute'; lucid calls it transpose(axes)"
    ),
    "clip_grad_norm_": (
        lambda: nn.utils.clip_grad_norm_(parameters(), 1.0),
        "lucid.nn.utils has no attribute 'clip_grad_norm_'; lucid calls it clip_grad_norm.",
    ),
    "add_(alpha=)": (
        lambda: X.add_(X, alpha=2.0),
        "add: got an unexpected keyword argument 'alpha'; lucid has no factor here: multiply",
    ),
    "clamp": (lambda: X.clamp(0, 1), "Tensor has no attribute 'clamp'; lucid calls it clip."),
    "clip(min=)": (
        lambda: X.clip(min=0), "clip: got an unexpected keyword argument 'min'; lucid calls it min_"
    ),
    "optimizer.zero_grad(set_to_none=)": (
        lambda: lucid.optim.SGD(parameters()).zero_grad(set_to_none=True),
        "Optimizer.zero_grad: got an unexpected keyword argument 'set_to_none'; lucid always does",
    ),
    "module.zero_grad(set_to_none=)": (
        lambda: MODEL.zero_grad(set_to_none=True),
        "Module.zero_grad: got an unexpected keyword argument 'set_to_none'; lucid always does so",
    ),
    "grad(only_inputs=)": (
        lambda: lucid.autograd.grad(X, X, only_inputs=True),
        "grad: got an unexpected keyword argument 'only_inputs'; lucid always does so: leave it",
    ),
    "size_average": (
        lambda: nn.MSELoss(size_average=True),
        "MSELoss: got an unexpected keyword argument 'size_average'; lucid calls it reduction; ",
    ),
    "inference_mode": (
        lambda: lucid.inference_mode(),
        "lucid has no attribute 'inference_mode'; lucid calls it no_grad.",
    ),
    "repeat((4, 1, 1))": (
        lambda: X.repeat((4, 1, 1)),
        "repeat: one number for each of 6 elements is needed, got (4, 1, 1). The whole is "
        "repeated by lucid.tile(a, reps).",
    ),
    "max(a, b)": (
        lambda: lucid.max(X, X),
        "max: axis must be a plain Python value, since it decides which program runs, got a Tensor "
        "of shape (2, 3). Pass a number of it, such as int(x). Of two, lucid.maximum(a, b) takes",
    ),
    "Tensor(2.0, 3)": (
        lambda: Tensor(2.0, 3),
        "Tensor: requires_grad must be True or False, got 3. A Tensor of a shape is made by lucid",
    ),
    "SGD(model)": (
        lambda: lucid.optim.SGD(MODEL),
        "SGD: Parameters are needed in a list, got Linear; those of a model are model.parameters(",
    ),
    "LambdaLR(optimizer, lr_lambda=)": (
        lambda: lucid.optim.lr_scheduler.LambdaLR(
            lucid.optim.SGD(parameters()), lr_lambda=lambda epoch: 1.0
        ),
        "LambdaLR: multiple values for argument 'lr_lambda'; it is LambdaLR(lr_lambda, ",
    ),
    "a list as input": (
        lambda: MODEL([[1.0, 2.0, 3.0]]),
        "linear: input_ must be a Tensor, a jax or NumPy array or a number, got list. Make a "
        "Tensor of it first: lucid.tensor(...). (in Linear)",
    ),
    "x @ y": (
        lambda: X @ X,
        "matmul: the last axis of a must be as long as the last but one of b, got (2, 3) and (2, 3",
    ),
    "np.sin(x)": (
        lambda: np.sin(X),
        "np.sin takes no Tensor; lucid has lucid.sin; np.sin(x.numpy()) computes with the values",
    ),
    "np.absolute(x)": (
        lambda: np.absolute(X), "np.absolute takes no Tensor; lucid calls it abs; np.absolute(x.nu"
    ),
    "np.rint(x)": (
        lambda: np.rint(X), "np.rint takes no Tensor; lucid.apply(jax.numpy.rint, x) records JAX's"
    ),
    "np.add.reduce(x)": (
        lambda: np.add.reduce(X), "np.add.reduce takes no Tensor; lucid has lucid.add; np.add.redu"
    ),
    "squeeze(1)": (lambda: X.squeeze(1), "squeeze: axis 1 of shape (2, 3) does not have size 1."),
    "an axis that is not there": (lambda: X.squeeze(2), "squeeze: shape (2, 3) has no axis 2."),
    "sizes in a model": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(3, 1))(X),
        "linear: the last axis of the input must be as long as the last of the weight, which has "
        "two axes; got input (2, 4) and weight (1, 3). (in Sequential.1 (Linear))",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SAYS.values(), ids=SAYS)
def test_it_says_what_lucid_calls_it(case):
    call, text = case
    with pytest.raises((TypeError, ValueError, AttributeError), match=f"^{re.escape(text)}"):
        call()
    assert bool((X == 1).all())


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="of PyTorch's tensors")
def test_a_tensor_of_pytorch_as_input():
    import torch

    text = (
        "linear: input_ must be a Tensor, a jax or NumPy array or a number, got torch.Tensor. Make "
        "a Tensor of it first: lucid.tensor(...). (in Linear)"
    )
    with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
        MODEL(torch.ones(2, 3))


@pytest.mark.parametrize("prefix", ["module.", "model.encoder."])
def test_names_that_a_wrapper_made_longer(prefix):
    state = {prefix + name: value + 1 for name, value in MODEL.state_dict().items()}
    with pytest.raises(ValueError) as caught:
        MODEL.load_state_dict(state)
    *_, last = str(caught.value).split("\n  ")
    start = f"the names begin with {prefix!r}, as a wrapper of the model makes them; load "
    assert last.startswith(start)
    again = nn.Linear(3, 1)
    again.load_state_dict(eval(last.removeprefix(start), {"state_dict": state}))
    np.testing.assert_array_equal(again.weight.numpy(), MODEL.weight.numpy() + 1)


def test_names_that_differ_otherwise_get_no_such_advice():
    state = MODEL.state_dict()
    for wrong in ({"module.weight": state["weight"]}, {"weights": 1, "biases": 2}, {}):
        with pytest.raises(ValueError) as caught:
            MODEL.load_state_dict(wrong)
        assert "begin with" not in str(caught.value)


def test_size_is_a_number_and_a_model_that_calls_it_is_told():
    class Flat(nn.Module):
        def forward(self, x):
            return x.reshape(x.size(0), -1)

    with pytest.raises(TypeError, match=r"^'int' object is not callable") as caught:
        nn.Sequential(nn.Identity(), Flat())(X)
    assert caught.value.__notes__ == [
        "In lucid x.size is a number, not a method: the sizes are x.shape, that of an axis is "
        "x.shape[axis]."
    ]


# --- Errors of the body -----------------------------------------------------------------------


def test_errors_of_the_body_pass_as_they_are():
    class Faulty(nn.Module):
        def __init__(self, size, *, bias=True):
            super().__init__()
            self.size = size + None

    with pytest.raises(TypeError, match=r"^unsupported operand type"):
        Faulty(1, bias=False)
    with pytest.raises(TypeError, match=r"missing 1 required positional argument"):
        Faulty(bias=False)
    with pytest.raises(TypeError, match=r"^Faulty: got an unexpected keyword argument 'width'"):
        Faulty(1, width=2)
    with pytest.raises(TypeError, match=r"^DataLoader: batch_size must be an integer, got '2'"):
        DataLoader([1], "2")


def test_modules_take_what_their_own_constructors_take():
    class Open(nn.Module):
        def __init__(self, *sizes, **options):
            super().__init__()
            self.given = sizes, options

    assert Open(1, True, dim=3, inplace=True).given == ((1, True), {"dim": 3, "inplace": True})

    class Own(nn.ReLU):
        def __init__(self, inplace=False):
            super().__init__()
            self.inplace = inplace

    assert Own(True).inplace and Own(inplace=True).inplace


def test_operators_between_arrays_and_tensors():
    x = Tensor(np.array([3.0, 5.0], np.float32), requires_grad=True)
    array, values = np.array([2.0, 4.0], np.float32), x.numpy()
    for name in (
        "add", "subtract", "multiply", "divide", "floor_divide", "remainder", "power", "less",
        "less_equal", "greater", "greater_equal", "equal", "not_equal", "matmul",
    ):  # fmt: skip
        function = getattr(np, name)
        found = function(array, x)
        assert type(found) is Tensor
        np.testing.assert_allclose(found.numpy(), function(array, values), rtol=1e-6)
    n, m = np.array([6, 3]), Tensor([3, 5])
    for name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
        function = getattr(np, name)
        np.testing.assert_array_equal(function(n, m).numpy(), function(n, m.numpy()))
    (array - x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [-1, -1])
    with pytest.raises(TypeError, match=r"^np\.add takes no Tensor"):
        array += x
    assert array.tolist() == [2.0, 4.0]
