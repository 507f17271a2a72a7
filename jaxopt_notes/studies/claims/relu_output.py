"""What follows the output layer: nothing, a ReLU, or a softmax."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes.models import PureModel
from jaxopt_notes.studies import style
from jaxopt_notes.studies.inference import at_most, combined, decide, points, share_interval
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
from jaxopt_notes.studies.sweeps import SIX, Runs, networks, plan_of, sweep, trials

ABOUT = About(
    number=13,
    title="ReLU after the output layer",
    title_zh="输出层之后的 ReLU",
    kind="comparison",
    claim="A ReLU after the output layer does harm: return logits, or a softmax.",
    claim_zh="输出层之后再加 ReLU 有害：应直接给出 logits 或 softmax。",
    section="The network and its parts, claims",
    equations=(
        "ReLU: L = −log softmax(relu(z))_y, so ∂L/∂z_k = 0 if z_k < 0",
        "softmax twice: L = −log softmax(softmax(z))_y ≥ log(1 + 9/e) = 1.46",
    ),
    equations_zh=(
        "ReLU：L = −log softmax(relu(z))_y，因此当 z_k < 0 时 ∂L/∂z_k = 0",
        "两次 softmax：L = −log softmax(softmax(z))_y ≥ log(1 + 9/e) = 1.46",
    ),
    how="A dense network with one hidden layer of 64 features learns mnist-12k with Adam and a "
    "cosine schedule. In all three arms the loss is cross-entropy on logits. Its input is the "
    "logits, a ReLU of the logits, or the softmax of the logits. The third arm takes the claim's "
    "“or a softmax” literally, so softmax is computed twice. Each seed has its own images; all "
    "arms share a seed's images, initial weights and batches. Each arm uses the learning rate "
    "with the best mean accuracy on the validation set, and we then measure the arm on the test "
    "images. A run is broken if it loses a class: for fewer than one in ten test images of the "
    "class, the class's own output is the highest.",
    how_zh="一个隐藏层（64 个特征）的全连接网络用 Adam 和余弦调度学习 mnist-12k。三组的损失都是作"
    "用于 logits 的交叉熵，输入分别为 logits 本身、logits 的 ReLU 和 logits 的 softmax。第三组照"
    "字面采用论断中的“或 softmax”，因此做了两次 softmax。每个种子有自己的图像；同一种子的三组共用"
    "图像、初始权重和批次。每组取验证集平均准确率最高的学习率，在测试图像上测量。若某一类的测试图"
    "像中，该类输出最高的不到十分之一，就称该类丢失，这次训练失败。",
    setting={
        "seeds": 64,
        "widths": [64],
        "images": 3000,
        "batch": 64,
        "epochs": 30,
        "budgets": [1, 3, 10],
        "trials": 7,
        "range": [1e-5, 1e-1],
        "usual_rate": 1e-3,
        "lift": 0.0,
        "lost_below": 0.1,
        "official": True,
    },
    quick={
        "seeds": 6,
        "images": 256,
        "epochs": 5,
        "budgets": [],
        "trials": 2,
        "range": [1e-3, 1e-1],
        "widths": [16],
        "official": False,
    },
    measured={
        "harm_relu": (
            "accuracy lost by the ReLU, each arm tuned (points)",
            "ReLU 造成的准确率损失，各自调优（百分点）",
        ),
        "harm_softmax": (
            "accuracy lost by the second softmax, each arm tuned (points)",
            "第二次 softmax 造成的准确率损失，各自调优（百分点）",
        ),
        "broken_relu": (
            "share of runs that lose a class, ReLU, tuned",
            "丢失某类的训练比例，ReLU，调优后",
        ),
        "broken_softmax": (
            "share of runs that lose a class, softmax twice, tuned",
            "丢失某类的训练比例，两次 softmax，调优后",
        ),
        "broken_logits": (
            "share of runs that lose a class, logits, tuned",
            "丢失某类的训练比例，logits，调优后",
        ),
        "harm_relu_usual": (
            "accuracy lost by the ReLU, both at learning rate 0.001 (points)",
            "ReLU 造成的准确率损失，学习率均为 0.001（百分点）",
        ),
        "broken_relu_usual": (
            "share of runs that lose a class, ReLU, at learning rate 0.001",
            "丢失某类的训练比例，ReLU，学习率 0.001",
        ),
        "accuracy_logits": ("test accuracy, logits, tuned", "测试准确率，logits，调优后"),
        "accuracy_relu": ("test accuracy, ReLU, tuned", "测试准确率，ReLU，调优后"),
        "accuracy_softmax": (
            "test accuracy, softmax twice, tuned",
            "测试准确率，两次 softmax，调优后",
        ),
        "rate_logits": ("learning rate chosen, logits", "选定的学习率，logits"),
        "rate_relu": ("learning rate chosen, ReLU", "选定的学习率，ReLU"),
        "rate_softmax": ("learning rate chosen, softmax twice", "选定的学习率，两次 softmax"),
    },
    threshold={"harm": 1.0, "broken": 0.15},
    rule="Three parts, each arm tuned. Harm: the ReLU costs at least {harm:g} point of test "
    "accuracy. Broken runs: at least {broken:.0%} of the runs with a ReLU lose a class. "
    "Alternative: softmax twice costs at most {harm:g} point. Holds if all three are true; fails "
    "if neither of the first two is true; else it depends. {undecided}",
    rule_zh="三部分，各组均调优。损害：ReLU 至少使测试准确率降低 {harm:g} 个百分点。失败：加 ReLU "
    "的训练至少有 {broken:.0%} 丢失某类。替代：两次 softmax 至多降低 {harm:g} 个百分点。三部分都"
    "满足则成立；前两部分都不满足则不成立；否则视情况而定。{undecided}",
    picture="Above, the test accuracy of each run, at the learning rate chosen for its arm. The "
    "64 runs with logits lie between 92 and 93 %. With the ReLU, 35 runs lie near 91 %; the "
    "other 29, marked by crosses, have lost a class and lie between 66 and 89 %. With softmax "
    "twice, 54 runs lie near 92 %, and ten have lost a class and lie near 83 %. Below, the mean "
    "accuracy over the learning rate: logits lie highest throughout and fall little at large "
    "learning rates; softmax twice comes close to logits near 0.003 and collapses above 0.01. At "
    "the chosen learning rates, the ReLU lies 6.8 points below logits.",
    picture_zh="上：各组在选定学习率下每次训练的测试准确率。logits 的 64 次在 92 % 至 93 % 之间。"
    "ReLU 有 35 次在 91 % 附近，另外 29 次（叉号）丢失了某类，在 66 % 至 89 % 之间。两次 softmax "
    "有 54 次在 92 % 附近，另外十次丢失了某类，在 83 % 附近。下：平均准确率随学习率变化：logits "
    "始终最高，学习率大时也下降很少；两次 softmax 只在 0.003 附近接近 logits，超过 0.01 便崩塌。"
    "在各自选定的学习率下，ReLU 比 logits 低 6.8 个百分点。",
    remark="A ReLU does not limit what the network can express: softmax does not change when a "
    "constant is added to all logits, so positive logits can express everything. The gradient "
    "does the harm: where a class's output is 0, the images of that class do not pull it up. The "
    "notes' second piece of advice needs care. A softmax with the loss −log p is the same as "
    "logits with cross-entropy on logits. But the cross-entropies of torch, optax and this "
    "package take logits, and a softmax in front of them bounds their input to 0 … 1. That costs "
    "11 points after 1 epoch and 2.0 after 30. Most of the 2.0 points come from the ten of 64 "
    "runs that lose a class. Whether a run loses a class is chance, so small studies mislead. "
    "With twelve seeds no run lost one, and the cost of 0.6 points lay just below the threshold "
    "of 1 point. With 24 seeds four runs did, and the threshold lay inside the interval. We "
    "registered 64 seeds after we knew both results. The threshold of 15 % for broken runs is "
    "from the second study. The first study asked for one run in ten, which twelve runs cannot "
    "refute.",
    remark_zh="问题不在函数的表达能力：所有 logits 同时加一个常数，softmax 不变，所以全为正的 "
    "logits 也能表达一切。问题在梯度：某类输出为 0 时，该类的图像无法把它拉起来。笔记的第二条建议"
    "要小心：输出 softmax、损失取 −log p，与输出 logits、损失取作用于 logits 的交叉熵，二者完全相"
    "同。但 torch、optax 与本包的交叉熵接受的是 logits，在它们之前再加 softmax，输入就被限制在 0 "
    "到 1 之间。这在 1 轮后损失 11 个百分点，30 轮后损失 2.0 个；这 2.0 个大多来自 64 次训练中丢"
    "失了某类的十次。是否丢失全凭偶然，因此小规模的研究会得出误导性的结论：十二个种子没有一次丢失，"
    "损失的 0.6 个百分点略低于 1 个百分点的阈值；24 个种子有四次丢失，阈值落在区间之内。登记 64 "
    "个种子时已知这两次结果。失败训练占 15 % 这一阈值出自第二次研究：第一次研究的要求是十次训练中"
    "有一次失败，而十二次训练无法否定它。",
    sources=(
        "Goodfellow, Bengio & Courville 2016, “Deep Learning”, §6.2.2.3",
        "PyTorch's documentation of CrossEntropyLoss: its input is to be unnormalised logits",
    ),
    findings={
        "holds": (
            "A ReLU on the output costs {harm_relu:.1f} points of accuracy; after long "
            "training, a second softmax costs {harm_softmax:.1f}",
            "输出层加 ReLU 损失 {harm_relu:.1f} 个百分点的准确率；训练足够久时，多做一次 softmax "
            "损失 {harm_softmax:.1f} 个",
        ),
        "depends": (
            "A ReLU on the output costs {harm_relu:.1f} points of accuracy, and a softmax before "
            "a loss that takes logits costs {harm_softmax:.1f}: return logits",
            "输出层加 ReLU 损失 {harm_relu:.1f} 个百分点的准确率，在接受 logits 的损失前加 "
            "softmax 损失 {harm_softmax:.1f} 个：应给出 logits",
        ),
        "fails": (
            "With tuned learning rates, a ReLU on the output does no harm",
            "调优之后，输出层的 ReLU 没有害处",
        ),
        "not decided": (
            "A ReLU on the output costs {harm_relu:.1f} points of accuracy; a second softmax costs "
            "{harm_softmax:.1f}, and whether that is more than one point is not decided",
            "输出层加 ReLU 损失 {harm_relu:.1f} 个百分点的准确率；多做一次 softmax 损失 "
            "{harm_softmax:.1f} 个，是否超过一个百分点尚无定论",
        ),
    },
    reachable={
        "fails": {
            "lift": 10.0,
            "seeds": 40,
            "widths": [64],
            "batch": 25,
            "epochs": 15,
            "trials": 1,
            "images": 500,
        },
    },
    texts={
        "logits": "logits",
        "softmax twice": "两次 softmax",
        "{} of {} runs lose a class": "{1} 次训练中 {0} 次丢失某类",
        "Each run, tuned (×: it lost a class)": "每次训练，调优后（×：丢失了某类）",
        "test accuracy (%)": "测试准确率（%）",
        "tuned: {} points below logits": "调优后：比 logits 低 {} 个百分点",
        "Mean over the seeds (dot: chosen)": "所有种子的均值（圆点：选定）",
        "Adam's learning rate": "Adam 的学习率",
    },
)

ARMS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "logits": lambda z: z,
    "relu": jax.nn.relu,
    "softmax": jax.nn.softmax,
}


def ending_in(models: list[PureModel], end: Callable[[jax.Array], jax.Array]) -> list[PureModel]:
    """The same networks with a function after their output."""
    inner = models[0].apply

    def apply(*args: Any, **options: Any) -> tuple[jax.Array, Any]:
        z, stats = inner(*args, **options)
        return end(z), stats

    return [model._replace(apply=apply) for model in models]


def recall(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """The share of each class's images whose own output is above all others: (classes,).

    A tie counts as wrong: argmax would give it to the first class.
    """
    own = jax.nn.one_hot(labels, outputs.shape[-1], dtype=bool)
    above = jnp.where(own, outputs, -jnp.inf).max(-1) > jnp.where(own, -jnp.inf, outputs).max(-1)
    return (own & above[:, None]).sum(0) / own.sum(0)


def swept(setting: dict[str, Any], epochs: int) -> dict[str, Runs]:
    """Each arm over the learning rates."""
    plan = plan_of(setting, epochs=epochs)
    tried = trials(setting["trials"], setting["range"])
    # Logits lifted far above 0 pass a ReLU unchanged: with them the rule can fail.
    lifted = ending_in(networks(plan), lambda z: z + setting["lift"])
    return {
        arm: sweep(ending_in(lifted, end), SIX["adam"], tried, plan, arm, recall)
        for arm, end in ARMS.items()
    }


def chosen(runs: Runs) -> int:
    """The trial with the highest mean accuracy on the validation set: broken runs count."""
    return int(runs.accuracy["held"][..., -1].mean(1).argmax())


def numbers_of(setting: dict[str, Any], runs: dict[str, Runs]) -> dict[str, Any]:
    """What decides, at one budget."""
    rate = trials(setting["trials"], setting["range"])[:, 0]
    usual = int(abs(np.log(rate / setting["usual_rate"])).argmin())
    at = {arm: chosen(of_arm) for arm, of_arm in runs.items()}
    # Of 10,000 or 2,000 images, so whole bytes.
    right = {arm: np.unpackbits(of_arm.right, axis=-1) for arm, of_arm in runs.items()}
    lost = {arm: (of_arm.watched < setting["lost_below"]).any(-1) for arm, of_arm in runs.items()}
    numbers: dict[str, Any] = {
        "harm_relu_usual": points(right["logits"][usual], right["relu"][usual]),
        "broken_relu_usual": share_interval(lost["relu"][usual]),
    }
    for arm, of_arm in runs.items():
        numbers[f"broken_{arm}"] = share_interval(lost[arm][at[arm]])
        numbers[f"accuracy_{arm}"] = spread(of_arm.accuracy["test"][at[arm], :, -1])
        numbers[f"rate_{arm}"] = float(rate[at[arm]])
        if arm != "logits":
            numbers[f"harm_{arm}"] = points(right["logits"][at["logits"]], right[arm][at[arm]])
    return numbers


def measure(setting: dict[str, Any]) -> Measured:
    """All arms at all budgets."""
    runs = swept(setting, setting["epochs"])
    rate = trials(setting["trials"], setting["range"])[:, 0]
    up = np.argsort(rate)
    series: dict[str, Any] = {"rate": rate[up]}
    for arm, of_arm in runs.items():
        accuracy, at = of_arm.accuracy["test"][..., -1], chosen(of_arm)
        series[f"mean_{arm}"] = accuracy.mean(1)[up]
        series[f"runs_{arm}"] = accuracy[at]
        series[f"lost_{arm}"] = (of_arm.watched[at] < setting["lost_below"]).sum(-1)
    return Measured(
        numbers_of(setting, runs),
        series,
        {
            f"{epochs} epoch{'s' * (epochs > 1)}": numbers_of(setting, swept(setting, epochs))
            for epochs in setting["budgets"]
        },
    )


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""

    def rule(harm: bool, broken: bool, cheap: bool) -> str:
        if harm and broken and cheap:
            return HOLDS
        return DEPENDS if harm or broken else FAILS

    word = combined(
        rule,
        decide(numbers["harm_relu"], threshold["harm"]),
        decide(numbers["broken_relu"], threshold["broken"]),
        at_most(numbers["harm_softmax"], threshold["harm"]),
    )
    n = middle(numbers)
    lost = {arm: f"{n[f'broken_{arm}']:.0%}" if n[f"broken_{arm}"] else "" for arm in ARMS}
    return Verdict(
        word,
        f"Tuned, the median test accuracy is {n['accuracy_logits']:.1%} with logits, "
        f"{n['accuracy_relu']:.1%} with a ReLU and {n['accuracy_softmax']:.1%} with softmax "
        f"twice. On average the ReLU costs {n['harm_relu']:.1f} points and the second softmax "
        f"{n['harm_softmax']:.1f}. Runs that lose a class: {lost['relu'] or 'none'} with a ReLU, "
        f"{lost['softmax'] or 'none'} with softmax twice, {lost['logits'] or 'none'} with logits.",
        f"调优后测试准确率的中位数：logits {n['accuracy_logits']:.1%}，ReLU "
        f"{n['accuracy_relu']:.1%}，两次 softmax {n['accuracy_softmax']:.1%}。平均而言 ReLU 损失 "
        f"{n['harm_relu']:.1f} 个百分点，第二次 softmax 损失 {n['harm_softmax']:.1f} 个。丢失某类的"
        f"训练：ReLU {lost['relu'] or '无'}，两次 softmax {lost['softmax'] or '无'}，logits "
        f"{lost['logits'] or '无'}。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """Each run; the mean over the learning rate."""
    s, n = measured.series, measured.numbers
    runs, mean = style.panels(figure, [2.3, 2.6])
    looks = {
        "logits": (style.BLUE, "-", "logits"),
        "relu": (style.RED, "--", "ReLU"),
        "softmax": (style.ORANGE, "-.", "softmax twice"),
    }
    for i, (arm, (colour, dashes, label)) in enumerate(looks.items()):
        accuracy, lost = 100 * s[f"runs_{arm}"], s[f"lost_{arm}"]
        height = -i + np.linspace(-0.22, 0.12, len(accuracy))
        runs.plot(accuracy[lost == 0], height[lost == 0], "o", color=colour, markersize=4.5)
        runs.plot(accuracy[lost > 0], height[lost > 0], "x", color=colour, markersize=5.5)
        text = f"{(lost > 0).sum()} of {len(lost)} runs lose a class"
        runs.text(0.02, -i + 0.22, text, transform=runs.get_yaxis_transform(), fontsize=8.5)
        mean.plot(s["rate"], 100 * s[f"mean_{arm}"], color=colour, linestyle=dashes, label=label)
        at = int(abs(np.log(s["rate"] / n[f"rate_{arm}"])).argmin())
        mean.plot(s["rate"][at], 100 * s[f"mean_{arm}"][at], "o", color=colour)
    runs.set(title="Each run, tuned (×: it lost a class)")
    runs.set(xlabel="test accuracy (%)", ylim=(-2.5, 0.55))
    runs.set_yticks([0, -1, -2], [label for *_, label in looks.values()])
    height = 100 * s["mean_relu"].min() + 72 * np.ptp(s["mean_relu"])
    text = f"tuned: {n['harm_relu']['estimate']:.1f} points below logits"
    look = {"fontsize": 8.5, "color": style.ink(style.RED), "va": "top", "ha": "center"}
    mean.text(n["rate_relu"], height, text, **look)
    mean.set(title="Mean over the seeds (dot: chosen)", xscale="log")
    mean.set(xlabel="Adam's learning rate", ylabel="test accuracy (%)")
    mean.legend(loc="lower left")
