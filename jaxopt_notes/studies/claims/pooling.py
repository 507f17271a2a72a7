"""Four ways to shrink an image in the notes' CNN: accuracy, parameters, time."""

import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from tqdm import tqdm

from jaxopt_notes.conventions import notes
from jaxopt_notes.data import epoch_order
from jaxopt_notes.models import CNN, PureModel, pure
from jaxopt_notes.models.pooling import POOLINGS
from jaxopt_notes.models.summary import summarize
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
from jaxopt_notes.studies.sweeps import deal, trials
from jaxopt_notes.training.loop import compile_stretch, evaluate, pad, zero_sums
from jaxopt_notes.training.schedules import schedule
from jaxopt_notes.training.state import create
from jaxopt_notes.training.step import make_eval_step, make_train_step

ABOUT = About(
    number=15,
    title="Four ways to shrink an image",
    title_zh="缩小图像的四种方式",
    kind="comparison",
    claim="An image can be shrunk by max pooling, by average pooling, by a stride of 2, or by a "
    "global average pool in place of the dense layers.",
    claim_zh="可用最大池化、平均池化、步幅 2、或以全局平均池化代替全连接层来缩小图像。",
    section="The network and its parts, down-sampling",
    how="The notes' CNN in its four forms learns part of MNIST by Adam. Each form gets the same "
    "quasi-random rates; images kept aside choose one; five seeds are trained with it, and test "
    "images judge. Parameters and multiply-adds are counted on the network. The time of a step is "
    "measured in turns and given as a multiple of max pooling's, the median and the quartiles of "
    "the turns; it is that of one machine and of this package's convolutions.",
    how_zh="笔记的 CNN 以四种形式用 Adam 学习 MNIST 的一部分。每种形式试同样的拟随机学习率，由留出"
    "的图像选定，再用五个种子训练，用测试图像评判。参数和乘加次数在网络上数出。每步时间轮流测量，"
    "以最大池化的倍数给出：中位数，括号内为各轮的四分位数；它只属于一台机器和本包的卷积实现。",
    setting={
        "seeds": 5,
        "images": 2000,
        "features": [32, 64],
        "hidden": 128,
        "batch": 64,
        "epochs": 8,
        "trials": 5,
        "range": [3e-4, 0.1],
        "rounds": 9,
        "timed_steps": 4,
    },
    quick={
        "images": 512,
        "epochs": 4,
        "trials": 3,
        "features": [8, 16],
        "rounds": 3,
        "timed_steps": 2,
    },
    measured={
        "accuracy_max": ("test accuracy, max pooling", "最大池化测试准确率"),
        "accuracy_average": ("average pooling", "平均池化"),
        "accuracy_stride": ("stride of 2", "步幅 2"),
        "accuracy_gap": ("global average pool", "全局平均池化"),
        "parameters_max": ("parameters, max pooling", "参数量，最大池化"),
        "parameters_average": ("average pooling", "平均池化"),
        "parameters_stride": ("stride of 2", "步幅 2"),
        "parameters_gap": ("global average pool", "全局平均池化"),
        "work_average": (
            "multiply-adds over max pooling's, average",
            "乘加次数与最大池化之比，平均",
        ),
        "work_stride": ("stride of 2", "步幅 2"),
        "work_gap": ("global average pool", "全局平均池化"),
        "time_average": ("time of a step over max pooling's, average", "每步时间之比，平均池化"),
        "time_stride": ("stride of 2", "步幅 2"),
        "time_gap": ("global average pool", "全局平均池化"),
    },
    threshold={"points": 1.0},
    rule="A form is as good as max pooling if its test accuracy is at most {points:g} point below "
    "(medians over the seeds). Holds if all three others are, fails if none is, else it depends.",
    rule_zh="测试准确率（中位数）比最大池化至多低 {points:g} 个百分点，算与之相当。其余三种都相当"
    "则成立，都不相当则不成立，否则视情况而定。",
    picture="Three panels with a row for each form. Test accuracy with the range of the seeds: max "
    "and average pooling lead, the stride follows, the global average is far behind. Parameters on "
    "a logarithmic scale: the global average has some twenty times fewer. Time of a step: the "
    "stride is quickest.",
    picture_zh="三幅图，每种形式一行。测试准确率及种子间的范围：最大与平均池化领先，步幅次之，全局"
    "平均远远落后。参数量（对数坐标）：全局平均约少二十倍。每步时间：步幅最快。",
    remark="All four shrink the image alike, but not at the same price. A stride throws away three "
    "of four results before it has them, and saves their work; what is lost in accuracy a deeper "
    "network makes up for (Springenberg et al. 2015). The global average leaves out nearly all "
    "parameters, as a regulariser for networks whose last channels are already one a class (Lin "
    "et al. 2014); after two small blocks it learns slowly, and is far from its best in so short a "
    "run. Average pooling is no more work than max pooling: it takes longer here because this "
    "package has a quick convolution for max pooling only.",
    remark_zh="四种方式都能缩小图像，但代价不同。步幅 2 不计算四分之三的结果，省下其工作量；损失的"
    "准确率可由更深的网络弥补（Springenberg 等 2015）。全局平均几乎去掉所有参数，本是给最后通道已"
    "与类别对应的网络作正则用的（Lin 等 2014）；在两个小块之后它学得慢，这样短的训练远未到其最好。"
    "平均池化的工作量并不比最大池化多，这里较慢是因为本包只为最大池化写了快速卷积。",
    sources=(
        "Scherer, Müller & Behnke 2010, “Evaluation of Pooling Operations in Convolutional "
        "Architectures”",
        "Springenberg et al. 2015, “Striving for Simplicity: The All Convolutional Net”",
        "Lin, Chen & Yan 2014, “Network in Network”, §3.2",
    ),
)


class Form(NamedTuple):
    """A network of one form, compiled: its models (a seed each) and what runs them."""

    models: list[PureModel]
    optimizer: optax.GradientTransformation
    stretch: Any
    evaluation: Any
    rows: list[Any]  # of each seed: (steps, batch)


def network(pooling: str, seed: int, setting: dict[str, Any]) -> CNN:
    """The CNN of this form as the seed starts it."""
    features, hidden = tuple(setting["features"]), setting["hidden"]
    return CNN(nnx.Rngs(seed), features=features, hidden=hidden, pooling=pooling)


def compiled(pooling: str, setting: dict[str, Any]) -> Form:
    """Compiles training and evaluation once for all rates and seeds."""
    parts = deal(setting["images"])
    models = [pure(network(pooling, seed, setting)) for seed in range(setting["seeds"])]
    rows = [order(seed, setting) for seed in range(setting["seeds"])]
    unit = schedule("cosine", 1.0, len(rows[0]))
    # The rate is part of the state, so that another one needs no other program.
    optimizer = optax.inject_hyperparams(lambda rate: notes.adam(lambda step: rate * unit(step)))(
        rate=1e-3
    )
    begun = create(models[0], optimizer, jax.random.key(0))
    step = make_train_step(models[0], optimizer, parts.normalize)
    stretch = compile_stretch(step, begun, parts.train, rows[0])
    evaluation = jax.jit(make_eval_step(models[0], parts.normalize))
    return Form(models, optimizer, stretch, evaluation, rows)


def order(seed: int, setting: dict[str, Any]) -> jax.Array:
    """Rows of the training images for each step."""
    epochs = range(setting["epochs"])
    each = [epoch_order(seed, e, setting["images"], setting["batch"]) for e in epochs]
    return jnp.asarray(np.concatenate(each))


def trained(form: Form, seed: int, rate: float, setting: dict[str, Any]) -> tuple[float, float]:
    """Loss on the images kept aside, and test accuracy, after a whole run."""
    parts, rows = deal(setting["images"]), form.rows[seed]
    state = create(form.models[seed], form.optimizer, jax.random.key(seed))
    state.opt_state.hyperparams["rate"] = jnp.asarray(rate, jnp.float32)
    bounds = np.int32(0), np.int32(len(rows))
    state, _ = form.stretch(state, zero_sums(), parts.train, rows, *bounds)
    held, test = (
        evaluate(
            form.evaluation,
            state.params,
            state.batch_stats,
            pad(np.asarray(x.images), np.asarray(x.labels), 500),
        )
        for x in (parts.held, parts.test)
    )
    return held.loss if np.isfinite(held.loss) else np.inf, test.accuracy


def times(forms: dict[str, Form], setting: dict[str, Any]) -> dict[str, np.ndarray]:
    """Seconds of a few steps of each form, (rounds,): they take turns."""
    parts = deal(setting["images"])
    states = {
        name: create(form.models[0], form.optimizer, jax.random.key(0))
        for name, form in forms.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in forms}
    bounds = np.int32(0), np.int32(setting["timed_steps"])
    for _ in tqdm(range(setting["rounds"]), desc="time", unit="round", leave=False, disable=None):
        for name, form in forms.items():
            began = time.perf_counter()
            states[name], sums = form.stretch(
                states[name], zero_sums(), parts.train, form.rows[0], *bounds
            )
            float(sums.loss)
            taken[name].append(time.perf_counter() - began)
    return {name: np.asarray(found) for name, found in taken.items()}


def measure(setting: dict[str, Any]) -> Measured:
    """Each form: rate, accuracy, size, time."""
    tried = trials(setting["trials"], setting["range"])[:, 0]
    forms = {pooling: compiled(pooling, setting) for pooling in POOLINGS}
    numbers: dict[str, Any] = {}
    series: dict[str, Any] = {}
    work = {}
    jobs = len(forms) * (len(tried) + setting["seeds"])
    with tqdm(total=jobs, desc="train", unit="run", leave=False, disable=None) as bar:
        for pooling, form in forms.items():
            held = []
            for rate in tried:
                held.append(trained(form, 0, rate, setting)[0])
                bar.update()
            best = tried[int(np.argmin(held))]
            accuracy = []
            for seed in range(setting["seeds"]):
                accuracy.append(trained(form, seed, best, setting)[1])
                bar.update()
            rows = summarize(network(pooling, 0, setting))
            work[pooling] = sum(row.multiply_adds for row in rows)
            numbers[f"accuracy_{pooling}"] = spread(accuracy)
            numbers[f"parameters_{pooling}"] = sum(row.parameters for row in rows)
            series[f"accuracy_{pooling}"] = np.asarray(accuracy)
            series[f"parameters_{pooling}"] = [numbers[f"parameters_{pooling}"]]
            series[f"rate_{pooling}"] = [best]
    taken = times(forms, setting)
    for pooling in POOLINGS[1:]:
        ratio = np.quantile(taken[pooling] / taken["max"], [0.25, 0.5, 0.75])
        numbers[f"time_{pooling}"] = spread(ratio)
        numbers[f"work_{pooling}"] = work[pooling] / work["max"]
        series[f"time_{pooling}"] = ratio
    return Measured(numbers, series)


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n = {name: x["median"] if isinstance(x, dict) else x for name, x in numbers.items()}
    least = n["accuracy_max"] - threshold["points"] / 100
    good = [n[f"accuracy_{pooling}"] >= least for pooling in POOLINGS[1:]]
    word = HOLDS if all(good) else DEPENDS if any(good) else FAILS
    a = {pooling: f"{n[f'accuracy_{pooling}']:.1%}" for pooling in POOLINGS}
    p = {pooling: f"{n[f'parameters_{pooling}']:,.0f}" for pooling in POOLINGS}
    return Verdict(
        word,
        f"Test accuracy: max {a['max']}, average {a['average']}, stride {a['stride']}, global "
        f"average {a['gap']}. Parameters: {p['max']}, but {p['gap']} with the global average. A "
        f"step takes {n['time_average']:.2f}, {n['time_stride']:.2f} and {n['time_gap']:.2f} times "
        "max pooling's.",
        f"测试准确率：最大 {a['max']}，平均 {a['average']}，步幅 {a['stride']}，全局平均 "
        f"{a['gap']}。参数量：{p['max']}，全局平均 {p['gap']}。每步时间为最大池化的 "
        f"{n['time_average']:.2f}、{n['time_stride']:.2f}、{n['time_gap']:.2f} 倍。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """A row for each form."""
    s = measured.series
    accuracy, size, slower = style.panels(figure, [1.8, 1.8, 1.6])
    labels = {"max": "max", "average": "average", "stride": "stride 2", "gap": "global avg"}
    colours = dict(zip(POOLINGS, (style.BLUE, style.GREEN, style.ORANGE, style.PURPLE)))
    for i, pooling in enumerate(POOLINGS):
        colour = colours[pooling]
        style.bar(accuracy, -i, 100 * np.asarray(s[f"accuracy_{pooling}"]), colour)
        size.plot(s[f"parameters_{pooling}"], [-i], "o", color=colour)
        if pooling != "max":
            style.bar(slower, -i, s[f"time_{pooling}"], colour)
    for axes, names in ((accuracy, POOLINGS), (size, POOLINGS), (slower, POOLINGS[1:])):
        axes.set_yticks([-POOLINGS.index(name) for name in names], [labels[n] for n in names])
        axes.margins(y=0.2)
    accuracy.set(title="Test accuracy, five seeds", xlabel="accuracy (%)")
    size.set(title="Parameters", xlabel="numbers learned", xscale="log", xlim=(1e3, 1e6))
    slower.axvline(1, color="#777777", linewidth=1, linestyle="--")
    slower.set(title="Time of a step", xlabel="times max pooling's (middle half of the turns)")
