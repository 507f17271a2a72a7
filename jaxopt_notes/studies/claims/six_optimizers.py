"""Adam as a default: six optimizers over the learning rate, at four lengths of training."""

from typing import Any

import jax
import numpy as np

from jaxopt_notes.studies import style
from jaxopt_notes.studies.inference import at_most, combined, median_interval, points
from jaxopt_notes.studies.study import (
    DEPENDS,
    FAILS,
    HOLDS,
    About,
    Measured,
    Points,
    Verdict,
    spread,
)
from jaxopt_notes.studies.sweeps import Runs, by_rate, deal, plan_of, quarter_decades, width

ABOUT = About(
    number=9,
    title="Adam as a default",
    title_zh="Adam 作为默认选择",
    kind="advice",
    claim="Adam is a good default.",
    claim_zh="Adam 是好的默认选择。",
    section="Claims about the optimizers, 10",
    equations=(
        "behind = accuracy of the best of the other five − accuracy of Adam, each tuned",
        "lost = accuracy of Adam, tuned − accuracy of Adam at α = 0.001",
        "valley = learning rates whose validation error is at most (the least of all six) + 0.01",
    ),
    equations_zh=(
        "落后 = 其余五者中最好者的准确率 − Adam 的准确率，各自调参",
        "损失 = 调参后 Adam 的准确率 − α = 0.001 时 Adam 的准确率",
        "谷 = 验证错误率不超过（六者中的最小值 + 0.01）的学习率",
    ),
    how="A dense network learns MNIST with each of the six optimizers for 1, 3, 10 and 30 epochs. "
    "Each length is a training of its own, whose learning rate falls to 0 along half a cosine. "
    "Every optimizer tries eleven learning rates, four per factor of ten. Each seed has training "
    "and validation images of its own. The validation accuracy chooses each learning rate, and "
    "which of the other five is Adam's rival. The results are measured on MNIST's test images, "
    "with intervals over seeds and images. Adam also runs at 0.001, the default of its paper.",
    how_zh="一个全连接网络分别用六种优化器在 MNIST 上训练 1、3、10、30 轮。每种长度都是单独的训"
    "练：学习率沿半个余弦降到 0。每种优化器试十一个学习率，每个十倍程内四个。每个随机种子有自己的"
    "训练图像和验证图像。验证准确率选定各自的学习率，也选定其余五者中谁是 Adam 的对手；结果在 "
    "MNIST 测试图像上测量，区间同时计入种子与图像的随机性。Adam 另用其论文的默认值 0.001 运行。",
    setting={
        "seeds": 12,
        "images": 3000,
        "widths": [64],
        "batch": 64,
        "lengths": [1, 3, 10, 30],
        "exponents": {
            "sgd": [-2.0, 0.5],
            "momentum": [-1.75, 0.75],
            "adagrad": [-2.75, -0.25],
            "rmsprop": [-3.75, -1.25],
            "adam": [-3.75, -1.25],
            "adamw": [-3.75, -1.25],
        },
        "untuned": 1e-3,
        "within": 0.01,
        "official": True,
    },
    quick={
        "seeds": 6,
        "images": 128,
        "widths": [16],
        "exponents": {"sgd": [-0.75, -0.5], "adam": [-2.0, -1.75]},
        "batch": 32,
        "official": False,
    },
    measured={
        "behind_1": (
            "points of test accuracy by which Adam is behind its best rival, both tuned, 1 epoch",
            "调参后 Adam 落后最强对手的测试准确率百分点，1 轮",
        ),
        "behind_3": (
            "points behind its best rival, both tuned, 3 epochs",
            "同上，3 轮",
        ),
        "behind_10": (
            "points behind its best rival, both tuned, 10 epochs",
            "同上，10 轮",
        ),
        "behind_30": (
            "points behind its best rival, both tuned, 30 epochs",
            "同上，30 轮",
        ),
        "lost_1": (
            "points of test accuracy by which Adam at 0.001 is behind tuned Adam, 1 epoch",
            "学习率 0.001 的 Adam 比调参后的 Adam 低的百分点，1 轮",
        ),
        "lost_3": (
            "points by which Adam at 0.001 is behind tuned Adam, 3 epochs",
            "同上，3 轮",
        ),
        "lost_10": (
            "points by which Adam at 0.001 is behind tuned Adam, 10 epochs",
            "同上，10 轮",
        ),
        "lost_30": (
            "points by which Adam at 0.001 is behind tuned Adam, 30 epochs",
            "同上，30 轮",
        ),
        "accuracy_adam": (
            "test accuracy of Adam, tuned, 30 epochs",
            "调参后 Adam 的测试准确率，30 轮",
        ),
        "accuracy_rival": (
            "test accuracy of its best rival, 30 epochs",
            "其最强对手的测试准确率，30 轮",
        ),
        "accuracy_untuned": (
            "test accuracy of Adam at 0.001, 30 epochs",
            "学习率 0.001 的 Adam 的测试准确率，30 轮",
        ),
        "rate_first": ("learning rate chosen for Adam, 1 epoch", "Adam 选定的学习率，1 轮"),
        "rate_last": ("learning rate chosen for Adam, 30 epochs", "Adam 选定的学习率，30 轮"),
        "width_adam": (
            "width of Adam's valley, 30 epochs (decades)",
            "Adam 的谷宽，30 轮（十倍程）",
        ),
        "width_sgd": (
            "width of SGD's valley, 30 epochs (decades)",
            "SGD 的谷宽，30 轮（十倍程）",
        ),
        "width_others": (
            "width of the widest valley of the other five, 30 epochs (decades)",
            "除 Adam 外最宽的谷宽，30 轮（十倍程）",
        ),
    },
    threshold={"behind": 1.0, "lost": 1.0},
    rule="At one length of training, Adam is a good default if two parts are true. Tuned, it is "
    "at most {behind:g} points of test accuracy behind the best of the other five. At 0.001, it "
    "is at most {lost:g} point behind tuned Adam. Holds if both are true at every length; fails "
    "if both are true at no length; else it depends. {undecided}",
    rule_zh="在某一训练长度下，若满足两项，则 Adam 是好的默认选择：调参后的 Adam 比其余五者中最好"
    "的至多低 {behind:g} 个百分点；学习率 0.001 的 Adam 比调参后的至多低 {lost:g} 个百分点。每种"
    "长度都满足这两项则成立，没有一种长度满足则不成立，否则视情况而定。{undecided}",
    picture="Above, the points of test accuracy by which Adam is behind, over the length of "
    "training on a logarithmic scale: Adam at 0.001 is 8 points behind tuned Adam after 1 epoch "
    "and about half a point behind after 30; tuned Adam is 0.5 to 0.7 points behind its best "
    "rival throughout, and each interval lies below the threshold of 1 point. In the middle, a "
    "bar for each optimizer and length: the learning rates within 1 point of the best, with a "
    "dot at the chosen one. The bars of Adam, AdamW and RMSProp are wide and above 0.001 "
    "(RMSProp's reaches below it after 30 epochs); momentum's is near 0.5; SGD's and AdaGrad's "
    "are narrow or only a dot. Below, the test accuracy over the length of training: six lines "
    "lie close together; Adam at 0.001 lies below them and reaches them only at 30 epochs.",
    picture_zh="上：Adam 落后的测试准确率百分点随训练长度变化（对数坐标）：学习率 0.001 的 Adam "
    "在 1 轮后比调参后的 Adam 低 8 个百分点，30 轮后约差半个百分点；调参后的 Adam 始终比最强对手"
    "低 0.5 到 0.7 个百分点，各区间都低于 1 个百分点的阈值。中：每种优化器、每种长度各一条横条，"
    "表示距最好结果 1 个百分点以内的学习率，圆点为选定值。Adam、AdamW、RMSProp 的横条宽，且在 "
    "0.001 以上（RMSProp 在 30 轮时延伸到其下）；动量的在 0.5 附近；SGD 与 AdaGrad 的很窄或只有一"
    "个点。下：测试准确率随训练长度变化，六条线彼此接近，学习率 0.001 的 Adam 直到 30 轮才接近它"
    "们。",
    remark="This is one small dense network on 3,000 images of MNIST. Convolutional and "
    "recurrent networks, Transformers, embeddings and reinforcement learning, which the notes "
    "name too, are not yet tested. A default learning rate suits some lengths of training better "
    "than others: here 1 epoch is 46 steps, 30 epochs are 1,380. Tuned, the six end close "
    "together, and one problem does not show which is best: Choi et al. (2019) find that the "
    "search space may decide the ranking, and Schmidt et al. (2021) that performance varies "
    "greatly across tasks, with Adam a strong contender. Sivaprasad et al. (2020) find Adam the "
    "most practical choice when there are few trials. A pilot with two seeds set the ranges of "
    "the learning rates. With 1,500 validation images per seed, the learning rates within 1 "
    "point of the best are known only roughly, so the intervals of the widths are wide. A first "
    "run with six seeds and a threshold of half a point was not decided, because some intervals "
    "were wider than that.",
    remark_zh="这里只是一个小的全连接网络，用 MNIST 的 3000 张图像。笔记还提到的卷积网络、循环网"
    "络、Transformer、嵌入和强化学习尚未检验。默认学习率只适合一定长度的训练：这里 1 轮是 46 步，"
    "30 轮是 1380 步。调参后六者结果接近，一个问题不足以判断谁最好：Choi 等（2019）发现排名可能取"
    "决于搜索空间；Schmidt 等（2021）发现各任务间差别很大，而 Adam 仍是有力的竞争者。Sivaprasad "
    "等（2020）认为在试验次数少时 Adam 是最实用的选择。学习率的范围由两个种子的预试验确定。每个种"
    "子只有 1500 张验证图像，与最好结果相差 1 个百分点以内的学习率范围只能粗略测得，因此谷宽的区"
    "间很宽。第一次运行用六个种子、以半个百分点为阈值，结论未定，因为部分区间比阈值还宽。",
    sources=(
        "Kingma & Ba 2014, “Adam: A Method for Stochastic Optimization”, §2 and §6",
        "Choi et al. 2019, “On Empirical Comparisons of Optimizers for Deep Learning”",
        "Sivaprasad et al. 2020, “Optimizer Benchmarking Needs to Account for Hyperparameter "
        "Tuning”",
        "Schmidt, Schneider & Hennig 2021, “Descending through a Crowded Valley”",
    ),
    findings={
        "holds": (
            "Adam is a good default here: at 0.001 it is close to the best after any length of "
            "training",
            "在这里 Adam 是好的默认选择：学习率 0.001 时，任何训练长度都接近最好结果",
        ),
        "depends": (
            "Adam's default of 0.001 costs {lost_1:.1f} points of accuracy after 1 epoch and "
            "{lost_30:.1f} after 30",
            "Adam 的默认值 0.001 在训练 1 轮时损失 {lost_1:.1f} 个百分点，30 轮时损失 "
            "{lost_30:.1f} 个",
        ),
        "fails": (
            "Adam at its default of 0.001 falls short at every length of training",
            "任何训练长度下，默认值 0.001 的 Adam 都有明显差距",
        ),
        "not decided": (
            "Adam's default of 0.001 costs {lost_1:.1f} points of accuracy after 1 epoch and "
            "{lost_30:.1f} after 30; whether tuned Adam keeps up with the best is not decided",
            "Adam 的默认值 0.001 在训练 1 轮时损失 {lost_1:.1f} 个百分点，30 轮时损失 "
            "{lost_30:.1f} 个；调参后的 Adam 是否与最好者相当，尚无定论",
        ),
    },
    reachable={
        "holds": {
            "lengths": [10],
            "untuned": 1e-2,
            "exponents": {"sgd": [-3.5, -3.0], "adam": [-2.0, -2.0]},
        },
        "depends": {
            "lengths": [2, 20],
            "widths": [64],
            "exponents": {"sgd": [-3.5, -3.0], "adam": [-1.5, -1.5]},
        },
        "fails": {"untuned": 1e-6, "lengths": [1]},
    },
    texts={
        "0.001 costs Adam most in short trainings": "0.001 对 Adam 的损失在短训练中最大",
        "tuned, behind its best rival": "调参后，落后最强对手",
        "at 0.001, behind itself tuned": "学习率 0.001，落后调参后的自己",
        "points of accuracy behind": "落后的百分点",
        "epochs": "轮数",
        "Learning rates within 1 point of the best": "距最好结果 1 个百分点以内的学习率",
        "Adam's default": "Adam 的默认值",
        "Tuned, the six end close together": "调参后六者结果接近",
        "test accuracy (%)": "测试准确率（%）",
        "Adam at 0.001": "Adam，0.001",
    },
)


def swept(setting: dict[str, Any], epochs: int) -> tuple[dict[str, Runs], Runs]:
    """Each optimizer at its learning rates, and Adam at its default, for so many epochs."""
    plan = plan_of(setting, epochs=epochs)
    runs = {}
    for name, exponents in setting["exponents"].items():
        rates = quarter_decades(*exponents)
        if name == "adam":  # one program for both
            rates = np.append(rates, setting["untuned"])
        runs[name] = by_rate(name, plan, rates)
    untuned = jax.tree.map(lambda x: x[-1:], runs["adam"])
    runs["adam"] = jax.tree.map(lambda x: x[:-1], runs["adam"])
    return runs, untuned


def edges(rates: np.ndarray, error: np.ndarray, limit: float) -> tuple[float, float]:
    """The lowest and the highest learning rate of a valley, log error interpolated over log rate.

    >>> [round(x, 3) for x in edges(np.array([0.01, 0.1, 1.0]), np.array([1.0, 0.01, 1.0]), 0.1)]
    [0.032, 0.316]
    """
    at, height = np.log(rates), np.log(error / limit)
    inside = np.flatnonzero(height <= 0)
    if not len(inside):
        return np.nan, np.nan

    def crossing(end: int, beyond: int) -> float:
        if not 0 <= beyond < len(at):
            return float(rates[end])
        share = height[end] / (height[end] - height[beyond])
        return float(np.exp(at[end] + share * (at[beyond] - at[end])))

    return crossing(inside[0], inside[0] - 1), crossing(inside[-1], inside[-1] + 1)


def measure(setting: dict[str, Any]) -> Measured:
    """All optimizers at all lengths."""
    images = len(deal(setting["images"], 0, setting["official"]).test.labels)
    names, lengths = list(setting["exponents"]), setting["lengths"]
    numbers: dict[str, Any] = {}
    rows: dict[str, list[float]] = {}

    def note(**values: float) -> None:
        for name, value in values.items():
            rows.setdefault(name, []).append(value)

    for epochs in lengths:
        runs, untuned = swept(setting, epochs)
        rival = max((n for n in names if n != "adam"), key=lambda n: runs[n].held_at_best())
        right = {name: runs[name].right_at_best(images) for name in ("adam", rival)}
        default = untuned.right_at_best(images)
        numbers[f"behind_{epochs}"] = points(right[rival], right["adam"])
        numbers[f"lost_{epochs}"] = points(right["adam"], default)
        errors = {name: 1 - of_name.accuracy["held"][..., -1] for name, of_name in runs.items()}
        limit = min(np.median(e, axis=1).min() for e in errors.values()) + setting["within"]
        widths = {}
        for name, of_name in runs.items():
            rates = quarter_decades(*setting["exponents"][name])
            low, high = edges(rates, np.median(errors[name], axis=1), limit)
            tested = np.median(of_name.at_best("accuracy", "test", "accuracy"))
            chosen = rates[of_name.best("accuracy")]
            values = {"low": low, "high": high, "chosen": chosen, "accuracy": tested}
            note(**{f"{what}_{name}": value for what, value in values.items()})
            widths[name] = median_interval([width(rates, e, limit) for e in errors[name].T])
        note(accuracy_untuned=float(np.median(default.mean(1))), rival=names.index(rival))
    others = [widths[name] for name in names if name != "adam"]
    return Measured(
        {
            **numbers,
            "accuracy_adam": spread(right["adam"].mean(1)),
            "accuracy_rival": spread(right[rival].mean(1)),
            "accuracy_untuned": spread(default.mean(1)),
            "rate_first": rows["chosen_adam"][0],
            "rate_last": rows["chosen_adam"][-1],
            "width_adam": widths["adam"],
            "width_sgd": widths["sgd"],
            "width_others": max(others, key=lambda w: w["estimate"]),
        },
        {"epochs": lengths, **rows},
        {
            f"{e} epoch{'s' * (e > 1)}": {
                part: numbers[part] for part in (f"behind_{e}", f"lost_{e}")
            }
            for e in lengths
        },
    )


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule, at the lengths that the numbers have."""
    lengths = [name.removeprefix("behind_") for name in numbers if name.startswith("behind_")]
    parts = [
        at_most(numbers[f"{what}_{length}"], threshold[what])
        for length in lengths
        for what in ("behind", "lost")
    ]

    def rule(*small: bool) -> str:
        good = [behind and lost for behind, lost in zip(small[::2], small[1::2])]
        return HOLDS if all(good) else DEPENDS if any(good) else FAILS

    behind, lost = (
        [Points(numbers[f"{what}_{n}"]["estimate"]) for n in lengths] for what in ("behind", "lost")
    )
    most, least = max(behind), min(behind)
    first, last = lengths[0], lengths[-1]
    return Verdict(
        combined(rule, *parts),
        f"Tuned Adam against the best of the other five: {most.behind} at worst, {least.behind} at "
        f"best, depending on the length of training. Adam at 0.001 against tuned Adam: "
        f"{lost[0].behind} with {first} epoch{'s' * (first != '1')}, {lost[-1].behind} with "
        f"{last}.",
        f"调参后的 Adam 与其余五者中最好的相比：随训练长度而定，最差时{most.behind_zh}，最好时"
        f"{least.behind_zh}。学习率 0.001 的 Adam 与调参后的相比：{first} 轮时{lost[0].behind_zh}，"
        f"{last} 轮时{lost[-1].behind_zh}。",
    )


def _draw_deciding(axes: Any, measured: Measured) -> None:
    """How far Adam is behind, tuned and at its default, with the thresholds."""
    epochs = measured.series["epochs"]
    parts = (
        ("behind", style.RED, "o", 0.93, "tuned, behind its best rival"),
        ("lost", style.BLACK, "s", 1.07, "at 0.001, behind itself tuned"),
    )
    for part, colour, marker, shift, label in parts:
        intervals = [measured.numbers[f"{part}_{n:g}"] for n in epochs]
        y, low, high = (np.array([x[p] for x in intervals]) for p in ("estimate", "low", "high"))
        look = {"color": colour, "marker": marker, "markersize": 5, "elinewidth": 1.4}
        axes.errorbar(epochs * shift, y, [y - low, high - y], linewidth=1, label=label, **look)
        limit = ABOUT.threshold[part]
        axes.axhline(limit, color=colour, linewidth=1, linestyle=":")
        for x, value in zip(epochs * shift, y):
            if value > limit:
                text = f" {value:.1f}"
                axes.text(x * 1.03, value, text, color=style.ink(colour), va="bottom", fontsize=8.5)
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=1)
    axes.set_xticks(epochs, [f"{n:g}" for n in epochs])
    axes.minorticks_off()
    axes.set_yticks([0, 0.5, 1, 5, 20], ["0", "0.5", "1", "5", "20"])
    axes.set(title="0.001 costs Adam most in short trainings", xlabel="epochs")
    axes.set_ylabel("points of accuracy behind")
    axes.legend(loc="upper right")


def _draw_valleys(axes: Any, s: dict[str, Any], names: list[str]) -> None:
    """A bar for each valley, a dot at the learning rate that was chosen."""
    count = len(s["epochs"])
    places = []
    for i, name in enumerate(names):
        for j, epochs in enumerate(s["epochs"]):
            y = -(i * (count + 1) + j)
            low, high, chosen = (s[f"{part}_{name}"][j] for part in ("low", "high", "chosen"))
            axes.plot([low, high], [y, y], color=style.COLOURS[name], linewidth=4, alpha=0.4)
            axes.plot(chosen, y, "o", color=style.COLOURS[name], markersize=4)
            axes.text(1.5e-4, y, f"{epochs:g}", fontsize=7.5, va="center", ha="right")
        places.append(-(i * (count + 1) + (count - 1) / 2))
    axes.axvline(ABOUT.setting["untuned"], color="#777777", linewidth=1, linestyle=":")
    axes.set_yticks(places, [style.LABELS[name] for name in names])
    axes.set(xscale="log", xlim=(0.9e-4, 6), ylim=(None, 2), xlabel="learning rate α")
    axes.text(1.5e-4, 1.1, "epochs", fontsize=7.5, va="center", ha="right")
    axes.text(1.1e-3, 0.2, "Adam's default", fontsize=8.5, va="center")
    axes.set_title("Learning rates within 1 point of the best")
    axes.grid(visible=False, axis="y")


def draw(figure: Any, measured: Measured) -> None:
    """What decides; the valleys; accuracy."""
    s = measured.series
    names = [name for name in style.LABELS if f"chosen_{name}" in s]
    deciding, valleys, accuracy = style.panels(figure, [2.4, 5.0, 2.4])
    _draw_deciding(deciding, measured)
    _draw_valleys(valleys, s, names)
    for name in names:
        accuracy.plot(s["epochs"], 100 * s[f"accuracy_{name}"], marker=".", **style.line(name))
    look = {"color": style.RED, "linestyle": ":", "marker": "s", "markerfacecolor": "white"}
    accuracy.plot(s["epochs"], 100 * s["accuracy_untuned"], label="Adam at 0.001", **look)
    accuracy.set_xscale("log")
    accuracy.set_xticks(s["epochs"], [f"{n:g}" for n in s["epochs"]])
    accuracy.minorticks_off()
    accuracy.set(
        title="Tuned, the six end close together", xlabel="epochs", ylabel="test accuracy (%)"
    )
    accuracy.legend(loc="lower right", ncols=2)
