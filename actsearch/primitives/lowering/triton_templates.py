"""The fixed parts of generated Triton modules: how programs share out the elements of a tensor.

Without parameters per channel, a program takes a block of the flat tensor. With them, a program
takes a block within a row of one channel, or, where rows are short, a tile of columns whose
channels it looks up once for many rows. So no element costs an integer division.
"""

from __future__ import annotations

from dataclasses import dataclass

# Offsets of 32 bits reach what has fewer elements than 2^31.
PROGRAM = """\
program = tl.program_id(0)
if WIDE:
    program = program.to(tl.int64)
"""


PROGRAMS = "tl.num_programs(0)"


@dataclass(frozen=True, eq=False)
class Layout:
    """Lines of a kernel that depend on what a program takes.

    Args:
        suffix: of the kernel's name.
        about: end of its docstring.
        arguments: after the pointers.
        shape: of the elements that are computed at once.
        index: gives `index` and `inside`, the elements and whether they exist.
        program: what is the same for all elements of a program.
        loop: the head of the loop over them, if there is one.
        channel: gives `channel`, that of each element.
        channel_load: reads a parameter of one value for each channel.
        channel_sums: how many sums are kept for one of them.
        channel_store: writes those of this program.
    """

    suffix: str
    about: str
    arguments: tuple[str, ...]
    shape: str
    index: str
    program: str = ""
    loop: str = ""
    channel: str = ""
    channel_load: str = ""
    channel_sums: str = ""
    channel_store: str = ""


FLAT = Layout(
    suffix="",
    about="of a block of the flat tensors.",
    arguments=("numel", "WIDE: tl.constexpr", "BLOCK: tl.constexpr"),
    shape="(BLOCK,)",
    index="""\
index = program * BLOCK + tl.arange(0, BLOCK)
inside = index < numel
""",
)

ROWS = Layout(
    suffix="_rows",
    about="of a block within a row of one channel.",
    arguments=("channels", "inner", "WIDE: tl.constexpr", "BLOCK: tl.constexpr"),
    shape="(BLOCK,)",
    program="""\
blocks = tl.cdiv(inner, BLOCK)
row = program // blocks
""",
    index="""\
column = program % blocks * BLOCK + tl.arange(0, BLOCK)
index = row * inner + column
inside = column < inner
""",
    channel="channel = row % channels",
    channel_load="{name} = tl.full((BLOCK,), tl.load({pointer} + channel), tl.float32)\n",
    channel_sums=PROGRAMS,
    channel_store="""\
tl.store(channel_sums_pointer + {skipped}program, {name}_sum)
""",
)

COLUMNS = Layout(
    suffix="_columns",
    about="of a tile of columns in `each` rows; a row holds all channels.",
    arguments=(
        *("outer", "columns", "inner", "each"),
        *("WIDE: tl.constexpr", "ROWS: tl.constexpr", "COLUMNS: tl.constexpr"),
    ),
    shape="(ROWS, COLUMNS)",
    program="""\
blocks = tl.cdiv(columns, COLUMNS)
part = program // blocks
column = program % blocks * COLUMNS + tl.arange(0, COLUMNS)
""",
    loop="for step in range(0, each, ROWS):",
    index="""\
row = part * each + step + tl.arange(0, ROWS)
index = row[:, None] * columns + column[None, :]
inside = (row < outer)[:, None] & (column < columns)[None, :]
""",
    channel="channel = tl.minimum(column, columns - 1) // inner",
    channel_load="{name} = tl.load({pointer} + channel).to(tl.float32)[None, :]\n",
    channel_sums=f"{PROGRAMS} // blocks * columns",
    channel_store="""\
place = {skipped}part * columns + column
tl.store(channel_sums_pointer + place, tl.sum({name}_sum, axis=0), mask=column < columns)
""",
)

FLAT_CONSTANTS = """\
# Elements of a program of four warps: two vectors of 16 bytes for each thread in float32, one in
# half precision.
BLOCK = 1024"""

CHANNEL_CONSTANTS = (
    FLAT_CONSTANTS
    + """
# Tiles of columns go on over more rows where there would be more programs than this; every one of
# them writes a sum for each of its columns.
MOST_PROGRAMS = 4096"""
)

TILING = '''\
def tiling(
    numel: int, channels: int, inner: int
) -> tuple[bool, int, dict[str, int], tuple[int, int, int]]:
    """Whether programs take rows, their number, the kernel's sizes, the shape of the sums."""
    inner = numel if channels == 1 else inner
    columns = channels * inner
    outer = numel // columns
    sizes = {"inner": inner, "WIDE": numel >= 2**31}
    # Rows can be read in vectors if their length is a multiple of 16; columns mostly can.
    if inner >= 128 and (inner % 16 == 0 or outer < 8):
        block = min(BLOCK, triton.next_power_of_2(inner))
        blocks = triton.cdiv(inner, block)
        sizes |= {"channels": channels, "BLOCK": block, "num_warps": max(block // 256, 1)}
        return True, outer * channels * blocks, sizes, (outer, channels, blocks)
    width = min(256, triton.next_power_of_2(columns))
    height = min(BLOCK // width, triton.next_power_of_2(outer))
    blocks = triton.cdiv(columns, width)
    each = height * triton.cdiv(blocks * triton.cdiv(outer, height), MOST_PROGRAMS)
    parts = triton.cdiv(outer, each)
    sizes |= {"outer": outer, "columns": columns, "each": each, "ROWS": height, "COLUMNS": width}
    sizes["num_warps"] = max(width * height // 256, 1)
    return False, parts * blocks, sizes, (parts, channels, inner)'''

# Names in generated modules, which neither an input nor a parameter may have.
TAKEN = frozenset(
    (
        *("torch", "triton", "tl", "nn", "Any", "Tensor", "float", "range", "min", "max"),
        *("Sequence", "laid_out_alike", "channel_layout", "is_dense"),
        *("sorted", "Exception", "ValueError", "TypeError", "RuntimeError", "len"),
        *("list", "dict", "tuple", "bool", "int", "zip", "self", "ctx", "super"),
        *("value", "gradients", "forward", "backward", "tiling"),
        *("forward_kernel", "backward_kernel", "BLOCK", "MOST_PROGRAMS"),
        *(
            f"{way}_kernel_{kind}"
            for way in ("forward", "backward")
            for kind in ("rows", "columns")
        ),
        *("numel", "outer", "channels", "inner", "columns", "each", "WIDE", "ROWS", "COLUMNS"),
        *(
            "program",
            "programs",
            "blocks",
            "row",
            "column",
            "channel",
            "part",
            "step",
            "index",
            "inside",
        ),
        *("place", "y", "grad", "inputs", "parameters", "scalar_sums", "channel_sums"),
        *("by_rows", "sizes", "shape", "kernel"),
        *("sums", "pairs", "trained", "total", "p"),
    )
)
# A name that ends so could meet one that is derived from another.
TAKEN_ENDINGS = ("_pointer", "_grad", "_sum", "_sums")
