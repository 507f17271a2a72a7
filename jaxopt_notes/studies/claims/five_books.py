"""One name, five frameworks: where their paths part."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes import optimizers
from jaxopt_notes.conventions import keras, notes, tensorflow1, torch
from jaxopt_notes.studies import style
from jaxopt_notes.studies.study import DEPENDS, FAILS, HOLDS, About, Measured, Verdict
from jaxopt_notes.studies.walks import walk

ABOUT = About(
    number=20,
    title="One name, five formulas",
    title_zh="同名优化器，五种写法",
    kind="comparison",
    claim="RMSProp, AdaGrad and Adam have different formulas in different frameworks: the same "
    "name and the same learning rate do not give the same path.",
    claim_zh="RMSProp、AdaGrad 和 Adam 在不同框架中公式不同：名字相同、学习率相同，轨迹却不同。",
    section="Optimizers, the column “beware”",
    equations=(
        "RMSProp: g/√(E + ε) in the notes, g/(√E + ε) in torch; E_0 = 0, but 1 in TensorFlow 1",
        "AdaGrad: G_0 = 0 in the notes and torch, 0.1 in optax, Keras and TensorFlow 1",
        "Adam: ε is added after the correction, but is ε/√(1 − β2^t) in Keras and TensorFlow 1",
    ),
    equations_zh=(
        "RMSProp：笔记为 g/√(E + ε)，torch 为 g/(√E + ε)；E_0 = 0，TensorFlow 1 中为 1",
        "AdaGrad：笔记与 torch 中 G_0 = 0，optax、Keras 与 TensorFlow 1 中为 0.1",
        "Adam：校正之后加 ε，Keras 与 TensorFlow 1 中则为 ε/√(1 − β2^t)",
    ),
    how="For each name, the formulas of the notes, optax, torch, Keras and TensorFlow 1 descend "
    "the same quadratic, from the same start, at the same learning rate, in float64. They do so "
    "three times: with each framework's defaults; with the notes' β and ε for all; and with the "
    "notes' β and ε on the loss divided by a million. Gradients deep in a network can be that "
    "small. For each path we take the largest distance from the notes' path at the same step. We "
    "divide it by the distance travelled: how far the notes' path gets from its start.",
    how_zh="同名的五种公式（笔记、optax、torch、Keras、TensorFlow 1）从同一起点、以同一学习率沿同"
    "一个二次函数下降（float64），共三次：第一次用各框架的默认值；第二次统一使用笔记的 β 和 ε；第"
    "三次在第二次的基础上把损失除以一百万，因为网络深处的梯度可以这样小。对每条轨迹，取它与笔记轨"
    "迹在同一步的最大间距，再除以路程，即笔记轨迹离起点最远的距离。",
    setting={
        "rate": 0.01,
        "steps": 300,
        "start": [1.0, -2.0],
        "curvatures": [1.0, 0.05],
        "tiny": 1e-6,
    },
    quick={},
    measured={
        "rmsprop_defaults": (
            "largest distance, RMSProp, default settings",
            "最大距离，RMSProp，各自默认值",
        ),
        "adagrad_defaults": (
            "largest distance, AdaGrad, default settings",
            "最大距离，AdaGrad，各自默认值",
        ),
        "adam_defaults": (
            "largest distance, Adam, default settings",
            "最大距离，Adam，各自默认值",
        ),
        "rmsprop_same": (
            "largest distance, RMSProp, the same β and ε",
            "最大距离，RMSProp，相同 β 与 ε",
        ),
        "adagrad_same": (
            "largest distance, AdaGrad, the same ε",
            "最大距离，AdaGrad，相同 ε",
        ),
        "adam_same": (
            "largest distance, Adam, the same β and ε",
            "最大距离，Adam，相同 β 与 ε",
        ),
        "rmsprop_tiny": (
            "largest distance, RMSProp, the same β and ε, tiny gradients",
            "最大距离，RMSProp，相同 β 与 ε，微小梯度",
        ),
        "adagrad_tiny": (
            "largest distance, AdaGrad, the same ε, tiny gradients",
            "最大距离，AdaGrad，相同 ε，微小梯度",
        ),
        "adam_tiny": (
            "largest distance, Adam, the same β and ε, tiny gradients",
            "最大距离，Adam，相同 β 与 ε，微小梯度",
        ),
    },
    threshold={"apart": 0.01},
    rule="Holds if, with default settings, each of the three names has a framework whose path "
    "differs from the notes' path by at least {apart:.0%} of the distance travelled; fails if none "
    "of the names has one, not even on tiny gradients; else it depends.",
    rule_zh="若在默认值下，三个名字各有至少一个框架，其轨迹与笔记轨迹的间距不小于路程的 "
    "{apart:.0%}，则成立；若没有一个名字如此，在微小梯度下也没有，则不成立；否则视情况而定。",
    picture="Above, the paths of the five RMSProps from one start, on the loss's contours: the "
    "paths of the notes, optax and Keras coincide; torch and TensorFlow 1 take other paths. "
    "Below, the largest distance from the notes' path for each name and framework, on a "
    "logarithmic axis. Dots are default settings; diamonds are tiny gradients with the same β "
    "and ε; a line marks 1 %.",
    picture_zh="上：五种 RMSProp 从同一起点出发的轨迹与损失等高线，笔记、optax 与 Keras 的轨迹重"
    "合，torch 与 TensorFlow 1 的轨迹偏离它们。下：每个名字、每个框架与笔记轨迹的最大距离（对数坐"
    "标），圆点为各自默认值，菱形为相同 β、ε 下的微小梯度，竖线为 1 %。",
    remark="Adam's paths nearly coincide in all frameworks while gradients are much larger than "
    "ε. docs/optimizers-by-framework.md lists each difference and the argument that selects it; "
    "jaxopt_notes.conventions has each framework's formulas.",
    remark_zh="只要梯度远大于 ε，各框架的 Adam 轨迹几乎重合。docs/optimizers-by-framework.md 列出"
    "每一处差异，以及用哪个参数来选择；jaxopt_notes.conventions 提供各框架的公式。",
    sources=(
        "docs/optimizers-by-framework.md",
        "optax issues 532, 571 and 1389; pytorch issue 23796",
    ),
    findings={
        "holds": (
            "With default settings, the paths of all three optimizers differ by 1 % or more",
            "默认值下，三种优化器的轨迹在各框架间都相差 1 % 以上",
        ),
        "depends": (
            "With default settings RMSProp's paths differ by up to {rmsprop_defaults:.0%} and "
            "AdaGrad's by up to {adagrad_defaults:.0%}; Adam's differ only on tiny gradients",
            "默认值下，RMSProp 的轨迹最多相差 {rmsprop_defaults:.0%}，AdaGrad 最多相差 "
            "{adagrad_defaults:.0%}；Adam 只在梯度极小时才有差异",
        ),
        "fails": (
            "All frameworks take the same path",
            "所有框架的轨迹相同",
        ),
    },
    reachable={
        "holds": {"curvatures": [1e-6, 5e-8]},
    },
    texts={
        "RMSProp, default settings, {} steps": "RMSProp 取默认值，{} 步",
        "notes": "笔记",
        "none": "无",
        "largest distance from the notes' path / distance travelled": (
            "与笔记轨迹的最大距离 / 路程"
        ),
        "default settings": "取默认值",
        "tiny g, same ε": "g 极小，ε 相同",
    },
)

BOOKS = ("notes", "optax", "torch", "Keras", "TensorFlow 1")
Make = Callable[[float], Any]


def by_defaults() -> dict[str, dict[str, Make]]:
    """Each name's optimizer in each framework, given a learning rate alone."""
    modules = (notes, optimizers, torch, keras, tensorflow1)
    return {
        name: {book: getattr(module, name) for book, module in zip(BOOKS, modules)}
        for name in ("rmsprop", "adagrad", "adam")
    }


def with_the_same() -> dict[str, dict[str, Make]]:
    """The same with the notes' β = 0.9, or 0.9 and 0.999, and ε = 1e-8, where they exist."""
    e = 1e-8
    return {
        "rmsprop": {
            "notes": lambda a: notes.rmsprop(a, 0.9, e),
            "optax": lambda a: optimizers.rmsprop(a, 0.9, e),
            "torch": lambda a: torch.rmsprop(a, 0.9, e),
            "Keras": lambda a: keras.rmsprop(a, 0.9, epsilon=e),
            "TensorFlow 1": lambda a: tensorflow1.rmsprop(a, 0.9, epsilon=e),
        },
        "adagrad": {
            "notes": lambda a: notes.adagrad(a, e),
            "optax": lambda a: optimizers.adagrad(a, eps=e),
            "torch": lambda a: torch.adagrad(a, eps=e),
            "Keras": lambda a: keras.adagrad(a, epsilon=e),
            "TensorFlow 1": tensorflow1.adagrad,
        },
        "adam": {
            "notes": lambda a: notes.adam(a, epsilon=e),
            "optax": lambda a: optimizers.adam(a, eps=e),
            "torch": lambda a: torch.adam(a, eps=e),
            "Keras": lambda a: keras.adam(a, epsilon=e),
            "TensorFlow 1": lambda a: tensorflow1.adam(a, epsilon=e),
        },
    }


def walked(books: dict[str, Make], setting: dict[str, Any], scale: float) -> dict[str, Any]:
    """Each framework's path: (steps + 1, 2)."""
    paths = {}
    with jax.enable_x64(True):
        start = jnp.asarray(setting["start"])
        slopes = scale * jnp.asarray(setting["curvatures"])
        for book, make in books.items():
            optimizer = make(setting["rate"])
            path = jax.jit(
                lambda o=optimizer: walk(o, lambda x, *_: slopes * x, start, setting["steps"])
            )
            paths[book] = np.asarray(path())
    return paths


def distances(books: dict[str, Make], setting: dict[str, Any], scale: float) -> dict[str, Any]:
    """Of each framework's path from the notes', at each step, as a share of the notes' way."""
    paths = walked(books, setting, scale)
    way = np.linalg.norm(paths["notes"] - paths["notes"][0], axis=-1).max()
    return {b: np.linalg.norm(p - paths["notes"], axis=-1) / way for b, p in paths.items()}


def measure(setting: dict[str, Any]) -> Measured:
    """All paths for all names, three times."""
    numbers: dict[str, Any] = {}
    series: dict[str, Any] = {}
    trials = {
        "defaults": (by_defaults(), 1.0),
        "same": (with_the_same(), 1.0),
        "tiny": (with_the_same(), setting["tiny"]),
    }
    for trial, (table, scale) in trials.items():
        for name, books in table.items():
            apart = distances(books, setting, scale)
            numbers[f"{name}_{trial}"] = max(float(d.max()) for d in apart.values())
            if trial != "same":
                series |= {f"{name} {book} {trial}": d for book, d in apart.items()}
    for book, path in walked(by_defaults()["rmsprop"], setting, 1.0).items():
        series |= {f"path {book} {axis}": path[:, i] for i, axis in enumerate("xy")}
    return Measured(numbers, {**series, "curvatures": setting["curvatures"]})


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    names = ("rmsprop", "adagrad", "adam")
    apart = [numbers[f"{name}_defaults"] >= threshold["apart"] for name in names]
    tiny = [numbers[f"{name}_tiny"] >= threshold["apart"] for name in names]
    word = HOLDS if all(apart) else DEPENDS if any(apart) or any(tiny) else FAILS
    r, g, a = (numbers[f"{name}_defaults"] for name in names)
    adam = f"{a:.5%}" if a < 0.001 else f"{a:.0%}"
    return Verdict(
        word,
        f"With default settings, the largest distance from the notes' path is {r:.0%} of the "
        f"distance travelled for RMSProp, {g:.0%} for AdaGrad and {adam} for Adam. On gradients a "
        f"million times smaller, with the same β and ε, it is {numbers['adam_tiny']:.0%} for Adam.",
        f"默认值下，与笔记轨迹的最大间距：RMSProp 为路程的 {r:.0%}，AdaGrad 为 {g:.0%}，Adam 为 "
        f"{adam}。梯度缩小一百万倍后，即使 β、ε 相同，Adam 的间距也达 {numbers['adam_tiny']:.0%}。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """RMSProp's paths; each framework's largest distance from the notes' path."""
    paths, axes = style.panels(figure, [2.6, 4.8])
    _draw_paths(paths, measured.series)
    least = 1e-11  # stands for 0 on the logarithmic axis
    looks = {
        "defaults": (style.BLUE, "o", "default settings"),
        "tiny": (style.RED, "D", "tiny g, same ε"),
    }
    ticks, labels = [], []
    for i, name in enumerate(("rmsprop", "adagrad", "adam")):
        axes.text(least, -(5 * i) + 0.9, style.LABELS[name], fontweight="bold", va="center")
        for j, book in enumerate(BOOKS[1:]):
            y = -(5 * i + j)
            ticks.append(y)
            labels.append(book)
            for trial, (colour, marker, label) in looks.items():
                far = max(measured.series[f"{name} {book} {trial}"].max(), least)
                label = label if not i and not j else "_"
                hollow = {"markerfacecolor": "none", "markersize": 8} if trial == "tiny" else {}
                axes.plot(far, y, marker, color=colour, label=label, linestyle="none", **hollow)
    axes.axvline(0.01, color="#777777", linewidth=1, linestyle="--")
    axes.text(0.012, -13.9, "1 %", fontsize=8.5)
    axes.set(xscale="log", xlim=(least / 3, 300), ylim=(-14.2, 1.5))
    axes.set_yticks(ticks, labels)
    axes.set_xticks([least, 1e-8, 1e-5, 1e-2, 10], ["none", "10⁻⁸", "10⁻⁵", "0.01", "10"])
    axes.minorticks_off()
    axes.set(xlabel="largest distance from the notes' path / distance travelled")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2)


def _draw_paths(axes: Any, s: Any) -> None:
    a, b = s["curvatures"]
    x, y = np.meshgrid(np.linspace(-0.25, 1.15, 80), np.linspace(-2.15, 0.3, 80))
    axes.contour(x, y, (a * x**2 + b * y**2) / 2, 10, colors="#CCCCCC", linewidths=0.7)
    colours = (style.BLACK, style.SKY, style.BLUE, style.GREEN, style.RED)
    widths = (6.0, 4.2, 2.6, 1.2, 1.8)
    for book, colour, width in zip(BOOKS, colours, widths):
        look = {"color": colour, "linewidth": width, "label": book}
        axes.plot(s[f"path {book} x"], s[f"path {book} y"], **look)
    axes.set(title="RMSProp, default settings, 300 steps", xlabel="x", ylabel="y")
    axes.set(xlim=(-0.25, 1.15), ylim=(-2.15, 0.3))
    axes.legend(loc="upper right")
    axes.grid(False)
