"""lucid.sharding: a step on 8 devices gives what it gives on one; what it refuses."""

from pathlib import Path

import numpy as np
import pytest

import lucid
from lucid import nn, sharding
from tests.helpers import on_8_devices


def test_errors():
    mesh = sharding.mesh(data=-1)
    with pytest.raises(ValueError, match=r"mesh: the sizes {'data': 3} do not multiply to the"):
        sharding.mesh(data=3)
    with pytest.raises(ValueError, match=r"split: the mesh has the axes \('data',\), not"):
        sharding.split(mesh, "model")
    with pytest.raises(ValueError, match=r"split: each axis .* got \('data', 'data'\)\."):
        sharding.split(mesh, "data", "data")
    with pytest.raises(TypeError, match=r"split: a mesh is needed, got int\."):
        sharding.split(4)
    with pytest.raises(ValueError, match=r"none twice; got \('data', 'data'\) for weight\."):
        sharding.place(nn.Linear(2, 2), mesh, lambda *_: ("data", "data"))
    with pytest.raises(TypeError, match="an Optimizer or a Generator is needed, got list"):
        sharding.place([1], mesh)


def test_a_wrong_rule_moves_nothing():
    model = nn.Linear(3, 2)
    before = [p.data for p in model.parameters()]
    with pytest.raises(ValueError, match=r"place: a rule returns a tuple .* for bias\. Nothing"):
        sharding.place(
            model, sharding.mesh(data=-1), lambda name, *_: ("x",) if name == "bias" else ()
        )
    with pytest.raises(ValueError, match=r'fsdp: the mesh has the axes .*, not "model"'):
        sharding.place(model, sharding.mesh(data=-1), sharding.fsdp("model"))
    assert all(p.data is b for p, b in zip(model.parameters(), before, strict=True))


def test_placed_memory_is_nobody_elses():
    model = nn.Linear(3, 2)
    kept = model.weight.detach()
    sharding.place(model, sharding.mesh(data=-1))

    @lucid.jit
    def step():
        model.weight.data = model.weight.data + 1

    for _ in range(3):
        step()
    np.testing.assert_allclose(kept.numpy() + 3, model.weight.numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("127.0.0.1:1", 2, 2), "process must be from 0 to 1 where there are 2 processes, got 2"),
        (("127.0.0.1:1", 0, 0), "processes must be at least 1, got 0"),
        (("127.0.0.1", 2, 0), 'address must be "host:port" of process 0, got "127.0.0.1"'),
        (("127.0.0.1:1", None, 0), r"address, processes and process go together, got \('127"),
        (("127.0.0.1:1", 2, 0, 0), "timeout must be above 0 seconds, got 0"),
    ],
)
def test_arguments_of_initialize(arguments, text):
    with pytest.raises(ValueError, match=f"initialize: {text}"):
        sharding.initialize(*arguments)


def test_initialize_after_an_array_was_made():
    lucid.ones(1)
    with pytest.raises(RuntimeError, match="JAX already runs in this process alone"):
        sharding.initialize("127.0.0.1:1", 2, 0)


def test_whole_in_one_process():
    x = lucid.tensor(np.arange(4.0)).to(sharding.split(sharding.mesh(data=-1)))
    values = sharding.whole(x)
    values[0] = 7  # of their own
    np.testing.assert_array_equal(values, [7, 1, 2, 3])
    np.testing.assert_array_equal(x.numpy(), [0, 1, 2, 3])


# --- On 8 devices ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cases():
    return on_8_devices(Path(__file__).with_name("sharding_cases.py"), timeout=500)


OF_SHAPE = "cannot lie as P('data',) on a mesh of {'data': 8}, which must divide the axes that it"
REFUSED = {
    "two sizes left open": "mesh: the sizes {'data': -1, 'model': -1} do not multiply",
    "a batch": f"to: an array of shape (15, 3) {OF_SHAPE}",
    "a new Tensor": f"Tensor: an array of shape (3, 2) {OF_SHAPE}",
    "a Module": f"to: weight: an array of shape (3, 8) {OF_SHAPE}",
    "an unknown axis": "a rule returns a tuple with one of the mesh's axes ('data',) or None",
    "too many axes": "an array of shape (8, 8) cannot lie as P('data', None, None) on a mesh of",
    "a rule without a tuple": "got 'data' for weight. Nothing was moved.",
    "no mesh": "place: a mesh is needed, got int.",
    "a Module elsewhere": "lies on 8 devices (cpu), another on cpu:3. Put all on one mesh",
    "a compiled Module elsewhere": "lies on 8 devices (cpu), another on cpu:3. Put all on one",
    "a last batch": "DataLoader: a batch of 4 samples cannot be split into 8 equal parts",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_placed_is_refused(cases, name):
    assert REFUSED[name] in cases["refused"][name]


def test_a_step_goes_on_after_its_state_was_placed(cases):
    assert cases["changes"] == {"falls": True, "devices": [8, 8]}


@pytest.mark.parametrize("name", ["one", "copies", "fsdp"])
def test_ten_steps_are_those_of_one_device(cases, name):
    found = cases["copies and split"][name]
    assert found["distance"] < 1e-12
    assert found["stayed"]
    assert found["compiled_later"] == 0
    # The weight, its two moments and its average.
    assert found["split"] == (4 if name == "fsdp" else 0)


def test_every_optimizer_does_on_8_devices_what_it_does_on_one(cases):
    assert len(cases["optimizers"]) >= 11
    for name, rows in cases["optimizers"].items():
        for difference, _, programs in rows:
            assert difference < 1e-12, name
            assert programs == 1, name
        copies, split = (set(collectives) for _, collectives, _ in rows)
        assert copies == {"all-reduce"}, name
        assert "all-gather" in split, name


def test_an_eager_training_on_8_devices_does_the_same(cases):
    assert len(cases["eager"]) == 2 and max(cases["eager"]) < 1e-12
