"""The examples of the README and of its pages run; CI runs the commands that the README names."""

import ast
import contextlib
import copy
import inspect
import io
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import pytest

from jaxopt_notes import __all__ as public
from jaxopt_notes import translate, translate_state
from jaxopt_notes.optimizers import _adam
from jaxopt_notes.transfer import prove, to_torch_optimizer

ROOT = Path(__file__).parent.parent
PAGES = (
    "README",
    *(f"docs/{n}" for n in ("index", "start", "there-and-back", "microscope", "speed")),
)
TEXTS = {page: (ROOT / f"{page}.md").read_text(encoding="utf-8") for page in PAGES}
README, THERE_AND_BACK = TEXTS["README"], TEXTS["docs/there-and-back"]
OPTIMIZERS = (ROOT / "docs" / "optimizers.md").read_text(encoding="utf-8")
BLOCKS = re.compile(r"```python\n(.*?)```", re.DOTALL)
SLOW = ("docs/microscope-0", "docs/there-and-back-1")  # they diagnose, and train the notes' CNN
EXAMPLES = [
    pytest.param(
        code,
        id=f"{page}-{number}",
        marks=pytest.mark.slow if f"{page}-{number}" in SLOW else [],
    )
    for page, text in TEXTS.items()
    for number, code in enumerate(BLOCKS.findall(text))
    if "import" in code
]


@pytest.mark.parametrize("code", EXAMPLES)
def test_example_runs(code):
    if "import torch" in code:
        pytest.importorskip("torch", reason="needs the extra torch")
    exec(compile(code, "example", "exec"), {})


def test_a_run_goes_to_jax_and_back_in_the_lines_shown():
    torch = pytest.importorskip("torch", reason="needs the extra torch")
    (move,) = (code for code in BLOCKS.findall(THERE_AND_BACK) if "import" not in code)
    assert len(move.splitlines()) < 15
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 2)
    x, y = torch.randn(8, 3), torch.randn(8, 2)

    def begun(net):
        run = {"torch": torch, "net": net}
        for name in ("opt", "scheduler"):
            run[name] = eval(re.search(rf"`{name} = ([^`]+)`", THERE_AND_BACK)[1], run)
        return run

    def torch_steps(n, run):
        for _ in range(n):
            run["opt"].zero_grad()
            ((run["net"](x) - y) ** 2).mean().backward()
            run["opt"].step()
            run["scheduler"].step()

    @jax.jit
    def loss(p):
        return ((x.numpy() @ p["weight"].T + p["bias"] - y.numpy()) ** 2).mean()

    stays, moves = begun(copy.deepcopy(net)), begun(net)
    moves |= {"jax": jax, "jnp": jnp, "optax": optax, "loss": loss, "prove": prove}
    moves |= {"translate": translate, "translate_state": translate_state}
    moves |= {"to_torch_optimizer": to_torch_optimizer}
    torch_steps(150, stays)
    torch_steps(50, moves)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(move, moves)
    assert printed.getvalue().startswith("equal: 100 steps")
    torch_steps(50, moves)
    for p, q in zip(moves["net"].parameters(), stays["net"].parameters()):
        assert abs(p - q).max() < 1e-6


def test_each_manner_is_shown():
    shown = " ".join(BLOCKS.findall(TEXTS["docs/start"]))
    assert all(name in shown for name in ("nnx.Optimizer", "TrainState", "optax.apply_updates"))


def test_every_public_name_is_mentioned():
    texts = " ".join([*TEXTS.values(), OPTIMIZERS])
    for name in set(public) - {"__version__"}:
        assert re.search(rf"`{name}[`(]", texts), name


def test_it_is_short():
    for edition in ("README.md", "README.zh-CN.md"):
        assert 100 <= len((ROOT / edition).read_text(encoding="utf-8").splitlines()) <= 150


def test_ci_runs_the_two_commands():
    """Line by line, in that order; CI adds only where the run goes."""
    commands = re.search(r"```sh\n(.*?)```", README, re.DOTALL)[1].splitlines()
    first, second = (line.split("#")[0].strip().split(" && ") for line in commands)
    script = (ROOT / ".ci" / "run").read_text()
    places = [
        script.index(command.replace("pip install", "pip install --quiet"))
        for command in (*first, *second)
    ]
    assert places == sorted(places)


@pytest.mark.parametrize("page", ["README.md", "docs/optimizers.md"])
def test_the_rule_shown_is_the_rule_that_runs(page):
    (shown,) = re.findall(r"```py\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
    rule = ast.parse(inspect.getsource(_adam.adam_rule)).body[0]
    rule.returns, rule.body = None, rule.body[1:]  # without the docstring
    for argument in rule.args.args + rule.args.kwonlyargs:
        argument.annotation = None
    assert ast.unparse(ast.parse(shown)) == ast.unparse(rule)
