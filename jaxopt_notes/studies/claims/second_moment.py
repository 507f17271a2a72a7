"""Adam's v against the variance of the gradients, made and real."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxopt_notes.data import load
from jaxopt_notes.losses import cross_entropy
from jaxopt_notes.optimizers import scale_by_adam, sgd
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
    number=6,
    title="Second moment and variance",
    title_zh="二阶矩与方差",
    claim="The second moment v is like a variance.",
    claim_zh="二阶矩 v 类似于方差。",
    section="Claims about the optimizers, 8",
    equations=("E[g^2] = Var(g) + (E g)^2",),
    how="Normal gradients of variance 1 and of several means go through the package's Adam; v̂ is "
    "averaged over the last half of the steps. Then the real ones: softmax regression on "
    "mnist-12k, batches of several sizes, at the start and after some training; measured is which "
    "share of the mean of g² over all batches is the square of the mean gradient, not variance.",
    how_zh="方差为 1、均值不同的正态梯度输入本包的 Adam，v̂ 在后一半步上取平均。再看真实梯度："
    "在 mnist-12k 上做 softmax 回归，取多种批大小，在训练开始时与训练一段之后，"
    "测 g² 的均值中有多大份额来自平均梯度的平方而非方差。",
    setting={
        "seeds": 5,
        "means": [0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0],
        "steps": 20000,
        "b2": 0.999,
        "batches": [16, 64, 256, 1000],
        "images": 10000,
        "training_steps": 300,
    },
    quick={"steps": 8000, "images": 4000, "training_steps": 150},
    measured={
        "ratio_at_0": ("v̂ over the variance where the mean is 0", "均值为 0 时 v̂ 与方差之比"),
        "ratio_at_largest": (
            "v̂ over the variance at the largest mean, 5 σ",
            "均值最大（5 σ）时 v̂ 与方差之比",
        ),
        "least_error": (
            "v̂'s relative difference from the variance, at the best mean",
            "v̂ 与方差的相对差，在最有利的均值处",
        ),
        "largest_error": ("the same at the worst mean", "同上，在最不利的均值处"),
        "closed_error": (
            "largest relative difference of v̂ from variance + mean²",
            "v̂ 与“方差 + 均值²”的最大相对差",
        ),
        "mnist_start": (
            "share of mean² in real gradients, batch 64, at the start",
            "真实梯度中均值²的份额，批大小 64，训练开始时",
        ),
        "mnist_later": (
            "the same after training",
            "同上，训练之后",
        ),
        "mnist_large_batch": (
            "the same at the start with batch 1,000",
            "训练开始时，批大小 1000",
        ),
    },
    threshold={"within": 0.1},
    rule="Holds if v̂ is the variance within {within:.0%} at every mean; fails if at none; else it "
    "depends.",
    rule_zh="若在所有均值下 v̂ 与方差相差都在 {within:.0%} 以内则成立；全都不在则不成立；否则视情况"
    "而定。",
    picture="Above, v̂ over the variance against the mean: dots on the curve 1 + mean², level at "
    "1 while the mean is small and 26 at 5 σ. Below, the share of mean² in real gradients by batch "
    "size: it grows with the batch, and is far smaller after training than at the start.",
    picture_zh="上：v̂ 与方差之比随均值变化，点落在曲线 1 + 均值² 上；均值小时为 1，5 σ 处为 26。"
    "下：真实梯度中均值²的份额随批大小增长，训练后远小于训练开始时。",
    remark="v is the uncentred second moment (Kingma & Ba 2014, §2): the variance and the squared "
    "mean together. The difference is not a quibble: where the mean dominates, m̂/√v̂ is nearly ±1 "
    "and Adam takes full steps; dividing by the standard deviation instead, as centred RMSProp "
    "does, would make them without bound. With small batches, late in training, the word is nearly "
    "right.",
    remark_zh="v 是未中心化的二阶矩（Kingma & Ba 2014，§2），即方差与均值平方之和。这并非咬文嚼字："
    "均值占优时 m̂/√v̂ "
    "接近 ±1，Adam 迈满步；若像中心化 RMSProp 那样除以标准差，步长将没有上界。批较小、训练后期时，"
    "这个说法近乎正确。",
    sources=(
        "Kingma & Ba 2014, “Adam: A Method for Stochastic Optimization”, §2",
        "Graves 2013, “Generating Sequences With Recurrent Neural Networks”, §2.3 (centred)",
    ),
)


def mean_v_hat(g: jax.Array, b2: float) -> jax.Array:
    """v̂_t of the package's Adam, averaged over the last half of the gradients (steps, …)."""
    adam = scale_by_adam(b2=b2)

    def step(state: Any, g: jax.Array) -> Any:
        _, state = adam.update(g, state)
        return state, state.nu / (1 - b2**state.count)

    return lax.scan(step, adam.init(g[0]), g)[1][len(g) // 2 :].mean(0)


def share_of_mean(gradients: np.ndarray) -> float:
    """Σ (mean g)² / Σ mean g² over the coordinates, of gradients (batches, coordinates).

    The squared mean of n gradients is too large by variance / n, which goes out.
    """
    n, second = len(gradients), (gradients**2).mean(0)
    squared = gradients.mean(0) ** 2
    squared = squared - (second - squared) / (n - 1)
    return float(squared.sum() / second.sum())


def mnist_gradients(setting: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of softmax regression for each image, (images, 784 · 10): at first, and later."""
    data = load("mnist-12k")
    n = setting["images"]
    mixed = np.random.default_rng(0).permutation(len(data.train_labels))[:n]
    x = jnp.asarray(data.train_images[mixed].reshape(n, -1) / 255.0, jnp.float32)
    y = jnp.asarray(data.train_labels[mixed])
    optimizer, w = sgd(0.1), jnp.zeros((x.shape[1], 10))

    def loss(w: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
        return cross_entropy(x @ w, y).mean()

    def step(carry: Any, i: jax.Array) -> Any:
        w, state = carry
        rows = (i * 64 + jnp.arange(64)) % n
        updates, state = optimizer.update(jax.grad(loss)(w, x[rows], y[rows]), state)
        return (w + updates, state), None

    trained = lax.scan(step, (w, optimizer.init(w)), jnp.arange(setting["training_steps"]))[0][0]

    def wrong(w: jax.Array) -> np.ndarray:
        """softmax − one-hot, of which an image's gradient is the outer product with it."""
        return np.asarray(jax.nn.softmax(x @ w) - jax.nn.one_hot(y, 10))

    return np.asarray(x), np.stack([wrong(w), wrong(trained)])


def measure(setting: dict[str, Any]) -> Measured:
    """v̂ of made gradients, and the share of the mean in real ones."""
    means = np.asarray(setting["means"])
    noise = np.random.default_rng(0).normal(size=(setting["steps"], setting["seeds"], len(means)))
    g = jnp.asarray(noise + means, jnp.float32)
    ratio = np.asarray(jax.jit(mean_v_hat, static_argnums=1)(g, setting["b2"]))
    x, wrong = mnist_gradients(setting)
    shares = np.array(
        [[share_of_mean(_in_batches(x, w, size)) for size in setting["batches"]] for w in wrong]
    )
    medians = np.median(ratio, axis=0)
    at = setting["batches"].index
    return Measured(
        {
            "ratio_at_0": spread(ratio[:, means.argmin()]),
            "ratio_at_largest": spread(ratio[:, means.argmax()]),
            "least_error": float(abs(medians - 1).min()),
            "largest_error": float(abs(medians - 1).max()),
            "closed_error": float(abs(medians / (1 + means**2) - 1).max()),
            "mnist_start": float(shares[0, at(64)]),
            "mnist_later": float(shares[1, at(64)]),
            "mnist_large_batch": float(shares[0, -1]),
        },
        {
            "mean": means,
            "ratio": medians,
            "batch": np.asarray(setting["batches"]),
            "share_start": shares[0],
            "share_later": shares[1],
        },
    )


def _in_batches(x: np.ndarray, wrong: np.ndarray, size: int) -> np.ndarray:
    count = len(x) // size
    x, wrong = (a[: count * size].reshape(count, size, -1) for a in (x, wrong))
    return np.einsum("bsi,bsk->bik", x, wrong, optimize=True).reshape(count, -1) / size


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n, within = numbers, threshold["within"]
    always, ever = n["largest_error"] <= within, n["least_error"] <= within
    word = HOLDS if always else DEPENDS if ever else FAILS
    zero, largest = n["ratio_at_0"]["median"], n["ratio_at_largest"]["median"]
    return Verdict(
        word,
        f"v̂ is {zero:.2f} of the variance where the mean is 0, and {largest:.1f} times it at a "
        f"mean of 5 σ. Of real gradients' second moment, batch 64, the squared mean is "
        f"{n['mnist_start']:.0%} at the start and {n['mnist_later']:.0%} after training.",
        f"均值为 0 时 v̂ 是方差的 {zero:.2f} 倍，均值为 5 σ 时是 {largest:.1f} 倍。真实梯度（批大小 "
        f"64）的二阶矩中，"
        f"均值平方在训练开始时占 {n['mnist_start']:.0%}，训练后占 {n['mnist_later']:.0%}。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """The ratio over the mean; the share by batch size."""
    s = measured.series
    ratio, share = style.panels(figure, [2.5, 2.5])
    mean = np.linspace(0, s["mean"].max(), 200)
    ratio.plot(mean, 1 + mean**2, color=style.RED, label="1 + mean²")
    ratio.plot(s["mean"], s["ratio"], "o", color=style.BLACK, label="v̂ / variance, measured")
    ratio.axhline(1, color="#777777", linewidth=1)
    ratio.text(s["mean"].max(), 1.08, "variance alone", ha="right", va="bottom", fontsize=8.5)
    ratio.set(title="Made gradients of variance 1", xlabel="mean gradient (in σ)")
    ratio.set(ylabel="v̂ / variance", yscale="log")
    ratio.legend(loc="upper left")
    for when, colour in (("start", style.BLUE), ("later", style.ORANGE)):
        label = "at the start" if when == "start" else "after training"
        share.plot(s["batch"], 100 * s[f"share_{when}"], "o-", color=colour, label=label)
    share.set(title="Real gradients: how much is mean?", xlabel="batch size (images)")
    share.set(ylabel="mean² in E[g²] (%)", xscale="log", ylim=(0, 100))
    share.set_xticks(s["batch"], [f"{b:g}" for b in s["batch"]], minor=False)
    share.minorticks_off()
    share.legend(loc="upper left")
