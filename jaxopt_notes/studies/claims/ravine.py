"""Momentum in a ravine: how fast, how it swings, and where the swinging is its own."""

from typing import Any

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
    claim="Plain SGD oscillates across a ravine; momentum damps that and arrives sooner.",
    claim_zh="普通 SGD 在峡谷两壁之间来回振荡；动量能抑制这种振荡，并更早到达谷底。",
    section="Claims about the optimizers, 1",
    equations=(
        "L(x, y) = ½ (x^2 + κ y^2)",
        "SGD: θ_t = (1 − αλ) θ_{t−1}, rate |1 − αλ| along a direction of curvature λ",
        "momentum: z^2 − (1 + β − (1 − β) αλ) z + β = 0, rate max |z|; √β wherever z is complex",
    ),
    how="Both walk down a quadratic ravine. Each has the rate α that brings it home first, out of "
    "the same number of rates; home is within 1 % of the first distance, for good. Then, along one "
    "direction of curvature λ, the rate at which the distance falls is measured on the path at "
    "many αλ, and held against the closed form.",
    how_zh="两者都沿二次峡谷下降，各自从同样多的学习率中取最早到达的那一个；“到达”指距离降到初始的 "
    "1 % "
    "以内且不再离开。然后沿曲率为 λ 的单一方向，在许多 αλ 处从轨迹测出收敛速度，并与解析式比较。",
    setting={
        "curvatures": [1.0, 100.0],
        "start": [1.0, 0.3],
        "beta": 0.9,
        "tuning_rates": 200,
        "tuning_steps": 1000,
        "grid": [0.04, 1.96, 64],
        "grid_steps": 600,
        "swing_at": 0.5,
    },
    quick={"tuning_rates": 60, "grid": [0.04, 1.96, 32], "grid_steps": 400},
    measured={
        "steps_sgd": ("steps of SGD at its best rate", "SGD 在其最佳学习率下的步数"),
        "steps_momentum": ("steps of momentum at its best rate", "动量法在其最佳学习率下的步数"),
        "sooner": ("SGD's steps divided by momentum's", "SGD 步数与动量步数之比"),
        "sgd_swing": (
            "factor a step of SGD's swing across, at its best rate",
            "SGD 在其最佳学习率下横向振荡的每步因子",
        ),
        "momentum_swing": (
            "the same of momentum at the same rate α",
            "同一学习率 α 下动量横向振荡的每步因子",
        ),
        "damped_share": (
            "share of the rates at which SGD swings (1 < αλ < 2) where momentum's swing dies "
            "sooner",
            "在 SGD 振荡的学习率（1 < αλ < 2）中，动量的振荡衰减更快者所占比例",
        ),
        "own_swing_share": (
            "share of the rates at which SGD does not swing (αλ < 1) where momentum does",
            "在 SGD 不振荡的学习率（αλ < 1）中，动量自己产生振荡者所占比例",
        ),
        "rate_error": (
            "largest difference of a measured rate from the closed form",
            "实测收敛速度与解析式的最大差",
        ),
    },
    threshold={"sooner": 2.0, "damped": 0.9, "own": 0.1},
    rule="Holds if momentum needs at most 1/{sooner:g} of SGD's steps, its swing dies sooner at "
    "{damped:.0%} or more of the rates at which SGD swings, and it swings of its own at no more "
    "than {own:.0%} of the others. Fails if it does not arrive sooner and does not damp at SGD's "
    "best rate either. Else it depends.",
    rule_zh="若动量所需步数不超过 SGD 的 1/{sooner:g}，在 SGD 振荡的学习率中至少 {damped:.0%} 衰减"
    "更快，"
    "且在其余学习率中自身振荡不超过 {own:.0%}，则成立；若不更早到达，在 SGD 最佳学习率下也不抑制振"
    "荡，"
    "则不成立；否则视情况而定。",
    picture="Above, paths over the ravine's contours: SGD jumps from wall to wall at every step, "
    "momentum swings in long waves. In the middle, the rate of convergence over αλ: SGD's is a V "
    "that touches 0 at αλ = 1, momentum's is flat at √β = 0.95, below SGD's only at the two ends; "
    "the measured points lie on the closed form's lines. Below, along the floor at αλ = 0.5, SGD "
    "falls straight and momentum overshoots again and again.",
    picture_zh="上：峡谷等高线上的轨迹，SGD 每步在两壁间跳跃，动量呈长波摆动。中：收敛速度随 αλ 的"
    "变化，SGD 呈 V 形，"
    "在 αλ = 1 处为 0；动量平坦地停在 √β = 0.95，仅在两端低于 SGD；实测点落在解析曲线上。"
    "下：沿谷底 αλ = 0.5 时，SGD 单调下降，动量反复越过目标。",
    remark="That momentum arrives sooner is right, and by the closed form it is the square root of "
    "the condition number that it saves (Polyak 1964). That it damps is only half of it: its swing "
    "dies as √β^t whatever the rate, so it damps SGD's only where |1 − αλ| > √β, at the edge of "
    "stability; everywhere else it is momentum that swings, and β, not the ravine, says for how "
    "long (Goh 2017, “Why Momentum Really Works”).",
    remark_zh="“更早到达”是对的：按解析式，步数由条件数降为其平方根（Polyak 1964）。"
    "“抑制振荡”只说对了一半：无论学习率多大，"
    "动量的振荡都按 √β^t 衰减，因此只有在 |1 − αλ| > √β、即接近稳定边界时才比 SGD 衰减得快；"
    "在其他地方，振荡恰恰来自动量本身，持续多久由 β 而不是峡谷决定（Goh 2017）。",
    sources=(
        "Polyak 1964, “Some methods of speeding up the convergence of iteration methods”",
        "Goh 2017, “Why Momentum Really Works”, Distill, doi:10.23915/distill.00006",
        "Sutskever et al. 2013, “On the importance of initialization and momentum in deep "
        "learning”, §2",
    ),
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


def paths_on(curvatures: Any, start: Any, rates: Any, beta: float, steps: int) -> np.ndarray:
    """Paths (rates, steps + 1, directions) on ½ Σ λ x², of SGD where β is 0, else of momentum."""
    curvatures, start = jnp.asarray(curvatures), jnp.asarray(start)

    def path(rate: jax.Array) -> jax.Array:
        optimizer = momentum(rate, beta) if beta else sgd(rate)
        return walk(optimizer, lambda theta, t, key: curvatures * theta, start, steps)

    return np.asarray(jax.jit(jax.vmap(path))(jnp.asarray(rates)))


def tuned(setting: dict[str, Any], beta: float) -> tuple[np.ndarray, float, float]:
    """The path that comes home first, when, and its rate: home is never further than 1 % out."""
    largest = 2 * (1 + beta) / (1 - beta) / max(setting["curvatures"])  # where it would diverge
    rates = largest * np.linspace(0, 1, setting["tuning_rates"] + 2)[1:-1]
    steps = setting["tuning_steps"]
    paths = paths_on(setting["curvatures"], setting["start"], rates, beta, steps)
    far = np.linalg.norm(paths, axis=-1) > 0.01 * np.linalg.norm(setting["start"])
    ever_after = ~np.logical_or.accumulate(far[:, ::-1], axis=1)[:, ::-1]
    home = arrival(ever_after)
    best = home.argmin()
    return paths[best], home[best], rates[best]


def measure(setting: dict[str, Any]) -> Measured:
    """Runs both through the ravine, and along one direction."""
    beta = setting["beta"]
    with jax.enable_x64(True):
        sgd_path, sgd_steps, sgd_best = tuned(setting, 0.0)
        ball_path, ball_steps, _ = tuned(setting, beta)
        a = np.linspace(*setting["grid"])
        steps = setting["grid_steps"]
        alone = [paths_on([1.0], [1.0], a, b, steps)[..., 0] for b in (0.0, beta)]
        steep = [sgd_best * max(setting["curvatures"])]
        across = [paths_on([1.0], [1.0], steep, b, steps)[..., 0] for b in (0.0, beta)]
        swings = paths_on([1.0], [1.0], [setting["swing_at"]], beta, 120)[0, :, 0]
        falls = paths_on([1.0], [1.0], [setting["swing_at"]], 0.0, 120)[0, :, 0]
    sgd_rate, ball_rate = map(measured_rate, alone)
    crosses = (np.sign(alone[1][:, 1:]) != np.sign(alone[1][:, :-1])).any(-1)
    closed = [closed_rate(a, b) for b in (0.0, beta)]
    error = max(abs(sgd_rate - closed[0]).max(), abs(ball_rate - closed[1]).max())
    return Measured(
        {
            "steps_sgd": float(sgd_steps),
            "steps_momentum": float(ball_steps),
            "sooner": float(sgd_steps / ball_steps),
            "sgd_swing": float(measured_rate(across[0])[0]),
            "momentum_swing": float(measured_rate(across[1])[0]),
            "damped_share": float((ball_rate < sgd_rate)[a > 1].mean()),
            "own_swing_share": float(crosses[a < 1].mean()),
            "rate_error": float(error),
        },
        {
            **{f"sgd_{axis}": sgd_path[:60, i] for i, axis in enumerate("xy")},
            **{f"momentum_{axis}": ball_path[:60, i] for i, axis in enumerate("xy")},
            "rate_times_curvature": a,
            "sgd_rate": sgd_rate,
            "sgd_closed": closed[0],
            "momentum_rate": ball_rate,
            "momentum_closed": closed[1],
            "sgd_along": falls,
            "momentum_along": swings,
        },
    )


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    sooner = numbers["sooner"] >= threshold["sooner"]
    damps = numbers["momentum_swing"] < numbers["sgd_swing"]
    always = numbers["damped_share"] >= threshold["damped"]
    calm = numbers["own_swing_share"] <= threshold["own"]
    whole = sooner and damps and always and calm
    word = HOLDS if whole else DEPENDS if sooner or damps else FAILS
    n = numbers
    return Verdict(
        word,
        f"Momentum arrives after {n['steps_momentum']:.0f} steps, SGD after {n['steps_sgd']:.0f}. "
        f"At SGD's best rate a step leaves {n['momentum_swing']:.3f} of its swing across, and "
        f"{n['sgd_swing']:.3f} of SGD's; but of all rates at which SGD swings momentum's dies "
        f"sooner at "
        f"{n['damped_share']:.0%} only, and at {n['own_swing_share']:.0%} of the others it swings "
        "of its own.",
        f"动量用 {n['steps_momentum']:.0f} 步到达，SGD 用 {n['steps_sgd']:.0f} 步。"
        f"在 SGD 的最佳学习率下，动量的横向振荡每步乘 {n['momentum_swing']:.3f}，SGD 乘 "
        f"{n['sgd_swing']:.3f}；但在 SGD 振荡的全部学习率中，动量衰减更快的占 "
        f"{n['damped_share']:.0%}；"
        f"在其余学习率中，有 {n['own_swing_share']:.0%} 动量自己产生振荡。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """Paths, rates, and the swing along the floor."""
    s = measured.series
    ravine, rate, along = style.panels(figure, [2.5, 2.6, 2.1])
    x, y = np.meshgrid(np.linspace(-0.5, 1.1, 100), np.linspace(-0.42, 0.42, 100))
    heights = (x**2 + 100 * y**2) / 2
    ravine.contour(x, y, heights, np.geomspace(0.05, 10, 9), colors="#BBBBBB", linewidths=0.7)
    for name in ("sgd", "momentum"):
        look = {**style.line(name), "linestyle": "-", "linewidth": 1.0}
        ravine.plot(s[f"{name}_x"], s[f"{name}_y"], **look, marker="o", markersize=2.5)
    ravine.set(title="60 steps, each at its best rate", xlabel="x, along", ylabel="y, across")
    ravine.set(xlim=(-0.5, 1.1), ylim=(-0.42, 0.42))
    ravine.grid(False)
    ravine.legend(loc="upper left", ncols=2)
    for name in ("sgd", "momentum"):
        a = s["rate_times_curvature"]
        look = style.line(name)
        rate.plot(a, s[f"{name}_closed"], **look)
        rate.plot(a[::2], s[f"{name}_rate"][::2], "o", color=look["color"], markersize=3)
    rate.set(title="Rate of convergence: dots measured, lines theory")
    rate.set(xlabel="rate × curvature, αλ", ylabel="factor a step (small is fast)", ylim=(0, 1.05))
    style.name_lines(rate)
    for name in ("sgd", "momentum"):
        along.plot(s[f"{name}_along"], **style.line(name))
    along.set(title="Along one direction, αλ = 0.5", xlabel="step", ylabel="x", xlim=(0, 120))
    style.name_lines(along, 0.13)
