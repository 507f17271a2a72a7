"""A target that moves: who follows?"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes.conventions import notes
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
from jaxopt_notes.studies.walks import rates, walk

ABOUT = About(
    number=8,
    title="A target that moves",
    title_zh="移动的目标",
    kind="advice",
    claim="Adam is a good default for non-stationary targets.",
    claim_zh="对于非平稳目标，Adam 是好的默认选择。",
    section="Claims about the optimizers, 10",
    equations=(
        "L_t(x) = Σ ½ h_i (x_i − c_i(t))^2, g = ∇L_t + noise",
        "error = mean of (x − c)^2 over the second half of the steps",
    ),
    how="A quadratic of 16 parameters, curvatures from 1 to 30, with noise in every gradient and a "
    "centre c that moves, in three ways: it drifts, a random walk; it jumps to a new place every "
    "250 steps; it drifts while all gradients are 30 times as large in every second stretch of "
    "250 steps. Each optimizer gets the best of the same rates in each scene, by the median error.",
    how_zh="16 个参数的二次函数，曲率从 1 到 30，梯度带噪声，中心 c 以三种方式移动：随机游走式漂"
    "移；"
    "每 250 步跳到新位置；漂移的同时，每隔一段（250 步）所有梯度放大 30 倍。"
    "每个优化器在每个场景中取同一组学习率里误差中位数最小的一个。",
    setting={
        "seeds": 7,
        "parameters": 16,
        "largest_curvature": 30.0,
        "noise": 1.0,
        "drift": 0.02,
        "jump": 2.0,
        "stretch": 250,
        "scale": 30.0,
        "steps": 3000,
        "rates": [1e-4, 100.0, 49],
    },
    quick={"seeds": 5, "steps": 1500, "rates": [1e-4, 100.0, 19]},
    measured={
        "drift_adam": (
            "Adam's error over the least, target that drifts",
            "漂移：Adam 误差与最小误差之比",
        ),
        "jumps_adam": (
            "Adam's error over the least, target that jumps",
            "跳跃：Adam 误差与最小误差之比",
        ),
        "scales_adam": (
            "Adam's error over the least, gradients of changing scale",
            "梯度尺度变化：Adam 误差与最小误差之比",
        ),
        "drift_adagrad": ("the same of AdaGrad, drift", "漂移：AdaGrad"),
        "jumps_adagrad": ("the same of AdaGrad, jumps", "跳跃：AdaGrad"),
        "scales_adagrad": ("the same of AdaGrad, scales", "尺度变化：AdaGrad"),
        "drift_sgd": ("the same of SGD, drift", "漂移：SGD"),
        "jumps_sgd": ("the same of SGD, jumps", "跳跃：SGD"),
        "scales_sgd": ("the same of SGD, scales", "尺度变化：SGD"),
        "drift_momentum": ("the same of momentum, drift", "漂移：动量"),
        "jumps_momentum": ("the same of momentum, jumps", "跳跃：动量"),
        "scales_momentum": ("the same of momentum, scales", "尺度变化：动量"),
        "drift_rmsprop": ("the same of RMSProp, drift", "漂移：RMSProp"),
        "jumps_rmsprop": ("the same of RMSProp, jumps", "跳跃：RMSProp"),
        "scales_rmsprop": ("the same of RMSProp, scales", "尺度变化：RMSProp"),
        "longer_adagrad": (
            "AdaGrad's error in ten times the steps over that in these, jumps, same rate",
            "跳跃，同一学习率：AdaGrad 跑十倍步数的误差与原误差之比",
        ),
        "longer_adam": ("the same of Adam", "同上：Adam"),
    },
    threshold={"near": 1.25},
    rule="Holds if Adam's error is at most {near:g} times the least of the five optimizers' in all "
    "three scenes (medians); fails if in none; else it depends.",
    rule_zh="若 Adam 的误差在三个场景中都不超过五种优化器最小误差的 {near:g} 倍（中位数），则成立；"
    "一个场景都做不到则不成立；否则视情况而定。",
    picture="Three panels, one a scene: the error of each optimizer over its rate, both on "
    "logarithmic axes, U-shaped curves whose lowest points are what is compared.",
    picture_zh="三幅图，每个场景一幅：各优化器的误差随学习率变化（双对数坐标），U 形曲线，比较的是"
    "各自的最低点。",
    remark="What matters here is a rate that does not vanish and is tuned: plain SGD follows a "
    "quadratic's centre as well as any (it is the LMS filter of Widrow & Hoff), and Adam pays "
    "twice. "
    "β1 = 0.9 makes it lag, as momentum does; β2 = 0.999 remembers a thousand steps, so it is slow "
    "to notice that gradients have changed their size, where RMSProp (β = 0.9) is quick. AdaGrad "
    "follows only because a large rate was chosen for just this many steps: run on, its error "
    "grows, the others' does not. “Non-stationary” in "
    "Adam's paper means what RMSProp mended in AdaGrad; these are quadratics, and say nothing of "
    "networks.",
    remark_zh="这里重要的是学习率不消失且经过调节：普通 SGD 跟随二次函数的中心不逊于任何方法（即 "
    "Widrow 与 Hoff 的 LMS），"
    "而 Adam 付出双重代价：β1 = 0.9 使它像动量一样滞后；β2 = 0.999 记忆约一千步，对梯度尺度的变化反"
    "应迟缓，"
    "而 RMSProp（β = 0.9）反应很快。AdaGrad 能跟上，只因为恰好为这么多步选了大的学习率：继续跑下去"
    "误差就增大，其他方法则不会。Adam 论文中的“非平稳”指 RMSProp 对 "
    "AdaGrad 的改进；这里是二次函数，不能推论到神经网络。",
    sources=(
        "Kingma & Ba 2014, “Adam: A Method for Stochastic Optimization”, abstract and §1",
        "Widrow & Hoff 1960, “Adaptive switching circuits” (LMS)",
        "Duchi, Hazan & Singer 2011, “Adaptive Subgradient Methods”",
    ),
)

OPTIMIZERS = {
    name: getattr(notes, name) for name in ("sgd", "momentum", "adagrad", "rmsprop", "adam")
}
SCENES = ("drift", "jumps", "scales")


def centres(scene: str, setting: dict[str, Any], key: jax.Array) -> jax.Array:
    """c(t), (steps, parameters)."""
    shape = (setting["steps"], setting["parameters"])
    if scene == "jumps":
        places = setting["jump"] * jax.random.normal(key, shape)
        return places[jnp.arange(shape[0]) // setting["stretch"]]
    return setting["drift"] * jax.random.normal(key, shape).cumsum(0)


def error(name: str, scene: str, setting: dict[str, Any], rate: Any, seed: Any) -> jax.Array:
    """Mean (x − c)² over the second half."""
    place, rest = jax.random.split(jax.random.key(seed))
    c = centres(scene, setting, place)
    h = jnp.geomspace(1.0, setting["largest_curvature"], setting["parameters"])

    def gradient(x: jax.Array, t: jax.Array, key: jax.Array) -> jax.Array:
        g = h * (x - c[t]) + setting["noise"] * jax.random.normal(key, x.shape)
        large = (scene == "scales") & (t // setting["stretch"] % 2 == 1)
        return g * jnp.where(large, setting["scale"], 1.0)

    path = walk(OPTIMIZERS[name](rate), gradient, jnp.zeros_like(h), setting["steps"], rest)
    return ((path[1:] - c) ** 2)[setting["steps"] // 2 :].mean()


def measure(setting: dict[str, Any]) -> Measured:
    """Each optimizer in each scene at each rate, over the seeds."""
    tried = rates(setting)
    numbers: dict[str, Any] = {}
    series: dict[str, Any] = {"rate": tried}
    for scene in SCENES:
        best = {}
        for name in OPTIMIZERS:
            errors = all_errors(name, scene, setting, tried)
            median = np.median(np.where(np.isfinite(errors), errors, np.inf), axis=1)
            best[name] = errors[median.argmin()]
            series[f"{scene}_{name}"] = median
        least = min(np.median(errors) for errors in best.values())
        numbers |= {f"{scene}_{name}": spread(e / least) for name, e in best.items()}
    longer = {**setting, "steps": 10 * setting["steps"]}
    for name in ("adagrad", "adam"):
        at = series[f"jumps_{name}"].argmin()
        later = all_errors(name, "jumps", longer, tried[at : at + 1])[0]
        numbers[f"longer_{name}"] = spread(later / series[f"jumps_{name}"][at])
    return Measured(numbers, series)


def all_errors(name: str, scene: str, setting: dict[str, Any], tried: Any) -> np.ndarray:
    """(rates, seeds)."""

    def one(rate: Any, seed: Any) -> jax.Array:
        return error(name, scene, setting, rate, seed)

    run = jax.jit(jax.vmap(jax.vmap(one, (None, 0)), (0, None)))
    return np.asarray(run(jnp.asarray(tried, jnp.float32), jnp.arange(setting["seeds"])))


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    ratio = {name: numbers[name]["median"] for name in numbers}
    near = [ratio[f"{scene}_adam"] <= threshold["near"] for scene in SCENES]
    word = HOLDS if all(near) else DEPENDS if any(near) else FAILS
    adam = [ratio[f"{scene}_adam"] for scene in SCENES]
    leader = [
        style.LABELS[min((ratio[f"{scene}_{name}"], name) for name in OPTIMIZERS)[1]]
        for scene in SCENES
    ]
    return Verdict(
        word,
        f"Adam's error is {adam[0]:.2f} times the least ({leader[0]}) on a drifting target, "
        f"{adam[1]:.2f} times ({leader[1]}) on one that jumps, and {adam[2]:.2f} times "
        f"({leader[2]}) where gradients change their scale.",
        f"Adam 的误差与最小者之比：漂移目标 {adam[0]:.2f}（最小：{leader[0]}），跳跃目标 "
        f"{adam[1]:.2f}"
        f"（{leader[1]}），梯度尺度变化 {adam[2]:.2f}（{leader[2]}）。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """Error over rate, a panel a scene."""
    s = measured.series
    titles = ("It drifts", "It jumps every 250 steps", "It drifts, gradients change scale")
    axes = style.panels(figure, [2.3, 2.1, 2.1])
    for panel, scene, title in zip(axes, SCENES, titles):
        least = min(s[f"{scene}_{name}"].min() for name in OPTIMIZERS)
        for name in OPTIMIZERS:
            shown = np.where(s[f"{scene}_{name}"] < 100 * least, s[f"{scene}_{name}"], np.nan)
            panel.loglog(s["rate"], shown, **style.line(name))
        panel.set(title=title, xlabel="rate α", ylabel="error", xlim=(1e-4, 100))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
