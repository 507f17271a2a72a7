"""AdaGrad on words: learning rates by how often a word comes, and whether that helps."""

import ast
import collections
import re
import sysconfig
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.flatten_util import ravel_pytree

from jaxopt_notes.conventions import notes
from jaxopt_notes.errors import InputError
from jaxopt_notes.losses import cross_entropy
from jaxopt_notes.studies import style
from jaxopt_notes.studies.inference import at_most, combined, decide, median_interval
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
from jaxopt_notes.studies.walks import rates

ABOUT = About(
    number=3,
    title="AdaGrad on sparse features",
    title_zh="稀疏特征上的 AdaGrad",
    kind="comparison",
    claim="AdaGrad lets the learning rate of often updated parameters fall, and keeps a larger "
    "one for rarely updated parameters: good for sparse features such as words.",
    claim_zh="AdaGrad 使频繁更新的参数学习率下降，而很少更新的参数学习率较大：适合稀疏特征（如单"
    "词）。",
    section="Claims about the optimizers, 3",
    equations=(
        "effective learning rate of a parameter: α / √G_t",
        "logits = W · (words of the text) + b",
    ),
    equations_zh=(
        "一个参数的有效学习率：α / √G_t",
        "logits = W · (文本的词) + b",
    ),
    how="We take the docstrings of ten packages of Python's own library as bags of words. "
    "Softmax regression names the package of each text. 60 % of the texts are the training set. "
    "On another 20 %, the validation set, each optimizer's learning rate is chosen by the lowest "
    "loss. The last 20 % are the test set. The seed decides which texts go where. Two controls "
    "separate what AdaGrad does. In one, AdaGrad has a single √G for all parameters (the root of "
    "the mean G), so that only the decay is left. The other is SGD whose learning rate falls to "
    "0 along half a cosine. A word's effective learning rate is read from AdaGrad's state at the "
    "end.",
    how_zh="把 Python 标准库十个包的文档字符串当作词袋，用 softmax 回归判断属于哪个包。60 % 的文"
    "本训练，20 % 作验证集，按损失为每个优化器选学习率，20 % 测试；随机种子决定划分。两个对照用来区"
    "分 AdaGrad 的作用：一是所有参数共用一个 √G（取均值的根）的 AdaGrad，只剩下衰减；二是学习率沿半"
    "个余弦降到 0 的 SGD。单词的有效学习率在结束时从 AdaGrad 的状态读出。",
    setting={
        "packages": "asyncio email http importlib logging multiprocessing tkinter unittest urllib "
        "xml",
        "seeds": 7,
        "words": 1200,
        "batch": 32,
        "steps": 600,
        "rates": [3e-2, 3e2, 17],
        "root": 0.5,
    },
    quick={
        "words": 300,
        "steps": 100,
        "rates": [3e-2, 3e2, 5],
        "seeds": 6,
        "packages": "http logging urllib",
    },
    measured={
        "slope": (
            "exponent p of a word's effective learning rate ∝ (number of its texts)^p",
            "指数 p：单词的有效学习率 ∝ (含该词的文本数)^p",
        ),
        "better": (
            "SGD's test loss divided by AdaGrad's, minus 1, on the same texts",
            "同样文本上 SGD 与 AdaGrad 测试损失之比减 1",
        ),
        "better_shared": (
            "test loss of AdaGrad with one shared √G divided by AdaGrad's, minus 1, on the same "
            "texts",
            "同样文本上共用一个 √G 的 AdaGrad 与 AdaGrad 测试损失之比减 1",
        ),
        "better_cosine": (
            "test loss of SGD with a cosine divided by AdaGrad's, minus 1, on the same texts",
            "同样文本上余弦衰减的 SGD 与 AdaGrad 测试损失之比减 1",
        ),
        "loss_sgd": (
            "test loss of SGD (nats)",
            "SGD 测试损失（nat）",
        ),
        "loss_cosine": ("test loss of SGD with a cosine", "余弦衰减的 SGD 测试损失"),
        "loss_shared": ("test loss of AdaGrad with one shared √G", "共用 √G 的 AdaGrad 测试损失"),
        "loss_adagrad": ("test loss of AdaGrad", "AdaGrad 测试损失"),
        "loss_rmsprop": ("test loss of RMSProp", "RMSProp 测试损失"),
        "loss_adam": ("test loss of Adam", "Adam 测试损失"),
        "accuracy_sgd": ("test accuracy of SGD", "SGD 测试准确率"),
        "accuracy_adagrad": ("test accuracy of AdaGrad", "AdaGrad 测试准确率"),
        "texts": (
            "number of texts",
            "文本数",
        ),
    },
    threshold={"slope": 0.25, "gain": 0.03},
    rule="Learning rates: a word's effective learning rate falls at least as fast as its number "
    "of texts to the power −{slope:g}. Good: SGD's test loss is at least {gain:.0%} above "
    "AdaGrad's. Because of the learning rate of each word: the test loss of AdaGrad with one "
    "shared √G is also at least {gain:.0%} above AdaGrad's. Holds if all three are true; fails "
    "if the first or the second is false; depends if only the third is false. {undecided}",
    rule_zh="学习率：单词的有效学习率至少按文本数的 −{slope:g} 次幂下降。有益：SGD 的测试损失至少"
    "比 AdaGrad 高 {gain:.0%}。源于逐词学习率：共用一个 √G 的 AdaGrad，其测试损失也至少比 AdaGrad "
    "高 {gain:.0%}。三项都满足则成立；前两项有一项不满足则不成立；仅第三项不满足则视情况而定。"
    "{undecided}",
    picture="Above, each word as a dot: its effective learning rate falls with the number of "
    "texts that hold it, along a line. Below, the test loss of six optimizers over their learning "
    "rate, with the chosen learning rate marked. RMSProp's and Adam's curves rise from the lowest "
    "learning rates on, the other four are U-shaped. AdaGrad, RMSProp and Adam reach lower than "
    "SGD, SGD with a cosine and AdaGrad with one shared root.",
    picture_zh="上：每个点是一个单词，其有效学习率随含它的文本数沿直线下降。下：六种优化器的测试"
    "损失随学习率变化，标出选定点；RMSProp 与 Adam 的曲线从最小的学习率起上升，其余四条呈 U 形："
    "AdaGrad、RMSProp 与 Adam 低于 SGD、余弦 SGD 与共用 √G 的 AdaGrad。",
    remark="AdaGrad with one shared √G decays as AdaGrad does, but gains nothing: the learning "
    "rate of each word is what helps. RMSProp and Adam, which also divide each parameter's "
    "gradient by a root of its own, do as well as AdaGrad here. RMSProp chose the lowest learning "
    "rate of the grid, so it might do better still.",
    remark_zh="共用一个 √G 的 AdaGrad 同样衰减，却没有收益：起作用的是逐词的学习率。RMSProp 与 "
    "Adam 也对每个参数除以各自的均方根，在这里与 AdaGrad 一样好。RMSProp 选中了网格中最小的学习率"
    "，因此或许还能更好。",
    sources=(
        "Duchi, Hazan & Singer 2011, “Adaptive Subgradient Methods for Online Learning and "
        "Stochastic Optimization”, §1",
        "Python's standard library (PSF licence), as installed",
    ),
    findings={
        "holds": (
            "A learning rate for each word cuts the test loss from {loss_sgd:.3f} to "
            "{loss_adagrad:.3f}; decay alone does not",
            "逐词学习率把测试损失从 {loss_sgd:.3f} 降到 {loss_adagrad:.3f}；仅靠衰减则不行",
        ),
        "depends": (
            "AdaGrad beats SGD on words, but a shared decay does as well",
            "AdaGrad 在词袋上胜过 SGD，但共用的衰减同样有效",
        ),
        "fails": ("AdaGrad does not beat SGD on these words", "AdaGrad 在这些词上不胜过 SGD"),
        "not decided": (
            "Whether AdaGrad beats SGD on words is not decided",
            "AdaGrad 在词袋上是否胜过 SGD 尚无定论",
        ),
    },
    reachable={
        "depends": {"rates": [0.01, 0.02, 2]},
        "fails": {"root": 0.0, "words": 50, "steps": 50},
    },
    texts={
        "training texts with the word": "含该词的训练文本数",
        "effective, α/√G": "有效学习率 α/√G",
        "falls with the number of texts": "按文本数的",
        "to the power {}": "{} 次幂变化",
        "AdaGrad's learning rate for each word": "AdaGrad 对每个词的学习率",
        "Test loss; dots: chosen on the validation set": "测试损失；圆点：由验证集选定",
        "SGD, cosine": "SGD，余弦衰减",
        "AdaGrad, shared √G": "AdaGrad，共用 √G",
    },
)

NAMES = ("sgd", "cosine", "shared", "adagrad", "rmsprop", "adam")


class Texts(NamedTuple):
    """Bags of words (texts, words), each of length 1, and which package each is of."""

    bags: np.ndarray
    labels: np.ndarray


def docstrings(package: str) -> list[list[str]]:
    """The words of each docstring of a package of Python's library; of five words and more."""
    folder = Path(sysconfig.get_path("stdlib")) / package
    texts = []
    for path in sorted(folder.rglob("*.py")):
        if {"test", "tests"} & set(path.relative_to(folder).parts):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
                words = re.findall("[a-z]{2,}", (ast.get_docstring(node) or "").lower())
                texts += [words] if len(words) >= 5 else []
    return texts


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
    vocabulary = sorted(counted, key=lambda word: (-counted[word], word))[:most]
    place = {word: i for i, word in enumerate(vocabulary)}
    bags = np.zeros((len(texts), len(vocabulary)), np.float32)
    for bag, (words, _) in zip(bags, texts):
        for word in set(words) & place.keys():
            bag[place[word]] = 1
    length = np.sqrt(bags.sum(1, keepdims=True))
    return Texts(bags / np.maximum(length, 1), labels)


def to_the_power(rate: Any, power: float, shared: bool) -> optax.GradientTransformation:
    """AdaGrad that divides by G^power; `shared`: by one G for all parameters, their mean."""

    def init(params: Any) -> Any:
        return jax.tree.map(jnp.zeros_like, params)

    def update(g: Any, total: Any, params: Any = None) -> Any:
        total = jax.tree.map(lambda s, g: s + g**2, total, g)
        flat, _ = ravel_pytree(total)
        by = jax.tree.map(lambda s: flat.mean() if shared else s, total)
        return jax.tree.map(lambda g, s: -rate * g / (s**power + 1e-8), g, by), total

    return optax.GradientTransformation(init, update)


def optimizer_of(name: str, rate: Any, setting: dict[str, Any]) -> optax.GradientTransformation:
    """One of NAMES."""
    if name == "cosine":
        unit = optax.cosine_decay_schedule(1.0, setting["steps"])
        return notes.sgd(lambda step: rate * unit(step))
    if name in ("shared", "adagrad"):
        return to_the_power(rate, setting["root"], shared=name == "shared")
    return getattr(notes, name)(rate)


def fitted(name: str, texts: Texts, setting: dict[str, Any]) -> Any:
    """Parameters and optimizer state after training, for all (seeds, rates)."""
    x, y = jnp.asarray(texts.bags), jnp.asarray(texts.labels)
    classes = len(setting["packages"].split())
    zero = {"w": jnp.zeros((x.shape[1], classes)), "b": jnp.zeros(classes)}
    tried = jnp.asarray(rates(setting), jnp.float32)

    def loss(p: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        return cross_entropy(x @ p["w"] + p["b"], y).mean()

    def train(rows: jax.Array, rate: jax.Array) -> Any:
        optimizer = optimizer_of(name, rate, setting)

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

    count, by_seed = len(texts.labels), []
    for seed in range(setting["seeds"]):
        mine = jax.tree.map(lambda leaf, s=seed: leaf[s], p)
        by_seed.append(
            [
                jax.vmap(one, (0, None, None))(mine, texts.bags[rows], texts.labels[rows])
                for rows in dealt(seed, count)[1:]
            ]
        )
    return np.moveaxis(np.asarray(by_seed), (0, 1, 2, 3), (2, 0, 3, 1))


def measure(setting: dict[str, Any]) -> Measured:
    """Every optimizer at every rate; AdaGrad's own rates by word."""
    texts = load(setting["packages"].split(), setting["words"])
    tried = rates(setting)
    numbers: dict[str, Any] = {}
    series: dict[str, Any] = {"rate": tried}
    lost: dict[str, np.ndarray] = {}
    chosen: list[float] = []
    for name in NAMES:
        p, state = fitted(name, texts, setting)
        choosing, testing = scores(p, texts, setting)
        median = np.median(np.nan_to_num(choosing[0], nan=np.inf), axis=0)
        best = median.argmin()
        chosen.append(tried[best])
        lost[name] = testing[0][:, best]
        numbers[f"loss_{name}"] = spread(lost[name])
        series[name] = np.median(testing[0], axis=0)
        if name in ("sgd", "adagrad"):
            numbers[f"accuracy_{name}"] = spread(testing[1][:, best])
        if name == "adagrad":
            root = np.asarray(state["w"])[:, best].mean(-1) ** setting["root"]
            counts, effective, slopes = by_word(texts, root, tried[best], setting)
            numbers["slope"] = median_interval(slopes)
            series |= {"texts_with_word": counts, "effective_rate": effective}
    for other, name in (("", "sgd"), ("_shared", "shared"), ("_cosine", "cosine")):
        numbers[f"better{other}"] = median_interval(lost[name] / lost["adagrad"] - 1)
    series["chosen"] = chosen
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
    n = middle(numbers)

    def rule(falls: bool, better: bool, by_word: bool) -> str:
        return FAILS if not (falls and better) else HOLDS if by_word else DEPENDS

    word = combined(
        rule,
        at_most(numbers["slope"], -threshold["slope"]),
        decide(numbers["better"], threshold["gain"]),
        decide(numbers["better_shared"], threshold["gain"]),
    )
    way = "falls" if n["slope"] < 0 else "rises"
    return Verdict(
        word,
        f"A word's effective learning rate {way} with the number of its texts to the power "
        f"{n['slope']:.2f}. The test loss is {n['loss_adagrad']:.3f} for AdaGrad and "
        f"{n['loss_sgd']:.3f} for SGD (RMSProp {n['loss_rmsprop']:.3f}, Adam "
        f"{n['loss_adam']:.3f}). The controls: {n['loss_shared']:.3f} with one shared √G, "
        f"{n['loss_cosine']:.3f} for SGD with a "
        "cosine.",
        f"单词的有效学习率按文本数的 {n['slope']:.2f} 次幂变化。测试损失：AdaGrad "
        f"{n['loss_adagrad']:.3f}，SGD {n['loss_sgd']:.3f}（RMSProp {n['loss_rmsprop']:.3f}，Adam "
        f"{n['loss_adam']:.3f}）。对照：共用 √G 为 {n['loss_shared']:.3f}，余弦 SGD 为 "
        f"{n['loss_cosine']:.3f}。",
    )


def _look(name: str) -> dict[str, Any]:
    if name == "cosine":
        return {"color": style.BLACK, "linestyle": ":", "label": "SGD, cosine"}
    if name == "shared":
        return {"color": style.ORANGE, "linestyle": ":", "label": "AdaGrad, shared √G"}
    return style.line(name)


def draw(figure: Any, measured: Measured) -> None:
    """Learning rates by word; loss over the learning rate."""
    s = measured.series
    words, loss = style.panels(figure, [2.5, 2.9])
    shake = np.exp(np.random.default_rng(0).normal(0, 0.04, len(s["texts_with_word"])))
    dots = {"color": style.ORANGE, "markersize": 2.5, "rasterized": True}  # or the SVG is large
    words.loglog(s["texts_with_word"] * shake, s["effective_rate"], ".", **dots)
    slope = middle(measured.numbers)["slope"]
    line = np.median(s["effective_rate"] / s["texts_with_word"] ** slope)
    x = np.array([1, s["texts_with_word"].max()])
    words.loglog(x, line * x**slope, color=style.BLACK, linewidth=1)
    power = (
        f"{'falls' if slope < 0 else 'rises'} with the number of texts\nto the power {slope:.2f}"
    )
    power = power.replace("-", "−")
    place = x[1] ** 0.55, 7 * line * x[1] ** (0.55 * slope)
    words.text(*place, power, fontsize=8.5, va="bottom")
    words.set(title="AdaGrad's learning rate for each word", xlabel="training texts with the word")
    # A few words' gradients are next to nothing, and their learning rates beyond all others.
    words.set(ylabel="effective, α/√G", ylim=(None, 2 * np.quantile(s["effective_rate"], 0.99)))
    ceiling = 1.02 * np.log(10)
    for name, chosen in zip(NAMES, s["chosen"]):
        shown = np.where(s[name] < ceiling, s[name], np.nan)
        loss.semilogx(s["rate"], shown, **_look(name))
        at = abs(np.log(s["rate"] / chosen)).argmin()
        loss.plot(chosen, s[name][at], "o", color=_look(name)["color"])
    loss.set(title="Test loss; dots: chosen on the validation set", xlabel="learning rate α")
    loss.set_ylabel("cross-entropy (nats)")
    figure.legend(*loss.get_legend_handles_labels(), loc="outside lower center", ncols=3)
