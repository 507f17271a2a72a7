"""Whether the noise of the batch is why batch normalisation lessens over-fitting."""

from typing import Any

import numpy as np
from flax import nnx

from jaxopt_notes.models import PureModel, pure
from jaxopt_notes.studies import style
from jaxopt_notes.studies.inference import combined, decide, median_interval, points
from jaxopt_notes.studies.normalised import grouped
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
from jaxopt_notes.studies.sweeps import SIX, Plan, Runs, networks, plan_of, sweep
from jaxopt_notes.studies.walks import rates

ABOUT = About(
    number=24,
    title="The noise of batch normalisation",
    title_zh="批归一化的噪声",
    kind="comparison",
    claim="Batch normalisation lessens overfitting, because the noise of the batch acts like "
    "dropout.",
    claim_zh="批归一化能减轻过拟合：批的噪声起到类似 dropout 的作用。",
    section="The network and its parts, claims",
    equations=(
        "x̂ = (x − μ_B) / √(σ_B^2 + ε); over batches of n images, μ_B and σ_B^2 vary by about 1/√n",
        "gap = training accuracy − test accuracy",
    ),
    equations_zh=(
        "x̂ = (x − μ_B) / √(σ_B^2 + ε)；每批 n 张图像时，μ_B 与 σ_B^2 的波动约为 1/√n",
        "差距 = 训练准确率 − 测试准确率",
    ),
    how="The notes' dense network 784 → 128 → 64 → 10 learns 1,024 images of mnist-12k. It uses "
    "SGD with momentum, batches of 128 images and a cosine schedule. Only the noise differs: "
    "batch normalisation takes its statistics over all 128 images of the batch, or over groups "
    "of 32 or 8 of them. The gradient is always that of all 128 images. We compare with the "
    "network without batch normalisation, both without dropout and with dropout of 0.2 or 0.4. "
    "The validation set chooses each arm's learning rate, the group size and the strength of "
    "dropout. Training and test accuracy are both measured in evaluation mode: with running "
    "averages and without dropout.",
    how_zh="笔记的全连接网络 784 → 128 → 64 → 10 用带动量的 SGD（每步 128 张）和余弦调度学习 "
    "mnist-12k 的 1024 张图像。只改变噪声：批归一化的统计量取自批中全部 128 张图像，或取自其中每"
    "组 32 张或 8 张；梯度始终是 128 张的梯度。对照为不加批归一化的网络：或不用 dropout，或用强度"
    "为 0.2 或 0.4 的 dropout。各方案的学习率、分组大小与 dropout 强度都按验证集选最佳。训练准确"
    "率与测试准确率都在评估模式下测量：批归一化用滑动平均，dropout 关闭。",
    setting={
        "seeds": 16,
        "images": 1024,
        "widths": [128, 64],
        "batch": 128,
        "epochs": 30,
        "budgets": [1, 3, 10],
        "rates": [0.3, 20.0, 6],
        "groups": [32, 8],
        "dropouts": [0.2, 0.4],
        "official": True,
    },
    quick={
        "seeds": 6,
        "images": 256,
        "widths": [16],
        "epochs": 5,
        "budgets": [],
        "rates": [1.0, 4.0, 2],
        "groups": [8],
        "dropouts": [0.2],
        "official": False,
    },
    measured={
        "gain_batch": (
            "points of test accuracy gained by batch normalisation over 128 images, compared "
            "with no batch normalisation",
            "128 张统计的批归一化比不加时提高的测试准确率（百分点）",
        ),
        "less_batch": (
            "points by which batch normalisation over 128 images narrows the gap, compared with "
            "no batch normalisation",
            "128 张统计的批归一化比不加时缩小的差距（百分点）",
        ),
        "gain_noise": (
            "points of test accuracy gained by smaller groups, compared with 128 images",
            "较小分组比 128 张统计提高的测试准确率（百分点）",
        ),
        "less_noise": (
            "points by which smaller groups narrow the gap, compared with 128 images",
            "较小分组比 128 张统计缩小的差距（百分点）",
        ),
        "gain_dropout": (
            "points of test accuracy gained by dropout, compared with no dropout",
            "dropout 比不加时提高的测试准确率（百分点）",
        ),
        "less_dropout": (
            "points by which dropout narrows the gap, compared with no dropout",
            "dropout 比不加时缩小的差距（百分点）",
        ),
        "test_none": (
            "test accuracy with neither batch normalisation nor dropout",
            "批归一化与 dropout 都不加时的测试准确率",
        ),
        "test_batch": ("test accuracy, statistics of 128 images", "测试准确率，128 张统计"),
        "test_noise": ("test accuracy, the best smaller group", "测试准确率，最佳的较小分组"),
        "test_dropout": ("test accuracy, dropout", "测试准确率，dropout"),
        "train_none": (
            "training accuracy with neither batch normalisation nor dropout",
            "批归一化与 dropout 都不加时的训练准确率",
        ),
        "train_batch": ("training accuracy, statistics of 128 images", "训练准确率，128 张统计"),
        "train_noise": ("training accuracy, the best smaller group", "训练准确率，最佳的较小分组"),
        "train_dropout": ("training accuracy, dropout", "训练准确率，dropout"),
        "group": ("the group size chosen", "选定的分组大小"),
        "strength": (
            "the strength of dropout chosen",
            "选定的 dropout 强度",
        ),
    },
    threshold={"points": 0.5},
    rule="Two parts. Lessens overfitting: batch normalisation over the whole batch narrows the "
    "gap and raises the test accuracy, each by at least {points:g} points. By its noise: smaller "
    "groups narrow the gap and raise the test accuracy once more, each by at least {points:g} "
    "points. Holds if both are true; depends if one is; fails if neither is. {undecided}",
    rule_zh="两部分。减轻过拟合：整批统计的批归一化使差距缩小、测试准确率提高，各至少 {points:g} "
    "个百分点。源于噪声：分组更小时，差距再缩小、测试准确率再提高，各至少 {points:g} 个百分点。两"
    "部分都满足则成立，满足一个则视情况而定，都不满足则不成立。{undecided}",
    picture="Six rows, each with the test accuracy, its range over the seeds, the training "
    "accuracy and the gap between the two accuracies. The training accuracy is 100 % in all rows "
    "except dropout of 0.4. With neither batch normalisation nor dropout the gap is 10.1 points. "
    "It is 9.5 with dropout of 0.2 alone and with batch normalisation over 128 images, and 9.0 "
    "with batch normalisation over groups of 32 or 8 images.",
    picture_zh="六行，各有测试准确率及其在不同种子间的范围、训练准确率，以及两个准确率的差距。除 "
    "dropout 0.4 外，各行的训练准确率都是 100 %。批归一化与 dropout 都不加时，差距为 10.1 个百分"
    "点，dropout 0.2 为 9.5，128 张统计的批归一化为 9.5，每组 32 张或 8 张的批归一化均为 9.0。",
    remark="Three things gain about half a point each, and their intervals lie above 0: batch "
    "normalisation over the whole batch, the noise of smaller groups on top of it, and dropout "
    "without batch normalisation. So the noise does regularise, here as much as dropout does. "
    "But the noise gives only half of what small groups gain. The other half comes from batch "
    "normalisation over 128 images, which has little noise. Sixteen seeds do not decide whether "
    "each gain reaches the rule's half point; a first run with six seeds did not decide it "
    "either. Groups of 32 and of 8 do equally well. With wrong labels the verdict is clear: in a "
    "small run on 512 images, where four in ten have a random label, the claim holds, and the "
    "noise of groups of 4 gains 3.3 points (tests/studies/test_reachability.py). Statistics over "
    "smaller groups are the “ghost” batch normalisation of Hoffer et al. 2017, who use it to "
    "narrow the generalisation gap of large batches; Luo et al. 2019 derive the regularisation "
    "as a decay of γ.",
    remark_zh="以下三项各提高约半个百分点，区间都在 0 以上：整批统计的批归一化；在此基础上，更小"
    "分组的噪声；不加批归一化时的 dropout。所以噪声确有正则化作用，在这里与 dropout 相当。但噪声"
    "只占小分组收益的一半，另一半来自 128 张统计的批归一化，它几乎没有噪声。每项收益是否达到判据"
    "的半个百分点，16 个种子仍不足以判定；首次用 6 个种子时同样未定。每组 32 张与 8 张效果相同。"
    "标签有错时则有定论：在 512 张图像、四成标签随机的小规模训练中，论断成立，每组 4 张的噪声提"
    "高 3.3 个百分点（tests/studies/test_reachability.py）。在更小的分组上取统计量，即 Hoffer 等 "
    "2017 的“幽灵”批归一化，他们用它缩小大批量训练的泛化差距；Luo 等 2019 把这种正则化作用推导为"
    "对 γ 的衰减。",
    sources=(
        "Hoffer, Hubara & Soudry 2017, “Train longer, generalize better”",
        "Luo et al. 2019, “Towards Understanding Regularization in Batch Normalization”",
        "Srivastava et al. 2014, “Dropout”",
    ),
    findings={
        "holds": (
            "Batch normalisation gains {gain_batch:.1f} points on unseen digits, and the noise "
            "of small groups {gain_noise:.1f} more",
            "批归一化使未见数字的准确率提高 {gain_batch:.1f} 个百分点，小分组的噪声再提高 "
            "{gain_noise:.1f} 个",
        ),
        "depends": (
            "Batch normalisation changes the test accuracy by {gain_batch:+.1f} points, and more "
            "noise by a further {gain_noise:+.1f}: only one of them lessens overfitting",
            "批归一化使测试准确率变化 {gain_batch:+.1f} 个百分点，加大噪声再变化 "
            "{gain_noise:+.1f} 个：只有一项减轻过拟合",
        ),
        "fails": (
            "Neither batch normalisation nor its noise lessens overfitting",
            "批归一化及其噪声都不减轻过拟合",
        ),
        "not decided": (
            "Batch normalisation changes the test accuracy by {gain_batch:+.1f} points, and the "
            "noise of small groups by a further {gain_noise:+.1f}; whether each reaches half a "
            "point is not decided",
            "批归一化使测试准确率变化 {gain_batch:+.1f} 个百分点，小分组的噪声再变化 "
            "{gain_noise:+.1f} 个；是否都达到半个百分点尚无定论",
        ),
    },
    reachable={
        # with wrong labels, in tests/studies/test_reachability.py
        "holds": {
            "seeds": 12,
            "images": 512,
            "batch": 64,
            "epochs": 20,
            "widths": [128],
            "rates": [0.1, 0.1, 1],
            "groups": [4],
        },
        "depends": {
            "images": 256,
            "batch": 64,
            "epochs": 30,
            "widths": [128],
            "rates": [3.0, 3.0, 1],
            "groups": [2],
        },
    },
    texts={
        "neither": "都不加",
        "batch norm,": "批归一化，",
        "{} images": "{} 张图像",
        "gap {}": "差距 {}",
        "Test (●) and training (○) accuracy, tuned": "测试（●）与训练（○）准确率，调优后",
        "accuracy (%)": "准确率（%）",
    },
)

ARMS = ("none", "batch", "noise", "dropout")


def in_groups(plan: Plan, size: int) -> list[PureModel]:
    """The network whose statistics are of `size` images, one a seed."""
    return [pure(grouped(nnx.Rngs(seed), plan.widths, size)) for seed in range(plan.seeds)]


def swept(setting: dict[str, Any], epochs: int) -> dict[str, dict[float, Runs]]:
    """Each arm's runs by the strength of its noise, over the learning rates."""
    plan, tried = plan_of(setting, epochs=epochs), rates(setting)[:, None]

    def over(label: str, models: list[PureModel]) -> Runs:
        return sweep(models, SIX["momentum"], tried, plan, label)

    return {
        "none": {0: over("none", networks(plan))},
        "batch": {plan.batch: over("batch", in_groups(plan, plan.batch))},
        "noise": {n: over(f"groups of {n}", in_groups(plan, n)) for n in setting["groups"]},
        "dropout": {
            p: over(f"dropout {p}", networks(plan, dropout=p)) for p in setting["dropouts"]
        },
    }


def best(runs: dict[float, Runs]) -> float:
    """The strength whose best trial is best on the validation set."""
    return max(runs, key=lambda s: np.median(runs[s].at_best("accuracy", "held", by="accuracy")))


def numbers_of(arms: dict[str, dict[float, Runs]]) -> dict[str, Any]:
    """What decides, at one budget."""
    strength = {arm: best(runs) for arm, runs in arms.items()}
    chosen = {arm: runs[strength[arm]] for arm, runs in arms.items()}
    # Of 10,000 or 2,000 images, so whole bytes.
    right = {arm: np.unpackbits(r.right[r.best("accuracy")], axis=-1) for arm, r in chosen.items()}
    train, test = (
        {arm: r.at_best("accuracy", part, by="accuracy") for arm, r in chosen.items()}
        for part in ("train", "test")
    )
    gap = {arm: 100 * (train[arm] - test[arm]) for arm in ARMS}
    numbers: dict[str, Any] = {"group": strength["noise"], "strength": strength["dropout"]}
    for arm, against in (("batch", "none"), ("noise", "batch"), ("dropout", "none")):
        numbers[f"gain_{arm}"] = points(right[arm], right[against])
        numbers[f"less_{arm}"] = median_interval(gap[against] - gap[arm])
    for arm in ARMS:
        numbers[f"test_{arm}"], numbers[f"train_{arm}"] = spread(test[arm]), spread(train[arm])
    return numbers


def measure(setting: dict[str, Any]) -> Measured:
    """All arms at all budgets."""
    arms = swept(setting, setting["epochs"])
    series: dict[str, Any] = {"batch": [setting["batch"]]}
    for arm, runs in arms.items():
        series[f"strength_{arm}"] = list(runs)
        for part in ("train", "test"):
            accuracy = [r.at_best("accuracy", part, by="accuracy") for r in runs.values()]
            for what, edge in (("low", np.min), ("median", np.median), ("high", np.max)):
                series[f"{what}_{part}_{arm}"] = edge(accuracy, axis=1)
    budgets = {
        f"{epochs} epoch{'s' * (epochs > 1)}": numbers_of(swept(setting, epochs))
        for epochs in setting["budgets"]
    }
    return Measured(numbers_of(arms), series, budgets)


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""

    def rule(*so: bool) -> str:
        lessens, by_noise = all(so[:2]), all(so[2:])
        return HOLDS if lessens and by_noise else DEPENDS if lessens or by_noise else FAILS

    names = ("less_batch", "gain_batch", "less_noise", "gain_noise")
    parts = [decide(numbers[name], threshold["points"]) for name in names]
    n = middle(numbers)
    gap, gain = (
        {arm: f"{by * n[f'{what}_{arm}']:+z.1f}".replace("-", "−") for arm in ARMS[1:]}
        for what, by in (("less", -1), ("gain", 1))
    )
    return Verdict(
        combined(rule, *parts),
        f"Batch normalisation over the whole batch changes the gap by {gap['batch']} points and "
        f"the test accuracy by {gain['batch']}. Groups of {n['group']:.0f} images change the gap "
        f"by a further {gap['noise']} and the test accuracy by {gain['noise']}. Without batch "
        f"normalisation, dropout of {n['strength']:g} changes the gap by {gap['dropout']} and the "
        f"test accuracy by {gain['dropout']}.",
        f"整批统计的批归一化使差距变化 {gap['batch']} 个百分点，测试准确率变化 {gain['batch']}。"
        f"每组 {n['group']:.0f} 张使差距再变化 {gap['noise']}，测试准确率变化 {gain['noise']}。不"
        f"加批归一化时，dropout {n['strength']:g} 使差距变化 {gap['dropout']}，测试准确率变化 "
        f"{gain['dropout']}。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """Training and test accuracy of each arm, and the gap between them."""
    s = measured.series
    (axes,) = style.panels(figure, [3.4])
    rows = []
    for arm, name in (("none", "neither"), ("dropout", "dropout {:g}")):
        rows += [(arm, i, name.format(x)) for i, x in enumerate(s[f"strength_{arm}"])]
    for arm in ("batch", "noise"):
        label = "batch norm,\n{:.0f} images"
        rows += [(arm, i, label.format(x)) for i, x in enumerate(s[f"strength_{arm}"])]
    colours = {"none": style.BLACK, "dropout": style.ORANGE}
    for y, (arm, i, _) in enumerate(rows):
        train, test = (100 * s[f"median_{part}_{arm}"][i] for part in ("train", "test"))
        colour = colours.get(arm, style.BLUE)
        axes.plot([test, train], [-y, -y], color=colour, linewidth=1.2)
        edges = [100 * s[f"{edge}_test_{arm}"][i] for edge in ("low", "high")]
        axes.plot(edges, [-y, -y], color=colour, linewidth=5, alpha=0.3, solid_capstyle="butt")
        axes.plot(test, -y, "o", color=colour)
        axes.plot(train, -y, "o", color=colour, markerfacecolor="white")
        axes.text(
            (test + train) / 2, 0.14 - y, f"gap {train - test:.1f}", fontsize=8.5, ha="center"
        )
    axes.set_yticks([-y for y in range(len(rows))], [label for *_, label in rows])
    axes.set(title="Test (●) and training (○) accuracy, tuned", xlabel="accuracy (%)")
    axes.set_ylim(0.6 - len(rows), 0.6)
