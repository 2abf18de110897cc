"""What was measured: the figures by which lowerings are chosen and shaped.

`python tests/benchmarks/tuning.py` shows what each is worth on CPU: times with and without what it
decides, on forms to both sides of it. Change a figure there and here together. What holds for GPUs
was measured on an H200; `python tests/benchmarks/accelerator.py` shows where it leads.
"""

from __future__ import annotations

# --- Which lowering; see `lowerings` ---

# `depthwise` is taken up to so many taps: each is a step of the program, so compiling takes longer
# with each, and the time saved over matrix products shrinks.
DEPTHWISE_TAPS = 64
# `depthwise` claims groups with one channel on one side and at most so many on the other.
DEPTHWISE_CHANNELS = 4
# `polyphase` is taken where it writes less than this share of the elements of matmul's columns.
POLYPHASE_SHARE = 0.9
# `balanced` is taken where it writes less than this share of them; it has columns on both sides.
BALANCED_SHARE = 0.75

# On GPU, `phases` is taken for fewer channels of large than this, or for so many residues.
PHASES_CHANNELS = 32
PHASES_STRIDE = 8

# --- Products; see `matmul` ---

# With so many positions per channel, or fewer, the kernel is not transposed for the product.
FEW_POSITIONS = 0.5

# --- Pieces; see `chunks` ---

# Columns of at most so many bytes are not cut: with the product they stay within about 32 MiB,
# which is what the allocator keeps from call to call.
WHOLE_BYTES = 13 << 20
# Columns of one image are cut, by rows, only where they take more than this.
IMAGE_BYTES = 24 << 20
# Bytes of columns in a piece, unless one image, or one row of it, takes more: about a cache.
PIECE_BYTES = 4 << 20

# --- Taps; see `windows` and `depthwise` ---

# A longer kernel with a stride is taken in blocks, not tap by tap, of which each is a step.
LONG_KERNEL = 16
# Up to so many taps are added in one pass, which reads every window once but is a step per tap.
TAPS_PER_SCATTER = 64
# Operands of one reduction. Many more accumulators than this no longer stay in registers.
TAPS_PER_REDUCTION = 32
