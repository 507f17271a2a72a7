"""The shapes that the notes write beside each layer, computed."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from jaxopt_notes.models import CNN, summarize
from jaxopt_notes.models.convolutions import max_pool_2x2
from jaxopt_notes.studies import style
from jaxopt_notes.studies.study import DEPENDS, FAILS, HOLDS, About, Measured, Verdict

ABOUT = About(
    number=16,
    title="Shapes, layer by layer",
    title_zh="逐层的形状",
    kind="identity",
    claim="The CNN's shapes are (32, 28, 28), (32, 14, 14), (64, 14, 14), (64, 7, 7), 3136, 128, "
    "10 with 421,642 parameters; a 6×6 input under a 3×3 kernel gives 4×4 at stride 1 and 2×2 at "
    "stride 2; and pooling needs no ReLU of its own.",
    claim_zh="该 CNN 的形状依次为 (32, 28, 28)、(32, 14, 14)、(64, 14, 14)、(64, 7, 7)、3136、"
    "128、10，共 421,642 个参数；6×6 输入经 3×3 卷积核，步幅 1 得 4×4，步幅 2 得 2×2；池化之后不"
    "需要再加 ReLU。",
    section="The network and its parts",
    equations=("side out = ⌊(n + 2p − k) / s⌋ + 1", "relu(max pool(x)) = max pool(relu(x))"),
    equations_zh=(
        "输出边长 = ⌊(n + 2p − k) / s⌋ + 1",
        "relu(最大池化(x)) = 最大池化(relu(x))",
    ),
    how="We trace the package's CNN layer by layer, put each shape's channels first, and compare "
    "the shape with the notes. We compare the formula for the side length with XLA's result for "
    "every input up to 16, kernel up to 5, stride up to 3 and padding up to 2. On random arrays, "
    "we exchange pooling and ReLU and compare the values.",
    how_zh="逐层追踪本包的 CNN，把每个形状换成通道在前的次序，再与笔记比较。边长公式与 XLA 的结果"
    "比较：覆盖输入不超过 16、卷积核不超过 5、步幅不超过 3、填充不超过 2 的全部组合。在随机数组上"
    "交换池化与 ReLU 的次序，再比较数值。",
    setting={
        "notes": [
            [1, 28, 28],
            [32, 28, 28],
            [32, 28, 28],
            [32, 14, 14],
            [64, 14, 14],
            [64, 14, 14],
            [64, 7, 7],
            [3136],
            [128],
            [128],
            [10],
        ],
        "parameters": 421642,
        "largest": [16, 5, 3, 2],
        "example": [6, 3, 4, 2],
        "arrays": 20,
    },
    quick={},
    measured={
        "shapes_wrong": (
            "layers whose shape differs from the notes",
            "形状与笔记不一致的层数",
        ),
        "parameters": (
            "number of parameters",
            "参数个数",
        ),
        "parameters_wrong": (
            "difference from the number of parameters in the notes",
            "与笔记所写参数个数之差",
        ),
        "sides_wrong": (
            "side lengths of the 6×6 example that differ from the notes",
            "6×6 例子中与笔记不一致的边长个数",
        ),
        "side_stride_1": ("side length of 6×6 under 3×3, stride 1", "6×6 经 3×3、步幅 1 的边长"),
        "side_stride_2": ("side length of 6×6 under 3×3, stride 2", "6×6 经 3×3、步幅 2 的边长"),
        "unseen": (
            "rows, and as many columns, of the 6×6 input that the kernel never sees at stride 2",
            "6×6 输入中，步幅 2 时卷积核从未看到的行数（列数相同）",
        ),
        "formula_wrong": (
            "cases in which the formula for the side length is wrong",
            "边长公式不成立的情形数",
        ),
        "first_dense": (
            "share of the parameters in the first dense layer",
            "第一个全连接层的参数占比",
        ),
        "average_exchange": (
            "share of the values that differ when ReLU and average pool change places",
            "ReLU 与平均池化换位后不同的数值占比",
        ),
        "exchange_wrong": (
            "values that differ when ReLU and max pool change places",
            "ReLU 与最大池化换位后不同的数值个数",
        ),
    },
    threshold={"wrong": 0},
    rule="Holds if every shape, the number of parameters, both side lengths and the formula "
    "agree, and no value differs when ReLU and max pool change places. Fails if the shapes or the "
    "number of parameters differ; else it depends.",
    rule_zh="若形状、参数个数、两个边长与公式全部一致，且 ReLU 与最大池化换位后数值全部相同，则成"
    "立；形状或参数个数不一致则不成立；否则视情况而定。",
    picture="Above, the layers from top to bottom with their shapes. The length of each bar is "
    "the layer's share of the parameters: the first dense layer has 95 %. Below, the 6×6 "
    "example: a 3×3 kernel has sixteen positions at stride 1 and four at stride 2. At stride 2 "
    "the last row and column are grey, because the kernel never sees them.",
    picture_zh="上：各层自上而下排列并标注形状，条长为参数占比：第一个全连接层占 95 %。下：6×6 的"
    "例子，3×3 卷积核在步幅 1 时有十六个位置，步幅 2 时有四个，此时最后一行和一列为灰色，因为卷积"
    "核从未看到它们。",
    remark="At stride 2 the kernel never sees the last row and column of the 6×6 input: the floor "
    "in the formula drops them. A max pool needs no ReLU of its own, because the two can change "
    "places. An average pool and ReLU cannot, so there the order matters.",
    remark_zh="步幅 2 时，卷积核从未看到 6×6 输入的最后一行和一列：公式中的向下取整把它们丢掉了。"
    "“池化之后不需要再加 ReLU”对最大池化是对的，因为最大池化与 ReLU 可以交换次序；平均池化与 "
    "ReLU 不可交换，次序会影响结果。",
    findings={
        "holds": (
            "Every shape agrees, and one layer holds {first_dense:.0%} of the {parameters:,} "
            "parameters",
            "所有形状一致；{parameters:,} 个参数中 {first_dense:.0%} 在同一层",
        ),
        "depends": (
            "The network's shapes agree, but the 6×6 example, the formula or the exchange of "
            "ReLU and max pool does not",
            "网络的形状一致，但 6×6 的例子、边长公式或 ReLU 与最大池化的换位不一致",
        ),
        "fails": (
            "The shapes or the number of parameters differ from the notes",
            "形状或参数个数与笔记不一致",
        ),
    },
    reachable={
        "depends": {"example": [6, 3, 4, 3]},
        "fails": {"parameters": 421641},
    },
    sources=("Dumoulin & Visin 2016, “A guide to convolution arithmetic for deep learning”, §2",),
    texts={
        "image: {}": "图像：{}",
        "conv 3×3: {}": "卷积 3×3：{}",
        "ReLU: {}": "ReLU：{}",
        "max pool: {}": "最大池化：{}",
        "flatten: {}": "展平：{}",
        "dense: {}": "全连接：{}",
        "Parameters of each layer": "各层的参数量",
        "stride {}: {}": "步幅 {}：{}",
    },
)


def side(n: int, k: int, s: int, p: int) -> int:
    """⌊(n + 2p − k) / s⌋ + 1, or 0 where the kernel does not fit."""
    return max((n + 2 * p - k) // s + 1, 0)


def side_by_xla(n: int, k: int, s: int, p: int) -> int:
    """The side of what a convolution gives."""
    x, kernel = (jax.ShapeDtypeStruct((1, 1, a, a), jnp.float32) for a in (n, k))
    out = jax.eval_shape(
        lambda x, w: lax.conv_general_dilated(x, w, (s, s), [(p, p), (p, p)]), x, kernel
    )
    return out.shape[-1]


def average(x: jax.Array) -> jax.Array:
    """Means over 2×2 squares of images (n, height, width, channels)."""
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def measure(setting: dict[str, Any]) -> Measured:
    """The network's rows, the formula, and ReLU against the pool."""
    rows = summarize(CNN(nnx.Rngs(0)))
    shapes = [
        [r.shape[2], r.shape[0], r.shape[1]] if len(r.shape) == 3 else [*r.shape] for r in rows
    ]
    parameters = sum(row.parameters for row in rows)
    largest = np.array(setting["largest"]) - [0, 0, 0, -1]
    cases = [(n + 1, k + 1, s + 1, p) for n, k, s, p in np.ndindex(*largest)]
    n, k, *sides = setting["example"]
    x = jnp.asarray(np.random.default_rng(0).normal(size=(setting["arrays"], 8, 8, 3)), jnp.float32)
    exchanged = jax.nn.relu(max_pool_2x2(x)) != max_pool_2x2(jax.nn.relu(x))
    wrong = sum(a != b for a, b in zip(shapes, setting["notes"]))
    numbers = {
        "shapes_wrong": wrong + abs(len(shapes) - len(setting["notes"])),
        "parameters": parameters,
        "parameters_wrong": abs(parameters - setting["parameters"]),
        "sides_wrong": sum(side_by_xla(n, k, s, 0) != wanted for s, wanted in zip((1, 2), sides)),
        "side_stride_1": side_by_xla(n, k, 1, 0),
        "side_stride_2": side_by_xla(n, k, 2, 0),
        "unseen": n - (2 * (side_by_xla(n, k, 2, 0) - 1) + k),
        "formula_wrong": sum(side(*case) != side_by_xla(*case) for case in cases),
        "first_dense": max(row.parameters for row in rows) / parameters,
        "average_exchange": float((average(jax.nn.relu(x)) != jax.nn.relu(average(x))).mean()),
        "exchange_wrong": int(exchanged.sum()),
    }
    padded = np.array([[1] * (3 - len(s)) + s for s in shapes])
    series = dict(zip(("channels", "height", "width"), padded.T))
    return Measured(numbers, {**series, "parameters": np.array([row.parameters for row in rows])})


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n, few = numbers, threshold["wrong"]
    network = n["shapes_wrong"] <= few and n["parameters_wrong"] <= few
    rest = max(n["sides_wrong"], n["formula_wrong"], n["exchange_wrong"]) <= few
    word = HOLDS if network and rest else DEPENDS if network else FAILS
    shapes, shapes_zh = f"{n['shapes_wrong']} shapes differ.", f"{n['shapes_wrong']} 个形状不一致"
    if not n["shapes_wrong"]:
        shapes, shapes_zh = "Every shape agrees.", "所有形状都一致"
    exchange, exchange_zh = f"{n['exchange_wrong']} values", f"有 {n['exchange_wrong']} 个数值不同"
    if not n["exchange_wrong"]:
        exchange, exchange_zh = "No values", "数值全部相同"
    return Verdict(
        word,
        f"{shapes} There are {n['parameters']:,} parameters, {n['first_dense']:.0%} of them in the "
        f"first dense layer. 6×6 gives {n['side_stride_1']}×{n['side_stride_1']} at stride 1 "
        f"and {n['side_stride_2']}×{n['side_stride_2']} at stride 2. {exchange} differ when ReLU "
        f"and max pool change places; {n['average_exchange']:.0%} do when ReLU and "
        f"average pool change places.",
        f"{shapes_zh}。参数共 {n['parameters']:,} 个，第一个全连接层占 {n['first_dense']:.0%}。"
        f"6×6 在步幅 1 时得 {n['side_stride_1']}×{n['side_stride_1']}，步幅 2 时得 "
        f"{n['side_stride_2']}×{n['side_stride_2']}。ReLU 与最大池化换位后{exchange_zh}，与平均池化"
        f"换位则有 {n['average_exchange']:.0%} 的数值不同。",
    )


NAMES = (
    *("image", "conv 3×3", "ReLU", "max pool", "conv 3×3", "ReLU", "max pool"),
    *("flatten", "dense", "ReLU", "dense"),
)


def draw(figure: Any, measured: Measured) -> None:
    """The layers with their parameters; the example."""
    s = measured.series
    layers, example = style.panels(figure, [4.0, 2.3])
    total = s["parameters"].sum()
    for y, name in enumerate(NAMES):
        c, h, w = (int(s[axis][y]) for axis in ("channels", "height", "width"))
        parameters = int(s["parameters"][y])
        shape = f"{c} × {h} × {w}" if y < 7 else f"{w}"
        layers.text(-0.03, y, f"{name}: {shape}", va="center", ha="right")
        layers.barh(y, parameters / total, color=style.BLUE, height=0.75)
        if parameters:
            inside = parameters > total / 2
            colour = "#F0F0F0" if inside else "#222222"  # greys, which dark pages mirror
            place = parameters / total - 0.02 if inside else parameters / total + 0.02
            text = f"{parameters:,} ({parameters / total:.1%})"
            layers.text(place, y, text, va="center", ha="right" if inside else "left", color=colour)
    layers.set(ylim=(10.6, -0.6), xlim=(-0.62, 1), title="Parameters of each layer")
    layers.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    layers.set_yticks([])
    layers.spines["left"].set_visible(False)
    layers.grid(axis="y", visible=False)
    _draw_example(example)


def _draw_example(axes: Any) -> None:
    from matplotlib.patches import Rectangle

    for left, stride in ((0, 1), (8, 2)):
        for row, column in np.ndindex(6, 6):
            seen = max(row, column) < (6 if stride == 1 else 5)
            face = "white" if seen else "#DDDDDD"
            cell = Rectangle((left + column, row), 1, 1, facecolor=face, edgecolor="#AAAAAA")
            axes.add_patch(cell)
        count = side(6, 3, stride, 0)
        for row, column in np.ndindex(count, count):
            centre = left + stride * column + 1.5, stride * row + 1.5
            axes.plot(*centre, "o", color=style.BLUE, markersize=5)
        kernel = Rectangle((left, 0), 3, 3, fill=False, edgecolor=style.RED, linewidth=2.2)
        axes.add_patch(kernel)
        axes.text(left, -0.35, f"stride {stride}: {count} × {count}", va="bottom")
    axes.set(xlim=(-0.2, 14.2), ylim=(6.2, -1.6))
    axes.set_aspect("equal")
    axes.axis("off")
