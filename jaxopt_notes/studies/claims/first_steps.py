"""Adam's first steps with and without the bias correction: which way do they err?"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from jaxopt_notes.data import load
from jaxopt_notes.losses import cross_entropy
from jaxopt_notes.optimizers import scale_by_adam
from jaxopt_notes.studies import style
from jaxopt_notes.studies.claims.bias_correction import closed_ratio, moments
from jaxopt_notes.studies.inference import at_most, combined, decide, median_interval
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
    number=22,
    title="First steps without bias correction",
    title_zh="没有偏差校正的最初几步",
    kind="comparison",
    claim="Without bias correction the learning rate is too small in the first steps.",
    claim_zh="没有偏差校正会导致最初几步的学习率过小。",
    section="Claims about the optimizers, 9",
    equations=(
        "step without / step with correction = (1 − β1^t) / √(1 − β2^t)",
        "the first step is too large if 1 − β2 < (1 − β1)^2",
    ),
    equations_zh=(
        "不校正的步长 / 校正的步长 = (1 − β1^t) / √(1 − β2^t)",
        "若 1 − β2 < (1 − β1)^2，则第一步偏大",
    ),
    how="Noisy gradients whose mean is not 0 go through the package's Adam. At each step we "
    "divide the length of the uncorrected step, m/√v, by that of the corrected step, m̂/√v̂, for "
    "several pairs of β. Then softmax regression on mnist-12k trains with and without the "
    "correction at Adam's default β and several learning rates, and we compare the training loss "
    "after a few steps.",
    how_zh="把均值不为 0 的带噪梯度输入本包的 Adam。每一步用 m/√v 的长度除以 m̂/√v̂ 的长度，即不"
    "校正的步长是校正后的几倍；再换其他 β。然后在 mnist-12k 上以默认 β 和若干学习率训练 softmax "
    "回归，校正与不校正各训练一次，比较若干步之后的训练损失。",
    setting={
        "seeds": 11,
        "parameters": 200,
        "mean": 1.0,
        "deviation": 0.5,
        "betas": [0.9, 0.999],
        "others": [[0.9, 0.99], [0.9, 0.9], [0.99, 0.999]],
        "steps": 5000,
        "images": 2000,
        "rates": [0.001, 0.01, 0.1],
        "trained": 20,
    },
    quick={"seeds": 6, "parameters": 100, "images": 640},
    measured={
        "step_first": (
            "first step: without correction / with correction",
            "第一步：不校正 / 校正",
        ),
        "step_largest": (
            "largest ratio of any step: without correction / with correction",
            "该比值的最大值",
        ),
        "step_largest_at": (
            "step at which the ratio is largest",
            "比值最大时的步数",
        ),
        "step_first_099": (
            "first step, β = 0.9, 0.99, closed form",
            "第一步，β = 0.9、0.99，解析式",
        ),
        "step_first_09": ("first step, β = 0.9, 0.9, closed form", "第一步，β = 0.9、0.9，解析式"),
        "steps_until_right": (
            "steps until the ratio is within 1 % of 1",
            "比值与 1 相差 1 % 以内所需步数",
        ),
        "closed_error": (
            "largest difference of a ratio from the closed form",
            "比值与解析式的最大差",
        ),
        "loss_least": (
            "training loss after 20 steps, without correction / with it, least learning rate",
            "20 步后训练损失：不校正 / 校正，最小学习率",
        ),
        "loss_largest": (
            "training loss after 20 steps, without correction / with it, largest learning rate",
            "同上，最大学习率",
        ),
    },
    threshold={"off": 0.5},
    rule="With the notes' β (0.9 and 0.999), we compare the uncorrected first step with the "
    "corrected one. Holds if the corrected first step is at least {off:.0%} longer; fails if the "
    "uncorrected first step is at least {off:.0%} longer; else it depends. Not decided if the 95 "
    "% interval contains one of these two limits.",
    rule_zh="按笔记的 β（0.9 与 0.999）比较第一步：若校正的第一步比不校正的至少长 {off:.0%}，则成"
    "立；若不校正的第一步比校正的至少长 {off:.0%}，则不成立；否则视情况而定。若 95 % 区间包含这两"
    "个界限之一，则未定。",
    picture="Above, the ratio of the step without correction to the step with correction, at "
    "each step, on logarithmic axes: with β = 0.9 and 0.999 it starts at 3.2, rises to 6.6 near "
    "step 12 and returns to 1 after thousands of steps; with β2 = 0.9 it starts at 0.3. Below, "
    "training loss with and without correction over the first steps at the largest learning rate.",
    picture_zh="上：不校正与校正的步长之比（双对数坐标）：β = 0.9、0.999 时从 3.2 开始，约第 12 "
    "步升到 6.6，几千步后才回到 1；β2 = 0.9 时从 0.3 开始。下：最大学习率下，校正与不校正时最初几"
    "步的训练损失。",
    remark="v falls short by far more than m, and the step divides by √v, so the uncorrected "
    "steps are too large. Whether the first step is too large or too small depends only on β1 and "
    "β2. It is too large if 1 − β2 < (1 − β1)², too small if β1 = β2, and right by chance with "
    "0.9 and 0.99.",
    remark_zh="v 偏小的程度远大于 m，而步长要除以 v 的平方根，所以不校正的步长偏大。第一步偏大还"
    "是偏小，只取决于 β1 与 β2：1 − β2 < (1 − β1)² 时偏大，β1 = β2 时偏小，0.9 与 0.99 时恰好正"
    "确。",
    sources=("Kingma & Ba 2014, “Adam: A Method for Stochastic Optimization”, §3 and §6.4",),
    findings={
        "holds": (
            "Without bias correction the first step is {step_first:.2f} times as long as it "
            "should be",
            "没有偏差校正时，第一步只有应有值的 {step_first:.2f} 倍",
        ),
        "depends": (
            "Without bias correction the first step is about right: {step_first:.2f} times as "
            "long as it should be",
            "没有偏差校正时，第一步大致正确：是应有值的 {step_first:.2f} 倍",
        ),
        "fails": (
            "Without bias correction the first step is {step_first:.1f} times as long as it "
            "should be, and later steps up to {step_largest:.1f} times",
            "没有偏差校正时，第一步是应有值的 {step_first:.1f} 倍，之后最多达 {step_largest:.1f} "
            "倍",
        ),
        "not decided": (
            "Whether the first step is too small or too large is not decided",
            "第一步偏小还是偏大，尚无定论",
        ),
    },
    reachable={
        "holds": {"betas": [0.9, 0.9]},
        "depends": {"betas": [0.9, 0.99]},
    },
    texts={
        "times": "倍数",
        "Step without / step with correction": "未校正与校正后的步长之比",
        "training loss (nats)": "训练损失（nat）",
        "Softmax regression, α = {}": "softmax 回归，α = {}",
        "with correction": "校正",
        "without": "不校正",
    },
)


def without_correction(b1: float, b2: float) -> optax.GradientTransformation:
    """m / (√v + ε) of the package's Adam."""
    adam = scale_by_adam(b1, b2)

    def update(g: Any, state: Any, params: Any = None) -> Any:
        _, state = adam.update(g, state)
        return state.mu / (jnp.sqrt(state.nu) + 1e-8), state

    return optax.GradientTransformation(adam.init, update)


def training_losses(setting: dict[str, Any]) -> np.ndarray:
    """Loss of softmax regression on all its images: (with or without, rates, seeds, steps + 1)."""
    data = load("mnist-12k")
    n = setting["images"]
    mixed = np.random.default_rng(0).permutation(len(data.train_labels))[:n]
    x = jnp.asarray(data.train_images[mixed].reshape(n, -1) / 255.0, jnp.float32)
    y = jnp.asarray(data.train_labels[mixed])
    rules = (scale_by_adam(*setting["betas"]), without_correction(*setting["betas"]))

    def loss(w: jax.Array, rows: Any = slice(None)) -> jax.Array:
        return cross_entropy(x[rows] @ w, y[rows]).mean()

    def trained(rule: optax.GradientTransformation, rate: jax.Array, key: jax.Array) -> jax.Array:
        def step(carry: Any, key: jax.Array) -> Any:
            w, state = carry
            rows = jax.random.randint(key, (64,), 0, n)
            direction, state = rule.update(jax.grad(loss)(w, rows), state)
            w = w - rate * direction
            return (w, state), loss(w)

        w = jnp.zeros((x.shape[1], 10))
        keys = jax.random.split(key, setting["trained"])
        return jnp.append(loss(w), lax.scan(step, (w, rule.init(w)), keys)[1])

    keys = jax.vmap(jax.random.key)(jnp.arange(setting["seeds"]))
    rates = jnp.asarray(setting["rates"])
    over = [
        jax.jit(
            jax.vmap(
                jax.vmap(lambda rate, key, r=rule: trained(r, rate, key), (None, 0)), (0, None)
            )
        )(rates, keys)
        for rule in rules
    ]
    return np.asarray(over)


def measure(setting: dict[str, Any]) -> Measured:
    """The ratio of steps for each pair of β, and the losses."""
    pairs = [setting["betas"], *setting["others"]]
    t = np.arange(1, setting["steps"] + 1)
    thin = np.unique(np.geomspace(1, len(t), 200).astype(int)) - 1
    series: dict[str, Any] = {"t": t[thin]}
    error, first = 0.0, None
    for b1, b2 in pairs:
        ratio = moments(setting, b1, b2)[2]
        first = ratio if first is None else first
        median = np.median(ratio, 0)
        error = max(error, float(abs(median - closed_ratio(t, b1, b2)).max()))
        series[f"ratio {b1} {b2}"] = median[thin]
    assert first is not None
    losses = training_losses(setting)
    end = losses[1, ..., -1] / losses[0, ..., -1]
    series["with_correction"], series["without"] = np.median(losses[:, -1], axis=1)
    series["rate"] = setting["rates"][-1:]
    wrong = abs(first - 1) > 0.01
    return Measured(
        {
            "step_first": median_interval(first[:, 0]),
            "step_largest": spread(first.max(1)),
            "step_largest_at": int(np.median(first, 0).argmax()) + 1,
            "step_first_099": float(closed_ratio(1, 0.9, 0.99)),
            "step_first_09": float(closed_ratio(1, 0.9, 0.9)),
            "steps_until_right": spread(setting["steps"] + 1 - wrong[:, ::-1].argmax(1)),
            "closed_error": error,
            "loss_least": median_interval(end[0]),
            "loss_largest": median_interval(end[-1]),
        },
        series,
    )


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n, factor = middle(numbers), 1 + threshold["off"]

    def rule(small: bool, large: bool) -> str:
        return HOLDS if small else FAILS if large else DEPENDS

    first = numbers["step_first"]
    return Verdict(
        combined(rule, at_most(first, 1 / factor), decide(first, factor)),
        f"The uncorrected first step is {n['step_first']:.2f} times the corrected one. The ratio "
        f"is largest at step {n['step_largest_at']:.0f}, where it is {n['step_largest']:.1f}, and "
        f"within 1 % of 1 after {n['steps_until_right']:,.0f} steps. After 20 steps of training, "
        f"the loss without correction is {n['loss_least']:.2f} times the loss with it at "
        f"α = 0.001 and {n['loss_largest']:.2f} times at α = 0.1.",
        f"不校正的第一步是校正后的 {n['step_first']:.2f} 倍，最大时为 {n['step_largest']:.1f} 倍"
        f"（第 {n['step_largest_at']:.0f} 步）；{n['steps_until_right']:,.0f} 步之后比值与 1 的"
        f"差才在 1 % 以内。训练 20 步后，不校正的损失在 α = 0.001 时是校正的 "
        f"{n['loss_least']:.2f} 倍，α = 0.1 时是 {n['loss_largest']:.2f} 倍。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """The ratio of steps for each pair of β; the training loss."""
    s, n = measured.series, middle(measured.numbers)
    ratio, loss = style.panels(figure, [2.9, 2.2])
    looks = zip((style.RED, style.BLUE, style.GREEN, style.PURPLE), ("-", "--", "-.", ":"))
    for (name, values), (colour, dashes) in zip(
        ((n, v) for n, v in s.items() if n.startswith("ratio")), looks
    ):
        _, b1, b2 = name.split()
        ratio.plot(s["t"], values, color=colour, linestyle=dashes, label=f"β1 {b1}, β2 {b2}")
    ratio.axhline(1, color="#777777", linewidth=1)
    ratio.plot(1, n["step_first"], "o", color=style.RED)
    ratio.text(1.25, n["step_first"] * 0.86, f"{n['step_first']:.1f}×", va="top", fontsize=8.5)
    peak = n["step_largest_at"], n["step_largest"]
    ratio.plot(*peak, "o", color=style.RED)
    ratio.text(peak[0], peak[1] * 1.15, f"{peak[1]:.1f}×", ha="center", fontsize=8.5)
    ratio.set(title="Step without / step with correction", xlabel="step", xscale="log")
    ratio.set(ylabel="times", yscale="log", ylim=(0.05, 14))
    ratio.set_yticks([0.1, 0.3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
    ratio.legend(loc="lower right")
    loss.plot(s["with_correction"], color=style.BLUE, label="with correction")
    loss.plot(s["without"], color=style.RED, linestyle="--", label="without")
    loss.set(title=f"Softmax regression, α = {s['rate'][0]:g}", xlabel="step")
    loss.set(ylabel="training loss (nats)", yscale="log")
    loss.legend(loc="upper right")
