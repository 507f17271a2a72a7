"""A run's settings. Each field's row defines its option, checks, `config.json` and resuming.

The user asks for settings, hyperparameters included, by name; `resolve` chooses all other settings.
To add a setting, add a field with its row to `Settings`; to add an optimizer, add a row to
`config.optimizers`. Needs neither JAX nor optax.

>>> asked = {"optimizer": "sgd", "momentum": 0.9}
>>> settings = resolve(asked, examples=60_000)
>>> settings.learning_rate, settings.hyperparameters, settings.epochs
(0.1, {'momentum': 0.9}, 3)
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

from jaxopt_notes import places
from jaxopt_notes.config import kinds
from jaxopt_notes.config.kinds import AUTO, OFF, PLACE, Interval, Kind
from jaxopt_notes.config.optimizers import OPTIMIZERS, SWITCHING
from jaxopt_notes.config.schedulers import is_call
from jaxopt_notes.config.table import OnResume, Row, row, rows, table_of
from jaxopt_notes.errors import InputError, nearest

# The settings that the user asks for: values by the names of their rows.
Asked: TypeAlias = Mapping[str, Any]


MODELS = ("cnn", "mlp")
POOLINGS = ("max", "average", "stride", "gap")
NORMS = ("none", "batch")
ACTIVATIONS = ("relu", "sigmoid", "tanh", "gelu")
SCHEDULES = {"constant": 0.0, "cosine": 0.0, "one-cycle": 0.25}  # name to default warm-up
INITS = ("he", "torch")
ON_NONFINITE = ("stop", "skip", "save")
DTYPES = ("float32", "bfloat16", "float16")
SWATS = "swats"
CARRIES = ("plain", "momentum", SWATS)

# The groups of options, in the order of `--help`.
RUN = "the run"
GUARDS = "resuming and guarding"
NETWORK = "the network"
DEVICES = "several devices"
DATA = "data and output"
HYPERPARAMETERS = "hyperparameters (default: the optimizer's own)"


def _learning_rate(chosen: Asked) -> float:
    optimizer = OPTIMIZERS[chosen["optimizer"]]
    if chosen["pooling"] == "gap" and optimizer.gap_learning_rate is not None:
        return optimizer.gap_learning_rate
    return optimizer.learning_rate


def _learning_rates() -> str:
    rates = [f"{name} {each.learning_rate:g}" for name, each in OPTIMIZERS.items()]
    others: dict[float, list[str]] = {}
    for name, each in OPTIMIZERS.items():
        if each.gap_learning_rate is not None:
            others.setdefault(each.gap_learning_rate, []).append(name)
    gap = [f"{rate:g} for {', '.join(names)}" for rate, names in others.items()]
    return f"{', '.join(rates)}; with --pooling gap, {'; '.join(gap)}"


def _carry(chosen: Asked) -> str:
    return SWATS if chosen["switch_at"] == AUTO else "momentum"


# Chosen on validation images like the learning rates: one-cycle, 10 epochs, batch size 64.
def _sgd_learning_rate(chosen: Asked) -> float | None:
    return None if chosen["carry"] == SWATS else 0.05  # within 3 of 2,400 images of 0.02 and 0.1


def _switch_eps(chosen: Asked) -> float | None:
    # γ is about 1 and noisy there: a run would never meet the paper's 1e-9.
    return 0.01 if chosen["switch_at"] == AUTO else None


def _compilation_cache(chosen: Asked) -> str:
    if folder := places.from_environment("JAX_COMPILATION_CACHE_DIR"):
        return folder
    caches = places.from_environment("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    # Without a home directory the path keeps its ~; a container may run as any user.
    return os.path.join(caches, "jaxopt_notes")


def _hyperparameter(name: str, kind: Kind, help: str, **more: Any) -> Row:
    return Row(
        name=name,
        kind=kind,
        help=help,
        on_resume=OnResume.NEW_OPTIMIZER,
        group=HYPERPARAMETERS,
        owner="optimizer",
        **more,
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A run's settings with every choice made; None means that a setting is off or absent.

    Each field but `hyperparameters` has its row in the table, and so has each hyperparameter.
    """

    model: str = row(
        kind=kinds.one_of(MODELS),
        default="cnn",
        help="network to train",
        on_resume=OnResume.WEIGHTS,
        group=NETWORK,
        aliases=("network", "arch"),
    )
    pooling: str | None = row(
        kind=kinds.one_of(POOLINGS),
        default=lambda chosen: "max",
        default_text="max",
        help="how the network pools (gap: one global average)",
        on_resume=OnResume.WEIGHTS,
        group=NETWORK,
        owner="model",
        valid_for=("cnn",),
    )
    widths: tuple[int, ...] | None = row(
        kind=kinds.whole_numbers(),
        default=lambda chosen: (128, 64),  # the notes' dense network
        default_text="128,64",
        help="features of each hidden layer",
        on_resume=OnResume.WEIGHTS,
        group=NETWORK,
        owner="model",
        valid_for=("mlp",),
        aliases=("hidden", "hidden-sizes", "layers"),
    )
    norm: str = row(
        kind=kinds.one_of(NORMS),
        default="none",
        help="normalisation of each layer",
        on_resume=OnResume.WEIGHTS,
        group=NETWORK,
        aliases=("batch-norm", "normalization"),
    )
    activation: str = row(
        kind=kinds.one_of(ACTIVATIONS),
        default="relu",
        help="activation function",
        on_resume=OnResume.WEIGHTS,
        group=NETWORK,
    )
    dropout: float = row(
        kind=kinds.share(),
        default=0.0,
        help="share of the hidden features to drop in each training step",
        on_resume=OnResume.OVERRIDE,
        group=NETWORK,
    )
    optimizer: str = row(
        kind=kinds.one_of(OPTIMIZERS),
        default="adam",
        help="optimizer",
        on_resume=OnResume.NEW_OPTIMIZER,
        group=RUN,
        aliases=("optim", "opt"),
    )
    hyperparameters: dict[str, Any] = rows(  # noqa: RUF009 - `rows` makes a dataclass field
        _hyperparameter("momentum", kinds.share("β"), "factor β of the heavy-ball momentum"),
        _hyperparameter("nesterov", kinds.flag(), "use Nesterov momentum"),
        _hyperparameter("beta", kinds.share("β"), "decay β of the moving average of gradients"),
        _hyperparameter(
            "decay",
            kinds.share("β"),
            "decay β of the average of squared gradients",
            aliases=("rho",),
        ),
        _hyperparameter("b1", kinds.share("β"), "decay β1 of the first moment", aliases=("beta1",)),
        _hyperparameter(
            "b2", kinds.share("β"), "decay β2 of the second moment", aliases=("beta2",)
        ),
        _hyperparameter(
            "eps", kinds.not_negative("ε"), "ε, added to the denominator", aliases=("epsilon",)
        ),
        _hyperparameter("eps_root", kinds.not_negative("ε"), "ε, added inside the square root"),
        _hyperparameter(
            "eps_in_sqrt", kinds.flag(), "add ε inside the square root rather than outside"
        ),
        _hyperparameter(
            "initial_accumulator_value", kinds.not_negative(), "initial sum of squared gradients"
        ),
        _hyperparameter(
            "initial_scale", kinds.not_negative(), "initial average of squared gradients"
        ),
        _hyperparameter("centered", kinds.flag(), "divide by the standard deviation"),
        _hyperparameter("bias_correction", kinds.flag(), "divide the averages by 1 − β^t"),
        _hyperparameter("bias_correction_mu", kinds.flag(), "divide the first moment by 1 − β1^t"),
        _hyperparameter("bias_correction_nu", kinds.flag(), "divide the second moment by 1 − β2^t"),
        _hyperparameter(
            "weight_decay",
            kinds.not_negative("λ"),
            "decoupled weight decay λ",
            aliases=("wd", "decoupled-weight-decay"),
        ),
        _hyperparameter("mu_dtype", kinds.one_of(DTYPES, "DTYPE"), "dtype of the first moment"),
        _hyperparameter(
            "accumulator_dtype", kinds.one_of(DTYPES, "DTYPE"), "dtype of the velocity"
        ),
        _hyperparameter(
            "carry",
            kinds.one_of(CARRIES),
            "what SGD takes over from Adam at the switch",
            default=_carry,
            default_text=f"momentum; with --switch-at {AUTO}, {SWATS}",
        ),
        _hyperparameter(
            "sgd_learning_rate",
            kinds.positive("0.05", "α"),
            "highest learning rate of SGD",
            default=_sgd_learning_rate,
            default_text=f"0.05; with --carry {SWATS}, SWATS finds it",
        ),
        _hyperparameter(
            "switch_eps",
            kinds.not_negative("ε"),
            "SWATS switches once its two estimates of SGD's learning rate are closer than this",
            default=_switch_eps,
            default_text="0.01",
        ),
    )
    learning_rate: float = row(
        kind=kinds.positive("0.001", "α"),
        default=_learning_rate,
        default_text=_learning_rates(),
        help="highest learning rate of the schedule",
        on_resume=OnResume.OVERRIDE,
        group=RUN,
        owner="optimizer",
        aliases=("lr", "alpha", "step-size", "max-lr", "eta"),
    )
    schedule: str = row(
        kind=kinds.schedule(SCHEDULES),
        default="one-cycle",
        help="schedule of the learning rate over the run: a name, or a call of a torch scheduler "
        "that counts steps, such as 'StepLR(step_size=500)'",
        on_resume=OnResume.NEW_OPTIMIZER,
        group=RUN,
        aliases=("scheduler", "lr-schedule", "lr-scheduler"),
    )
    warmup: float = row(
        kind=kinds.share(),
        default=lambda chosen: SCHEDULES.get(chosen["schedule"], 0.0),
        default_text="0.25 for one-cycle, otherwise 0",
        help="warm-up: share of the run in which the learning rate rises",
        on_resume=OnResume.OVERRIDE,
        group=RUN,
        aliases=("warmup-share", "warmup-ratio", "warmup-steps"),
    )
    switch_at: float | str | None = row(
        kind=kinds.share_or_auto(),
        default=lambda chosen: 0.7,
        default_text="0.7",
        help=f"share of the run before the switch from Adam to SGD; {AUTO}: SWATS decides",
        on_resume=OnResume.NEW_OPTIMIZER,
        group=RUN,
        owner="optimizer",
        valid_for=(SWITCHING,),
    )
    shift: int = row(
        kind=kinds.whole(0, " of pixels"),
        default=2,
        help="random shift of each training image, up to N pixels",
        on_resume=OnResume.OVERRIDE,
        group=RUN,
    )
    epochs: int = row(
        kind=kinds.whole(1),
        default_text="enough for 150,000 images, from 3 to 200",
        help="passes over the training set",
        on_resume=OnResume.FREE,
        group=RUN,
        aliases=("num-epochs", "n-epochs", "max-epochs"),
    )
    batch_size: int = row(
        kind=kinds.whole(1),
        default=64,
        help="images in each step",
        on_resume=OnResume.NEW_ORDER,
        group=RUN,
        aliases=("bs", "batch", "batchsize"),
    )
    seed: int = row(
        kind=kinds.whole(0, below=2**32),
        default=0,
        help="random seed",
        on_resume=OnResume.NEW_ORDER,
        group=RUN,
        aliases=("random-seed",),
    )
    dataset: str = row(
        kind=kinds.dataset("pass auto, or the name of a data set or folder"),
        default="auto",
        help="data set: auto (mnist, else mnist-12k), mnist, mnist-12k (in the package), a "
        "prepared TFDS set, or a folder of pictures with one folder per class",
        on_resume=OnResume.DATA,
        group=DATA,
        aliases=("data", "data-set"),
    )
    data_dir: str | None = row(
        kind=kinds.place(),
        default_text="$TFDS_DATA_DIR or ~/tensorflow_datasets",
        help="folder of TFDS's data sets",
        on_resume=OnResume.FREE,
        group=DATA,
        compared=False,
    )
    image_size: tuple[int, int] | None = row(
        kind=kinds.image_size(),
        default_text="not scaled",
        help="size that a folder's pictures are scaled to",
        on_resume=OnResume.WEIGHTS,
        group=DATA,
    )
    out: str | None = row(
        kind=kinds.place(),
        default_text="runs/DATASET-OPTIMIZER-TIME",
        help="folder for the run's files",
        on_resume=OnResume.FOLDER,
        group=DATA,
        aliases=("output", "out-dir", "output-dir", "log-dir", "save-dir"),
        compared=False,
    )
    compilation_cache: str = row(
        kind=kinds.place(f"pass a folder, or {OFF}"),
        default=_compilation_cache,
        default_text="$JAX_COMPILATION_CACHE_DIR or ~/.cache/jaxopt_notes",
        help=f"folder that keeps compiled programs for later runs; {OFF}: none",
        on_resume=OnResume.FREE,
        group=DATA,
        aliases=("cache", "cache-dir"),
        compared=False,
    )
    clip_norm: float | None = row(
        kind=kinds.positive("1"),
        help="gradient clipping: highest global norm of the gradient",
        on_resume=OnResume.NEW_OPTIMIZER,
        group=GUARDS,
        aliases=("clip", "grad-clip", "clip-grad-norm", "max-grad-norm"),
    )
    ema: float | None = row(
        kind=kinds.number(
            lambda x: 0 < x < 1, "pass a number above 0 and below 1, such as 0.999", metavar="β"
        ),
        help="also keep and evaluate a moving average of the parameters with decay β, such as "
        "0.999",
        on_resume=OnResume.WEIGHTS,
        group=RUN,
        aliases=("ema-decay",),
    )
    patience: int | None = row(
        kind=kinds.whole(1, " of epochs"),
        help="end the run after N epochs without a better test accuracy",
        on_resume=OnResume.FREE,
        group=GUARDS,
        aliases=("early-stopping",),
    )
    on_nonfinite: str = row(
        kind=kinds.one_of(ON_NONFINITE, "stop|skip|save"),
        default="stop",
        help="when a loss or gradient is NaN or infinite: stop the run, skip the step, or save the "
        "state before the step and stop",
        on_resume=OnResume.FREE,
        group=GUARDS,
        aliases=("on-nan",),
    )
    checkpoint_every: Interval = row(  # noqa: RUF009
        kind=kinds.interval(),
        default=Interval(),
        default_text="at the end of an epoch, if it is the best or the last, or 3 s after the "
        "previous checkpoint",
        help=f"also write a checkpoint after every N steps, or every 30s, 5m or 1h; {OFF}: write "
        "none at all",
        on_resume=OnResume.FREE,
        group=GUARDS,
        aliases=("save-every", "checkpoint-interval", "save-steps"),
        compared=False,
    )
    keep: int = row(
        kind=kinds.whole(1),
        default=2,
        help="number of newest checkpoints to keep, beside the best one",
        on_resume=OnResume.FREE,
        group=GUARDS,
        compared=False,
    )
    tensorboard: bool = row(
        kind=kinds.flag(),
        default=False,
        help="also write TensorBoard events",
        on_resume=OnResume.FREE,
        group=DATA,
        compared=False,
    )
    profile: bool = row(
        kind=kinds.flag(),
        default=False,
        help="write a trace of ten steps, for Perfetto",
        on_resume=OnResume.FREE,
        group=DATA,
        compared=False,
    )
    mesh: int | None = row(
        kind=kinds.mesh(),
        default_text="all; on a CPU, one per core if the network has convolutions",
        help="number of devices that share a batch",
        on_resume=OnResume.TODAY,
        group=DEVICES,
        aliases=("devices", "num-devices", "gpus"),
    )
    shard_optimizer_state: bool = row(
        kind=kinds.flag(),
        default=False,
        help="split the optimizer's state over the devices",
        on_resume=OnResume.FREE,
        group=DEVICES,
    )
    follow_links: bool = row(
        kind=kinds.flag(),
        default=False,
        help="allow links that lead out of a folder of pictures",
        on_resume=OnResume.FREE,
        group=DATA,
        aliases=("follow-symlinks", "symlinks"),
        compared=False,
    )
    watch: bool = row(
        kind=kinds.flag(),
        default=False,
        help="also record what the optimizer does to each parameter: norms, update ratio, "
        "effective learning rate",
        on_resume=OnResume.FREE,
        group=DATA,
        aliases=("log-gradients", "watch-gradients"),
        compared=False,
    )
    init: str = row(
        kind=kinds.one_of(INITS),
        default="he",
        help="initial weights: he (LeCun's in the last layer, and before sigmoid and tanh), or "
        "torch's default distribution",
        on_resume=OnResume.WEIGHTS,
        group=NETWORK,
        aliases=("initialization", "initialisation", "initializer", "weight-init"),
    )
    label_smoothing: float = row(
        kind=kinds.share(),
        default=0.0,
        help="share of each training label that is spread evenly over all classes",
        on_resume=OnResume.OVERRIDE,
        group=RUN,
        aliases=("smoothing", "label-smooth"),
    )

    @property
    def program_folder(self) -> str | None:
        """The folder that keeps compiled programs; None to keep none."""
        return None if self.compilation_cache == OFF else self.compilation_cache

    def values(self) -> dict[str, Any]:
        """Every setting by the name of its row; None for a hyperparameter left at its default."""
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        hyperparameters = own.pop("hyperparameters")
        return {name: (own | hyperparameters).get(name) for name in ROWS}

    def as_json(self) -> dict[str, Any]:
        """The value that `config.json` keeps: fields by name, hyperparameters in a dictionary."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: value if name == "hyperparameters" else ROWS[name].to_json(value)
            for name, value in values.items()
        }


ROWS = table_of(Settings)
_HYPERPARAMETERS = tuple(name for name in ROWS if ROWS[name].group == HYPERPARAMETERS)


def takers(row: Row) -> tuple[str, ...]:
    """The values of a setting's owner that use the setting; empty where all values do.

    >>> takers(ROWS["eps_in_sqrt"])
    ('adagrad', 'rmsprop')
    """
    if row.group == HYPERPARAMETERS:
        return tuple(o for o, each in OPTIMIZERS.items() if row.name in each.hyperparameters)
    return row.valid_for


def setting(asked: Asked, name: str) -> Any:
    """The value that the user asks for, or a default that depends on no other setting."""
    return asked[name] if name in asked else ROWS[name].default


def validate(asked: Asked) -> None:
    """Checks everything that can be checked before loading anything.

    Raises:
      InputError: one line that names the option, its value and the remedy.
    """
    for name in asked:
        if name not in ROWS:
            near = nearest(name, ROWS) or ", ".join(ROWS)
            raise InputError(f"{name}: is not a setting; did you mean {near}?")
    for name, each in ROWS.items():  # in the table's order: owners come before their settings
        if name in asked:
            each.checked(asked[name])
            _check_owner(each, asked)
    if setting(asked, "norm") == "batch" and setting(asked, "batch_size") == 1:
        raise InputError(
            "--norm batch: one image has no variance; pass a --batch-size of at least 2"
        )
    _check_warmup(asked)
    _check_switch(asked)


def _check_warmup(asked: Asked) -> None:
    schedule = setting(asked, "schedule")
    if asked.get("warmup") and is_call(schedule):
        raise InputError(
            f"{ROWS['warmup'].with_value(asked['warmup'])}: --schedule {schedule} is a torch "
            "scheduler, which sets its own warm-up; leave it out"
        )


def _check_owner(row: Row, asked: Asked) -> None:
    values = takers(row)
    if values and (owner := setting(asked, row.owner)) not in values:
        others = [r.option for r in ROWS.values() if r.owner == row.owner and owner in takers(r)]
        raise InputError(
            f"{row.with_value(asked[row.name])}: {owner} does not take it (used by: "
            f"{', '.join(values)}); {owner} takes {', '.join(others)}"
        )


def _check_switch(asked: Asked) -> None:
    if setting(asked, "optimizer") != SWITCHING:
        return
    auto = asked.get("switch_at") == AUTO
    carry = asked.get("carry", SWATS if auto else None)
    if auto and carry != SWATS:
        raise InputError(f"--carry {carry}: --switch-at {AUTO} always uses {SWATS}; leave it out")
    if not auto and "switch_eps" in asked:
        raise InputError(
            f"{ROWS['switch_eps'].with_value(asked['switch_eps'])}: only SWATS uses it; add "
            f"--switch-at {AUTO}, or leave it out"
        )
    if carry == SWATS and "sgd_learning_rate" in asked:
        raise InputError(
            f"{ROWS['sgd_learning_rate'].with_value(asked['sgd_learning_rate'])}: SWATS finds it; "
            "leave it out, or add --carry momentum"
        )


def resolve(asked: Asked, examples: int) -> Settings:
    """Chooses every setting that the user left open.

    Args:
      asked: values by name, for example from `options.asked_in`.
      examples: the number of training images, which the default number of epochs depends on.

    Raises:
      InputError: as for `validate`.
    """
    validate(asked)
    chosen: dict[str, Any] = {"epochs": epochs_for(examples)} | dict(asked)
    for name, each in ROWS.items():
        values = takers(each)
        if values and chosen[each.owner] not in values:
            chosen[name] = None
        elif name not in chosen:
            chosen[name] = each.choose(chosen)
    hyperparameters = {name: chosen.pop(name) for name in _HYPERPARAMETERS}
    set_ones = {name: value for name, value in hyperparameters.items() if value is not None}
    return Settings(**chosen, hyperparameters=set_ones)


def from_json(config: Mapping[str, Any]) -> Settings:
    """The settings in a `config.json`; a missing setting gets its default.

    Raises:
      InputError: a setting is unknown or wrong, or the number of epochs is missing.
    """
    flat = {name: value for name, value in config.items() if name != "hyperparameters"}
    flat |= config.get("hyperparameters", {})
    unknown = flat.keys() - ROWS.keys()
    if unknown:
        raise InputError(f"{', '.join(sorted(unknown))}: is not a setting")
    asked = {name: ROWS[name].from_json(v) for name, v in flat.items() if v is not None}
    if "epochs" not in asked:
        raise InputError("it has no epochs")
    return resolve(asked, examples=1)  # no effect: the number of epochs is set


def absolute(config: Settings) -> Settings:
    """The settings with absolute paths, so that they hold in any working directory."""
    paths = {name: getattr(config, name) for name, each in ROWS.items() if each.kind.noun == PLACE}
    whole = {
        name: os.path.abspath(path)
        for name, path in paths.items()
        if path not in (None, OFF) and not path.startswith("~")  # this user has no home
    }
    return replace(config, **whole)


def epochs_for(examples: int) -> int:
    """The default number of epochs: 150,000 images in all, at least 3 and at most 200 epochs.

    With 96 digits to train on, 200 epochs give a test accuracy of 80 %, and 1,563 epochs 79 %.

    >>> epochs_for(60_000), epochs_for(10_000), epochs_for(96)
    (3, 15, 200)
    """
    return min(max(3, math.ceil(150_000 / examples)), 200)
