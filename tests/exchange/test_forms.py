"""The usual forms of checkpoints, each written by the frameworks' own save, become runs."""

import json
import math
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxopt_notes import compare, convert, predict, train
from jaxopt_notes.inference.trained import load_trained
from jaxopt_notes.runs import info
from tests.exchange.checkpoints import Script, assert_alike, go_on, there
from tests.models.torch_networks import torch, torch_mlp
from tests.run_files import described

pytestmark = pytest.mark.usefixtures("small", "no_pictures")


@pytest.fixture
def script(digits):
    """A program after six steps: an epoch and a half."""
    return Script(digits).with_optimizer("Adam", lr=0.003).train(6)


def weights(folder="run"):
    return jax.tree.leaves(load_trained(folder, "last").weights.params)


def assert_has(script, folder="run", step=6, epochs=3):
    """The run in a folder has the script's weights and goes on with the script's losses."""
    config = described(Path(folder))["config"]
    assert (config["widths"], config["norm"], config["shift"]) == ([8], "none", 0)
    torch_weights = [p.detach().numpy() for p in script.module.parameters()]
    for array in weights(folder):
        assert any(np.array_equal(np.sort(array, None), np.sort(x, None)) for x in torch_weights)
    if step:
        rows = go_on(epochs, folder)
        assert [row["step"] for row in rows] == [4 * n for n in range(2, epochs + 1)]
        assert_alike(rows[0]["train_loss"], np.mean(script.train(8).losses[6:]))


def test_a_dictionary_of_the_parts(script, capsys):
    script.save()
    assert there("--epochs", "5") == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "optimizer: adam(0.003 constant, b1=0.9, b2=0.999, eps=1e-08) after 6 steps",
        "assumed, because the weights do not show it: activation relu",
        "run: 1 of 5 epochs are done, and 2 of 4 steps; batch size 128, seed 0",
        "next: python -m jaxopt_notes.train --resume run",
    ]
    assert compare.main(["run"]) == 0
    assert_has(script)


@pytest.mark.slow
def test_other_names_of_the_parts(script):
    checkpoint = script.checkpoint()
    names = {"model": "model_state_dict", "optimizer": "optimizer_state_dict"}
    torch.save({names[k]: checkpoint[k] for k in names} | {"epoch": 1, "global_step": 6}, "c.pt")
    assert there() == 0
    assert_has(script)


@pytest.mark.slow
def test_lightning(script):
    checkpoint = script.checkpoint()
    state = {f"net.{name}": x for name, x in checkpoint["model"].items()}
    whole = {
        "epoch": 1,
        "global_step": 6,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": state,
        "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {},
        "optimizer_states": [checkpoint["optimizer"]],
        "lr_schedulers": [],
    }
    torch.save(whole, "c.ckpt")
    assert there(source="c.ckpt") == 0
    assert_has(script)


def trainer(script, folder, form="safetensors"):
    """A folder as the Hugging Face Trainer writes it, by hand: transformers is not needed for it.

    The Trainer's optimizer has two param groups, the second without decay, and its scheduler is a
    LambdaLR.
    """
    folder = Path(folder)
    folder.mkdir()
    by_decay = [[], []]
    for name, p in script.module.named_parameters():
        by_decay[name.endswith("bias")].append(p)
    old = script.optimizer
    groups = [{"params": ps, "weight_decay": 0.0} for ps in by_decay]
    new = torch.optim.AdamW(groups, lr=0.004, weight_decay=0.0)
    new.state.update(old.state)

    def rate(k):  # get_cosine_schedule_with_warmup(optimizer, 2, 20)
        return k / 2 if k < 2 else max(0.0, 0.5 * (1 + math.cos(math.pi * (k - 2) / 18)))

    scheduler = torch.optim.lr_scheduler.LambdaLR(new, rate)
    for _ in range(script.step):
        scheduler.step()
    state = script.module.state_dict()
    if form == "safetensors":
        save_file = pytest.importorskip("safetensors.torch").save_file
        save_file(state, folder / "model.safetensors", {"format": "pt"})
    else:
        torch.save(state, folder / "pytorch_model.bin")
    torch.save(new.state_dict(), folder / "optimizer.pt")
    torch.save(scheduler.state_dict(), folder / "scheduler.pt")
    torch.save({"python": object}, folder / "rng_state.pth")  # which is not read
    trained = {"epoch": 1.5, "global_step": script.step, "max_steps": 20}
    (folder / "trainer_state.json").write_text(json.dumps(trained))
    (folder / "config.json").write_text('{"model_type": "mine"}')
    script.optimizer, script.scheduler = new, scheduler


@pytest.mark.parametrize("form", ["safetensors", pytest.param("bin", marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore:Detected call")
def test_a_trainers_folder(script, form, capsys):
    trainer(script, "checkpoint-6", form)
    assert there(source="checkpoint-6") == 2
    words = "its functions; pass --schedule, such as constant; or continue in Python"
    assert words in capsys.readouterr().err
    # 20 steps: another schedule has another learning rate at step 6.
    options = ["--schedule", "cosine", "--epochs", "5"]
    assert there(*options, source="checkpoint-6") == 2
    assert "after 6 of 20 steps it gives 0.00317" in capsys.readouterr().err
    assert there(*options, "--warmup", "0.1", source="checkpoint-6") == 0
    config = described(Path("run"))["config"]
    assert (config["schedule"], config["learning_rate"]) == ("cosine", 0.004)
    if form == "bin":
        assert_has(script, epochs=5)


def test_weights_alone_begin_a_run(script, capsys):
    torch.save(script.module.state_dict(), "c.pt")
    assert there("--optimizer", "sgd") == 0
    assert "optimizer: none in the file; sgd(0.1 one-cycle) starts at step 0" in (
        capsys.readouterr().out
    )
    assert_has(script, step=0)
    assert there("--step", "6", out="other") == 2
    assert "--step 6: without the optimizer's state" in capsys.readouterr().err


def test_safetensors_both_ways(script):
    load_file = pytest.importorskip("safetensors.torch").load_file
    save_file = pytest.importorskip("safetensors.torch").save_file
    state = script.module.state_dict()
    save_file({name: x.to(torch.bfloat16) for name, x in state.items()}, "half.safetensors")
    save_file(state, "c.safetensors")
    assert there(source="half.safetensors", out="half") == 0
    assert there(source="c.safetensors") == 0
    assert convert.main(["run", "--out", "back.safetensors"]) == 0
    back = load_file("back.safetensors")
    assert {k: x.tolist() for k, x in back.items()} == {k: x.tolist() for k, x in state.items()}
    for half, whole in zip(weights("half"), weights("run"), strict=True):
        assert half.dtype == np.float32
        np.testing.assert_allclose(half, whole, atol=1e-2)


@pytest.mark.slow
def test_sgd_does_not_count_its_steps(digits, capsys):
    script = Script(digits).with_optimizer("SGD", lr=0.1, momentum=0.9).train(6)
    checkpoint = script.checkpoint()
    del checkpoint["step"]
    torch.save(checkpoint, "c.pt")
    assert there() == 2
    assert "torch's SGD does not count them; pass --step N" in capsys.readouterr().err
    assert there("--step", "6") == 0
    assert_has(script)


@pytest.mark.slow
def test_names_of_the_layers_and_batch_normalisation(digits, script, capsys):
    module = torch_mlp((28, 28, 1), 10, (10, 10), norm="batch")
    names = [f"{kind}{i}" for i in "ab" for kind in ("dense", "norm")] + ["logits"]
    state = {}
    for name, x in module.state_dict().items():
        place, entry = name.split(".")
        state[f"{names[[1, 2, 4, 5, 7].index(int(place))]}.{entry}"] = x
    torch.save(dict(sorted(state.items())), "c.pt")
    Path("names.json").write_text(json.dumps(names))
    assert there("--names", "names.json") == 0
    assert described(Path("run"))["config"]["widths"] == [10, 10]
    capsys.readouterr()
    assert convert.main(["run", "--out", "numbers.pt"]) == 0
    assert "by their places in nn.Sequential; pass --names" in capsys.readouterr().out
    assert convert.main(["run", "--out", "back.pt", "--names", "names.json"]) == 0
    assert "note:" not in capsys.readouterr().out
    back = torch.load("back.pt", weights_only=True)["model"]
    assert all(torch.equal(back[k], x) for k, x in state.items() if "num_batches" not in k)


@pytest.mark.slow
def test_a_run_that_was_taken_up_is_a_run(script, digits, tmp_path, capsys):
    from PIL import Image

    script.save()
    assert there("--epochs", "2") == 0
    Image.fromarray(digits.test_images[0, ..., 0]).save("x.png")
    assert predict.main(["--run", "run", "x.png"]) == 0
    assert train.main(["--resume", "run"]) == 0
    assert "resumed after step 6, in epoch 2" in capsys.readouterr().out
    assert train.main(["--resume", "run", "--epochs", "3", "--quiet"]) == 0
    assert info.read("run").config.epochs == 3
    assert there() == 2
    assert "--out run: already holds a run" in capsys.readouterr().err


def test_a_finished_program_has_nothing_left_to_train(digits, capsys):
    script = Script(digits).with_optimizer("SGD", lr=0.1)
    script.with_scheduler("CosineAnnealingLR", T_max=4).train(4).save()
    assert there() == 0
    assert "next: python -m jaxopt_notes.train --resume run --epochs 2" in capsys.readouterr().out
    assert train.main(["--resume", "run"]) == 0
    assert "this run has finished its 1 epochs; pass a larger --epochs" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("form", ["sorted", "safetensors"])
def test_names_that_a_file_sorts(digits, form):
    """Layer 11 stands before layer 3, of the same shape: the moments must not be exchanged."""
    widths = (10,) * 6

    def make():
        script = Script(digits, torch_mlp((28, 28, 1), 10, widths))
        return script.with_optimizer("Adam", lr=0.003)

    script = make().train(6)
    checkpoint = script.checkpoint()
    if form == "sorted":
        torch.save({**checkpoint, "model": dict(sorted(checkpoint["model"].items()))}, "c.pt")
    else:
        Path("c.pt").mkdir()
        save_file = pytest.importorskip("safetensors.torch").save_file
        save_file(checkpoint["model"], "c.pt/model.safetensors")
        torch.save(checkpoint["optimizer"], "c.pt/optimizer.bin")
    assert there("--epochs", "3") == 0
    assert convert.main(["run", "--out", "back.pt"]) == 0
    back = torch.load("back.pt", weights_only=True)["optimizer"]["state"]
    for i, state in checkpoint["optimizer"]["state"].items():
        assert torch.equal(back[i]["exp_avg"], state["exp_avg"])
