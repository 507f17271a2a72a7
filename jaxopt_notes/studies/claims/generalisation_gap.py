"""Adam, its two remedies and SGD with momentum: on MNIST, and on data that misleads Adam."""

from typing import Any

import numpy as np

from jaxopt_notes.conventions import notes
from jaxopt_notes.optimizers import adam_to_sgd
from jaxopt_notes.studies import separable, style
from jaxopt_notes.studies.inference import at_most, combined, decide, median_interval, points
from jaxopt_notes.studies.study import (
    DEPENDS,
    FAILS,
    HOLDS,
    About,
    Measured,
    Points,
    Verdict,
    middle,
    spread,
)
from jaxopt_notes.studies.sweeps import (
    Fall,
    Make,
    Runs,
    deal,
    networks,
    plan_of,
    smooth,
    sweep,
    trials,
)
from jaxopt_notes.studies.walks import arrival

ABOUT = About(
    number=11,
    title="The generalisation gap",
    title_zh="泛化差距",
    kind="can",
    claim="Adam lowers the training loss fast, but may generalise worse than SGD; AdamW, or a "
    "late switch to SGD with momentum, fixes this.",
    claim_zh="Adam 使训练损失下降快，但泛化可能不如 SGD；AdamW 或后期切换到带动量的 SGD 可以弥补。",
    section="Claims about the optimizers, 11 and 13",
    equations=(
        "behind = test accuracy of momentum − test accuracy of Adam, each tuned",
        "regained = test accuracy of the remedy − ½ (test accuracy of Adam + that of momentum)",
        "made data: x_i = (y_i, 1, 1, features that only example i has), y_i = ±1, P(y_i = 1) = "
        "0.7",
    ),
    equations_zh=(
        "落后 = 动量的测试准确率 − Adam 的测试准确率，各自调参",
        "挽回 = 补救方法的测试准确率 − ½（Adam 的测试准确率 + 动量的测试准确率）",
        "构造的数据：x_i = (y_i, 1, 1, 只有样本 i 具有的特征)，y_i = ±1，P(y_i = 1) = 0.7",
    ),
    how="There are two problems. A dense network learns 1,000 images of MNIST for 60 epochs, long "
    "enough for its accuracy to stop rising. Linear regression learns the data that Wilson et al. "
    "made to mislead adaptive methods. On both, five optimizers get twelve quasi-random trials "
    "each: SGD with momentum, Adam, AdamW (learning rate and decay), and two that switch from "
    "Adam to SGD with momentum after 70 % of the steps. One switch copies the momentum and tunes "
    "SGD's learning rate; the other (SWATS) projects SGD's learning rate from Adam's steps. The "
    "validation accuracy chooses a trial, and we measure it on new test data. Learning rates fall "
    "to 0 along half a cosine. Speed is the number of steps until the training loss on MNIST "
    "falls below 0.1, in each optimizer's fastest trial. Intervals have a level of 98 %.",
    how_zh="两个问题。其一，全连接网络在 1000 张 MNIST 图像上训练 60 轮，直到准确率不再上升；其"
    "二，在 Wilson 等为误导自适应方法而构造的数据上做线性回归。五种优化器各得十二次拟随机试验：带"
    "动量的 SGD、Adam、AdamW（学习率与衰减），以及在 70 % 的步数后从 Adam 切换到带动量 SGD 的两种"
    "方法：一种复制动量并另调 SGD 的学习率，另一种（SWATS）由 Adam 的步投影出 SGD 的学习率。由验"
    "证准确率选定试验，再在新的测试数据上测量。学习率沿半个余弦降到 0。速度指 MNIST 训练损失降到 "
    "0.1 以下所需的步数，各取最快的一次试验。区间的水平为 98 %。",
    setting={
        "seeds": 8,
        "images": 1000,
        "widths": [64],
        "batch": 50,
        "lengths": [20, 60],
        "trials": 12,
        "momentum_range": [1e-2, 3.0],
        "adam_range": [1e-4, 0.1],
        "decay_range": [1e-3, 1.0],
        "handed_range": [1e-3, 0.3],
        "switch_at": 0.7,
        "goal": 0.1,
        "level": 0.98,
        "made": {"examples": 100, "judges": 10000, "positive": 0.7, "steps": 500},
        "made_momentum_range": [1e-2, 10.0],
        "made_handed_range": [1e-3, 1.0],
        "official": True,
    },
    quick={
        "seeds": 6,
        "images": 100,
        "widths": [8],
        "lengths": [20],
        "trials": 2,
        "goal": 1.0,
        "made": {"examples": 40, "judges": 200, "positive": 0.7, "steps": 200},
        "batch": 25,
        "official": False,
    },
    measured={
        "steps": (
            "steps to a training loss of 0.1 on MNIST, Adam / momentum",
            "MNIST 上训练损失降到 0.1 的步数，Adam / 动量",
        ),
        "behind_mnist": (
            "points of test accuracy by which Adam is behind momentum, MNIST",
            "Adam 落后动量的测试准确率百分点，MNIST",
        ),
        "behind_made": (
            "points of test accuracy by which Adam is behind momentum, made data",
            "同上，构造的数据",
        ),
        "mended_adamw_mnist": (
            "points by which AdamW is above the midpoint between Adam and momentum, MNIST",
            "AdamW 比 Adam 与动量的中点高出的百分点，MNIST",
        ),
        "mended_copied_mnist": (
            "points by which the switch with momentum copied is above the midpoint between Adam "
            "and momentum, MNIST",
            "复制动量的切换比 Adam 与动量的中点高出的百分点，MNIST",
        ),
        "mended_projected_mnist": (
            "points by which SWATS is above the midpoint between Adam and momentum, MNIST",
            "SWATS 比 Adam 与动量的中点高出的百分点，MNIST",
        ),
        "mended_adamw_made": (
            "points by which AdamW is above the midpoint between Adam and momentum, made data",
            "AdamW 比 Adam 与动量的中点高出的百分点，构造的数据",
        ),
        "mended_copied_made": (
            "points by which the switch with momentum copied is above the midpoint between Adam "
            "and momentum, made data",
            "复制动量的切换比 Adam 与动量的中点高出的百分点，构造的数据",
        ),
        "mended_projected_made": (
            "points by which SWATS is above the midpoint between Adam and momentum, made data",
            "SWATS 比 Adam 与动量的中点高出的百分点，构造的数据",
        ),
        "accuracy_momentum": ("test accuracy of momentum, MNIST", "动量的测试准确率，MNIST"),
        "accuracy_adam": ("test accuracy of Adam, MNIST", "Adam 的测试准确率，MNIST"),
        "accuracy_adamw": ("test accuracy of AdamW, MNIST", "AdamW 的测试准确率，MNIST"),
        "accuracy_copied": (
            "test accuracy of the switch with momentum copied, MNIST",
            "复制动量的切换的测试准确率，MNIST",
        ),
        "accuracy_projected": (
            "test accuracy of SWATS, MNIST",
            "SWATS 的测试准确率，MNIST",
        ),
        "unfitted": (
            "share of the initial squared error that is left when SGD takes over (momentum "
            "copied, made data)",
            "SGD 接手时剩余的平方误差与初始值之比（复制动量，构造的数据）",
        ),
    },
    threshold={"faster": 0.8, "worse": 0.5},
    rule="Fast: Adam needs at most {faster:g} times momentum's steps to reach the target training "
    "loss. Worse: on one of the two problems Adam is at least {worse:g} points of test accuracy "
    "behind momentum. Fixed: on that problem, AdamW or one of the two switches regains at least "
    "half of these points. Holds if all three are true; fails if Adam is worse on neither "
    "problem; else it depends. A part is not decided if its interval contains the threshold.",
    rule_zh="快：Adam 达到目标训练损失的步数不超过动量的 {faster:g} 倍。差：在两个问题之一上，"
    "Adam 的测试准确率至少比动量低 {worse:g} 个百分点。弥补：在该问题上，AdamW 或两种切换之一至少"
    "挽回其中一半。三者都满足则成立；两个问题上 Adam 都不差则不成立；否则视情况而定。若某一项的区"
    "间包含阈值，则该项未定。",
    picture="Above, the training loss on MNIST over 60 epochs, on a logarithmic scale: momentum "
    "falls first, and from epoch 24 on Adam, AdamW and the two switches are lower; all level off. "
    "In the middle, the test accuracy on MNIST minus momentum's, with intervals: Adam, AdamW and "
    "both switches are 0.4 points above momentum, and their intervals reach below 0. Below, the "
    "same difference on data made to mislead Adam: Adam, AdamW and SWATS are 30 points below "
    "momentum; the switch with momentum copied is level with it.",
    picture_zh="上：MNIST 训练损失随 60 轮变化（对数坐标）：动量先下降，约第 24 轮起 Adam、AdamW "
    "与两种切换更低，最后都趋平。中：MNIST 测试准确率与动量之差及区间：Adam、AdamW 与两种切换都高 "
    "0.4 个百分点，区间延伸到 0 以下。下：在为误导 Adam 而构造的数据上：Adam、AdamW 与 SWATS 比动"
    "量低 30 个百分点，复制动量的切换与动量持平。",
    remark="On the made data Adam's steps have the same length for every feature. So it fits all "
    "training examples, but predicts only one class on new data, whatever the learning rate "
    "(Wilson et al. 2017). Weight decay does not change the direction of Adam's solution. The "
    "switch with momentum copied fixes this only because Adam has not yet fitted the data: the "
    "chosen trial learns so slowly that 73 % of the squared error is left when SGD takes over. "
    "SWATS projects a learning rate from Adam's steps that is too small to undo them. On MNIST "
    "there is nothing to fix: as in Choi et al. (2019), tuned Adam is not behind momentum. At "
    "double the thresholds the verdict says little, because 1.6 times momentum's steps then "
    "count as fast. Large networks are not tested here: on them, Keskar & Socher (2017) see "
    "SWATS close the gap in most of their tasks, and Loshchilov & Hutter (2019) see decoupled "
    "decay improve Adam's generalisation.",
    remark_zh="在构造的数据上，Adam 对每个特征的步长都相同，因此它拟合了全部训练样本，却只会预测"
    "一个类别，学习率取多少都一样（Wilson 等 2017）；权重衰减也不改变 Adam 的解的方向。复制动量的"
    "切换只有在 Adam 尚未拟合数据时才能弥补：选定的试验学得很慢，SGD 接手时还剩 73 % 的平方误差。"
    "SWATS 由 Adam 的步投影出的学习率太小，无法扭转。在 MNIST 上没有需要弥补的差距：与 Choi 等（"
    "2019）一致，调参后的 Adam 并不落后于动量。阈值加倍时的结论意义不大：此时 1.6 倍的步数也算快。"
    "这里没有检验大网络；在大网络上，Keskar 与 Socher（2017）发现 SWATS 在多数任务上消除了差距，"
    "Loshchilov 与 Hutter（2019）发现解耦的权重衰减改善了 Adam 的泛化。",
    sources=(
        "Wilson et al. 2017, “The Marginal Value of Adaptive Gradient Methods in Machine "
        "Learning”, §3",
        "Keskar & Socher 2017, “Improving Generalization Performance by Switching from Adam to "
        "SGD” (SWATS)",
        "Choi et al. 2019, “On Empirical Comparisons of Optimizers for Deep Learning”",
        "Loshchilov & Hutter 2019, “Decoupled Weight Decay Regularization”",
    ),
    findings={
        "holds": (
            "Adam can end {behind_made:.0f} points behind momentum; a switch to SGD can fix it",
            "Adam 最终可能落后于动量 {behind_made:.0f} 个百分点，而切换到 SGD 可以弥补",
        ),
        "depends": (
            "Adam can generalise worse than momentum: it is {behind_made.behind} on data made to "
            "mislead it, and {behind_mnist.behind} on MNIST",
            "Adam 的泛化可能不如动量：在为误导它而构造的数据上{behind_made.behind_zh}，在 MNIST "
            "上{behind_mnist.behind_zh}",
        ),
        "fails": (
            "Adam generalises no worse than momentum on either problem",
            "在两个问题上，Adam 的泛化都不比动量差",
        ),
        "not decided": (
            "Whether Adam generalises worse but trains faster is not decided",
            "Adam 是否训练更快但泛化更差，尚无定论",
        ),
    },
    reachable={
        "holds": {
            "momentum_range": [1e-3, 1e-2],
            "images": 300,
            "batch": 50,
            "widths": [16],
            "trials": 3,
        },
        "fails": {
            "made": {"examples": 40, "judges": 1000, "positive": 1.0, "steps": 200},
            "momentum_range": [1e-6, 1e-5],
            "images": 300,
            "batch": 50,
            "widths": [16],
            "trials": 3,
        },
    },
    texts={
        "Training loss on MNIST, chosen trials": "MNIST 训练损失，选定的试验",
        "epoch": "轮数",
        "MNIST: Adam is not behind momentum": "MNIST：Adam 不落后于动量",
        "Misleading data: one switch helps": "误导性数据：一种切换有效",
        "test accuracy minus momentum's (points)": "测试准确率与动量之差（百分点）",
        "Adam → SGD, copied": "Adam → SGD，复制",
        "Adam → SGD, SWATS": "Adam → SGD，SWATS",
    },
)

REMEDIES = ("adamw", "copied", "projected")
NAMES = ("momentum", "adam", *REMEDIES)
MARKS = 10  # evaluations of a training


def trials_of(name: str, setting: dict[str, Any], made: str = "") -> np.ndarray:
    """The trials of one of NAMES; `made` is the prefix of the made data's own ranges."""
    first = f"{made}momentum_range" if name == "momentum" else "adam_range"
    second = {"adamw": ["decay_range"], "copied": [f"{made}handed_range"]}.get(name, [])
    return trials(setting["trials"], *(setting[x] for x in (first, *second)))


def maker(name: str, steps: int, setting: dict[str, Any]) -> Make:
    """One of NAMES, for so many steps."""
    at = round(setting["switch_at"] * steps)

    def make(fall: Fall, rate: Any, other: Any = None) -> Any:
        if name == "adamw":
            return notes.adamw(fall(rate), weight_decay=other)
        if name == "copied":
            return adam_to_sgd(fall(rate), at, sgd_learning_rate=fall(other), carry="momentum")
        if name == "projected":
            return adam_to_sgd(fall(rate), at, carry="swats")
        return getattr(notes, name)(fall(rate))

    return make


def on_mnist(setting: dict[str, Any], epochs: int) -> dict[str, Runs]:
    """All trials of all optimizers on images."""
    plan = plan_of(setting, epochs=epochs, marks=MARKS)
    models = networks(plan)
    return {
        name: sweep(models, maker(name, plan.steps, setting), trials_of(name, setting), plan, name)
        for name in NAMES
    }


def on_made_data(setting: dict[str, Any]) -> dict[str, Runs]:
    """All trials of all optimizers on the data made to mislead."""
    made = separable.Made(**setting["made"], seeds=setting["seeds"])
    return {
        name: separable.sweep(
            maker(name, made.steps, setting), trials_of(name, setting, "made_"), made
        )
        for name in NAMES
    }


def right_of(runs: dict[str, Runs], images: int) -> dict[str, np.ndarray]:
    """Of each optimizer at its best trial: 1 where a test example is right, (seeds, examples)."""
    return {name: each.right_at_best(images).astype(np.float32) for name, each in runs.items()}


def judged(right: dict[str, np.ndarray], problem: str, level: float) -> dict[str, Any]:
    """By how much Adam is behind, and the remedies above the middle of Adam and momentum."""
    half = (right["adam"] + right["momentum"]) / 2
    mended = {
        f"mended_{name}_{problem}": points(right[name], half, level=level) for name in REMEDIES
    }
    return {f"behind_{problem}": points(right["momentum"], right["adam"], level=level), **mended}


def against_momentum(right: dict[str, np.ndarray], problem: str, level: float) -> dict[str, Any]:
    """The other optimizers' test accuracy minus momentum's, to be drawn."""
    intervals = [points(right[name], right["momentum"], level=level) for name in NAMES[1:]]
    parts = ("estimate", "low", "high")
    return {f"{part}_{problem}": [interval[part] for interval in intervals] for part in parts}


def ratio_of_steps(runs: dict[str, Runs], an_epoch: int, goal: float) -> Any:
    """Adam's steps to the goal over momentum's, seed by seed, each at its fastest trial."""
    steps = {}
    for name in ("adam", "momentum"):
        taken = arrival(smooth(runs[name].batch_loss, an_epoch) <= goal) + 1
        steps[name] = taken[np.median(taken, axis=1).argmin()]
    same = steps["adam"] == steps["momentum"]  # ∞ too
    return np.divide(steps["adam"], steps["momentum"], where=~same, out=np.ones(len(same)))


def measure(setting: dict[str, Any]) -> Measured:
    """Both problems; MNIST at all lengths."""
    images = len(deal(setting["images"], 0, setting["official"]).test.labels)
    level, an_epoch = setting["level"], setting["images"] // setting["batch"]
    runs = on_made_data(setting)
    right = right_of(runs, setting["made"]["judges"])
    made, series = judged(right, "made", level), against_momentum(right, "made", level)
    losses = np.median(runs["copied"].batch_loss[runs["copied"].best("accuracy")], axis=0)
    left = losses[round(setting["switch_at"] * len(losses))] / losses[0]
    lengths = {}
    for epochs in setting["lengths"]:
        runs = on_mnist(setting, epochs)
        right = right_of(runs, images)
        numbers = judged(right, "mnist", level)
        numbers["steps"] = median_interval(ratio_of_steps(runs, an_epoch, setting["goal"]))
        lengths[f"{epochs} epochs"] = {**numbers, **made}
    series |= against_momentum(right, "mnist", level)
    series["epoch"] = setting["lengths"][-1] / MARKS * np.arange(1, MARKS + 1)
    for name, each in runs.items():
        best = each.best("accuracy")
        numbers[f"accuracy_{name}"] = spread(right[name].mean(1))
        series[f"loss_{name}"] = np.median(each.loss["train"][best], axis=0)
        series[f"accuracy_{name}"] = np.median(each.accuracy["test"][best], axis=0)
        series[f"trial_{name}"] = trials_of(name, setting)[best]
    return Measured({**numbers, **made, "unfitted": float(left)}, series, lengths)


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    problems = ("mnist", "made")
    fast = at_most(numbers["steps"], threshold["faster"])
    parts = []
    for problem in problems:
        parts.append(decide(numbers[f"behind_{problem}"], threshold["worse"]))
        parts += [decide(numbers[f"mended_{r}_{problem}"], 0.0) for r in REMEDIES]

    def rule(fast: bool, *parts: bool) -> str:
        each = parts[: len(parts) // 2], parts[len(parts) // 2 :]
        if not any(worse for worse, *_ in each):
            return FAILS
        return HOLDS if fast and any(worse and any(mended) for worse, *mended in each) else DEPENDS

    n = middle(numbers)
    mnist, made = (Points(n[f"behind_{problem}"]) for problem in problems)
    half = [decide(numbers[f"mended_{r}_made"], 0.0) for r in REMEDIES]
    english = [{HOLDS: "at least half", FAILS: "less than half"}.get(x, "about half") for x in half]
    chinese = [{HOLDS: "至少一半", FAILS: "不到一半"}.get(x, "约一半") for x in half]
    regained = (
        f" Of the points lost on the made data, AdamW regains {english[0]}, the switch with "
        f"momentum copied {english[1]} and SWATS {english[2]}."
    )
    regained_zh = (
        f"在构造的数据上落后的部分中，AdamW 挽回{chinese[0]}，复制动量的切换挽回{chinese[1]}，"
        f"SWATS 挽回{chinese[2]}。"
    )
    return Verdict(
        combined(rule, fast, *parts),
        f"Adam takes {n['steps']:.2f} times momentum's steps to reach the target training loss. In "
        f"test accuracy against momentum, Adam is {mnist.behind} on MNIST and {made.behind} on the "
        f"made data.{regained * (made > 0)}",
        f"达到目标训练损失，Adam 的步数是动量的 {n['steps']:.2f} 倍。测试准确率与动量相比：MNIST 上"
        f"{mnist.behind_zh}，构造的数据上{made.behind_zh}。{regained_zh * (made > 0)}",
    )


def _draw_look(name: str) -> dict[str, Any]:
    if name == "copied":
        return {"color": style.SKY, "linestyle": (0, (1, 1)), "label": "Adam → SGD, copied"}
    if name == "projected":
        return {"color": style.GREEN, "linestyle": (0, (3, 1)), "label": "Adam → SGD, SWATS"}
    return style.line(name)


def _draw_against(axes: Any, s: dict[str, Any], problem: str) -> None:
    """Each optimizer's test accuracy minus momentum's, with its interval."""
    for i, name in enumerate(NAMES[1:]):
        y, low, high = (s[f"{part}_{problem}"][i] for part in ("estimate", "low", "high"))
        colour = _draw_look(name)["color"]
        axes.plot([low, high], [-i, -i], color=colour, linewidth=3, alpha=0.4)
        axes.plot(y, -i, "o", color=colour)
        text = f"{y:+.1f}".replace("-", "−") if abs(y) >= 0.05 else "0.0"
        look = {"ha": "center", "fontsize": 8.5, "textcoords": "offset points"}
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
        axes.annotate(text, (y, -i), (0, 6), bbox=box, **look)
    axes.axvline(0, color=style.BLUE, linewidth=1.2)
    axes.axvline(-ABOUT.threshold["worse"], color="#777777", linewidth=1, linestyle=":")
    axes.set_yticks(-np.arange(len(NAMES) - 1), [_draw_look(name)["label"] for name in NAMES[1:]])
    axes.set(ylim=(0.6 - len(NAMES) + 0.9, 0.8), xlabel="test accuracy minus momentum's (points)")
    axes.margins(x=0.12)


def draw(figure: Any, measured: Measured) -> None:
    """Training loss; each against momentum, on both problems."""
    s = measured.series
    training, mnist, made = style.panels(figure, [2.3, 2.0, 2.0])
    for name in NAMES:
        training.plot(s["epoch"], s[f"loss_{name}"], **_draw_look(name))
    training.set(title="Training loss on MNIST, chosen trials", xlabel="epoch", yscale="log")
    training.set_ylabel("cross-entropy (nats)")
    mnist.set_title("MNIST: Adam is not behind momentum")
    made.set_title("Misleading data: one switch helps")
    for axes, problem in ((mnist, "mnist"), (made, "made")):
        _draw_against(axes, s, problem)
    figure.legend(*training.get_legend_handles_labels(), loc="outside lower center", ncols=3)
