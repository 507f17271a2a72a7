"""Adam against SGD with momentum over the batch size and the number of steps, both tuned."""

from typing import Any

import numpy as np

from jaxopt_notes.studies import style
from jaxopt_notes.studies.inference import at_most, combined, decide, points
from jaxopt_notes.studies.study import (
    DEPENDS,
    FAILS,
    HOLDS,
    About,
    Measured,
    Points,
    Verdict,
    spread,
)
from jaxopt_notes.studies.sweeps import Runs, by_rate, deal, plan_of, quarter_decades

ABOUT = About(
    number=10,
    title="Adam and the batch size",
    title_zh="Adam 与批大小",
    kind="can",
    claim="Adam is fine at small batch sizes but can fall behind SGD with momentum at large ones.",
    claim_zh="Adam 在小批量时表现良好，但在大批量时可能落后于带动量的 SGD。",
    section="Claims about the optimizers, 12",
    equations=(
        "behind = test accuracy of momentum − test accuracy of Adam, each tuned for its cell",
        "epochs = steps · batch size / training images",
    ),
    equations_zh=(
        "落后 = 动量的测试准确率 − Adam 的测试准确率，各在本格内调参",
        "轮数 = 步数 · 批大小 / 训练图像数",
    ),
    how="A dense network learns 2,048 images of MNIST with each of the two optimizers. A cell is "
    "a pair of a batch size (from 32 to all images) and a number of steps. In each cell both try "
    "eight learning rates, four per factor of ten, and the validation accuracy chooses one; the "
    "learning rate falls to 0 along half a cosine over the steps of the cell. The results are "
    "measured on MNIST's test images. A larger batch means fewer steps in the same epochs, and "
    "both may matter. So we compare the smallest batch with the largest at equal steps and at "
    "equal epochs. Each of the six intervals of these three pairs has a level of 98 %, so all six "
    "are right together with a probability of at least 88 %.",
    how_zh="全连接网络用两种优化器从 2048 张 MNIST 图像学习，批大小（从 32 到全部图像）与步数的每"
    "种组合为一格。每格中两者各试八个学习率，每个十倍程内四个，由验证准确率选定；学习率在该格自己"
    "的步数内沿半个余弦降到 0。结果在 MNIST 测试图像上测量。批越大，同样轮数内步数越少，批大小与"
    "步数都可能起作用。因此把最小批与最大批分别在同样步数、同样轮数下比较。这三对的六个区间各取 "
    "98 % 的水平，使它们同时成立的概率不低于 88 %。",
    setting={
        "seeds": 12,
        "images": 2048,
        "widths": [32],
        "batches": [32, 128, 512, 2048],
        "steps": [16, 64, 256, 1024],
        "epochs": 64,
        "equal_steps": [64, 256],
        "equal_epochs": [16],
        "exponents": {"adam": [-3.25, -1.5], "momentum": [-1.0, 0.75]},
        "level": 0.98,
        "official": True,
    },
    quick={
        "seeds": 5,
        "images": 64,
        "widths": [16],
        "batches": [16, 64],
        "steps": [16, 64, 256],
        "exponents": {"adam": [-2.0, -2.0], "momentum": [-0.5, -0.5]},
        "official": False,
    },
    measured={
        "small_64_steps": (
            "points of test accuracy by which Adam is behind momentum, smallest batch, 64 steps",
            "Adam 落后动量的测试准确率百分点，最小批，64 步",
        ),
        "large_64_steps": (
            "points behind, largest batch, 64 steps",
            "同上，最大批",
        ),
        "small_256_steps": (
            "points behind, smallest batch, 256 steps",
            "落后百分点，最小批，256 步",
        ),
        "large_256_steps": (
            "points behind, largest batch, 256 steps",
            "同上，最大批",
        ),
        "small_16_epochs": (
            "points behind, smallest batch, 16 epochs",
            "落后百分点，最小批，16 轮",
        ),
        "large_16_epochs": (
            "points behind, largest batch, 16 epochs",
            "同上，最大批",
        ),
        "accuracy_adam": (
            "test accuracy of Adam, largest batch, most steps",
            "最大批、最多步数时 Adam 的测试准确率",
        ),
        "accuracy_momentum": (
            "test accuracy of momentum, largest batch, most steps",
            "最大批、最多步数时动量的测试准确率",
        ),
        "at_an_end": (
            "number of chosen learning rates that are at an end of the grid, over all cells and "
            "both optimizers",
            "选在网格端点的学习率个数（所有格，两种优化器）",
        ),
    },
    threshold={"fine": 1.0, "behind": 1.0},
    rule="An instance is a number of steps, or of epochs, at which two parts are true: Adam is at "
    "most {fine:g} points of test accuracy behind momentum at the smallest batch, and at least "
    "{behind:g} points behind at the largest. Holds if there is an instance at equal steps; "
    "depends if there is one only at equal epochs, where a large batch also means few steps; fails "
    "if there is none. A part is not decided if its 98 % interval contains the threshold.",
    rule_zh="若在某一步数（或轮数）下，Adam 在最小批时比动量至多低 {fine:g} 个百分点，而在最大批"
    "时至少低 {behind:g} 个百分点，则该步数（或轮数）是一个实例。同样步数下有实例则成立；"
    "只在同样轮数下有实例（此时批大也意味着步数少）则视情况而定；都没有则不成立。若某一项的 98 % "
    "区间包含阈值，则该项未定。",
    picture="Above, a map with a cell for each batch size and number of steps; its colour and its "
    "number show how many points Adam is behind momentum. The row of 16 steps is blue at every "
    "batch size: 4.5 to 11 points. The row of 64 steps pales: Adam is 1.9 points behind at the "
    "smallest batch and 0.1 ahead at the largest. The rows of 256 and 1,024 steps are nearly "
    "white. Below, the points behind over the batch size, with intervals: at equal steps (64 and "
    "256) the lines fall to zero or below it; at 16 epochs each the line rises to 4.5 points at "
    "the largest batch, where 16 epochs are only 16 steps.",
    picture_zh="上：每种批大小与步数为一格的图，颜色与数字表示 Adam 落后动量多少个百分点。16 步那"
    "一行在任何批大小下都是蓝色，4.5 到 11 个百分点；64 步那一行变浅：最小批时落后 1.9 个百分点，"
    "最大批时领先 0.1 个；256 与 1024 步的两行几乎是白色。下：落后的百分点随批大小变化，带区间："
    "同样步数（64 和 256）时降到零或以下；同为 16 轮时在最大批升到 4.5 个百分点，而那里只有 16 "
    "步。",
    remark="Here Adam falls behind when the training has few steps, whatever the batch: after 16 "
    "steps it is behind at every batch size, and furthest behind at the smallest. At equal "
    "epochs a large batch means few steps, so the claim seems right. At equal steps, 64 or more, "
    "the largest batch does Adam no harm. The claim is no law of larger networks either. In the "
    "experiments of Zhang et al. (2019) Adam can use much larger batches than SGD with momentum. "
    "On Transformers, Adam gains more from a larger batch than SGD does, up to the whole data "
    "set (Kunstner et al. 2023). And Nesterov momentum and Adam match or exceed LARS and LAMB at "
    "large batch sizes (Nado et al. 2021). A first run with six seeds had a threshold of half a "
    "point, and some intervals were wider than that; it, too, found an instance only at equal "
    "epochs.",
    remark_zh="在这里使 Adam 落后的是步数太少，而不是批大小：16 步时它在任何批大小下都落后，最小"
    "批落后最多。轮数相同时，批大意味着步数少，论断因此看似正确；步数相同时，只要有 64 步，最大批"
    "对 Adam 并无害处。对更大的网络这也不是定律：在 Zhang 等（2019）的实验中，Adam 能利用的批比带"
    "动量的 SGD 大得多；在 Transformer 上，批增大直到整个数据集，Adam 的收益比 SGD 更大（"
    "Kunstner 等 2023）；大批量下 Nesterov 动量与 Adam 不逊于甚至优于 LARS 与 LAMB（Nado 等 "
    "2021）。第一次运行用六个种子、以半个百分点为阈值，而部分区间比阈值还宽；它同样只在轮数相同时找到实例。",
    sources=(
        "Kunstner et al. 2023, “Noise Is Not the Main Factor Behind the Gap Between SGD and Adam "
        "on Transformers, but Sign Descent Might Be”",
        "Zhang et al. 2019, “Which Algorithmic Choices Matter at Which Batch Sizes?”",
        "Nado et al. 2021, “A Large Batch Optimizer Reality Check”",
    ),
    findings={
        "holds": (
            "With the whole training set as a batch, Adam is {large_64_steps:.1f} points behind "
            "momentum after 64 steps; at batch 32 it is not",
            "整个训练集作一批时，64 步后 Adam 落后于动量 {large_64_steps:.1f} 个百分点；批大小 32 "
            "时并不落后",
        ),
        "depends": (
            "Few steps, not large batches, put Adam behind momentum: with full batches it is "
            "{large_16_epochs.behind} after 16 steps and {large_64_steps.behind} after 64",
            "使 Adam 落后于动量的是步数少，而不是批量大：整个训练集作一批时，16 步后"
            "{large_16_epochs.behind_zh}，64 步后{large_64_steps.behind_zh}",
        ),
        "fails": (
            "Tuned, Adam does not fall behind momentum at large batches",
            "调参后，Adam 在大批量下并不落后于动量",
        ),
        "not decided": (
            "Whether Adam falls behind momentum at large batches is not decided",
            "Adam 在大批量下是否落后于动量尚无定论",
        ),
    },
    reachable={
        "holds": {
            "seeds": 24,
            "exponents": {"adam": [-3.77, -3.77], "momentum": [0.5, 0.5]},
            "steps": [256],
            "equal_steps": [256],
            "equal_epochs": [],
            "images": 256,
            "batches": [64, 256],
        },
    },
    texts={
        "Points of accuracy that Adam is behind momentum": "Adam 落后动量的准确率百分点",
        "steps": "步数",
        "batch size": "批大小",
        "batch size (bold: the interval leaves out 0)": "批大小（粗体：区间不含 0）",
        "Larger batches hurt only by leaving fewer steps": "批大只因步数变少而有害",
        "points behind": "落后的百分点",
        "equal steps: {} steps": "步数相同：{} 步",
        "equal epochs: {} epochs": "轮数相同：{} 轮",
        "{} epochs": "{} 轮",
        "1 epoch": "1 轮",
        "{} steps": "{} 步",
    },
)

NAMES = ("adam", "momentum")


def cells(setting: dict[str, Any]) -> list[tuple[int, int]]:
    """All (batch, steps): of the largest batch all equal steps, else so many epochs at most."""
    most = setting["epochs"] * setting["images"]
    return [
        (batch, steps)
        for batch in setting["batches"]
        for steps in setting["steps"]
        if batch * steps <= most or steps <= max(setting["equal_steps"])
    ]


def swept(setting: dict[str, Any], batch: int, steps: int) -> dict[str, Runs]:
    """Both in one cell, at all their learning rates."""
    epochs = -(-steps * batch // setting["images"])
    plan = plan_of(setting, batch=batch, epochs=epochs)._replace(steps=steps)
    return {n: by_rate(n, plan, quarter_decades(*setting["exponents"][n])) for n in NAMES}


def pairs(setting: dict[str, Any]) -> dict[str, tuple[tuple[int, int], tuple[int, int]]]:
    """The cells of the smallest and of the largest batch that are compared, by name."""
    ends = setting["batches"][0], setting["batches"][-1]
    an_epoch = [setting["images"] // batch for batch in ends]
    steps = {f"{n}_steps": (n, n) for n in setting["equal_steps"]}
    epochs = {f"{n}_epochs": (n * an_epoch[0], n * an_epoch[1]) for n in setting["equal_epochs"]}
    return {
        name: ((ends[0], small), (ends[1], large))
        for name, (small, large) in {**steps, **epochs}.items()
    }


def measured_in(cell: tuple[int, int], setting: dict[str, Any], images: int) -> dict[str, Any]:
    """One cell: by how much Adam is behind, and what was chosen for both."""
    runs = swept(setting, *cell)
    right = {name: runs[name].right_at_best(images) for name in NAMES}
    numbers: dict[str, Any] = {
        "behind": points(right["momentum"], right["adam"], level=setting["level"])
    }
    for name in NAMES:
        best = runs[name].best("accuracy")
        rates = quarter_decades(*setting["exponents"][name])
        numbers[f"accuracy_{name}"] = spread(right[name].mean(1))
        numbers[f"rate_{name}"] = rates[best]
        numbers[f"at_an_end_{name}"] = best in (0, len(rates) - 1)
    return numbers


def measure(setting: dict[str, Any]) -> Measured:
    """All cells."""
    images = len(deal(setting["images"], 0, setting["official"]).test.labels)
    measured = {cell: measured_in(cell, setting, images) for cell in cells(setting)}
    numbers: dict[str, Any] = {}
    budgets: dict[str, dict[str, Any]] = {}
    for pair, (small, large) in pairs(setting).items():
        both = {
            f"small_{pair}": measured[small]["behind"],
            f"large_{pair}": measured[large]["behind"],
        }
        numbers |= both
        budgets[pair.replace("_", " ")] = both
    last = measured[setting["batches"][-1], max(setting["equal_steps"])]
    numbers |= {f"accuracy_{name}": last[f"accuracy_{name}"] for name in NAMES}
    numbers["at_an_end"] = sum(x[f"at_an_end_{name}"] for x in measured.values() for name in NAMES)
    series: dict[str, Any] = {"batch": [b for b, _ in measured], "steps": [s for _, s in measured]}
    for part in ("estimate", "low", "high"):
        series[part] = [x["behind"][part] for x in measured.values()]
    for name in NAMES:
        series[f"rate_{name}"] = [x[f"rate_{name}"] for x in measured.values()]
        series[f"accuracy_{name}"] = [x[f"accuracy_{name}"]["median"] for x in measured.values()]
    return Measured(numbers, series, budgets)


def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
    """By ABOUT.rule, for the pairs that the numbers have."""
    names = [name.removeprefix("small_") for name in numbers if name.startswith("small_")]
    fine = [at_most(numbers[f"small_{pair}"], threshold["fine"]) for pair in names]
    losing = [decide(numbers[f"large_{pair}"], threshold["behind"]) for pair in names]

    def rule(*parts: bool) -> str:
        half = len(parts) // 2
        instances = [small and large for small, large in zip(parts[:half], parts[half:])]
        at_equal = {pair.split("_")[1] for pair, instance in zip(names, instances) if instance}
        return HOLDS if "steps" in at_equal else DEPENDS if at_equal else FAILS

    behind = {
        pair: [Points(numbers[f"{end}_{pair}"]["estimate"]) for end in ("small", "large")]
        for pair in names
    }
    units = {pair: pair.replace("_steps", " 步").replace("_epochs", " 轮") for pair in names}
    english = "; ".join(
        f"after {pair.replace('_', ' ')}, {small.behind} at the smallest batch and {large.behind} "
        "at the largest"
        for pair, (small, large) in behind.items()
    )
    chinese = "；".join(
        f"{units[pair]}后，最小批时{small.behind_zh}，最大批时{large.behind_zh}"
        for pair, (small, large) in behind.items()
    )
    return Verdict(
        combined(rule, *fine, *losing),
        f"Adam's test accuracy against momentum's: {english}.",
        f"Adam 的测试准确率与动量相比：{chinese}。",
    )


def _draw_map(axes: Any, s: dict[str, Any]) -> None:
    """Each cell in the colour of the optimizer that is ahead; its epochs in small."""
    from matplotlib.colors import LinearSegmentedColormap

    batches, steps = np.unique(s["batch"]), np.unique(s["steps"])
    colours = LinearSegmentedColormap.from_list("ahead", [style.RED, "white", style.BLUE])
    grid = np.full((len(steps), len(batches)), np.nan)
    for batch, count, behind, low, high in zip(
        s["batch"], s["steps"], s["estimate"], s["low"], s["high"]
    ):
        x, y = np.searchsorted(batches, batch), np.searchsorted(steps, count)
        grid[y, x] = behind
        clear = low > 0 or high < 0
        ink = "white" if abs(behind) > 2.2 else "black"  # both stay on a dark page
        look = {"ha": "center", "color": ink}
        text = f"{behind:+.1f}".replace("-", "−") if abs(behind) >= 0.05 else "0.0"
        weight = "bold" if clear else "normal"
        axes.text(x, y + 0.12, text, va="center", weight=weight, **look)
        epochs = count * batch / batches[-1]
        unit = "epoch" if epochs == 1 else "epochs"
        axes.text(x, y - 0.28, f"{epochs:g} {unit}", va="center", fontsize=7.5, **look)
    axes.imshow(grid, cmap=colours, vmin=-4, vmax=4, origin="lower", aspect="auto")
    axes.grid(visible=False)
    axes.set_xticks(range(len(batches)), [f"{b:g}" for b in batches])
    axes.set_yticks(range(len(steps)), [f"{n:g}" for n in steps])
    axes.set(title="Points of accuracy that Adam is behind momentum", ylabel="steps")
    axes.set_xlabel("batch size (bold: the interval leaves out 0)")


def _draw_pairs(axes: Any, s: dict[str, Any]) -> None:
    """Behind over the batch size, at equal steps and at equal epochs."""
    batches = np.unique(s["batch"])
    epochs = s["steps"] * s["batch"] / batches[-1]
    rows = [(f"{n} steps", s["steps"] == n) for n in ABOUT.setting["equal_steps"]]
    rows += [(f"{n} epochs", epochs == n) for n in ABOUT.setting["equal_epochs"]]
    looks = ((style.GREEN, "-", "o"), (style.PURPLE, "-", "s"), (style.BLACK, "--", "D"))
    for i, ((label, rows_of), (colour, dashes, marker)) in enumerate(zip(rows, looks)):
        x = s["batch"][rows_of] * 1.06 ** (i - 1)
        y, low, high = (s[part][rows_of] for part in ("estimate", "low", "high"))
        axes.errorbar(
            x,
            y,
            [y - low, high - y],
            color=colour,
            linestyle=dashes,
            marker=marker,
            markersize=4.5,
            elinewidth=1,
            label=f"equal steps: {label}" if "steps" in label else f"equal epochs: {label}",
        )
    axes.axhline(ABOUT.threshold["behind"], color="#777777", linewidth=1, linestyle=":")
    axes.set_xscale("log", base=2)
    axes.set_xticks(batches, [f"{b:g}" for b in batches])
    axes.set(title="Larger batches hurt only by leaving fewer steps", xlabel="batch size")
    axes.set_ylabel("points behind")
    last = epochs == ABOUT.setting["equal_epochs"][-1]
    text = f"{s['steps'][last].min():g} steps"
    at = s["batch"][last].max() / 1.12, s["estimate"][last][s["batch"][last].argmax()]
    axes.text(*at, text, ha="right", va="center", fontsize=8.5)
    axes.legend(loc="upper left")


def draw(figure: Any, measured: Measured) -> None:
    """The map; the comparisons that decide."""
    grid, pairs_of = style.panels(figure, [3.1, 2.5])
    _draw_map(grid, measured.series)
    _draw_pairs(pairs_of, measured.series)
