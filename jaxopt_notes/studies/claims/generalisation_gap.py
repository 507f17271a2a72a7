"""Adam, AdamW, Adam → SGD and SGD on few images: training loss, test, and the gap between."""

from typing import Any

import numpy as np

from jaxopt_notes.conventions import notes
from jaxopt_notes.optimizers import adam_to_sgd
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
from jaxopt_notes.studies.sweeps import (
    Fall,
    Plan,
    Runs,
    networks,
    plan_of,
    smooth,
    sweep,
    trials,
)
from jaxopt_notes.studies.walks import arrival
from jaxopt_notes.studies.wording import number

ABOUT = About(
    number=11,
    title="The generalisation gap",
    title_zh="泛化差距",
    kind="can",
    claim="Adam lowers the training loss fast, but may generalise worse than SGD; AdamW, or a late "
    "switch to SGD with momentum, mends it.",
    claim_zh="Adam 使训练损失下降快，但泛化可能不如 SGD；AdamW 或后期切换到带动量的 SGD 可以弥补。",
    section="Claims about the optimizers, 11 and 13",
    equations=("gap = test loss − training loss, at the end",),
    how="The notes' dense network sees few images for many epochs, so that all can learn them by "
    "heart. Adam, AdamW, Adam that hands its momentum to SGD late in the run, and SGD get as many "
    "quasi-random trials each, of the rate, and of the decay or SGD's rate where there is one; "
    "the least loss on images kept aside chooses, test images judge, five seeds. Rates fall to 0 "
    "along half a cosine.",
    how_zh="笔记的全连接网络在少量图像上训练很多遍，使各方法都能背下它们。Adam、AdamW、后期把动量"
    "交给 SGD 的 Adam、以及 SGD 得到同样多的拟随机试验（学习率，以及有则包括衰减系数或 SGD 的学习"
    "率）；由留出图像上的最小损失选定，用测试图像评判，五个种子。学习率按半个余弦降到 0。",
    setting={
        "seeds": 5,
        "images": 1000,
        "widths": [128, 64],
        "batch": 32,
        "epochs": 30,
        "marks": 10,
        "trials": 12,
        "sgd_range": [3e-3, 3.0],
        "adam_range": [1e-4, 0.1],
        "decay_range": [1e-3, 1.0],
        "handed_range": [1e-3, 0.3],
        "switch_at": 0.7,
        "goal": 0.1,
    },
    quick={"images": 500, "epochs": 16, "marks": 8, "trials": 6},
    measured={
        "steps_adam": (
            "steps of Adam to the training loss aimed at",
            "Adam 达到目标训练损失的步数",
        ),
        "steps_sgd": ("steps of SGD", "SGD 的步数"),
        "behind": (
            "points of test accuracy by which Adam is behind SGD",
            "Adam 测试准确率落后 SGD 的百分点",
        ),
        "gain_adamw": ("points that AdamW gains on Adam", "AdamW 比 Adam 提高的百分点"),
        "gain_switch": ("points that the switch gains on Adam", "切换比 Adam 提高的百分点"),
        "accuracy_sgd": ("test accuracy of SGD", "SGD 测试准确率"),
        "accuracy_adam": ("test accuracy of Adam", "Adam 测试准确率"),
        "accuracy_adamw": ("test accuracy of AdamW", "AdamW 测试准确率"),
        "accuracy_switch": ("test accuracy of Adam → SGD", "Adam → SGD 测试准确率"),
        "gap_sgd": ("gap of SGD (nats)", "SGD 的差距（奈特）"),
        "gap_adam": ("gap of Adam", "Adam 的差距"),
        "gap_adamw": ("gap of AdamW", "AdamW 的差距"),
        "gap_switch": ("gap of Adam → SGD", "Adam → SGD 的差距"),
    },
    threshold={"faster": 0.8, "worse": 0.3, "mended": 0.5},
    rule="Fast: Adam needs at most {faster:g} of SGD's steps to the training loss aimed at. Worse: "
    "its test accuracy is {worse:g} points or more below SGD's. Mended: AdamW or the switch "
    "regains {mended:g} of that (medians over the seeds). Holds if all three are so; fails if Adam "
    "is neither faster nor worse; else it depends.",
    rule_zh="快：Adam 达到目标训练损失的步数不超过 SGD 的 {faster:g}。差：测试准确率比 SGD 低 "
    "{worse:g} 个百分点以上。弥补：AdamW 或切换挽回其中 {mended:g} 以上（中位数）。三者都满足则成"
    "立；Adam 既不快也不差则不成立；否则视情况而定。",
    picture="Above, the training loss over the steps at the chosen rates, on a logarithmic scale: "
    "Adam, the switch and SGD fall nearly alike, AdamW ten times deeper. In the middle, the test "
    "loss: all level off, SGD's highest and AdamW's lowest. Below, the test accuracy with the "
    "range of the seeds: those of Adam, the switch and SGD overlap, AdamW's is above them.",
    picture_zh="上：选定学习率下训练损失随步数变化（对数坐标）：Adam、切换与 SGD 几乎一样下降，"
    "AdamW 低十倍。中：测试损失都趋平，SGD 最高，AdamW 最低。下：测试准确率及种子间的范围：Adam、"
    "切换与 SGD 彼此重叠，AdamW 在其上。",
    remark="That adaptive methods generalise worse was seen on image networks with little tuning "
    "of Adam (Wilson et al. 2017; Keskar & Socher 2017); with as much tuning for each the gap "
    "closes or turns round (Choi et al. 2019), and so it does here, where rates are chosen for "
    "what they do to images kept aside, not for speed. AdamW gains although there was nothing to "
    "mend: its decay let it choose a rate twenty times Adam's (Loshchilov & Hutter 2019). Nothing "
    "here can be said of large networks.",
    remark_zh="自适应方法泛化较差的现象见于图像网络，且 Adam 调参较少（Wilson 等 2017；Keskar 与 "
    "Socher 2017）；对每种方法同样充分调参后，差距消失甚至逆转（Choi 等 2019），这里也是如此：学习"
    "率按留出图像上的表现而不是按速度选定。虽无可弥补，AdamW 仍有所得：衰减使它选了 Adam 二十倍的"
    "学习率（Loshchilov 与 Hutter 2019）。这里的结果不能推及大网络。",
    sources=(
        "Wilson et al. 2017, “The Marginal Value of Adaptive Gradient Methods in Machine Learning”",
        "Keskar & Socher 2017, “Improving Generalization Performance by Switching from Adam to "
        "SGD”",
        "Choi et al. 2019, “On Empirical Comparisons of Optimizers for Deep Learning”",
        "Loshchilov & Hutter 2019, “Decoupled Weight Decay Regularization”",
    ),
)

NAMES = ("adam", "adamw", "adam-to-sgd", "sgd")


def _short(name: str) -> str:
    return "switch" if name == "adam-to-sgd" else name


def trials_of(name: str, setting: dict[str, Any]) -> np.ndarray:
    """The trials of one of NAMES: its rate, and AdamW's λ or the rate that SGD is handed."""
    second = {"adamw": ["decay_range"], "adam-to-sgd": ["handed_range"]}.get(name, [])
    ranges = ["sgd_range" if name == "sgd" else "adam_range", *second]
    return trials(setting["trials"], *(setting[r] for r in ranges))


def swept(name: str, plan: Plan, setting: dict[str, Any]) -> Runs:
    """All trials of one of NAMES."""
    at = round(setting["switch_at"] * plan.steps)

    def make(fall: Fall, rate: Any, other: Any = None) -> Any:
        if name == "adamw":
            return notes.adamw(fall(rate), weight_decay=other)
        if name == "adam-to-sgd":
            return adam_to_sgd(fall(rate), at, sgd_learning_rate=fall(other), carry="momentum")
        return (notes.adam if name == "adam" else notes.sgd)(fall(rate))

    return sweep(networks(plan), make, trials_of(name, setting), plan, name)


def measure(setting: dict[str, Any]) -> Measured:
    """All four, each at its best trial."""
    plan = plan_of(setting)
    numbers: dict[str, Any] = {}
    series: dict[str, Any] = {"step": plan.steps // plan.marks * np.arange(1, plan.marks + 1)}
    accuracy = {}
    for name in NAMES:
        found, short = swept(name, plan, setting), _short(name)
        best = found.best()
        accuracy[short] = found.at_best("accuracy", "test")
        numbers[f"accuracy_{short}"] = spread(accuracy[short])
        gap = found.at_best("loss", "test") - found.at_best("loss", "train")
        numbers[f"gap_{short}"] = spread(gap)
        if name in ("adam", "sgd"):
            running = smooth(found.batch_loss[best], plan.images // plan.batch)
            numbers[f"steps_{name}"] = spread(arrival(running <= setting["goal"]) + 1)
        for part in ("train", "test"):
            series[f"{part}_{short}"] = np.median(found.loss[part][best], axis=0)
        series[f"accuracy_{short}"] = accuracy[short]
        series[f"trial_{short}"] = trials_of(name, setting)[best]
    numbers["behind"] = spread(100 * (accuracy["sgd"] - accuracy["adam"]))
    for remedy in ("adamw", "switch"):
        numbers[f"gain_{remedy}"] = spread(100 * (accuracy[remedy] - accuracy["adam"]))
    return Measured(numbers, series)


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n = {name: x["median"] for name, x in numbers.items()}
    fast = n["steps_adam"] <= threshold["faster"] * n["steps_sgd"]
    worse = n["behind"] >= threshold["worse"]
    mended = max(n["gain_adamw"], n["gain_switch"]) >= threshold["mended"] * n["behind"]
    word = HOLDS if fast and worse and mended else DEPENDS if fast or worse else FAILS
    behind = f"{n['behind']:+.1f}".replace("-", "−")
    gains = [f"{n[f'gain_{r}']:+.1f}".replace("-", "−") for r in ("adamw", "switch")]
    return Verdict(
        word,
        f"Adam takes {number(n['steps_adam'])} steps to the training loss aimed at, SGD "
        f"{number(n['steps_sgd'])}. Of the test SGD has {n['accuracy_sgd']:.1%} right, Adam "
        f"{n['accuracy_adam']:.1%} (seed by seed SGD is {behind} points from Adam); AdamW is "
        f"{gains[0]} and the switch {gains[1]} points from Adam. The gap is "
        f"{n['gap_adam']:.2f} nats for Adam, {n['gap_sgd']:.2f} for SGD.",
        f"达到目标训练损失，Adam 需 {number(n['steps_adam'])} 步，SGD 需 {number(n['steps_sgd'])} "
        f"步。测试准确率：SGD {n['accuracy_sgd']:.1%}，Adam {n['accuracy_adam']:.1%}（同种子下 "
        f"SGD 相对 Adam {behind} 个百分点）；AdamW 相对 Adam {gains[0]}，切换 {gains[1]}。差距："
        f"Adam {n['gap_adam']:.2f} 奈特，SGD {n['gap_sgd']:.2f}。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """Both losses over the steps; accuracy."""
    s = measured.series
    training, test, accuracy = style.panels(figure, [2.3, 2.3, 1.7])
    for i, name in enumerate(NAMES):
        training.plot(s["step"], s[f"train_{_short(name)}"], **style.line(name))
        test.plot(s["step"], s[f"test_{_short(name)}"], **style.line(name))
        values = 100 * s[f"accuracy_{_short(name)}"]
        style.bar(accuracy, -i, values, style.COLOURS[name])
    training.set(title="Training loss, chosen rates", ylabel="cross-entropy (nats)", yscale="log")
    test.set(title="Test loss", ylabel="cross-entropy (nats)")
    for axes in (training, test):
        axes.set_xlabel("step")
    accuracy.set(title="Test accuracy, five seeds", xlabel="accuracy (%)", ylim=(-3.6, 0.6))
    accuracy.set_yticks(-np.arange(len(NAMES)), [style.LABELS[name] for name in NAMES])
    figure.legend(*test.get_legend_handles_labels(), loc="outside lower center", ncols=4)
