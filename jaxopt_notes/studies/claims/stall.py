"""AdaGrad's falling rate: where it stalls, where RMSProp does not, and what that costs."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes.conventions import notes
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
    number=4,
    title="AdaGrad stalls, RMSProp does not",
    title_zh="AdaGrad 停滞，RMSProp 不会",
    kind="can",
    claim="AdaGrad's G only grows, so its learning rate falls for ever and training can stall; "
    "RMSProp cures that with a decaying average, in which old gradients fade.",
    claim_zh="AdaGrad 的 G 只增不减，学习率不断下降，训练可能停滞；RMSProp 用衰减平均解决："
    "久远的梯度逐渐淡出。",
    section="Claims about the optimizers, 4 and 5",
    equations=(
        "constant g: AdaGrad's step is α/√t, RMSProp's tends to α",
        "bowl: L = Σ ¼ x^4; quadratic: L = Σ ½ λ x^2; noisy: L = Σ ½ x^2, g = x + noise",
    ),
    equations_zh=(
        "恒定的 g：AdaGrad 的步长为 α/√t，RMSProp 的步长趋于 α",
        "碗：L = Σ ¼ x^4；二次函数：L = Σ ½ λ x^2；带噪声：L = Σ ½ x^2，g = x + 噪声",
    ),
    how="First we measure the length of the steps under a constant gradient. Then there are three "
    "tasks. The first is a bowl that is steep far out and flat within: Σ ¼ x⁴ over parameters that "
    "start in [−10, 10]. The second is neutral: a quadratic with curvatures from 1 to 100. On "
    "both, each optimizer takes the best of equally many learning rates, and arrives at the "
    "first step where the mean |x| is below 0.1. The third task favours a falling learning rate: "
    "a quadratic with noise in every gradient. There each optimizer takes the learning rate that "
    "is best over the first tenth of the steps, and we measure the mean loss over the last fifth.",
    how_zh="先看恒定梯度下的步长。然后是三个任务：外陡内平的碗 Σ ¼ x⁴，参数从 [−10, 10] 出发；中性"
    "任务：曲率从 1 到 100 的二次函数；两者都各取同样多学习率中最好的一个，平均 |x| 首次低于 0.1 "
    "算到达。最后是需要学习率下降的任务：每个梯度都带噪声的二次函数，各取前十分之一步数内最好的学"
    "习率，测最后五分之一步数的平均损失。",
    setting={
        "seeds": 7,
        "parameters": 32,
        "power": 3,
        "curvatures": [1.0, 100.0],
        "rates": [1e-3, 30.0, 37],
        "constant_steps": 10000,
        "bowl_steps": 8000,
        "noisy_steps": 5000,
        "noise": 1.0,
    },
    quick={
        "seeds": 6,
        "parameters": 16,
        "rates": [1e-3, 30.0, 19],
        "bowl_steps": 4000,
        "noisy_steps": 2000,
    },
    measured={
        "exponent_adagrad": (
            "exponent p of AdaGrad's step ∝ t^p, constant g",
            "指数 p：恒定梯度下 AdaGrad 的步长 ∝ t^p",
        ),
        "exponent_rmsprop": (
            "exponent p of RMSProp's step ∝ t^p, constant g",
            "指数 p：恒定梯度下 RMSProp 的步长 ∝ t^p",
        ),
        "bowl_adagrad": (
            "steps of AdaGrad down the bowl, best learning rate",
            "AdaGrad 到达碗底的步数，最佳学习率",
        ),
        "bowl_rmsprop": (
            "steps of RMSProp down the bowl, best learning rate",
            "RMSProp 到达碗底的步数，最佳学习率",
        ),
        "bowl_ratio": (
            "AdaGrad's steps divided by RMSProp's, bowl",
            "碗：AdaGrad 与 RMSProp 步数之比",
        ),
        "quadratic_adagrad": ("steps of AdaGrad on the quadratic", "AdaGrad 在二次函数上的步数"),
        "quadratic_rmsprop": (
            "steps of RMSProp on the quadratic",
            "RMSProp 在二次函数上的步数",
        ),
        "quadratic_ratio": (
            "AdaGrad's steps divided by RMSProp's, quadratic",
            "二次函数：AdaGrad 与 RMSProp 步数之比",
        ),
        "noisy_adagrad": (
            "AdaGrad's mean loss over the last fifth of the steps, noise",
            "带噪声：AdaGrad 最后五分之一步数的平均损失",
        ),
        "noisy_rmsprop": (
            "RMSProp's mean loss over the last fifth of the steps, noise",
            "带噪声：RMSProp 最后五分之一步数的平均损失",
        ),
    },
    threshold={"off": 0.05, "longer": 3.0},
    rule="Falls: the exponent of AdaGrad's step is within {off:g} of −½, and RMSProp's is within "
    "{off:g} of 0. Stalls: AdaGrad needs at least {longer:g} times RMSProp's steps down the bowl, "
    "each at its best learning rate. One such bowl suffices for “can”; the other tasks show where "
    "else it happens. Holds if both are true; depends if only one is true; fails if neither is. "
    "{undecided}",
    rule_zh="下降：AdaGrad 步长的幂指数与 −½ 相差 {off:g} 以内，RMSProp 与 0 相差 {off:g} 以内。"
    "停滞：各取最佳学习率时 AdaGrad 到达碗底的步数至少是 RMSProp 的 {longer:g} 倍。对“可能”而言一"
    "个这样的碗就够了，其余任务说明适用范围。两项都满足则成立；只满足其一则视情况而定；都不满足则"
    "不成立。{undecided}",
    picture="Four panels. Step length over steps under a constant gradient: AdaGrad's falls as a "
    "straight line on logarithmic axes, RMSProp's stays level. The mean |x| in the bowl: RMSProp "
    "reaches the goal far sooner than AdaGrad. The mean |x| on the quadratic: AdaGrad reaches the "
    "goal first, and RMSProp rises above it again. In both, a dashed line marks the goal of 0.1, "
    "and a dot marks each optimizer's arrival. The loss under noise: AdaGrad's keeps falling, "
    "RMSProp's stays at a floor.",
    picture_zh="四幅图。恒定梯度下的步长：AdaGrad 在对数坐标上直线下降，RMSProp 保持不变。碗中的"
    "平均 |x|：RMSProp 远早于 AdaGrad 到达。二次函数上的平均 |x|：AdaGrad 先到，RMSProp 随后又升到"
    "目标之上。这两幅中虚线为目标 0.1，圆点为各自到达之处。噪声下的损失：AdaGrad 持续下降，RMSProp "
    "停在一个下限上。",
    remark="The bowl is built for the claim: large gradients come first, and AdaGrad never "
    "forgets them. On the quadratic there is nothing to forget, and under noise a falling "
    "learning rate helps. RMSProp reaches the quadratic's goal but does not stay there: its steps "
    "do not shrink, and its mean |x| ends near 0.9. AdaGrad's step falls as 1/√t, and Σ 1/√t has "
    "no bound, so it never stops for good. Forgetting has a price too: Reddi et al. (2018) give a "
    "convex problem on which Adam does not converge to the optimum.",
    remark_zh="这个碗是为论断而造的：大梯度先到来，而 AdaGrad 永不忘记。二次函数上没有需要忘记的东"
    "西；在噪声下，需要的正是下降的学习率。RMSProp 在二次函数上达到目标后并不停留：它的步长不缩小"
    "，平均 |x| 最后约为 0.9。AdaGrad 的步长按 1/√t 下降，而 Σ 1/√t 无界，所以它不会永远停住。遗忘"
    "也有代价：Reddi 等（2018）给出了一个 Adam 不收敛到最优解的凸问题。",
    sources=(
        "Duchi, Hazan & Singer 2011, “Adaptive Subgradient Methods for Online Learning and "
        "Stochastic Optimization”",
        "Hinton 2012, “Neural Networks for Machine Learning”, lecture 6e",
        "Reddi, Kale & Kumar 2018, “On the Convergence of Adam and Beyond”",
    ),
    findings={
        "holds": (
            "AdaGrad can stall: it needs {bowl_ratio:.0f} times RMSProp's steps in a bowl that "
            "flattens, and {quadratic_ratio:.1f} times on a quadratic",
            "AdaGrad 可能停滞：在渐平的碗中步数是 RMSProp 的 {bowl_ratio:.0f} 倍，在二次函数上是 "
            "{quadratic_ratio:.1f} 倍",
        ),
        "depends": (
            "Only one is true: AdaGrad's step falls, or its training stalls",
            "只有一项成立：AdaGrad 的步长下降，或训练停滞",
        ),
        "fails": ("AdaGrad does not stall here", "AdaGrad 在这里并不停滞"),
        "not decided": ("Whether AdaGrad stalls is not decided", "AdaGrad 是否停滞尚无定论"),
    },
    reachable={
        "depends": {"power": 1, "noisy_steps": 100},
        "fails": {"power": 1, "constant_steps": 6, "noisy_steps": 100},
    },
    texts={
        "length of step": "步长",
        "Constant gradient, α = 1": "恒定梯度，α = 1",
        "mean |x|": "|x| 的均值",
        "Steep, then flat, Σ ¼ x⁴: AdaGrad stalls": "先陡后平，Σ ¼ x⁴：AdaGrad 停滞",
        "Quadratic, curvatures 1 to 100": "二次函数，曲率 1 到 100",
        "dots: below 0.1": "圆点：低于 0.1",
        "loss": "损失",
        "Noise in every gradient": "每个梯度都带噪声",
    },
)

OPTIMIZERS: dict[str, Any] = {"adagrad": notes.adagrad, "rmsprop": notes.rmsprop}
TASKS = ("bowl", "quadratic", "noisy")


def step_lengths(name: str, steps: int) -> np.ndarray:
    """|θ_t − θ_{t−1}| with α = 1 and g = 1."""
    with jax.enable_x64(True):
        one = jnp.ones(())
        path = jax.jit(lambda: walk(OPTIMIZERS[name](1.0), lambda *_: one, one, steps))()
        return abs(np.diff(np.asarray(path)))


def exponent(lengths: np.ndarray) -> float:
    """The power of t with which they go, over their later half (in log t)."""
    t = np.arange(1, len(lengths) + 1)
    late = t >= np.sqrt(len(lengths))
    return float(np.polyfit(np.log(t[late]), np.log(lengths[late]), 1)[0])


def followed(name: str, setting: dict[str, Any], task: str) -> np.ndarray:
    """Mean |x|, or mean loss under noise, on one of TASKS: (rates, seeds, steps + 1)."""
    steps = setting["noisy_steps" if task == "noisy" else "bowl_steps"]
    curvatures = jnp.geomspace(*setting["curvatures"], setting["parameters"])  # type: ignore[call-arg]

    def path(rate: jax.Array, seed: jax.Array) -> jax.Array:
        first, rest = jax.random.split(jax.random.key(seed))
        start = jax.random.uniform(first, (setting["parameters"],), minval=-10.0, maxval=10.0)

        def gradient(x: jax.Array, t: jax.Array, key: jax.Array) -> jax.Array:
            if task == "noisy":
                return x + setting["noise"] * jax.random.normal(key, x.shape)
            return x ** setting["power"] if task == "bowl" else curvatures * x

        x = walk(OPTIMIZERS[name](rate), gradient, start, steps, rest)
        return (x**2 / 2).mean(-1) if task == "noisy" else abs(x).mean(-1)

    over_seeds = jax.vmap(path, (None, 0))
    seeds = jnp.arange(setting["seeds"])
    run = jax.jit(lambda tried: jax.lax.map(lambda r: over_seeds(r, seeds), tried))
    return np.asarray(run(jnp.asarray(rates(setting), jnp.float32)))


def measure(setting: dict[str, Any]) -> Measured:
    """Step lengths, and the three tasks."""
    numbers: dict[str, Any] = {}
    series: dict[str, Any] = {}
    arrived: dict[str, np.ndarray] = {}
    for name in OPTIMIZERS:
        lengths = step_lengths(name, setting["constant_steps"])
        numbers[f"exponent_{name}"] = exponent(lengths)
        thin = np.unique(np.geomspace(1, len(lengths), 60).astype(int)) - 1
        series[f"step_{name}"], series[f"length_{name}"] = thin + 1, lengths[thin]
        for task in TASKS:
            paths = followed(name, setting, task)
            if task == "noisy":
                tenth = paths.shape[-1] // 10
                best = np.median(paths[..., tenth // 2 : tenth].mean(-1), axis=1).argmin()
                numbers[f"noisy_{name}"] = spread(paths[best, :, -2 * tenth :].mean(-1))
            else:
                steps = arrival(paths < 0.1)
                best = np.median(steps, axis=1).argmin()
                arrived[f"{task}_{name}"] = steps[best]
                numbers[f"{task}_{name}"] = spread(steps[best])
            t = np.unique(np.geomspace(1, paths.shape[-1], 120).astype(int)) - 1
            series[f"{task}_t_{name}"] = t + 1
            series[f"{task}_{name}"] = np.median(paths[best], axis=0)[t]
    for task in ("bowl", "quadratic"):
        ratio = arrived[f"{task}_adagrad"] / arrived[f"{task}_rmsprop"]
        numbers[f"{task}_ratio"] = median_interval(ratio)
    return Measured(numbers, series)


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n = middle(numbers)
    off = max(abs(n["exponent_adagrad"] + 0.5), abs(n["exponent_rmsprop"]))

    def rule(falls: bool, stalls: bool) -> str:
        return HOLDS if falls and stalls else DEPENDS if falls or stalls else FAILS

    word = combined(
        rule,
        HOLDS if off <= threshold["off"] else FAILS,
        decide(numbers["bowl_ratio"], threshold["longer"]),
    )
    power = f"t^{n['exponent_rmsprop']:z.2f}"
    constant = power == "t^0.00"
    level = f"stays constant ({power})" if constant else f"goes as {power}"
    level_zh = f"不变（{power}）" if constant else f"按 {power} 变化"
    return Verdict(
        word,
        f"AdaGrad's step goes as t^{n['exponent_adagrad']:.2f}; RMSProp's {level}. Down the bowl "
        f"AdaGrad needs {n['bowl_adagrad']:,.0f} steps and RMSProp {n['bowl_rmsprop']:,.0f}; on "
        f"the quadratic they need {n['quadratic_adagrad']:,.0f} and "
        f"{n['quadratic_rmsprop']:,.0f}. Under noise AdaGrad ends at a loss of "
        f"{n['noisy_adagrad']:.4f}, RMSProp at {n['noisy_rmsprop']:.4f}.",
        f"AdaGrad 的步长按 t^{n['exponent_adagrad']:.2f} 变化，RMSProp 的步长{level_zh}。到达碗"
        f"底：AdaGrad 需 {n['bowl_adagrad']:,.0f} 步，RMSProp 需 {n['bowl_rmsprop']:,.0f} 步；二"
        f"次函数上分别为 {n['quadratic_adagrad']:,.0f} 步和 {n['quadratic_rmsprop']:,.0f} 步。噪"
        f"声下 AdaGrad 末段损失为 {n['noisy_adagrad']:.4f}，RMSProp 为 {n['noisy_rmsprop']:.4f}。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """Step lengths, and the three tasks."""
    s, n = measured.series, middle(measured.numbers)
    constant, bowl, quadratic, noisy = style.panels(figure, [2.0, 2.1, 2.1, 2.1])
    for name in OPTIMIZERS:
        look = style.line(name)
        constant.loglog(s[f"step_{name}"], s[f"length_{name}"], **look)
        for task, axes in zip(TASKS, (bowl, quadratic, noisy)):
            axes.loglog(s[f"{task}_t_{name}"], s[f"{task}_{name}"], **look)
    for task, axes in (("bowl", bowl), ("quadratic", quadratic)):
        axes.axhline(0.1, color="#777777", linewidth=1, linestyle="--")
        place = 1.1 if axes is bowl else 1000  # where no line passes
        axes.text(place, 0.112, "dots: below 0.1", fontsize=8.5, va="bottom")
        for name in OPTIMIZERS:
            if np.isfinite(steps := n[f"{task}_{name}"]):
                axes.plot(steps + 1, 0.1, "o", color=style.COLOURS[name])
        axes.set(xlabel="step", ylabel="mean |x|", ylim=(0.01, None))
    constant.set(title="Constant gradient, α = 1", xlabel="step", ylabel="length of step")
    bowl.set_title("Steep, then flat, Σ ¼ x⁴: AdaGrad stalls")
    quadratic.set_title("Quadratic, curvatures 1 to 100")
    noisy.set(title="Noise in every gradient", xlabel="step", ylabel="loss")
    for axes in (constant, bowl, quadratic, noisy):
        axes.legend(loc="upper right" if axes is quadratic else "lower left")
