"""Adam's first steps with and without the bias correction: which way does it err?"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxopt_notes.optimizers import scale_by_adam
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
    number=7,
    title="First steps without bias correction",
    title_zh="没有偏差修正的最初几步",
    claim="Without bias correction early m and v are too small, which distorts the first steps.",
    claim_zh="没有偏差修正时，早期的 m 和 v 偏小，使最初几步失真。",
    section="Claims about the optimizers, 9",
    equations=(
        "E[m_t] = (1 − β1^t) E[g], E[v_t] = (1 − β2^t) E[g^2]",
        "step without / step with correction = (1 − β1^t) / √(1 − β2^t)",
        "first step too large where 1 − β2 < (1 − β1)^2",
    ),
    how="Noisy gradients with a mean go through the package's Adam. At each step its m and v, as "
    "they are, are held against what they estimate, and m/√v against m̂/√v̂: that is how many "
    "times "
    "the step without correction is the one with it. The same with other β.",
    how_zh="把有均值的带噪梯度输入本包的 Adam。每一步把未修正的 m、v 与它们所估计的量比较，"
    "并把 m/√v 与 m̂/√v̂ 比较，即不修正的步长是修正后的几倍。再换其他 β 重复。",
    setting={
        "seeds": 11,
        "parameters": 200,
        "mean": 1.0,
        "deviation": 0.5,
        "betas": [[0.9, 0.999], [0.9, 0.99], [0.9, 0.9], [0.99, 0.999]],
        "steps": 5000,
    },
    quick={"seeds": 5, "parameters": 100},
    measured={
        "m_first": ("m after one step over the mean gradient", "一步后 m 与平均梯度之比"),
        "v_first": ("v after one step over E[g²]", "一步后 v 与 E[g²] 之比"),
        "step_first": (
            "first step without over with correction, β = 0.9, 0.999",
            "第一步：不修正/修正，β = 0.9、0.999",
        ),
        "step_largest": ("the largest such ratio", "该比值的最大值"),
        "step_first_099": ("first step, β = 0.9, 0.99", "第一步，β = 0.9、0.99"),
        "step_first_09": ("first step, β = 0.9, 0.9", "第一步，β = 0.9、0.9"),
        "steps_until_right": (
            "steps until the ratio is within 1 % of 1, β = 0.9, 0.999",
            "比值与 1 相差 1 % 以内所需步数，β = 0.9、0.999",
        ),
        "closed_error": (
            "largest difference of a ratio from the closed form",
            "比值与解析式的最大差",
        ),
    },
    threshold={"small": 0.5, "factor": 1.5},
    rule="By the notes' own β (0.9 and 0.999): holds if after one step m and v are both below "
    "{small:g} of what they estimate, and the first step is off by a factor of {factor:g} or more, "
    "either way. Depends if only one of the two is so; fails if neither.",
    rule_zh="按笔记自己的 β（0.9 与 0.999）：若一步后 m、v 都不到其估计量的 {small:g} 倍，"
    "且第一步偏差达到 {factor:g} 倍以上（偏大或偏小），则成立；只满足其一则视情况而定；都不满足则不"
    "成立。",
    picture="Above, m and v over what they estimate: both rise from near 0 to 1, v a hundred times "
    "later. Below, the step without correction over the step with it: with the usual β it starts "
    "at "
    "3.2, rises to 6.6 near step 12 and comes back to 1 after thousands; with β2 = 0.9 it starts "
    "at 0.3 and is too small.",
    picture_zh="上：m、v 与其估计量之比，都从接近 0 升到 1，v 慢一百倍。下："
    "不修正与修正的步长之比，"
    "用常见 β 时从 3.2 开始，约第 12 步时升到 6.6，几千步后才回到 1；β2 = 0.9 时从 0.3 开始，偏小。"
    "",
    remark="Both are too small, and yet the steps are too large: v is the smaller by far, and it "
    "stands below. The reader may take the sentence for the contrary. Which way it errs hangs on β "
    "alone: too large where 1 − β2 < (1 − β1)², too small where β1 = β2, and with β = 0.9 and 0.99 "
    "the first step happens to be right.",
    remark_zh="两者都偏小，步长却偏大：v 小得更多，而它在分母上；读者可能理解成相反的意思。往哪边偏"
    "只取决于 β："
    "1 − β2 < (1 − β1)² 时偏大；β1 = β2 时偏小；β = 0.9、0.99 时第一步恰好正确。",
    sources=("Kingma & Ba 2014, “Adam: A Method for Stochastic Optimization”, §3 and §6.4",),
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


def measure(setting: dict[str, Any]) -> Measured:
    """m, v and the ratio of steps for each pair of β."""
    mean, deviation, steps = setting["mean"], setting["deviation"], setting["steps"]

    def one(seed: jax.Array, b1: float, b2: float) -> Any:
        noise = jax.random.normal(jax.random.key(seed), (steps, setting["parameters"]))
        return uncorrected(mean + deviation * noise, b1, b2)

    run = jax.jit(jax.vmap(one, (0, None, None)), static_argnums=(1, 2))
    seeds, t = jnp.arange(setting["seeds"]), np.arange(1, steps + 1)
    results, series, error = {}, {"t": t}, 0.0
    for b1, b2 in setting["betas"]:
        m, v, ratio = map(np.asarray, run(seeds, b1, b2))
        results[b1, b2] = m / mean, v / (mean**2 + deviation**2), ratio
        error = max(error, abs(np.median(ratio, 0) - closed_ratio(t, b1, b2)).max())
        series[f"ratio {b1} {b2}"] = np.median(ratio, 0)
    m, v, ratio = results[0.9, 0.999]
    series |= {"m": np.median(m, 0), "v": np.median(v, 0)}
    wrong = abs(ratio - 1) > 0.01
    return Measured(
        {
            "m_first": spread(m[:, 0]),
            "v_first": spread(v[:, 0]),
            "step_first": spread(ratio[:, 0]),
            "step_largest": spread(ratio.max(1)),
            "step_first_099": spread(results[0.9, 0.99][2][:, 0]),
            "step_first_09": spread(results[0.9, 0.9][2][:, 0]),
            "steps_until_right": spread(steps + 1 - wrong[:, ::-1].argmax(1)),
            "closed_error": error,
        },
        series,
    )


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n = {name: x["median"] if isinstance(x, dict) else x for name, x in numbers.items()}
    small = max(n["m_first"], n["v_first"]) < threshold["small"]
    factor = max(n["step_first"], 1 / n["step_first"])
    distorted = factor >= threshold["factor"]
    word = HOLDS if small and distorted else DEPENDS if small or distorted else FAILS
    large = n["step_first"] > 1
    return Verdict(
        word,
        f"After one step m is {n['m_first']:.3f} and v {n['v_first']:.4f} of what they estimate, "
        f"and so the first step is {factor:.1f} times too {'large' if large else 'small'}. It is "
        f"right within 1 % only after {n['steps_until_right']:.0f} steps.",
        f"一步后 m 是其估计量的 {n['m_first']:.3f}，v 是 {n['v_first']:.4f}，因此第一步"
        f"{'偏大' if large else '偏小'}到 {factor:.1f} 倍；要到第 {n['steps_until_right']:.0f} "
        "步之后误差才在 1 % 以内。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """m and v; the ratio of steps for each pair of β."""
    s = measured.series
    moments, ratio = style.panels(figure, [2.2, 2.8])
    moments.plot(s["t"], s["m"], color=style.BLUE, label="m / E[g]")
    moments.plot(s["t"], s["v"], color=style.RED, label="v / E[g²]")
    moments.set(title="m and v as they are, β = 0.9, 0.999", xlabel="step", xscale="log")
    moments.set(ylabel="share", ylim=(0, 1.1))
    moments.legend(loc="center right")
    looks = zip((style.RED, style.BLUE, style.GREEN, style.PURPLE), ("-", "--", "-.", ":"))
    for (name, values), (colour, dashes) in zip(
        ((n, v) for n, v in s.items() if n.startswith("ratio")), looks
    ):
        _, b1, b2 = name.split()
        ratio.plot(s["t"], values, color=colour, linestyle=dashes, label=f"β1 {b1}, β2 {b2}")
    ratio.axhline(1, color="#777777", linewidth=1)
    ratio.set(title="Step without / step with correction", xlabel="step", xscale="log")
    ratio.set(ylabel="times", yscale="log")
    ratio.set_yticks([0.1, 0.3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
    ratio.legend(loc="lower right")
