"""What a newcomer does wrong: the message says which call, which values and the way out.

And what Python shows of it: the user's lines, and at most two that are not.
"""

import linecache
import os
import subprocess
import sys
import traceback

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid._core.tracebacks import shorten
from lucid.nn import functional as F

# What is done, and what the message says.
MISTAKES = {
    "linear input": (
        "nn.Linear(3, 2)(lucid.ones(4, 5))",
        "got input (4, 5) and weight (2, 3). (in Linear)",
    ),
    "conv channels": (
        "nn.Conv2d(3, 2, 3)(lucid.ones(1, 4, 8, 8))",
        "takes 3 input channels (weight.shape[1] * groups), but the input has 4. (in Conv2d)",
    ),
    "transposed channels": (
        "nn.ConvTranspose2d(3, 2, 3)(lucid.ones(1, 4, 8, 8))",
        "takes 3 input channels (weight.shape[0]), but the input has 4. (in ConvTranspose2d)",
    ),
    "no channel axis": (
        "nn.Conv2d(1, 2, 3)(lucid.ones(8, 8))",
        "must have 4 axes (N, C, *spatial) or 3 axes (C, *spatial), got shape (8, 8)",
    ),
    "image too small": (
        "nn.Conv2d(3, 2, 5)(lucid.ones(1, 3, 4, 4))",
        "output would have size (0, 0) from input size (4, 4)",
    ),
    "nested layer": (
        "nn.Sequential(nn.Linear(3, 2), nn.Sequential(nn.Linear(5, 2)))(lucid.ones(1, 3))",
        "(in Sequential.1.0 (Linear))",
    ),
    "matmul": (
        "lucid.ones(2, 3) @ lucid.ones(2, 3)",
        "must be as long as the last but one of b, got (2, 3) and (2, 3)",
    ),
    "broadcast": (
        "lucid.ones(2, 3) + lucid.ones(4)",
        "add: float32[2, 3], float32[4]: Incompatible shapes",
    ),
    "concatenate": (
        "lucid.concatenate([lucid.ones(2, 2), lucid.ones(3, 3)], axis=0)",
        "along dimension 0 for shapes (2, 2), (3, 3)",
    ),
    "stack": (
        "lucid.stack([lucid.ones(2), lucid.ones(3)])",
        "stack: float32[2], float32[3]: All input arrays must have the same shape",
    ),
    "reshape": (
        "lucid.ones(2, 3).reshape(4)",
        "reshape: float32[2, 3]: cannot reshape array",
    ),
    "axis out of range": (
        "lucid.ones(2, 3).sum(axis=2)",
        "sum: float32[2, 3]: axis 2 is out of bounds",
    ),
    "mse shapes": (
        "F.mse_loss(lucid.ones(4, 1), lucid.ones(3, 1))",
        "mse_loss: input and target must have one shape, got (4, 1) and (3, 1)",
    ),
    "batch norm channels": (
        "nn.BatchNorm2d(3)(lucid.ones(1, 4, 8, 8))",
        "batch_norm: running_mean must have shape (4,), got (3,). (in BatchNorm2d)",
    ),
    "lstm input": (
        "nn.LSTM(4, 3)(lucid.ones(2, 2, 5))",
        "LSTM: an input of shape (T, N, 4) or (T, 4) is needed, got (2, 2, 5)",
    ),
    "attention sizes": (
        "nn.MultiHeadAttention(6, 2)(*3 * [lucid.ones(1, 3, 8)])",
        "MultiHeadAttention: query (N, L, 6)",
    ),
    "output padding": (
        "nn.ConvTranspose2d(3, 2, 3, output_padding=5)",
        "smaller than stride or dilation on each axis, got output_padding=(5, 5)",
    ),
    "groups": (
        "nn.Conv2d(3, 2, 3, groups=2)",
        "Conv2d: groups must divide the channels, got groups=2 for 3 input channels",
    ),
    "kernel of zero": (
        "nn.Conv2d(3, 2, 0)",
        "Conv2d: kernel_size must be at least 1, got (0, 0)",
    ),
    "stride of zero": (
        "nn.Conv2d(3, 2, 3, stride=0)",
        "Conv2d: stride must be at least 1, got (0, 0)",
    ),
    "padding name": (
        "nn.ConvTranspose2d(3, 2, 3, padding='full')",
        "padding must be 'valid', 'same' or sizes, got 'full'",
    ),
    "float size": (
        "nn.Linear(3.0, 2)",
        "Linear: in_features must be an integer, got 3.0",
    ),
    "too many arguments": (
        "nn.Linear(2, 2, True, 'relu')",
        "too many positional arguments; it is Linear(in_features, out_features, bias=True)",
    ),
    "dim": (
        "lucid.ones(3).sum(dim=0)",
        "lucid calls it axis; it is sum(a, axis=None, keepdims=False)",
    ),
    "keepdim": (
        "lucid.ones(3).sum(axis=0, keepdim=True)",
        "lucid calls it keepdims",
    ),
    "view": (
        "lucid.ones(4).view(2, 2)",
        "lucid calls it reshape(*shape)",
    ),
    "cuda": (
        "lucid.ones(4).cuda()",
        "lucid calls it gpu()",
    ),
    "dropout probability": (
        "nn.Dropout(50)",
        "Dropout: p must be from 0 to 1, got 50",
    ),
    "unknown layer": (
        "nn.Conv2D(3, 2, 3)",
        "lucid.nn has no attribute 'Conv2D'; lucid calls it Conv2d",
    ),
    "unknown function": (
        "lucid.cat([lucid.ones(1)])",
        "lucid has no attribute 'cat'; lucid calls it concatenate",
    ),
    "device": (
        "lucid.zeros(3, device='cuda')",
        'device "cuda" is not present. Present: cpu',
    ),
    "float64": (
        "lucid.ones(2, dtype='float64')",
        "dtype float64 needs JAX's 64-bit mode, which is off",
    ),
    "bytes into a layer": (
        "nn.Conv2d(1, 2, 3)(lucid.tensor(np.zeros((1, 1, 8, 8), 'uint8')))",
        "Convert them with astype",
    ),
    "half input": (
        "nn.Conv2d(1, 2, 3)(lucid.ones(1, 1, 8, 8).astype('float16'))",
        "must have one dtype, got float16, float32, float32",
    ),
    "list for a Tensor": (
        "nn.Linear(2, 2)([1.0, 2.0])",
        "Make a Tensor of it first: lucid.tensor(...)",
    ),
    "float labels": (
        "F.cross_entropy(lucid.ones(2, 3), lucid.ones(2))",
        "Indices of classes must be integers",
    ),
    "labels out of range": (
        "F.cross_entropy(lucid.ones(2, 3), lucid.tensor([0, 5]))",
        "cross_entropy: target must be from 0 to 2 or -100, got 5 at [1]",
    ),
    "one-hot of another width": (
        "F.cross_entropy(lucid.ones(2, 3), lucid.ones(2, 4))",
        "must have the input's shape (2, 3), got (2, 4)",
    ),
    "targets above 1": (
        "F.binary_cross_entropy(lucid.ones(2), lucid.tensor([0.0, 2.0]))",
        "target must be from 0 to 1, got 2.0 at [1]",
    ),
    "ids out of range": (
        "nn.Embedding(3, 2)(lucid.tensor([0, 7]))",
        "embedding: input must be from 0 to 2, got 7 at [1]",
    ),
    "float ids": (
        "nn.Embedding(3, 2)(lucid.ones(2))",
        "embedding: integers are needed, got dtype float32",
    ),
    "no super": (
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        self.layer = nn.Linear(2, 2)\n"
        "Net()",
        "Net: super().__init__() must be called first in __init__",
    ),
    "no forward": (
        "class Net(nn.Module):\n    pass\nNet()(lucid.ones(2))",
        "Net defines no forward method",
    ),
    "list of layers": (
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.layers = [nn.Linear(2, 2)]\n"
        "optim.SGD(Net().parameters(), lr=0.1)",
        "Layers that a Module keeps in a list or a dictionary count in nn.ModuleList",
    ),
    "list in Sequential": (
        "nn.Sequential([nn.Linear(2, 2), nn.ReLU()])",
        "Sequential holds Modules, got list; unpack it with a star, *layers",
    ),
    "class in Sequential": (
        "nn.Sequential(nn.Linear(2, 2), nn.ReLU)",
        "Sequential holds Modules, got the class ReLU; call it: ReLU(...)",
    ),
    "attribute": (
        "nn.Linear(2, 2).wieght",
        "Linear has no attribute 'wieght'",
    ),
    "Tensor for a Parameter": (
        "nn.Linear(2, 2).weight = lucid.ones(2, 2)",
        "Linear.weight is a Parameter; it can be set to a Parameter or None, not to a Tensor",
    ),
    "missing key": (
        "nn.Linear(2, 2).load_state_dict({'weight': lucid.ones(2, 2)})",
        "nothing was changed.\n  missing: bias",
    ),
    "unexpected key": (
        "nn.ReLU().load_state_dict({'weight': lucid.ones(2, 2)})",
        "nothing was changed.\n  unexpected: weight",
    ),
    "shape of a key": (
        "nn.Linear(2, 1).load_state_dict({'weight': lucid.ones(2, 2), 'bias': lucid.ones(1)})",
        "weight: shape (2, 2) instead of (1, 2)",
    ),
    "path for a state": (
        "nn.Linear(2, 1).load_state_dict('model.npz')",
        "a dictionary of values by name is needed, got str",
    ),
    "no gradient wanted": (
        "lucid.ones(3).backward()",
        "backward: this Tensor requires no gradient",
    ),
    "backward twice": (
        "x = lucid.ones(3, requires_grad=True)\ny = (x * x).sum()\ny.backward()\ny.backward()",
        "Pass retain_graph=True to the earlier call",
    ),
    "in-place on a leaf": (
        "x = lucid.ones(3, requires_grad=True)\nx += 1",
        "Do it under lucid.no_grad()",
    ),
    "integers want gradients": (
        "lucid.tensor([1, 2], dtype='int32').requires_grad_()",
        "this one has dtype int32. Convert it first",
    ),
    "shape of a gradient": (
        "(lucid.ones(3, requires_grad=True) * 2).backward(lucid.ones(2))",
        "the gradient has shape (2,); it must have the Tensor's shape (3,)",
    ),
    "item of many": (
        "lucid.ones(3).item()",
        "item: a Tensor of one element is needed, this one has shape (3,)",
    ),
    "if of many": (
        "if lucid.ones(3) > 0:\n    pass",
        "bool() of a Tensor of shape (3,) is ambiguous. Use any() or all()",
    ),
    "model for parameters": (
        "optim.SGD(nn.Linear(2, 2), lr=0.1)",
        "those of a model are model.parameters()",
    ),
    "no parameters": (
        "optim.SGD([], lr=0.1)",
        "SGD: there are no parameters to optimise",
    ),
    "one Parameter": (
        "optim.SGD(nn.Linear(2, 2).weight, lr=0.1)",
        "Parameters are needed in a list, got one Tensor: [tensor]",
    ),
    "negative rate": (
        "optim.Adam(nn.Linear(2, 2).parameters(), lr=-1)",
        "Adam: lr must be at least 0 and finite, got -1",
    ),
    "scheduler of a model": (
        "optim.lr_scheduler.StepLR(nn.Linear(2, 2), 10)",
        "StepLR: optimizer must be an Optimizer, got Linear",
    ),
    "clip of a model": (
        "nn.utils.clip_grad_norm(nn.Linear(2, 2), 1.0)",
        "clipping: Parameters are needed in a list, got Linear",
    ),
    "loader of a Module": (
        "lucid.data.DataLoader(nn.Linear(2, 2), 4)",
        "DataLoader: the dataset must have __getitem__ and __len__",
    ),
    "batch of zero": (
        "lucid.data.DataLoader([1, 2], 0)",
        "DataLoader: batch_size must be at least 1, got 0",
    ),
    "lengths of arrays": (
        "lucid.data.TensorDataset(np.ones(2), np.ones(3))",
        "first axes of one size, got shapes (2,), (3,)",
    ),
    "pth file": (
        "lucid.load('model.pth')",
        "PyTorch reads its own files",
    ),
    "absent file": (
        "lucid.load('absent.npz')",
        "load: there is no file absent.npz",
    ),
    "file without suffix": (
        "lucid.save({'a': lucid.ones(1)}, 'model')",
        'a checkpoint ends in ".npz" or ".safetensors", got "model"',
    ),
    "if in jit": (
        "@lucid.jit\n"
        "def f(x):\n"
        "    if x.sum() > 0:\n"
        "        return x\n"
        "    return -x\n"
        "f(lucid.ones(3))",
        "`if x.sum() > 0:` needs the value of a Tensor",
    ),
    "float in jit": (
        "@lucid.jit\ndef f(x):\n    return float(x.sum())\nf(lucid.ones(3))",
        "`return float(x.sum())` needs the value of a Tensor",
    ),
    "numpy in jit": (
        "@lucid.jit\ndef f(x):\n    return np.log(x.numpy())\nf(lucid.ones(3))",
        "Return the Tensor and look at it outside",
    ),
    "counter in jit": (
        "net = nn.Linear(2, 2)\n"
        "net.calls = 0\n"
        "@lucid.jit\n"
        "def f(x):\n"
        "    net.calls += 1\n"
        "    return net(x)\n"
        "f(lucid.ones(2))",
        "Linear.calls was set from 1 to 2 inside a compiled function",
    ),
    "kept Tensor in jit": (
        "kept = []\n@lucid.jit\ndef f(x):\n    kept.append(x * 2)\n    return x\nf(lucid.ones(2))",
        "left the compiled function: it was stored as an element of a list",
    ),
    "scheduler in jit": (
        "o = optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)\n"
        "s = optim.lr_scheduler.StepLR(o, 1)\n"
        "@lucid.jit\n"
        "def f(x):\n"
        "    s.step()\n"
        "    o.step()\n"
        "    return x\n"
        "f(lucid.ones(2))",
        "StepLR: a scheduler was stepped inside a compiled function",
    ),
}


def errors(error):
    """An error and those that Python shows with it."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", MISTAKES)
def test_the_message_and_the_lines_of_a_mistake(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, said = MISTAKES[name]
    lines = (len(code), None, code.splitlines(keepends=True), "<user>")
    monkeypatch.setitem(linecache.cache, "<user>", lines)  # as if it were a file
    names = {"lucid": lucid, "nn": nn, "optim": optim, "F": F, "np": np}
    with pytest.raises(Exception) as caught:
        exec(compile(code, "<user>", "exec"), names)
    assert said in str(caught.value)
    shorten(caught.value)
    shown = [f for e in errors(caught.value) for f in traceback.extract_tb(e.__traceback__)]
    users = {"<user>", __file__}
    assert sum(frame.filename not in users for frame in shown) <= 2
    assert any(frame.filename == "<user>" for frame in shown)
    assert not list(tmp_path.iterdir())


# --- As Python shows it -------------------------------------------------------------------------

SCRIPT = """
import threading

import lucid
from lucid import nn

def use(model):
    return model(lucid.ones(1, 3))

model = nn.Sequential(nn.Linear(3, 2), nn.Sequential(nn.Linear(5, 2)))
thread = threading.Thread(target=use, args=(model,))
thread.start()
thread.join()
use(model)
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("script") / "script.py"
    path.write_text(SCRIPT)

    def run(**environment):
        done = subprocess.run(
            [sys.executable, path],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        return [
            [line for line in part.splitlines() if line.startswith("  File ")]
            for part in done.stderr.split("Traceback (most recent call last)")[1:]
        ]

    return run


@pytest.mark.slow
def test_a_script_shows_its_own_lines_and_where_the_error_arose(script):
    in_thread, at_the_end = script()
    assert [line.split(", in ")[1] for line in at_the_end] == ["<module>", "use", "linear"]
    assert [line.split(", in ")[1] for line in in_thread][-2:] == ["use", "linear"]


@pytest.mark.slow
def test_all_lines_are_shown_on_demand(script):
    in_thread, at_the_end = script(LUCID_TRACEBACK="full")
    assert len(at_the_end) > 10 and len(in_thread) > 10


@pytest.mark.slow
def test_ipython_shows_the_same():
    pytest.importorskip("IPython")
    code = f"""
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(colors="nocolor")
shell.run_cell({SCRIPT!r})
shell.run_cell("1 / 0")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert "affine.py" in done and "ZeroDivisionError" in done
    assert "module.py" not in done and "gate.py" not in done


def test_an_error_of_the_user_alone_keeps_its_lines():
    def fails():
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine") as caught:
        fails()
    before = caught.value.__traceback__
    shorten(caught.value)
    assert caught.value.__traceback__ is before


def test_errors_that_are_each_others_cause_are_shown_too():
    with pytest.raises(ValueError) as caught:
        try:
            lucid.ones(2, 3) @ lucid.ones(2, 3)
        except ValueError as error:
            raise error from error
    shorten(caught.value)
    assert caught.value.__cause__ is caught.value
