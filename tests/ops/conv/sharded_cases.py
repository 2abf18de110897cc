"""What convolutions do on 8 devices, as JSON: run by test_sharding.py in a process of its own."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from lucid.ops.conv import conv, conv_transpose, force_lowering
from lucid.ops.conv.maps import chosen_lowerings

P = PartitionSpec

COLLECTIVES = "all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter"
LAYERS = {
    "polyphase 32px": (conv_transpose, (64, 128, 16, 16), (128, 64, 4, 4), 2, 1, 1),
    "balanced 32px": (conv, (64, 64, 32, 32), (64, 64, 3, 3), 1, 1, 1),
    "balanced 64px": (conv, (64, 64, 64, 64), (64, 64, 3, 3), 1, 1, 1),
    "polyphase 128px": (conv_transpose, (16, 64, 64, 64), (64, 32, 4, 4), 2, 1, 1),
    "matmul 32px": (conv_transpose, (128, 64, 16, 16), (64, 32, 5, 5), 2, 2, 1),
    "groups": (conv, (64, 64, 32, 32), (64, 16, 3, 3), 1, 1, 4),
    "groups transposed": (conv_transpose, (64, 64, 16, 16), (64, 16, 4, 4), 2, 1, 4),
    "depthwise": (conv, (64, 64, 32, 32), (64, 1, 3, 3), 1, 1, 64),
}
LOWERINGS = [
    "auto", "definition", "matmul", "balanced", "polyphase", "depthwise", "phases", "residues",
]  # fmt: skip


def step(layer):
    operation, *_, stride, padding, groups = layer

    def run(x, w):
        def forward(x, w):
            return operation(x, w, rank=2, stride=stride, padding=padding, groups=groups)

        y, vjp = jax.vjp(forward, x, w)
        return y, *vjp(jnp.cos(y))

    return run


def by_definition(layer, lowering):
    """Whether XLA's own convolution computes one of the maps."""
    with force_lowering(lowering):
        arrays = [jax.ShapeDtypeStruct(shape, "float32") for shape in layer[1:3]]
        return any(name == "definition" for _, name in chosen_lowerings(step(layer), *arrays))


def collectives(layer, lowering):
    """The kinds of collectives in the compiled forward and gradients, the batch over 8 devices."""
    mesh = jax.make_mesh((8,), ("data",), (AxisType.Auto,))
    split, copies = NamedSharding(mesh, P("data")), NamedSharding(mesh, P())
    x = jax.ShapeDtypeStruct(layer[1], "float32", sharding=split)
    w = jax.ShapeDtypeStruct(layer[2], "float32", sharding=copies)
    with force_lowering(lowering):
        jitted = jax.jit(step(layer), out_shardings=(split, split, copies))
        text = jitted.lower(x, w).compile().as_text()
    return sorted(set(re.findall(rf"({COLLECTIVES})(?:-start)?\(", text)))


def differences():
    """The largest errors against one device, for placements of the operands and shard_map."""
    # They do not change what is compared here, and take half of the time.
    jax.config.update("jax_disable_most_optimizations", True)
    explicit = jax.make_mesh((4, 2), ("data", "model"), (AxisType.Explicit,) * 2)
    auto = jax.make_mesh((4, 2), ("data", "model"), (AxisType.Auto,) * 2)
    rng = np.random.default_rng(0)
    found = {}
    for operation, kernel, groups in [
        (conv_transpose, (8, 4, 4, 4), 1),
        (conv_transpose, (8, 2, 4, 4), 4),
        (conv, (4, 8, 4, 4), 1),
        (conv, (8, 2, 4, 4), 4),
    ]:
        x, w = rng.normal(size=(8, 8, 9, 9)), rng.normal(size=kernel)
        run = step((operation, None, None, 2, 1, groups))
        expected = run(jnp.asarray(x), jnp.asarray(w))

        def error(got, expected=expected):
            pairs = zip(expected, got, strict=True)
            return max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in pairs)

        name = f"{operation.__name__} {groups}"
        for mesh in (explicit, auto):
            for on_x, on_w in [
                (P("data"), P()),
                (P("data"), P(None, "model")),
                (P("data", "model"), P("model")),
                (P("data"), P("data")),
            ]:
                a = jax.device_put(x, NamedSharding(mesh, on_x))
                b = jax.device_put(w, NamedSharding(mesh, on_w))
                where = f"{name} {mesh.axis_types[0]} {on_x} {on_w}"
                found[where] = error(run(a, b))
                found[where + " jit"] = error(jax.jit(run)(a, b))
        mapped = jax.shard_map(
            run, mesh=auto, in_specs=(P("data"), P()), out_specs=(P("data"), P("data"), P())
        )
        found[f"{name} shard_map"] = error(jax.jit(mapped)(x, w))
    return found


if __name__ == "__main__":
    seen = {
        f"{name}, {lowering}": collectives(layer, lowering)
        for name, layer in LAYERS.items()
        for lowering in LOWERINGS
        # XLA:CPU gathers the batch for a grouped convolution of its own.
        if "groups" not in name or not by_definition(layer, lowering)
    }
    print(json.dumps({"collectives": seen, "differences": differences()}))
