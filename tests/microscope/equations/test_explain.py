"""`explain` reads a program's equations, and never prints a wrong one."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import sympy as sp

import jaxopt_notes
from jaxopt_notes.conventions import keras, torch
from jaxopt_notes.errors import InputError
from jaxopt_notes.explain import main
from jaxopt_notes.microscope import explain
from jaxopt_notes.microscope.equations.checking import check
from jaxopt_notes.microscope.equations.operations import number


def equations(explanation, case=0):
    """The lines of a case as text, without the numbers beside them."""
    return [line["text"] for line in explanation.as_json()["cases"][case]["lines"]]


ADAM = [
    "t ← t + 1",
    "m ← β₁ m + (1 − β₁) g",
    "m̂ ← m / (1 − β₁ᵗ)",
    "v ← β₂ v + (1 − β₂) g²",
    "v̂ ← v / (1 − β₂ᵗ)",
]


@pytest.fixture(scope="module")
def adamw():
    return explain(optax.adamw, learning_rate=1e-3, weight_decay=0.1)


def test_a_factory_is_explained_as_its_paper_has_it(adamw):
    assert equations(adamw) == [*ADAM, "θ ← θ − α (m̂ / (√v̂ + ε) + λ θ)"]
    values = {h.letter: (h.name, h.value) for h in adamw.hyperparameters}
    assert values["λ"] == ("weight_decay", 0.1)
    assert values["β₂"] == ("b2", 0.999)
    assert adamw.holds
    assert adamw.checked.largest < 1e-12
    assert (adamw.checked.steps, adamw.checked.dtype) == (100, "float64")
    text = adamw.text.splitlines()
    assert text[0] == "adamw(learning_rate=0.001, weight_decay=0.1)"
    assert " ".join(text[2].split()) == "m ← β₁ m + (1 − β₁) g β₁ = 0.9"
    assert "  the weight decay does not pass through the state (decoupled)" in text


def test_latex_and_json_say_the_same(adamw):
    assert r"\theta - \alpha \left(\frac{\hat{m}}{\sqrt{\hat{v}} + \epsilon}" in adamw.latex
    assert adamw._repr_latex_() == f"$${adamw.latex}$$"
    line = json.loads(adamw.json())["cases"][0]["lines"][1]
    assert (line["target"], line["kind"]) == ("m", "state")
    assert sp.sympify(line["sympy"]).equals(adamw.cases[0].lines[1].expr)


def test_whose_formula_it_is_and_what_others_call_so(adamw):
    same = {c.name for c in adamw.conventions if c.same}
    assert same == {"notes.adamw", "optax.adamw", "torch.adamw"}
    assert "  adamw in Keras: θ ← θ − α √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + 1e-08)" in adamw.text
    assert "torch.adamw λ = 0.01; keras.adamw ε = 1e-07, λ = 0.004" in adamw.text
    keras_adam = explain(keras.adam, learning_rate=0.1)
    assert {c.framework for c in keras_adam.conventions if c.same} == {"keras", "tensorflow1"}
    assert equations(keras_adam)[-1] == "θ ← θ − α m̂ / (√v̂ + ε / √(1 − β₂ᵗ))"


def _mutants(expr, largest=4):
    """The expression with one symbol doubled, or a sign changed, in turn."""
    for symbol in sorted(expr.free_symbols, key=str)[:largest]:
        yield expr.xreplace({symbol: 2 * symbol})
    yield -expr


@pytest.mark.slow
def test_no_wrong_equation_passes_the_check(adamw):
    system = adamw.system
    (regime,) = system.regimes
    (group,) = regime.groups
    passed = []
    for i, line in enumerate(group.lines):
        for expr in list(_mutants(line.expr))[:: 1 if line.kind == "parameter" else 3]:
            lines = (*group.lines[:i], line._replace(expr=expr), *group.lines[i + 1 :])
            changed = regime._replace(groups=(group._replace(lines=lines),))
            if check(system._replace(regimes=(changed,)), steps=20).holds:
                passed.append(f"{line.target} = {expr}")
    assert not passed
    assert check(system, steps=20).holds


def test_an_error_that_only_late_steps_show_is_seen():
    system = explain(
        optax.sgd, learning_rate=optax.piecewise_constant_schedule(0.1, {300: 0.5})
    ).system
    ((group,),) = (regime.groups for regime in system.regimes)
    lines = tuple(
        line._replace(expr=number(0.1)) if line.kind == "schedule" else line for line in group.lines
    )
    wrong = system.regimes[0]._replace(groups=(group._replace(lines=lines),))
    assert check(system).holds
    assert not check(system._replace(regimes=(wrong,))).holds


def test_a_slightly_wrong_number_does_not_pass():
    system = explain(optax.rmsprop, learning_rate=0.1).system
    assert not check(
        system._replace(constants=system.constants | {"ε": 1.000001e-8}), steps=20
    ).holds


def test_what_cannot_be_read_is_not_printed_as_an_equation(capsys):
    assert main(["optax.contrib.muon", "learning_rate=0.1"]) == 1
    text = capsys.readouterr().out
    assert "could not be put into an equation: " in text
    assert "it multiplies matrices" in text
    assert "the steps that were understood, not checked" in text
    assert "?" not in text
    assert "checked: " not in text


def test_a_loop_of_a_few_rounds_is_read_and_a_loop_over_an_array_is_not():
    def halved(g):
        return jax.lax.fori_loop(0, 3, lambda _, x: 0.5 * x, g)

    def scaled(g):
        return jax.lax.scan(lambda x, by: (by * x, None), g, np.array([0.5, 0.25]))[0]

    def summed(g):
        return jax.lax.scan(lambda x, _: (0.5 * x, x), g, length=2)[1].sum(0)

    def optimizer(direction):
        return optax.stateless_with_tree_map(lambda g, _: -0.8 * direction(g))

    assert equations(explain(optimizer(halved))) == ["θ ← θ − 0.1 g"]
    for over_an_array in (scaled, summed):
        assert "a loop over arrays" in explain(optimizer(over_an_array)).text


def test_arrays_that_are_treated_differently_are_cases():
    made = explain(
        optax.partition(
            {"a": optax.sgd(0.5, momentum=0.9), "b": optax.set_to_zero()},
            {"in": "a", "out": "b", "last": "b"},
        ),
        params={"in": np.ones(4), "out": np.ones((2, 3)), "last": np.ones(5)},
    )
    assert [case.leaves for case in made.cases] == [("in",), ("last", "out")]
    assert equations(made) == ["v ← 0.9 v + g", "θ ← θ − 0.5 v"]
    assert equations(made, 1) == ["θ ← θ"]
    assert "  for last, out:" in made.text.splitlines()


def test_a_mask_without_the_learning_rate_is_seen_to_go_uphill():
    made = explain(optax.masked(optax.sgd(0.5), {"weight": True, "bias": False}))
    assert equations(made, 0) == ["θ ← θ + g"]
    assert "the first step of bias follows the gradient uphill" in made.text


def test_conditions_of_a_step_are_cases_and_every_one_is_met():
    steps = explain(optax.MultiSteps(optax.sgd(0.5), 4))
    assert [case.when for case in steps.cases] == ["if i = 3", "if i ≠ 3"]
    assert steps.checked.unseen == ()
    finite = explain(optax.apply_if_finite(optax.sgd(0.5), 3))
    assert finite.cases[0].when == "if every g is finite"
    assert equations(finite, 2)[-1] == "θ ← θ"
    assert finite.checked.unseen == ()
    late = explain(jaxopt_notes.adam_to_sgd, learning_rate=0.1, switch_step=200)
    assert [case.when for case in late.cases] == ["if switched_at ≥ 0", "if switched_at < 0"]
    assert late.checked.unseen == ()
    assert "10 more from t = 5001" in late.text
    sam = explain(
        optax.contrib.sam(optax.sgd(0.1), optax.chain(optax.contrib.normalize(), optax.sgd(0.05)))
    )
    assert 'no step met the case "if steps_since_sync ≠ 0 and steps_since_sync ≠ 1"' in sam.text


def test_clipping_and_coupled_decay_stand_before_the_moments():
    def chain(max_norm, weight_decay):
        return optax.chain(
            optax.add_decayed_weights(weight_decay),
            optax.clip_by_global_norm(max_norm),
            optax.sgd(0.5, momentum=0.9, nesterov=True),
        )

    made = explain(chain, max_norm=2.0, weight_decay=0.1)
    assert equations(made) == [
        "g ← g + λ θ",
        "q ← min(1, c / ‖g‖) g",
        "v ← 0.9 v + q",
        "θ ← θ − 0.5 (0.9 v + q)",
    ]
    assert "over all arrays together" in made.text
    decayed = explain(torch.adam, weight_decay=0.1)
    assert equations(decayed)[1] == "g ← g + λ θ"
    assert "coupled, as in L2" in decayed.text


def test_a_schedule_is_a_letter_with_its_own_formula():
    made = explain(optax.sgd, learning_rate=optax.cosine_decay_schedule(0.1, 80))
    assert equations(made)[1:] == [
        "α_t ← 0.05 (cos(0.0125 π min(t − 1, 80)) + 1)",
        "θ ← θ − α_t g",
    ]

    def table(count):
        return jnp.asarray([0.1, 0.2, 0.3])[jnp.minimum(count, 2)]

    late = explain(optax.sgd, learning_rate=optax.warmup_cosine_decay_schedule(0.0, 0.1, 900, 9000))
    assert late.checked.late
    assert late.checked.dtype == "float32"  # in which optax computes its warm-up
    words = explain(optax.sgd, learning_rate=table)
    assert words.holds
    assert "α_t is the schedule that was passed as learning_rate" in words.text


def test_a_guard_is_a_remark_and_a_state_that_starts_elsewhere_is_said():
    made = explain(optax.adagrad, learning_rate=0.1)
    assert equations(made) == ["G ← G + g²", "θ ← θ − α g / √(G + ε)"]
    assert "  0 in place of 1 / √(G + ε) where G ≤ 0" in made.text.splitlines()
    assert made.starts == {"G": "0.1"}
    assert made.hyperparameters[-1].letter in ("α", "G₀")


def test_the_dtype_that_an_optimizer_rounds_to_is_said():
    made = explain(optax.adam(0.1, mu_dtype=jnp.bfloat16))
    assert made.checked.dtype == "bfloat16"
    assert "0.8984375 m + 0.1 g" in made.text  # β₁ is rounded too
    assert "steps in bfloat16, the optimizer's own dtype" in made.text


def test_injected_hyperparameters_keep_their_letters():
    made = explain(optax.inject_hyperparams(optax.adam)(0.1))
    assert equations(made)[:5] == ADAM
    assert {h.letter for h in made.hyperparameters} >= {"α", "β₁", "β₂", "ε"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["optax.adamv"], "optax has no adamv; did you mean optax.adam?"),
        (["optax.adam", "lr=3"], "lr: optax.adam does not take it; did you mean learning_rate?"),
        (["optax.polyak_sgd"], "its update needs value, which a probe cannot give"),
        (["optax.lbfgs"], "its update needs value, grad, and value_fn"),
        (["optax.contrib.sophia", "learning_rate=0.1"], "obj_fn must be provided"),
        (["optax.cosine_decay_schedule", "init_value=1.0", "decay_steps=9"], "no init and update"),
        (["optax.adam", "learning_rate"], "is not key=value"),
        ([], "FACTORY: is missing"),
        (["optax.adam", "--table", "x.md"], "--table x.md: writes a page of its own"),
        (["--jsno"], "did you mean --json?"),
    ],
)
def test_a_mistake_is_one_line(words, says, capsys):
    assert main(words) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert not captured.out


def test_what_is_no_optimizer_is_refused_in_python_too():
    with pytest.raises(InputError, match="takes no arguments; pass its factory"):
        explain(optax.adam(0.1), b1=0.9)
    with pytest.raises(InputError, match="has no init and update"):
        explain(3)


def test_the_command_prints_json_and_latex(capsys):
    assert main(["optax.sgd", "learning_rate=0.5", "momentum=0.9", "--json"]) == 0
    explanation = json.loads(capsys.readouterr().out)
    assert explanation["holds"]
    assert [line["text"] for line in explanation["cases"][0]["lines"]] == [
        "v ← β v + g",
        "θ ← θ − α v",
    ]
    assert main(["optax.sgd", "learning_rate=0.5", "--latex"]) == 0
    assert r"\theta &\leftarrow \theta - \alpha g" in capsys.readouterr().out


def test_numbers_are_the_decimals_that_were_meant():
    assert float(number(1 - 0.9)) == 0.1
    assert float(number(0.1 + 1e-9)) == 0.1 + 1e-9
    assert number(math.pi / 7) == sp.pi / 7
