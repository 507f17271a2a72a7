"""A run goes from torch to `train` and back, and loses nothing on the way."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxopt_notes import conventions, convert, optimizers
from jaxopt_notes.data import epoch_order
from jaxopt_notes.exchange import settings
from jaxopt_notes.exchange.optimizer_state import moved
from jaxopt_notes.exchange.schedulers import course_of
from jaxopt_notes.exchange.torch_schedulers import taken_in_torch
from jaxopt_notes.models import CNN, from_torch, pure, to_torch, torch_arrangement
from jaxopt_notes.training.state import create
from jaxopt_notes.training.step import Batch, make_train_step
from jaxopt_notes.training.torch_schedules import torch_schedule
from jaxopt_notes.transfer import as_tensors, to_torch_state
from tests.exchange.checkpoints import PER_EPOCH, Script, assert_alike, go_on, there
from tests.models.torch_networks import torch, torch_cnn
from tests.run_files import rows

pytestmark = pytest.mark.usefixtures("small", "no_pictures")

SETTINGS = {
    "sgd": ("SGD", {"lr": 0.1}),
    "momentum": ("SGD", {"lr": 0.05, "momentum": 0.9}),
    "nesterov": ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "adagrad": ("Adagrad", {"lr": 0.02}),
    "adagrad-begun": ("Adagrad", {"lr": 0.02, "initial_accumulator_value": 0.5, "eps": 1e-3}),
    "rmsprop": ("RMSprop", {"lr": 1e-3}),
    "rmsprop-all": ("RMSprop", {"lr": 1e-3, "momentum": 0.9, "centered": True, "alpha": 0.9}),
    "adam": ("Adam", {"lr": 3e-3, "betas": (0.8, 0.99), "eps": 1e-6}),
    "adamw": ("AdamW", {"lr": 3e-3, "weight_decay": 0.1}),
}
BEGUN = ["--widths", "8", "--shift", "0", "--quiet", "--batch-size", "128", "--epochs", "4"]
SCHEDULERS = {
    "OneCycleLR": {"max_lr": 0.01, "total_steps": 20, "cycle_momentum": False},
    "CosineAnnealingLR": {"T_max": 20, "eta_min": 1e-4},
    "ExponentialLR": {"gamma": 0.9},
    "StepLR": {"step_size": 3},
    "MultiStepLR": {"milestones": [5, 9, 9, 14]},
}


def there_and_back(make, after, epochs, until):
    """Checks `make()`'s losses: `after` steps in torch, some epochs here, and torch to the end."""
    unbroken = make().train(until)
    make().train(after).save()
    assert there("--epochs", str(epochs)) == 0
    our_rows = go_on(epochs)
    begun = after // PER_EPOCH
    for row in our_rows[1:] if after % PER_EPOCH else our_rows:
        last = row["epoch"] * PER_EPOCH
        assert_alike(row["train_loss"], np.mean(unbroken.losses[last - PER_EPOCH : last]))
    assert [row["epoch"] for row in our_rows] == list(range(begun + 1, epochs + 1))
    assert convert.main(["run", "--out", "back.pt"]) == 0
    back = make().load("back.pt").train(until)
    assert back.step == until
    assert_alike(back.losses, unbroken.losses[epochs * PER_EPOCH :])
    for parameter, expected in zip(
        back.module.parameters(), unbroken.module.parameters(), strict=True
    ):
        assert_alike(parameter.detach(), expected.detach(), 2e-3)


def test_adamw_under_one_cycle(digits):
    there_and_back(
        lambda: (
            Script(digits)
            .with_optimizer("AdamW", lr=0.01, weight_decay=0.1)
            .with_scheduler("OneCycleLR", **SCHEDULERS["OneCycleLR"])
        ),
        after=6,
        epochs=4,
        until=20,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_every_optimizer(digits, name):
    kind, settings = SETTINGS[name]
    there_and_back(lambda: Script(digits).with_optimizer(kind, **settings), 8, 4, 24)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SCHEDULERS)
def test_every_scheduler(digits, kind):
    def make():
        script = Script(digits).with_optimizer("SGD", lr=0.01, momentum=0.9)
        return script.with_scheduler(kind, **SCHEDULERS[kind])

    there_and_back(make, 6, 4, 20)


@pytest.mark.slow
def test_a_scheduler_that_steps_once_an_epoch(digits):
    def make():
        script = Script(digits).with_optimizer("SGD", lr=0.1)
        return script.with_scheduler("StepLR", every=PER_EPOCH, step_size=2, gamma=0.5)

    there_and_back(make, 10, 5, 24)


@pytest.mark.slow
@pytest.mark.parametrize("options", ["", "--optimizer momentum --beta 0.8", "--schedule cosine"])
def test_a_run_begun_here_goes_on_in_torch(small, digits, options, monkeypatch):
    """In torch, train's own schedules become a SequentialLR or a CosineAnnealingLR."""
    settings = [*BEGUN, *options.split()]
    assert small(*settings, "--out", "whole") == 0
    # The same run, stopped after two of its four epochs; its schedule is made for four.
    monkeypatch.setattr("jaxopt_notes.runs.session._stagnates", lambda rows, _: len(rows) == 2)
    assert small(*settings, "--patience", "1", "--out", "half") == 0
    assert convert.main(["half", "--out", "half.pt"]) == 0
    checkpoint = torch.load("half.pt", weights_only=True)
    script = Script(digits)
    script.optimizer = (
        torch.optim.SGD(script.module.parameters(), momentum=0.8)
        if "momentum" in options
        else torch.optim.Adam(script.module.parameters())
    )
    schedulers = torch.optim.lr_scheduler
    script.scheduler = schedulers.CosineAnnealingLR(script.optimizer, 16)
    if "cosine" not in options:
        rising = schedulers.LinearLR(script.optimizer)
        script.scheduler = schedulers.SequentialLR(
            script.optimizer, [rising, script.scheduler], [4]
        )
    script.load("half.pt").train(16)
    whole = rows(Path("whole"))
    assert checkpoint["step"] == 8
    assert_alike(np.mean(script.losses[:4]), whole[2]["train_loss"])
    assert_alike(np.mean(script.losses[4:]), whole[3]["train_loss"])


def cnn(data, batch, features=(32, 64), hidden=128, dtype=torch.float32):
    """The README's CNN, or a narrower one, and its torch script."""
    torch.manual_seed(1)
    module = torch_cnn((28, 28, 1), 10, features, hidden)
    script = Script(data, module, batch, dtype).with_optimizer("AdamW", lr=1e-3, weight_decay=0.05)
    return script.with_scheduler("OneCycleLR", max_lr=2e-3, total_steps=100, cycle_momentum=False)


@pytest.mark.slow
def test_the_cnn_of_the_readme_for_50_steps_through_the_commands(digits):
    batch, per_epoch = 51, 10
    unbroken = cnn(digits, batch).train(50)
    cnn(digits, batch).train(15).save()
    assert there("--epochs", "4", "--batch-size", str(batch)) == 0
    for row in go_on(4)[1:]:
        last = row["epoch"] * per_epoch
        assert_alike(row["train_loss"], np.mean(unbroken.losses[last - per_epoch : last]))
    assert convert.main(["run", "--out", "back.pt"]) == 0
    back = cnn(digits, batch).load("back.pt").train(50)
    assert_alike(back.losses, unbroken.losses[40:])


@pytest.mark.slow
def test_a_narrow_cnn_for_100_steps_in_float64(digits):
    """The commands train in float32, so this test calls the functions that they are made of."""
    batch, size = 32, {"features": (4, 8), "hidden": 16}
    narrow = partial(cnn, digits, batch, **size, dtype=torch.float64)
    unbroken = narrow().train(100)
    checkpoint = narrow().train(30).checkpoint()
    optimizer, names = checkpoint["optimizer"], list(checkpoint["model"])
    with jax.enable_x64(True):
        network = CNN(nnx.Rngs(0), **size)
        arrange = torch_arrangement(checkpoint["model"], network)
        params, statistics = from_torch(checkpoint["model"], network)
        course = course_of(checkpoint["scheduler"], optimizer["param_groups"][0])
        own = settings.counterpart_of(optimizer, scheduled=True)
        rate = torch_schedule(course.call, course.learning_rate, 100)
        ours = getattr(optimizers, own.name)(rate, **own.arguments)
        there = conventions.translate_state(optimizer, params, lr=0.0, arrange=arrange, names=names)
        script = narrow()
        mean, std = (np.array(x) for x in (script.mean, script.std))
        model = pure(network)._replace(params=params, batch_stats=statistics)
        step = jax.jit(
            make_train_step(model, ours, lambda x: (x.astype(jnp.float64) / 255 - mean) / std)
        )
        state = create(model, ours, jax.random.key(0))
        state = state._replace(
            step=jnp.int32(30), opt_state=moved(there, state.opt_state, 30, own.velocity)
        )
        losses = []
        for k in range(30, 70):
            epoch, i = divmod(k, 16)
            chosen = epoch_order(0, epoch, 512, batch)[i]
            state, metrics = step(
                state, Batch(digits.train_images[chosen], digits.train_labels[chosen])
            )
            losses.append(float(metrics.loss) / batch)
        assert_alike(losses, unbroken.losses[30:70], 1e-9)

        weights = to_torch(state.params, state.batch_stats, network, names=["0", "3", "7", "9"])
        now = rate.exactly(70)
        back = to_torch_state(
            partial(getattr(optimizers, own.name), rate, **own.arguments),
            state.opt_state,
            state.params,
            names=weights,
            arrange=arrange,
            lr=now,
        )
    rates, scheduler = taken_in_torch(course.call, course.learning_rate, 70)
    back["param_groups"][0] |= rates
    whole = {"model": weights, "optimizer": back, "scheduler": scheduler, "step": 70}
    torch.save(as_tensors(whole), "back.pt")
    script.load("back.pt").train(100)
    assert_alike(script.losses, unbroken.losses[70:], 1e-9)
