"""Batch normalisation against none and dropout: usable rates, speed, and the gap."""

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
from jaxopt_notes.studies.sweeps import SIX, networks, plan_of, smooth, sweep, trials, width
from jaxopt_notes.studies.walks import arrival
from jaxopt_notes.studies.wording import number

ABOUT = About(
    number=14,
    title="Batch normalisation",
    title_zh="批归一化",
    kind="comparison",
    claim="Batch normalisation steadies and speeds training and lessens over-fitting: the batch's "
    "noise acts like dropout.",
    claim_zh="批归一化使训练更稳、更快，并减轻过拟合：批的噪声起到类似 dropout 的作用。",
    section="The network and its parts, claims",
    equations=("x̂ = (x − μ) / √(σ^2 + ε), y = γ x̂ + β", "gap = test loss − training loss"),
    how="The notes' dense network 784 → 128 → 64 → 10 learns few images of MNIST by SGD with "
    "momentum: as it is, with batch normalisation after each hidden dense layer, and with dropout. "
    "All three get the same quasi-random rates, five seeds each; the rate falls to 0 along half a "
    "cosine. Steady: over how many decades of the rate the loss on images kept aside is within a "
    "factor of that network's own least. Fast: steps to a training loss, each at the "
    "rate that those images choose. Both losses of the gap are measured as in evaluation, with "
    "running averages and without dropout.",
    how_zh="笔记的全连接网络 784 → 128 → 64 → 10 用带动量的 SGD 学习 MNIST 的少量图像：原样、每个"
    "隐藏层后加批归一化、加 dropout。三者试同样的拟随机学习率，各五个种子；学习率按半个余弦降到 0"
    "。稳：留出图像上的损失在该网络自身最低值的若干倍以内的学习率跨多少个十倍程。快：各取这些图像"
    "选定的学习率，达到某训练损失的步数。差距的两个损失都按评估方式测量（用滑动平均，不用 dropout"
    "）。",
    setting={
        "seeds": 5,
        "images": 2000,
        "widths": [128, 64],
        "batch": 64,
        "epochs": 10,
        "marks": 10,
        "trials": 12,
        "range": [0.01, 30.0],
        "dropout": 0.2,
        "within": 1.25,
        "goal": 0.2,
    },
    quick={"images": 800, "epochs": 6, "marks": 6, "trials": 6, "widths": [32, 32]},
    measured={
        "width_none": ("width of the valley without either (decades)", "都不加时的谷宽（十倍程）"),
        "width_batch": ("with batch normalisation", "批归一化"),
        "width_dropout": ("with dropout", "dropout"),
        "steps_none": ("steps to the training loss aimed at, without either", "都不加时达标步数"),
        "steps_batch": ("with batch normalisation", "批归一化"),
        "steps_dropout": ("with dropout", "dropout"),
        "gap_none": ("gap without either (nats)", "都不加时的差距（奈特）"),
        "gap_batch": ("with batch normalisation", "批归一化"),
        "gap_dropout": ("with dropout", "dropout"),
        "loss_none": ("test loss without either", "都不加时的测试损失"),
        "loss_batch": ("with batch normalisation", "批归一化"),
        "loss_dropout": ("with dropout", "dropout"),
        "accuracy_none": ("test accuracy without either", "都不加时的测试准确率"),
        "accuracy_batch": ("with batch normalisation", "批归一化"),
        "accuracy_dropout": ("with dropout", "dropout"),
    },
    threshold={"wider": 0.25, "faster": 0.8, "smaller": 0.9},
    rule="Three trials against the network without either (medians over the seeds). Steadier: a "
    "valley wider by {wider:g} decades or more. Faster: at most {faster:g} of the steps. Less "
    "over-fitting: at most {smaller:g} of the gap, and no larger test loss. Holds if all three are "
    "so, fails if none is, else it depends.",
    rule_zh="与都不加的网络相比三项检验（中位数）。更稳：谷宽多 {wider:g} 个十倍程以上。更快：步数"
    "不超过 {faster:g}。过拟合更轻：差距不超过 {smaller:g}，且测试损失不更大。三项都满足则成立，都"
    "不满足则不成立，否则视情况而定。",
    picture="Above, the loss on images kept aside over the rate, three U-shaped curves: with batch "
    "normalisation it is lowest, and lies at rates several times larger than the other two, "
    "reaching to rates at which these learn nothing. In the middle, the training loss over the "
    "steps at the chosen rates: with batch normalisation it is lowest all along, with dropout "
    "highest. Below, the gap of the three with the range of the seeds: largest without either, "
    "smallest with dropout.",
    picture_zh="上：留出图像上的损失随学习率变化的三条 U 形曲线：批归一化的最低，位于比另两者大数"
    "倍的学习率处，并延伸到另两者学不到东西的学习率。中：选定学习率下训练损失随步数变化：批归一化"
    "始终最低，dropout 最高。下：三者的差距及种子间的范围：都不加时最大，dropout 最小。",
    remark="Larger rates are what the paper credits it with (Ioffe & Szegedy 2015, §3.3), and the "
    "reason is a smoother loss, not less “covariate shift” (Santurkar et al. 2018). Here that "
    "moves the valley of usable rates more than it widens it. The noise of the batch does "
    "regularise, the more the smaller the batch (Luo et al. 2019), but is no replacement for "
    "dropout, which is given its strength by hand. The notes' convolutions and mixture of experts "
    "are not put to the test here.",
    remark_zh="论文归功于它的是可用更大的学习率（Ioffe 与 Szegedy 2015，§3.3），原因是损失更平滑，"
    "而不是减少了“协变量偏移”（Santurkar 等 2018）。在这里，可用学习率的谷与其说变宽，不如说移到了"
    "更大处。批的噪声确有正则作用，批越小越强（Luo 等 2019），但不能代替强度可调的 dropout。笔记提"
    "到的卷积网络和混合专家在此未检验。",
    sources=(
        "Ioffe & Szegedy 2015, “Batch Normalization”, §3.3 and §3.4",
        "Santurkar et al. 2018, “How Does Batch Normalization Help Optimization?”",
        "Luo et al. 2019, “Towards Understanding Regularization in Batch Normalization”",
        "Srivastava et al. 2014, “Dropout”",
    ),
)

KINDS = ("none", "batch", "dropout")


def measure(setting: dict[str, Any]) -> Measured:
    """All three over all rates."""
    plan, tried = plan_of(setting), trials(setting["trials"], setting["range"])
    parts = {"none": {}, "batch": {"norm": "batch"}, "dropout": {"dropout": setting["dropout"]}}
    runs = {
        kind: sweep(networks(plan, **parts[kind]), SIX["momentum"], tried, plan, kind)
        for kind in KINDS
    }
    held = {kind: found.loss["held"][..., -1] for kind, found in runs.items()}
    rate, up = tried[:, 0], np.argsort(tried[:, 0])
    an_epoch = plan.images // plan.batch
    numbers: dict[str, Any] = {}
    series: dict[str, Any] = {"rate": rate[up]}
    series["step"] = np.arange(an_epoch, plan.steps + 1)
    for kind, found in runs.items():
        running = smooth(found.batch_loss[found.best()], an_epoch)
        gap = found.at_best("loss", "test") - found.at_best("loss", "train")
        limit = setting["within"] * np.median(held[kind], axis=1).min()
        numbers[f"width_{kind}"] = spread(width(rate, loss, limit) for loss in held[kind].T)
        numbers[f"steps_{kind}"] = spread(arrival(running <= setting["goal"]) + 1)
        numbers[f"gap_{kind}"] = spread(gap)
        numbers[f"loss_{kind}"] = spread(found.at_best("loss", "test"))
        numbers[f"accuracy_{kind}"] = spread(found.at_best("accuracy", "test"))
        series[f"gap_{kind}"] = gap
        series[f"train_{kind}"] = np.median(running, axis=0)[an_epoch - 1 :]
        series |= {f"loss_{kind}_{seed}": loss[up] for seed, loss in enumerate(held[kind].T)}
    return Measured(numbers, series)


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n = {name: x["median"] for name, x in numbers.items()}
    good = [
        n["width_batch"] >= n["width_none"] + threshold["wider"],
        n["steps_batch"] <= threshold["faster"] * n["steps_none"],
        n["gap_batch"] <= threshold["smaller"] * n["gap_none"]
        and n["loss_batch"] <= n["loss_none"],
    ]
    word = HOLDS if all(good) else DEPENDS if any(good) else FAILS
    wide, gap, accuracy = (
        [n[f"{what}_{kind}"] for kind in KINDS] for what in ("width", "gap", "accuracy")
    )
    steps = [number(n[f"steps_{kind}"]) for kind in KINDS]
    return Verdict(
        word,
        f"Without, with batch normalisation, and with dropout: the valley is {wide[0]:.2f}, "
        f"{wide[1]:.2f}, {wide[2]:.2f} decades wide; the training loss aimed at takes "
        f"{steps[0]}, {steps[1]}, {steps[2]} steps; the gap is {gap[0]:.2f}, "
        f"{gap[1]:.2f}, {gap[2]:.2f} nats, the test accuracy {accuracy[0]:.1%}, "
        f"{accuracy[1]:.1%}, {accuracy[2]:.1%}.",
        f"不加、批归一化、dropout 依次为：谷宽 {wide[0]:.2f}、{wide[1]:.2f}、{wide[2]:.2f} 个十倍"
        f"程；达到目标训练损失 {steps[0]}、{steps[1]}、{steps[2]} 步；差距 {gap[0]:.2f}"
        f"、{gap[1]:.2f}、{gap[2]:.2f} 奈特；测试准确率 {accuracy[0]:.1%}、{accuracy[1]:.1%}、"
        f"{accuracy[2]:.1%}。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """Loss over the rate; training loss; gap."""
    s = measured.series
    valley, training, gap = style.panels(figure, [2.8, 2.4, 1.5])
    looks = {
        "none": {"color": style.BLACK, "linestyle": "--", "label": "neither"},
        "batch": {"color": style.BLUE, "linestyle": "-", "label": "batch norm"},
        "dropout": {"color": style.ORANGE, "linestyle": "-.", "label": "dropout"},
    }
    for i, (kind, look) in enumerate(looks.items()):
        losses = np.array([v for n, v in s.items() if n.startswith(f"loss_{kind}_")])
        shown = np.where(np.median(losses, 0) < np.log(10), np.minimum(losses, 10), np.nan)
        style.band(valley, s["rate"], shown, look)
        training.plot(s["step"], s[f"train_{kind}"], **look)
        style.bar(gap, -i, s[f"gap_{kind}"], look["color"])
    valley.set(title="Loss over the rate", xlabel="momentum's rate α", xscale="log", yscale="log")
    valley.set(ylabel="held-aside loss (nats)", ylim=(None, 1.1 * np.log(10)))
    training.set(title="Training loss, chosen rates", xlabel="step", yscale="log")
    training.set(ylabel="mean of an epoch (nats)")
    for axes, ticks in ((valley, [0.2, 0.5, 1, 2]), (training, [0.01, 0.03, 0.1, 0.3, 1])):
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    gap.set(title="Test loss − training loss", xlabel="nats", ylim=(-2.6, 0.6))
    gap.set_yticks([0, -1, -2], [look["label"] for look in looks.values()])
    figure.legend(*valley.get_legend_handles_labels(), loc="outside lower center", ncols=3)
