"""What `train` or torch has no equal for is refused in one line, which says what to do."""

from pathlib import Path

import pytest

from jaxopt_notes import convert, data, train
from jaxopt_notes.config.settings import resolve
from jaxopt_notes.exchange.torch_schedulers import counterpart
from jaxopt_notes.training import setup
from tests.exchange.checkpoints import Script, there
from tests.models.torch_networks import torch

pytestmark = pytest.mark.usefixtures("small", "no_pictures")
IN_CODE = "continue in Python, with jaxopt_notes.conventions.translate"


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (
            "SGD",
            {"momentum": 0.9, "dampening": 0.1},
            "with dampening=0.1: train's sgd has none",
        ),
        ("SGD", {"maximize": True}, "SGD with maximize=True: train only minimizes"),
        (
            "Adam",
            {"weight_decay": 0.1},
            "with weight_decay=0.1: torch's decay passes through the moments",
        ),
        ("AdamW", {"amsgrad": True}, "with amsgrad=True: train's amsgrad corrects the bias before"),
        ("Adagrad", {"lr_decay": 0.1}, "Adagrad with lr_decay=0.1: train's adagrad has none"),
        ("NAdam", {}, "belongs to no optimizer that has an equivalent here"),
    ],
)
def test_an_optimizer_that_train_has_not(digits, capsys, kind, settings, words):
    Script(digits).with_optimizer(kind, lr=0.01, **settings).train(1).save()
    assert there() == 2
    error = capsys.readouterr().err
    assert words in error or words.replace("of no", "is not a setting") in error
    assert error.count("\n") == 1
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("OneCycleLR", {"max_lr": 0.1, "total_steps": 9}, "train has no OneCycleLR with cycle_mom"),
        (
            "LambdaLR",
            {"lr_lambda": lambda k: 1.0},
            "pass --schedule, such as constant; or continue in Python",
        ),
        ("ReduceLROnPlateau", {}, "has no equivalent here; continue in Python"),
        (
            "CyclicLR",
            {"base_lr": 0.1, "max_lr": 1.0, "cycle_momentum": False},
            "a CyclicLR's state_dict does not hold its functions; continue in Python",
        ),
    ],
)
def test_a_scheduler_that_train_has_not(digits, capsys, kind, settings, words):
    script = Script(digits).with_optimizer("SGD", lr=0.01, momentum=0.9)
    script.with_scheduler(kind, every=9, **settings).train(1).save()
    assert there() == 2
    assert words in capsys.readouterr().err


def test_rmsprop_with_momentum_under_a_schedule(digits, capsys):
    script = Script(digits).with_optimizer("RMSprop", lr=0.01, momentum=0.9)
    script.with_scheduler("ExponentialLR", gamma=0.9).train(1).save()
    assert there() == 2
    assert "under a schedule, torch has the learning rate outside" in capsys.readouterr().err


def changed(digits, change):
    """A checkpoint after two steps under ExponentialLR, with a change."""
    script = Script(digits).with_optimizer("Adam", lr=0.01)
    checkpoint = script.with_scheduler("ExponentialLR", gamma=0.9).train(2).checkpoint()
    change(checkpoint)
    torch.save(checkpoint, "c.pt")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda c: c.pop("scheduler"), [], "a scheduler set its learning rate, but the checkpoint "
                                           "holds no scheduler"),
        (lambda c: c.pop("optimizer"), [], "a scheduler without its optimizer"),
        (lambda c: c.update(step=9), [], "says step 9, and its optimizer has taken 2"),
        (lambda c: c["scheduler"].update(last_epoch=7), [], "the scheduler has taken 7 steps, the"),
        (lambda c: c["optimizer"]["param_groups"][0].update(lr=0.1), [], "optimizer has 0.1; pass"),
        (lambda c: c["optimizer"]["state"][1]["step"].add_(1), [], "have taken 2 to 3 steps"),
        (lambda c: c, ["--step", "7"], "the scheduler has taken 2 steps, the optimizer 7"),
        (lambda c: c, ["--optimizer", "sgd"], "--optimizer sgd: the checkpoint has adam; leave it"),
        (lambda c: c, ["--learning-rate", "1"], "--learning-rate 1: the checkpoint has 0.01"),
        (lambda c: c, ["--model", "cnn"], "c.pt: "),
        (lambda c: c, ["--dataset", "none"], "none"),
        (lambda c: c, ["--step", "-1"], "--step -1: is out of range"),
    ],
)  # fmt: skip
def test_a_checkpoint_that_contradicts_itself_or_the_options(
    digits, capsys, change, options, words, monkeypatch
):
    changed(digits, change)
    if "none" in options:
        monkeypatch.setattr(setup, "load", data.load)
    assert there(*options) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not Path("run").exists()


def test_groups_that_differ_and_parameters_that_are_frozen(digits, capsys):
    script = Script(digits)
    first, *others = script.module.parameters()
    script.optimizer = torch.optim.SGD([{"params": [first], "lr": 0.1}, {"params": others}], lr=0.2)
    script.train(1).save()
    assert there() == 2
    assert "the param groups differ in lr (0.1, 0.2)" in capsys.readouterr().err
    script.optimizer = torch.optim.Adam(others)
    script.train(2)
    script.step = 1  # as Adam counts
    script.save()
    assert there() == 2
    assert "the optimizer has 3 parameters, the network 4" in capsys.readouterr().err


@pytest.mark.slow
def test_what_stands_outside_of_the_optimizer_is_a_note(ran, capsys):
    run = ran("--clip-norm 2 --ema 0.9 --watch --checkpoint-every 100", anew=True).folder
    capsys.readouterr()
    assert convert.main([str(run), "--out", "x.pt"]) == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert notes == [
        "note: in torch, call clip_grad_norm_(…, 2) before each step",
        "note: the average of the parameters is left out; pass --which ema to write it instead",
        "note: layers are named by their places in nn.Sequential; pass --names for other names",
    ]
    assert convert.main([str(run), "--out", "ema.pt", "--which", "ema"]) == 0
    assert there("--clip-norm", "2", "--epochs", "3", source="x.pt") == 0
    assert train.main(["--resume", "run", "--quiet"]) == 0


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({"schedule": "constant"}, None),
        ({"schedule": "cosine"}, "CosineAnnealingLR"),
        ({"schedule": "one-cycle"}, "SequentialLR"),
        ({"schedule": "one-cycle", "warmup": 0.0}, "CosineAnnealingLR"),
        ({"schedule": "StepLR(step_size=3)"}, "StepLR"),
        ({"schedule": "constant", "warmup": 0.1}, "rises from 0 over 10 of 100 steps"),
        ({"schedule": "cosine", "warmup": 0.1}, "rises from 0 over 10 of 100 steps"),
    ],
)
def test_which_scheduler_torch_has(asked, kind):
    call, reason = counterpart(resolve(asked, 1), 100, 0.003)
    assert (call and call.kind) == (None if reason else kind)
    assert kind is None or not reason or kind in reason


@pytest.mark.slow
def test_the_way_back_is_refused_before_anything_is_written(ran, capsys):
    run = ran("--optimizer lion --checkpoint-every 100", anew=True).folder
    capsys.readouterr()
    for out, words in (
        ("x.onnx", "pass a name that ends in .pt"),
        ("x.pt", "has no equivalent in torch: "),
        ("x.pt", "; for the weights alone pass a name that ends in .safetensors"),
    ):
        assert convert.main([str(run), "--out", out]) == 2
        assert words in capsys.readouterr().err
        assert not Path(out).exists()
    assert convert.main([str(run), "--out", "x.pt", "--model", "mlp"]) == 2
    assert "--model: only for a torch checkpoint" in capsys.readouterr().err
    Path("x.pt").write_text("mine")
    assert convert.main([str(run), "--out", "x.pt"]) == 2
    assert "--out x.pt: already exists" in capsys.readouterr().err
    assert convert.main([str(run), "--out", "best.pt", "--which", "best"]) == 0
    assert set(torch.load("best.pt", weights_only=True)) == {
        "1.weight",
        "1.bias",
        "3.weight",
        "3.bias",
    }


def test_a_network_that_train_has_not(digits, capsys):
    torch.save(torch.nn.Linear(30, 2).state_dict(), "other.pt")
    assert convert.main(["other.pt", "--out", "run", "--dataset", "mnist-12k"]) == 2
    error = capsys.readouterr().err
    assert "convert takes only the networks of train; for others, use" in error
    assert error.count("\n") == 1


def test_a_folder_that_is_no_run(tmp_path, capsys):
    assert convert.main([str(tmp_path), "--out", "run", "--dataset", "mnist-12k"]) == 2
    assert ": holds neither a run nor a checkpoint" in capsys.readouterr().err
