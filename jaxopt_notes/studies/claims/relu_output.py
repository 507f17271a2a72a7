"""A ReLU after the output layer, at several rates."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from jaxopt_notes.conventions import notes
from jaxopt_notes.data import load
from jaxopt_notes.losses import cross_entropy
from jaxopt_notes.models import MLP, pure
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
from jaxopt_notes.studies.walks import rates

ABOUT = About(
    number=13,
    title="ReLU after the output layer",
    title_zh="输出层之后的 ReLU",
    kind="comparison",
    claim="A ReLU after the output layer does harm: give logits, or a softmax.",
    claim_zh="输出层之后再加 ReLU 有害：应直接给出 logits 或 softmax。",
    section="The network and its parts, claims",
    equations=("L = −log softmax(relu(z))_y, ∂L/∂z_k = 0 wherever z_k < 0",),
    how="The notes' dense network (64 features here) learns mnist-12k with Adam, with and without "
    "a "
    "ReLU on its logits; same initial weights, same batches, same rates. Each gets its best rate; "
    "and both are compared at Adam's usual 0.001. A class is dead if its output is 0 on every test "
    "image; an image is stuck if the output of its own class is 0, for then nothing pulls it up.",
    how_zh="笔记中的全连接网络（此处 64 个特征）用 Adam 学习 mnist-12k，logits 上加或不加 ReLU；初"
    "始权重、批次、学习率都相同。"
    "各取最佳学习率比较，并在 Adam 常用的 0.001 处比较。若某类的输出在所有测试图像上都是 0，"
    "称该类“死亡”；"
    "若图像自身类别的输出为 0，称该图像卡住，因为没有梯度把它拉起来。",
    setting={
        "seeds": 7,
        "features": 64,
        "images": 5000,
        "batch": 64,
        "steps": 600,
        "rates": [1e-4, 1e-1, 7],
        "usual_rate": 1e-3,
    },
    quick={"seeds": 5, "images": 2000, "steps": 200, "rates": [1e-4, 1e-1, 4]},
    measured={
        "harm_best": (
            "accuracy lost by the ReLU, each at its best rate (points)",
            "ReLU 造成的准确率损失，各取最佳学习率（百分点）",
        ),
        "harm_usual": ("the same at 0.001 (points)", "同上，学习率 0.001（百分点）"),
        "plain_best": ("test accuracy without, best rate", "不加 ReLU 的测试准确率，最佳学习率"),
        "relu_best": ("test accuracy with, best rate", "加 ReLU 的测试准确率，最佳学习率"),
        "dead_usual": (
            "dead classes of 10, with, at 0.001",
            "加 ReLU、学习率 0.001 时的死亡类别数（共 10）",
        ),
        "stuck_usual": (
            "share of test images stuck, with, at 0.001",
            "加 ReLU、学习率 0.001 时卡住的测试图像比例",
        ),
        "dead_runs": (
            "share of all runs with a ReLU that have a dead class",
            "所有加 ReLU 的训练中出现死亡类别的比例",
        ),
    },
    threshold={"harm": 1.0},
    rule="Holds if the ReLU costs {harm:g} point of test accuracy or more (median) both at the "
    "best "
    "rates and at the usual one; depends if at one of the two; fails if at neither.",
    rule_zh="若在最佳学习率和常用学习率下，ReLU 都使测试准确率（中位数）降低 {harm:g} 个百分点以"
    "上，则成立；"
    "只在其一则视情况而定；都没有则不成立。",
    picture="Above, test accuracy over the rate, with and without the ReLU, medians and the range "
    "of the seeds: level at the smallest rates, at all others better without, and the range with "
    "it is wide. Below, how many classes are dead at each rate.",
    picture_zh="上：测试准确率随学习率变化，加与不加 ReLU（中位数与各种子的范围）："
    "最小的学习率下持平，其余处不加 ReLU 的更高，加了 ReLU 的波动很大。下：各学习率下死亡类别数。",
    remark="The function itself is not to blame: a softmax does not change when all logits are "
    "raised, so positive ones could say everything. It is the gradient: a class whose output is 0 "
    "is not pulled up by its own images, and once dead it stays so.",
    remark_zh="问题不在函数的表达能力：所有 logits 同时加一个数，softmax 不变，"
    "所以正数也能表达一切。问题在梯度："
    "输出为 0 的类不会被自己的图像拉起来，一旦死去就不再复活。",
    sources=(
        "Goodfellow, Bengio & Courville 2016, “Deep Learning”, §6.2.2.3",
        "Lu et al. 2020, “Dying ReLU and Initialization”",
    ),
)


def logits_of(z: jax.Array, relu: bool) -> jax.Array:
    """What the loss is given."""
    return jax.nn.relu(z) if relu else z


def trained(setting: dict[str, Any], relu: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Test accuracy, dead classes, and share of stuck images, each (seeds, rates)."""
    data = load("mnist-12k")
    order = np.random.default_rng(0).permutation(len(data.train_labels))[: setting["images"]]
    x, y = _normal(data.train_images[order]), jnp.asarray(data.train_labels[order])
    test_x, test_y = _normal(data.test_images), jnp.asarray(data.test_labels)
    models = [
        pure(MLP(nnx.Rngs(seed), widths=(setting["features"],))) for seed in range(setting["seeds"])
    ]
    starts = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(m.params for m in models))
    apply = models[0].apply

    def one(start: Any, seed: jax.Array, rate: jax.Array) -> Any:
        optimizer = notes.adam(rate)

        def loss(p: Any, rows: jax.Array) -> jax.Array:
            return cross_entropy(logits_of(apply(p, {}, x[rows])[0], relu), y[rows]).mean()

        def step(carry: Any, key: jax.Array) -> Any:
            p, state = carry
            rows = jax.random.choice(key, len(y), (setting["batch"],))
            updates, state = optimizer.update(jax.grad(loss)(p, rows), state, p)
            return (jax.tree.map(jnp.add, p, updates), state), None

        keys = jax.random.split(jax.random.key(seed), setting["steps"])
        p = lax.scan(step, (start, optimizer.init(start)), keys)[0][0]
        z = apply(p, {}, test_x)[0]
        guess = logits_of(z, relu).argmax(-1)
        own = jnp.take_along_axis(z, test_y[:, None], 1)[:, 0]
        return (guess == test_y).mean(), (z <= 0).all(0).sum(), (own <= 0).mean()

    over_rates = jax.vmap(one, (None, None, 0))
    tried, seeds = jnp.asarray(rates(setting), jnp.float32), jnp.arange(setting["seeds"])
    run = jax.jit(lambda a: lax.map(lambda b: over_rates(b[0], b[1], tried), a))
    accuracy, dead, stuck = run((starts, seeds))
    return np.asarray(accuracy), np.asarray(dead), np.asarray(stuck)


def _normal(images: np.ndarray) -> jax.Array:
    return jnp.asarray((images / 255.0 - 0.1307) / 0.3081, jnp.float32)  # MNIST's mean, deviation


def measure(setting: dict[str, Any]) -> Measured:
    """With and without, at every rate."""
    tried = rates(setting)
    plain, _, _ = trained(setting, relu=False)
    with_relu, dead, stuck = trained(setting, relu=True)
    best = [np.median(accuracy, axis=0).argmax() for accuracy in (plain, with_relu)]
    usual = abs(np.log(tried / setting["usual_rate"])).argmin()
    numbers = {
        "harm_best": spread(100 * (plain[:, best[0]] - with_relu[:, best[1]])),
        "harm_usual": spread(100 * (plain[:, usual] - with_relu[:, usual])),
        "plain_best": spread(plain[:, best[0]]),
        "relu_best": spread(with_relu[:, best[1]]),
        "dead_usual": spread(dead[:, usual]),
        "stuck_usual": spread(stuck[:, usual]),
        "dead_runs": float((dead > 0).mean()),
    }
    series: dict[str, Any] = {"rate": tried}
    for name, values in (("plain", plain), ("relu", with_relu), ("dead", dead)):
        for i, row in enumerate(values):
            series[f"{name}_{i}"] = row
    return Measured(numbers, series)


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n = {name: x["median"] if isinstance(x, dict) else x for name, x in numbers.items()}
    harm = [n[f"harm_{at}"] >= threshold["harm"] for at in ("best", "usual")]
    word = HOLDS if all(harm) else DEPENDS if any(harm) else FAILS
    return Verdict(
        word,
        f"The ReLU costs {n['harm_best']:.1f} points of test accuracy at the best rates "
        f"({n['plain_best']:.1%} without, {n['relu_best']:.1%} with) and {n['harm_usual']:.1f} at "
        f"0.001; {n['dead_runs']:.0%} of the runs with it have a dead class.",
        f"最佳学习率下 ReLU 使测试准确率降低 {n['harm_best']:.1f} 个百分点（不加 "
        f"{n['plain_best']:.1%}，加 "
        f"{n['relu_best']:.1%}），学习率 0.001 时降低 {n['harm_usual']:.1f} 个；加 ReLU 的训练有 "
        f"{n['dead_runs']:.0%} "
        "出现死亡类别。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """Accuracy and dead classes over the rate."""
    s = measured.series
    accuracy, dead = style.panels(figure, [2.8, 2.0])
    looks = {
        "plain": {"color": style.BLUE, "linestyle": "-", "label": "logits"},
        "relu": {"color": style.RED, "linestyle": "--", "label": "with a ReLU"},
    }
    for name, look in looks.items():
        values = 100 * np.array([v for n, v in s.items() if n.startswith(f"{name}_")])
        style.band(accuracy, s["rate"], values, look)
    accuracy.set(title="Test accuracy", xlabel="Adam's rate α", ylabel="accuracy (%)", xscale="log")
    accuracy.legend(loc="lower center")
    counts = np.array([v for n, v in s.items() if n.startswith("dead_")])
    style.band(dead, s["rate"], counts, looks["relu"])
    dead.set(title="Dead classes with the ReLU", xlabel="Adam's rate α", ylabel="of 10 classes")
    dead.set(xscale="log", ylim=(0, 10))
