"""The lines of the README that name PyTorch and ONNX."""

import pytest

import lucid
from lucid import nn
from tests.test_readme import lines_of

torch = pytest.importorskip("torch")


def test_weights_go_both_ways():
    theirs = torch.nn.Linear(3, 1)
    names = {"torch": torch, "model": nn.Linear(3, 1), "theirs": theirs}
    (load,), (give,) = lines_of("PyTorch module"), lines_of("lucid to PyTorch")
    before = theirs.weight.tolist()
    exec(load, names)
    assert names["model"].weight.tolist() == before
    nn.init.zeros(names["model"].weight)
    exec(give, names)
    assert theirs.weight.tolist() == [[0, 0, 0]]


def test_onnx(tmp_path, monkeypatch):
    runtime = pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    model, x = nn.Linear(3, 1), lucid.randn(2, 3)
    (export,) = lines_of("ONNX")
    exec(export, {"lucid": lucid, "model": model, "x": x})
    session = runtime.InferenceSession("decoder.onnx")
    (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert y == pytest.approx(model(x).numpy(), rel=1e-5)
