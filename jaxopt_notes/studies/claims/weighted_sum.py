"""Adam's averages, unrolled: a weighted sum of all gradients so far."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxopt_notes.optimizers import scale_by_adam
from jaxopt_notes.studies import style
from jaxopt_notes.studies.study import DEPENDS, FAILS, HOLDS, About, Measured, Verdict

ABOUT = About(
    number=5,
    title="The moving average is a weighted sum",
    title_zh="滑动平均就是加权和",
    kind="identity",
    claim="Unrolled, m_t is (1 − β1) Σ β1^{t−i} g_i, and v_t is the same sum with g²: weighted "
    "averages in which newer terms count more.",
    claim_zh="m_t 展开即 (1 − β1) Σ β1^{t−i} g_i，v_t 同理（以 g² 代替 g）：二者都是加权平均，越"
    "新的项权重越大。",
    section="Claims about the optimizers, 7",
    equations=(
        "m_t = β m_{t−1} + (1 − β) g_t, m_0 = 0",
        "m_t = Σ_i w_i g_i with w_i = (1 − β) β^{t−i}",
        "Σ_i w_i = 1 − β^t",
    ),
    equations_zh=(
        "m_t = β m_{t−1} + (1 − β) g_t，m_0 = 0",
        "m_t = Σ_i w_i g_i，其中 w_i = (1 − β) β^{t−i}",
        "Σ_i w_i = 1 − β^t",
    ),
    how="Random gradients go through the package's Adam in float64, with several β. At every step "
    "we compare its m and v with the sums, added term by term. Gradients that are 0 except at one "
    "step show the weights themselves.",
    how_zh="以 float64 将随机梯度输入本包的 Adam，取多个 β；把每一步的 m、v 与逐项计算的加权和比"
    "较。再用只在某一步非零的梯度，直接读出 Adam 的权重。",
    setting={
        "seeds": 5,
        "steps": 300,
        "betas": [0.5, 0.9, 0.99, 0.999],
        "shown": 0.9,
        "weights_after": 40,
    },
    quick={"steps": 100},
    measured={
        "error_m": (
            "largest relative error of the sum for m",
            "m 与加权和的最大相对误差",
        ),
        "error_v": (
            "largest relative error of the sum for v",
            "v 与加权和的最大相对误差",
        ),
        "least_growth": (
            "least relative growth from one weight to the next",
            "相邻权重的最小相对增长",
        ),
        "sum_of_weights": (
            "sum of the weights at β = 0.9 after 10 steps",
            "β = 0.9 时 10 步后的权重之和",
        ),
        "sum_error": (
            "largest difference of a sum of weights from 1 − β^t",
            "权重之和与 1 − β^t 的最大差",
        ),
        "half_life": (
            "steps in which a weight halves, β = 0.9",
            "权重减半所需的步数，β = 0.9",
        ),
    },
    threshold={"error": 1e-12},
    rule="Holds if m and v equal the sums within {error:g} of the largest term, and every weight "
    "is larger than the one before it. Fails if neither m nor v equals its sum; else it depends.",
    rule_zh="若 m、v 与加权和之差都不超过最大项的 {error:g}，且每个权重都大于前一个，则成立；"
    "只有其一相符或权重不递增，则视情况而定；都不相符则不成立。",
    picture="Above, the weight of each of the last 40 gradients for β = 0.9: each step towards "
    "the newest multiplies it by 1/β, and a mark shows where it is half of the newest weight, 6.6 "
    "steps ago. Below, noisy gradients, Adam's m, and the weighted sum as dots, all on m's line.",
    picture_zh="上：β = 0.9 时最近 40 个梯度的权重，每向最新一步靠近一步，权重乘 1/β；并标出 6.6 "
    "步之前权重减半处。下：带噪梯度、Adam 的 m，以及落在 m 曲线上的加权和圆点，无一偏离。",
    remark="The claim is exact. But the weights add up to 1 − β^t, not to 1: m is a weighted "
    "sum, and becomes an average only with the bias correction, or when t is large.",
    remark_zh="此式精确成立。但“平均”一词并不准确：权重之和为 1 − β^t 而不是 1，所以 m 是加权和，"
    "经过偏差校正或 t 很大之后才是平均。",
    sources=("Kingma & Ba 2014, “Adam: A Method for Stochastic Optimization”, §3, equation 1",),
    findings={
        "holds": (
            "m and v are exactly the weighted sums; with β = 0.9 a weight halves every "
            "{half_life:.1f} steps",
            "m 与 v 正是加权和；β = 0.9 时权重每 {half_life:.1f} 步减半",
        ),
        "depends": ("Only one of m and v is the weighted sum", "m 与 v 中只有一个是加权和"),
        "fails": ("Neither m nor v is the weighted sum", "m 与 v 都不是加权和"),
    },
    texts={
        "steps from now": "距当前的步数",
        "weight": "权重",
        "half of the newest, {} steps ago": "{} 步之前，权重减为最新的一半",
        "Weight of each gradient in m, β = 0.9": "各梯度在 m 中的权重，β = 0.9",
        "gradient": "梯度",
        "The recursion equals the sum": "递推与加权和一致",
        "Adam's m": "Adam 的 m",
        "weighted sum": "加权和",
    },
)


def averages(g: jax.Array, beta: float) -> tuple[jax.Array, jax.Array]:
    """(m_t, v_t) of the package's Adam after each of the gradients g (steps, …)."""
    adam = scale_by_adam(beta, beta)

    def step(state: Any, g: jax.Array) -> Any:
        _, state = adam.update(g, state)
        return state, (state.mu, state.nu)

    return lax.scan(step, adam.init(g[0]), g)[1]


def weights(steps: int, beta: float) -> np.ndarray:
    """w_{t,i} = (1 − β) β^{t−i} for i ≤ t, else 0: row t is of m_t."""
    t, i = np.indices((steps, steps))
    return np.where(i <= t, (1 - beta) * beta ** np.maximum(t - i, 0.0), 0.0)


def measure(setting: dict[str, Any]) -> Measured:
    """Adam's averages against the sums."""
    errors_m, errors_v, growth, sums = [], [], [], []
    steps, shown = setting["steps"], setting["weights_after"]
    with jax.enable_x64(True):
        run = jax.jit(averages, static_argnums=1)
        g = np.random.default_rng(0).normal(0.3, 1.0, (steps, setting["seeds"]))
        for beta in setting["betas"]:
            m, v = map(np.asarray, run(jnp.asarray(g), beta))
            w = weights(steps, beta)
            errors_m.append(abs(m - w @ g).max() / abs(g).max())
            errors_v.append(abs(v - w @ g**2).max() / (g**2).max())
            read = np.asarray(run(jnp.eye(shown), beta)[0])  # row t: the weights in m_t
            growth.append((read[-1, 1:] / read[-1, :-1]).min())
            sums.append(abs(read.sum(1) - (1 - beta ** np.arange(1, shown + 1))).max())
            if beta == setting["shown"]:
                path, last, ten = (m[:, 0], (w @ g)[:, 0]), read[-1], read[9].sum()
    return Measured(
        {
            "error_m": float(max(errors_m)),
            "error_v": float(max(errors_v)),
            "least_growth": float(min(growth) - 1),
            "sum_of_weights": float(ten),
            "sum_error": float(max(sums)),
            "half_life": math.log(2) / -math.log(setting["shown"]),
        },
        {"weight": last, "g": g[:100, 0], "m": path[0][:100], "sum": path[1][:100]},
    )


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    equal = [numbers[f"error_{which}"] <= threshold["error"] for which in "mv"]
    whole = all(equal) and numbers["least_growth"] > 0
    word = HOLDS if whole else DEPENDS if any(equal) else FAILS
    n = numbers
    return Verdict(
        word,
        f"The sums equal Adam's averages within {n['error_m']:.0e} (m) and {n['error_v']:.0e} (v); "
        f"each weight exceeds the one before it by at least {n['least_growth']:.2%}. After 10 "
        f"steps at β = 0.9 the weights add up to {n['sum_of_weights']:.3f}, not to 1.",
        f"加权和与 Adam 的平均之差不超过 {n['error_m']:.0e}（m）和 {n['error_v']:.0e}（v）；"
        f"每个权重至少比前一个大 {n['least_growth']:.2%}。β = 0.9 时 10 步后权重之和为 "
        f"{n['sum_of_weights']:.3f}，而不是 1。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """The weights; the average and the sum."""
    s = measured.series
    stems, path = style.panels(figure, [2.0, 2.6])
    age = np.arange(len(s["weight"])) - len(s["weight"]) + 1
    stems.bar(age, s["weight"], color=style.BLUE, width=0.7)
    half, newest = measured.numbers["half_life"], s["weight"][-1]
    stems.plot([-half, 0], [newest / 2, newest / 2], color=style.RED, linewidth=1)
    stems.plot(-half, newest / 2, "o", color=style.RED)
    text = f"half of the newest, {half:.1f} steps ago"
    stems.text(-half - 0.8, newest / 2, text, ha="right", color=style.ink(style.RED), fontsize=8.5)
    stems.set(title="Weight of each gradient in m, β = 0.9", xlabel="steps from now")
    stems.set(ylabel="weight")
    path.plot(s["g"], ".", color="#AAAAAA", markersize=4, label="gradient")
    path.plot(s["m"], color=style.BLUE, label="Adam's m")
    path.plot(s["sum"], "o", color=style.RED, markersize=2.6, label="weighted sum")
    path.set(title="The recursion equals the sum", xlabel="step", ylabel="gradient", xlim=(0, 100))
    path.legend(loc="upper center", ncols=3, bbox_to_anchor=(0.5, 1.02))
    path.set_ylim(top=4)
