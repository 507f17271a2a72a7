"""Adam's moments before the bias correction; `first_steps` has what follows for the steps."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxopt_notes.optimizers import scale_by_adam
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
)

ABOUT = About(
    number=7,
    title="Early moments without bias correction",
    title_zh="没有偏差校正的早期矩",
    kind="identity",
    claim="Without bias correction, early m and v are too small.",
    claim_zh="没有偏差校正时，早期的 m 和 v 偏小。",
    section="Claims about the optimizers, 9",
    equations=("E[m_t] = (1 − β1^t) E[g], E[v_t] = (1 − β2^t) E[g^2]",),
    how="Noisy gradients whose mean is not 0 go through the package's Adam. At each step we "
    "compare its m and v, before the correction, with what they estimate and with the closed form.",
    how_zh="把均值不为 0 的带噪梯度输入本包的 Adam。在每一步，把校正前的 m、v 与它们所估计的量比"
    "较，也与解析式比较。",
    setting={
        "seeds": 11,
        "parameters": 200,
        "mean": 1.0,
        "deviation": 0.5,
        "betas": [0.9, 0.999],
        "steps": 5000,
    },
    quick={"seeds": 6, "parameters": 100},
    measured={
        "m_first": (
            "m after one step divided by the mean gradient",
            "一步后 m 与平均梯度之比",
        ),
        "v_first": (
            "v after one step divided by E[g²]",
            "一步后 v 与 E[g²] 之比",
        ),
        "m_until": (
            "steps until m / E[g] is within 1 % of 1, closed form",
            "按解析式，m / E[g] 与 1 相差 1 % 以内所需步数",
        ),
        "v_until": (
            "steps until v / E[g²] is within 1 % of 1, closed form",
            "按解析式，v / E[g²] 与 1 相差 1 % 以内所需步数",
        ),
        "closed_error": (
            "largest difference of one of these ratios from 1 − β^t, median over the seeds",
            "两个比值与 1 − β^t 的最大差（种子中位数）",
        ),
    },
    threshold={"small": 0.5},
    rule="Holds if after one step m and v are both at most {small:g} times what they estimate; "
    "depends if only one of them is; fails if neither is. {undecided}",
    rule_zh="若一步后 m、v 都不超过各自所估计的量的 {small:g} 倍则成立；只有其一不超过则视情况而"
    "定；都超过则不成立。{undecided}",
    picture="m and v, each divided by what it estimates, over the steps on logarithmic axes: both "
    "rise to 1 along the closed form, v a hundred times later than m. Marks show both after the "
    "first step: 0.1 and 0.001.",
    picture_zh="m、v 与各自所估计的量之比随步数变化（双对数坐标）：都沿解析式升到 1，v 晚一百倍；"
    "并标出一步之后的值：0.1 与 0.001。",
    remark="Both moments are too small by the same law with different β: m for tens of steps, v "
    "for thousands of steps. Study 22 measures what this does to the first steps: they become too "
    "large, not too small.",
    remark_zh="两者按同一规律偏小，只是 β 不同：m 持续几十步，v 持续几千步。第 22 项检验测量了它"
    "对最初几步的影响：步长偏大，而不是偏小。",
    sources=("Kingma & Ba 2014, “Adam: A Method for Stochastic Optimization”, §3",),
    findings={
        "holds": (
            "After one step, m is {m_first:.2f} and v {v_first:.4f} times what they estimate",
            "一步后，m 是所估计的量的 {m_first:.2f} 倍，v 是 {v_first:.4f} 倍",
        ),
        "depends": ("Only one of m and v starts too small", "m 与 v 中只有一个开始时偏小"),
        "fails": ("Neither m nor v starts too small", "m 与 v 开始时都不偏小"),
        "not decided": (
            "Whether early m and v are too small is not decided",
            "早期 m、v 是否偏小尚无定论",
        ),
    },
    reachable={
        "depends": {"betas": [0.1, 0.999]},
        "fails": {"betas": [0.1, 0.1]},
        "not decided": {"betas": [0.5, 0.999]},
    },
    texts={
        "share of what they estimate": "占所估计值的比例",
        "{} after one step": "第一步之后为 {}",
        "Before correction, both start too small": "校正之前，两者开始时都偏小",
    },
)


def closed_ratio(t: Any, b1: float, b2: float) -> np.ndarray:
    """(1 − β1^t) / √(1 − β2^t)."""
    t = np.asarray(t, float)
    return -np.expm1(t * np.log(b1)) / np.sqrt(-np.expm1(t * np.log(b2)))


def uncorrected(g: jax.Array, b1: float, b2: float) -> tuple[jax.Array, ...]:
    """Means over the parameters, of gradients g (steps, parameters), at each step.

    Returns:
      m, v, and the length of m/√v over that of Adam's own direction m̂/√v̂.
    """
    adam = scale_by_adam(b1, b2, eps=0.0)

    def step(state: Any, g: jax.Array) -> Any:
        right, state = adam.update(g, state)
        without = state.mu / jnp.sqrt(state.nu)
        ratio = jnp.linalg.norm(without) / jnp.linalg.norm(right)
        return state, (state.mu.mean(), state.nu.mean(), ratio)

    return lax.scan(step, adam.init(g[0]), g)[1]


def moments(setting: dict[str, Any], b1: float, b2: float) -> tuple[np.ndarray, ...]:
    """m and v over what they estimate, and the ratio of steps: each (seeds, steps)."""
    mean, deviation, steps = setting["mean"], setting["deviation"], setting["steps"]

    def one(seed: jax.Array) -> Any:
        noise = jax.random.normal(jax.random.key(seed), (steps, setting["parameters"]))
        return uncorrected(mean + deviation * noise, b1, b2)

    m, v, ratio = map(np.asarray, jax.jit(jax.vmap(one))(jnp.arange(setting["seeds"])))
    return m / mean, v / (mean**2 + deviation**2), ratio


def measure(setting: dict[str, Any]) -> Measured:
    """m and v over what they estimate."""
    b1, b2 = setting["betas"]
    m, v, _ = moments(setting, b1, b2)
    t = np.arange(1, setting["steps"] + 1)
    closed = 1 - b1**t, 1 - b2**t
    medians = np.median(m, 0), np.median(v, 0)
    thin = np.unique(np.geomspace(1, len(t), 200).astype(int)) - 1
    return Measured(
        {
            "m_first": median_interval(m[:, 0]),
            "v_first": median_interval(v[:, 0]),
            "m_until": int((closed[0] < 0.99).sum()) + 1,
            "v_until": int((closed[1] < 0.99).sum()) + 1,
            "closed_error": float(max(abs(a - b).max() for a, b in zip(medians, closed))),
        },
        {"t": t[thin], "m": medians[0][thin], "v": medians[1][thin], "betas": [b1, b2]},
    )


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n = middle(numbers)

    def rule(m: bool, v: bool) -> str:
        return HOLDS if m and v else DEPENDS if m or v else FAILS

    parts = [at_most(numbers[f"{which}_first"], threshold["small"]) for which in "mv"]
    return Verdict(
        combined(rule, *parts),
        f"After one step, m is {n['m_first']:.3f} and v {n['v_first']:.4f} times what they "
        f"estimate. By the closed form, m is within 1 % of what it estimates from step "
        f"{n['m_until']:.0f} on, and v from step {n['v_until']:,.0f} on.",
        f"一步后 m 是所估计的量的 {n['m_first']:.3f} 倍，v 是 {n['v_first']:.4f} 倍。按解析式，m "
        f"从第 {n['m_until']:.0f} 步、v 从第 {n['v_until']:,.0f} 步起与所估计的量相差 1 % 以内。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """m and v over the steps."""
    s, n = measured.series, middle(measured.numbers)
    (axes,) = style.panels(figure, [2.8])
    for name, beta, colour in zip("mv", s["betas"], (style.BLUE, style.RED)):
        label = {"m": "m / E[g]", "v": "v / E[g²]"}[name]
        axes.loglog(s["t"], s[name], color=colour, label=label)
        axes.loglog(s["t"], 1 - beta ** s["t"], ":", color=style.BLACK, linewidth=1)
        axes.plot(1, n[f"{name}_first"], "o", color=colour)
        text = f"  {n[f'{name}_first']:.3g} after one step"
        axes.text(1.1, 0.8 * n[f"{name}_first"], text, va="top", fontsize=8.5)
    axes.axhline(1, color="#777777", linewidth=1)
    axes.set(title="Before correction, both start too small", xlabel="step")
    axes.set(ylabel="share of what they estimate", ylim=(5e-4, 2))
    axes.legend(loc="lower right")
