"""The table of settings: options, checks, `config.json` and the optimizers agree with it."""

import dataclasses
import inspect
import json

import optax
import pytest

from jaxopt_notes import models, optimizers
from jaxopt_notes.config import settings
from jaxopt_notes.config.kinds import Interval, whole
from jaxopt_notes.config.optimizers import OPTIMIZERS, Optimizer
from jaxopt_notes.config.options import asked_in, build_parser, help_text
from jaxopt_notes.config.settings import ROWS, Settings, from_json, resolve, takers
from jaxopt_notes.config.table import OnResume, Row, row, rows, table_of
from jaxopt_notes.errors import InputError
from jaxopt_notes.models import activations, batch_norm, pooling
from jaxopt_notes.optimizers._adam_to_sgd import CARRIES
from jaxopt_notes.training.schedules import schedule
from tests.config.samples import OLD_CONFIG, SAMPLES, SINCE


def asked(*argv):
    return asked_in(build_parser().parse_args(argv))


# ---- the table itself


def test_each_field_has_a_row_and_each_row_a_sample():
    fields = {each.name for each in dataclasses.fields(Settings)} - {"hyperparameters"}
    assert fields == {name for name, each in ROWS.items() if not each.name or name in fields}
    assert set(ROWS) - fields == {h for o in OPTIMIZERS.values() for h in o.hyperparameters}
    assert set(SAMPLES) == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_each_row_has_help_a_rule_for_resuming_and_a_check_that_can_fail(name):
    each = ROWS[name]
    assert each.name == name
    assert len(each.help) > 5 or name == "optimizer"
    assert isinstance(each.on_resume, OnResume)
    for wrong in (object(), None, "", [], -1j):
        with pytest.raises(InputError, match=f"^{each.option} .*; .+"):
            each.checked(wrong)
    if each.kind.metavar:  # no flag
        with pytest.raises(InputError, match=f"^{each.option} '': is empty; .+"):
            each.read("")


def test_a_row_without_a_rule_for_resuming_cannot_be_made():
    with pytest.raises(TypeError, match="on_resume"):
        Row(kind=whole(1), help="a number", group="the run")
    with pytest.raises(TypeError, match="on_resume"):
        row(kind=whole(1), help="a number", group="the run")


def test_a_field_without_a_row_makes_no_table():
    about = {"kind": whole(1), "help": "a number", "group": "", "on_resume": OnResume.FREE}

    @dataclasses.dataclass
    class Bare:
        whole: int = row(**about)
        bare: int = 1

    with pytest.raises(TypeError, match=r"Bare\.bare has no row"):
        table_of(Bare)

    @dataclasses.dataclass
    class Twice:
        whole: int = row(**about)
        more: dict = rows(Row(name="whole", **about))  # noqa: RUF009

    with pytest.raises(TypeError, match="two rows for each of whole"):
        table_of(Twice)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_hyperparameters_of_an_optimizer_are_its_arguments(name):
    factory = getattr(optimizers, name.replace("-", "_"))
    arguments = set(inspect.signature(factory).parameters)
    by_the_run = {"learning_rate", "mask", "switch_step", "earliest_switch"}
    assert set(OPTIMIZERS[name].hyperparameters) == arguments - by_the_run
    assert all(name in takers(ROWS[each]) for each in OPTIMIZERS[name].hyperparameters)


def test_a_new_optimizer_is_one_row(monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "lamb", Optimizer(0.0003, ("b1", "b2", "weight_decay")))
    config = resolve(asked("--optimizer", "Lamb", "--weight-decay", "0.1"), 60_000)
    assert (config.optimizer, config.learning_rate) == ("lamb", 0.0003)
    assert config.hyperparameters == {"weight_decay": 0.1}
    with pytest.raises(InputError, match="--eps 1e-08: lamb does not take it"):
        resolve(asked("--optimizer", "lamb", "--eps", "1e-8"), 60_000)
    assert help_text(ROWS["weight_decay"]).endswith("lamb)")


def test_names_are_those_of_the_networks_and_the_optimizer():
    assert settings.POOLINGS == pooling.POOLINGS
    assert settings.NORMS == batch_norm.NORMS
    assert tuple(activations.ACTIVATIONS) == settings.ACTIVATIONS
    assert settings.CARRIES == CARRIES
    assert all(hasattr(models, name.upper()) for name in settings.MODELS)


# ---- options


@pytest.mark.parametrize("name", ROWS)
def test_the_help_has_each_option_its_default_and_who_uses_it(name):
    text = " ".join(build_parser().format_help().split())
    option = ROWS[name].option
    assert f" {option} " in text or f" {option}, " in text
    assert help_text(ROWS[name]) in text
    assert help_text(ROWS[name]).startswith(ROWS[name].help)
    config = resolve({}, 60_000)
    default = config.values()[name]
    if isinstance(default, int | float | str) and not ROWS[name].default_text:
        shown = "off" if default is False else str(default).removesuffix(".0")
        assert f"(default: {shown})" in help_text(ROWS[name])
    for user in takers(ROWS[name]):
        assert user in help_text(ROWS[name]).rpartition("(used by: ")[2]


def test_computed_defaults_are_those_that_the_help_names():
    for name, each in OPTIMIZERS.items():
        assert f"{name} {each.learning_rate:g}" in ROWS["learning_rate"].default_text
        assert resolve({"optimizer": name}, 1).learning_rate == each.learning_rate
    assert resolve({"pooling": "gap"}, 1).learning_rate == 0.03
    assert "with --pooling gap, 0.03 for adam, " in ROWS["learning_rate"].default_text
    assert resolve({"pooling": "gap", "optimizer": "sgd"}, 1).learning_rate == 0.1
    for name, share in settings.SCHEDULES.items():
        assert resolve({"schedule": name}, 1).warmup == share
    assert ROWS["warmup"].default_text == "0.25 for one-cycle, otherwise 0"
    assert resolve({}, 1).pooling == ROWS["pooling"].default_text
    switching = resolve({"optimizer": "adam-to-sgd"}, 1)
    assert switching.switch_at == float(ROWS["switch_at"].default_text)
    assert switching.hyperparameters == {"carry": "momentum", "sgd_learning_rate": 0.05}
    swats = resolve({"optimizer": "adam-to-sgd", "switch_at": "auto"}, 1)
    assert swats.hyperparameters == {"carry": "swats", "switch_eps": 0.01}


def test_what_is_not_typed_is_not_asked_for():
    assert asked() == {}
    assert asked("--quiet", "--shift", "2") == {"shift": 2}


@pytest.mark.parametrize("name", ROWS)
def test_an_option_reaches_the_settings_and_config_json_and_comes_back(name):
    sample = SAMPLES[name]
    options = asked(*sample.base, *sample.options)
    config = resolve(options, 60_000)
    assert config.values()[name] == sample.value
    assert resolve(asked(*sample.base), 60_000).values()[name] != sample.value
    stored_config = json.loads(json.dumps(config.as_json()))
    assert from_json(stored_config) == config


@pytest.mark.parametrize(
    ("text", "value"),
    [("Adam", "adam"), ("ADAMW", "adamw"), ("adam-to-SGD", "adam-to-sgd")],
)
def test_capitals_do_not_count(text, value):
    assert asked("--optimizer", text) == {"optimizer": value}


def test_aliases_name_an_option_and_are_none():
    parser = build_parser()
    assert parser.aliases["--lr"] == "--learning-rate"
    assert not parser.aliases.keys() & parser._option_string_actions.keys()
    for alias, option in parser.aliases.items():
        with pytest.raises(
            InputError, match=f"^{alias}: is not an option; did you mean {option}.$"
        ):
            parser.parse_args([alias, "1"])


# ---- config.json


def test_config_json_has_the_fields_that_it_always_had():
    assert list(resolve({}, 1).as_json()) == list(OLD_CONFIG | SINCE)


def test_a_config_json_of_an_earlier_version_is_read_and_written_alike():
    config = from_json(OLD_CONFIG)
    assert config.switch_at == 0.7
    assert config.checkpoint_every == Interval(seconds=300)
    assert config.image_size == (28, 32)
    # Only the warm-up, which it left to the schedule, is a number now.
    assert config.as_json() == OLD_CONFIG | SINCE | {"warmup": 0.25}


def test_a_setting_that_config_json_lacks_has_its_default():
    older = {name: OLD_CONFIG[name] for name in ("model", "epochs", "seed")}
    assert from_json(older) == resolve({"model": "mlp", "epochs": 2}, 1)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"batch_size": "64"}, "--batch-size 64"),
        ({"keep": True}, "--keep"),
        ({"tensorboard": 1}, "--tensorboard"),
        ({"exec": "1"}, "exec: is not a setting"),
        ({"epochs": None}, "epochs"),
    ],
)
def test_a_config_json_with_something_else_is_refused(change, word):
    with pytest.raises(InputError, match=word):
        from_json(OLD_CONFIG | change)


# ---- checks


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"optimizer": "adma"}, ["--optimizer adma: is unknown", "adam?"]),
        ({"optimizer": "zzz"}, ["--optimizer", "zzz", "rmsprop"]),
        ({"optimiser": "sgd"}, ["optimiser: is not a setting", "optimizer?"]),
        ({"schedule": "cosin"}, ["--schedule", "cosine?"]),
        ({"learning_rate": -1.0}, ["--learning-rate", "-1"]),
        ({"learning_rate": 0.0}, ["--learning-rate", "0"]),
        ({"learning_rate": float("nan")}, ["--learning-rate", "nan"]),
        ({"learning_rate": float("inf")}, ["--learning-rate", "inf"]),
        ({"learning_rate": "0.1"}, ["--learning-rate 0.1", "number"]),
        ({"warmup": 1.0}, ["--warmup", "1.0"]),
        ({"epochs": 0}, ["--epochs", "0"]),
        ({"epochs": 1.5}, ["--epochs", "1.5"]),
        ({"batch_size": 0}, ["--batch-size", "0"]),
        ({"batch_size": True}, ["--batch-size", "True"]),
        ({"batch_size": 1, "norm": "batch"}, ["--norm batch", "--batch-size of at least 2"]),
        ({"shift": -1}, ["--shift", "-1", "pixels"]),
        ({"seed": -1}, ["--seed", "-1"]),
        ({"seed": 2**32}, ["--seed", "4294967295"]),
        ({"b1": 1.0}, ["--b1", "1.0"]),
        ({"b2": float("nan")}, ["--b2", "nan"]),
        ({"eps": -1e-8}, ["--eps", "-1e-08"]),
        ({"mu_dtype": "float12"}, ["--mu-dtype", "float12", "float32?"]),
        ({"decay": 0.9}, ["--decay 0.9: adam does not take it (used by: rmsprop)", "--b1"]),
        ({"optimizer": "sgd", "b1": 0.9}, ["--b1", "sgd", "--momentum"]),
        ({"optimizer": "adam", "carry": "plain"}, ["--carry plain", "adam-to-sgd"]),
        ({"centered": True}, ["--centered: adam does not take it"]),
        ({"centered": False}, ["--no-centered: adam does not take it"]),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(change, words):
    with pytest.raises(InputError) as caught:
        settings.validate(change)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


# ---- schedules


@pytest.mark.parametrize("warmup", [None, 0.0, 0.1, 0.5])
@pytest.mark.parametrize("name", settings.SCHEDULES)
def test_schedules_rise_to_the_peak_and_end_where_they_say(name, warmup):
    rate = schedule(name, 0.5, 200, warmup)
    values = [float(rate(k)) for k in range(201)]
    assert max(values) == pytest.approx(0.5)
    share = settings.SCHEDULES[name] if warmup is None else warmup
    assert values[round(share * 200)] == pytest.approx(0.5)
    end = {"constant": 0.5, "cosine": 0.0, "one-cycle": 0.5e-4}[name]
    assert values[-1] == pytest.approx(end, abs=1e-9)


def test_cosine_is_optax_cosine():
    ours, optax_cosine = schedule("cosine", 0.1, 50), optax.cosine_decay_schedule(0.1, 50)
    for k in (0, 10, 25, 49):
        assert float(ours(k)) == pytest.approx(float(optax_cosine(k)), rel=1e-6)
