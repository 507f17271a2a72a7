"""All six optimizers on MNIST, each with the best of the same trials: loss, accuracy, time."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

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
    SIX,
    Plan,
    by_rate,
    deal,
    networks,
    order,
    plan_of,
    smooth,
    sweep,
    trials,
)
from jaxopt_notes.training.loop import compile_stretch, zero_sums
from jaxopt_notes.training.state import create
from jaxopt_notes.training.step import make_train_step

ABOUT = About(
    number=9,
    title="Six optimizers on MNIST",
    title_zh="六种优化器在 MNIST 上",
    kind="advice",
    claim="Adam is a good default.",
    claim_zh="Adam 是好的默认选择。",
    section="Claims about the optimizers, 10",
    how="The notes' dense network learns MNIST by each of the six, five seeds each. Every "
    "optimizer gets the same quasi-random rates; images kept aside choose one of them; test "
    "images judge. The rate falls to 0 along half a cosine. Adam runs once more at 0.001, the rate "
    "that its paper gives, untuned. The time of a step is measured in turns and given as a "
    "multiple of SGD's: the median, and the quartiles of the turns.",
    how_zh="笔记的全连接网络分别用六种优化器学习 MNIST，各五个种子。每种优化器试同样的拟随机学习率"
    "，由留出的图像选定，用测试图像评判；学习率按半个余弦降到 0。Adam 另用其论文给出的 0.001 不加"
    "调整地跑一次。每步时间轮流测量，以 SGD 的倍数给出：中位数，括号内为各轮的四分位数。",
    setting={
        "seeds": 5,
        "images": 6000,
        "widths": [128, 64],
        "batch": 64,
        "epochs": 3,
        "trials": 16,
        "range": [1e-4, 10.0],
        "untuned": 1e-3,
        "rounds": 15,
        "timed_steps": 60,
    },
    quick={"images": 2000, "widths": [32], "trials": 8, "rounds": 5, "timed_steps": 40},
    measured={
        "loss_sgd": ("test loss of SGD (nats)", "SGD 测试损失（奈特）"),
        "loss_momentum": ("test loss of momentum", "动量测试损失"),
        "loss_adagrad": ("test loss of AdaGrad", "AdaGrad 测试损失"),
        "loss_rmsprop": ("test loss of RMSProp", "RMSProp 测试损失"),
        "loss_adam": ("test loss of Adam", "Adam 测试损失"),
        "loss_adamw": ("test loss of AdamW", "AdamW 测试损失"),
        "accuracy_sgd": ("test accuracy of SGD", "SGD 测试准确率"),
        "accuracy_momentum": ("test accuracy of momentum", "动量测试准确率"),
        "accuracy_adagrad": ("test accuracy of AdaGrad", "AdaGrad 测试准确率"),
        "accuracy_rmsprop": ("test accuracy of RMSProp", "RMSProp 测试准确率"),
        "accuracy_adam": ("test accuracy of Adam", "Adam 测试准确率"),
        "accuracy_adamw": ("test accuracy of AdamW", "AdamW 测试准确率"),
        "accuracy_untuned": ("test accuracy of Adam untuned", "Adam 未调整时的测试准确率"),
        "time_momentum": ("time of momentum's step over SGD's", "动量每步时间与 SGD 之比"),
        "time_adagrad": ("of AdaGrad's", "AdaGrad"),
        "time_rmsprop": ("of RMSProp's", "RMSProp"),
        "time_adam": ("of Adam's", "Adam"),
        "time_adamw": ("of AdamW's", "AdamW"),
    },
    threshold={"behind": 0.5, "untuned": 1.0},
    rule="Two trials: tuned, Adam's test accuracy is at most {behind:g} points below the best of "
    "the six; untuned, it is at most {untuned:g} point below Adam tuned (medians over the seeds). "
    "Holds if both are so, depends if one, fails if neither.",
    rule_zh="两项检验：调整后，Adam 的测试准确率比六者最好的至多低 {behind:g} 个百分点；未调整时，"
    "比调整后的 Adam 至多低 {untuned:g} 个百分点（中位数）。两项都满足则成立，一项则视情况而定，都"
    "不满足则不成立。",
    picture="Above, the training loss over the steps, each at its chosen rate: all six fall alike; "
    "in the end AdaGrad's is highest and momentum's lowest. In the middle, the test accuracy of "
    "each with the range of the seeds: AdaGrad is apart, below the others. Below, the time of a "
    "step as a multiple of SGD's.",
    picture_zh="上：各取选定学习率时训练损失随步数变化，六者相似地下降，最后 AdaGrad 最高、动量最"
    "低。中：各自的测试准确率及种子间的范围，只有 AdaGrad 明显较低。下：每步时间与 SGD 之比。",
    remark="Tuned by the same budget most of the six end close together, and which is first is "
    "within what the seeds do: the ranking of optimizers depends on how they are tuned (Choi et "
    "al. 2019), and none wins everywhere (Schmidt et al. 2021). A default rate is good for a run "
    "of some length: for one as short as this the paper's 0.001 is too small. The notes' “CNN, RNN "
    "and Transformer” is not put to the test here: this is one small dense network.",
    remark_zh="按同样预算调整后，六者大多结果接近，名次在种子的波动之内：优化器的排名取决于如何调"
    "参（Choi 等 2019），没有处处获胜的（Schmidt 等 2021）。默认学习率只适合一定长度的训练：对这样"
    "短的训练，论文的 0.001 太小。笔记所说的“CNN、RNN 和 Transformer”在此并未检验：这里只是一个小"
    "的全连接网络。",
    sources=(
        "Kingma & Ba 2014, “Adam: A Method for Stochastic Optimization”, §2 and §6",
        "Choi et al. 2019, “On Empirical Comparisons of Optimizers for Deep Learning”",
        "Schmidt, Schneider & Hennig 2021, “Descending through a Crowded Valley”",
        "Dahl et al. 2023, “Benchmarking Neural Network Training Algorithms” (AlgoPerf)",
    ),
)

SMOOTHED = 20  # steps, in the picture


def times(plan: Plan, rounds: int, steps: int) -> dict[str, np.ndarray]:
    """Seconds of so many steps by each optimizer, (rounds,): they take turns."""
    parts, (model, *_) = deal(plan.images), networks(plan)
    rows = jnp.asarray(order(plan, 0).reshape(-1, plan.batch)[:steps])
    going: dict[str, Any] = {}
    for name, make in SIX.items():
        optimizer = make(lambda rate: rate, 1e-4)
        state = create(model, optimizer, jax.random.key(0))
        step = make_train_step(model, optimizer, parts.normalize)
        going[name] = compile_stretch(step, state, parts.train, rows), state
    taken: dict[str, list[float]] = {name: [] for name in SIX}
    bounds = np.int32(0), np.int32(len(rows))
    for _ in tqdm(range(rounds + 1), desc="time", unit="round", leave=False, disable=None):
        for name, (stretch, state) in going.items():
            began = time.perf_counter()
            state, sums = stretch(state, zero_sums(), parts.train, rows, *bounds)
            float(sums.loss)
            taken[name].append(time.perf_counter() - began)
            going[name] = stretch, state
    return {name: np.asarray(found[1:]) for name, found in taken.items()}  # the first warms up


def measure(setting: dict[str, Any]) -> Measured:
    """Each at its best trial, Adam untuned, and the times."""
    plan, (low, high) = plan_of(setting), setting["range"]
    tried = trials(setting["trials"], [low, high])[:, 0]
    runs = {name: by_rate(name, plan, setting["trials"], low, high) for name in SIX}
    rate = np.array([[setting["untuned"]]])
    untuned = sweep(networks(plan), SIX["adam"], rate, plan, "untuned")
    taken = times(plan, setting["rounds"], setting["timed_steps"])
    numbers: dict[str, Any] = {"accuracy_untuned": spread(untuned.at_best("accuracy", "test"))}
    series: dict[str, Any] = {"step": np.arange(SMOOTHED, plan.steps + 1)}
    for name, found in runs.items():
        numbers[f"loss_{name}"] = spread(found.at_best("loss", "test"))
        numbers[f"accuracy_{name}"] = spread(found.at_best("accuracy", "test"))
        curve = np.median(found.batch_loss[found.best()], axis=0)
        series[f"train_{name}"] = smooth(curve, SMOOTHED)[SMOOTHED - 1 :]
        series[f"accuracy_{name}"] = found.at_best("accuracy", "test")
        series[f"rate_{name}"] = [tried[found.best()]]
        if name != "sgd":
            ratio = taken[name] / taken["sgd"]
            numbers[f"time_{name}"] = _quartiles(ratio)
            series[f"time_{name}"] = ratio
    return Measured(numbers, series)


def _quartiles(ratio: np.ndarray) -> dict[str, float]:
    """Of times, whose extremes are what else the machine had to do."""
    return spread(np.quantile(ratio, [0.25, 0.5, 0.75]))


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n = {name: x["median"] for name, x in numbers.items()}
    accuracy = {name: n[f"accuracy_{name}"] for name in SIX}
    best = max(accuracy, key=accuracy.__getitem__)
    behind = 100 * (accuracy[best] - accuracy["adam"])
    lost = 100 * (accuracy["adam"] - n["accuracy_untuned"])
    good = [behind <= threshold["behind"], lost <= threshold["untuned"]]
    word = HOLDS if all(good) else DEPENDS if any(good) else FAILS
    label = style.LABELS[best]
    return Verdict(
        word,
        f"Tuned, Adam has {accuracy['adam']:.1%} of the test right, the best of the six, "
        f"{label}, {accuracy[best]:.1%}, and SGD {accuracy['sgd']:.1%}; untuned Adam has "
        f"{n['accuracy_untuned']:.1%}. A step of Adam takes {n['time_adam']:.2f} times SGD's.",
        f"调整后 Adam 测试准确率 {accuracy['adam']:.1%}，六者最好的 {label} {accuracy[best]:.1%}，"
        f"SGD {accuracy['sgd']:.1%}；未调整的 Adam {n['accuracy_untuned']:.1%}。Adam 每步时间是 "
        f"SGD 的 {n['time_adam']:.2f} 倍。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """Training loss; accuracy; time."""
    s = measured.series
    loss, accuracy, slower = style.panels(figure, [2.7, 2.0, 1.7])
    for i, name in enumerate(SIX):
        loss.semilogy(s["step"], s[f"train_{name}"], **style.line(name))
        style.bar(accuracy, -i, 100 * s[f"accuracy_{name}"], style.COLOURS[name])
        if name != "sgd":
            style.bar(
                slower, -i, np.quantile(s[f"time_{name}"], [0.25, 0.5, 0.75]), style.COLOURS[name]
            )
    loss.set(title="Training loss, chosen rates", xlabel="step", ylabel="cross-entropy (nats)")
    loss.set_yticks([0.1, 0.2, 0.5, 1, 2], ["0.1", "0.2", "0.5", "1", "2"])
    loss.minorticks_off()
    names = [style.LABELS[name] for name in SIX]
    accuracy.set_yticks(-np.arange(len(SIX)), names)
    accuracy.set(title="Test accuracy, five seeds", xlabel="accuracy (%)")
    slower.set_yticks(-np.arange(1, len(SIX)), names[1:])
    slower.axvline(1, color="#777777", linewidth=1, linestyle="--")
    slower.set(title="Time of a step", xlabel="times SGD's (middle half of the turns)")
    loss.legend(ncols=2, loc="upper right")
