"""One name, five books: where their paths part."""

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
    title="The same name by five books",
    title_zh="同名优化器，五种写法",
    claim="RMSProp, AdaGrad and Adam are other formulas in other books: the same name and the same "
    "rate do not give the same path.",
    claim_zh="RMSProp、AdaGrad 和 Adam 在不同的书（框架）中公式不同：名字相同、学习率相同，轨迹却不"
    "同。",
    section="Optimizers, the column “beware”",
    equations=(
        "RMSProp: g/√(E + ε) here, g/(√E + ε) in torch; E_0 = 0, but 1 in TensorFlow 1",
        "AdaGrad: G_0 = 0 in the notes and torch, 0.1 in optax, Keras and TensorFlow 1",
        "Adam: ε after the correction, but ε/√(1 − β2^t) in Keras and TensorFlow 1",
    ),
    how="The notes', optax's, torch's, Keras' and TensorFlow 1's formula of each name walk down "
    "one "
    "quadratic from one start at one rate, in float64: first with each book's own defaults, then "
    "with the notes' β and ε given to all; then the same on the loss divided by a million, as "
    "gradients deep in a network are. A distance is the largest between two paths, as a share of "
    "the notes' way.",
    how_zh="同名的五种公式（笔记、optax、torch、Keras、TensorFlow 1）从同一起点、以同一学习率沿同一"
    "个二次函数下降（float64）："
    "先用各自默认值，再统一使用笔记的 β 和 ε；然后把损失除以一百万再做一遍，如同网络深处的梯度。"
    "距离指两条轨迹之间的最大间距，以笔记轨迹走过的路程为单位。",
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
            "RMSProp, by defaults: largest distance",
            "RMSProp，各自默认值：最大距离",
        ),
        "adagrad_defaults": ("AdaGrad, by defaults", "AdaGrad，各自默认值"),
        "adam_defaults": ("Adam, by defaults", "Adam，各自默认值"),
        "rmsprop_same": ("RMSProp, the same β and ε", "RMSProp，相同 β 与 ε"),
        "adagrad_same": ("AdaGrad, the same ε", "AdaGrad，相同 ε"),
        "adam_same": ("Adam, the same β and ε", "Adam，相同 β 与 ε"),
        "rmsprop_tiny": (
            "RMSProp, the same β and ε, tiny gradients",
            "RMSProp，相同 β 与 ε，微小梯度",
        ),
        "adagrad_tiny": ("AdaGrad, the same ε, tiny gradients", "AdaGrad，相同 ε，微小梯度"),
        "adam_tiny": ("Adam, the same β and ε, tiny gradients", "Adam，相同 β 与 ε，微小梯度"),
    },
    threshold={"apart": 0.01},
    rule="Holds if, by defaults, some two books are {apart:.0%} of the way apart or more for each "
    "of the three names; fails if for none, tiny gradients included; else it depends.",
    rule_zh="若在默认值下，三个名字中每一个都有两种写法相距达到路程的 {apart:.0%}，则成立；"
    "若（包括微小梯度在内）都没有，则不成立；否则视情况而定。",
    picture="For each name and book the largest distance of its path from the notes', by defaults "
    "(dots) and on tiny gradients with the same β and ε (diamonds), on a logarithmic axis. optax's "
    "RMSProp and Adam and torch's Adam lie at none; torch's and TensorFlow 1's RMSProp and three "
    "books' AdaGrad beyond 1 %; Keras' and TensorFlow 1's Adam only with tiny gradients.",
    picture_zh="每个名字、每种写法与笔记轨迹的最大距离（对数坐标）：圆点为各自默认值，菱形为相同 "
    "β、ε 下的微小梯度。"
    "optax 的 RMSProp 与 Adam、torch 的 Adam 距离为零；torch 与 TensorFlow 1 的 RMSProp、三种写法的"
    " AdaGrad 超过 1 %；"
    "Keras 与 TensorFlow 1 的 Adam 只在微小梯度时才分开。",
    remark="Adam is the same everywhere while gradients are large beside ε. The table of traps in "
    "docs/optimizers-by-framework.md has each difference with what selects it; "
    "jaxopt_notes.conventions goes each book's way.",
    remark_zh="只要梯度远大于 ε，Adam 在各处都一样。docs/optimizers-by-framework.md 列出每一处差异"
    "及其选法；"
    "jaxopt_notes.conventions 按各书的写法运行。",
    sources=(
        "docs/optimizers-by-framework.md",
        "optax issues 532, 571 and 1389; pytorch issue 23796",
    ),
)

BOOKS = ("notes", "optax", "torch", "Keras", "TensorFlow 1")
Make = Callable[[float], Any]


def by_defaults() -> dict[str, dict[str, Make]]:
    """Each name's optimizer in each book, given a rate alone."""
    modules = (notes, optimizers, torch, keras, tensorflow1)
    return {
        name: {book: getattr(module, name) for book, module in zip(BOOKS, modules)}
        for name in ("rmsprop", "adagrad", "adam")
    }


def with_the_same() -> dict[str, dict[str, Make]]:
    """The same with the notes' β = 0.9, or 0.9 and 0.999, and ε = 1e-8, where the book has them."""
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


def distances(books: dict[str, Make], setting: dict[str, Any], scale: float) -> dict[str, Any]:
    """Of each book's path from the notes', at each step, as a share of the notes' way."""
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
    way = np.linalg.norm(paths["notes"] - paths["notes"][0], axis=-1).max()
    return {b: np.linalg.norm(p - paths["notes"], axis=-1) / way for b, p in paths.items()}


def measure(setting: dict[str, Any]) -> Measured:
    """All books' paths for all names, three times."""
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
    return Measured(numbers, series)


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    names = ("rmsprop", "adagrad", "adam")
    apart = [numbers[f"{name}_defaults"] >= threshold["apart"] for name in names]
    tiny = [numbers[f"{name}_tiny"] >= threshold["apart"] for name in names]
    word = HOLDS if all(apart) else DEPENDS if any(apart) or any(tiny) else FAILS
    r, g, a = (numbers[f"{name}_defaults"] for name in names)
    return Verdict(
        word,
        f"By defaults two books come to be {r:.0%} of the way apart for RMSProp, {g:.0%} for "
        f"AdaGrad and {a:.1e} of it for Adam; on gradients a million times smaller Adam's are "
        f"{numbers['adam_tiny']:.0%} apart, with the same β and ε.",
        f"默认值下，两种写法的最大间距：RMSProp 为路程的 {r:.0%}，AdaGrad {g:.0%}，Adam {a:.1e}；"
        f"梯度缩小一百万倍后，即使 β、ε 相同，Adam 也相距 {numbers['adam_tiny']:.0%}。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """Each book's largest distance from the notes' path."""
    (axes,) = style.panels(figure, [5.0])
    least = 1e-11  # stands for 0 on the logarithmic axis
    looks = {
        "defaults": (style.BLUE, "o", "by defaults"),
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
    axes.set(xlabel="largest distance from the notes' path (share of the way)")
    figure.legend(loc="outside upper left", ncols=2)
