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
    claim="The CNN's shapes are (32, 28, 28), (32, 14, 14), (64, 14, 14), (64, 7, 7), 3136, 128, "
    "10 "
    "with 421,642 parameters; a 6×6 input under a 3×3 kernel gives 4×4 at stride 1 and 2×2 at "
    "stride 2; and pooling needs no ReLU of its own.",
    claim_zh="该 CNN 的形状依次为 (32, 28, 28)、(32, 14, 14)、(64, 14, 14)、(64, 7, 7)、3136、128、"
    "10，共 421,642 个参数；"
    "6×6 输入经 3×3 卷积核，步幅 1 得 4×4，步幅 2 得 2×2；池化之后不需要再加 ReLU。",
    section="The network and its parts",
    equations=("side out = ⌊(n + 2p − k) / s⌋ + 1", "relu(max pool(x)) = max pool(relu(x))"),
    how="The package's CNN is traced layer by layer, and each shape, turned to channels first, is "
    "compared with the notes'. The formula for the side is compared with XLA's own answer for "
    "every input up to 16, kernel up to 5, stride up to 3 and padding up to 2. Pooling and ReLU "
    "are "
    "exchanged on random arrays.",
    how_zh="逐层追踪本包的 CNN，把每个形状换成通道在前后与笔记比较。边长公式与 XLA 的结果比较："
    "输入至 16、卷积核至 5、步幅至 3、填充至 2 的全部组合。在随机数组上交换池化与 ReLU 的次序。",
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
        "example": [6, 3],
        "arrays": 20,
    },
    quick={},
    measured={
        "shapes_wrong": ("layers whose shape is not the notes'", "形状与笔记不符的层数"),
        "parameters": ("parameters", "参数个数"),
        "parameters_wrong": ("difference from the notes' number", "与笔记所写数字之差"),
        "side_stride_1": ("side of 6×6 under 3×3, stride 1", "6×6 经 3×3、步幅 1 的边长"),
        "side_stride_2": ("side of 6×6 under 3×3, stride 2", "6×6 经 3×3、步幅 2 的边长"),
        "unseen": (
            "rows and columns of the 6×6 input that stride 2 never sees",
            "6×6 输入中步幅 2 从未看到的行（列）数",
        ),
        "formula_wrong": ("cases in which the formula is wrong", "公式不成立的情形数"),
        "exchange_wrong": (
            "values that differ when ReLU and max pool change places",
            "ReLU 与最大池化换位后不同的数值个数",
        ),
    },
    threshold={"wrong": 0, "side_1": 4, "side_2": 2},
    rule="Holds if there are no more than {wrong:g} wrong shapes, parameters, formulas and values "
    "and the sides are {side_1:g} and {side_2:g}; fails if shapes or parameters are wrong; else it "
    "depends.",
    rule_zh="若错误的形状、参数、公式与数值都不超过 {wrong:g} 个，且边长为 {side_1:g} 与 "
    "{side_2:g}，则成立；形状或参数有误则不成立；否则视情况而定。",
    picture="Above, the layers one below the other, each a bar as long as the logarithm of its "
    "numbers, with its shape and its parameters: the first dense layer has 95 % of them. Below, "
    "the "
    "6×6 example: the places of a 3×3 kernel at stride 1, sixteen, and at stride 2, four.",
    picture_zh="上：各层自上而下排列，条长为元素数的对数，旁注形状与参数：第一个全连接层占 95 %。"
    "下：6×6 的例子，"
    "3×3 卷积核在步幅 1 时有十六个位置，步幅 2 时有四个。",
    remark="At stride 2 the last row and column of the 6×6 input are never looked at: the floor in "
    "the formula throws them away. That a pool needs no ReLU of its own is right for max pooling, "
    "which commutes with ReLU; an average does not commute, and there the order matters.",
    remark_zh="步幅 2 时，6×6 输入的最后一行和一列从未被看到：公式中的向下取整把它们丢掉了。“池化不"
    "需要 ReLU”对最大池化是对的，"
    "它与 ReLU 可交换；平均池化不可交换，次序就有影响。",
    sources=("Dumoulin & Visin 2016, “A guide to convolution arithmetic for deep learning”, §2",),
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


def measure(setting: dict[str, Any]) -> Measured:
    """The network's rows, the formula, and ReLU against the pool."""
    rows = summarize(CNN(nnx.Rngs(0)))
    shapes = [
        [r.shape[2], r.shape[0], r.shape[1]] if len(r.shape) == 3 else [*r.shape] for r in rows
    ]
    parameters = sum(row.parameters for row in rows)
    largest = np.array(setting["largest"]) - [0, 0, 0, -1]
    cases = [(n + 1, k + 1, s + 1, p) for n, k, s, p in np.ndindex(*largest)]
    n, k = setting["example"]
    x = jnp.asarray(np.random.default_rng(0).normal(size=(setting["arrays"], 8, 8, 3)), jnp.float32)
    exchanged = jax.nn.relu(max_pool_2x2(x)) != max_pool_2x2(jax.nn.relu(x))
    wrong = sum(a != b for a, b in zip(shapes, setting["notes"]))
    numbers = {
        "shapes_wrong": wrong + abs(len(shapes) - len(setting["notes"])),
        "parameters": parameters,
        "parameters_wrong": abs(parameters - setting["parameters"]),
        "side_stride_1": side_by_xla(n, k, 1, 0),
        "side_stride_2": side_by_xla(n, k, 2, 0),
        "unseen": n - (2 * (side_by_xla(n, k, 2, 0) - 1) + k),
        "formula_wrong": sum(side(*case) != side_by_xla(*case) for case in cases),
        "exchange_wrong": int(exchanged.sum()),
    }
    padded = np.array([[1] * (3 - len(s)) + s for s in shapes])
    series = dict(zip(("channels", "height", "width"), padded.T))
    return Measured(numbers, {**series, "parameters": np.array([row.parameters for row in rows])})


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n, few = numbers, threshold["wrong"]
    network = n["shapes_wrong"] <= few and n["parameters_wrong"] <= few
    example = all(n[f"side_stride_{i}"] == threshold[f"side_{i}"] for i in (1, 2))
    rest = example and n["formula_wrong"] <= few and n["exchange_wrong"] <= few
    word = HOLDS if network and rest else DEPENDS if network else FAILS
    return Verdict(
        word,
        f"{n['shapes_wrong']} shapes are wrong; there are {n['parameters']:,} parameters; 6×6 "
        f"gives "
        f"{n['side_stride_1']}×{n['side_stride_1']} and {n['side_stride_2']}×{n['side_stride_2']}; "
        f"{n['exchange_wrong']} values differ when ReLU and max pool change places.",
        f"{n['shapes_wrong']} 个形状有误；参数共 {n['parameters']:,} 个；6×6 得到 "
        f"{n['side_stride_1']}×{n['side_stride_1']} 与 {n['side_stride_2']}×{n['side_stride_2']}；"
        f"ReLU 与最大池化换位后有 {n['exchange_wrong']} 个数值不同。",
    )


NAMES = (
    *("image", "conv 3×3", "ReLU", "max pool", "conv 3×3", "ReLU", "max pool"),
    *("flatten", "dense", "ReLU", "dense"),
)


def draw(figure: Any, measured: Measured) -> None:
    """The layers as bars; the example."""
    s = measured.series
    layers, example = style.panels(figure, [4.0, 2.3])
    sizes = s["channels"] * s["height"] * s["width"]
    for y, (name, size) in enumerate(zip(NAMES, sizes)):
        c, h, w = (int(s[axis][y]) for axis in ("channels", "height", "width"))
        held = int(s["parameters"][y])
        shape = f"{c} × {h} × {w}" if y < 7 else f"{w}"
        layers.barh(y, np.log10(size), color=style.SKY if held else "#CFE3EE", height=0.75)
        layers.text(0.06, y, f"{name}: {shape}", va="center")
        if held:
            layers.text(5.0, y, f"{held:,}", va="center", ha="right")
    layers.text(5.0, -0.9, "parameters", ha="right", va="center", fontstyle="italic")
    layers.set(ylim=(10.6, -1.4), xlim=(0, 5.05), xlabel="numbers in the layer")
    layers.set_xticks(range(5), ["1", "10", "100", "1,000", "10,000"])
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
