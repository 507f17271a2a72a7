"""Entropy, cross-entropy and information gain: limits, and the floor."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes import losses
from jaxopt_notes.optimizers import sgd
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
from jaxopt_notes.studies.walks import walk

ABOUT = About(
    number=17,
    title="Entropy and its floor",
    title_zh="熵与交叉熵的下限",
    kind="identity",
    claim="H is 0 for a certain outcome and largest for a uniform one; minimising the "
    "cross-entropy drives ŷ to y, and its smallest value is H(y).",
    claim_zh="结果确定时 H 为 0，均匀时最大；最小化交叉熵使 ŷ 趋于 y，其最小值为 H(y)。",
    section="Entropy",
    equations=(
        "H(p) = −Σ p log p",
        "L = −Σ y log ŷ = H(y) + KL(y ‖ ŷ), ŷ = softmax(z)",
        "information gain = H(Y) − Σ_g (n_g/n) H(Y in group g)",
    ),
    equations_zh=(
        "H(p) = −Σ p log p",
        "L = −Σ y log ŷ = H(y) + KL(y ‖ ŷ)，ŷ = softmax(z)",
        "信息增益 = H(Y) − Σ_g (n_g/n) H(g 中的 Y)",
    ),
    how="We compute H of certain, uniform and random distributions. Then gradient descent in "
    "float64 minimises L over the logits z, for random soft labels y and for one-hot ones, and we "
    "compare L with H(y). Last, we check that the information gain of random splits lies between "
    "0 and H(Y).",
    how_zh="计算确定、均匀和随机分布的 H。然后以 float64 用梯度下降在 logits z 上最小化 L，y 取随"
    "机软标签与 one-hot，并把 L 与 H(y) 比较。最后对随机划分计算信息增益，检查它在 0 与 H(Y) 之"
    "间。",
    setting={
        "seeds": 11,
        "classes": 10,
        "random": 10000,
        "rate": 2.0,
        "steps": 10000,
        "splits": 500,
    },
    quick={"seeds": 5, "random": 2000, "steps": 3000, "splits": 100},
    measured={
        "certain": (
            "H of a certain outcome (nats)",
            "确定结果的 H（nat）",
        ),
        "uniform": (
            "H of a uniform outcome minus log 10 (nats)",
            "均匀分布的 H 减 log 10（nat）",
        ),
        "above_uniform": (
            "largest H of a random distribution minus log 10 (nats)",
            "随机分布的最大 H 减 log 10（nat）",
        ),
        "below_floor": ("least L − H(y) over random ŷ", "随机 ŷ 下 L − H(y) 的最小值"),
        "soft_gap": ("L − H(y) after minimising, soft labels", "最小化后的 L − H(y)，软标签"),
        "soft_distance": (
            "largest |ŷ − y| after minimising, soft labels",
            "最小化后最大的 |ŷ − y|，软标签",
        ),
        "one_hot_gap": ("L after minimising, one-hot labels", "最小化后的 L，one-hot 标签"),
        "one_hot_power": (
            "exponent p of L ∝ t^p, one-hot labels",
            "指数 p：L ∝ t^p，one-hot 标签",
        ),
        "margin": (
            "margin of the right logit over the others after minimising, one-hot labels",
            "最小化后正确 logit 领先其余的间隔，one-hot 标签",
        ),
        "margin_growth": (
            "growth of the margin when the steps double, divided by log 2, one-hot labels",
            "步数翻倍时间隔的增长除以 log 2，one-hot 标签",
        ),
        "gain_least": ("least information gain of a random split", "随机划分的最小信息增益"),
        "gain_over": (
            "largest information gain minus H(Y)",
            "最大信息增益减 H(Y)",
        ),
    },
    threshold={"rounding": 1e-6, "gap": 1e-6, "distance": 1e-3},
    rule="Two parts. Limits, with a tolerance of {rounding:g}: H of the certain outcome is 0, H "
    "of the uniform one is log 10, no H exceeds log 10, no L is below H(y), and every gain lies "
    "in [0, H(Y)]. Minimum: for soft labels, L comes within {gap:g} of H(y) and ŷ within "
    "{distance:g} of y. Holds if both are true; depends if only the limits are; fails if the "
    "limits are not.",
    rule_zh="两部分。界限（容差 {rounding:g}）：确定结果的 H 为 0，均匀分布的 H 为 log 10，没有 H "
    "超过 log 10，没有 L 低于 H(y)，信息增益都在 [0, H(Y)] 内。最小值：软标签下 L 与 H(y) 相差 "
    "{gap:g} 以内，ŷ 与 y 相差 {distance:g} 以内。两部分都满足则成立；只满足界限则视情况而定；界"
    "限不满足则不成立。",
    picture="Five panels. H of a coin: an arch from 0 over log 2 back to 0. The cross-entropy "
    "for y = 0.3 over ŷ: it touches its floor H(y) only at ŷ = 0.3. L − H(y) over the steps: it "
    "drops steeply for soft labels and falls as 1/t for one-hot ones. The margin of the right "
    "logit: a straight line over the logarithm of the steps. The information gain of a split "
    "between two classes over its place: largest half-way.",
    picture_zh="自上而下：抛硬币的 H，从 0 升到 log 2 再回到 0，呈拱形；y = 0.3 时交叉熵随 ŷ 变化，"
    "仅在 ŷ = 0.3 处触到下限 H(y)；L − H(y) 随步数变化，软标签时急剧下降，one-hot 时按 1/t 下降；"
    "正确 logit 的间隔随步数的对数直线增长；一次划分的信息增益随划分点在两类之间的位置变化，正中"
    "最大。",
    remark="For one-hot y the floor 0 is a limit that no finite logits reach: L falls as 1/t for "
    "ever, and the logits' margin grows as log t. Soudry et al. (2018) show that on separable "
    "data, gradient descent on such losses converges in direction to the maximum-margin solution, "
    "but much more slowly than the loss: logarithmically. They say that this can help explain why "
    "it is useful to go on optimising after the training error is zero and the training loss is "
    "extremely small.",
    remark_zh="y 为 one-hot 时，下限 0 是任何有限 logits 都取不到的极限：L 永远按 1/t 下降，"
    "logits 的间隔按 log t 增长。Soudry 等（2018）证明：在可分数据上，这类损失的梯度下降在方向上"
    "收敛到最大间隔解，但比损失的收敛慢得多，只按对数速度；他们认为这有助于解释为何训练误差为零、"
    "训练损失极小之后继续优化仍有好处。",
    findings={
        "holds": (
            "With soft labels the cross-entropy reaches its floor H(y); with one-hot labels it "
            "falls for ever, and the margin grows as log t",
            "软标签下交叉熵到达下限 H(y)；one-hot 标签下它一直下降，间隔按 log t 增长",
        ),
        "depends": (
            "The limits of entropy hold, but the minimum was not reached",
            "熵的界限成立，但未达到最小值",
        ),
        "fails": ("A limit of entropy is broken", "熵的某个界限不成立"),
    },
    reachable={"depends": {"steps": 5}},
    sources=(
        "Shannon 1948, “A Mathematical Theory of Communication”, §6",
        "Quinlan 1986, “Induction of Decision Trees”, §4",
        "Soudry et al. 2018, “The Implicit Bias of Gradient Descent on Separable Data”",
    ),
    texts={
        "H (nats)": "H（nat）",
        "Entropy of a coin": "抛硬币的熵",
        "L (nats)": "L（nat）",
        "Cross-entropy at y = 0.3": "y = 0.3 时的交叉熵",
        "L − H(y) (nats)": "L − H(y)（nat）",
        "Minimising over the logits": "对 logits 求最小",
        "soft labels": "软标签",
        "one-hot": "one-hot 标签",
        "margin (logits)": "间隔（logits）",
        "One-hot: the margin grows as log t": "one-hot：间隔按 log t 增长",
        "place of the split": "划分的位置",
        "gain (bits)": "增益（比特）",
        "Information gain of a split": "一次划分的信息增益",
    },
)


def minimised(y: jax.Array, rate: float, steps: int) -> tuple[jax.Array, jax.Array]:
    """L of labels y at each step down its gradient in the logits, from 0, and ŷ at the end."""

    def loss(z: jax.Array) -> jax.Array:
        return losses.cross_entropy(z, y)

    path = walk(sgd(rate), lambda z, *_: jax.grad(loss)(z), jnp.zeros_like(y), steps)
    return jax.vmap(loss)(path), jax.nn.softmax(path[-1])


def gains(setting: dict[str, Any], rng: np.random.Generator) -> tuple[float, float]:
    """Least gain, and largest gain − H(Y), of random splits of random labels."""
    labels = jnp.asarray(rng.integers(0, 3, (setting["splits"], 60)))
    groups = jnp.asarray(rng.integers(0, 4, labels.shape))
    gain_of = _many(lambda y, g: losses.information_gain(y, g, classes=3, groups=4))
    itself = _many(lambda y: losses.information_gain(y, y, classes=3, groups=3))
    gain, whole = gain_of(labels, groups), itself(labels)
    return float(gain.min()), float((gain - whole).max())


def _many(function: Any) -> Any:
    return jax.jit(jax.vmap(function))


def split_curve(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Gain in bits of splitting two classes, around −1 and 1, at each place."""
    labels = np.repeat([0, 1], 2000)
    values = rng.normal(2.0 * labels - 1.0, 0.7)
    places = np.linspace(-3, 3, 61)
    gain = _many(lambda p: losses.information_gain(labels, values < p, classes=2, base=2))
    return places, np.asarray(gain(jnp.asarray(places)))


def measure(setting: dict[str, Any]) -> Measured:
    """Limits, minimisation, and gains."""
    rng, k = np.random.default_rng(0), setting["classes"]
    with jax.enable_x64(True):
        many = jnp.asarray(rng.dirichlet(np.full(k, 2.0), setting["random"]))
        y = jnp.asarray(rng.dirichlet(np.full(k, 3.0), setting["seeds"]))
        z = jnp.asarray(rng.normal(0, 2, (setting["random"], k)))
        over = jax.vmap(lambda z: losses.cross_entropy(jnp.broadcast_to(z, y.shape), y))(z)
        run = jax.jit(jax.vmap(lambda y: minimised(y, setting["rate"], setting["steps"])))
        loss, guess = run(y)
        one_hot = np.asarray(run(jnp.eye(k)[:1])[0][0])
        # L = log(1 + (k − 1) e^{−margin}): the other logits are equal.
        margin = np.log(k - 1) - np.log(np.expm1(one_hot))
        floor = np.asarray(losses.entropy(y))
        least, over_whole = gains(setting, rng)
        gap = np.maximum(np.asarray(loss) - floor[:, None], 1e-17)
        t = np.unique(np.geomspace(1, setting["steps"], 100).astype(int))
        p = np.linspace(0, 1, 101)
        coin = np.asarray(losses.entropy(jnp.stack([p, 1 - p], 1)))
        places, curve = split_curve(rng)
        numbers = {
            "certain": float(losses.entropy(jnp.eye(k)[0])),
            "uniform": float(losses.entropy(jnp.full(k, 1 / k)) - np.log(k)),
            "above_uniform": float(losses.entropy(many).max() - np.log(k)),
            "below_floor": float((np.asarray(over) - floor).min()),
            "soft_gap": spread(np.asarray(loss)[:, -1] - floor),
            "soft_distance": spread(abs(np.asarray(guess - y)).max(-1)),
            "one_hot_gap": float(one_hot[-1]),
            "one_hot_power": float(np.log2(one_hot[-1] / one_hot[len(one_hot) // 2])),
            "margin": float(margin[-1]),
            "margin_growth": float((margin[-1] - margin[len(margin) // 2]) / np.log(2)),
            "gain_least": least,
            "gain_over": over_whole,
        }
    series = {"p": p, "coin": coin, "t": t, "soft": np.median(gap, 0)[t], "one_hot": one_hot[t]}
    return Measured(numbers, {**series, "margin": margin[t], "place": places, "gain": curve})


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n, rounding = numbers, threshold["rounding"]
    above = max(n["above_uniform"], -n["below_floor"], -n["gain_least"], n["gain_over"])
    exact = max(abs(n["certain"]), abs(n["uniform"]))
    limits = exact <= rounding and above <= rounding
    gap, distance = n["soft_gap"]["highest"], n["soft_distance"]["highest"]
    reached = abs(gap) <= threshold["gap"] and distance <= threshold["distance"]
    word = HOLDS if limits and reached else DEPENDS if limits else FAILS
    return Verdict(
        word,
        f"H of the certain outcome is {n['certain']:g}. The largest H of a random distribution is "
        f"{-n['above_uniform']:.3f} below log 10. For soft labels, L ends at most {gap:.0e} above "
        f"H(y), and ŷ within {distance:.0e} of y. For one-hot labels, L ends at "
        f"{n['one_hot_gap']:.0e} and falls as t^{n['one_hot_power']:.2f}; the margin ends at "
        f"{n['margin']:.1f} and is still growing.",
        f"确定结果的 H 为 {n['certain']:g}；随机分布中 H 最大者仍比 log 10 低 "
        f"{-n['above_uniform']:.3f}。软标签下 L 最终至多比 H(y) 高 {gap:.0e}，ŷ 与 y 相差不超过 "
        f"{distance:.0e}；one-hot 下 L 仍为 {n['one_hot_gap']:.0e}，按 t^{n['one_hot_power']:.2f} "
        f"下降；间隔为 {n['margin']:.1f}，仍在增长。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """The coin, the floor, the way down, and a split."""
    s = measured.series
    coin, floor, down, margin, split = style.panels(figure, [1.7, 1.9, 2.0, 1.8, 1.7])
    coin.plot(s["p"], s["coin"], color=style.BLUE)
    coin.axhline(np.log(2), color="#777777", linewidth=1)
    coin.text(0.02, np.log(2) - 0.09, "log 2", fontsize=8.5)
    coin.set(title="Entropy of a coin", xlabel="p", ylabel="H (nats)", ylim=(0, 0.8))
    guess, y = np.linspace(0.01, 0.99, 99), 0.3
    h = s["coin"][30]
    floor.plot(guess, -y * np.log(guess) - (1 - y) * np.log(1 - guess), color=style.RED)
    floor.axhline(h, color="#777777", linewidth=1)
    floor.plot(y, h, "o", color=style.BLACK)
    floor.text(0.98, h - 0.06, "H(y)", ha="right", va="top", fontsize=8.5)
    floor.set(title="Cross-entropy at y = 0.3", xlabel="ŷ", ylabel="L (nats)", ylim=(0.3, 2))
    down.loglog(s["t"], s["soft"], color=style.GREEN, label="soft labels")
    down.loglog(s["t"], s["one_hot"], color=style.ORANGE, linestyle="--", label="one-hot")
    down.set(title="Minimising over the logits", xlabel="step", ylabel="L − H(y) (nats)")
    down.set_ylim(bottom=1e-17)
    down.legend(loc="lower left")
    margin.semilogx(s["t"], s["margin"], color=style.ORANGE)
    margin.set(title="One-hot: the margin grows as log t", xlabel="step", ylabel="margin (logits)")
    split.plot(s["place"], s["gain"], color=style.PURPLE)
    split.set(
        title="Information gain of a split", xlabel="place of the split", ylabel="gain (bits)"
    )
