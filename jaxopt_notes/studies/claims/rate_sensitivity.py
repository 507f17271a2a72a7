"""How much each optimizer minds its rate: U-curves from the same quasi-random trials."""

import math
from typing import Any

import numpy as np

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
from jaxopt_notes.studies.sweeps import SIX, by_rate, plan_of, trials, width

ABOUT = About(
    number=19,
    title="How much the rate matters",
    title_zh="对学习率的敏感程度",
    kind="advice",
    claim="Adam is a good default: it forgives a rate that was not tuned.",
    claim_zh="Adam 是好的默认选择：学习率未经调整也无妨。",
    section="Claims about the optimizers, 10",
    equations=(
        "trial i: α_i = low · (high / low)^{x_i}, x = ½, ¼, ¾, ⅛, … (van der Corput)",
        "P(best of k is the i-th of n) = C(n − i, k − 1) / C(n, k)",
    ),
    how="All six optimizers get the same quasi-random rates from one wide range, as AlgoPerf's "
    "rules have it, and train the notes' dense network on MNIST with five seeds each; the rate "
    "falls to 0 along half a cosine. An optimizer's valley is the range of rates, in decades, that "
    "end with at most so many times the least loss that any of the six found, on images kept "
    "aside. And the test accuracy is given that one may expect of the best of k trials drawn "
    "from these.",
    how_zh="六种优化器从同一宽范围取同样的拟随机学习率（如 AlgoPerf 规则），各用五个种子在 MNIST 上"
    "训练笔记的全连接网络；学习率按半个余弦降到 0。谷宽是指在留出图像上，最终损失不超过六者最低损失"
    "若干倍的学习率范围（以十倍为单位）。另给出从这些试验中抽 k 个取最佳时可期望的测试准确率。",
    setting={
        "seeds": 5,
        "images": 6000,
        "widths": [128, 64],
        "batch": 64,
        "epochs": 3,
        "trials": 16,
        "range": [1e-4, 10.0],
        "within": 1.5,
        "budget": 4,
    },
    quick={"images": 2000, "widths": [32], "trials": 8},
    measured={
        "width_sgd": ("width of SGD's valley (decades)", "SGD 的谷宽（十倍程）"),
        "width_momentum": ("of momentum's", "动量"),
        "width_adagrad": ("of AdaGrad's", "AdaGrad"),
        "width_rmsprop": ("of RMSProp's", "RMSProp"),
        "width_adam": ("of Adam's", "Adam"),
        "width_adamw": ("of AdamW's", "AdamW"),
        "best_sgd": ("SGD's best rate", "SGD 的最佳学习率"),
        "best_adam": ("Adam's best rate", "Adam 的最佳学习率"),
        "few_sgd": ("test accuracy of the best of a few trials, SGD", "少量试验取最佳，SGD"),
        "few_adam": ("the same, Adam", "同上，Adam"),
        "few_others": (
            "the same, the best of the four others",
            "同上，其余四种中最好的",
        ),
    },
    threshold={"wider": 0.25, "tie": 0.25},
    rule="Holds if Adam's valley is wider than SGD's by {wider:g} decades or more, and no other's "
    "is wider than Adam's by more than {tie:g} (medians over the seeds); depends if only the "
    "first is so; else it fails.",
    rule_zh="若 Adam 的谷比 SGD 宽 {wider:g} 个十倍程以上，且没有别的优化器比 Adam 宽超过 {tie:g}"
    "（中位数），则成立；只有前者则视情况而定；否则不成立。",
    picture="Above, the loss on images kept aside over the rate: six U-shaped curves, those of "
    "Adam, AdamW and RMSProp wide and at small rates, AdaGrad's higher and beside them, those of "
    "SGD and momentum at rates some fifty times larger, with a sheer right wall. A dotted line is "
    "the limit of the valleys. Below, the test accuracy to be expected of the best of k trials: "
    "all rise with k, plain SGD's last.",
    picture_zh="上：留出图像上的损失随学习率变化的六条 U 形曲线；Adam、AdamW、RMSProp 的谷宽且在小"
    "学习率处，AdaGrad 的较高、在其旁边，SGD 和动量的在约大五十倍的学习率处，右壁陡峭。虚线为谷的"
    "界限。下：k 次试验取最佳时可期望的测试准确率，都随 k 上升，普通 SGD 最慢。",
    remark="A valley's width says how often a blind guess is right only if the guess comes from a "
    "range that holds the valley: here one range serves all six. Adam's rate has a scale of its "
    "own, since its steps have length α whatever the loss is multiplied by; that, more than the "
    "width, is why one default carries over. Benchmarks that tune all by the same budget find "
    "Adam hard to beat with few trials (Sivaprasad et al. 2020) and no winner with many "
    "(Schmidt et al. 2021).",
    remark_zh="谷宽只在猜测范围包含谷时才说明盲猜的命中率：这里六者用同一范围。Adam 的学习率有自己"
    "的尺度，因为无论损失乘以多少，步长都约为 α；默认值能通用主要因为这一点，而不只是谷宽。按同样"
    "预算调参的比较发现：试验少时 Adam 难以超越（Sivaprasad 等 2020），试验多时没有赢家（Schmidt "
    "等 2021）。",
    sources=(
        "Dahl et al. 2023, “Benchmarking Neural Network Training Algorithms” (AlgoPerf), §4",
        "Sivaprasad et al. 2020, “Optimizer Benchmarking Needs to Account for Hyperparameter "
        "Tuning”",
        "Schmidt, Schneider & Hennig 2021, “Descending through a Crowded Valley”",
        "Halton 1960, “On the efficiency of certain quasi-random sequences of points”",
    ),
)


def best_of(count: int, chosen_by: np.ndarray, worth: np.ndarray) -> float:
    """What the best of `count` trials is worth, expected over all ways to draw them from these.

    Args:
      count: k, from 1 to the number of trials.
      chosen_by: the loss of each trial: the best has the least.
      worth: of each trial.
    """
    n = len(worth)
    chance = [math.comb(n - i - 1, count - 1) / math.comb(n, count) for i in range(n)]
    return float(np.dot(chance, worth[np.argsort(chosen_by, kind="stable")]))


def measure(setting: dict[str, Any]) -> Measured:
    """Every optimizer at every rate."""
    plan, (low, high) = plan_of(setting), setting["range"]
    tried = trials(setting["trials"], [low, high])[:, 0]
    runs = {name: by_rate(name, plan, setting["trials"], low, high) for name in SIX}
    held = {name: found.loss["held"][..., -1] for name, found in runs.items()}
    limit = setting["within"] * min(np.median(loss, axis=1).min() for loss in held.values())
    numbers: dict[str, Any] = {}
    few = {}
    up = np.argsort(tried)
    series: dict[str, Any] = {"rate": tried[up], "limit": [limit]}
    series["trials"] = np.arange(1, setting["trials"] + 1)
    for name, found in runs.items():
        numbers[f"width_{name}"] = spread(width(tried, loss, limit) for loss in held[name].T)
        accuracy = np.median(found.accuracy["test"][..., -1], axis=1)
        expected = [best_of(k, np.median(held[name], 1), accuracy) for k in series["trials"]]
        few[name] = expected[setting["budget"] - 1]
        series[f"expected_{name}"] = np.asarray(expected)
        for seed, loss in enumerate(held[name].T):
            series[f"loss_{name}_{seed}"] = loss[up]
    for name in ("sgd", "adam"):
        numbers[f"best_{name}"] = float(tried[runs[name].best()])
        numbers[f"few_{name}"] = few.pop(name)
    return Measured({**numbers, "few_others": max(few.values())}, series)


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    decades = {name: numbers[f"width_{name}"]["median"] for name in SIX}
    adam, sgd, widest = decades["adam"], decades["sgd"], max(decades, key=decades.__getitem__)
    wider = adam >= sgd + threshold["wider"]
    none_wider = decades[widest] <= adam + threshold["tie"]
    word = HOLDS if wider and none_wider else DEPENDS if wider else FAILS
    few = {name: numbers[f"few_{name}"] for name in ("adam", "sgd", "others")}
    label = style.LABELS[widest]
    return Verdict(
        word,
        f"Adam's valley is {adam:.2f} decades wide, SGD's {sgd:.2f}; the widest is "
        f"{label}'s, {decades[widest]:.2f}. The best of a few trials is expected to have "
        f"{few['adam']:.1%} of the test right with Adam, {few['sgd']:.1%} with SGD, "
        f"{few['others']:.1%} with the best of the others.",
        f"Adam 的谷宽 {adam:.2f} 个十倍程，SGD {sgd:.2f}；最宽的是 {label}，"
        f"{decades[widest]:.2f}。少量试验取最佳，期望测试准确率：Adam {few['adam']:.1%}，SGD "
        f"{few['sgd']:.1%}，其余最好的 {few['others']:.1%}。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """The U-curves; accuracy over the number of trials."""
    s = measured.series
    valley, budget = style.panels(figure, [3.2, 2.4])
    ceiling = 1.05 * np.log(10)
    for name in SIX:
        losses = np.array([v for n, v in s.items() if n.startswith(f"loss_{name}_")])
        shown = np.where(np.median(losses, 0) < ceiling, losses, np.nan)
        style.band(valley, s["rate"], shown, style.line(name))
        budget.plot(s["trials"], 100 * s[f"expected_{name}"], **style.line(name))
    valley.axhline(s["limit"][0], color="#777777", linewidth=1, linestyle=":")
    valley.set(title="Loss over the rate", xlabel="rate α", ylabel="held-aside loss (nats)")
    valley.set(xscale="log", yscale="log", ylim=(None, ceiling))
    valley.set_yticks([0.2, 0.5, 1, 2], ["0.2", "0.5", "1", "2"])
    valley.minorticks_off()
    budget.set(title="Best of k trials", xlabel="trials k", ylabel="test accuracy (%)")
    figure.legend(*valley.get_legend_handles_labels(), loc="outside lower center", ncols=3)
