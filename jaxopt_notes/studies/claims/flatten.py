"""Flatten and reshape: one operation?"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes.models import layer_list
from jaxopt_notes.studies import style
from jaxopt_notes.studies.study import DEPENDS, FAILS, HOLDS, About, Measured, Verdict

ABOUT = About(
    number=18,
    title="Flatten equals reshape",
    title_zh="flatten 等于 reshape",
    kind="identity",
    claim="Flatten, (batch, 1, 28, 28) → (batch, 784), and a reshape to (−1, 784) are one "
    "operation.",
    claim_zh="flatten（(batch, 1, 28, 28) → (batch, 784)）与 reshape 到 (−1, 784) 是同一操作。",
    section="The network and its parts, last row",
    how="Arrays of several shapes go through the network's own flatten and through a reshape to "
    "(−1, features). We compare all values, the gradients through both, and the programs that XLA "
    "gets. Then we count what the claim leaves out: the order of the features, and what (−1, 784) "
    "does to images with three channels.",
    how_zh="多种形状的数组分别经过网络自己的 flatten 与 reshape 到 (−1, 特征数)，比较全部数值、两"
    "者的梯度，以及交给 XLA 的程序。再看这句话没说的：特征的排列顺序，以及 (−1, 784) 对三通道图像"
    "的作用。",
    setting={
        "shapes": [[5, 1, 28, 28], [5, 28, 28, 1], [5, 7, 7, 64], [5, 64, 7, 7], [1, 3, 5, 2]],
        "layout": [7, 7, 64],
        "wrong": [4, 28, 28, 3],
    },
    quick={},
    measured={
        "values": ("values that differ", "不一致的数值个数"),
        "gradients": ("gradients that differ", "不一致的梯度个数"),
        "programs": ("shapes for which the programs differ", "程序不一致的形状个数"),
        "moved": (
            "share of the 3,136 features that have another place with channels last",
            "通道在后时，3136 个特征中换了位置的比例",
        ),
        "moved_one_channel": (
            "the same share for images of 28×28 with one channel",
            "同一比例，单通道 28×28 图像",
        ),
        "wrong_rows": (
            "number of rows when 4 images with 3 channels are reshaped to (−1, 784)",
            "4 张三通道图像 reshape 到 (−1, 784) 后的行数",
        ),
    },
    threshold={"differing": 0},
    rule="Holds if all values, gradients and programs agree; depends if the values and gradients "
    "agree but the programs do not; else it fails.",
    rule_zh="若数值、梯度和程序全部一致则成立；数值与梯度一致而程序不同则视情况而定；否则不成立。",
    picture="Above, an image of 2 × 2 pixels and two channels, and the two rows of eight features "
    "that it flattens to: with channels last the channels alternate, with channels first, one "
    "channel follows the other. Below, four images of three channels: a reshape to (4, −1) gives "
    "four long rows, one for each image; a reshape to (−1, 784) gives twelve short rows, three "
    "for each image.",
    picture_zh="上：一幅 2 × 2 像素、两个通道的图像，以及它展平后的两种结果，各为一行八个特征：通"
    "道在后时两通道交替，通道在前时一个通道接另一个。下：四张三通道图像，reshape 到 (4, −1) 得四"
    "个长行，每张图一行；reshape 到 (−1, 784) 得十二个短行，每张图三行。",
    remark="True, with two traps. First, the layout decides the order of the features: with "
    "channels last, a block of 64 × 7 × 7 flattens to another row. So dense weights need a "
    "permutation to pass between the two layouts (jaxopt_notes.models.from_torch does it). "
    "Second, the −1 is in the wrong place: with three channels, (−1, 784) silently makes three "
    "rows of each image, while (batch, −1) makes one.",
    remark_zh="正确，但有两个陷阱。其一，特征的顺序取决于内存布局：同一个 64 × 7 × 7 块在通道在后"
    "时展成另一行，因此全连接层的权重须经置换才能在两种布局间互用（jaxopt_notes.models.from_torch "
    "会处理）。其二，−1 放错了位置：若有三个通道，(−1, 784) 会悄悄把每张图变成三行，而 (batch, "
    "−1) 只得一行。",
    findings={
        "holds": (
            "Flatten is a reshape, but (−1, 784) turns 4 colour images into {wrong_rows:.0f} rows",
            "flatten 就是 reshape，但 (−1, 784) 会把 4 张彩色图像变成 {wrong_rows:.0f} 行",
        ),
        "depends": (
            "Flatten and reshape give the same values with different programs",
            "flatten 与 reshape 数值相同而程序不同",
        ),
        "fails": ("Flatten and reshape differ", "flatten 与 reshape 不同"),
    },
    sources=("torch.nn.Flatten; numpy.reshape, order C",),
    texts={
        "channel {}": "通道 {}",
        "flattened, channels last": "展平，通道在后",
        "flattened, channels first": "展平，通道在前",
        "(4, −1): 4 rows of {}": "(4, −1)：4 行，每行 {} 个数",
        "{} rows:": "{} 行：",
        "each image became": "每幅图像变成了",
        "three examples": "三个样本",
        "(−1, 784):": "(−1, 784)：",
    },
)


def reshaped(x: jax.Array) -> jax.Array:
    """The notes' reshape, to (−1, features)."""
    return x.reshape(-1, math.prod(x.shape[1:]))


def program(function: Any, x: jax.Array) -> str:
    """What XLA is handed for it."""

    def f(x: jax.Array) -> jax.Array:
        return function(x)

    return jax.jit(f).lower(x).as_text()


def moved(height: int, width: int, channels: int) -> float:
    """Share of the features whose places in the two layouts' rows differ."""
    last = np.arange(height * width * channels).reshape(height, width, channels)
    return float((last.transpose(2, 0, 1).ravel() != last.ravel()).mean())


def measure(setting: dict[str, Any]) -> Measured:
    """All shapes, both ways."""
    rng = np.random.default_rng(0)
    values = gradients = programs = 0
    for shape in setting["shapes"]:
        x = jnp.asarray(rng.normal(size=shape), jnp.float32)
        weights = jnp.asarray(rng.normal(size=(shape[0], math.prod(shape[1:]))), jnp.float32)
        a, b = (
            jax.value_and_grad(lambda x, f=f, w=weights: (f(x) * w).sum())(x)[1]
            for f in (layer_list.flatten, reshaped)
        )
        gradients += int((a != b).sum())
        values += int((layer_list.flatten(x) != reshaped(x)).sum())
        programs += program(layer_list.flatten, x) != program(reshaped, x)
    numbers = {
        "values": values,
        "gradients": gradients,
        "programs": programs,
        "moved": moved(*setting["layout"]),
        "moved_one_channel": moved(28, 28, 1),
        "wrong_rows": jnp.zeros(setting["wrong"]).reshape(-1, 784).shape[0],
    }
    small = np.arange(8).reshape(2, 2, 2)  # row, column, channel
    last, first = layer_list.flatten(jnp.asarray(small[None]))[0], small.transpose(2, 0, 1).ravel()
    return Measured(numbers, {"channels_last": last, "channels_first": first})


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n, few = numbers, threshold["differing"]
    equal = n["values"] <= few and n["gradients"] <= few
    word = HOLDS if equal and n["programs"] <= few else DEPENDS if equal else FAILS
    counts = [n[what] for what in ("values", "gradients", "programs")]
    agree, agree_zh = "All values, gradients and programs agree.", "数值、梯度和程序全部一致。"
    if any(counts):
        agree = f"{counts[0]} values, {counts[1]} gradients and {counts[2]} programs differ."
        agree_zh = f"{counts[0]} 个数值、{counts[1]} 个梯度、{counts[2]} 个程序不同。"
    return Verdict(
        word,
        f"{agree} But {n['moved']:.1%} of the features of a 7 × 7 × 64 block have another place "
        f"with channels last, and (−1, 784) makes {n['wrong_rows']} rows of 4 images with 3 "
        f"channels.",
        f"{agree_zh}但对 7 × 7 × 64 的块，通道在后时，{n['moved']:.1%} 的特征位置不同；(−1, 784) "
        f"把 4 张三通道图像变成 {n['wrong_rows']} 行。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """A small image, and its two rows."""
    axes, trap = style.panels(figure, [3.2, 2.6])
    colours = (style.SKY, style.ORANGE)

    def cell(x: float, y: float, feature: int) -> None:
        place, channel = divmod(int(feature), 2)
        text = f"{'abcd'[place]}{channel + 1}"
        axes.add_patch(_square(x, y, colours[channel]))
        axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", color="black")

    for feature in range(8):
        place, channel = divmod(feature, 2)
        cell(3 * channel + place % 2, 6 - place // 2, feature)
    axes.text(0, 7.15, "channel 1", va="bottom")
    axes.text(3, 7.15, "channel 2", va="bottom")
    for row, name in enumerate(("channels_last", "channels_first")):
        for i, feature in enumerate(measured.series[name]):
            cell(i, 2.6 - 2.2 * row, feature)
        axes.text(0, 3.7 - 2.2 * row, f"flattened, {name.replace('_', ' ')}", va="bottom")
    axes.set(xlim=(-0.1, 8.1), ylim=(0, 8))
    axes.set_aspect("equal")
    axes.axis("off")

    _draw_trap(trap, round(measured.numbers["wrong_rows"]))


def _draw_trap(axes: Any, rows: int) -> None:
    """Four images of three channels: (4, −1), and (−1, 784), which has that many rows."""
    from matplotlib.patches import Rectangle

    colours = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE)
    for left, count, title in ((0, 4, "(4, −1): 4 rows of 2,352"), (9, rows, "(−1, 784):")):
        height, width = (1.5, 7.5) if count == 4 else (6 / rows, 2.5)
        for row in range(count):
            colour = colours[row * 4 // count]
            corner = left, 6 - height * (row + 1)
            axes.add_patch(Rectangle(corner, width, height, facecolor=colour, edgecolor="white"))
        axes.text(left, 6.2, title, va="bottom")
    axes.text(12, 3, f"{rows} rows:\neach image became\nthree examples", va="center")
    axes.set(xlim=(-0.2, 17.5), ylim=(-0.2, 7.2))
    axes.axis("off")


def _square(x: float, y: float, colour: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="white", linewidth=1.5)
