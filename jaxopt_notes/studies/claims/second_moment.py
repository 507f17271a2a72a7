"""Adam's v against the variance of the gradients, made and real."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree

from jaxopt_notes.data import load
from jaxopt_notes.losses import cross_entropy
from jaxopt_notes.optimizers import adam, scale_by_adam
from jaxopt_notes.studies import style
from jaxopt_notes.studies.inference import at_most, combined, median_interval
from jaxopt_notes.studies.study import (
    DEPENDS,
    FAILS,
    HOLDS,
    About,
    Measured,
    Verdict,
    middle,
    spread,
)

ABOUT = About(
    number=6,
    title="Second moment and variance",
    title_zh="二阶矩与方差",
    kind="comparison",
    claim="The second moment v is like a variance.",
    claim_zh="二阶矩 v 类似于方差。",
    section="Claims about the optimizers, 8",
    equations=(
        "E[g^2] = Var(g) + (E g)^2",
        "in a batch of B images: Var(g) = Var(g of one image) / B",
    ),
    equations_zh=(
        "E[g^2] = Var(g) + (E g)^2",
        "批中有 B 张图像：Var(g) = Var(单张图像的 g) / B",
    ),
    how="We feed normally distributed gradients, with variance 1 and several means, to the "
    "package's Adam, and average v̂ over the second half of the steps. Then we take real "
    "gradients of a dense network on mnist-12k, at the start and after training with Adam. Adam "
    "divides each parameter's update by that parameter's own √v. So we compute, for each "
    "parameter, the share of the squared mean in the second moment of a batch gradient. This "
    "share follows from the mean and the variance of single images' gradients. The rule uses the "
    "median over the parameters.",
    how_zh="把方差为 1、均值各异的正态分布梯度输入本包的 Adam，对后一半步的 v̂ 取平均。再取 "
    "mnist-12k 上一个全连接网络的真实梯度，训练开始时与用 Adam 训练之后各取一次。Adam 把每个参数"
    "的更新量除以该参数自己的 √v，因此对每个参数分别计算均值平方在批梯度二阶矩中的份额。这一份额"
    "由单张图像梯度的均值与方差得出。判据取所有参数的中位数。",
    setting={
        "seeds": 25,
        "means": [0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0],
        "steps": 20000,
        "b2": 0.999,
        "batch": 64,
        "batches": [1, 4, 16, 64, 256, 1000, 4000],
        "images": 4000,
        "width": 32,
        "training_steps": 300,
    },
    quick={"seeds": 6, "steps": 4000, "images": 500, "width": 8, "training_steps": 100},
    measured={
        "share_start": (
            "share of the squared mean in the second moment at the start: median over the "
            "parameters, at the rule's batch size",
            "训练开始时二阶矩中均值平方的份额：各参数的中位数，判据所用的批大小",
        ),
        "share_later": (
            "share of the squared mean after training, the rule's batch size",
            "训练之后均值平方的份额，判据所用的批大小",
        ),
        "share_start_1000": (
            "share of the squared mean at the start, batch size 1,000",
            "训练开始时均值平方的份额，批大小 1000",
        ),
        "share_later_1000": (
            "share of the squared mean after training, batch size 1,000",
            "训练之后均值平方的份额，批大小 1000",
        ),
        "batch": (
            "the rule's batch size",
            "判据所用的批大小",
        ),
        "ratio_at_0": ("ratio of v̂ to the variance, mean 0", "均值为 0 时 v̂ 与方差之比"),
        "ratio_at_largest": (
            "ratio of v̂ to the variance at the largest mean, 5 σ",
            "均值最大（5 σ）时 v̂ 与方差之比",
        ),
        "closed_error": (
            "largest relative difference of v̂ from variance + mean²",
            "v̂ 与“方差 + 均值²”的最大相对差",
        ),
    },
    threshold={"share": 0.1},
    rule="v is like a variance if the squared mean is at most {share:.0%} of it. Holds if this is "
    "true for the median parameter of a network at batch size 64, both at the start and after "
    "training; depends if it is true at one of the two times; fails if at neither. {undecided}",
    rule_zh="若均值平方至多占 v 的 {share:.0%}，则 v 类似于方差。批大小 64 时，若取网络各参数的中"
    "位数，在训练开始时与训练后都如此，则成立；只在其中一个时刻如此，则视情况而定；都不如此，则不"
    "成立。{undecided}",
    picture="Above, the ratio of v̂ to the variance, for several means: the dots lie on the "
    "curve 1 + mean², near 1 for small means and at 26 for 5 σ. Below, the share of the squared "
    "mean at each batch size, for the parameters of a network: the line is the median, and the "
    "band is the middle half. At the start the median passes 10 % just before batch 64 and "
    "reaches 89 % at 4,000; after training it is smaller at every batch size.",
    picture_zh="上：v̂ 与方差之比随均值变化，点落在曲线 1 + 均值² 上；均值较小时约为 1，5 σ 处为 "
    "26。下：网络各参数的均值平方份额随批大小变化，线为中位数，色带为居中的一半参数。训练开始时，"
    "中位数在批大小略小于 64 处超过 10 %，到 4000 时达到 89 %；训练之后，各批大小下都更小。",
    remark="v is the uncentred second moment (Kingma & Ba 2014, §2): the variance plus the "
    "squared mean. The difference matters where the mean dominates: there m̂/√v̂ is nearly ±1, "
    "and the length of Adam's steps is nearly α. Centred RMSProp (Graves 2013) divides by the "
    "standard deviation instead, and there its steps can be far longer than α. At batch 64, v is "
    "like a variance after training but not at the start, where the interval of the share is "
    "10.8 % to 12.0 %. With seven seeds the interval was 9 % to 14 % and contained the threshold "
    "of 10 %; we registered 25 seeds after we knew that result.",
    remark_zh="v 是未中心化的二阶矩（Kingma 与 Ba 2014，§2），即方差与均值平方之和。均值占优时差"
    "别很重要：此时 m̂/√v̂ 接近 ±1，Adam 的步长接近 α。中心化 RMSProp（Graves 2013）改为除以标准"
    "差，此时它的步长可以远大于 α。批大小 64 时，训练后 v 类似于方差，开始时则不然：份额的区间为 "
    "10.8 % 到 12.0 %。此前用七个种子时，区间为 9 % 到 14 %，包含 10 % 的阈值；登记 25 个种子时已"
    "知该结果。",
    sources=(
        "Kingma & Ba 2014, “Adam: A Method for Stochastic Optimization”, §2",
        "Graves 2013, “Generating Sequences With Recurrent Neural Networks”, §4.2 (centred)",
    ),
    findings={
        "holds": (
            "At batch {batch:.0f}, v is nearly a variance: the squared mean is only "
            "{share_start:.1%} of it at the start and {share_later:.1%} after training",
            "批大小 {batch:.0f} 时 v 几乎就是方差：均值平方在开始时只占 {share_start:.1%}，训练后"
            "占 {share_later:.1%}",
        ),
        "depends": (
            "At batch {batch:.0f}, the squared mean is {share_start:.0%} of v at the start but "
            "only {share_later:.1%} after training",
            "批大小 {batch:.0f} 时，均值平方在开始时占 v 的 {share_start:.0%}，训练后只占 "
            "{share_later:.1%}",
        ),
        "fails": (
            "At batch {batch:.0f}, v is not a variance: the squared mean is {share_start:.0%} of "
            "it at the start and {share_later:.0%} after training",
            "批大小 {batch:.0f} 时 v 不是方差：均值平方在开始时占 v 的 {share_start:.0%}，训练后"
            "占 {share_later:.0%}",
        ),
        "not decided": (
            "At batch {batch:.0f}, the squared mean is {share_start:.0%} of v at the start and "
            "{share_later:.1%} after training; whether v is like a variance is not decided",
            "批大小 {batch:.0f} 时，均值平方在开始时占 v 的 {share_start:.0%}，训练后占 "
            "{share_later:.1%}；v 是否类似于方差尚无定论",
        ),
    },
    reachable={
        "holds": {"batch": 1},
        "depends": {"batch": 256},
        "fails": {"batch": 4000, "training_steps": 10},
    },
    texts={
        "mean gradient (in σ)": "梯度均值（以 σ 为单位）",
        "v̂ / variance": "v̂ / 方差",
        "variance alone": "仅有方差",
        "Synthetic gradients of variance 1": "合成梯度，方差为 1",
        "1 + mean²": "1 + 均值²",
        "v̂ / variance, measured": "v̂ / 方差，实测",
        "batch size (images)": "批大小（图像数）",
        "mean² / E[g²] (%)": "均值² / E[g²]（%）",
        "10 %: the threshold": "10 %：阈值",
        "batch {}": "批大小 {}",
        "A network's parameters: how much of v is mean²?": "网络的参数：v 中有多少是均值²？",
        "at the start": "训练开始时",
        "after training": "训练后",
    },
)


def mean_v_hat(g: jax.Array, b2: float) -> jax.Array:
    """v̂_t of the package's Adam, averaged over the last half of the gradients (steps, …)."""
    moments = scale_by_adam(b2=b2)

    def step(state: Any, g: jax.Array) -> Any:
        _, state = moments.update(g, state)
        return state, state.nu / (1 - b2**state.count)

    return lax.scan(step, moments.init(g[0]), g)[1][len(g) // 2 :].mean(0)


def share_of_mean(total: Any, squares: Any, n: int, batch: float) -> np.ndarray:
    """(E g)² / E[g²] of a batch's gradient, for each parameter.

    Args:
      total: the sum of n single images' gradients, one a parameter.
      squares: the sum of their squares.
      n: how many.
      batch: images of the batch, drawn with replacement.

    Returns:
      The shares, of the parameters whose gradient is not always 0. The squared mean of n gradients
      is too large by variance / n, which is subtracted.
    """
    total, squares = (np.asarray(x, np.float64) for x in (total, squares))
    total, squares = total[squares > 0], squares[squares > 0]
    variance = np.maximum(squares - total**2 / n, 0) / (n - 1)
    squared = np.maximum((total / n) ** 2 - variance / n, 0)
    return squared / (squared + variance / batch + 1e-300)


def network_sums(setting: dict[str, Any], seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Sums of single images' gradients and of their squares: at the start, and after training."""
    data = load("mnist-12k")
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(data.train_labels))[: setting["images"]]
    x = jnp.asarray(data.train_images[rows].reshape(len(rows), -1) / 255.0, jnp.float32)
    y = jnp.asarray(data.train_labels[rows])
    sizes = (x.shape[1], setting["width"], 10)
    start = [
        (jnp.asarray(rng.normal(0, (2 / a) ** 0.5, (a, b)), jnp.float32), jnp.zeros(b))
        for a, b in itertools.pairwise(sizes)
    ]
    order = np.concatenate([rng.permutation(len(rows)) for _ in range(setting["training_steps"])])
    order = jnp.asarray(order[: setting["training_steps"] * 64].reshape(-1, 64))  # type: ignore[assignment]
    trained = _trained(start, x, y, order)
    return [tuple(map(np.asarray, _sums(p, x, y))) for p in (start, trained)]  # type: ignore[misc]


def _loss(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    (w, b), (u, c) = params
    return cross_entropy(jax.nn.relu(x @ w + b) @ u + c, y).mean()


@jax.jit
def _trained(params: Any, x: jax.Array, y: jax.Array, order: jax.Array) -> Any:
    optimizer = adam(1e-3)

    def step(carry: Any, rows: jax.Array) -> Any:
        params, state = carry
        updates, state = optimizer.update(jax.grad(_loss)(params, x[rows], y[rows]), state, params)
        return (jax.tree.map(jnp.add, params, updates), state), None

    return lax.scan(step, (params, optimizer.init(params)), order)[0][0]


@jax.jit
def _sums(params: Any, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    def one(carry: Any, image: Any) -> Any:
        g = ravel_pytree(jax.grad(_loss)(params, image[0][None], image[1][None]))[0]
        return (carry[0] + g, carry[1] + g**2), None

    zero = jnp.zeros_like(ravel_pytree(params)[0])
    return lax.scan(one, (zero, zero), (x, y))[0]


def measure(setting: dict[str, Any]) -> Measured:
    """v̂ of made gradients, and the share of the squared mean in real ones."""
    means = np.asarray(setting["means"])
    noise = np.random.default_rng(0).normal(size=(setting["steps"], setting["seeds"], len(means)))
    g = jnp.asarray(noise + means, jnp.float32)
    ratio = np.asarray(jax.jit(mean_v_hat, static_argnums=1)(g, setting["b2"]))
    medians = np.median(ratio, axis=0)
    batches = [*setting["batches"], setting["batch"], 1000]
    quartiles = np.array(
        [
            [
                [
                    np.quantile(share_of_mean(*sums, setting["images"], b), (0.25, 0.5, 0.75))
                    for b in batches
                ]
                for sums in network_sums(setting, seed)
            ]
            for seed in range(setting["seeds"])
        ]
    )  # (seeds, start or later, batches, quartiles)
    numbers: dict[str, Any] = {"batch": setting["batch"]}
    series: dict[str, Any] = {"mean": means, "ratio": medians, "batch": setting["batches"]}
    for i, when in enumerate(("start", "later")):
        numbers[f"share_{when}"] = median_interval(quartiles[:, i, -2, 1])
        numbers[f"share_{when}_1000"] = median_interval(quartiles[:, i, -1, 1])
        typical = np.median(quartiles[:, i, :-2], axis=0)
        for j, name in enumerate(("low", "median", "high")):
            series[f"{when}_{name}"] = typical[:, j]
    return Measured(
        {
            **numbers,
            "ratio_at_0": spread(ratio[:, means.argmin()]),
            "ratio_at_largest": spread(ratio[:, means.argmax()]),
            "closed_error": float(abs(medians / (1 + means**2) - 1).max()),
        },
        series,
    )


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n = middle(numbers)

    def rule(start: bool, later: bool) -> str:
        return HOLDS if start and later else DEPENDS if start or later else FAILS

    parts = [at_most(numbers[f"share_{when}"], threshold["share"]) for when in ("start", "later")]
    return Verdict(
        combined(rule, *parts),
        f"At batch {n['batch']:.0f}, the squared mean is {n['share_start']:.1%} of the median "
        f"parameter's second moment at the start and {n['share_later']:.1%} after training; at "
        f"batch 1,000 it is {n['share_start_1000']:.0%} and {n['share_later_1000']:.0%}. For "
        f"synthetic gradients v̂ is {n['ratio_at_0']:.2f} times the variance if their mean is 0, "
        f"and {n['ratio_at_largest']:.1f} times if it is 5 σ.",
        f"批大小 {n['batch']:.0f} 时，取各参数的中位数，二阶矩中的均值平方在训练开始时占 "
        f"{n['share_start']:.1%}，训练后占 {n['share_later']:.1%}；批大小 1000 时分别占 "
        f"{n['share_start_1000']:.0%} 与 {n['share_later_1000']:.0%}。合成梯度中，均值为 0 时 v̂ "
        f"是方差的 {n['ratio_at_0']:.2f} 倍，均值为 5 σ 时是 {n['ratio_at_largest']:.1f} 倍。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """The ratio over the mean; the share by batch size."""
    s = measured.series
    ratio, share = style.panels(figure, [2.4, 2.9])
    mean = np.linspace(0, s["mean"].max(), 200)
    ratio.plot(mean, 1 + mean**2, color=style.RED, label="1 + mean²")
    ratio.plot(s["mean"], s["ratio"], "o", color=style.BLACK, label="v̂ / variance, measured")
    ratio.axhline(1, color="#777777", linewidth=1)
    ratio.text(s["mean"].max(), 1.08, "variance alone", ha="right", va="bottom", fontsize=8.5)
    ratio.set(title="Synthetic gradients of variance 1", xlabel="mean gradient (in σ)")
    ratio.set(ylabel="v̂ / variance", yscale="log")
    ratio.legend(loc="upper left")
    for when, colour in (("start", style.BLUE), ("later", style.ORANGE)):
        label = "at the start" if when == "start" else "after training"
        low, median, high = (100 * s[f"{when}_{name}"] for name in ("low", "median", "high"))
        share.fill_between(s["batch"], low, high, color=colour, alpha=0.2, linewidth=0)
        share.plot(s["batch"], median, "o-", color=colour, label=label)
    share.axhline(10, color="#777777", linewidth=1, linestyle="--")
    share.text(1, 12, "10 %: the threshold", fontsize=8.5)
    batch = measured.numbers["batch"]
    share.axvline(batch, color="#777777", linewidth=1, linestyle=":")
    share.text(batch * 1.1, 92, f"batch {batch:.0f}", fontsize=8.5)
    share.set(title="A network's parameters: how much of v is mean²?", xlabel="batch size (images)")
    share.set(ylabel="mean² / E[g²] (%)", xscale="log", ylim=(0, 100))
    share.legend(loc="center left")
