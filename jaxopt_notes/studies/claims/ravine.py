"""Momentum in ravines: how fast, by how steep they are, and how its oscillation dies."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes.optimizers import momentum, sgd
from jaxopt_notes.studies import style
from jaxopt_notes.studies.study import DEPENDS, FAILS, HOLDS, About, Measured, Verdict
from jaxopt_notes.studies.walks import arrival, walk

ABOUT = About(
    number=1,
    title="Momentum in a ravine",
    title_zh="峡谷中的动量",
    kind="comparison",
    claim="Plain SGD oscillates across a ravine; momentum damps that and arrives sooner.",
    claim_zh="普通 SGD 在峡谷两壁之间来回振荡；动量能抑制这种振荡，并更早到达最小值。",
    section="Claims about the optimizers, 1",
    equations=(
        "L(x, y) = ½ (x^2 + κ y^2)",
        "SGD: θ_t = (1 − αλ) θ_{t−1}; along a direction of curvature λ, the factor per step is |1 "
        "− αλ|",
        "momentum: z^2 − (1 + β − (1 − β) αλ) z + β = 0; the factor is max |z|, which is √β if z "
        "is complex",
        "best pair (Polyak): √β = (√κ − 1) / (√κ + 1), which is also the factor",
    ),
    equations_zh=(
        "L(x, y) = ½ (x^2 + κ y^2)",
        "SGD：θ_t = (1 − αλ) θ_{t−1}，沿曲率为 λ 的方向，每步因子为 |1 − αλ|",
        "动量：z^2 − (1 + β − (1 − β) αλ) z + β = 0，每步因子为 max |z|；z 为复数时因子为 √β",
        "最佳组合（Polyak）：√β = (√κ − 1) / (√κ + 1)，每步因子也等于它",
    ),
    how="SGD and momentum descend quadratic ravines of several condition numbers κ. Both try "
    "equally many learning rates, and each keeps the one with which it arrives first. A path has "
    "arrived when its distance stays below 1 % of the distance at the start. At SGD's best "
    "learning rate we measure how fast each optimizer's oscillation across the ravine dies. Then "
    "we measure the factor per step along one direction at many αλ and compare it with the "
    "closed form. Last, we draw the closed form over the plane of step length and β.",
    how_zh="SGD 与动量在多个条件数 κ 的二次峡谷中下降，各自从同样多的学习率中取最早到达的一个；“到"
    "达”指距离降到初始的 1 % 以内且不再离开。在 SGD 的最佳学习率下，测两者的横向振荡衰减得多快。然"
    "后沿单一方向在许多 αλ 处测每步因子并与解析式比较，再把解析式画在步长与 β 的整个平面上。",
    setting={
        "conditions": [10.0, 30.0, 100.0, 300.0, 1000.0],
        "drawn": 100.0,
        "start": [1.0, 0.3],
        "beta": 0.9,
        "tuning_rates": 200,
        "tuning_steps": 4000,
        "grid": [0.01, 40.0, 80],
        "grid_steps": 600,
        "plane": [61, 81],
    },
    quick={"tuning_rates": 60, "tuning_steps": 3000, "grid": [0.01, 40.0, 40]},
    measured={
        "sooner_least": (
            "SGD's steps divided by momentum's: least over κ",
            "SGD 步数与动量步数之比：各 κ 中最小",
        ),
        "sooner_largest": ("the same ratio: largest over κ", "同一比值：各 κ 中最大"),
        "damping_least": (
            "how many times faster momentum's oscillation dies than SGD's, at SGD's best learning "
            "rate: least over κ",
            "在 SGD 最佳学习率下，动量振荡的衰减速度与 SGD 之比：各 κ 中最小",
        ),
        "damping_largest": (
            "the same ratio of speeds: largest over κ",
            "同一衰减速度之比：各 κ 中最大",
        ),
        "even_at": (
            "condition number κ at which both need equally many steps",
            "两者步数相等的条件数 κ",
        ),
        "drawn": ("condition number κ of the drawn ravine", "所绘峡谷的条件数 κ"),
        "steps_sgd": ("steps of SGD in the drawn ravine", "所绘峡谷中 SGD 的步数"),
        "steps_momentum": (
            "steps of momentum in the drawn ravine, β = 0.9",
            "所绘峡谷中 β = 0.9 的动量的步数",
        ),
        "steps_tuned": (
            "steps of momentum in the drawn ravine, at Polyak's pair",
            "所绘峡谷中取 Polyak 最佳组合的动量的步数",
        ),
        "tuned_beta": (
            "best β in the drawn ravine, by the closed form",
            "所绘峡谷中按解析式的最佳 β",
        ),
        "sgd_oscillates_share": (
            "share of SGD's oscillating range (αλ from 1 to 2) in which momentum's oscillation "
            "dies sooner, by the closed form",
            "在 SGD 振荡的 αλ（1 – 2）中，按解析式动量衰减更快者所占比例",
        ),
        "stable_to": ("αλ up to which momentum is stable", "动量保持稳定的最大 αλ"),
        "rate_error": (
            "largest difference of a measured factor from the closed form",
            "实测每步因子与解析式的最大差",
        ),
    },
    threshold={"gain": 0.25},
    rule="Sooner: SGD needs at least {gain:.0%} more steps than momentum with the notes' β. "
    "Damped: at SGD's best learning rate momentum's oscillation dies at least {gain:.0%} faster. "
    "Holds if both are true at every κ; fails if one of them is true at no κ; else it depends.",
    rule_zh="更早：SGD 的步数至少比动量（笔记的 β）多 {gain:.0%}。抑制：在 SGD 的最佳学习率下，动"
    "量的振荡衰减至少快 {gain:.0%}。若两项在每个 κ 都满足，则成立；若有一项在任何 κ 都不满足，则不"
    "成立；否则视情况而定。",
    picture="Four panels. The first 60 steps down a ravine with κ = 100: SGD jumps from wall to "
    "wall, momentum moves in long waves. Steps over κ on logarithmic axes: SGD's line is steep. "
    "Momentum's line with β = 0.9 is flat and crosses SGD's near κ = 30. Momentum's line at "
    "Polyak's pair rises half as steeply as SGD's and crosses the flat line near κ = 300. The "
    "factor per step over αλ up to 40, with the four operating points of the first panel: "
    "momentum's plateau at √β spans them. Last, the plane of step length and β at κ = 100: the "
    "fastest region is a narrow wedge beside the region that diverges; its tip is Polyak's pair, "
    "at β = 0.67.",
    picture_zh="自上而下：κ = 100 的峡谷中前 60 步的轨迹，SGD 在两壁间跳跃，动量呈长波。步数随 κ "
    "变化（双对数）：SGD 陡升，β = 0.9 的动量平坦，约在 κ = 30 处相交，取 Polyak 组合的动量斜率减"
    "半，约在 κ = 300 处与平坦的线相交。每步因子随 αλ 变化直到 40，并标出第一幅图的四个工作点：动"
    "量的平台 √β 覆盖它们。最后是 κ = 100 时步长与 β 的平面：最快的区域是发散区旁的狭窄楔形，尖端"
    "即 Polyak 组合，β = 0.67。",
    remark="At the best pair of α and β, the number of steps grows as √κ for momentum and as κ "
    "for SGD (Polyak 1964). With a fixed β there is no such law. Where the roots are complex, each "
    "step multiplies momentum's oscillation by √β, whatever the learning rate. So β = 0.9 needs "
    "about as many steps in a mild ravine as in a steep one, and in a mild one SGD is faster. "
    "Polyak's pair is best for the factor per step in the long run, but both directions then have "
    "double roots, and the distance falls as t (√β)^t. If the distance only has to fall to 1 %, "
    "β = 0.9 is faster in the steepest ravine: 84 steps, against 143 with Polyak's pair. The "
    "plane of α and β is that of Goh 2017, in the notes' moving-average form.",
    remark_zh="取最佳的 α 与 β 时，动量的步数按 √κ 增长，而 SGD 按 κ 增长（Polyak 1964）。β 固定"
    "时没有这样的规律：在根为复数处，无论学习率多大，动量的振荡每步都乘 √β，因此 β = 0.9 在平缓和陡"
    "峭的峡谷中步数相近，而平缓的峡谷中 SGD 更快。Polyak 组合的长期每步因子最优，但此时两个方向都是"
    "重根，距离按 t (√β)^t 下降；若只求降到 1 %，在最陡的峡谷中 β = 0.9 反而领先：84 步，而 Polyak "
    "组合为 143 步。α–β 平面取自 Goh 2017，这里用笔记的滑动平均形式。",
    sources=(
        "Polyak 1964, “Some methods of speeding up the convergence of iteration methods”",
        "Goh 2017, “Why Momentum Really Works”, Distill, doi:10.23915/distill.00006",
        "Sutskever et al. 2013, “On the importance of initialization and momentum in deep "
        "learning”, §2",
    ),
    findings={
        "holds": (
            "Momentum wins in every ravine tried: SGD needs {sooner_least:.1f} to "
            "{sooner_largest:.1f} times its steps",
            "动量在每个峡谷中都更快：SGD 的步数是它的 {sooner_least:.1f} 到 {sooner_largest:.1f} "
            "倍",
        ),
        "depends": (
            "Momentum with β = 0.9 wins only in ravines steeper than κ ≈ {even_at:.0f}",
            "β = 0.9 的动量只在 κ 大于约 {even_at:.0f} 的峡谷中取胜",
        ),
        "fails": (
            "Momentum with β = 0.9 does not beat SGD in mild ravines",
            "在平缓的峡谷中，β = 0.9 的动量并不胜过 SGD",
        ),
    },
    reachable={
        "holds": {"conditions": [100.0, 300.0]},
        "depends": {"conditions": [10.0, 100.0]},
        "fails": {"conditions": [5.0, 10.0]},
    },
    texts={
        "x, along": "x（沿谷方向）",
        "y, across": "y（横向）",
        "κ = {}, {} steps, each at its best learning rate": "κ = {}，前 {} 步，各取最佳学习率",
        "condition number κ": "条件数 κ",
        "steps to arrive": "到达所需步数",
        "even at κ = {}": "κ = {} 时持平",
        "Momentum pays from some κ on": "κ 足够大，动量才划算",
        "momentum, β = 0.9": "动量，β = 0.9",
        "momentum, Polyak's α, β": "动量，Polyak 的 α、β",
        "learning rate × curvature, αλ": "学习率 × 曲率，αλ",
        "factor (small is fast)": "因子（越小越快）",
        "◆ along and across,": "◆ 沿谷与横向，",
        "at the best α above": "各取上图的最佳 α",
        "Factor per step: lines theory, dots measured": "每步因子：线为理论值，点为实测值",
        "step (1 − β) αλ, steep direction": "陡峭方向的步长 (1 − β) αλ",
        "diverges": "发散",
        "Goh's plane at κ = {}: ★ is Polyak's best pair": (
            "κ = {} 的 Goh 平面：★ 为 Polyak 的最佳组合"
        ),
        "factor per step": "每步因子",
    },
)


def closed_rate(a: Any, beta: float) -> np.ndarray:
    """Largest |z| of z² − (1 + β − (1 − β) a) z + β = 0, a = αλ; with β = 0 it is |1 − a|."""
    middle = 1 + beta - (1 - beta) * np.asarray(a, complex)
    root = np.sqrt(middle**2 - 4 * beta)
    return np.maximum(abs(middle + root), abs(middle - root)) / 2


def measured_rate(paths: Any) -> np.ndarray:
    """The factor a step by which paths (…, steps) fall, by least squares on their later half.

    Of two neighbours the length √(x_t² + x_{t+1}²) is taken: x alone passes through 0.
    """
    lengths = np.hypot(paths[..., :-1], paths[..., 1:])
    factors = []
    for path in lengths.reshape(-1, lengths.shape[-1]):
        last = int((path > 1e-280).argmin()) or len(path)  # below, float64 runs out of digits
        t = np.arange(last // 2, last)
        factors.append(np.exp(np.polyfit(t, np.log(path[last // 2 : last]), 1)[0]))
    return np.reshape(factors, lengths.shape[:-1])


@partial(jax.jit, static_argnames=("plain", "steps"))
def _paths(
    curvatures: jax.Array, start: jax.Array, rates: jax.Array, beta: Any, plain: bool, steps: int
) -> jax.Array:
    def path(rate: jax.Array) -> jax.Array:
        optimizer = sgd(rate) if plain else momentum(rate, beta)
        return walk(optimizer, lambda theta, t, key: curvatures * theta, start, steps)

    return jax.vmap(path)(rates)


def paths_on(curvatures: Any, start: Any, rates: Any, beta: float, steps: int) -> np.ndarray:
    """Paths (rates, steps + 1, directions) on ½ Σ λ x², of SGD where β is 0, else of momentum."""
    arrays = (jnp.asarray(x, float) for x in (curvatures, start, rates))
    return np.asarray(_paths(*arrays, jnp.asarray(beta, float), not beta, steps))


def arrivals(paths: np.ndarray, start: Any) -> np.ndarray:
    """The step from which a path (…, steps + 1, 2) stays within 1 % of its starting distance."""
    far = np.linalg.norm(paths, axis=-1) > 0.01 * np.linalg.norm(start)
    return arrival(~np.logical_or.accumulate(far[:, ::-1], axis=1)[:, ::-1])


class Best(NamedTuple):
    """The path that arrives first, after how many steps, and at which learning rate."""

    path: np.ndarray
    steps: float
    rate: float


def tuned(setting: dict[str, Any], condition: float, beta: float) -> Best:
    """The best of many learning rates in a ravine of this condition number."""
    largest = 2 * (1 + beta) / (1 - beta) / condition  # where it would diverge
    rates = largest * np.linspace(0, 1, setting["tuning_rates"] + 2)[1:-1]
    curvatures = [1.0, condition]
    paths = paths_on(curvatures, setting["start"], rates, beta, setting["tuning_steps"])
    home = arrivals(paths, setting["start"])
    best = home.argmin()
    return Best(paths[best], float(home[best]), float(rates[best]))


def polyak(condition: float) -> tuple[float, float]:
    """The best learning rate and β of momentum in the notes' form."""
    root = np.sqrt(condition)
    beta = ((root - 1) / (root + 1)) ** 2
    return float((2 / (1 + root)) ** 2 / (1 - beta)), float(beta)


def damping(condition: float, sgd_rate: float, beta: float) -> float:
    """How many times faster momentum's oscillation dies than SGD's, at SGD's learning rate."""
    steep = [sgd_rate * condition]
    plain, ball = (
        measured_rate(paths_on([1.0], [1.0], steep, b, 1200)[..., 0])[0] for b in (0.0, beta)
    )
    return float(np.log(ball) / np.log(plain))


def plane(condition: float, size: list[int]) -> tuple[np.ndarray, ...]:
    """Goh's plane: (1 − β) α λ of the steep direction, β, and the slower direction's factor."""
    steps, betas = np.linspace(0.02, 3.98, size[0]), np.linspace(0.0, 0.98, size[1])
    factors = np.empty((size[1], size[0]))
    for i, beta in enumerate(betas):
        a = steps / (1 - beta)
        factors[i] = np.maximum(closed_rate(a, beta), closed_rate(a / condition, beta))
    return steps, betas, factors


def even_at(conditions: np.ndarray, ratios: np.ndarray) -> float:
    """κ at which the ratio of steps is 1, between two κ by logarithms; ∞ if it is never reached."""
    above = np.flatnonzero(ratios >= 1)
    if not len(above):
        return float("inf")
    k = above[0]
    if k == 0:
        return float(conditions[0])
    (a, b), (low, high) = np.log(conditions[k - 1 : k + 1]), np.log(ratios[k - 1 : k + 1])
    return float(np.exp(a - low * (b - a) / (high - low)))


def measure(setting: dict[str, Any]) -> Measured:
    """Both down every ravine, and along one direction."""
    beta, conditions = setting["beta"], np.asarray(setting["conditions"])
    with jax.enable_x64(True):
        plain = [tuned(setting, kappa, 0.0) for kappa in conditions]
        balls = [tuned(setting, kappa, beta) for kappa in conditions]
        damped = [damping(kappa, best.rate, beta) for kappa, best in zip(conditions, plain)]
        polyaks = []
        for kappa in conditions:
            rate, best_beta = polyak(kappa)
            path = paths_on(
                [1.0, kappa], setting["start"], [rate], best_beta, setting["tuning_steps"]
            )
            polyaks.append(float(arrivals(path, setting["start"])[0]))
        a = np.geomspace(*setting["grid"])
        both = [(0.0, a[a < 1.98]), (beta, a[a < 37.5])]
        measured_factors = [
            measured_rate(paths_on([1.0], [1.0], x, b, setting["grid_steps"])[..., 0])
            for b, x in both
        ]
    at = int(abs(conditions - setting["drawn"]).argmin())
    ratios = np.array([p.steps / b.steps for p, b in zip(plain, balls)])
    errors = [abs(f - closed_rate(x, b)).max() for f, (b, x) in zip(measured_factors, both)]
    fine = np.linspace(1, 2, 10_001)[1:-1]
    steps, betas, factors = plane(conditions[at], setting["plane"])
    points = [best.rate * k for best in (plain[at], balls[at]) for k in (1.0, conditions[at])]
    return Measured(
        {
            "sooner_least": float(ratios.min()),
            "sooner_largest": float(ratios.max()),
            "damping_least": min(damped),
            "damping_largest": max(damped),
            "even_at": even_at(conditions, ratios),
            "drawn": float(conditions[at]),
            "steps_sgd": plain[at].steps,
            "steps_momentum": balls[at].steps,
            "steps_tuned": polyaks[at],
            "tuned_beta": polyak(conditions[at])[1],
            "sgd_oscillates_share": float((closed_rate(fine, beta) < closed_rate(fine, 0)).mean()),
            "stable_to": 2 * (1 + beta) / (1 - beta),
            "rate_error": float(max(errors)),
        },
        {
            **{f"sgd_{axis}": plain[at].path[:60, i] for i, axis in enumerate("xy")},
            **{f"momentum_{axis}": balls[at].path[:60, i] for i, axis in enumerate("xy")},
            "condition": conditions,
            "steps_sgd": [best.steps for best in plain],
            "steps_momentum": [best.steps for best in balls],
            "steps_tuned": polyaks,
            "points": points,
            "sgd_at": both[0][1],
            "sgd_factor": measured_factors[0],
            "momentum_at": both[1][1],
            "momentum_factor": measured_factors[1],
            "beta": [beta],
            "plane_step": steps,
            "plane_beta": betas,
            "plane_factor": np.where(factors < 1, factors, np.inf),
            "drawn": [conditions[at]],
        },
    )


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n, gain = numbers, 1 + threshold["gain"]
    always = n["sooner_least"] >= gain and n["damping_least"] >= gain
    ever = n["sooner_largest"] >= gain and n["damping_largest"] >= gain
    word = HOLDS if always else DEPENDS if ever else FAILS
    return Verdict(
        word,
        f"With β = 0.9, SGD needs {n['sooner_least']:.2f} to {n['sooner_largest']:.2f} times "
        f"momentum's steps, depending on κ. At κ = {n['drawn']:.0f} "
        f"SGD takes {n['steps_sgd']:.0f} steps, momentum {n['steps_momentum']:.0f}. At SGD's best "
        f"learning rate, momentum's oscillation dies {n['damping_least']:.2f} to "
        f"{n['damping_largest']:.1f} times as fast as SGD's, depending on κ.",
        f"β = 0.9 时，SGD 的步数是动量的 {n['sooner_least']:.2f} 到 {n['sooner_largest']:.2f} "
        f"倍，随 κ 而定。κ = {n['drawn']:.0f} 时 SGD 用 {n['steps_sgd']:.0f} 步，动量用 "
        f"{n['steps_momentum']:.0f} 步。在 SGD 的最佳学习率下，动量振荡的衰减速度是 SGD 的 "
        f"{n['damping_least']:.2f} 到 {n['damping_largest']:.1f} 倍。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """Paths, steps over κ, factors, and the plane."""
    s = measured.series
    ravine, over, factor, goh = style.panels(figure, [2.2, 2.4, 2.6, 2.8])
    kappa, beta = float(s["drawn"][0]), float(s["beta"][0])
    x, y = np.meshgrid(np.linspace(-0.5, 1.1, 100), np.linspace(-0.42, 0.42, 100))
    heights = (x**2 + kappa * y**2) / 2
    ravine.contour(x, y, heights, np.geomspace(0.05, 10, 9), colors="#BBBBBB", linewidths=0.7)
    for name in ("sgd", "momentum"):
        look = {**style.line(name), "linestyle": "-", "linewidth": 1.0}
        ravine.plot(s[f"{name}_x"], s[f"{name}_y"], **look, marker="o", markersize=2.5)
    ravine.set(
        title=f"κ = {kappa:.0f}, {len(s['sgd_x'])} steps, each at its best learning rate",
        xlabel="x, along",
    )
    ravine.set(ylabel="y, across", xlim=(-0.5, 1.1), ylim=(-0.42, 0.42))
    ravine.grid(False)
    ravine.legend(loc="upper left", ncols=2)
    for name in ("sgd", "momentum"):
        label = "SGD" if name == "sgd" else "momentum, β = 0.9"
        over.loglog(s["condition"], s[f"steps_{name}"], **{**style.line(name), "label": label})
    over.loglog(
        s["condition"], s["steps_tuned"], ":", color=style.RED, label="momentum, Polyak's α, β"
    )
    even = measured.numbers["even_at"]
    if np.isfinite(even):
        over.axvline(even, color="#777777", linewidth=1, linestyle="--")
        over.text(even * 1.08, 8, f"even at κ = {even:.0f}", fontsize=8.5)
    over.set(title="Momentum pays from some κ on", ylabel="steps to arrive")
    over.set(xlabel="condition number κ", ylim=(6, None))
    over.legend(loc="upper left")
    _draw_factors(factor, s, beta)
    _draw_plane(figure, goh, s, kappa, beta)


def _draw_factors(axes: Any, s: Any, beta: float) -> None:
    for name, b in (("sgd", 0.0), ("momentum", beta)):
        look = style.line(name)
        a = np.geomspace(0.01, 40, 600)
        axes.semilogx(a, closed_rate(a, b), **look)
        axes.plot(s[f"{name}_at"], s[f"{name}_factor"], "o", color=look["color"], markersize=2.5)
    for i, a in enumerate(s["points"]):
        name, b = ("sgd", 0.0) if i < 2 else ("momentum", beta)
        look = {"color": style.COLOURS[name], "markeredgecolor": "white"}
        axes.plot(a, closed_rate(a, b), "D", markersize=8, **look)
    axes.set(title="Factor per step: lines theory, dots measured", ylim=(0, 1.12), xlim=(0.01, 60))
    axes.set(xlabel="learning rate × curvature, αλ", ylabel="factor (small is fast)")
    axes.text(0.011, 0.06, "◆ along and across,\n     at the best α above", fontsize=8.5)
    axes.text(20, 0.86, "√β", color=style.ink(style.BLUE), fontsize=9)
    axes.text(2.2, 0.3, "SGD", color=style.ink(style.BLACK), fontsize=9)


def _draw_plane(figure: Any, axes: Any, s: Any, kappa: float, beta: float) -> None:
    shape = len(s["plane_beta"]), len(s["plane_step"])
    factors = np.reshape(s["plane_factor"], shape)
    colours = axes.contourf(
        s["plane_step"],
        s["plane_beta"],
        np.ma.masked_invalid(factors),
        np.linspace(0.8, 1, 11),
        cmap="viridis_r",
        extend="min",
    )
    best = polyak(kappa)
    axes.plot((1 - best[1]) * best[0] * kappa, best[1], "*", color="white", markersize=12)
    axes.axhline(beta, color=style.BLUE, linewidth=1.2)
    axes.text(0.1, beta + 0.012, "β = 0.9", color="white", fontsize=8.5)
    figure.colorbar(colours, ax=axes, label="factor per step")
    axes.set(title=f"Goh's plane at κ = {kappa:.0f}: ★ is Polyak's best pair", ylabel="β")
    axes.set(xlabel="step (1 − β) αλ, steep direction", facecolor="#DDDDDD")
    axes.text(2.9, 0.12, "diverges", fontsize=8.5)
    axes.grid(False)
