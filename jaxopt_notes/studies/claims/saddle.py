"""Three places where the ground is level: does momentum roll on where SGD stalls?"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes.optimizers import momentum, sgd
from jaxopt_notes.studies import style
from jaxopt_notes.studies.inference import combined, decide, median_interval
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
from jaxopt_notes.studies.walks import arrival, rates, walk

ABOUT = About(
    number=2,
    title="Past a saddle",
    title_zh="越过鞍点",
    kind="comparison",
    claim="Near a saddle plain SGD stalls; momentum rolls on, like a ball.",
    claim_zh="在鞍点附近，普通 SGD 会停滞；动量则像小球一样滚过去。",
    section="Claims about the optimizers, 2",
    equations=(
        "saddle: L(x, y) = ½ (κ x^2 − y^2) + ¼ y^4, least at y = ±1",
        "ledge: L(x) = ⅓ x^3 + ¼ x^4, level at x = 0, least at x = −1",
        "near the saddle, each step multiplies |y| by 1 + α (SGD), or by the larger root of z^2 − "
        "(1 + β + (1 − β) α) z + β = 0 (momentum)",
    ),
    equations_zh=(
        "鞍点：L(x, y) = ½ (κ x^2 − y^2) + ¼ y^4，在 y = ±1 处最小",
        "台阶：L(x) = ⅓ x^3 + ¼ x^4，在 x = 0 处水平，在 x = −1 处最小",
        "在鞍点附近，|y| 每步乘 1 + α（SGD），或乘 z^2 − (1 + β + (1 − β) α) z + β = 0 的较大根（"
        "动量）",
    ),
    how="At the saddle SGD and momentum start beside the ridge, and every gradient has a little "
    "noise. An optimizer has left the saddle when |y| > ½. Both try equally many learning rates, "
    "and each keeps its best; a learning rate does not count if a path does not end in a "
    "minimum. SGD's stall is measured at α = 0.05, until it has left: the number of its steps "
    "with a gradient below 0.1, divided by the number of its other steps. On the ledge, without "
    "noise, both come down to a level spot that is no minimum. We find the smallest learning "
    "rate at which each passes it (x < −½). Last, both start on the ridge itself, without noise.",
    how_zh="在鞍点处，SGD 与动量从山脊旁出发，每个梯度带少许噪声；|y| > ½ 算离开。两者各试同样多"
    "的学习率，取其中最好的一个；最终没有到达极小点的学习率不计。SGD 的停滞程度在 α = 0.05 时测量："
    "离开之前，梯度小于 0.1 的步数与其余步数之比。在台阶处没有噪声，两者下降到一处平坦点，它并非"
    "极小点；求各自能越过它（x < −½）的最小学习率。最后，两者都正好从山脊线上无噪声出发。",
    setting={
        "seeds": 11,
        "beta": 0.9,
        "start": [0.5, 1e-4],
        "curvature": 10.0,
        "noise": 1e-4,
        "same_rate": 0.05,
        "rates": [0.01, 4.0, 61],
        "steps": 1000,
        "ledge_start": 1.0,
        "ledge_rates": [0.02, 1.0, 79],
    },
    quick={"seeds": 6, "rates": [0.02, 4.0, 16], "ledge_rates": [0.02, 1.0, 40], "steps": 600},
    measured={
        "stall": (
            "SGD's steps near the saddle divided by its other steps, α = 0.05",
            "SGD 在鞍点附近的步数与其余步数之比，α = 0.05",
        ),
        "stall_best": (
            "SGD's steps near the saddle divided by its other steps, best learning rate",
            "同上，SGD 的最佳学习率",
        ),
        "best_sgd": (
            "steps that SGD takes to leave the saddle, best learning rate",
            "SGD 离开鞍点的步数，最佳学习率",
        ),
        "best_momentum": (
            "steps that momentum takes to leave the saddle, best learning rate",
            "动量离开鞍点的步数，最佳学习率",
        ),
        "best_ratio": (
            "SGD's steps divided by momentum's, each at its best learning rate",
            "SGD 步数与动量步数之比，各取最佳学习率",
        ),
        "same_sgd": (
            "steps that SGD takes to leave the saddle, α = 0.05",
            "SGD 离开鞍点的步数，α = 0.05",
        ),
        "same_momentum": (
            "steps that momentum takes to leave the saddle, α = 0.05",
            "动量离开鞍点的步数，α = 0.05",
        ),
        "same_heavy": (
            "steps that the heavy ball takes to leave the saddle, α = 0.05; each of its steps is "
            "1/(1 − β) times as long as momentum's",
            "重球离开鞍点的步数，α = 0.05；它的步长是动量的 1/(1 − β) 倍",
        ),
        "ledge_sgd": (
            "smallest learning rate at which SGD passes the ledge",
            "SGD 越过台阶所需的最小学习率",
        ),
        "ledge_momentum": (
            "smallest learning rate at which momentum passes the ledge",
            "动量越过台阶所需的最小学习率",
        ),
        "ledge_ratio": (
            "SGD's smallest learning rate on the ledge divided by momentum's",
            "越过台阶的最小学习率：SGD 与动量之比",
        ),
        "ridge_moves": (
            "largest |y| of both, started on the ridge itself",
            "正好从山脊线上出发时两者的最大 |y|",
        ),
    },
    threshold={"times": 2.0, "stall": 1.0},
    rule="SGD stalls if it takes at least {stall:g} times as many steps near the saddle as "
    "elsewhere. Momentum rolls on if, each at its best learning rate, SGD needs at least "
    "{times:g} times momentum's steps to leave the saddle, and at least {times:g} times "
    "momentum's learning rate to pass the ledge. Holds if all three are true; fails if SGD does "
    "not stall, or if momentum does not roll on at either place; else it depends. {undecided}",
    rule_zh="若 SGD 在鞍点附近的步数与其余步数之比至少为 {stall:g}，则算停滞。动量“滚过去”有两"
    "项：各取最佳学习率时，SGD 离开鞍点的步数至少是动量的 {times:g} 倍；SGD 越过台阶所需的学习率"
    "至少是动量的 {times:g} 倍。三项都满足则成立；SGD 不停滞，或动量在两处都不满足，则不成立；否"
    "则视情况而定。{undecided}",
    picture="Four panels. The saddle's contours with the path of each optimizer, from beside the "
    "ridge until it has left the saddle, y on a logarithmic axis: momentum's steps are fewer and "
    "longer. |y| over the steps at one learning rate, on a logarithmic axis: SGD leaves before "
    "momentum, and the heavy ball long before both. The number of steps to leave the saddle, "
    "over the learning rate: the two lines fall together; SGD's ends at 0.2, momentum's goes on. "
    "The ledge as a curve: SGD's points end on its level spot, momentum's pass it and reach the "
    "minimum.",
    picture_zh="自上而下：鞍点等高线与两者从山脊旁出发直到离开的轨迹（y 取对数坐标），动量步数少而"
    "步长大。同一学习率下 |y| 随步数变化（对数坐标）：SGD 比动量早离开，重球远早于两者。离开鞍点的"
    "步数随学习率变化：两条线一同下降，SGD 的止于 0.2，动量的继续延伸。台阶曲线：SGD 的点停在平坦"
    "处，动量越过它进入极小点。",
    remark="The picture of a rolling ball fits the ledge, where an optimizer arrives and leaves "
    "in the same direction. At a true saddle the velocity points to the ridge, not away from it: "
    "at the same α, y grows more slowly with the notes' moving average than with SGD. Momentum "
    "wins there because it is stable at larger learning rates. The heavy ball hides this slower "
    "growth, because its steps at the same α are 1/(1 − β) times as long. By the rule SGD stalls "
    "at α = 0.05, but there momentum takes even longer. At its best learning rate, most of SGD's "
    "steps are elsewhere. SGD passes this ledge only where α is above ½: its first step, from x "
    "= 1 to 1 − 2α, then jumps over the level spot. Lee et al. (2016) show that gradient descent "
    "from a random start almost surely converges to a local minimiser if every saddle has a "
    "direction of negative curvature and the steps are small. This saddle meets their "
    "conditions; the ledge does not.",
    remark_zh="“滚动的小球”适用于台阶：进与出在同一方向。在真正的鞍点，速度指向山脊而不是离开它："
    "同一 α 下，笔记的滑动平均形式中 y 的增长比 SGD 还慢。动量获胜是因为它在更大的学习率下仍然稳"
    "定；“重球”形式在同一 α 下步长为 1/(1 − β) 倍，掩盖了这一点。按判据，SGD 在 α = 0.05 时停滞，而"
    "动量此时离开得更晚；取最佳学习率时，SGD 的大多数步并不在鞍点附近。SGD 只在 α > ½ 时越过这个台"
    "阶：第一步从 x = 1 到 1 − 2α，直接跳过平坦点。Lee 等（2016）证明：若每个鞍点都有负曲率方向且步"
    "长足够小，随机起点的梯度下降几乎必然收敛到局部极小点；这里的鞍点满足条件，台阶不满足。",
    sources=(
        "Lee, Simchowitz, Jordan & Recht 2016, “Gradient Descent Only Converges to Minimizers”",
        "Goodfellow, Bengio & Courville 2016, “Deep Learning”, §8.2.3 and §8.3.2",
    ),
    findings={
        "holds": (
            "Tuned, SGD needs {best_ratio:.1f} times momentum's steps to leave a saddle, because "
            "momentum is stable at larger learning rates; at the same learning rate SGD leaves "
            "first",
            "各自调参时，SGD 离开鞍点的步数是动量的 {best_ratio:.1f} 倍，因为动量在更大的学习率下"
            "仍稳定；学习率相同时 SGD 先离开",
        ),
        "depends": (
            "Momentum rolls past a ledge or off a saddle sooner than SGD, but not both",
            "动量只在台阶或鞍点之一处胜过 SGD",
        ),
        "fails": (
            "SGD does not stall, or momentum leaves neither a saddle nor a ledge sooner",
            "SGD 并不停滞，或动量在鞍点和台阶处都不占优",
        ),
        "not decided": (
            "Whether momentum leaves a saddle sooner is not decided",
            "动量是否更早离开鞍点尚无定论",
        ),
    },
    reachable={"fails": {"beta": 0.01}, "depends": {"curvature": 2.0}},
    texts={
        "y, off the saddle": "y（离开鞍点的方向）",
        "off at y = ½": "y = ½ 处离开",
        "← the saddle, at y = 0": "← 鞍点在 y = 0",
        "Each at its best: momentum's steps are larger": "各取最佳学习率：动量的步子更大",
        "At the same α, momentum leaves after SGD": "α 相同时，动量比 SGD 晚离开",
        "heavy ball": "重球",
        "steps to leave": "离开鞍点的步数",
        "{} steps": "{} 步",
        "Momentum is stable at larger learning rates": "动量在更大的学习率下仍稳定",
        "level spot": "平坦处",
        "On the ledge, α = 0.1: SGD stops, momentum rolls on": (
            "台阶上，α = 0.1：SGD 停住，动量继续滚动"
        ),
    },
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


def stalled(paths: Any, setting: dict[str, Any]) -> np.ndarray:
    """Steps with a gradient below 0.1 divided by the others, until off the saddle: (seeds,)."""
    x, y = paths[..., 0], paths[..., 1]
    near = np.hypot(setting["curvature"] * x, y**3 - y) < 0.1
    before = np.arange(x.shape[-1]) < off(paths)[..., None]
    return (near & before).sum(-1) / np.maximum((~near & before).sum(-1), 1)


def least_rate(x: np.ndarray, tried: np.ndarray) -> float:
    """The smallest learning rate at which a path (rates, steps + 1) passes the ledge; ∞ if none."""
    passes = (x < -0.5).any(-1) & np.isfinite(x[:, -1])
    return float(tried[passes][0]) if passes.any() else float("inf")


def measure(setting: dict[str, Any]) -> Measured:
    """Both optimizers on the saddle, on the ledge and on the ridge."""
    numbers: dict[str, Any] = {}
    tried, ledge_tried = rates(setting), rates({"rates": setting["ledge_rates"]})
    series: dict[str, Any] = {"rate": tried, "curvature": [setting["curvature"]]}
    start, noise = setting["start"], setting["noise"]
    ridge, steps_at_best = [], {}
    heavy = setting["same_rate"] / (1 - setting["beta"])
    for name, rate, optimizer in (
        ("sgd", setting["same_rate"], "sgd"),
        ("momentum", setting["same_rate"], "momentum"),
        ("heavy", heavy, "momentum"),
    ):
        same = on_saddle(optimizer, [rate], setting, start, noise)[0]
        numbers[f"same_{name}"] = spread(off(same))
        series[f"{name}_y"] = np.median(abs(same[..., 1]), axis=0)[:400]
        if name == "sgd":
            numbers["stall"] = median_interval(stalled(same, setting))
    for name in OPTIMIZERS:
        paths = on_saddle(name, tried, setting, start, noise)
        steps = off(paths)
        best = np.median(steps, axis=1).argmin()
        steps_at_best[name] = steps[best]
        numbers[f"best_{name}"] = spread(steps[best])
        if name == "sgd":
            numbers["stall_best"] = median_interval(stalled(paths[best], setting))
        x = over_ledge(name, ledge_tried, setting)
        numbers[f"ledge_{name}"] = least_rate(x, ledge_tried)
        on_ridge = on_saddle(name, [setting["same_rate"]], setting, [0.5, 0.0], 0.0)
        ridge.append(abs(on_ridge[..., 1]).max())
        series[f"{name}_steps"] = np.median(steps, axis=1)
        series |= {f"{name}_path_{axis}": paths[best, 0, :200, i] for i, axis in enumerate("xy")}
        series[f"{name}_ledge"] = x[abs(ledge_tried - 0.1).argmin(), :400]
    numbers["best_ratio"] = median_interval(steps_at_best["sgd"] / steps_at_best["momentum"])
    numbers["ledge_ratio"] = numbers["ledge_sgd"] / numbers["ledge_momentum"]
    numbers["ridge_moves"] = float(max(ridge))
    return Measured(numbers, series)


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n = middle(numbers)

    def rule(stalls: bool, saddle: bool, ledge: bool) -> str:
        if not stalls or not (saddle or ledge):
            return FAILS
        return HOLDS if saddle and ledge else DEPENDS

    word = combined(
        rule,
        decide(numbers["stall"], threshold["stall"]),
        decide(numbers["best_ratio"], threshold["times"]),
        HOLDS if n["ledge_ratio"] >= threshold["times"] else FAILS,
    )
    return Verdict(
        word,
        f"Each at its best learning rate, SGD leaves the saddle after {n['best_sgd']:.0f} steps "
        f"and momentum after {n['best_momentum']:.0f}. At the same α = 0.05 SGD takes "
        f"{n['same_sgd']:.0f} steps, momentum {n['same_momentum']:.0f} and the heavy ball "
        f"{n['same_heavy']:.0f}. For each step elsewhere, SGD spends {n['stall']:.1f} steps near "
        f"the saddle at this α, and {n['stall_best']:.1f} at its best learning rate. On the "
        f"ledge, a level spot that is no minimum, momentum passes from α = "
        f"{n['ledge_momentum']:.2g} on and SGD from {n['ledge_sgd']:.2g} on.",
        f"取最佳学习率时，SGD 用 {n['best_sgd']:.0f} 步离开鞍点，动量用 {n['best_momentum']:.0f} "
        f"步。同一 α = 0.05 时，SGD {n['same_sgd']:.0f} 步，动量 {n['same_momentum']:.0f} 步，重"
        f"球 {n['same_heavy']:.0f} 步。此时 SGD 在鞍点附近的步数是其余步数的 {n['stall']:.1f} 倍，"
        f"取最佳学习率时是 {n['stall_best']:.1f} 倍。台阶是一处平坦但并非极小的点：动量从 α = "
        f"{n['ledge_momentum']:.2g} 起越过它，SGD 从 {n['ledge_sgd']:.2g} 起。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """The saddle, growth beside it, steps over the learning rate, and the ledge."""
    s, n = measured.series, middle(measured.numbers)
    saddle, beside, over, ledge = style.panels(figure, [2.4, 2.2, 2.3, 2.2])
    _draw_saddle(saddle, s)
    for name in OPTIMIZERS:
        beside.semilogy(s[f"{name}_y"], **style.line(name))
        reached = np.where(np.isfinite(s[f"{name}_steps"]), s[f"{name}_steps"], np.nan)
        over.loglog(s["rate"], reached, **style.line(name))
        best = int(np.nanargmin(reached))
        over.plot(s["rate"][best], reached[best], "o", color=style.COLOURS[name])
        over.annotate(
            f"{n[f'best_{name}']:.0f} steps",
            (s["rate"][best], reached[best]),
            (0, -13),
            textcoords="offset points",
            ha="right",
            fontsize=8.5,
        )
    beside.semilogy(s["heavy_y"], ":", color=style.GREEN, label="heavy ball")
    beside.axhline(0.5, color="#999999", linewidth=0.8)
    beside.set(title="At the same α, momentum leaves after SGD", xlabel="step", ylabel="|y|")
    beside.set_xlim(0, 400)
    beside.legend(loc="lower right")
    over.set(title="Momentum is stable at larger learning rates", xlabel="learning rate α")
    over.set_ylabel("steps to leave")
    over.set_ylim(bottom=8)
    over.legend(loc="lower left")
    x = np.linspace(-1.35, 1.05, 200)
    ledge.plot(x, x**3 / 3 + x**4 / 4, color="#888888", linewidth=1)
    for name, lift in zip(OPTIMIZERS, (0.012, 0.03)):
        at = s[f"{name}_ledge"]
        look = {**style.line(name), "linestyle": "none"}
        ledge.plot(at, at**3 / 3 + at**4 / 4 + lift, ".", markersize=4, **look)
    ledge.annotate("level spot", (0, 0), (0.05, 0.22), arrowprops={"arrowstyle": "-"}, fontsize=8.5)
    ledge.set(title="On the ledge, α = 0.1: SGD stops, momentum rolls on", xlabel="x", ylabel="L")
    ledge.legend(loc="upper center")


def _draw_saddle(axes: Any, s: Any) -> None:
    """Both paths until they are off; on a logarithmic axis, as each step multiplies y."""
    y, x = np.meshgrid(np.geomspace(6e-5, 2.4, 120), np.linspace(-2.8, 2.8, 120))
    height = (s["curvature"][0] * x**2 - y**2) / 2 + y**4 / 4
    axes.contour(
        y, x, height, [-0.24, -0.1, 0.1, 1, 3, 7, 13, 22, 33], colors="#CCCCCC", linewidths=0.7
    )
    for name in OPTIMIZERS:
        look = {**style.line(name), "linestyle": "-", "linewidth": 0.8, "marker": "."}
        up = np.sign(s[f"{name}_path_y"][-1]) * s[f"{name}_path_y"]
        last = int(np.argmax(up > 0.5))
        axes.plot(up[: last + 1], s[f"{name}_path_x"][: last + 1], markersize=6, **look)
    axes.axvline(0.5, color="#999999", linewidth=0.8)
    axes.text(0.46, 2.2, "off at y = ½", ha="right", fontsize=8.5)
    axes.text(7e-5, -2.6, "← the saddle, at y = 0", fontsize=8.5)
    axes.set(title="Each at its best: momentum's steps are larger", xscale="log", ylabel="x")
    axes.set(xlabel="y, off the saddle", xlim=(6e-5, 2.4), ylim=(-2.8, 2.8))
    axes.legend(loc="upper left", ncols=2)
    axes.grid(False)
