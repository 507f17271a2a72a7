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
    claim="Adam lowers the training loss fast, but may generalise worse than SGD; AdamW, or a late "
    "switch to SGD with momentum, mends it.",
    claim_zh="Adam 使训练损失下降快，但泛化可能不如 SGD；AdamW 或后期切换到带动量的 SGD 可以弥补。",
    section="Claims about the optimizers, 11 and 13",
    equations=(
        "behind = test accuracy of momentum − test accuracy of Adam, each tuned",
        "mended = test accuracy of the remedy − ½ (test accuracy of Adam + that of momentum)",
        "made data: x_i = (y_i, 1, 1, features of example i alone), y_i = ±1, P(y_i = 1) = 0.7",
    ),
    how="There are two problems. A dense network learns 1,000 images of MNIST for 60 epochs, "
    "until its accuracy has stopped rising. Linear regression learns the data that Wilson et al. "
    "made to mislead adaptive methods. On both, five optimizers get twelve quasi-random trials "
    "each: SGD with momentum, Adam, AdamW (learning rate and decay), and Adam that hands over to "
    "SGD with momentum after 70 % of the steps, by two rules: momentum copied and SGD's learning "
    "rate tuned, or SGD's learning rate projected from Adam's steps (SWATS). The validation "
    "accuracy chooses a trial, and new test data judge. Learning rates fall to 0 along half a "
    "cosine. Speed is the number of steps until the training loss on MNIST falls below 0.1, in "
    "each optimizer's fastest trial. Intervals have a level of 98 %.",
    how_zh="两个问题。其一，全连接网络在 1000 张 MNIST 图像上训练 60 轮，直到准确率不再上升；其二"
    "，在 Wilson 等为误导自适应方法而构造的数据上做线性回归。五种优化器各得十二次拟随机试验：带动"
    "量的 SGD、Adam、AdamW（学习率与衰减），以及在 70 % 的步数后交给带动量 SGD 的 Adam，交接规则有"
    "二：复制动量并另调 SGD 的学习率，或由 Adam 的步投影出 SGD 的学习率（SWATS）。由验证准确率选定"
    "试验，由新的测试数据评判。学习率沿半个余弦降到 0。速度指 MNIST 训练损失降到 0.1 以下所需的步"
    "数，各取最快的一次试验。区间的水平为 98 %。",
    setting={
        "seeds": 6,
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
        "own_deals": True,
        "official": True,
    },
    quick={
        "images": 300,
        "widths": [16],
        "lengths": [20],
        "trials": 3,
        "goal": 1.0,
        "made": {"examples": 40, "judges": 1000, "positive": 0.7, "steps": 200},
    },
    measured={
        "steps": (
            "Adam's steps to a training loss of 0.1 over momentum's, on MNIST",
            "MNIST 上达到目标训练损失的步数，Adam 与动量之比",
        ),
        "behind_mnist": (
            "points of test accuracy by which Adam is behind momentum, MNIST",
            "Adam 落后动量的测试准确率百分点，MNIST",
        ),
        "behind_made": (
            "points of test accuracy by which Adam is behind momentum, data made to mislead",
            "同上，构造的数据",
        ),
        "mended_adamw_mnist": (
            "points by which AdamW is above the middle of Adam and momentum, MNIST",
            "AdamW 高于 Adam 与动量中点的百分点，MNIST",
        ),
        "mended_copied_mnist": ("the same for momentum copied", "同上，复制动量"),
        "mended_projected_mnist": ("the same for SWATS", "同上，SWATS"),
        "mended_adamw_made": (
            "points by which AdamW is above the middle of Adam and momentum, data made to mislead",
            "AdamW 高于 Adam 与动量中点的百分点，构造的数据",
        ),
        "mended_copied_made": ("the same for momentum copied", "同上，复制动量"),
        "mended_projected_made": ("the same for SWATS", "同上，SWATS"),
        "accuracy_momentum": ("test accuracy of momentum, MNIST", "动量的测试准确率，MNIST"),
        "accuracy_adam": ("test accuracy of Adam, MNIST", "Adam 的测试准确率，MNIST"),
        "accuracy_adamw": ("test accuracy of AdamW, MNIST", "AdamW 的测试准确率，MNIST"),
        "accuracy_copied": ("test accuracy of momentum copied", "复制动量的测试准确率"),
        "accuracy_projected": ("test accuracy of SWATS", "SWATS 的测试准确率"),
        "unfitted": (
            "share of the first squared error that Adam left for SGD at the switch (momentum "
            "copied, made data)",
            "切换时 Adam 留给 SGD 的平方误差与初始值之比（复制动量，构造的数据）",
        ),
    },
    threshold={"faster": 0.8, "worse": 0.5},
    rule="Fast: Adam needs at most {faster:g} of momentum's steps to the training loss aimed at. "
    "Worse: on one of the two problems Adam is at least {worse:g} points of test accuracy behind "
    "momentum. Mended: there, AdamW or one of the two switches regains half of that or more. Holds "
    "if all three are so, fails if Adam is worse on neither problem, else it depends. A part is "
    "not decided where its interval holds the threshold.",
    rule_zh="快：Adam 达到目标训练损失的步数不超过动量的 {faster:g}。差：在两个问题之一上，Adam 的"
    "测试准确率至少比动量低 {worse:g} 个百分点。弥补：在该问题上，AdamW 或两种切换之一挽回至少一"
    "半。三者都满足则成立；两个问题上 Adam 都不差则不成立；否则视情况而定。某项的区间包含阈值时该项"
    "未定。",
    picture="Above, the training loss on MNIST over 60 epochs, on a logarithmic scale: momentum "
    "falls first, and from epoch 24 on Adam, AdamW and the two switches are lower; all level off. "
    "In the middle, the test accuracy on MNIST less momentum's, with intervals: Adam, AdamW and "
    "both switches are 0.4 points above momentum, and their intervals reach below 0. Below, the "
    "same on data made to mislead Adam: Adam, AdamW and SWATS are 30 points below momentum; the "
    "switch with momentum copied is level with it.",
    picture_zh="上：MNIST 训练损失随 60 轮变化（对数坐标）：动量先下降，约第 24 轮起 Adam、AdamW "
    "与两种切换更低，最后都趋平。中：MNIST 测试准确率与动量之差及区间：Adam、AdamW 与两种切换都高 "
    "0.4 个百分点，区间延伸到 0 以下。下：在为误导 Adam 而构造的数据上：Adam、AdamW 与 SWATS 比动"
    "量低 30 个百分点，复制动量的切换与动量持平。",
    remark="On the made data Adam's steps have the same length for every feature. So it fits all "
    "training examples, but on new data it names one class only, whatever the learning rate "
    "(Wilson et al. 2017). Weight decay does not turn its direction. The switch with momentum "
    "copied mends this only where Adam has not fitted the data: the chosen trial learns so slowly "
    "that 73 % of the squared error is left when SGD takes over. SWATS projects a learning rate "
    "from Adam's steps that is too small to undo them. On MNIST there is nothing to mend: as in "
    "Choi et al. (2019), tuned Adam is not behind momentum. At double the thresholds the verdict "
    "says little: 1.6 times momentum's steps then count as fast. Large networks are not tested "
    "here. On large networks, Keskar & Socher (2017) see SWATS close the gap in most of their "
    "tasks, and Loshchilov & Hutter (2019) see decoupled decay improve Adam's generalisation.",
    remark_zh="在构造的数据上，Adam 对每个特征的步长都相同，因此它拟合了全部训练样本，却只会预测一"
    "个类别，学习率取多少都一样（Wilson 等 2017）；权重衰减也不改变其方向。复制动量的切换只有在 "
    "Adam 尚未拟合数据时才能弥补：选定的试验学得很慢，SGD 接手时还剩 73 % 的平方误差。SWATS 由 "
    "Adam 的步投影出的学习率太小，无法扭转。在 MNIST 上则无可弥补：与 Choi 等（2019）一致，调参后"
    "的 Adam 并不落后于动量。阈值加倍时的结论意义不大：此时 1.6 倍的步数也算快。这里没有检验大网络"
    "；在大网络上，Keskar 与 Socher（2017）发现 SWATS 在多数任务上消除了差距，Loshchilov 与 Hutter"
    "（2019）发现解耦的权重衰减改善了 Adam 的泛化。",
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
            "Adam can end {behind_made:.0f} points behind momentum; a switch to SGD can mend it",
            "Adam 最终可能落后动量 {behind_made:.0f} 个百分点，而切换到 SGD 可以弥补",
        ),
        "depends": (
            "Adam can generalise worse: {behind_made:.0f} points behind momentum on data made "
            "against it, {behind_mnist:.1f} on MNIST (negative: ahead); it takes {steps:.2f} "
            "times momentum's steps",
            "Adam 的泛化可能更差：在针对它构造的数据上落后动量 {behind_made:.0f} 个百分点，MNIST "
            "上 {behind_mnist:.1f} 个（负数表示领先）；步数是动量的 {steps:.2f} 倍",
        ),
        "fails": (
            "Adam generalises no worse than momentum on either problem",
            "在两个问题上，Adam 的泛化都不比动量差",
        ),
        "not decided": (
            "Whether Adam generalises worse and is faster is not decided",
            "Adam 是否泛化更差而训练更快，尚无定论",
        ),
    },
    reachable={
        "holds": {"momentum_range": [1e-3, 1e-2]},
        "fails": {
            "made": {"examples": 40, "judges": 1000, "positive": 1.0, "steps": 200},
            "momentum_range": [1e-6, 1e-5],
        },
    },
    texts={
        "Training loss on MNIST, chosen trials": "MNIST 训练损失，选定的试验",
        "epoch": "轮数",
        "MNIST: Adam is not behind momentum": "MNIST：Adam 不落后于动量",
        "Misleading data: one switch helps": "误导性数据：一种切换有效",
        "points of test accuracy, less momentum's": "测试准确率与动量之差（百分点）",
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
    return {name: found.right_at_best(images).astype(np.float32) for name, found in runs.items()}


def judged(right: dict[str, np.ndarray], problem: str, level: float) -> dict[str, Any]:
    """By how much Adam is behind, and the remedies above the middle of Adam and momentum."""
    half = (right["adam"] + right["momentum"]) / 2
    mended = {
        f"mended_{name}_{problem}": points(right[name], half, level=level) for name in REMEDIES
    }
    return {f"behind_{problem}": points(right["momentum"], right["adam"], level=level), **mended}


def against_momentum(right: dict[str, np.ndarray], problem: str, level: float) -> dict[str, Any]:
    """The other optimizers' test accuracy less momentum's, to be drawn."""
    found = [points(right[name], right["momentum"], level=level) for name in NAMES[1:]]
    parts = ("estimate", "low", "high")
    return {f"{part}_{problem}": [interval[part] for interval in found] for part in parts}


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
    for name, found in runs.items():
        best = found.best("accuracy")
        numbers[f"accuracy_{name}"] = spread(right[name].mean(1))
        series[f"loss_{name}"] = np.median(found.loss["train"][best], axis=0)
        series[f"accuracy_{name}"] = np.median(found.accuracy["test"][best], axis=0)
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
    behind = {p: f"{n[f'behind_{p}']:+.1f}".replace("-", "−") for p in problems}
    mended = {
        p: ", ".join(f"{n[f'mended_{r}_{p}']:+.1f}".replace("-", "−") for r in REMEDIES)
        for p in problems
    }
    return Verdict(
        combined(rule, fast, *parts),
        f"Adam takes {n['steps']:.2f} times momentum's steps to reach the target training loss. "
        f"Its test accuracy is {behind['mnist']} points behind momentum's on MNIST (negative: "
        f"ahead) and {behind['made']} on the made data. Relative to the middle between Adam and "
        f"momentum, AdamW, the switch with momentum copied and SWATS are at {mended['mnist']} "
        f"points on MNIST and at {mended['made']} on the made data. Where Adam is behind, above 0 "
        f"means that more than half is regained.",
        f"达到目标训练损失，Adam 的步数是动量的 {n['steps']:.2f} 倍。测试准确率比动量低：MNIST "
        f"{behind['mnist']} 个百分点，构造的数据 {behind['made']}。AdamW、复制动量的切换与 SWATS 相"
        f"对两者中点：MNIST {mended['mnist'].replace(', ', '、')} 个百分点，构造的数据 "
        f"{mended['made'].replace(', ', '、')}（在 Adam 落后处，正数表示挽回一半以上）。",
    )


def _draw_look(name: str) -> dict[str, Any]:
    if name == "copied":
        return {"color": style.SKY, "linestyle": (0, (1, 1)), "label": "Adam → SGD, copied"}
    if name == "projected":
        return {"color": style.GREEN, "linestyle": (0, (3, 1)), "label": "Adam → SGD, SWATS"}
    return style.line(name)


def _draw_against(axes: Any, s: dict[str, Any], problem: str) -> None:
    """Each optimizer's test accuracy less momentum's, with its interval."""
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
    axes.set(ylim=(0.6 - len(NAMES) + 0.9, 0.8), xlabel="points of test accuracy, less momentum's")
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
