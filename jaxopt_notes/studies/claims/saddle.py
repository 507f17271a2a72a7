"""Three places where the ground is level: does momentum roll on where SGD stalls?"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes.optimizers import momentum, sgd
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
from jaxopt_notes.studies.walks import arrival, rates, walk

ABOUT = About(
    number=2,
    title="Past a saddle",
    title_zh="越过鞍点",
    claim="Near a saddle plain SGD stalls; momentum rolls on, like a ball.",
    claim_zh="在鞍点附近，普通 SGD 会停滞；动量则像小球一样滚过去。",
    section="Claims about the optimizers, 2",
    equations=(
        "saddle: L(x, y) = ½ (κ x^2 − y^2) + ¼ y^4, least at y = ±1",
        "ledge: L(x) = ⅓ x^3 + ¼ x^4, level at x = 0, least at x = −1",
        "near the saddle |y| grows by 1 + α a step (SGD), and by the larger root of "
        "z^2 − (1 + β + (1 − β) α) z + β = 0 (momentum)",
    ),
    how="On the saddle both start beside the ridge and every gradient has a little noise; they are "
    "off when |y| > ½; rates at which they do not end in a minimum do not count. They are compared "
    "at the same rate α, and each at the best of the same number of rates. On the ledge, without "
    "noise, both come down to a level spot that is no "
    "minimum, at the same rates; they are past it when x < −½. Last, both start on the ridge "
    "itself without noise.",
    how_zh="在鞍点处，两者从山脊旁出发，每个梯度带少许噪声；|y| > ½ 算离开；"
    "最终没有到达极小点的学习率不计。先在相同学习率 α 下比较，"
    "再各取同样多学习率中最好的一个比较。在台阶处无噪声，两者下到一处并非极小的平坦点，学习率相同；"
    "x < −½ 算越过。最后，两者都正好从山脊线上无噪声出发。",
    setting={
        "seeds": 11,
        "beta": 0.9,
        "start": [0.5, 1e-4],
        "curvature": 10.0,
        "noise": 1e-4,
        "same_rate": 0.05,
        "rates": [0.01, 4.0, 61],
        "steps": 2000,
        "ledge_start": 1.0,
        "ledge_rates": [0.02, 0.49, 24],
    },
    quick={"seeds": 5, "rates": [0.01, 4.0, 31], "ledge_rates": [0.02, 0.49, 12]},
    measured={
        "same_sgd": ("steps of SGD off the saddle, same α", "离开鞍点的步数，SGD，同一 α"),
        "same_momentum": ("the same of momentum", "动量，同一 α"),
        "best_sgd": ("steps of SGD off the saddle, best α", "离开鞍点的步数，SGD，最佳 α"),
        "best_momentum": ("the same of momentum", "动量，最佳 α"),
        "ledge_sgd": (
            "share of the rates at which SGD passes the ledge",
            "SGD 越过台阶的学习率占比",
        ),
        "ledge_momentum": ("the same of momentum", "动量越过台阶的学习率占比"),
        "ridge_moves": (
            "largest |y| of either, started on the ridge itself",
            "正好从山脊线上出发时两者的最大 |y|",
        ),
    },
    threshold={"sooner": 2.0, "passes": 0.5},
    rule="Three trials: off the saddle at the same rate, and each at its best rate, in at most "
    "1/{sooner:g} of SGD's steps (medians); past the ledge at a share of the rates larger than "
    "SGD's by {passes:g} or more. Holds if momentum passes all three, fails if none, else it "
    "depends.",
    rule_zh="三项检验：在相同学习率下、以及各自最佳学习率下离开鞍点，步数中位数不超过 SGD 的 "
    "1/{sooner:g}；"
    "越过台阶的学习率占比至少比 SGD 多 {passes:g}。三项全过则成立，全不过则不成立，否则视情况而定。"
    "",
    picture="Above, |y| beside the saddle at the same rate, on a logarithmic scale: both lines "
    "rise straight from the noise, SGD's a little sooner than momentum's. In the middle, steps "
    "off the saddle over the rate: the two fall together, and where SGD's ends, momentum's goes "
    "on to larger rates and fewer steps. Below, the ledge: SGD creeps towards x = 0, momentum "
    "goes through it to the minimum at −1.",
    picture_zh="上：同一学习率下鞍点旁的 |y|（对数坐标），两条线都从噪声中直线上升，SGD 略早于动"
    "量。"
    "中：离开鞍点的步数随学习率变化，两者一同下降；SGD 的曲线终止处，动量继续延伸到更大学习率、更少"
    "步数。"
    "下：台阶处 SGD 慢慢爬向 x = 0，动量穿过它到达 −1 处的极小点。",
    remark="The rolling ball fits the ledge, where one and the same direction leads in and out. At "
    "a true saddle the speed points to the ridge, not off it, and does not help: in the notes' "
    "moving-average form y grows more slowly than SGD's at the same rate. Momentum wins there only "
    "because it stands larger rates; the heavy ball of other books, whose steps are 1/(1 − β) as "
    "large at the same α, hides that. Nor does SGD stall for good: it leaves a saddle from almost "
    "every start (Lee et al. 2016), and noise sees to it (Ge et al. 2015).",
    remark_zh="“滚动的小球”适用于台阶：进与出在同一方向。在真正的鞍点，速度指向山脊而不是离开它，帮"
    "不上忙：按笔记的滑动平均形式，"
    "同一学习率下 y 的增长比 SGD 还慢。动量获胜只因它能承受更大的学习率；其他书中的“重球”形式在同一"
    " α 下步长放大 "
    "1/(1 − β) 倍，掩盖了这一点。SGD 也不会永远停滞：几乎从任何起点都会离开鞍点（Lee 等 2016），噪"
    "声更保证了这一点（Ge 等 2015）。",
    sources=(
        "Lee, Simchowitz, Jordan & Recht 2016, “Gradient Descent Only Converges to Minimizers”",
        "Ge, Huang, Jin & Yuan 2015, “Escaping From Saddle Points: Online Stochastic Gradient for "
        "Tensor Decomposition”",
        "Goodfellow, Bengio & Courville 2016, “Deep Learning”, §8.2.3 and §8.3.2",
    ),
)

OPTIMIZERS = ("sgd", "momentum")


def growth(alpha: Any, beta: float) -> np.ndarray:
    """The factor by which y grows a step near the saddle, curvature −1; β = 0 is SGD's 1 + α."""
    middle = 1 + beta + (1 - beta) * np.asarray(alpha)
    return (middle + np.sqrt(middle**2 - 4 * beta)) / 2


def on_saddle(name: str, alphas: Any, setting: dict[str, Any], start: Any, noise: float) -> Any:
    """(x, y) for each rate, seed and step: (rates, seeds, steps + 1, 2)."""

    def path(alpha: jax.Array, seed: jax.Array) -> jax.Array:
        def gradient(theta: jax.Array, t: jax.Array, key: jax.Array) -> jax.Array:
            x, y = theta
            return jnp.stack([setting["curvature"] * x, y**3 - y]) + noise * jax.random.normal(
                key, (2,)
            )

        optimizer = _optimizer(name, alpha, setting["beta"])
        return walk(optimizer, gradient, jnp.asarray(start), setting["steps"], jax.random.key(seed))

    over_seeds = jax.vmap(path, (None, 0))
    paths = jax.jit(jax.vmap(over_seeds, (0, None)))(
        jnp.asarray(alphas), jnp.arange(setting["seeds"])
    )
    return np.asarray(paths)


def off(paths: Any) -> np.ndarray:
    """The first step with |y| > ½; ∞ where the path does not end within 0.1 of a minimum."""
    x, y = paths[..., 0], abs(paths[..., 1])
    ends_well = np.hypot(x[..., -1], y[..., -1] - 1) < 0.1
    return np.where(ends_well, arrival(y > 0.5), np.inf)


def over_ledge(name: str, alphas: Any, setting: dict[str, Any]) -> np.ndarray:
    """x for each rate and step: (rates, steps + 1)."""

    def path(alpha: jax.Array) -> jax.Array:
        start = jnp.asarray(setting["ledge_start"])
        optimizer = _optimizer(name, alpha, setting["beta"])
        return walk(optimizer, lambda x, t, key: x**2 + x**3, start, setting["steps"])

    return np.asarray(jax.jit(jax.vmap(path))(jnp.asarray(alphas)))


def _optimizer(name: str, alpha: jax.Array, beta: float) -> Any:
    return sgd(alpha) if name == "sgd" else momentum(alpha, beta)


def measure(setting: dict[str, Any]) -> Measured:
    """Both optimizers on the saddle, on the ledge and on the ridge."""
    numbers: dict[str, Any] = {}
    tried, ledge_tried = rates(setting), rates({"rates": setting["ledge_rates"]})
    series: dict[str, Any] = {"rate": tried}
    start, noise = setting["start"], setting["noise"]
    ridge = []
    for name in OPTIMIZERS:
        same = on_saddle(name, [setting["same_rate"]], setting, start, noise)[0]
        numbers[f"same_{name}"] = spread(off(same))
        steps = off(on_saddle(name, tried, setting, start, noise))
        best = np.median(steps, axis=1).argmin()
        numbers[f"best_{name}"] = spread(steps[best])
        x = over_ledge(name, ledge_tried, setting)
        numbers[f"ledge_{name}"] = float((x < -0.5).any(-1).mean())
        on_ridge = on_saddle(name, [setting["same_rate"]], setting, [0.5, 0.0], 0.0)
        ridge.append(abs(on_ridge[..., 1]).max())
        series[f"{name}_y"] = np.median(abs(same[..., 1]), axis=0)[:400]
        series[f"{name}_steps"] = np.median(steps, axis=1)
        series[f"{name}_ledge"] = x[len(x) // 2, :200]
    numbers["ridge_moves"] = float(max(ridge))
    series["ledge_rate"] = ledge_tried[len(ledge_tried) // 2 :][:1]
    return Measured(numbers, series)


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    same, best = (
        [numbers[f"{which}_{name}"]["median"] for name in OPTIMIZERS] for which in ("same", "best")
    )
    ledge = [numbers[f"ledge_{name}"] for name in OPTIMIZERS]
    trials = [ball * threshold["sooner"] <= plain for plain, ball in (same, best)]
    trials.append(ledge[1] - ledge[0] >= threshold["passes"])
    word = HOLDS if all(trials) else DEPENDS if any(trials) else FAILS
    return Verdict(
        word,
        f"Off the saddle: momentum {same[1]:.0f} steps and SGD {same[0]:.0f} at the same rate, "
        f"{best[1]:.0f} and {best[0]:.0f} each at its best. Past the ledge: momentum at "
        f"{ledge[1]:.0%} of the rates, SGD at {ledge[0]:.0%}.",
        f"离开鞍点：同一学习率下动量 {same[1]:.0f} 步、SGD {same[0]:.0f} 步；各取最佳时为 "
        f"{best[1]:.0f} 步和 "
        f"{best[0]:.0f} 步。越过台阶：动量在 {ledge[1]:.0%} 的学习率下成功，SGD 为 {ledge[0]:.0%}。"
        f"",
    )


def draw(figure: Any, measured: Measured) -> None:
    """Growth beside the saddle, steps over the rate, and the ledge."""
    s = measured.series
    beside, over, ledge = style.panels(figure, [2.2, 2.4, 2.1])
    for name in OPTIMIZERS:
        beside.semilogy(s[f"{name}_y"], **style.line(name))
        reached = np.where(np.isfinite(s[f"{name}_steps"]), s[f"{name}_steps"], np.nan)
        over.loglog(s["rate"], reached, **style.line(name))
        ledge.plot(s[f"{name}_ledge"], **style.line(name))
    beside.axhline(0.5, color="#999999", linewidth=0.8)
    beside.set(title="Beside the saddle, same rate", xlabel="step", ylabel="|y|", xlim=(0, 400))
    beside.legend(loc="lower right")
    over.set(title="Off the saddle", xlabel="rate α", ylabel="steps")
    over.legend(loc="upper right")
    ledge.axhline(0, color="#999999", linewidth=0.8)
    ledge.set(title=f"On the ledge, α = {s['ledge_rate'][0]:.2g}", xlabel="step", ylabel="x")
    ledge.set(xlim=(0, 200))
    ledge.legend(loc="upper right")
