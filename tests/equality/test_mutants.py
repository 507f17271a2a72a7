"""The comparison sees mistakes: each wrong formula of the proof's table differs from optax's.

`test_outside_jit.py` shows that each of these cases is equal without its mistake.
"""

import pytest

from jaxopt_notes.verification.mutants import Mutant, mutants
from jaxopt_notes.verification.settings import named
from tests.equality.cases import CASES, Case, case_of
from tests.equality.comparison import assert_same_bits, run
from tests.equality.gradients import tree_and_gradients

BY_NAME = {case.name: case for case in CASES}
IN_THE_PROOF = [m for m in mutants() if "optax" in m.setting.oracles]
# The quick tests try one mutant of each optimizer; `verify --mutate` and the slow tests try all.
QUICK = list({m.setting.optimizer: m for m in IN_THE_PROOF}.values())
_SGD = named("optax.sgd", {})  # the case says how it is run

# Errors that only mixed dtypes, complex numbers or masks show, and the case that shows each.
ONLY_HERE = {
    "adamw(learning_rate=0.1,weight_decay=0.1,mask=tree)": Mutant(
        _SGD,
        "mask ignored",
        "optimizers._adam:adamw",
        "add_decayed_weights(weight_decay, mask)",
        "add_decayed_weights(weight_decay)",
    ),
    "add_decayed_weights(weight_decay=linear)": Mutant(
        _SGD,
        "schedule of the decay a step early",
        "optimizers.engine:leafwise",
        "[at_step(old.count)]",
        "[at_step(old.count + 1)]",
    ),
    "scale_by_rms(decay=0.999,bias_correction=True)": Mutant(
        _SGD,
        "bias correction rounded before the division",
        "optimizers.engine:Debias.correction",
        "return correction(self.decay, increment(t) if self.ahead else t)",
        "return correction(self.decay, t).astype(self.average.dtype)",
    ),
    "scale_by_rms()": Mutant(
        _SGD,
        "squares of complex numbers",
        "optimizers.moments:abs_sq",
        "(g.conj() * g).real",
        "(g * g).real",
    ),
    "adam(learning_rate=0.1,mu_dtype=bfloat16)": Mutant(
        _SGD,
        "accumulator dtype ignored",
        "optimizers.engine:_cast",
        "new.astype(jax.dtypes.canonicalize_dtype(slot.dtype))",
        "new",
    ),
    "scale_by_rms(decay=ArrayImpl0.8999999761581421,initial_scale=ArrayImpl0.5)": Mutant(
        _SGD,
        "accumulators always kept in the dtype of before",
        "optimizers.engine:_cast",
        "if slot.keep_dtype else new",
        "",
    ),
}


def assert_same_updates(case: Case) -> None:
    """Compares numbers only: a mistake must show in more than the state's classes."""
    params, gradients = tree_and_gradients("mixed", case.real_only)
    ours = run(case.ours(params), params, gradients)
    optax_steps = run(case.optaxs(params), params, gradients)
    for (our_updates, *_), (their_updates, *_) in zip(ours, optax_steps, strict=True):
        assert_same_bits(our_updates, their_updates)


@pytest.mark.parametrize(
    ("mutant", "case"),
    [
        *(
            pytest.param(
                m,
                case_of(m.setting),
                id=f"{m.setting.label}: {m.error}",
                marks=[] if m in QUICK else pytest.mark.slow,
            )
            for m in IN_THE_PROOF
        ),
        *(pytest.param(m, BY_NAME[name], id=f"{name}: {m.error}") for name, m in ONLY_HERE.items()),
    ],
)
def test_a_wrong_formula_is_caught(mutant: Mutant, case: Case) -> None:
    with mutant.in_place(), pytest.raises(AssertionError, match="is not"):
        assert_same_updates(case)
