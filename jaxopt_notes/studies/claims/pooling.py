"""Pooling: does it make a CNN indifferent to shifts, and does it lessen overfitting?"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from tqdm import tqdm

from jaxopt_notes.conventions import notes
from jaxopt_notes.data import epoch_order
from jaxopt_notes.models import CNN, PureModel, parameter_count, pure
from jaxopt_notes.models.pooling import POOLINGS
from jaxopt_notes.studies import style
from jaxopt_notes.studies.digits import Deal, deal
from jaxopt_notes.studies.inference import combined, decide, paired_interval
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
from jaxopt_notes.training.loop import compile_stretch, zero_sums
from jaxopt_notes.training.state import TrainState, create
from jaxopt_notes.training.step import make_forward, make_train_step

ABOUT = About(
    number=15,
    title="What pooling gives",
    title_zh="池化带来什么",
    kind="comparison",
    claim="Pooling gives translation invariance and lessens overfitting; a global average pool can "
    "take the dense layers' place.",
    claim_zh="池化带来平移不变性并减轻过拟合；全局平均池化可以代替全连接层。",
    section="The network and its parts, down-sampling",
    equations=(
        "kept = share of test images whose predicted class stays when the image is shifted",
        "overfitting = training accuracy − test accuracy",
    ),
    equations_zh=(
        "不变的比例 = 图像平移后预测类别不变的测试图像所占比例",
        "过拟合 = 训练准确率 − 测试准确率",
    ),
    how="Five CNNs of two convolutions learn 1,000 of MNIST's images by Adam with a cosine "
    "schedule. They differ in their down-sampling: max pooling, average pooling, a stride of 2, a "
    "global average pool after max pooling, and no down-sampling. The network without "
    "down-sampling has fewer channels in its second convolution and a smaller dense layer, so "
    "that it has about as many parameters as the first three. Each network's learning rate is "
    "chosen by accuracy on the validation set; the global average, which learns slowly, gets "
    "twelve times the epochs. Training images are not shifted. Each test image is shifted by 1, "
    "2, 3 or 4 pixels to one of four sides.",
    how_zh="五个两层卷积的 CNN 用 Adam（余弦衰减）学习 MNIST 的 1000 张图像：最大池化、平均池化、"
    "步幅 2、最大池化后接全局平均池化，以及不降采样的网络（第二个卷积的通道与全连接层都较小，使参"
    "数量与前三者相当）。学习率各按验证集准确率选定；学得慢的全局平均训练十二倍的轮数。训练图像不"
    "平移；测试图像各向四边之一平移 1、2、3 或 4 个像素。",
    setting={
        "seeds": 10,
        "images": 1000,
        "features": [16, 32],
        "hidden": 128,
        "unshrunk_features": [16, 8],
        "unshrunk_hidden": 32,
        "batch": 25,
        "epochs": 10,
        "epochs_gap": 120,
        "budgets": [0.3],
        "rates": [1e-3, 3e-3, 1e-2],
        "rates_gap": [1e-2, 2e-2],
        "shifts": [1, 2, 3, 4],
        "official": True,
    },
    quick={
        "seeds": 5,
        "images": 200,
        "features": [1, 8],
        "hidden": 16,
        "unshrunk_features": [1, 1],
        "unshrunk_hidden": 8,
        "batch": 10,
        "epochs": 2,
        "epochs_gap": 4,
        "budgets": [],
        "rates": [1e-2],
        "rates_gap": [1e-2],
        "official": False,
    },
    measured={
        "kept_max_over": (
            "share of predictions kept under shifts, max pooling minus no down-sampling",
            "平移后预测不变的比例：最大池化减不降采样",
        ),
        "kept_average_over": (
            "share of predictions kept under shifts, average pooling minus no down-sampling",
            "同上，平均池化",
        ),
        "kept_stride_over": (
            "share of predictions kept under shifts, stride of 2 minus no down-sampling",
            "同上，步幅 2",
        ),
        "less_max": (
            "overfitting, no down-sampling minus max pooling",
            "过拟合程度：不降采样减最大池化",
        ),
        "less_average": (
            "overfitting, no down-sampling minus average pooling",
            "同上，平均池化",
        ),
        "less_stride": (
            "overfitting, no down-sampling minus stride of 2",
            "同上，步幅 2",
        ),
        "gap_over_max": (
            "test accuracy, global average minus max pooling",
            "测试准确率：全局平均减最大池化",
        ),
        "kept_max": (
            "share of predictions kept, max pooling",
            "预测不变的比例，最大池化",
        ),
        "kept_average": (
            "share of predictions kept, average pooling",
            "预测不变的比例，平均池化",
        ),
        "kept_stride": (
            "share of predictions kept, stride of 2",
            "预测不变的比例，步幅 2",
        ),
        "kept_gap": (
            "share of predictions kept, global average pool",
            "预测不变的比例，全局平均池化",
        ),
        "kept_none": (
            "share of predictions kept, no down-sampling",
            "预测不变的比例，不降采样",
        ),
        "overfit_max": (
            "training minus test accuracy, max pooling",
            "训练减测试准确率，最大池化",
        ),
        "overfit_average": (
            "training minus test accuracy, average pooling",
            "训练减测试准确率，平均池化",
        ),
        "overfit_stride": (
            "training minus test accuracy, stride of 2",
            "训练减测试准确率，步幅 2",
        ),
        "overfit_gap": (
            "training minus test accuracy, global average pool",
            "训练减测试准确率，全局平均池化",
        ),
        "overfit_none": (
            "training minus test accuracy, no down-sampling",
            "训练减测试准确率，不降采样",
        ),
        "accuracy_max": (
            "test accuracy, max pooling",
            "测试准确率，最大池化",
        ),
        "accuracy_average": (
            "test accuracy, average pooling",
            "测试准确率，平均池化",
        ),
        "accuracy_stride": (
            "test accuracy, stride of 2",
            "测试准确率，步幅 2",
        ),
        "accuracy_gap": (
            "test accuracy, global average pool",
            "测试准确率，全局平均池化",
        ),
        "accuracy_none": (
            "test accuracy, no down-sampling",
            "测试准确率，不降采样",
        ),
        "parameters_max": (
            "parameters, with max pooling, average pooling or a stride",
            "参数量：最大池化、平均池化或步幅 2",
        ),
        "parameters_gap": (
            "parameters, with a global average pool",
            "参数量：全局平均池化",
        ),
        "parameters_none": (
            "parameters, without down-sampling",
            "参数量：不降采样",
        ),
    },
    threshold={"kept": 0.02, "overfit": 0.015, "behind": 0.015},
    rule="Invariance: over shifts of 1 to 4 pixels, max and average pooling each keep at least "
    "{kept:.0%} more of all predictions than the network without down-sampling. Overfitting: for "
    "both, training minus test accuracy is at least {overfit:.1%} smaller. Global average: its "
    "test accuracy is at most {behind:.1%} below max pooling's. Holds if all three are true; "
    "fails if none is; else it depends. {undecided}",
    rule_zh="不变性：平移 1 到 4 像素时，最大池化与平均池化保持不变的预测都比不降采样的网络多至"
    "少 {kept:.0%}（占全部预测）。过拟合：两者的训练准确率与测试准确率之差都至少小 {overfit:.1%}。"
    "全局平均：测试准确率比最大池化至多低 {behind:.1%}。三项都满足则成立，都不满足则不成立，否则"
    "视情况而定。{undecided}",
    picture="Two panels. Above, the share of test images whose prediction stays, over the shift "
    "in pixels: the global average stays near 90 %; max and average pooling fall to about a "
    "third at four pixels, a stride of 2 and no down-sampling to about 20 %. Below, a row for "
    "each network: the test accuracy of each seed and the training accuracy, joined by a line. "
    "For the stride, the global average and no down-sampling the line is 1.5 to 1.8 times as "
    "long as for the two pools.",
    picture_zh="两幅图。上：预测不变的测试图像比例随平移像素数变化：全局平均保持在 90 % 左右；最"
    "大与平均池化在 4 像素时降到约三分之一，步幅 2 与不降采样降到约 20 %。下：每个网络一行，画出"
    "各种子的测试准确率与训练准确率，以线相连：步幅 2、全局平均与不降采样的线长是两种池化的 1.5 "
    "到 1.8 倍。",
    remark="Pooling helps with small shifts, but gives no invariance: under a shift of 2 pixels, "
    "pooling keeps one in six of all predictions from changing; under 4 pixels, only a third of "
    "the predictions stay. Azulay & Weiss (2019) find that the convolutional architecture gives "
    "no invariance, since it ignores the sampling theorem. The global average is different: it "
    "adds up a feature wherever it appears, and needs a fortieth of the parameters. Lin et al. "
    "(2014) use it after richer blocks, and call it less prone to overfitting than dense layers. "
    "Here, after two plain convolutions whose features see 10 × 10 pixels, it overfits more than "
    "max pooling with dense layers. Springenberg et al. (2015) find that a convolution with a "
    "larger stride can replace max pooling without loss in accuracy on several benchmarks; in "
    "this small network, on 1,000 images, it loses three points. Scherer et al. (2010) find that "
    "maximum pooling significantly outperforms subsampling; here the average does as well as the "
    "maximum. In a first run the global average had 50 epochs and reached 91.0 %. It now has 120 "
    "epochs, gets nearly all training images right and reaches 91.2 %. Earlier thresholds of 0.5 "
    "points (overfitting) and 1 point (global average) were finer than the intervals of five "
    "seeds; the verdict was the same.",
    remark_zh="池化对小的平移有帮助，但并不带来不变性：平移 2 像素时，有六分之一的预测因池化而不"
    "变；平移 4 像素时，只有三分之一的预测不变。Azulay 与 Weiss（2019）指出卷积结构并不带来不变性，"
    "因为它忽视采样定理。全局平均则不同：同一特征出现在哪里都一样相加，参数只需四十分之一。Lin 等"
    "（2014）把它放在表达力更强的块之后，称它比全连接层更不易过拟合；这里只有两层普通卷积，特征只"
    "看到 10 × 10 像素，它比带全连接层的最大池化过拟合更重。Springenberg 等（2015）发现在若干基准"
    "上可用更大步幅的卷积代替最大池化而不损失准确率；在这个小网络和 1000 张图像上则损失三个百分点。"
    "Scherer 等（2010）发现最大池化显著优于子采样；这里平均与最大同样好。第一次运行时全局平均训"
    "练 50 轮，达到 91.0 %；现在训练 120 轮，训练图像几乎全部正确，达到 91.2 %。此前的阈值（过拟"
    "合 0.5 个百分点，全局平均 1 个百分点）比五个种子的区间还细；结论相同。",
    sources=(
        "Scherer, Müller & Behnke 2010, “Evaluation of Pooling Operations in Convolutional "
        "Architectures”",
        "Springenberg et al. 2015, “Striving for Simplicity: The All Convolutional Net”",
        "Lin, Chen & Yan 2014, “Network in Network”",
        "Azulay & Weiss 2019, “Why do deep convolutional networks generalize so poorly to small "
        "image transformations?”",
    ),
    findings={
        "holds": (
            "Under shifts, pooling keeps {kept_max:.0%} of the predictions, against "
            "{kept_none:.0%} without it; it overfits less, and a global average replaces the "
            "dense layers",
            "平移后，池化使 {kept_max:.0%} 的预测不变（不池化为 {kept_none:.0%}）；过拟合更轻，全"
            "局平均池化可代替全连接层",
        ),
        "depends": (
            "Under shifts, max pooling keeps {kept_max:.0%} of the predictions, against "
            "{kept_none:.0%} without down-sampling; but not every part of the claim is true",
            "平移后，最大池化使 {kept_max:.0%} 的预测不变，不降采样为 {kept_none:.0%}；但论断并非"
            "每一部分都成立",
        ),
        "fails": (
            "Pooling gives neither invariance nor less overfitting here",
            "这里池化既不带来不变性，也不减轻过拟合",
        ),
        "not decided": (
            "These trainings do not decide what pooling gives",
            "这些训练不足以判定池化带来什么",
        ),
    },
    texts={
        "shift (pixels)": "平移（像素）",
        "Test images whose prediction stays": "预测不变的测试图像",
        "max pool": "最大池化",
        "average pool": "平均池化",
        "stride 2": "步幅 2",
        "global average": "全局平均",
        "no down-sampling": "不降采样",
        "accuracy (%)": "准确率（%）",
        "From test (dots) to training accuracy: points": "从测试（圆点）到训练准确率：百分点",
    },
    reachable={
        "holds": {
            "batch": 25,
            "hidden": 4,
            "unshrunk_hidden": 16,
            "epochs_gap": 30,
            "images": 250,
            "seeds": 6,
            "features": [4, 8],
            "unshrunk_features": [4, 2],
            "epochs": 2,
            "rates": [3e-3],
        },
        "fails": {
            "batch": 25,
            "hidden": 64,
            "unshrunk_hidden": 1,
            "seeds": 6,
            "features": [4, 8],
            "unshrunk_features": [4, 2],
            "epochs": 2,
            "rates": [3e-3],
            "images": 500,
            "epochs_gap": 2,
        },
    },
)

FORMS = (*POOLINGS, "none")
LABELS = {
    "max": "max pool",
    "average": "average pool",
    "stride": "stride 2",
    "gap": "global average",
    "none": "no down-sampling",
}


class Unshrunk(nnx.Module):
    """Convolutions 3×3 that leave the image as large as it is, and the CNN's dense layers."""

    def __init__(self, rngs: nnx.Rngs, features: tuple[int, int], hidden: int) -> None:
        he = nnx.initializers.he_normal()
        channels = (1, *features)
        self.blocks = nnx.List(
            [
                nnx.Conv(a, b, (3, 3), padding=1, kernel_init=he, rngs=rngs)
                for a, b in zip(channels, features)
            ]
        )
        self.dense = nnx.Linear(28 * 28 * features[-1], hidden, kernel_init=he, rngs=rngs)
        self.logits = nnx.Linear(hidden, 10, rngs=rngs)

    def __call__(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        """Logits (batch, 10) of images (batch, 28, 28, 1)."""
        x = images
        for conv in self.blocks:
            x = jax.nn.relu(conv(x))
        return self.logits(jax.nn.relu(self.dense(x.reshape(len(x), -1))))


class Form(NamedTuple):
    """A network of one form, compiled: its models (a seed each) and what runs them."""

    models: list[PureModel]
    optimizer: optax.GradientTransformation
    stretch: Any
    forward: Any
    rows: list[jax.Array]  # of each seed: (steps, batch)
    rates: str  # where its learning rates stand in the setting


class Tested(NamedTuple):
    """What the test images show of a form's networks.

    Attributes:
      training: accuracy on the training images, (seeds,).
      right: of each test image (seeds, images).
      stays: whether its prediction stays when it is shifted, likewise.
    """

    training: np.ndarray
    right: np.ndarray
    stays: np.ndarray


def network(form: str, seed: int, setting: dict[str, Any]) -> nnx.Module:
    """The CNN of this form as the seed starts it."""
    rngs = nnx.Rngs(seed)
    if form == "none":
        return Unshrunk(rngs, tuple(setting["unshrunk_features"]), setting["unshrunk_hidden"])
    features, hidden = tuple(setting["features"]), setting["hidden"]
    return CNN(rngs, features=features, hidden=hidden, pooling=form)


def dealt(seed: int, setting: dict[str, Any]) -> Deal:
    """The images of a seed."""
    return deal(setting["images"], seed, setting["official"])


def falling(rate: Any, steps: Any) -> optax.GradientTransformation:
    """Adam whose learning rate falls from `rate` to 0 along half a cosine."""
    return notes.adam(lambda step: rate * 0.5 * (1 + jnp.cos(jnp.pi * step / steps)))


def compiled(form: str, setting: dict[str, Any]) -> Form:
    """Compiles training and evaluation once for all rates, lengths and seeds."""
    seeds, parts = range(setting["seeds"]), dealt(0, setting)
    models = [pure(network(form, seed, setting)) for seed in seeds]
    rows = [order(form, seed, setting) for seed in seeds]
    # Rate and length are part of the state, so that others need no other program.
    optimizer = optax.inject_hyperparams(falling)(rate=1e-3, steps=1.0)
    begun = create(models[0], optimizer, jax.random.key(0))
    step = make_train_step(models[0], optimizer, parts.normalize)
    stretch = compile_stretch(step, begun, parts.train, rows[0])
    forward = jax.jit(make_forward(models[0], parts.normalize))
    rates = "rates_gap" if form == "gap" else "rates"
    return Form(models, optimizer, stretch, forward, rows, rates)


def order(form: str, seed: int, setting: dict[str, Any]) -> jax.Array:
    """Rows of the training images for each step; the global average learns longer."""
    epochs = range(setting["epochs_gap" if form == "gap" else "epochs"])
    each = [epoch_order(seed, e, setting["images"], setting["batch"]) for e in epochs]
    return jnp.asarray(np.concatenate(each))


def trained(
    form: Form, seed: int, rate: float, setting: dict[str, Any], share: float = 1.0
) -> TrainState:
    """The state after a whole run, or one of that share of its steps."""
    steps = round(share * len(form.rows[seed]))
    state = create(form.models[seed], form.optimizer, jax.random.key(seed))
    state.opt_state.hyperparams["rate"] = jnp.asarray(rate, jnp.float32)
    state.opt_state.hyperparams["steps"] = jnp.asarray(steps, jnp.float32)
    data, bounds = dealt(seed, setting).train, (np.int32(0), np.int32(steps))
    state, _ = form.stretch(state, zero_sums(), data, form.rows[seed], *bounds)
    return state


def predicted(form: Form, state: TrainState, images: Any) -> np.ndarray:
    """The class of each image."""
    cut = range(0, len(images), 500)
    logits = [form.forward(state.params, state.batch_stats, images[i : i + 500]) for i in cut]
    return np.concatenate([np.asarray(each).argmax(-1) for each in logits])


def shifted(images: np.ndarray, shifts: Sequence[int]) -> np.ndarray:
    """Image i moved to side i mod 4, by shift (i // 4) mod len(shifts) pixels, black behind it.

    >>> row = np.arange(1, 4).reshape(1, 1, 3, 1)
    >>> shifted(np.concatenate([row, row]), [1])[..., 0].tolist()
    [[[0, 1, 2]], [[2, 3, 0]]]
    """
    moved = np.zeros_like(images)
    for k, by in enumerate(shifts):
        mine = np.arange(len(images)) // 4 % len(shifts) == k
        for side in range(4):
            at = mine & (np.arange(len(images)) % 4 == side)
            there, back = slice(by, None), slice(None, -by)
            to, source = (there, back) if side % 2 == 0 else (back, there)
            if side < 2:
                moved[at, :, to] = images[at, :, source]
            else:
                moved[at, to] = images[at, source]
    return moved


def chosen(form: Form, setting: dict[str, Any]) -> float:
    """The learning rate of the highest validation accuracy, of the first seed."""
    held = dealt(0, setting).held

    def accuracy(rate: float) -> float:
        classes = predicted(form, trained(form, 0, rate, setting), held.images)
        return float((classes == np.asarray(held.labels)).mean())

    return max(setting[form.rates], key=accuracy)


def tested(form: Form, rate: float, share: float, setting: dict[str, Any]) -> Tested:
    """Trains all seeds, and shows them the test images, shifted too."""
    seeds = []
    for seed in range(setting["seeds"]):
        parts = dealt(seed, setting)
        state = trained(form, seed, rate, setting, share)
        images, labels = (np.asarray(x) for x in parts.test)
        train = predicted(form, state, parts.train.images) == np.asarray(parts.train.labels)
        classes = predicted(form, state, images)
        stays = predicted(form, state, shifted(images, setting["shifts"])) == classes
        seeds.append((train.mean(), classes == labels, stays))
    return Tested(*(np.stack(each) for each in zip(*seeds)))


def measure(setting: dict[str, Any]) -> Measured:
    """Each form: rate, then accuracy, overfitting and what shifts change, at each budget."""
    shares = [*setting["budgets"], 1.0]
    at_share: dict[float, dict[str, Tested]] = {share: {} for share in shares}
    series: dict[str, Any] = {"shift": [0, *setting["shifts"]]}
    size = {f: parameter_count(pure(network(f, 0, setting)).params) for f in FORMS}
    for name in tqdm(FORMS, desc="forms", leave=False, disable=None):
        form = compiled(name, setting)
        rate = chosen(form, setting)
        for share in shares:
            at_share[share][name] = tested(form, rate, share, setting)
        last = at_share[1.0][name]
        series[f"kept_{name}"] = by_shift(last.stays, len(setting["shifts"]))
        series[f"training_{name}"], series[f"test_{name}"] = last.training, last.right.mean(1)
        series[f"rate_{name}"] = [rate]
    sizes = {f"parameters_{name}": size[name] for name in ("max", "gap", "none")}
    *budgets, numbers = ({**summary(at_share[share]), **sizes} for share in shares)
    names = [f"{share:.0%} of the epochs" for share in setting["budgets"]]
    return Measured(numbers, series, dict(zip(names, budgets)))


def by_shift(stays: np.ndarray, shifts: int) -> np.ndarray:
    """The share of predictions that stay, (seeds, 1 + shifts); without a shift, all."""
    which = np.arange(stays.shape[1]) // 4 % shifts
    shares = [stays[:, which == k].mean(1) for k in range(shifts)]
    return np.stack([np.ones(len(stays)), *shares], 1)


def summary(forms: dict[str, Tested]) -> dict[str, Any]:
    """The numbers of one budget."""
    numbers: dict[str, Any] = {}
    overfit = {name: each.training[:, None] - each.right for name, each in forms.items()}
    for name, each in forms.items():
        numbers[f"kept_{name}"] = spread(each.stays.mean(1))
        numbers[f"overfit_{name}"] = spread(overfit[name].mean(1))
        numbers[f"accuracy_{name}"] = spread(each.right.mean(1))
    for name in ("max", "average", "stride"):
        numbers[f"kept_{name}_over"] = paired_interval(forms[name].stays, forms["none"].stays)
        numbers[f"less_{name}"] = paired_interval(overfit["none"], overfit[name])
    numbers["gap_over_max"] = paired_interval(forms["gap"].right, forms["max"].right)
    return numbers


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n = middle(numbers)

    def rule(max_kept: bool, average_kept: bool, max_less: bool, average_less: bool, gap: bool):
        good = [max_kept and average_kept, max_less and average_less, gap]
        return HOLDS if all(good) else DEPENDS if any(good) else FAILS

    word = combined(
        rule,
        *(decide(numbers[f"kept_{name}_over"], threshold["kept"]) for name in ("max", "average")),
        *(decide(numbers[f"less_{name}"], threshold["overfit"]) for name in ("max", "average")),
        decide(numbers["gap_over_max"], -threshold["behind"]),
    )

    return Verdict(
        word,
        f"Under shifts of 1 to 4 pixels, {n['kept_max']:.0%} of the predictions stay with max "
        f"pooling, {n['kept_gap']:.0%} with the global average and {n['kept_none']:.0%} without "
        f"down-sampling. Training minus test accuracy is {100 * n['overfit_max']:.1f} points with "
        f"max pooling and {100 * n['overfit_none']:.1f} without down-sampling. The global average "
        f"reaches {n['accuracy_gap']:.1%} test accuracy with {n['parameters_gap']:,.0f} "
        f"parameters, max pooling with its dense layers {n['accuracy_max']:.1%} with "
        f"{n['parameters_max']:,.0f}.",
        f"平移 1 到 4 像素后，预测不变的比例：最大池化 {n['kept_max']:.0%}，全局平均 "
        f"{n['kept_gap']:.0%}，不降采样 {n['kept_none']:.0%}。训练减测试准确率：最大池化 "
        f"{100 * n['overfit_max']:.1f} 个百分点，不降采样 {100 * n['overfit_none']:.1f} 个。全局"
        f"平均用 {n['parameters_gap']:,.0f} 个参数，测试准确率为 {n['accuracy_gap']:.1%}；带全连"
        f"接层的最大池化用 {n['parameters_max']:,.0f} 个，为 {n['accuracy_max']:.1%}。",
    )


COLOURS = dict(zip(FORMS, (style.BLUE, style.GREEN, style.ORANGE, style.PURPLE, style.BLACK)))
DASHES = dict(zip(FORMS, ("-", (0, (6, 2)), (0, (1, 1)), (0, (4, 1.2, 1, 1.2)), "-")))


def draw(figure: Any, measured: Measured) -> None:
    """Predictions kept over the shift; training and test accuracy of each form."""
    s, n = measured.series, middle(measured.numbers)
    shift, overfit = style.panels(figure, [3.0, 2.4])
    x = np.asarray(s["shift"])
    for name in FORMS:
        look = {"color": COLOURS[name], "linestyle": DASHES[name], "label": LABELS[name]}
        style.band(shift, x, 100 * np.reshape(s[f"kept_{name}"], (-1, len(x))), look)
        row = -FORMS.index(name)
        for part, marker in (("training", "|"), ("test", "o")):
            values = 100 * np.asarray(s[f"{part}_{name}"])
            overfit.plot(values, [row] * len(values), marker, color=COLOURS[name], alpha=0.6)
        ends = [100 * np.median(s[f"{part}_{name}"]) for part in ("test", "training")]
        overfit.plot(ends, [row, row], color=COLOURS[name], linewidth=1)
        overfit.text(
            np.mean(ends),
            row + 0.14,
            f"{100 * n[f'overfit_{name}']:.1f}",
            fontsize=8.5,
            ha="center",
        )
    for name in ("gap", "max", "none"):
        end = 100 * float(np.median(np.reshape(s[f"kept_{name}"], (-1, len(x)))[:, -1]))
        ink = style.ink(COLOURS[name])
        shift.text(x[-1] + 0.08, end, f"{end:.0f} %", va="center", fontsize=8.5, color=ink)
    shift.set(title="Test images whose prediction stays", xlabel="shift (pixels)")
    shift.set(ylabel="%", xticks=x, xlim=(-0.2, 1.1 * x[-1]))
    shift.legend(loc="lower left")
    overfit.set_yticks([-i for i in range(len(FORMS))], [LABELS[name] for name in FORMS])
    overfit.margins(y=0.15)
    overfit.set(title="From test (dots) to training accuracy: points", xlabel="accuracy (%)")
