"""What a change of each setting means for a run that is resumed: its row says it."""

import pytest

from jaxopt_notes.config.options import asked_in, build_parser
from jaxopt_notes.config.settings import ROWS, from_json, resolve
from jaxopt_notes.config.table import OnResume
from jaxopt_notes.errors import InputError
from jaxopt_notes.files import write_json
from jaxopt_notes.runs import info, resume
from tests.config.samples import OLD_CONFIG, SAMPLES, SINCE

WITH_OVERRIDE = (OnResume.OVERRIDE, OnResume.NEW_OPTIMIZER, OnResume.NEW_ORDER)
# What a setting decides. Written again, apart from the table, so that a changed rule is noticed.
STRUCTURE = {"model", "pooling", "widths", "norm", "activation", "init", "image_size", "ema"}
ORDER = {"batch_size", "seed"}
STATE = {"optimizer", "schedule", "switch_at", "clip_norm"}
PLACES = {"out", "data_dir", "compilation_cache"}
RECORDS = {"checkpoint_every", "keep", "tensorboard", "profile", "follow_links", "watch"}


def asked(*argv):
    return asked_in(build_parser().parse_args(argv))


def run_of(tmp_path, config):
    """The folder of a run with these settings."""
    data = {"image_shape": [28, 28, 1], "class_names": ["0", "1"]}
    write_json(tmp_path / "config.json", {"config": config, "data": data})
    return str(tmp_path)


@pytest.fixture
def begin(tmp_path):
    def begin(*argv):
        return run_of(tmp_path, resolve(asked("--epochs", "3", *argv), 1).as_json())

    return begin


def test_the_rules_are_those_that_the_checkpoints_ask_for():
    def names(rule):
        return {name for name, row in ROWS.items() if row.on_resume is rule}

    assert names(OnResume.WEIGHTS) == STRUCTURE
    assert names(OnResume.NEW_ORDER) == ORDER
    hyperparameters = set(ROWS) - set(OLD_CONFIG) - set(SINCE)
    assert names(OnResume.NEW_OPTIMIZER) == STATE | hyperparameters
    training = {"dropout", "learning_rate", "warmup", "shift", "label_smoothing"}
    assert names(OnResume.OVERRIDE) == training
    assert names(OnResume.FOLDER) == {"out"}
    assert names(OnResume.DATA) == {"dataset"}
    assert names(OnResume.TODAY) == {"mesh"}
    free = {"epochs", "patience", "on_nonfinite", "shard_optimizer_state"}
    assert names(OnResume.FREE) == RECORDS | free | PLACES - {"out"}
    assert {name for name, row in ROWS.items() if not row.compared} == RECORDS | PLACES


@pytest.mark.parametrize("name", ROWS)
def test_a_change_does_what_the_row_says(begin, name):
    sample, row = SAMPLES[name], ROWS[name]
    folder = begin(*sample.base)
    options = asked(*sample.options)
    if row.on_resume in (OnResume.WEIGHTS, OnResume.FOLDER):
        with pytest.raises(InputError, match=f"^{sample.options[0]} .*leave it out"):
            resume.go_on(folder, options, override=True)
        return
    if row.on_resume in WITH_OVERRIDE:
        with pytest.raises(InputError, match=f"^{' '.join(sample.options[:1])}.*--override"):
            resume.go_on(folder, options, override=False)
    resumed = resume.go_on(folder, options, override=row.on_resume in WITH_OVERRIDE)
    config = resolve(resumed.asked, 1)
    assert config.values()[name] == sample.value
    assert (name in resumed.changed) == (row.on_resume in WITH_OVERRIDE)
    assert resumed.means(OnResume.NEW_OPTIMIZER) == (row.on_resume is OnResume.NEW_OPTIMIZER)
    assert resumed.means(OnResume.NEW_ORDER) == (row.on_resume is OnResume.NEW_ORDER)


@pytest.mark.parametrize("name", ROWS)
def test_without_options_a_run_goes_on_with_its_own_settings(begin, name):
    sample = SAMPLES[name]
    folder = begin(*sample.base, *sample.options)
    resumed = resume.go_on(folder, {}, override=False)
    config = resolve(resumed.asked, 1)
    expected = {"mesh": None, "out": folder}.get(name, sample.value)
    assert config.values()[name] == expected
    assert not resumed.changed


def test_a_run_of_an_earlier_version_goes_on(tmp_path):
    folder = run_of(tmp_path, OLD_CONFIG)
    resumed = resume.go_on(folder, {"epochs": 3}, override=False)
    assert not resumed.changed
    assert resolve(resumed.asked, 1).as_json() == OLD_CONFIG | SINCE | {
        "warmup": 0.25,
        "epochs": 3,
        "out": folder,
        "mesh": None,
    }


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        # Another optimizer brings its own learning rate; what belonged to the old one goes.
        ("--b1 0.5 --learning-rate 0.01", "--optimizer sgd", {"learning_rate": 0.1, "b1": None}),
        (
            "--optimizer adam-to-sgd",
            "--optimizer adamw",
            {"switch_at": None, "carry": None, "sgd_learning_rate": None},
        ),
        # Another schedule brings its own warm-up, unless the user chose one.
        ("", "--schedule cosine", {"warmup": 0.0}),
        ("--warmup 0.1", "--schedule cosine", {"warmup": 0.1}),
        # The run chooses its switch again.
        (
            "--optimizer adam-to-sgd",
            "--switch-at auto",
            {"carry": "swats", "sgd_learning_rate": None, "switch_eps": 0.01},
        ),
        (
            "--optimizer adam-to-sgd --sgd-learning-rate 0.1",
            "--switch-at 0.5",
            {"switch_at": 0.5, "sgd_learning_rate": 0.1},
        ),
        ("--pooling gap", "--keep 3", {"learning_rate": 0.03}),
    ],
)
def test_what_depends_on_a_changed_setting_is_chosen_anew(begin, before, now, expected):
    folder = begin(*before.split())
    resumed = resume.go_on(folder, asked(*now.split()), override=True)
    values = resolve(resumed.asked, 1).values()
    assert {name: values[name] for name in expected} == expected


def test_the_line_names_both_values(begin):
    folder = begin("--nesterov", "--clip-norm", "2")
    for option, had in (("--b1 0.5", "the optimizer's default"), ("--clip-norm 1", "2")):
        with pytest.raises(InputError, match=f"^{option}: the run in {folder} has {had}; leave"):
            resume.go_on(folder, asked(*option.split()), override=False)
    with pytest.raises(InputError, match=f"^--no-nesterov: the run in {folder} has --nesterov;"):
        resume.go_on(folder, {"nesterov": False}, override=False)


def test_the_folder_may_be_named_again(begin):
    folder = begin("--out", "old-place")
    for name in ("old-place", folder):
        assert resume.go_on(folder, {"out": name}, override=False).asked["out"] == folder


def test_settings_in_the_folder_are_checked(begin, tmp_path):
    config = from_json(OLD_CONFIG).as_json() | {"b1": 0.5}
    with pytest.raises(InputError, match="does not describe a run"):
        info.read(run_of(tmp_path, config | {"optimizer": "sgd", "hyperparameters": {}}))
