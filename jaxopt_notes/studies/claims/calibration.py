"""Cross-entropy makes a network certain: is it as certain as it is right?"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from tqdm import tqdm

from jaxopt_notes.conventions import notes
from jaxopt_notes.losses import cross_entropy
from jaxopt_notes.studies import style
from jaxopt_notes.studies.digits import Deal, deal
from jaxopt_notes.studies.inference import (
    at_most,
    combined,
    decide,
    median_interval,
    paired_interval,
)
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
from jaxopt_notes.studies.sweeps import networks, order, plan_of
from jaxopt_notes.training.state import TrainState, create
from jaxopt_notes.training.step import Batch, make_forward, make_train_step

ABOUT = About(
    number=23,
    title="Certain and right",
    title_zh="自信与正确",
    kind="comparison",
    claim="Minimising cross-entropy drives ŷ to y: it makes predictions more certain.",
    claim_zh="最小化交叉熵使 ŷ 趋于 y，即让预测更确定。",
    section="Entropy",
    equations=(
        "confidence = max_k ŷ_k, NLL = −log ŷ_y",
        "ECE = Σ_bins (n_bin / n) |accuracy in bin − mean confidence in bin|",
        "temperature scaling: ŷ = softmax(z / T), T minimises the validation set's NLL",
        "label smoothing: y → (1 − s) y + s/10",
    ),
    equations_zh=(
        "置信度 = max_k ŷ_k，NLL = −log ŷ_y",
        "ECE = Σ_区间 (n_区间 / n) |区间内的准确率 − 区间内的平均置信度|",
        "温度缩放：ŷ = softmax(z / T)，T 使验证集的 NLL 最小",
        "标签平滑：y → (1 − s) y + s/10",
    ),
    how="A dense network learns MNIST's digits by Adam at a constant learning rate, chosen by "
    "accuracy on the validation set. At several epochs we measure how sure it is. On training "
    "images: how far ŷ is from y. On test images: confidence against accuracy, the expected "
    "calibration error in 15 bins, and the negative log-likelihood. There are two references: "
    "label smoothing, with a learning rate chosen in the same way, and temperature scaling of the "
    "same networks.",
    how_zh="全连接网络用 Adam 以恒定学习率学习 MNIST 数字，学习率按验证集准确率选定。若干轮之后考察"
    "它对每张图像的把握：在训练图像上看 ŷ 离 y 多远；在测试图像上比较置信度与准确率，并计算期望校准"
    "误差（15 个区间）和负对数似然。两个参照：同样选定学习率的标签平滑，以及对同一批网络做温度"
    "缩放。",
    setting={
        "seeds": 7,
        "images": 8000,
        "widths": [128, 64],
        "classes": 10,
        "batch": 64,
        "epochs": 30,
        "marks_at": [1, 2, 3, 5, 7, 10, 15, 20, 30],
        "budgets": [1, 3, 10],
        "rates": [3e-4, 1e-3, 3e-3, 1e-2],
        "smoothing": 0.1,
        "bins": 15,
        "official": True,
    },
    quick={
        "images": 512,
        "widths": [32],
        "epochs": 12,
        "marks_at": [1, 3, 12],
        "budgets": [1, 3],
        "rates": [3e-3],
        "official": False,
    },
    measured={
        "doubt": (
            "mean 1 − ŷ_y on the training images at the end",
            "训练结束时训练图像上 1 − ŷ_y 的均值",
        ),
        "over": (
            "test images: mean confidence minus accuracy",
            "测试图像：平均置信度减准确率",
        ),
        "confidence_first": (
            "mean confidence on test images after the first epoch",
            "第一轮后测试图像的平均置信度",
        ),
        "confidence": ("mean confidence on test images at the end", "结束时测试图像的平均置信度"),
        "accuracy": ("test accuracy at the end", "结束时的测试准确率"),
        "confidence_wrong": (
            "mean confidence on the test images that are classified wrongly, at the end",
            "结束时，分错的测试图像上的平均置信度",
        ),
        "ece": (
            "expected calibration error on test images, at the end",
            "结束时测试图像的期望校准误差",
        ),
        "ece_smoothed": (
            "expected calibration error with label smoothing",
            "同上，标签平滑",
        ),
        "ece_scaled": (
            "expected calibration error after temperature scaling",
            "同上，温度缩放后",
        ),
        "temperature": (
            "temperature T of the scaling",
            "温度缩放的温度 T",
        ),
        "nll_least": (
            "negative log-likelihood of test images (nats), at its best epoch",
            "测试图像的负对数似然（nat），最好的一轮",
        ),
        "nll": ("negative log-likelihood of test images at the end", "结束时的负对数似然"),
        "nll_smoothed": (
            "negative log-likelihood at the end with label smoothing",
            "结束时的负对数似然，标签平滑",
        ),
        "nll_scaled": (
            "negative log-likelihood at the end after temperature scaling",
            "结束时的负对数似然，温度缩放后",
        ),
    },
    threshold={"doubt": 0.01, "apart": 0.01},
    rule="Certain: on the training images, ŷ of the right class is on average at most {doubt:.0%} "
    "below 1. As certain as right: on test images, mean confidence and accuracy differ by at most "
    "{apart:.0%}. Holds if both are true; depends if only the first is; fails if the first is "
    "not. {undecided}",
    rule_zh="确定：训练图像上，正确类别的 ŷ 平均至多比 1 低 {doubt:.0%}。置信度与准确率相称：测试"
    "图像上，平均置信度与准确率至多相差 {apart:.0%}。两者都满足则成立，仅满足前者则视情况而定，不"
    "满足前者则不成立。{undecided}",
    picture="Three panels over the epochs. Above, confidence and accuracy on test images: both "
    "rise, and confidence passes accuracy and ends above it; confidence on wrongly classified "
    "images rises too. In the middle, the expected calibration error: it grows with "
    "cross-entropy, is larger with label smoothing, and stays small after temperature scaling. "
    "Below, the negative log-likelihood: it is least after a few epochs, and then grows while "
    "accuracy still rises.",
    picture_zh="三幅图，横轴为训练轮数。上：测试图像的置信度与准确率，两者都上升，置信度超过准确率"
    "并停在其上方；分错图像上的置信度也上升。中：期望校准误差，交叉熵下增大，标签平滑时更大，温度缩"
    "放后保持很小。下：负对数似然，几轮后最小，之后增大，而准确率仍在上升。",
    remark="On training images ŷ goes to y. On test images the network is nearly as sure, but "
    "wrong more often than its confidence suggests: on its mistakes, its mean confidence is "
    "still 88 %. Guo et al. (2017) find modern networks poorly calibrated, and temperature "
    "scaling surprisingly effective on most datasets. Here too a single number, the temperature, "
    "is enough, and it changes no prediction. Müller et al. (2019) find that label smoothing "
    "improves calibration. Here, with s = 0.1, it does not: its loss is least at ŷ = 0.91, so "
    "the network, which is right on 96 % of the images, is not sure enough. A first run of this "
    "study chose the largest of its learning rates. We added larger ones and ran it again; it "
    "chose the same one.",
    remark_zh="在训练图像上 ŷ 趋于 y；在测试图像上网络几乎同样自信，错误率却高于其置信度所示：分"
    "错的图像上平均置信度仍有 88 %。Guo 等（2017）发现现代网络校准很差，而温度缩放在多数数据集上"
    "出奇地有效；这里也是如此，只用一个数，且不改变任何预测。Müller 等（2019）发现标签平滑能改善"
    "校准；这里 s = 0.1 却不能：其损失在 ŷ = 0.91 处最小，而网络在 96 % 的图像上正确，于是自信不"
    "足。本项检验第一次运行时选中了最大的学习率；加入更大的学习率后重新运行，选择不变。",
    sources=(
        "Guo, Pleiss, Sun & Weinberger 2017, “On Calibration of Modern Neural Networks”",
        "Müller, Kornblith & Hinton 2019, “When Does Label Smoothing Help?”",
    ),
    findings={
        "holds": (
            "Cross-entropy makes a network certain, but not overconfident: mean confidence is "
            "{confidence:.1%}, accuracy {accuracy:.1%}",
            "交叉熵使网络变得确定，但不过度自信：平均置信度 {confidence:.1%}，准确率 "
            "{accuracy:.1%}",
        ),
        "depends": (
            "Cross-entropy makes a network certain, but its confidence does not match its "
            "accuracy: mean confidence is {confidence:.1%}, accuracy {accuracy:.1%}",
            "交叉熵使网络变得确定，但置信度与准确率不符：平均置信度 {confidence:.1%}，准确率 "
            "{accuracy:.1%}",
        ),
        "fails": (
            "After such a short training, ŷ of the right class is still {doubt:.1%} below 1",
            "训练这样短，正确类别的 ŷ 仍比 1 低 {doubt:.1%}",
        ),
        "not decided": (
            "Whether cross-entropy makes a network's confidence exceed its accuracy is not decided",
            "交叉熵是否使网络的置信度高于准确率，尚无定论",
        ),
    },
    texts={
        "{} points too sure": "置信度高出 {} 个百分点",
        "Test images: how sure, how right": "测试图像：置信度与准确率",
        "confidence": "置信度",
        "accuracy": "准确率",
        "confidence where wrong": "分错处的置信度",
        "Expected calibration error on test images": "测试图像的期望校准误差",
        "cross-entropy": "交叉熵",
        "label smoothing": "标签平滑",
        "temperature scaling": "温度缩放",
        "epoch": "轮数",
        "NLL (nats)": "NLL（nat）",
        "least: {}": "最小：{}",
        "Negative log-likelihood of test images": "测试图像的负对数似然",
    },
    reachable={
        "holds": {"classes": 2, "images": 2000, "epochs": 8, "marks_at": [8], "budgets": [8]},
        "fails": {"epochs": 1, "marks_at": [1], "budgets": [1]},
    },
)

ARMS = ("plain", "smoothed")


class Answers(NamedTuple):
    """What networks say at each mark.

    Attributes:
      doubt: mean 1 − ŷ_y on the training images, (seeds, marks).
      held: logits of the validation images, (seeds, marks, images, classes).
      test: of the test images, likewise.
    """

    doubt: np.ndarray
    held: np.ndarray
    test: np.ndarray


class Scores(NamedTuple):
    """Of each image (seeds, images): confidence, whether it is right, and its NLL."""

    confidence: np.ndarray
    right: np.ndarray
    nll: np.ndarray


def dealt(setting: dict[str, Any]) -> list[Deal]:
    """Each seed's images; digits from the last class on count as that class."""

    # With two classes a network can be both certain and calibrated, so the rule can hold.
    def dealt_to(seed: int) -> Deal:
        parts = deal(setting["images"], seed, setting["official"])
        train, held, test = (
            part._replace(labels=jnp.minimum(part.labels, setting["classes"] - 1))
            for part in (parts.train, parts.held, parts.test)
        )
        return Deal(train, held, test, parts.normalize)

    return [dealt_to(seed) for seed in range(setting["seeds"])]


def trained(rates: Any, smoothing: float, setting: dict[str, Any]) -> list[Answers]:
    """Trains for every learning rate, all seeds at once."""
    plan = plan_of(setting, marks=setting["epochs"])
    models = networks(plan)
    deals = dealt(setting)
    train, held = (jax.tree.map(lambda *x: jnp.stack(x), *parts) for parts in list(zip(*deals))[:2])
    normalize = deals[0].normalize
    forward = make_forward(models[0], normalize)
    orders = np.stack([order(plan, seed) for seed in range(plan.seeds)])

    def epoch(rate: Any, state: TrainState, train: Batch, rows: jax.Array) -> TrainState:
        step = make_train_step(models[0], notes.adam(rate), normalize, label_smoothing=smoothing)
        return lax.scan(
            lambda state, rows: (step(state, Batch(*(x[rows] for x in train)))[0], None),
            state,
            rows,
        )[0]

    def outputs(state: TrainState, train: Batch, held: jax.Array, test: jax.Array) -> Any:
        logits = [forward(state.params, state.batch_stats, x) for x in (train.images, held, test)]
        return 1 - jnp.exp(-cross_entropy(logits[0], train.labels)).mean(), *logits[1:]

    advance = jax.jit(jax.vmap(epoch, (None, 0, 0, 0)))
    ask = jax.jit(jax.vmap(outputs, (0, 0, 0, None)))
    answers = []
    for rate in tqdm(rates, desc=f"s = {smoothing:g}", unit="rate", leave=False, disable=None):
        begun = [create(m, notes.adam(1.0), jax.random.key(i)) for i, m in enumerate(models)]
        state: Any = jax.tree.map(lambda *x: jnp.stack(x), *begun)
        marks = []
        for i in range(setting["epochs"]):
            state = advance(jnp.float32(rate), state, train, orders[:, i])
            if i + 1 in setting["marks_at"]:
                marks.append(jax.device_get(ask(state, train, held.images, deals[0].test.images)))
        answers.append(Answers(*(np.stack(each, 1) for each in zip(*marks))))
    return answers


def scores(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """Of logits (seeds, images, classes) and labels (seeds, images) or (images,)."""
    z = logits.astype(np.float64)
    z -= z.max(-1, keepdims=True)
    log_sum = np.log(np.exp(z).sum(-1))
    labels = np.broadcast_to(labels, z.shape[:-1])
    picked = np.take_along_axis(z, labels[..., None], -1)[..., 0]
    return Scores(np.exp(-log_sum), z.argmax(-1) == labels, log_sum - picked)


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int) -> float:
    """ECE of one network: images (n,), bins of equal width, closed above as Guo et al.'s.

    >>> calibration_error(np.array([0.9, 0.9, 0.6]), np.array([True, False, True]), 15)
    0.4
    """
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    apart = np.bincount(which, confidence - right, minlength=bins)
    return round(float(abs(apart).sum()) / len(right), 12)


def temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The T whose softmax(z / T) has the least NLL: logits (images, classes)."""
    from scipy.optimize import minimize_scalar

    def nll(log_t: float) -> float:
        return float(scores(logits / np.exp(log_t), labels).nll.mean())

    return float(np.exp(minimize_scalar(nll, bounds=(-3, 3), method="bounded").x))


def measure(setting: dict[str, Any]) -> Measured:
    """Both arms at every learning rate; what the chosen networks say at each mark."""
    seeds, deals = range(setting["seeds"]), dealt(setting)
    held = np.stack([np.asarray(each.held.labels) for each in deals])
    test = np.asarray(deals[0].test.labels)
    arms = {
        arm: trained(setting["rates"], s, setting)
        for arm, s in zip(ARMS, (0.0, setting["smoothing"]))
    }

    def at(mark: int, end: int) -> dict[str, Any]:
        """What there is to say at a mark of networks whose training ends at another."""
        chosen = {arm: answers[best(answers, held, end)] for arm, answers in arms.items()}
        t = [temperature(chosen["plain"].held[i, mark], held[i]) for i in seeds]
        logits = {
            "": chosen["plain"].test[:, mark],
            "_smoothed": chosen["smoothed"].test[:, mark],
            "_scaled": chosen["plain"].test[:, mark] / np.reshape(t, (-1, 1, 1)),
        }
        of = {name: scores(z, test) for name, z in logits.items()}
        plain = of[""]
        each: dict[str, Any] = {
            "doubt": chosen["plain"].doubt[:, mark],
            "over": (plain.confidence, plain.right),
            "confidence": plain.confidence.mean(1),
            "accuracy": plain.right.mean(1),
            "confidence_wrong": [c[~r].mean() for c, r in zip(plain.confidence, plain.right)],
            "temperature": t,
        }
        for name, answers in of.items():
            each[f"nll{name}"] = answers.nll.mean(1)
            each[f"ece{name}"] = [
                calibration_error(c, r, setting["bins"])
                for c, r in zip(answers.confidence, answers.right)
            ]
        return each

    def until(epochs: int) -> list[dict[str, Any]]:
        end = setting["marks_at"].index(epochs)
        return [at(mark, end) for mark in range(end + 1)]

    whole = until(setting["epochs"])
    used = {
        f"rate_{arm}": [setting["rates"][best(answers, held, -1)]] for arm, answers in arms.items()
    }
    return Measured(
        summary(whole),
        {"epoch": setting["marks_at"], **columns(whole), **used},
        {
            f"{epochs} epochs" if epochs > 1 else "1 epoch": summary(until(epochs))
            for epochs in setting["budgets"]
        },
    )


def best(answers: list[Answers], held: np.ndarray, end: int) -> int:
    """Which learning rate has the highest validation accuracy (median over the seeds)."""
    accuracy = [np.median(scores(each.held[:, end], held).right.mean(1)) for each in answers]
    return int(np.argmax(accuracy))


def summary(marks: list[dict[str, Any]]) -> dict[str, Any]:
    """The numbers of a training that has these marks."""
    last = marks[-1]
    return {
        **{n: spread(x) for n, x in last.items() if n not in ("doubt", "over")},
        "doubt": median_interval(last["doubt"]),
        "over": paired_interval(*last["over"]),
        "confidence_first": spread(marks[0]["confidence"]),
        "nll_least": spread(min((m["nll"] for m in marks), key=np.median)),
    }


def columns(marks: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """What is drawn: of each number its seeds, and of each of them its marks."""
    shown = [n for n in marks[0] if n.startswith(("nll", "ece", "conf", "acc", "doubt"))]
    return {n: np.stack([m[n] for m in marks], -1).astype(np.float32) for n in shown}


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n = middle(numbers)

    def rule(certain: bool, not_above: bool, not_below: bool) -> str:
        return FAILS if not certain else HOLDS if not_above and not_below else DEPENDS

    word = combined(
        rule,
        at_most(numbers["doubt"], threshold["doubt"]),
        at_most(numbers["over"], threshold["apart"]),
        decide(numbers["over"], -threshold["apart"]),
    )
    side, side_zh = ("above", "高出") if n["over"] > 0 else ("below", "低")
    return Verdict(
        word,
        f"On training images, ŷ of the right class ends {n['doubt']:.2%} below 1. On test images, "
        f"mean confidence goes from {n['confidence_first']:.1%} after the first epoch to "
        f"{n['confidence']:.1%}. Accuracy ends at {n['accuracy']:.1%}, so confidence is "
        f"{abs(100 * n['over']):.1f} points {side} it. On the images that it gets wrong, the "
        f"network's mean confidence is {n['confidence_wrong']:.0%}. The calibration error is "
        f"{n['ece']:.1%}; it is {n['ece_scaled']:.1%} after temperature scaling and "
        f"{n['ece_smoothed']:.1%} with label smoothing. The test images' NLL is "
        f"{n['nll_least']:.3f} at its best epoch and {n['nll']:.3f} at the end.",
        f"训练图像上，正确类别的 ŷ 最终比 1 低 {n['doubt']:.2%}。测试图像的平均置信度在第一轮后为 "
        f"{n['confidence_first']:.1%}，结束时为 {n['confidence']:.1%}；准确率为 "
        f"{n['accuracy']:.1%}，置信度{side_zh} {abs(100 * n['over']):.1f} 个百分点。分错的图像"
        f"上，平均置信度为 {n['confidence_wrong']:.0%}。校准误差为 {n['ece']:.1%}；温度缩放后为 "
        f"{n['ece_scaled']:.1%}，标签平滑时为 {n['ece_smoothed']:.1%}。测试图像的负对数似然在最好的"
        f"一轮为 {n['nll_least']:.3f}，结束时为 {n['nll']:.3f}。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """Confidence and accuracy, calibration error and NLL over the epochs."""
    s = measured.series
    x = s["epoch"]
    sure, error, nll = style.panels(figure, [2.7, 2.3, 2.3])

    def rows(name: str, by: float = 1) -> np.ndarray:
        return by * np.reshape(s[name], (-1, len(x)))

    looks = {
        "": {"color": style.RED, "linestyle": "-", "label": "cross-entropy"},
        "_smoothed": {"color": style.ORANGE, "linestyle": "--", "label": "label smoothing"},
        "_scaled": {"color": style.BLUE, "linestyle": "-", "label": "temperature scaling"},
    }
    style.band(sure, x, rows("confidence", 100), {**looks[""], "label": "confidence"})
    accuracy = {"color": style.BLACK, "linestyle": "-", "label": "accuracy"}
    style.band(sure, x, rows("accuracy", 100), accuracy)
    style.band(
        sure,
        x,
        rows("confidence_wrong", 100),
        {"color": style.PURPLE, "linestyle": "--", "label": "confidence where wrong"},
    )
    last, over = float(x[-1]), 100 * middle(measured.numbers)["over"]
    end = 100 * np.median(np.reshape(s["accuracy"], (-1, len(x)))[:, -1])
    sure.annotate(
        f"{abs(over):.1f} points too {'sure' if over > 0 else 'unsure'}",
        (last, end + over / 2),
        (0.42, 0.66),
        textcoords="axes fraction",
        fontsize=8.5,
        arrowprops={"arrowstyle": "->", "color": "#555555"},
    )
    sure.set(title="Test images: how sure, how right", ylabel="%")
    sure.legend(loc="lower right")
    for axes, name, by in ((error, "ece", 100), (nll, "nll", 1)):
        for arm, look in looks.items():
            style.band(axes, x, rows(f"{name}{arm}", by), look)
    for arm, look in looks.items():
        value = float(np.median(rows(f"ece{arm}", 100)[:, -1]))
        ink = style.ink(str(look["color"]))
        error.text(1.06 * last, value, f"{value:.1f} %", va="center", fontsize=8.5, color=ink)
    error.set(title="Expected calibration error on test images", ylabel="ECE (%)")
    error.legend(loc="center left")
    medians = np.median(rows("nll"), axis=0)
    least = int(medians.argmin())
    nll.plot(x[least], medians[least], "o", color=style.RED)
    nll.text(
        x[least], medians[least] + 0.02, f"least: {medians[least]:.2f}", ha="center", fontsize=8.5
    )
    nll.set(title="Negative log-likelihood of test images", ylabel="NLL (nats)", xlabel="epoch")
    for axes in (sure, error, nll):
        axes.set_xscale("log")
        axes.set_xlim(0.93, 1.45 * last)
        axes.set_xticks(x, [f"{e:.0f}" for e in x])
        axes.minorticks_off()
