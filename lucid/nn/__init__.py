"""Layers, losses and the Module that all are built on."""

from typing import TYPE_CHECKING

from lucid._core.package import publish
from lucid.nn import (
    activation,
    attention,
    blocks,
    cache,
    class_decorators,
    constrained,
    containers,
    conv,
    distance,
    dropout,
    functional,
    init,
    linear,
    lookup,
    loss,
    module,
    norm,
    padding,
    parameter,
    patches,
    pool,
    positions,
    recurrent,
    recurrent_cells,
    resize,
    static_cache,
    transformer,
    transformer_layers,
)
from lucid.nn.activation import *
from lucid.nn.attention import *
from lucid.nn.blocks import *
from lucid.nn.cache import *
from lucid.nn.class_decorators import *
from lucid.nn.constrained import *
from lucid.nn.containers import *
from lucid.nn.conv import *
from lucid.nn.distance import *
from lucid.nn.dropout import *
from lucid.nn.linear import *
from lucid.nn.lookup import *
from lucid.nn.loss import *
from lucid.nn.module import *
from lucid.nn.norm import *
from lucid.nn.padding import *
from lucid.nn.parameter import *
from lucid.nn.patches import *
from lucid.nn.pool import *
from lucid.nn.positions import *
from lucid.nn.recurrent import *
from lucid.nn.recurrent_cells import *
from lucid.nn.resize import *
from lucid.nn.static_cache import *
from lucid.nn.transformer import *
from lucid.nn.transformer_layers import *

if TYPE_CHECKING:
    from lucid.nn import utils

__all__ = ["functional", "init", "utils"]
__all__ += activation.__all__
__all__ += blocks.__all__
__all__ += attention.__all__
__all__ += cache.__all__
__all__ += class_decorators.__all__
__all__ += constrained.__all__
__all__ += containers.__all__
__all__ += conv.__all__
__all__ += distance.__all__
__all__ += dropout.__all__
__all__ += linear.__all__
__all__ += lookup.__all__
__all__ += loss.__all__
__all__ += module.__all__
__all__ += norm.__all__
__all__ += padding.__all__
__all__ += parameter.__all__
__all__ += patches.__all__
__all__ += pool.__all__
__all__ += positions.__all__
__all__ += recurrent.__all__
__all__ += recurrent_cells.__all__
__all__ += resize.__all__
__all__ += static_cache.__all__
__all__ += transformer.__all__
__all__ += transformer_layers.__all__

publish(globals())
