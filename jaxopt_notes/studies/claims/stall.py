"""AdaGrad's falling rate: where it stalls, where RMSProp does not, and what that costs."""

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
from jaxopt_notes.studies.walks import arrival, rates, walk

ABOUT = About(
    number=4,
    title="AdaGrad stalls, RMSProp does not",
    title_zh="AdaGrad 停滞，RMSProp 不会",
    claim="AdaGrad's G only grows, so its rate falls for ever and training can stall; RMSProp "
    "cures "
    "that with a decaying average, in which far gradients fade.",
    claim_zh="AdaGrad 的 G 只增不减，学习率不断下降，训练可能停滞；RMSProp 用衰减平均解决："
    "久远的梯度逐渐淡出。",
    section="Claims about the optimizers, 4 and 5",
    equations=(
        "constant g: AdaGrad's step is α/√t, RMSProp's tends to α",
        "bowl: L = Σ ¼ x^4; noisy: L = Σ ½ x^2, g = x + noise",
    ),
    how="First the length of the steps under a constant gradient. Then a bowl that is steep far "
    "out "
    "and flat within, Σ ¼ x⁴ over parameters that start in [−10, 10]: both get the best of the "
    "same rates, and are home when the mean |x| is below 0.1. Last, the reverse: a quadratic "
    "with noise in every gradient, where a rate that falls is what is wanted: each gets the "
    "rate that is best over the first tenth of the steps, and measured is the mean loss over the "
    "last fifth.",
    how_zh="先看恒定梯度下的步长。再看外陡内平的碗 Σ ¼ x⁴，参数从 [−10, 10] 出发：两者各取同一组学"
    "习率中最好的，"
    "平均 |x| 低于 0.1 算到达。最后反过来：每个梯度都带噪声的二次函数，此时需要的正是下降的学习率；"
    "各取在前十分之一步数内最好的学习率，测最后五分之一步数的平均损失。",
    setting={
        "seeds": 5,
        "parameters": 32,
        "rates": [1e-3, 30.0, 37],
        "constant_steps": 10000,
        "bowl_steps": 20000,
        "noisy_steps": 10000,
        "noise": 1.0,
    },
    quick={"parameters": 16, "rates": [1e-3, 30.0, 19], "bowl_steps": 8000, "noisy_steps": 5000},
    measured={
        "exponent_adagrad": (
            "AdaGrad's step under constant g goes as t to the power",
            "AdaGrad 步长随 t 变化的幂指数",
        ),
        "exponent_rmsprop": (
            "RMSProp's step goes as t to the power",
            "RMSProp 步长随 t 变化的幂指数",
        ),
        "bowl_adagrad": (
            "steps of AdaGrad down the bowl, best rate",
            "AdaGrad 到达碗底的步数，最佳学习率",
        ),
        "bowl_rmsprop": ("steps of RMSProp, best rate", "RMSProp 到达碗底的步数，最佳学习率"),
        "noisy_adagrad": ("last loss of AdaGrad under noise", "噪声下 AdaGrad 的末段损失"),
        "noisy_rmsprop": ("last loss of RMSProp under noise", "噪声下 RMSProp 的末段损失"),
    },
    threshold={"falls": -0.45, "level": -0.05, "longer": 3.0},
    rule="Holds if AdaGrad's step falls at least as t^{falls:g} and RMSProp's no faster than "
    "t^{level:g}, and AdaGrad needs {longer:g} times RMSProp's steps down the bowl or more, each "
    "at its best rate. Depends if only one of the two is so; fails if neither.",
    rule_zh="若 AdaGrad 步长至少按 t^{falls:g} 下降，RMSProp 不快于 t^{level:g}，且各取最佳学习率时"
    " AdaGrad "
    "到达碗底的步数至少是 RMSProp 的 {longer:g} 倍，则成立；只满足其一则视情况而定；"
    "都不满足则不成立。",
    picture="Above, step length over steps under a constant gradient: AdaGrad's falls as a "
    "straight "
    "line on logarithmic axes, RMSProp's stays level. In the middle, the mean |x| in the bowl: "
    "both drop at once, then RMSProp goes on falling and AdaGrad creeps. Below, the loss under "
    "noise: AdaGrad's keeps falling, RMSProp's stays at a floor.",
    picture_zh="上：恒定梯度下的步长，AdaGrad 在对数坐标上直线下降，RMSProp 保持不变。中：碗中的平"
    "均 |x|，两者先骤降，"
    "随后 RMSProp 继续下降，AdaGrad 缓慢爬行。下：噪声下的损失，AdaGrad 持续下降，"
    "RMSProp 停在一个下限上。",
    remark="It falls as 1/√t, and Σ 1/√t has no bound: AdaGrad never stops for good, and on convex "
    "problems with noise its fall is just what lets it converge (Duchi et al. 2011), where RMSProp "
    "at a constant rate stays at a floor. Forgetting has a price of its own: RMSProp and Adam can "
    "fail to converge even on a convex problem (Reddi et al. 2018).",
    remark_zh="它按 1/√t 下降，而 Σ 1/√t 无界：AdaGrad 不会永远停住；在带噪的凸问题上，正是这种下降"
    "使它收敛"
    "（Duchi 等 2011），而恒定学习率的 RMSProp 停在一个下限上。遗忘也有代价："
    "RMSProp 和 Adam 甚至在凸问"
    "题上也可能不收敛（Reddi 等 2018）。",
    sources=(
        "Duchi, Hazan & Singer 2011, “Adaptive Subgradient Methods for Online Learning and "
        "Stochastic Optimization”",
        "Hinton 2012, “Neural Networks for Machine Learning”, lecture 6e",
        "Reddi, Kale & Kumar 2018, “On the Convergence of Adam and Beyond”",
    ),
)

OPTIMIZERS: dict[str, Any] = {"adagrad": notes.adagrad, "rmsprop": notes.rmsprop}


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


def followed(name: str, setting: dict[str, Any], bowl: bool) -> np.ndarray:
    """Mean |x| in the bowl, or mean loss under noise: (rates, seeds, steps + 1)."""
    steps = setting["bowl_steps" if bowl else "noisy_steps"]

    def path(rate: jax.Array, seed: jax.Array) -> jax.Array:
        first, rest = jax.random.split(jax.random.key(seed))
        start = jax.random.uniform(first, (setting["parameters"],), minval=-10.0, maxval=10.0)

        def gradient(x: jax.Array, t: jax.Array, key: jax.Array) -> jax.Array:
            return x**3 if bowl else x + setting["noise"] * jax.random.normal(key, x.shape)

        x = walk(OPTIMIZERS[name](rate), gradient, start, steps, rest)
        return abs(x).mean(-1) if bowl else (x**2 / 2).mean(-1)

    over_seeds = jax.vmap(path, (None, 0))
    seeds = jnp.arange(setting["seeds"])
    run = jax.jit(lambda tried: jax.lax.map(lambda r: over_seeds(r, seeds), tried))
    return np.asarray(run(jnp.asarray(rates(setting), jnp.float32)))


def measure(setting: dict[str, Any]) -> Measured:
    """Step lengths, the bowl, and noise."""
    numbers: dict[str, Any] = {}
    series: dict[str, Any] = {}
    for name in OPTIMIZERS:
        lengths = step_lengths(name, setting["constant_steps"])
        numbers[f"exponent_{name}"] = exponent(lengths)
        far = followed(name, setting, bowl=True)
        steps = arrival(far < 0.1)
        best = np.median(steps, axis=1).argmin()
        numbers[f"bowl_{name}"] = spread(steps[best])
        loss = followed(name, setting, bowl=False)
        tenth = loss.shape[-1] // 10
        least = np.median(loss[..., tenth // 2 : tenth].mean(-1), axis=1).argmin()
        numbers[f"noisy_{name}"] = spread(loss[least, :, -2 * tenth :].mean(-1))
        thin = np.unique(np.geomspace(1, len(lengths), 60).astype(int)) - 1
        series[f"step_{name}"], series[f"length_{name}"] = thin + 1, lengths[thin]
        for kind, paths in (("bowl", far[best]), ("noisy", loss[least])):
            t = np.unique(np.geomspace(1, paths.shape[-1], 120).astype(int)) - 1
            series[f"{kind}_t_{name}"] = t + 1
            series[f"{kind}_{name}"] = np.median(paths, axis=0)[t]
    return Measured(numbers, series)


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n = {name: x["median"] if isinstance(x, dict) else x for name, x in numbers.items()}
    power = {name: f"{round(n[f'exponent_{name}'], 2) + 0.0:.2f}" for name in OPTIMIZERS}  # no −0
    falls = (
        n["exponent_adagrad"] <= threshold["falls"] and n["exponent_rmsprop"] >= threshold["level"]
    )
    stalls = n["bowl_adagrad"] >= threshold["longer"] * n["bowl_rmsprop"]
    word = HOLDS if falls and stalls else DEPENDS if falls or stalls else FAILS
    return Verdict(
        word,
        f"AdaGrad's step goes as t^{power['adagrad']}, RMSProp's as t^{power['rmsprop']}. Down the "
        f"bowl AdaGrad needs {n['bowl_adagrad']:,.0f} steps, RMSProp {n['bowl_rmsprop']:,.0f}. "
        f"Under noise AdaGrad ends at a loss of "
        f"{n['noisy_adagrad']:.4f}, RMSProp at {n['noisy_rmsprop']:.4f}.",
        f"AdaGrad 的步长按 t^{power['adagrad']} 变化，RMSProp 按 t^{power['rmsprop']}。"
        f"到达碗底：AdaGrad 需 {n['bowl_adagrad']:,.0f} 步，"
        f"RMSProp 需 {n['bowl_rmsprop']:,.0f} 步。"
        f"噪声下 AdaGrad 末段损失为 {n['noisy_adagrad']:.4f}，"
        f"RMSProp 为 {n['noisy_rmsprop']:.4f}。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """Step lengths, the bowl, and noise."""
    s = measured.series
    constant, bowl, noisy = style.panels(figure, [2.0, 2.2, 2.2])
    for name in OPTIMIZERS:
        look = style.line(name)
        constant.loglog(s[f"step_{name}"], s[f"length_{name}"], **look)
        bowl.loglog(s[f"bowl_t_{name}"], s[f"bowl_{name}"], **look)
        noisy.loglog(s[f"noisy_t_{name}"], s[f"noisy_{name}"], **look)
    constant.set(title="Constant gradient, α = 1", xlabel="step", ylabel="length of step")
    bowl.set(title="Steep, then flat: Σ ¼ x⁴, best rates", xlabel="step", ylabel="mean |x|")
    noisy.set(title="Noise in every gradient", xlabel="step", ylabel="loss")
    for axes in (constant, bowl, noisy):
        axes.legend(loc="lower left")
