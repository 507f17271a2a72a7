"""Each call that the READMEs and the docs show within a line or a table runs as it is written."""

import os
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest

import jaxopt_notes
from jaxopt_notes import adam, conventions, sgd
from jaxopt_notes.verification import around_optimizers
from jaxopt_notes.verification.differences import TRAPS

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").rglob("*.md"))]
CALL = re.compile(r"(?:\w+ = )?[A-Za-z_][\w.]*\(.*\)", re.DOTALL)

# The values of the names that the texts use in calls.
PARAMS = jax.device_put({"weight": np.ones((2, 3), "float32"), "bias": np.ones(3, "float32")})
NAMES: dict[str, Any] = {name: getattr(jaxopt_notes, name) for name in jaxopt_notes.__all__}
NAMES |= {"jaxopt_notes": jaxopt_notes, "optax": optax, "conventions": conventions}
NAMES |= {"c": 1.0, "β1": lambda count: 0.9}
NAMES |= {"α": 0.1, "β": 0.9, "λ": 0.01, "η": 0.05, "T": 10}
NAMES |= {"first": adam(0.1), "second": sgd(0.1), "when": 10}
NAMES |= {"optimizer": sgd(0.1), "state": sgd(0.1).init(PARAMS), "params": PARAMS, "grads": PARAMS}

NOT_RUN = {
    "jax.distributed.initialize()": "waits for the other processes",
    "named_parameters()": "a method's name, without its object",
    "state_dict()": "a method's name, without its object",
    "scheduler = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=0.01, total_steps=150)": (
        "needs the optimizer beside it: tests/test_readme.py"
    ),
    "scaler.unscale_(opt)": "needs a scaled loss: tests/test_move_a_torch_run.py",
}
# The frameworks' own calls: conventions/test_differences.py follows the path of each.
NOT_RUN |= {cell.call: "run in its framework" for trap in TRAPS for cell in trap.cells}
NOT_RUN |= {
    line.call: "run in its framework" for of in around_optimizers.SECTIONS for line in of.lines
}
# The tables of traps: test_guides.py follows the path of each row.
FRAMEWORKS = "notes|optax|torch|Keras 3|TensorFlow 1"
TRAP = re.compile(rf"^\| (?:{FRAMEWORKS}) \| `(\w+\(.*?\))` \|", re.MULTILINE)
NOT_RUN |= dict.fromkeys(
    TRAP.findall((ROOT / "docs" / "optimizers.md").read_text("utf-8")), "run in its framework"
)


def calls() -> list[str]:
    texts = (re.sub(r"```\w*\n.*?```", "", f.read_text("utf-8"), flags=re.DOTALL) for f in FILES)
    spans = {span for text in texts for span in re.findall(r"`([^`]+)`", text)}
    return sorted(span for span in spans if CALL.fullmatch(span))


@pytest.mark.parametrize("call", [call for call in calls() if call not in NOT_RUN])
def test_a_call_in_the_text_runs(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))  # for `allow_one_loop()`
    names = dict(NAMES)
    if "torch" in call or "Adagrad(" in call:
        torch = pytest.importorskip("torch", reason="needs the extra torch")
        net = torch.nn.Linear(3, 2)
        names |= {"torch": torch, "net": net}
        names["Adagrad"] = lambda **settings: torch.optim.Adagrad(net.parameters(), **settings)
    made = eval(call.split(" = ")[-1] if re.match(r"\w+ = ", call) else call, names)
    if isinstance(made, optax.GradientTransformation):
        jax.eval_shape(lambda p: made.update(p, made.init(p), p), PARAMS)


def test_what_is_not_run_is_there_and_not_ours_alone() -> None:
    assert set(NOT_RUN) <= set(calls())
    assert len(calls()) > 60
