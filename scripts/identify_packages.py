"""Identifies the optimizers of packages that are installed here: docs/identified.md and .json.

    python scripts/identify_packages.py docs

Packages that are not installed are left out. Each optimizer runs in float64 and, where that gives
no name, in float32: some packages compute in float32 whatever the parameters are.
"""

import json
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jaxopt_notes.errors import first_line
from jaxopt_notes.microscope import factories, identify, stepper

# The distribution, the factory, its arguments, and what the package documents.
ROWS = (
    ("torch", "torch.optim.SGD", "lr=0.1 momentum=0.9 dampening=0.5", "SGD with dampening"),
    ("torch", "torch.optim.Adam", "lr=1e-3 foreach=true", "Adam"),
    ("torch", "torch.optim.AdamW", "lr=1e-3 fused=true", "AdamW"),
    ("torch", "torch.optim.Adamax", "lr=1e-3", "Adamax"),
    ("torch", "torch.optim.RMSprop", "lr=0.01 momentum=0.9", "RMSProp with momentum"),
    ("torch", "torch.optim.Adagrad", "lr=0.01 lr_decay=0.1", "AdaGrad"),
    ("torch", "torch.optim.RAdam", "lr=1e-3", "RAdam: outside the family"),
    ("keras", "keras.optimizers.SGD", "learning_rate=0.1 momentum=0.9", "SGD with momentum"),
    ("keras", "keras.optimizers.Adam", "learning_rate=1e-3 amsgrad=true", "AMSGrad"),
    ("keras", "keras.optimizers.RMSprop", "learning_rate=0.01 momentum=0.9", "RMSProp"),
    ("keras", "keras.optimizers.Adamax", "learning_rate=1e-3", "Adamax"),
    ("keras", "keras.optimizers.Lion", "learning_rate=1e-3", "Lion"),
    ("keras", "keras.optimizers.Ftrl", "learning_rate=1e-3", "FTRL: outside the family"),
    ("tensorflow-cpu", "tensorflow.compat.v1.train.AdamOptimizer", "learning_rate=1e-3", "Adam"),
    (
        "tensorflow-cpu",
        "tensorflow.compat.v1.train.RMSPropOptimizer",
        "learning_rate=0.01",
        "RMSProp",
    ),
    ("torch-optimi", "optimi.SGD", "lr=0.1 momentum=0.9", "SGD with momentum"),
    ("torch-optimi", "optimi.Adam", "lr=1e-3", "Adam"),
    ("torch-optimi", "optimi.AdamW", "lr=1e-3 weight_decay=0.1", "AdamW"),
    ("torch-optimi", "optimi.Lion", "lr=1e-3 weight_decay=0.1", "Lion"),
    ("torch-optimi", "optimi.StableAdamW", "lr=1e-3", "StableAdamW: outside the family"),
    ("pytorch_optimizer", "pytorch_optimizer.AdamW", "lr=1e-3", "AdamW"),
    ("pytorch_optimizer", "pytorch_optimizer.SGDW", "lr=0.1 momentum=0.9 weight_decay=0.1", "SGDW"),
    ("pytorch_optimizer", "pytorch_optimizer.AdaMax", "lr=1e-3", "AdaMax"),
    ("pytorch_optimizer", "pytorch_optimizer.Lion", "lr=1e-3 weight_decay=0.1", "Lion"),
    ("pytorch_optimizer", "pytorch_optimizer.AdamP", "lr=1e-3", "AdamP: Adam for vectors"),
    (
        "pytorch_optimizer",
        "pytorch_optimizer.AdaBelief",
        "lr=1e-3",
        "AdaBelief: outside the family",
    ),
    ("heavyball", "heavyball.AdamW", "lr=1e-3", "AdamW"),
    ("heavyball", "heavyball.SGD", "lr=0.1 beta=0.9", "SGD with momentum"),
    ("heavyball", "heavyball.RMSprop", "lr=1e-3", "RMSProp"),
    ("lion-pytorch", "lion_pytorch.Lion", "lr=1e-3 weight_decay=0.1", "Lion"),
    ("torch-optimizer", "torch_optimizer.SGDW", "lr=0.1 momentum=0.9 weight_decay=0.1", "SGDW"),
    ("torch-optimizer", "torch_optimizer.Yogi", "lr=1e-3", "Yogi: outside the family"),
    ("torchao", "torchao.optim._AdamW", "lr=1e-3", "AdamW"),
)

# The table stands between these lines of the page; what is around it is written by hand.
_BEGIN, _END = "<!-- table -->", "<!-- end of table -->"


def main(folder: str) -> None:
    """Writes both files."""
    warnings.simplefilter("ignore")
    table = [row for row in map(_row, ROWS) if row]
    write(folder, table)


def write(folder: str, table: list[dict[str, Any]]) -> None:
    """The JSON, and the table of it."""
    text = json.dumps(table, ensure_ascii=False, indent=1)
    (Path(folder) / "identified.json").write_text(text + "\n", encoding="utf-8")
    lines = [
        "| package | call | documented as | identified as | hyperparameters | remarks |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_line(row) for row in table),
    ]
    page = Path(folder) / "identified.md"
    above, _, below = page.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, below = below.partition(_END)
    text = "\n".join((_BEGIN, *lines, _END))
    page.write_text(above + text + below, encoding="utf-8")


def _row(row: tuple[str, str, str, str]) -> dict[str, Any] | None:
    package, path, words, documented = row
    try:
        head = {"package": f"{package} {version(package)}", "call": f"{path} {words}"}
    except PackageNotFoundError:
        return None
    row_of = {**head, "documented": documented}
    for dtype in ("float64", "float32"):
        try:
            identification = identify(stepper(path, factories.keywords(words.split())), dtype)
        except Exception as error:  # whatever a package raises: the other rows go on
            return {**row_of, "dtype": dtype, "error": first_line(error)}
        if identification.known:
            break
    print(
        path,
        identification.family if identification.known else "unknown",
        *identification.deviations,
        flush=True,
    )
    return {**row_of, "dtype": dtype, **identification._asdict()}


def _line(row: dict[str, Any]) -> str:
    numbers = ", ".join(f"{k}={v:.6g}" for k, v in dict(row.get("hyperparameters", {})).items())
    name = row["family"] if row.get("known") else "unknown"
    remarks = "; ".join(
        (*row.get("deviations", ()), *([f"in {row['dtype']}"] if row["dtype"] == "float32" else []))
    )
    cells = (row["package"], f"`{row['call']}`", row["documented"], name, numbers, remarks)
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    main(sys.argv[1])
