"""RMSProp's step lengths: how equal they are over gradients of any size, and where that ends."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes.conventions import notes
from jaxopt_notes.studies import style
from jaxopt_notes.studies.study import DEPENDS, FAILS, HOLDS, About, Measured, Verdict
from jaxopt_notes.studies.walks import walk

ABOUT = About(
    number=21,
    title="RMSProp equalises step sizes",
    title_zh="RMSProp 使步长均衡",
    kind="comparison",
    claim="RMSProp shrinks the steps of large gradients and enlarges those of small gradients, so "
    "steps neither explode nor vanish.",
    claim_zh="RMSProp 缩小大梯度的步长、放大小梯度的步长，使步长既不爆炸也不消失。",
    section="Claims about the optimizers, 6",
    equations=(
        "step = α g_t / √(E_t + ε), E_t = β E_{t−1} + (1 − β) g_t^2",
        "constant g: step → α g / √(g^2 + ε); after a jump up: at most α / √(1 − β)",
        "after g falls to g/c: the step is at least α/2 from t = log(c^2 / 3) / −log β on",
    ),
    equations_zh=(
        "步长 = α g_t / √(E_t + ε)，E_t = β E_{t−1} + (1 − β) g_t^2",
        "恒定的 g：步长 → α g / √(g^2 + ε)；突增之后：至多 α / √(1 − β)",
        "g 降到 g/c 之后：从 t = log(c^2 / 3) / −log β 起，步长不小于 α/2",
    ),
    how="Constant gradients of many sizes go through the notes' RMSProp with α = 1, until the "
    "step settles. Then, after the step has settled at a gradient of 1, the gradient jumps up or "
    "drops a thousandfold. We take the longest and the shortest step that follow, and count the "
    "steps that are shorter than half of α.",
    how_zh="大小各异的恒定梯度输入笔记的 RMSProp（α = 1），直到步长稳定。然后梯度在稳定于 1 之后突"
    "然放大或缩小一千倍：取其后最长与最短的步长，以及步长不到 α 一半的步数。",
    setting={
        "beta": 0.9,
        "epsilon": 1e-8,
        "sizes": [1e-8, 1e6, 57],
        "factor": 1000.0,
        "settled": 200,
        "after": 300,
    },
    quick={"sizes": [1e-8, 1e6, 15]},
    measured={
        "steady_least": (
            "shortest settled step, in α",
            "稳定步长的最小值（以 α 计）",
        ),
        "steady_largest": (
            "longest settled step, in α",
            "稳定步长的最大值（以 α 计）",
        ),
        "equal_from": (
            "least gradient whose settled step is at least half of α",
            "稳定步长不小于 α 一半的最小梯度",
        ),
        "burst": (
            "longest step after the gradient jumps up, in α",
            "梯度突增后的最长步长（以 α 计）",
        ),
        "drop": ("shortest step after the gradient drops, in α", "梯度突降后的最短步长（以 α 计）"),
        "recovery": (
            "number of steps after the drop that are shorter than half of α",
            "突降后步长不到 α 一半的步数",
        ),
        "sgd_range": (
            "SGD's longest step divided by its shortest, for the same gradients",
            "同样的梯度下 SGD 最大与最小步长之比",
        ),
        "closed_error": (
            "largest relative difference of a settled step from the closed form",
            "稳定步长与解析式的最大相对差",
        ),
    },
    threshold={"times": 4.0},
    rule="Steps do not explode if none, settled or after a jump, is longer than {times:g} α; they "
    "do not vanish if none, settled or after a drop, is shorter than α/{times:g}. Holds if both "
    "are true, depends if one is true, fails if neither is.",
    rule_zh="若稳定步长与突增后的步长都不超过 {times:g} α，则不爆炸；若稳定步长与突降后的步长都"
    "不短于 α/{times:g}，则不消失。两者都满足则成立，只满足其一则视情况而定，都不满足则不成"
    "立。",
    picture="Above, the settled step over the size of the gradient on logarithmic axes: SGD's "
    "line rises throughout; RMSProp's is level at α and bends down below gradients of 0.0001, "
    "which is √ε. Below, the step over time when the gradient jumps up and when it drops a "
    "thousandfold: 3.2 α for a moment after the jump, and shorter than half of α for 120 steps "
    "after the drop.",
    picture_zh="上：稳定步长随梯度大小变化（双对数）：SGD 一直上升；RMSProp 保持在 α，在 0.0001（"
    "即 √ε）以下弯折下降。下：梯度突增与突降一千倍时步长随时间变化：突增后短时达到 3.2 α，突降后"
    "有 120 步不到 α 的一半。",
    remark="Steps cannot explode: the newest gradient's share of E is at least 1 − β, so no step "
    "is longer than α/√(1 − β). They can vanish in two ways: where gradients are smaller than √ε, "
    "and for a time after gradients become smaller, since the average forgets no faster than β^t.",
    remark_zh="步长不会爆炸：当前梯度在 E 中至少占 1 − β，因此步长不超过 α/√(1 − β)。它会在两种情"
    "形下消失：梯度小于 √ε 时，以及梯度变小之后的一段时间，因为平均值的遗忘不快于 β^t。",
    sources=("Hinton 2012, “Neural Networks for Machine Learning”, lecture 6e",),
    findings={
        "holds": (
            "RMSProp's steps stay between {steady_least:.2f} α and {burst:.1f} α",
            "RMSProp 的步长保持在 {steady_least:.2f} α 与 {burst:.1f} α 之间",
        ),
        "depends": (
            "RMSProp's steps never exceed {burst:.1f} α, but vanish below gradients of √ε and for "
            "{recovery:.0f} steps after a thousandfold drop",
            "RMSProp 的步长至多 {burst:.1f} α，但在梯度小于 √ε 时以及突降一千倍后的 "
            "{recovery:.0f} 步内会消失",
        ),
        "fails": ("RMSProp's steps explode and vanish", "RMSProp 的步长既爆炸又消失"),
    },
    reachable={
        "holds": {"sizes": [1e-3, 1e3, 5], "factor": 3.0},
        "fails": {"beta": 0.99, "settled": 1500},
    },
    texts={
        "size of the gradient": "梯度大小",
        "step, in α": "步长（以 α 为单位）",
        "Settled step for a constant gradient": "梯度恒定时的稳定步长",
        "steps since the change": "变化之后的步数",
        "{} α at most": "最大 {} α",
        "{} steps below α/2": "{} 步低于 α/2",
        "Step when the gradient changes a thousandfold": "梯度变化一千倍时的步长",
        "gradient jumps up": "梯度骤增",
        "gradient drops": "梯度骤降",
    },
)


def steps_of(gradients: np.ndarray, beta: float, epsilon: float) -> np.ndarray:
    """Step lengths of the notes' RMSProp, α = 1, for gradients (…, steps)."""

    def path(g: jax.Array) -> jax.Array:
        optimizer = notes.rmsprop(1.0, beta, epsilon)
        return walk(optimizer, lambda x, t, key: g[t], jnp.zeros(()), g.shape[-1])

    with jax.enable_x64(True):
        g = jnp.asarray(gradients)
        return abs(np.diff(np.asarray(jax.jit(jax.vmap(path))(g))))


def measure(setting: dict[str, Any]) -> Measured:
    """Settled steps, and those after a jump and a drop."""
    beta, epsilon, factor = setting["beta"], setting["epsilon"], setting["factor"]
    sizes, settled = np.geomspace(*setting["sizes"]), setting["settled"]
    constant = np.repeat(sizes[:, None], settled, axis=1)
    steady = steps_of(constant, beta, epsilon)[:, -1]
    changes = np.ones((2, settled + setting["after"]))
    changes[0, settled:], changes[1, settled:] = factor, 1 / factor
    jump, drop = steps_of(changes, beta, epsilon)
    closed = sizes / np.sqrt(sizes**2 + epsilon)
    return Measured(
        {
            "steady_least": float(steady.min()),
            "steady_largest": float(steady.max()),
            "equal_from": float(sizes[steady >= 0.5].min()),
            "burst": float(jump[settled:].max()),
            "drop": float(drop[settled:].min()),
            "recovery": int((drop[settled:] < 0.5).sum()),
            "sgd_range": float(sizes.max() / sizes.min()),
            "closed_error": float(abs(steady / closed - 1).max()),
        },
        {
            "size": sizes,
            "steady": steady,
            "time": np.arange(-20, setting["after"]),
            "jump": jump[settled - 20 :],
            "drop": drop[settled - 20 :],
        },
    )


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n, times = numbers, threshold["times"]
    bounded = max(n["steady_largest"], n["burst"]) <= times
    alive = min(n["steady_least"], n["drop"]) >= 1 / times
    word = HOLDS if bounded and alive else DEPENDS if bounded or alive else FAILS
    return Verdict(
        word,
        f"Settled steps are at least half of α for gradients of {n['equal_from']:.0e} or more. The "
        f"longest is {n['steady_largest']:.2f} α, the shortest {n['steady_least']:.0e} α. After "
        f"a jump the longest step is {n['burst']:.2f} α. After a drop the shortest is "
        f"{n['drop']:.0e} α, and {n['recovery']} steps are shorter than half of α.",
        f"梯度不小于 {n['equal_from']:.0e} 时，稳定步长至少为 α 的一半；最长为 "
        f"{n['steady_largest']:.2f} α，最短为 {n['steady_least']:.0e} α。突增后最长步为 "
        f"{n['burst']:.2f} α。突降后最短步为 {n['drop']:.0e} α，有 {n['recovery']} 步不到 α 的一"
        "半。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """Settled steps over the gradient's size; steps over time."""
    s, n = measured.series, measured.numbers
    settled, time = style.panels(figure, [2.6, 2.5])
    settled.loglog(s["size"], s["size"], **style.line("sgd"))
    settled.loglog(s["size"], s["steady"], **style.line("rmsprop"))
    settled.axvline(1e-4, color="#777777", linewidth=1, linestyle="--")
    settled.text(1.5e-4, 2e4, "√ε", fontsize=9)
    settled.set(title="Settled step for a constant gradient", xlabel="size of the gradient")
    settled.set_ylabel("step, in α")
    settled.legend(loc="lower right")
    looks = (("jump", style.RED, "jumps up"), ("drop", style.BLUE, "drops"))
    for name, colour, label in looks:
        time.semilogy(s["time"], s[name], color=colour, label=f"gradient {label}")
    time.axhline(1, color="#777777", linewidth=1)
    time.text(12, n["burst"] * 1.1, f"{n['burst']:.1f} α at most", fontsize=8.5, va="bottom")
    time.text(95, 0.012, f"{n['recovery']} steps below α/2", fontsize=8.5)
    time.set(title="Step when the gradient changes a thousandfold", xlabel="steps since the change")
    time.set(ylabel="step, in α", ylim=(5e-4, 12))
    time.legend(loc="lower right")
