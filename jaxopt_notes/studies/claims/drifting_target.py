"""A target that moves: who follows, a quadratic's centre and a network's digits?"""

from typing import Any

import numpy as np
from tqdm import tqdm

from jaxopt_notes.studies import style
from jaxopt_notes.studies.inference import at_most, combined, median_interval
from jaxopt_notes.studies.streams import OPTIMIZERS, Learners, Task, centre, digits, followed
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
from jaxopt_notes.studies.walks import rates

ABOUT = About(
    number=8,
    title="A target that moves",
    title_zh="移动的目标",
    kind="advice",
    claim="Adam is a good default for non-stationary targets.",
    claim_zh="对于非平稳目标，Adam 是好的默认选择。",
    section="Claims about the optimizers, 10",
    equations=(
        "quadratic: L_t(x) = Σ ½ h_i (x_i − c_i(t))^2, g = ∇L_t + noise; cost = √(mean (x − c)^2)",
        "digits: cost = share of wrong predictions, each made before the network learns that image",
        "excess = Adam's cost / least cost of the five optimizers − 1",
    ),
    equations_zh=(
        "二次函数：L_t(x) = Σ ½ h_i (x_i − c_i(t))^2，g = ∇L_t + 噪声；代价 = √((x − c)^2 的平均)",
        "数字：代价 = 错误预测的比例，每次预测都在学习该图像之前",
        "超出量 = Adam 的代价 / 五种优化器中的最小代价 − 1",
    ),
    how="There are seven streams, and each changes while the optimizers learn. Three are "
    "quadratics: the centre drifts; it jumps; or it drifts while the gradients' scale changes "
    "thirtyfold. Four show MNIST's digits to a dense network, ten at a step, each once: the "
    "labels are permuted anew every 250 steps; the images turn; they turn and are dark in every "
    "second stretch of 250 steps; or the labels change and the network learns only whether its "
    "choice was right (a bandit). Each optimizer gets the learning rate with the least cost on "
    "validation streams. The costs are measured on 12 other streams, averaged over the second "
    "half of the steps.",
    how_zh="七种数据流，都在学习过程中变化。三种是二次函数：中心漂移；中心跳跃；或中心漂移的同"
    "时，梯度尺度变化三十倍。四种把 MNIST 数字给全连接网络学习，每步十张，每张只看一次：标签每 "
    "250 步重新置换；图像旋转；图像旋转，且每隔一段变暗；或标签变化，而网络只知道自己的选择对不对"
    "（赌博机）。每个优化器取验证流上代价最小的学习率，再用另外 12 条数据流测量。代价取后一半步数"
    "的平均。",
    setting={
        "validation_streams": 3,
        "streams": 12,
        "parameters": 16,
        "largest_curvature": 30.0,
        "noise": 1.0,
        "drift": 0.02,
        "jump": 2.0,
        "scale": 30.0,
        "stretch": 250,
        "steps": 2000,
        "batch": 10,
        "widths": [64],
        "turns": 2.0,
        "dark": 0.1,
        "rates": [1e-4, 100.0, 49],
        "digit_rates": [1e-2, 10.0, 13],
        "digit_rates_rooted": [1e-4, 1e-1, 13],
        "untuned": 1e-3,
        "budgets": [0.25, 0.5],
        "at_once": 44,
    },
    quick={
        "validation_streams": 1,
        "streams": 6,
        "steps": 200,
        "stretch": 50,
        "batch": 5,
        "widths": [8],
        "rates": [1e-3, 100.0, 6],
        "digit_rates": [1e-1, 1.0, 2],
        "digit_rates_rooted": [3e-3, 3e-2, 2],
        "budgets": [],
        "at_once": 6,
    },
    measured={
        "drift_adam": (
            "Adam's excess: centre that drifts",
            "Adam 的超出量：中心漂移",
        ),
        "jumps_adam": (
            "Adam's excess: centre that jumps",
            "Adam 的超出量：中心跳跃",
        ),
        "scales_adam": (
            "Adam's excess: gradients of changing scale",
            "Adam 的超出量：梯度尺度变化",
        ),
        "labels_adam": (
            "Adam's excess: digits, labels permuted anew",
            "Adam 的超出量：数字，标签重新置换",
        ),
        "rotation_adam": (
            "Adam's excess: digits that turn",
            "Adam 的超出量：数字，图像旋转",
        ),
        "contrast_adam": (
            "Adam's excess: digits that turn and darken",
            "Adam 的超出量：数字，旋转并变暗",
        ),
        "bandit_adam": (
            "Adam's excess: digits as a bandit",
            "Adam 的超出量：数字，赌博机",
        ),
        "excess_least": (
            "least of Adam's seven excesses",
            "Adam 七个超出量的最小值",
        ),
        "excess_most": (
            "largest of Adam's seven excesses",
            "Adam 七个超出量的最大值",
        ),
        "drift_b2": (
            "excess with β2 = 0.9: centre that drifts",
            "β2 = 0.9 的超出量：中心漂移",
        ),
        "jumps_b2": (
            "excess with β2 = 0.9: centre that jumps",
            "β2 = 0.9 的超出量：中心跳跃",
        ),
        "scales_b2": (
            "excess with β2 = 0.9: gradients of changing scale",
            "β2 = 0.9 的超出量：梯度尺度变化",
        ),
        "labels_b2": (
            "excess with β2 = 0.9: digits, labels permuted anew",
            "β2 = 0.9 的超出量：数字，标签重新置换",
        ),
        "rotation_b2": (
            "excess with β2 = 0.9: digits that turn",
            "β2 = 0.9 的超出量：数字，图像旋转",
        ),
        "contrast_b2": (
            "excess with β2 = 0.9: digits that turn and darken",
            "β2 = 0.9 的超出量：数字，旋转并变暗",
        ),
        "bandit_b2": (
            "excess with β2 = 0.9: digits as a bandit",
            "β2 = 0.9 的超出量：数字，赌博机",
        ),
        "drift_b1": (
            "excess with β1 = 0: centre that drifts",
            "β1 = 0 的超出量：中心漂移",
        ),
        "jumps_b1": (
            "excess with β1 = 0: centre that jumps",
            "β1 = 0 的超出量：中心跳跃",
        ),
        "scales_b1": (
            "excess with β1 = 0: gradients of changing scale",
            "β1 = 0 的超出量：梯度尺度变化",
        ),
        "labels_b1": (
            "excess with β1 = 0: digits, labels permuted anew",
            "β1 = 0 的超出量：数字，标签重新置换",
        ),
        "rotation_b1": (
            "excess with β1 = 0: digits that turn",
            "β1 = 0 的超出量：数字，图像旋转",
        ),
        "contrast_b1": (
            "excess with β1 = 0: digits that turn and darken",
            "β1 = 0 的超出量：数字，旋转并变暗",
        ),
        "bandit_b1": (
            "excess with β1 = 0: digits as a bandit",
            "β1 = 0 的超出量：数字，赌博机",
        ),
        "labels_untuned": (
            "excess with α = 0.001: digits, labels permuted anew",
            "α = 0.001 的超出量：数字，标签重新置换",
        ),
        "rotation_untuned": (
            "excess with α = 0.001: digits that turn",
            "α = 0.001 的超出量：数字，图像旋转",
        ),
        "contrast_untuned": (
            "excess with α = 0.001: digits that turn and darken",
            "α = 0.001 的超出量：数字，旋转并变暗",
        ),
        "bandit_untuned": (
            "excess with α = 0.001: digits as a bandit",
            "α = 0.001 的超出量：数字，赌博机",
        ),
        "longer_adagrad": (
            "centre that jumps: AdaGrad's cost in ten times the steps / its cost here, same "
            "learning rate",
            "中心跳跃，学习率不变：AdaGrad 十倍步数的代价 / 这里的代价",
        ),
        "longer_adam": ("the same ratio for Adam", "同上：Adam"),
    },
    threshold={"excess": 0.1},
    rule="Adam is near the best on a stream if its cost is at most {excess:.0%} above the cost of "
    "the best of the five optimizers (the one with the least cost on the validation streams). "
    "Holds if Adam is near the best on all seven streams; fails if on none; else it depends. A "
    "stream is not decided if the 95 % interval of its median contains the threshold.",
    rule_zh="若 Adam 的代价比五种优化器中最好者（验证流上代价最小者）至多高 {excess:.0%}，则算接"
    "近最好。七种流上都接近则成立，都不接近则不成立，否则视情况而定。若某种流的中位数的 95 % 区间"
    "包含阈值，则该流未定。",
    picture="Three panels. Above, a row for each of the seven streams with a mark for each of "
    "the five optimizers: how far its cost is above that of the best. Adam's marks lie between 0 "
    "and 100 %, and left of the line at 10 % in the two rows where digits turn. In the middle, "
    "the excess of Adam with other β1 and β2: with β1 = 0 its marks lie left of the line at 10 % "
    "in six rows, and below 0 in three. Below, mistakes over time where labels are permuted "
    "anew: peaks at every change, higher for Adam than for SGD.",
    picture_zh="三幅图。上：七种数据流各一行，五种优化器各一个标记，表示代价比最好者高多少；Adam "
    "的标记在 0 到 100 % 之间，在数字旋转的两行位于 10 % 线左侧。中：取不同 β1、β2 的 Adam，β1 = "
    "0 时有六行位于 10 % 线左侧，其中三行低于 0。下：标签重新置换时的错误率随时间变化，每次置换都"
    "有尖峰，Adam 的比 SGD 的高。",
    remark="What costs Adam most is β1: when the target moves, the average of the gradients still "
    "points at the old one. With β1 = 0 Adam is within 10 % of the best on six of the seven "
    "streams. This Adam is RMSProp with bias correction and a longer average. β2 = 0.999 costs "
    "most where gradients change their scale: there β2 = 0.9 cuts the excess from 71 % to 13 %. "
    "But on five of the other six streams the shorter memory makes Adam worse. Adam's default α = "
    "0.001 is far too small on three of the four streams of digits: a moving target needs a large "
    "learning rate. AdaGrad leads where the centre jumps, because its large learning rate was "
    "chosen for this number of steps: in ten times the steps, its cost is 1.4 times as high. "
    "Kingma & Ba (2014) call Adam appropriate for non-stationary objectives. Ellis et al. (2024) "
    "show what a change of target does in reinforcement learning: gradients grow, Adam's updates "
    "become large, and results get worse. SGD on a quadratic with a moving centre is the LMS "
    "filter of Widrow & Hoff (1960). All networks here are small; these streams are no benchmark "
    "of reinforcement learning.",
    remark_zh="Adam 的损失主要来自 β1：目标移动时，梯度的平均值仍指向旧目标。取 β1 = 0 时，七种流"
    "中有六种与最好者相差 10 % 以内；这样的 Adam 就是带偏差校正、平均时间更长的 RMSProp。β2 = "
    "0.999 在梯度尺度变化时损失最大，此时 β2 = 0.9 把超出量从 71 % 降到 13 %；但在其余六种流中的"
    "五种上，较短的记忆反而更差。默认的 α = 0.001 在四种数字流中的三种上都太小：移动的目标需要大"
    "的学习率。中心跳跃时 AdaGrad 领先，是因为它的大学习率正是为这一步数选定的：步数增到十倍，代"
    "价升到 1.4 倍。Kingma 与 Ba（2014）称 Adam 适合非平稳目标。Ellis 等（2024）指出：强化学习的"
    "目标改变使梯度变大时，Adam 的更新会过大，结果变差。SGD 跟随二次函数的移动中心，就是 Widrow "
    "与 Hoff（1960）的 LMS 滤波器。这里的网络都很小，这些数据流也不是强化学习的基准测试。",
    sources=(
        "Kingma & Ba 2014, “Adam: A Method for Stochastic Optimization”, abstract",
        "Ellis et al. 2024, “Adam on Local Time: Addressing Nonstationarity in RL with Relative "
        "Adam Timesteps”, abstract",
        "Widrow & Hoff 1960, “Adaptive switching circuits” (LMS)",
    ),
    findings={
        "holds": (
            "Tuned Adam stays within 10 % of the best optimizer on all seven moving targets",
            "在七种移动目标上，调好的 Adam 都与最好的优化器相差 10 % 以内",
        ),
        "depends": (
            "Where the target moves, tuned Adam's cost is {excess_least:.0%} to {excess_most:.0%} "
            "above that of the best of five optimizers; with β1 = 0 it is near the best on most "
            "streams",
            "目标移动时，调好的 Adam 的代价比五种优化器中最好的高 {excess_least:.0%} 到 "
            "{excess_most:.0%}；取 β1 = 0 时在多数数据流上接近最好",
        ),
        "fails": (
            "Where the target moves, tuned Adam is never near the best: its cost is "
            "{excess_least:.0%} to {excess_most:.0%} higher",
            "目标移动时，调好的 Adam 从不接近最好：代价高出 {excess_least:.0%} 到 "
            "{excess_most:.0%}",
        ),
        "not decided": (
            "Whether Adam is near the best on any moving target is not decided",
            "Adam 是否在某种移动目标上接近最好，尚无定论",
        ),
    },
    texts={
        "cost above the best (%), 12 test streams": "代价比最好者高（%），12 条测试流",
        "labels permuted": "标签重新置换",
        "digits turn": "图像旋转",
        "turn, darken": "旋转并变暗",
        "bandit": "赌博机",
        "centre drifts": "中心漂移",
        "centre jumps": "中心跳跃",
        "scale changes": "尺度变化",
        "Tuned optimizers: near the best is left of 10 %": "调参后的优化器：10 % 线以左为接近最好",
        "Adam by its β1 and β2 (default: 0.9, 0.999)": "取不同 β1、β2 的 Adam（默认：0.9、0.999）",
        "default": "默认",
        "wrong (%)": "错误率（%）",
        "labels permuted anew": "标签重新置换",
        "Digits with permuted labels: mistakes over time": "标签重新置换的数字：错误率随时间变化",
    },
    reachable={
        "holds": {
            "rates": [1e-8, 1e-7, 2],
            "digit_rates": [1e-8, 1e-7, 2],
            "digit_rates_rooted": [1e-8, 1e-7, 2],
            "budgets": [],
        },
        "depends": {},
        "fails": {
            "digit_rates_rooted": [1e-6, 1e-5, 2],
            "widths": [64],
            "batch": 20,
            "stretch": 200,
            "largest_curvature": 1.0,
            "drift": 0.2,
            "budgets": [],
            "validation_streams": 2,
            "steps": 400,
            "rates": [1e-4, 100.0, 13],
            "digit_rates": [1e-1, 1.0, 3],
            "at_once": 18,
        },
    },
)

SCENES = ("drift", "jumps", "scales")
DIGITS = ("labels", "rotation", "contrast", "bandit")
TASKS = SCENES + DIGITS
# Of each arm: its optimizer, and β1 and β2, which only Adam heeds.
ARMS = {name: (name, 0.9, 0.999) for name in OPTIMIZERS} | {
    "adam_99": ("adam", 0.9, 0.99),
    "adam_90": ("adam", 0.9, 0.9),
    "adam_b1": ("adam", 0.0, 0.999),
}


def task_of(name: str, setting: dict[str, Any]) -> Task:
    """All streams of a task: the validation streams come first."""
    streams = setting["validation_streams"] + setting["streams"]
    return (centre if name in SCENES else digits)(name, streams, setting)


def tried_rates(task: str, arm: str, setting: dict[str, Any]) -> np.ndarray:
    """The learning rates among which the validation streams choose."""
    if task in SCENES:
        return rates(setting)
    rooted = ARMS[arm][0] in ("rmsprop", "adam")
    return np.geomspace(*setting["digit_rates_rooted" if rooted else "digit_rates"])


def at_rates(
    arm: str, task: Task, tried: Any, streams: range, setting: dict[str, Any]
) -> np.ndarray:
    """Cost at each step of each stream at each rate: (rates, streams, steps)."""
    name, *betas = ARMS[arm]
    rate, stream = (x.ravel() for x in np.meshgrid(tried, streams, indexing="ij"))
    b1, b2 = (np.full(len(rate), beta) for beta in betas)
    costs = followed(name, task, Learners(rate, b1, b2, stream), setting["at_once"])
    return costs.reshape(len(tried), len(streams), -1)


def cost(task: str, by_step: np.ndarray, share: float) -> np.ndarray:
    """Mean cost over the second half of the first `share` of the steps; ∞ if it diverged."""
    stop = round(share * by_step.shape[-1])
    with np.errstate(over="ignore", invalid="ignore"):
        mean = by_step[..., stop // 2 : stop].mean(-1, dtype=np.float64)
    mean = np.sqrt(mean) if task in SCENES else mean
    return np.where(np.isfinite(mean), mean, np.inf)


def measure(setting: dict[str, Any]) -> Measured:
    """Every arm on every task: chosen on the validation streams, judged on the others."""
    shares = [*setting["budgets"], 1.0]
    numbers: list[dict[str, Any]] = [{} for _ in shares]
    series: dict[str, Any] = {arm: [] for arm in ARMS} | {f"rate_{arm}": [] for arm in ARMS}
    first, last = setting["validation_streams"], setting["validation_streams"] + setting["streams"]
    for name in tqdm(TASKS, desc="tasks", leave=False, disable=None):
        task = task_of(name, setting)
        chosen, held, judged = {}, {}, {}
        for arm in ARMS:
            tried = tried_rates(name, arm, setting)
            costs = at_rates(arm, task, tried, range(first), setting)
            medians = [np.median(cost(name, costs, share), 1) for share in shares]
            chosen[arm] = [tried[each.argmin()] for each in medians]
            held[arm] = [each.min() for each in medians]
            asked = [*chosen[arm], setting["untuned"]]
            judged[arm] = at_rates(arm, task, asked, range(first, last), setting)
        for i, share in enumerate(shares):
            numbers[i] |= compared(name, [held[a][i] for a in OPTIMIZERS], judged, i, share)
        best = min(OPTIMIZERS, key=lambda arm: held[arm][-1])
        least = cost(name, judged[best][-2], 1.0)
        for arm in ARMS:
            series[arm].append(float(np.median(cost(name, judged[arm][-2], 1.0) / least) - 1))
            series[f"rate_{arm}"].append(chosen[arm][-1])
        if name == "labels":
            series |= {f"wrong_{arm}": over_time(judged[arm][-2]) for arm in ("sgd", "adam")}
        if name == "jumps":
            longer = ran_on({arm: chosen[arm][-1] for arm in ("adagrad", "adam")}, judged, setting)
    *budgets, whole = [{**each, **extremes(each), **longer} for each in numbers]
    names = [f"{share:.0%} of the steps" for share in setting["budgets"]]
    return Measured(whole, series, dict(zip(names, budgets)))


def compared(
    task: str, held: list[float], judged: dict[str, np.ndarray], i: int, share: float
) -> dict[str, Any]:
    """Excesses on one task, of the i-th chosen rates: over the optimizer best on validation."""
    best = list(OPTIMIZERS)[int(np.argmin(held))]
    least = cost(task, judged[best][i], share)

    def excess(arm: str, at: int = i) -> np.ndarray:
        return cost(task, judged[arm][at], share) / least - 1

    untuned = {f"{task}_untuned": spread(excess("adam", -1))} if task in DIGITS else {}
    return {
        f"{task}_adam": median_interval(excess("adam")),
        f"{task}_b2": spread(excess("adam_90")),
        f"{task}_b1": spread(excess("adam_b1")),
        **untuned,
    }


def extremes(numbers: dict[str, Any]) -> dict[str, float]:
    """Least and largest of Adam's median excesses."""
    adam = [numbers[f"{task}_adam"]["estimate"] for task in TASKS]
    return {"excess_least": min(adam), "excess_most": max(adam)}


def ran_on(
    chosen: dict[str, float], judged: dict[str, np.ndarray], setting: dict[str, Any]
) -> dict[str, Any]:
    """Costs on the centre that jumps in ten times the steps, over those in these steps."""
    longer = {**setting, "steps": 10 * setting["steps"]}
    task, first = task_of("jumps", longer), setting["validation_streams"]
    streams = range(first, first + setting["streams"])
    numbers = {}
    for arm, rate in chosen.items():
        later = cost("jumps", at_rates(arm, task, [rate], streams, longer), 1.0)[0]
        numbers[f"longer_{arm}"] = spread(later / cost("jumps", judged[arm][-2], 1.0))
    return numbers


def over_time(by_step: np.ndarray, over: int = 25) -> np.ndarray:
    """Mean over the streams and each `over` steps."""
    steps = by_step.shape[-1] // over * over
    return by_step.mean(0)[:steps].reshape(-1, over).mean(1)


def _percent(share: float) -> str:
    return f"{100 * share:z.0f} %".replace("-", "−")


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n = {name: _percent(x) for name, x in middle(numbers).items()}
    b1, b2 = (
        [_percent(end(numbers[f"{task}_{arm}"]["median"] for task in TASKS)) for end in (min, max)]
        for arm in ("b1", "b2")
    )

    def rule(*near: bool) -> str:
        return HOLDS if all(near) else DEPENDS if any(near) else FAILS

    parts = [at_most(numbers[f"{task}_adam"], threshold["excess"]) for task in TASKS]
    return Verdict(
        combined(rule, *parts),
        f"Tuned Adam's cost is {n['excess_least']} to {n['excess_most']} above that of the best "
        f"tuned optimizer, depending on the stream. With β1 = 0, the excess is {b1[0]} to {b1[1]}; "
        f"with β2 = 0.9, it is {b2[0]} to {b2[1]}.",
        f"调好的 Adam 的代价比调好的最优者高 {n['excess_least']} 到 {n['excess_most']}，随数据流而"
        f"定。β1 = 0 时，超出量为 {b1[0]} 到 {b1[1]}；β2 = 0.9 时为 {b2[0]} 到 {b2[1]}。",
    )


ROWS = {
    "labels": "labels permuted",
    "rotation": "digits turn",
    "contrast": "turn, darken",
    "bandit": "bandit",
    "drift": "centre drifts",
    "jumps": "centre jumps",
    "scales": "scale changes",
}


def draw(figure: Any, measured: Measured) -> None:
    """Excess of each optimizer on each task; Adam's variants; mistakes over time."""
    s, n = measured.series, measured.numbers
    five, ablation, time = style.panels(figure, [3.0, 2.8, 2.0])
    row = {task: -i for i, task in enumerate(ROWS)}
    at = [row[task] for task in TASKS]
    marks = dict(zip(OPTIMIZERS, "sv^DP"))
    for name in OPTIMIZERS:
        look = {"color": style.COLOURS[name], "label": style.LABELS[name]}
        five.plot(100 * np.asarray(s[name]), at, marks[name], markersize=5, alpha=0.9, **look)
    for task, y in row.items():
        low, high = (100 * n[f"{task}_adam"][end] for end in ("low", "high"))
        five.plot([low, high], [y, y], color=style.RED, linewidth=3, alpha=0.35)
    variants = {
        "adam": ("P", style.RED, "default"),
        "adam_99": ("o", style.SKY, "β2 = 0.99"),
        "adam_90": ("s", style.BLUE, "β2 = 0.9"),
        "adam_b1": ("^", style.BLACK, "β1 = 0"),
    }
    for name, (mark, colour, label) in variants.items():
        ablation.plot(100 * np.asarray(s[name]), at, mark, color=colour, markersize=5, label=label)
    for axes in (five, ablation):
        axes.axvline(10, color="#777777", linewidth=1, linestyle="--")
        axes.set_yticks(list(row.values()), list(ROWS.values()))
        axes.set_xscale("symlog", linthresh=20)
        ticks = [-10, 0, 10, 20, 50, 100, 200]
        axes.set_xticks(ticks, [f"{tick}" for tick in ticks])
        axes.set(xlim=(-13, 300), xlabel="cost above the best (%), 12 test streams")
        axes.margins(y=0.1)
    above = {"loc": "lower left", "bbox_to_anchor": (-0.3, 0.98), "columnspacing": 1.0}
    five.set_title("Tuned optimizers: near the best is left of 10 %", pad=22, x=-0.28)
    five.legend(ncols=5, handletextpad=0.1, **above)
    ablation.set_title("Adam by its β1 and β2 (default: 0.9, 0.999)", pad=22, x=-0.28)
    ablation.legend(ncols=4, handletextpad=0.1, **above)
    steps = 25 * (np.arange(len(s["wrong_adam"])) + 0.5)
    for name in ("sgd", "adam"):
        time.plot(steps, 100 * np.asarray(s[f"wrong_{name}"]), **style.line(name))
    top = 100 * max(np.max(s["wrong_sgd"]), np.max(s["wrong_adam"]))
    time.annotate(
        "labels permuted anew",
        (1020, 0.96 * top),
        (1150, 1.1 * top),
        fontsize=8.5,
        arrowprops={"arrowstyle": "->", "color": "#555555"},
    )
    time.set(title="Digits with permuted labels: mistakes over time", xlabel="step")
    time.set(ylabel="wrong (%)", ylim=(0, 1.25 * top))
    time.legend(loc="upper left", ncols=2)
