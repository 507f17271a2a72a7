"""An optimizer of another framework becomes the equal transformation, or is refused by name."""

from typing import Any

import numpy as np
import optax
import pytest

from jaxopt_notes.conventions import translate
from jaxopt_notes.errors import InputError
from jaxopt_notes.verification import frameworks, oracle_keras, oracle_torch, problem
from jaxopt_notes.verification.settings import RATE, Setting, settings
from tests.slow_cases import slow_but

STEPS = 30
TABLE = [s for s in settings() if s.framework in ("torch", "keras") and s.scheduled]


def path(optimizer: optax.GradientTransformation) -> problem.Path:
    return problem.path(optimizer, STEPS, jit=False)  # so few run faster than they compile


def of(framework: str) -> Any:
    """The framework's settings, of which the last of each optimizer is a quick test."""
    table = [s for s in TABLE if s.framework == framework]
    last = list({s.name: s for s in table}.values())
    return pytest.mark.parametrize("setting", slow_but(last, table, lambda s: s.label))


@pytest.fixture(name="torch")
def _torch() -> Any:
    return pytest.importorskip("torch", reason="torch is not installed")


@pytest.fixture(name="optimizers")
def _optimizers() -> Any:
    pytest.importorskip("keras", reason="Keras is not installed")
    return oracle_keras.load().optimizers


@of("torch")
@pytest.mark.parametrize("as_dict", [False, True], ids=["optimizer", "state_dict"])
def test_torch_optimizer(setting: Setting, as_dict: bool, torch: Any) -> None:
    params = oracle_torch.parameters("float64")
    opt = oracle_torch.optimizer(setting.optimizer, params.values(), setting.keywords, RATE)
    ours = path(translate(opt.state_dict() if as_dict else opt))
    there = oracle_torch.path(setting.optimizer, setting.keywords, RATE, STEPS, "float64")
    assert problem.apart(ours, there, "float64") <= 1e-12


@of("keras")
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own
@pytest.mark.parametrize("form", ["optimizer", "config", "serialized"])
def test_keras_optimizer(setting: Setting, form: str, optimizers: Any) -> None:
    opt = oracle_keras.optimizer(setting.optimizer, setting.keywords, 0.5)
    source = {
        "optimizer": lambda: opt,
        "config": opt.get_config,
        "serialized": lambda: optimizers.serialize(opt),
    }[form]()
    same = setting._replace(scheduled=False)
    expected = frameworks.path(same.name, same.keywords, 0.5, STEPS, "float64")
    assert problem.apart(path(translate(source)), expected, "float64") <= 1e-12


def test_a_rate_of_ones_own(torch: Any) -> None:
    opt = torch.optim.RMSprop(oracle_torch.parameters("float64").values(), momentum=0.9)
    ours = path(translate(opt, lr=problem.schedule(STEPS)))
    there = oracle_torch.path("rmsprop", {"momentum": 0.9}, problem.rates(STEPS), STEPS, "float64")
    assert problem.apart(ours, there, "float64") <= 1e-12


def two_groups(torch: Any, **second: Any) -> tuple[Any, dict[str, Any]]:
    params = oracle_torch.parameters("float64")
    groups = [{"params": [params["weight"]]}, {"params": [params["bias"]], **second}]
    return torch.optim.AdamW(groups, lr=RATE), params


def test_equal_groups_are_one(torch: Any) -> None:
    opt, params = two_groups(torch)
    there = oracle_torch.advance(opt, params, RATE, STEPS, "float64")
    assert problem.apart(path(translate(opt)), there, "float64") <= 1e-12


@pytest.mark.parametrize("as_function", [False, True])
def test_groups_that_differ_are_a_partition(torch: Any, as_function: bool) -> None:
    opt, params = two_groups(torch, weight_decay=0.0, betas=(0.8, 0.9))
    names = {"weight": "fc.weight", "bias": "fc.bias"}
    pairs = [(names[n], p) for n, p in params.items()]
    arrange = (lambda of: {n: of[full] for n, full in names.items()}) if as_function else names
    ours = path(translate(opt, arrange=arrange, names=pairs))
    there = oracle_torch.advance(opt, params, RATE, STEPS, "float64")
    assert problem.apart(ours, there, "float64") <= 1e-12
    with pytest.raises(InputError, match="2 param groups without names: pass `arrange`"):
        translate(opt)


def refused(says: str, source: Any, **keywords: Any) -> None:
    with pytest.raises(InputError, match=says) as error:
        translate(source, **keywords)
    assert "\n" not in str(error.value)


def test_refuses_by_name_what_torch_has_alone(torch: Any) -> None:
    params = list(oracle_torch.parameters("float32").values())
    refused("torch.optim.nadam.NAdam has no equivalent here", torch.optim.NAdam(params))
    refused(
        "belongs to no optimizer that has an equivalent here",
        torch.optim.NAdam(params).state_dict(),
    )
    refused(
        "belongs to no optimizer that has an equivalent here", torch.optim.ASGD(params).state_dict()
    )

    class Own(torch.optim.SGD):  # a subclass may step otherwise
        pass

    refused("Own has no equivalent here", Own(params))
    opt = torch.optim.SGD(params)
    torch.optim.lr_scheduler.ExponentialLR(opt, 0.9)
    refused("an lr_scheduler drives this optimizer: pass lr=", opt)
    old = torch.optim.AdamW(params).state_dict()
    del old["param_groups"][0]["decoupled_weight_decay"]
    refused("Adam or AdamW", old)


def test_refuses_by_name_what_keras_has_alone(optimizers: Any) -> None:
    refused("Keras' Lion has no equivalent here", optimizers.Lion())
    refused("Keras' Nadam has no equivalent here", optimizers.Nadam())
    refused("a Keras config of .* has no equivalent here", optimizers.Ftrl().get_config())
    refused("Keras' Ftrl has no equivalent here", optimizers.serialize(optimizers.Ftrl()))
    refused("use_ema=True has no equivalent here", optimizers.SGD(use_ema=True))


def test_refuses_what_is_no_optimizer() -> None:
    refused("builtins.int has no equivalent here", 3)
    refused("a Keras config of a has no equivalent here", {"a": np.ones(2)})
