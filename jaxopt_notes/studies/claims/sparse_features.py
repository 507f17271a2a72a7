"""AdaGrad on words: rates by how often a word comes, and whether that helps."""

import ast
import collections
import re
import sysconfig
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxopt_notes.conventions import notes
from jaxopt_notes.errors import InputError
from jaxopt_notes.losses import cross_entropy
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
    number=3,
    title="AdaGrad on sparse features",
    title_zh="稀疏特征上的 AdaGrad",
    claim="AdaGrad gives often-updated parameters a falling rate and rarely-updated ones a larger "
    "one: good for sparse features, as words are.",
    claim_zh="AdaGrad 使频繁更新的参数学习率下降，而很少更新的参数学习率较大：适合稀疏特征（如单"
    "词）。",
    section="Claims about the optimizers, 3",
    equations=("effective rate of a parameter: α / √G_t", "logits = W · (words of the text) + b"),
    how="The docstrings of ten packages of Python's own library, which is on every machine that "
    "can "
    "run this, as bags of words; softmax regression has to tell the package. 60 % of the texts "
    "train, 20 % choose each optimizer's rate out of the same ones, 20 % test; the seed deals the "
    "texts. A word's effective rate is read off AdaGrad's own state at the end.",
    how_zh="把 Python 标准库十个包的文档字符串（凡能运行本程序的机器上都有）当作词袋，用 softmax 回"
    "归判断属于哪个包。"
    "60 % 的文本训练，20 % 在同一组学习率中为每个优化器选取，20 % 测试；随机种子决定划分。"
    "单词的有效学习率在结束时从 AdaGrad 自身的状态读出。",
    setting={
        "packages": "asyncio email http importlib logging multiprocessing tkinter unittest urllib "
        "xml",
        "seeds": 5,
        "words": 1200,
        "batch": 32,
        "steps": 600,
        "rates": [1e-3, 1e3, 19],
    },
    quick={"words": 600, "steps": 300, "rates": [1e-3, 1e3, 13]},
    measured={
        "slope": (
            "power of a word's number of texts with which its effective rate goes",
            "单词有效学习率随其出现文本数变化的幂指数",
        ),
        "better": (
            "AdaGrad's test loss over SGD's, on the same texts",
            "同样文本上 AdaGrad 与 SGD 测试损失之比",
        ),
        "loss_sgd": ("test loss of SGD (nats)", "SGD 测试损失（奈特）"),
        "loss_momentum": ("test loss of momentum", "动量测试损失"),
        "loss_adagrad": ("test loss of AdaGrad", "AdaGrad 测试损失"),
        "loss_rmsprop": ("test loss of RMSProp", "RMSProp 测试损失"),
        "loss_adam": ("test loss of Adam", "Adam 测试损失"),
        "accuracy_sgd": ("test accuracy of SGD", "SGD 测试准确率"),
        "accuracy_adagrad": ("test accuracy of AdaGrad", "AdaGrad 测试准确率"),
        "texts": ("texts", "文本数"),
    },
    threshold={"slope": -0.25, "better": 0.95},
    rule="Holds if a word's effective rate goes as its number of texts to the power {slope:g} or "
    "less, and AdaGrad's test loss is at most {better:g} times SGD's (median over the seeds). "
    "Depends if only one "
    "of the two is so; fails if neither.",
    rule_zh="若单词有效学习率随文本数变化的幂指数不高于 {slope:g}，"
    "且 AdaGrad 的测试损失不超过 SGD 的 "
    "{better:g} 倍（中位数），则成立；"
    "只满足其一则视情况而定；都不满足则不成立。",
    picture="Above, each word as a dot: its effective rate over the number of texts that hold it, "
    "falling. Below, the test loss of five optimizers over their rate, U-shaped curves, and the "
    "lowest point of each.",
    picture_zh="上：每个点是一个单词，其有效学习率随含它的文本数下降。下：五种优化器的测试损失随学"
    "习率变化的 U 形曲线及各自最低点。",
    remark="The rates do as the notes say. How much that is worth depends on what it is held "
    "against: the notes compare with plain SGD, whose one rate must serve common and rare words "
    "alike; RMSProp and Adam divide by a root of their own.",
    remark_zh="学习率确如笔记所说。其价值取决于与谁比较：笔记比较的是普通 SGD，它的单一学习率要同时"
    "顾及常见词与罕见词；"
    "RMSProp 与 Adam 也各自除以均方根。",
    sources=(
        "Duchi, Hazan & Singer 2011, “Adaptive Subgradient Methods for Online Learning and "
        "Stochastic Optimization”, §1",
        "Python's standard library (PSF licence), as installed",
    ),
)

OPTIMIZERS = {
    name: getattr(notes, name) for name in ("sgd", "momentum", "adagrad", "rmsprop", "adam")
}


class Texts(NamedTuple):
    """Bags of words (texts, words), each of length 1, and which package each is of."""

    bags: np.ndarray
    labels: np.ndarray


def docstrings(package: str) -> list[list[str]]:
    """The words of each docstring of a package of Python's library; of five words and more."""
    folder = Path(sysconfig.get_path("stdlib")) / package
    found = []
    for path in sorted(folder.rglob("*.py")):
        if {"test", "tests"} & set(path.relative_to(folder).parts):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
                words = re.findall("[a-z]{2,}", (ast.get_docstring(node) or "").lower())
                found += [words] if len(words) >= 5 else []
    return found


def load(packages: list[str], most: int) -> Texts:
    """All texts, with the words that are in most of them.

    Raises:
      InputError: fewer than two of the packages are installed with docstrings.
    """
    texts = [(words, i) for i, package in enumerate(packages) for words in docstrings(package)]
    labels = np.array([label for _, label in texts])
    if len(np.unique(labels)) < 2:
        raise InputError("sparse-features: this Python came without its library's sources")
    counted = collections.Counter(word for words, _ in texts for word in set(words))
    kept = sorted(counted, key=lambda word: (-counted[word], word))[:most]
    place = {word: i for i, word in enumerate(kept)}
    bags = np.zeros((len(texts), len(kept)), np.float32)
    for bag, (words, _) in zip(bags, texts):
        for word in set(words) & place.keys():
            bag[place[word]] = 1
    length = np.sqrt(bags.sum(1, keepdims=True))
    return Texts(bags / np.maximum(length, 1), labels)


def fitted(name: str, texts: Texts, setting: dict[str, Any]) -> Any:
    """Parameters and optimizer state after training, for all (seeds, rates)."""
    x, y = jnp.asarray(texts.bags), jnp.asarray(texts.labels)
    classes = len(setting["packages"].split())
    zero = {"w": jnp.zeros((x.shape[1], classes)), "b": jnp.zeros(classes)}
    tried = jnp.asarray(rates(setting), jnp.float32)

    def loss(p: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        return cross_entropy(x @ p["w"] + p["b"], y).mean()

    def train(rows: jax.Array, rate: jax.Array) -> Any:
        optimizer = OPTIMIZERS[name](rate)

        def step(carry: Any, rows: jax.Array) -> Any:
            p, state = carry
            updates, state = optimizer.update(jax.grad(loss)(p, x[rows], y[rows]), state, p)
            return (jax.tree.map(jnp.add, p, updates), state), None

        return lax.scan(step, (zero, optimizer.init(zero)), rows)[0]

    over = jax.jit(jax.vmap(jax.vmap(train, (None, 0)), (0, None)))
    rows = [batches(seed, len(y), setting) for seed in range(setting["seeds"])]
    return over(jnp.asarray(np.stack(rows)), tried)


def dealt(seed: int, count: int) -> list[np.ndarray]:
    """Which texts train, choose, and test."""
    order = np.random.default_rng(seed).permutation(count)
    return np.split(order, [count * 3 // 5, count * 4 // 5])


def batches(seed: int, count: int, setting: dict[str, Any]) -> np.ndarray:
    """Rows of the training texts for each step, each epoch in another order."""
    training, steps, size = dealt(seed, count)[0], setting["steps"], setting["batch"]
    rng = np.random.default_rng(seed + 1000)
    epochs = -(-steps * size // len(training))
    rows = np.concatenate([rng.permutation(training) for _ in range(epochs)])
    return rows[: steps * size].reshape(steps, size)


def scores(p: Any, texts: Texts, setting: dict[str, Any]) -> np.ndarray:
    """(choose or test, loss or accuracy, seeds, rates)."""

    def one(p: Any, x: jax.Array, y: jax.Array) -> Any:
        z = x @ p["w"] + p["b"]
        return jnp.stack([cross_entropy(z, y).mean(), (z.argmax(-1) == y).mean()])

    count, found = len(texts.labels), []
    for seed in range(setting["seeds"]):
        mine = jax.tree.map(lambda leaf, s=seed: leaf[s], p)
        found.append(
            [
                jax.vmap(one, (0, None, None))(mine, texts.bags[rows], texts.labels[rows])
                for rows in dealt(seed, count)[1:]
            ]
        )
    return np.moveaxis(np.asarray(found), (0, 1, 2, 3), (2, 0, 3, 1))


def measure(setting: dict[str, Any]) -> Measured:
    """Every optimizer at every rate; AdaGrad's own rates by word."""
    texts = load(setting["packages"].split(), setting["words"])
    tried = rates(setting)
    numbers: dict[str, Any] = {}
    series: dict[str, Any] = {"rate": tried}
    lost: dict[str, np.ndarray] = {}
    for name in OPTIMIZERS:
        p, state = fitted(name, texts, setting)
        choosing, testing = scores(p, texts, setting)
        median = np.median(np.nan_to_num(choosing[0], nan=np.inf), axis=0)
        best = median.argmin()
        lost[name] = testing[0][:, best]
        numbers[f"loss_{name}"] = spread(lost[name])
        series[name] = np.median(testing[0], axis=0)
        if name in ("sgd", "adagrad"):
            numbers[f"accuracy_{name}"] = spread(testing[1][:, best])
        if name == "adagrad":
            root = np.sqrt(np.asarray(state[0].sum_of_squares["w"])[:, best].mean(-1))
            counts, effective, slopes = by_word(texts, root, tried[best], setting)
            numbers["slope"] = spread(slopes)
            series |= {"texts_with_word": counts, "effective_rate": effective}
    numbers["better"] = spread(lost["adagrad"] / lost["sgd"])
    return Measured({**numbers, "texts": len(texts.labels)}, series)


def by_word(texts: Texts, root: np.ndarray, rate: float, setting: dict[str, Any]) -> Any:
    """Of the first seed each word's texts and effective rate; of all, the slope of their logs."""
    slopes = []
    for seed in reversed(range(setting["seeds"])):
        counts = (texts.bags[dealt(seed, len(texts.labels))[0]] > 0).sum(0)
        seen = (counts > 0) & (root[seed] > 0)
        effective = rate / root[seed][seen]
        slopes.append(np.polyfit(np.log(counts[seen]), np.log(effective), 1)[0])
    return counts[seen], effective, slopes


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule."""
    n = {name: x["median"] if isinstance(x, dict) else x for name, x in numbers.items()}
    falls = n["slope"] <= threshold["slope"]
    better = n["better"] <= threshold["better"]
    word = HOLDS if falls and better else DEPENDS if falls or better else FAILS
    return Verdict(
        word,
        f"A word's effective rate goes as (number of its texts)^{n['slope']:.2f}. The test "
        f"loss is {n['loss_adagrad']:.3f} for AdaGrad and {n['loss_sgd']:.3f} for SGD (RMSProp "
        f"{n['loss_rmsprop']:.3f}, Adam {n['loss_adam']:.3f}), the accuracy "
        f"{n['accuracy_adagrad']:.1%} and {n['accuracy_sgd']:.1%}.",
        f"单词的有效学习率按 (文本数)^{n['slope']:.2f} 变化。测试损失：AdaGrad "
        f"{n['loss_adagrad']:.3f}，SGD "
        f"{n['loss_sgd']:.3f}（RMSProp {n['loss_rmsprop']:.3f}，Adam {n['loss_adam']:.3f}）；准确率"
        f" "
        f"{n['accuracy_adagrad']:.1%} 与 {n['accuracy_sgd']:.1%}。",
    )


def draw(figure: Any, measured: Measured) -> None:
    """Rates by word; loss over the rate."""
    s = measured.series
    words, loss = style.panels(figure, [2.5, 2.9])
    shake = np.exp(np.random.default_rng(0).normal(0, 0.04, len(s["texts_with_word"])))
    colour = style.COLOURS["adagrad"]
    dots = {"color": colour, "markersize": 2.5, "rasterized": True}  # or the SVG would be large
    words.loglog(s["texts_with_word"] * shake, s["effective_rate"], ".", **dots)
    words.set(title="AdaGrad's rate for each word", xlabel="training texts with the word")
    # A few words' gradients are next to nothing, and their rates beyond all others.
    words.set(ylabel="effective rate α/√G", ylim=(None, 2 * np.quantile(s["effective_rate"], 0.99)))
    ceiling = 1.02 * np.log(10)
    for name in OPTIMIZERS:
        shown = np.where(s[name] < ceiling, s[name], np.nan)
        loss.semilogx(s["rate"], shown, **style.line(name))
        loss.plot(s["rate"][np.nanargmin(shown)], np.nanmin(shown), "o", color=style.COLOURS[name])
    loss.set(title="Test loss over the rate", xlabel="rate α", ylabel="cross-entropy (nats)")
    figure.legend(*loss.get_legend_handles_labels(), loc="outside lower center", ncols=3)
