"""`identify` names optimizers from their steps: sound ones, faulty ones, unknown ones."""

import jax
import numpy as np
import optax
import pytest

from jaxopt_notes.errors import InputError
from jaxopt_notes.microscope import OptaxStepper, identify
from jaxopt_notes.microscope.steps import proof
from jaxopt_notes.microscope.steps.faults import FAULTS, SOUND
from tests.slow_cases import slow_but

_BY_NAME = {fault.name: fault for fault in (*SOUND, *FAULTS)}
# One case of each probe, with the fastest optimizers.
_QUICK = (
    "velocity dropped",
    "average starts undampened",
    "velocity scaled by 1 − β",
    "Nesterov a step late",
    "rate inside for outside",
    "first step dampened",
    "norm clipped per array",
)


@pytest.mark.parametrize("name", _QUICK)
def test_a_planted_fault_is_named(name):
    row = proof.check_planted("fault", _BY_NAME[name])
    assert row.right, row.identification


def test_a_sound_optimizer_has_no_deviation_and_gives_its_numbers():
    row = proof.check_planted("sound", _BY_NAME["SGD with momentum"])
    assert row.right
    assert not row.wrong, row.identification


@pytest.mark.parametrize(
    "name",
    slow_but(
        ["optax.lion", "notes.momentum"],
        ["optax.lion", "torch.sgd", "keras.sgd", "notes.momentum", "optax.rmsprop"],
    ),
)
def test_settings_are_recovered_blind(name):
    setting = [s for s in proof.distinct_settings() if s.name == name][-1]
    row = proof.check_setting(setting)
    assert row.right, row.identification
    assert not row.wrong, row.identification


@pytest.mark.slow
def test_x64_is_as_it_was_and_the_result_is_the_same_again():
    def made():
        return OptaxStepper(lambda rate: optax.sgd(rate, 0.9), 0.1)

    before = jax.config.jax_enable_x64
    first = identify(made())
    assert jax.config.jax_enable_x64 == before
    assert first == identify(made())
    assert first.hyperparameters == {"learning_rate": 0.1, "momentum": 0.9}


def test_what_cannot_be_told_is_said():
    identification = identify(OptaxStepper(lambda _: optax.sgd(0.1, 0.9)))  # no rate to set
    assert any("inside the velocity" in sentence for sentence in identification.undecided)
    assert any("1 − β1" in sentence for sentence in identification.undecided)
    assert "a change of the learning rate" in identification.not_examined


@pytest.mark.slow
def test_maximize_and_a_clipped_value_are_seen():
    tx = optax.chain(optax.clip(0.5), optax.scale(-1), optax.sgd(0.1, 0.9))
    identification = identify(OptaxStepper(lambda _: tx))
    assert identification.known
    assert identification.hyperparameters["max_delta"] == pytest.approx(0.5, rel=1e-6)
    assert "−g" in identification.equation
    assert any("it maximizes" in sentence for sentence in identification.conventions)


def test_float32_gives_the_same_name():
    identification = identify(OptaxStepper(lambda rate: optax.sgd(rate, 0.9), 0.1), dtype="float32")
    assert identification.family == "SGD with momentum"
    assert identification.hyperparameters == pytest.approx(
        {"learning_rate": 0.1, "momentum": 0.9}, rel=1e-6
    )


class _TwoSpeeds:
    """Linear, with two velocities: outside the family."""

    def start(self, params):
        self.p = {n: p.copy() for n, p in params.items()}
        self.v = {n: 0 * p for n, p in params.items()}
        self.w = {n: 0 * p for n, p in params.items()}

    def step(self, grads):
        for n, g in grads.items():
            self.v[n] = 0.9 * self.v[n] + g
            self.w[n] = 0.5 * self.w[n] + g
            self.p[n] = self.p[n] - 0.1 * (self.v[n] + self.w[n])
        return {n: p.copy() for n, p in self.p.items()}


class _CorrectedAverage(_TwoSpeeds):
    """The corrected average itself is kept, with one counter for all arrays."""

    def start(self, params):
        super().start(params)
        self.t = 0

    def step(self, grads):
        self.t += 1
        β = (0.9 - 0.9**self.t) / (1 - 0.9**self.t)
        for n, g in grads.items():
            if g is not None:
                self.v[n] = β * self.v[n] + (1 - β) * g
                self.p[n] = self.p[n] - 0.1 * self.v[n]
        return {n: p.copy() for n, p in self.p.items()}


def test_averages_that_a_missing_gradient_bends_are_named():
    identification = identify(_CorrectedAverage())
    assert identification.hyperparameters == {"learning_rate": 0.1, "decay": 0.9}
    assert any("missing gradient bends" in sentence for sentence in identification.deviations)


class _Random(_TwoSpeeds):
    """Other steps every time."""

    dice = np.random.default_rng(0)

    def step(self, grads):
        noise = self.dice.normal()
        return super().step({n: g * (1 + 0.1 * noise) for n, g in grads.items()})


class _Still(_TwoSpeeds):
    def step(self, grads):
        return {n: p.copy() for n, p in self.p.items()}


@pytest.mark.parametrize(
    ("stepper", "words"),
    [
        (_TwoSpeeds(), ("like SGD", "unlike it for", "proportional to the gradient")),
        (_Random(), ("the same gradients give other steps",)),
        (_Still(), ("does not move",)),
    ],
)
def test_an_optimizer_outside_the_family_is_unknown(stepper, words):
    identification = identify(stepper)
    assert not identification.known
    assert str(identification).startswith("unknown: ")
    assert all(word in identification.family for word in words), identification.family
    assert not identification.equation
    assert not identification.hyperparameters


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match="dtype int8: choose from"):
        identify(_Still(), dtype="int8")
    with pytest.raises(InputError, match=r"--claim torch\.adamv.*did you mean torch\.adam"):
        identify(_Still(), claim="torch.adamv")


@pytest.mark.slow
def test_at_least_nine_tenths_of_the_faults_are_named():
    assert len(FAULTS) >= 25
    rows = [proof.check_planted("fault", fault) for fault in FAULTS[::3]]  # --self-test: all
    missed = [row.name for row in rows if not row.right]
    assert len(missed) <= 0.1 * len(rows), missed


@pytest.mark.slow
def test_the_settings_are_recovered_and_none_is_named_wrongly():
    chosen = list(proof.distinct_settings())[::6]  # --self-test: all
    rows = [proof.check_setting(setting) for setting in chosen]
    missed = [row.name for row in rows if not row.right]
    assert len(missed) <= 0.01 * len(rows), missed
    assert not [row.name for row in rows if row.wrong]


@pytest.mark.slow
@pytest.mark.parametrize("made", [optax.yogi, optax.adabelief])
def test_relatives_of_adam_are_unknown(made):
    identification = identify(OptaxStepper(made, 1e-3))
    assert not identification.known
