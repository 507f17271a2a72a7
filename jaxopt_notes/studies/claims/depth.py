"""Gradients by depth: ReLU and sigmoid, each with two initialisations."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxopt_notes.data import load
from jaxopt_notes.losses import cross_entropy
from jaxopt_notes.models import MLP, pure
from jaxopt_notes.studies import style
from jaxopt_notes.studies.study import (
    DEPENDS,
    FAILS,
    HOLDS,
    About,
    Measured,
    Verdict,
    spread,
)

ABOUT = About(
    number=12,
    title="ReLU and sigmoid by depth",
    title_zh="不同深度下的 ReLU 与 sigmoid",
    kind="comparison",
    claim="ReLU avoids vanishing gradients in deep networks, the sigmoid does not.",
    claim_zh="ReLU 能避免深层网络中的梯度消失，sigmoid 不能。",
    section="The network and its parts, claims",
    equations=(
        "sigmoid′ ≤ ¼; ReLU′ is 0 or 1",
        "variance of weights: He 2/n, LeCun 1/n",
    ),
    how="Dense networks of 64 features a layer and 2 to 32 layers, as they are first initialised, "
    "see 256 images of mnist-12k. Measured is the norm of the loss's gradient in each layer's "
    "weights; the ratio is that of the second layer in a deep network over that of the second "
    "layer "
    "in one of two layers, with the same seed. ReLU with He's "
    "initialisation (the package's) and with LeCun's; the sigmoid with LeCun's (the package's) and "
    "with weights four times as large, which make up for its slope.",
    how_zh="每层 64 个特征、2 至 32 层的全连接网络，在初始化状态下输入 mnist-12k 的 256 张图像，"
    "测损失对每层权重的梯度范数；比值为深层网络的第二层与仅两层网络（同一种子）的第二层之比。ReLU "
    "用 He 初始化（本包默认）和 LeCun 初始化；"
    "sigmoid 用 LeCun 初始化（本包默认）和放大四倍的权重（补偿其斜率）。",
    setting={
        "seeds": 5,
        "images": 256,
        "width": 64,
        "depths": [2, 4, 8, 16, 32],
    },
    quick={"images": 64, "depths": [2, 8, 32]},
    measured={
        "relu": ("ReLU, He's weights: ratio in the deepest", "ReLU，He 初始化：最深网络的比值"),
        "relu_lecun": ("ReLU, LeCun's weights", "ReLU，LeCun 初始化"),
        "sigmoid": ("sigmoid, LeCun's weights", "sigmoid，LeCun 初始化"),
        "sigmoid_larger": ("sigmoid, weights four times as large", "sigmoid，权重放大四倍"),
        "sigmoid_a_layer": (
            "factor a layer, sigmoid, LeCun's weights",
            "sigmoid（LeCun）每层的因子",
        ),
        "relu_lecun_a_layer": ("factor a layer, ReLU, LeCun's weights", "ReLU（LeCun）每层的因子"),
    },
    threshold={"kept": 0.1, "gone": 0.001},
    rule="In the deepest network: holds if ReLU keeps a ratio of {kept:g} or more with both "
    "initialisations and the sigmoid's falls to {gone:g} or less with both; depends if that is so "
    "with the first initialisation of each only; else it fails.",
    rule_zh="在最深的网络中：若 ReLU 在两种初始化下比值都不低于 {kept:g}，且 sigmoid 在两种下都不高"
    "于 {gone:g}，则成立；"
    "只在各自第一种初始化下如此则视情况而定；否则不成立。",
    picture="Above, the norm of each layer's gradient in networks of 32 layers, on a logarithmic "
    "scale: ReLU with He's weights is level near 1, ReLU with LeCun's level too but at a "
    "millionth, the sigmoids fall towards the first layers, with LeCun's weights by some twenty "
    "orders of magnitude. Below, the second layer's gradient over the depth: only ReLU with He's "
    "weights keeps it.",
    picture_zh="上：32 层网络中各层梯度的范数（对数坐标）：He 初始化的 ReLU 稳定在 1 附近，"
    "LeCun 初始化的 ReLU 也平稳，但只有百万分之一，"
    "sigmoid 越往前的层越小，LeCun 初始化时约相差二十个数量级。下：第二层梯度随深度变化，"
    "只有 He 初始化的 ReLU 能保持。",
    remark="Half of what ReLU is credited with is its initialisation: it halves the variance, and "
    "only weights of variance 2/n make up for that (He et al. 2015, §2.2); with the older 1/n its "
    "gradients vanish too, in all layers alike, since signal and gradient both shrink. The "
    "sigmoid's slope is ¼ at most, and no one "
    "factor on the weights mends it for good, since larger weights drive it into saturation "
    "(Glorot "
    "& Bengio 2010). Batch normalisation and residual connections are the other half of the cure.",
    remark_zh="ReLU 的功劳有一半属于初始化：它使方差减半，只有方差为 2/n 的权重才能弥补（He 等 "
    "2015，§2.2）；用旧的 1/n，"
    "各层梯度会一同消失，因为信号与梯度都在缩小。sigmoid 的斜率至多为 ¼，放大权重也不能根治，"
    "因为更大"
    "的权重使它饱和（Glorot 与 Bengio 2010）。"
    "批归一化与残差连接是另一半解药。",
    sources=(
        "Glorot & Bengio 2010, “Understanding the difficulty of training deep feedforward neural "
        "networks”",
        "He, Zhang, Ren & Sun 2015, “Delving Deep into Rectifiers”, §2.2",
        "Hochreiter 1991, “Untersuchungen zu dynamischen neuronalen Netzen”",
    ),
)

# activation, and by how much the package's own initial weights are multiplied
TRIALS = {
    "relu": ("relu", 1.0),
    "relu_lecun": ("relu", 0.5**0.5),
    "sigmoid": ("sigmoid", 1.0),
    "sigmoid_larger": ("sigmoid", 4.0),
}


def norms(activation: str, depth: int, setting: dict[str, Any], x: Any, y: Any) -> np.ndarray:
    """Norm of the loss's gradient in each hidden layer's weights: (trials, seeds, layers)."""
    models = [
        pure(
            MLP(nnx.Rngs(s), x.shape[1:], widths=(setting["width"],) * depth, activation=activation)
        )
        for s in range(setting["seeds"])
    ]
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(m.params for m in models))

    def of_layers(params: Any, factor: jax.Array) -> jax.Array:
        def loss(hidden: Any) -> jax.Array:
            z, _ = models[0].apply({**params, "hidden": hidden}, {}, x)
            return cross_entropy(z, y).mean()

        hidden = jax.tree.map(lambda leaf: factor * leaf, params["hidden"])
        slopes = jax.grad(loss)(hidden)
        return jnp.stack([_norm(slopes[i]["kernel"]) for i in range(depth)])

    over = jax.vmap(jax.vmap(of_layers, (0, None)), (None, 0))
    factors = [factor for named, factor in TRIALS.values() if named == activation]
    return np.asarray(jax.jit(over)(params, jnp.asarray(factors)), np.float64)


def _norm(a: jax.Array) -> jax.Array:
    """Of numbers whose squares float32 could not hold, too."""
    largest = jnp.maximum(abs(a).max(), 1e-37)
    return largest * jnp.linalg.norm(a / largest)


def measure(setting: dict[str, Any]) -> Measured:
    """Norms for each trial, depth and seed."""
    data = load("mnist-12k")
    rows = np.random.default_rng(0).permutation(len(data.train_labels))[: setting["images"]]
    x = jnp.asarray(data.train_images[rows] / 127.5 - 1, jnp.float32)
    y = jnp.asarray(data.train_labels[rows])
    depths, second = setting["depths"], {}
    series: dict[str, Any] = {"depth": np.asarray(depths)}
    for activation in ("relu", "sigmoid"):
        trials = [trial for trial, (named, _) in TRIALS.items() if named == activation]
        for depth in depths:
            for trial, found in zip(trials, norms(activation, depth, setting, x, y)):
                second[trial, depth] = found[:, 1]
                series[f"norm_{trial}"] = np.median(found, axis=0)  # of the deepest, which is last
    numbers: dict[str, Any] = {}
    for trial in TRIALS:
        ratios = [second[trial, depth] / second[trial, depths[0]] for depth in depths]
        numbers[trial] = spread(ratios[-1])
        series[f"ratio_{trial}"] = np.median(ratios, axis=1)
    for trial in ("sigmoid", "relu_lecun"):
        layers = depths[-1] - depths[0]
        numbers[f"{trial}_a_layer"] = numbers[trial]["median"] ** (1 / layers)
    return Measured(numbers, series)


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    ratio = {trial: numbers[trial]["median"] for trial in TRIALS}
    kept = [ratio[trial] >= threshold["kept"] for trial in ("relu", "relu_lecun")]
    gone = [ratio[trial] <= threshold["gone"] for trial in ("sigmoid", "sigmoid_larger")]
    word = HOLDS if all(kept + gone) else DEPENDS if kept[0] and gone[0] else FAILS
    r = {
        trial: f"{value:.0e}" if value < 0.01 else f"{value:.2f}" for trial, value in ratio.items()
    }
    return Verdict(
        word,
        f"Of the second layer's gradient in a network of two layers, the deepest has {r['relu']} "
        f"with ReLU and He's weights, but {r['relu_lecun']} with LeCun's; {r['sigmoid']} with the "
        f"sigmoid and LeCun's weights, {r['sigmoid_larger']} with four times as large ones.",
        f"最深网络第二层梯度与两层网络之比：ReLU（He）{r['relu']}，ReLU（LeCun）{r['relu_lecun']}；"
        f"sigmoid（LeCun）{r['sigmoid']}，sigmoid（权重放大四倍）{r['sigmoid_larger']}。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """Norms by layer; ratios by depth."""
    s = measured.series
    layers, depth = style.panels(figure, [2.6, 2.6])
    looks = {
        "relu": (style.BLUE, "-", "ReLU, He"),
        "relu_lecun": (style.SKY, "--", "ReLU, LeCun"),
        "sigmoid": (style.RED, "-", "sigmoid, LeCun"),
        "sigmoid_larger": (style.ORANGE, "--", "sigmoid, ×4"),
    }
    for trial, (colour, dashes, label) in looks.items():
        norm = s[f"norm_{trial}"]
        look = {"color": colour, "linestyle": dashes, "label": label}
        layers.semilogy(np.arange(2, len(norm) + 1), norm[1:], **look)
        depth.semilogy(s["depth"], s[f"ratio_{trial}"], marker="o", markersize=4, **look)
    layers.set(title=f"Gradient by layer, {len(norm)} layers deep", xlabel="layer")
    layers.set(ylabel="norm of the gradient")
    depth.set(
        title="Second layer's gradient, by depth",
        xlabel="hidden layers",
        ylabel="over that of 2 layers",
    )
    depth.set_xscale("log", base=2)
    depth.set_xticks(s["depth"], [f"{d:g}" for d in s["depth"]])
    figure.legend(*depth.get_legend_handles_labels(), loc="outside lower center", ncols=2)
