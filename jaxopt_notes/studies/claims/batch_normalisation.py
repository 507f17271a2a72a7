"""Batch normalisation in three kinds of network: usable learning rates, speed, accuracy."""

from typing import Any

import numpy as np
from flax import nnx

from jaxopt_notes.models import pure
from jaxopt_notes.studies import style
from jaxopt_notes.studies.inference import at_most, combined, decide, median_interval, points
from jaxopt_notes.studies.normalised import Convolutional, Dense, Mixture
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
from jaxopt_notes.studies.sweeps import SIX, Runs, plan_of, smooth, sweep, width
from jaxopt_notes.studies.walks import arrival, rates

ABOUT = About(
    number=14,
    title="Batch normalisation",
    title_zh="批归一化",
    kind="comparison",
    claim="Batch normalisation steadies and speeds training, and it helps in dense, convolutional "
    "and mixture-of-experts networks.",
    claim_zh="批归一化使训练更稳、更快，并且在全连接、卷积和混合专家网络中都有帮助。",
    section="The network and its parts, claims",
    equations=("x̂ = (x − μ) / √(σ^2 + ε), y = γ x̂ + β",),
    how="Three small networks learn 2,000 images of mnist-12k by SGD with momentum and a cosine "
    "schedule, each with and without batch normalisation before every hidden ReLU: a dense one "
    "(784 → 64 → 64 → 10), a convolutional one (two 3×3 convolutions of stride 2) and a mixture "
    "of four experts under a softmax gate. With the same seed, both arms have the same images "
    "and batches. Help: the test accuracy, each arm at the learning rate that is best on the "
    "validation set. Speed, with each arm again at its own best learning rate: the share of the "
    "steps after which the training loss (mean of ten steps) is as low as the plain network's "
    "final one. Steadiness: the number of decades of the learning rate over which the validation "
    "accuracy is at least 88 %, a level that is the same for all networks.",
    how_zh="三个小网络用带动量的 SGD 和余弦调度学习 mnist-12k 的 2000 张图像，每个隐藏 ReLU 之前"
    "加或不加批归一化：全连接（784 → 64 → 64 → 10）、卷积（两个步幅为 2 的 3×3 卷积）、softmax 门"
    "控的四专家混合。随机种子相同时，两组的图像与批次也相同。帮助：各取验证集最佳学习率时的测试准"
    "确率。速度：训练损失（十步均值）降到普通网络结束时的水平所需步数占总步数的比例，同样各取自己"
    "的学习率。稳定：验证准确率不低于 88 % 的学习率跨多少个十倍程，所有网络都以 88 % 为准。",
    setting={
        "seeds": 16,
        "images": 2000,
        "widths": [],
        "batch": 100,
        "epochs": 20,
        "budgets": [1, 3, 10],
        "rates": [0.05, 30.0, 8],
        "steady_at": 0.88,
        "over": 10,
        "official": True,
    },
    quick={
        "seeds": 6,
        "images": 200,
        "epochs": 5,
        "budgets": [],
        "rates": [1.0, 10.0, 2],
        "steady_at": 0.5,
        "official": False,
        "batch": 50,
    },
    measured={
        "gain_dense": ("points of test accuracy gained, dense", "测试准确率提高（百分点），全连接"),
        "gain_conv": ("points of test accuracy gained, convolutional", "同上，卷积"),
        "gain_mixture": ("points of test accuracy gained, mixture of experts", "同上，混合专家"),
        "share_dense": (
            "steps to the plain network's final training loss, as a share of all steps, dense",
            "降到普通网络最终训练损失所需步数占比，全连接",
        ),
        "share_conv": (
            "steps to the plain network's final training loss, as a share of all steps, "
            "convolutional",
            "降到普通网络最终训练损失所需步数占比，卷积",
        ),
        "share_mixture": (
            "steps to the plain network's final training loss, as a share of all steps, mixture "
            "of experts",
            "降到普通网络最终训练损失所需步数占比，混合专家",
        ),
        "wider_dense": (
            "decades of usable learning rates gained, dense",
            "可用学习率增加的十倍程数，全连接",
        ),
        "wider_conv": (
            "decades of usable learning rates gained, convolutional",
            "可用学习率增加的十倍程数，卷积",
        ),
        "wider_mixture": (
            "decades of usable learning rates gained, mixture of experts",
            "可用学习率增加的十倍程数，混合专家",
        ),
        "plain_dense": (
            "test accuracy without batch normalisation, dense",
            "不加批归一化的测试准确率，全连接",
        ),
        "plain_conv": (
            "test accuracy without batch normalisation, convolutional",
            "不加批归一化的测试准确率，卷积",
        ),
        "plain_mixture": (
            "test accuracy without batch normalisation, mixture of experts",
            "不加批归一化的测试准确率，混合专家",
        ),
        "batch_dense": (
            "test accuracy with batch normalisation, dense",
            "加批归一化的测试准确率，全连接",
        ),
        "batch_conv": (
            "test accuracy with batch normalisation, convolutional",
            "加批归一化的测试准确率，卷积",
        ),
        "batch_mixture": (
            "test accuracy with batch normalisation, mixture of experts",
            "加批归一化的测试准确率，混合专家",
        ),
    },
    threshold={"wider": 0.5, "faster": 0.8, "gain": 0.5},
    rule="Three parts, each in three networks. Steadier: at least {wider:g} decades of learning "
    "rates more. Faster: at most {faster:g} times the plain network's steps. Helps: at least "
    "{gain:g} points of test accuracy more. Holds if all three are true in all three networks; "
    "fails if none is true in more than one network; else it depends. {undecided}",
    rule_zh="三部分，各在三个网络中检验。更稳：可用学习率至少多 {wider:g} 个十倍程。更快：步数至"
    "多为普通网络的 {faster:g} 倍。有帮助：测试准确率至少高 {gain:g} 个百分点。三部分在三个网络中"
    "都满足则成立；每一部分都至多在一个网络中满足则不成立；否则视情况而定。{undecided}",
    picture="Three rows: the dense network, the convolutional one, the mixture of experts. On "
    "the left the validation accuracy over momentum's learning rate: both arms rise alike; "
    "without batch normalisation the accuracy falls to 10 %, that of guessing, between learning "
    "rates of 2 and 5; with it, only above 12. On the right the training loss over the steps, "
    "each arm at its own learning rate: batch normalisation has the lower loss for the first 133 "
    "steps in the dense network, 46 in the convolutional one and 146 in the mixture; later the "
    "plain arm is as low or lower.",
    picture_zh="三行依次为全连接、卷积、混合专家网络。左：验证准确率随动量学习率变化：两组起初同"
    "样上升；不加批归一化时在 2 与 5 之间跌到瞎猜的 10 %，加了之后到 12 以上才跌。右：训练损失随"
    "步数变化，各取自己的学习率：批归一化的损失在前 133 步（全连接）、46 步（卷积）、146 步（混合"
    "专家）更低，此后普通网络与之相当或更低。",
    remark="Ioffe & Szegedy (2015, abstract) claim much higher learning rates and less care "
    "about initialisation. Santurkar et al. 2018 find the reason in a smoother loss, not in less "
    "“covariate shift”. The range of usable learning rates and the accuracy pass their "
    "thresholds in all three networks. Speed does not: every interval contains the threshold. It "
    "depends on the target loss. The median training loss falls to 0.1 after 82 steps instead of "
    "89 in the dense network and after 88 instead of 107 in the mixture, but after 169 instead "
    "of 130 in the convolutional one, whose best learning rate is high. A first run with six "
    "seeds found speed only in the convolutional network. The gains in accuracy shrink with "
    "training: after one epoch they are 4 to 10 points. At that budget no network reaches 88 %, "
    "so nothing is known about steadiness there. Study 24 asks whether batch normalisation "
    "lessens overfitting by its noise.",
    remark_zh="Ioffe 与 Szegedy（2015，摘要）声称可用大得多的学习率，对初始化也不必那么小心。"
    "Santurkar 等 2018 认为原因是损失更平滑，而不是减少了“协变量偏移”。可用学习率的范围与准确率在"
    "三个网络中都超过阈值；速度则未定，每个区间都包含阈值。快慢取决于目标损失：训练损失中位数降"
    "到 0.1 所需步数，全连接为 82 步（普通 89 步），混合专家 88 步（普通 107 步），卷积却要 169 "
    "步（普通 130 步），因为它的最佳学习率很高。第一次运行用六个种子，只在卷积网络中看到加速。准"
    "确率的收益随训练变小：一轮之后为 4 至 10 个百分点。在该预算下没有网络达到 88 %，因此无从判断"
    "稳定性。批归一化是否靠噪声减轻过拟合，见第 24 项检验。",
    sources=(
        "Ioffe & Szegedy 2015, “Batch Normalization”",
        "Santurkar et al. 2018, “How Does Batch Normalization Help Optimization?”",
        "Jacobs et al. 1991, “Adaptive Mixtures of Local Experts”",
    ),
    findings={
        "holds": (
            "Batch normalisation widens the range of usable learning rates, speeds training and "
            "gains accuracy in all three kinds of network",
            "在三类网络中，批归一化都拓宽可用学习率、加快训练并提高准确率",
        ),
        "depends": (
            "Batch normalisation widens the range of usable learning rates by {wider_dense:.1f} "
            "decades in a dense network and {wider_conv:.1f} in a convolutional one; not every "
            "network also trains faster and gains accuracy",
            "批归一化使可用学习率的范围在全连接网络中扩大 {wider_dense:.1f} 个十倍程，在卷积网络"
            "中扩大 {wider_conv:.1f} 个；但并非每种网络都训练更快且准确率更高",
        ),
        "fails": (
            "Batch normalisation makes training neither steadier nor faster, nor more accurate",
            "批归一化既不使训练更稳或更快，也不提高准确率",
        ),
        "not decided": (
            "Batch normalisation widens the usable learning rates in all three networks and gains "
            "{gain_mixture:.1f} to {gain_conv:.1f} points; whether it trains faster is not decided",
            "在三类网络中，批归一化都拓宽可用学习率，准确率提高 {gain_mixture:.1f} 至 "
            "{gain_conv:.1f} 个百分点；是否训练更快尚无定论",
        ),
    },
    reachable={
        "holds": {
            "rates": [6.0, 48.0, 3],
            "epochs": 10,
            "steady_at": 0.6,
            "images": 400,
            "batch": 100,
        },
        "fails": {"batch": 2, "rates": [0.03, 0.3, 3], "images": 400, "steady_at": 0.7},
    },
    texts={
        "Dense": "全连接",
        "Convolutional": "卷积",
        "Mixture of experts": "混合专家",
        "validation (%)": "验证准确率（%）",
        "training loss": "训练损失",
        "{} decades": "{} 个十倍程",
        "{} points": "{} 个百分点",
        "as low after {}": "用 {} 的步数",
        "of the steps": "即达同样低",
        "learning rate of momentum": "动量的学习率",
        "without": "不加",
        "with batch normalisation": "加批归一化",
    },
)

NETWORKS = {"dense": Dense, "conv": Convolutional, "mixture": Mixture}
ARMS = ("plain", "batch")


def swept(setting: dict[str, Any], epochs: int) -> dict[str, dict[str, Runs]]:
    """Each network without and with batch normalisation, over the learning rates."""
    plan, tried = plan_of(setting, epochs=epochs), rates(setting)[:, None]

    def runs(network: str, arm: str) -> Runs:
        kind = NETWORKS[network]
        models = [pure(kind(nnx.Rngs(seed), arm == "batch")) for seed in range(plan.seeds)]
        return sweep(models, SIX["momentum"], tried, plan, f"{network}, {arm}")

    return {network: {arm: runs(network, arm) for arm in ARMS} for network in NETWORKS}


def training_loss(runs: Runs, over: int) -> np.ndarray:
    """Of the best trial, the mean of the last steps: (seeds, steps)."""
    return smooth(runs.batch_loss[runs.best("accuracy")], over)


def share_of_steps(plain: Runs, batch: Runs, over: int) -> np.ndarray:
    """When batch normalisation has the training loss that the plain network ends with.

    As a share of all steps, one a seed; ∞ where it never has.
    """
    goal = training_loss(plain, over)[:, -1:]
    loss = training_loss(batch, over)
    return (arrival(loss <= goal) + 1) / loss.shape[-1]


def usable(runs: Runs, setting: dict[str, Any]) -> np.ndarray:
    """Decades of learning rates with the validation accuracy wanted, one a seed."""
    error = 1 - runs.accuracy["held"][..., -1]
    return np.array([width(rates(setting), e, 1 - setting["steady_at"]) for e in error.T])


def numbers_of(setting: dict[str, Any], networks: dict[str, dict[str, Runs]]) -> dict[str, Any]:
    """What decides, at one budget."""
    numbers: dict[str, Any] = {}
    for network, runs in networks.items():
        # Of 10,000 or 2,000 images, so whole bytes.
        right = {
            arm: np.unpackbits(r.right[r.best("accuracy")], axis=-1) for arm, r in runs.items()
        }
        decades = [usable(runs[arm], setting) for arm in ARMS]
        shares = share_of_steps(runs["plain"], runs["batch"], setting["over"])
        numbers[f"gain_{network}"] = points(right["batch"], right["plain"])
        numbers[f"share_{network}"] = median_interval(shares)
        numbers[f"wider_{network}"] = median_interval(decades[1] - decades[0])
        for arm in ARMS:
            accuracy = runs[arm].at_best("accuracy", "test", by="accuracy")
            numbers[f"{arm}_{network}"] = spread(accuracy)
    return numbers


def measure(setting: dict[str, Any]) -> Measured:
    """All networks at all budgets."""
    networks = swept(setting, setting["epochs"])
    series: dict[str, Any] = {"rate": rates(setting), "line": [setting["steady_at"]]}
    for network, runs in networks.items():
        for arm, each in runs.items():
            held = each.accuracy["held"][..., -1]
            for what, edge in (("low", np.min), ("median", np.median), ("high", np.max)):
                series[f"{what}_{network}_{arm}"] = edge(held, axis=1)
            loss = np.median(training_loss(each, setting["over"]), axis=0)
            series[f"loss_{network}_{arm}"] = loss
    budgets = {
        f"{epochs} epoch{'s' * (epochs > 1)}": numbers_of(setting, swept(setting, epochs))
        for epochs in setting["budgets"]
    }
    return Measured(numbers_of(setting, networks), series, budgets)


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""

    def rule(*so: bool) -> str:
        counts = [sum(so[i : i + 3]) for i in (0, 3, 6)]
        if min(counts) == 3:
            return HOLDS
        return FAILS if max(counts) <= 1 else DEPENDS

    networks = ("dense", "conv", "mixture")
    parts = [decide(numbers[f"wider_{name}"], threshold["wider"]) for name in networks]
    parts += [at_most(numbers[f"share_{name}"], threshold["faster"]) for name in networks]
    parts += [decide(numbers[f"gain_{name}"], threshold["gain"]) for name in networks]
    n = middle(numbers)
    wide, gain = ([n[f"{what}_{name}"] for name in networks] for what in ("wider", "gain"))
    shares = [n[f"share_{name}"] for name in networks]
    english = ["never" if x > 1 else f"after {x:.0%} of the steps" for x in shares]
    chinese = ["从未达到" if x > 1 else f"用 {x:.0%} 的步数" for x in shares]
    return Verdict(
        combined(rule, *parts),
        f"Batch normalisation adds {min(wide):.1f} to {max(wide):.1f} decades of usable learning "
        f"rates, depending on the network, and {min(gain):.1f} to {max(gain):.1f} points of test "
        f"accuracy. Its training loss is as low as the plain network's final one: {english[0]} in "
        f"the dense network, {english[1]} in the convolutional one, {english[2]} in the mixture of "
        f"experts.",
        f"批归一化使可用学习率多 {min(wide):.1f} 到 {max(wide):.1f} 个十倍程，测试准确率提高 "
        f"{min(gain):.1f} 到 {max(gain):.1f} 个百分点，随网络而定。训练损失降到普通网络的最终水"
        f"平：全连接网络{chinese[0]}，卷积网络{chinese[1]}，混合专家{chinese[2]}。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """Validation accuracy over the learning rate, and training loss, for each network."""
    s, n = measured.series, middle(measured.numbers)
    figure.set_figheight(6.6)
    axes = figure.subplots(3, 2, width_ratios=[1.15, 1])
    looks = {
        "plain": {"color": style.BLACK, "linestyle": "--", "label": "without"},
        "batch": {"color": style.BLUE, "linestyle": "-", "label": "with batch normalisation"},
    }
    titles = {"dense": "Dense", "conv": "Convolutional", "mixture": "Mixture of experts"}
    for (network, title), (valley, training) in zip(titles.items(), axes):
        for arm, look in looks.items():
            low, mid, high = (100 * s[f"{w}_{network}_{arm}"] for w in ("low", "median", "high"))
            valley.fill_between(s["rate"], low, high, color=look["color"], alpha=0.2, linewidth=0)
            valley.plot(s["rate"], mid, marker="o", markersize=3, **look)
            loss = s[f"loss_{network}_{arm}"]
            training.plot(np.arange(1, len(loss) + 1), loss, **look)
        valley.axhline(100 * s["line"][0], color="#777777", linewidth=1, linestyle=":")
        wider = f"{n[f'wider_{network}']:+.1f} decades".replace("-", "−")
        gain = f"{n[f'gain_{network}']:+.1f} points".replace("-", "−")
        valley.text(0.04, 0.06, f"{wider}\n{gain}", transform=valley.transAxes, fontsize=8.5)
        share = n[f"share_{network}"]
        text = f"as low after {share:.0%}\nof the steps" if share <= 1 else "never as low"
        spot = {"transform": training.transAxes, "ha": "right", "va": "top"}
        training.text(0.96, 0.96, text, fontsize=8.5, **spot)
        valley.set(title=title, xscale="log", ylim=(60, 100), ylabel="validation (%)")
        training.set(yscale="log", ylabel="training loss")
    axes[-1, 0].set_xlabel("learning rate of momentum")
    axes[-1, 1].set_xlabel("step")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
