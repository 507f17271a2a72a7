"""Adam against SGD with momentum by batch size, each rate tuned, at two budgets for large ones."""

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
from jaxopt_notes.studies.sweeps import Runs, by_rate, plan_of, trials

ABOUT = About(
    number=10,
    title="Adam and the batch size",
    title_zh="Adam 与批大小",
    kind="comparison",
    claim="Adam is fine at small batch sizes but can fall behind SGD with momentum at large ones.",
    claim_zh="Adam 在小批量时表现良好，但在大批量时可能落后于带动量的 SGD。",
    section="Claims about the optimizers, 12",
    how="A dense network learns MNIST by both at each batch size, five seeds each; at every size "
    "each gets the same quasi-random rates, and images kept aside choose one; the rate falls to 0 "
    "along half a cosine. First all sizes see the images equally often, so that the largest makes "
    "a few steps only. Then the largest goes on for several times as many steps.",
    how_zh="全连接网络在每种批大小下分别用两者学习 MNIST，各五个种子；每种大小两者试同样的拟随机学"
    "习率，由留出的图像选定；学习率按半个余弦降到 0。先让各种大小看同样多遍图像，因此最大的批只走"
    "几步；再让最大的批走数倍的步数。",
    setting={
        "seeds": 5,
        "images": 8192,
        "widths": [64],
        "batches": [32, 128, 512, 2048, 8192],
        "epochs": 4,
        "long_epochs": 32,
        "trials": 20,
        "range": [3e-4, 10.0],
    },
    quick={"batches": [32, 512, 8192], "epochs": 2, "long_epochs": 8, "trials": 6, "widths": [24]},
    measured={
        "small": (
            "Adam's test loss over momentum's, smallest batch",
            "最小批：Adam 与动量测试损失之比",
        ),
        "large": ("the same, largest batch, as many epochs", "最大批，同样遍数"),
        "long": ("the same, largest batch, more steps", "最大批，更多步数"),
        "accuracy_adam_small": ("test accuracy of Adam, smallest batch", "最小批 Adam 测试准确率"),
        "accuracy_momentum_small": ("of momentum", "动量"),
        "accuracy_adam_large": ("test accuracy of Adam, largest batch", "最大批 Adam 测试准确率"),
        "accuracy_momentum_large": ("of momentum", "动量"),
        "accuracy_adam_long": ("of Adam, more steps", "更多步数，Adam"),
        "accuracy_momentum_long": ("of momentum, more steps", "更多步数，动量"),
        "steps_large": ("steps at the largest batch", "最大批的步数"),
        "steps_long": ("steps when it goes on", "延长后的步数"),
    },
    threshold={"fine": 1.05, "behind": 1.05},
    rule="Adam is fine at the smallest batch if its test loss is at most {fine:g} times "
    "momentum's; it is behind at the largest if its test loss is {behind:g} times momentum's or "
    "more (medians over the seeds). Holds if it is fine and behind at both budgets; fails if it is "
    "behind at neither; else it depends.",
    rule_zh="最小批时 Adam 的测试损失不超过动量的 {fine:g} 倍算良好；最大批时不低于动量的 "
    "{behind:g} 倍算落后（中位数）。良好且两种预算下都落后则成立；两种预算下都不落后则不成立；否则"
    "视情况而定。",
    picture="Above, the test loss over the batch size, as many epochs each: both lines rise to "
    "the right, where there are few steps; they lie together up to 128, and from 512 on Adam's is "
    "above momentum's. Hollow marks at the right: the largest batch with more steps, both much "
    "lower, Adam's still above. Below, the rates chosen: momentum's grows with the batch more "
    "than tenfold, Adam's hardly.",
    picture_zh="上：同样遍数下测试损失随批大小变化，右端步数少，两条线都上升；到 128 为止两者重合"
    "，从 512 起 Adam 高于动量。右侧空心标记：最大批走更多步，两者都低得多，Adam 仍较高。下：选定"
    "的学习率：动量的随批大小增大十倍以上，Adam 的几乎不变。",
    remark="On this small problem the notes are right, though the lead shrinks as the steps grow "
    "in number, and a few dozen steps are no long run. It is no law, rather the reverse: the "
    "batch beyond which more images a step no longer help is larger for Adam than for momentum in "
    "the networks of Zhang et al. (2019); on transformers Adam's lead over SGD grows as the batch "
    "does, up to the whole of the data (Kunstner et al. 2023); and tuned, Adam on BERT and "
    "Nesterov momentum on ImageNet both keep up with optimizers made for very large batches (Nado "
    "et al. 2021).",
    remark_zh="在这个小问题上笔记是对的，不过随步数增多差距缩小，而几十步也算不上长训练。这并非定"
    "律，甚至相反：在 Zhang 等（2019）的网络上，再增大便无益的批大小，Adam 比动量更大；在 "
    "Transformer 上，批越大直到全部数据，Adam 对 SGD 的优势越大（Kunstner 等 2023）；经过调参，"
    "BERT 上的 Adam 和 ImageNet 上的 Nesterov 动量都不逊于专为极大批量设计的优化器（Nado 等 2021）"
    "。",
    sources=(
        "Kunstner et al. 2023, “Noise Is Not the Main Factor Behind the Gap Between SGD and Adam "
        "on Transformers, but Sign Descent Might Be”",
        "Zhang et al. 2019, “Which Algorithmic Choices Matter at Which Batch Sizes?”",
        "Nado et al. 2021, “A Large Batch Optimizer Reality Check”",
        "Shallue et al. 2019, “Measuring the Effects of Data Parallelism on Neural Network "
        "Training”",
    ),
)

NAMES = ("adam", "momentum")


def swept(setting: dict[str, Any], batch: int, epochs: int) -> dict[str, Runs]:
    """Both at one batch size, over all rates."""
    plan = plan_of(setting, batch=batch, epochs=epochs)
    return {name: by_rate(name, plan, setting["trials"], *setting["range"]) for name in NAMES}


def measure(setting: dict[str, Any]) -> Measured:
    """Every batch size, and the largest once more for longer."""
    sizes = setting["batches"]
    found = [swept(setting, batch, setting["epochs"]) for batch in sizes]
    longer = swept(setting, sizes[-1], setting["long_epochs"])
    tried = trials(setting["trials"], setting["range"])[:, 0]
    numbers: dict[str, Any] = {}
    for label, runs in (("small", found[0]), ("large", found[-1]), ("long", longer)):
        adam, momentum = (runs[name].at_best("loss", "test") for name in NAMES)
        numbers[label] = spread(adam / momentum)
        for name in NAMES:
            numbers[f"accuracy_{name}_{label}"] = spread(runs[name].at_best("accuracy", "test"))
    for label, runs in (("large", found[-1]), ("long", longer)):
        numbers[f"steps_{label}"] = runs["adam"].batch_loss.shape[-1]
    series: dict[str, Any] = {"batch": np.asarray(sizes)}
    for name in NAMES:
        losses = np.stack([runs[name].at_best("loss", "test") for runs in found], axis=1)
        series |= {f"loss_{name}_{seed}": row for seed, row in enumerate(losses)}
        series[f"long_{name}"] = longer[name].at_best("loss", "test")
        series[f"rate_{name}"] = np.array([tried[runs[name].best()] for runs in found])
    return Measured(numbers, series)


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n = {name: x["median"] if isinstance(x, dict) else x for name, x in numbers.items()}
    fine = n["small"] <= threshold["fine"]
    behind = [n[label] >= threshold["behind"] for label in ("large", "long")]
    word = HOLDS if fine and all(behind) else DEPENDS if any(behind) else FAILS
    return Verdict(
        word,
        f"Adam's test loss over momentum's is {n['small']:.2f} at the smallest batch, "
        f"{n['large']:.2f} at the largest after {n['steps_large']:.0f} steps (accuracy "
        f"{n['accuracy_adam_large']:.1%} and {n['accuracy_momentum_large']:.1%}), and "
        f"{n['long']:.2f} after {n['steps_long']:.0f} ({n['accuracy_adam_long']:.1%} and "
        f"{n['accuracy_momentum_long']:.1%}).",
        f"Adam 与动量测试损失之比：最小批 {n['small']:.2f}；最大批 {n['steps_large']:.0f} 步后 "
        f"{n['large']:.2f}（准确率 {n['accuracy_adam_large']:.1%} 与 "
        f"{n['accuracy_momentum_large']:.1%}），{n['steps_long']:.0f} 步后 {n['long']:.2f}"
        f"（{n['accuracy_adam_long']:.1%} 与 {n['accuracy_momentum_long']:.1%}）。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """Loss and chosen rate over the batch size."""
    s = measured.series
    loss, rate = style.panels(figure, [3.0, 2.0])
    for name in NAMES:
        look = style.line(name)
        values = np.array([v for n, v in s.items() if n.startswith(f"loss_{name}_")])
        style.band(loss, s["batch"], values, {**look, "marker": "o", "markersize": 4})
        longer = np.median(s[f"long_{name}"])
        label = f"{look['label']}, more steps"
        hollow = {"markerfacecolor": "white", "markersize": 8, "linestyle": "none"}
        loss.plot(s["batch"][-1], longer, "D", color=look["color"], label=label, **hollow)
        rate.plot(s["batch"], s[f"rate_{name}"], marker="o", markersize=4, **look)
    loss.set(title="Test loss, rates tuned, as many epochs", ylabel="cross-entropy (nats)")
    loss.set(yscale="log")
    loss.set_yticks([0.2, 0.5, 1, 2], ["0.2", "0.5", "1", "2"])
    loss.minorticks_off()
    rate.set(title="The rate chosen", ylabel="rate α", yscale="log")
    for axes in (loss, rate):
        axes.set_xscale("log", base=2)
        axes.set_xticks(s["batch"], [f"{b:g}" for b in s["batch"]])
        axes.set_xlabel("batch size")
    figure.legend(*loss.get_legend_handles_labels(), loc="outside lower center", ncols=2)
