"""Devices that share a batch: the same numbers, one sum a step, memory as promised, refusals."""

import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh

from jaxopt_notes.config.settings import ROWS
from jaxopt_notes.errors import InputError
from jaxopt_notes.models.sharding import BATCH_AXIS, per_device
from jaxopt_notes.runtime.processes import Processes, processes_from
from jaxopt_notes.training import setup, sharding
from jaxopt_notes.training.sharding import Layout, make_layout, split_cpu
from jaxopt_notes.training.state import TrainState
from tests.run_files import SMALL, TRAIN
from tests.training import runs_on_devices
from tests.virtual_devices import COMPILE_SOON, environment

# Processes and the devices of each. tests/runtime/test_processes.py has processes of one device.
PLACES = {"8 devices": (1, 8), "2 processes of 4": (2, 4)}


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def python(*args, devices=1):
    return subprocess.Popen(
        [sys.executable, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=Path(__file__).parents[2],
        env=environment(devices, COMPILE_SOON),
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The results of `runs_on_devices.py` on one device and in each of the places."""

    def run_on(processes, devices):
        out = tmp_path_factory.mktemp("runs") / "results.json"
        host = f"127.0.0.1:{free_port()}"
        together = [(host, processes, i) for i in range(processes)] if processes > 1 else [()]
        module = "-m", runs_on_devices.__name__
        started = [python(*module, out, *args, devices=devices) for args in together]
        for process in started:
            printed, _ = process.communicate(timeout=600)
            assert process.returncode == 0, printed
        return json.loads(out.read_text())

    alone = {name: runs_on_devices.losses(name) for name in runs_on_devices.RUNS}
    return {"1 device": alone, **{name: run_on(*place) for name, place in PLACES.items()}}


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_any_devices_give_the_losses_and_statistics_of_one(runs, place):
    processes, devices = PLACES[place]
    for name, alone in runs["1 device"].items():
        shared = runs[place][name]
        assert shared["devices"] == processes * devices
        np.testing.assert_allclose(shared["losses"], alone["losses"], rtol=2e-5, err_msg=name)
        for statistic, expected in zip(shared["statistics"], alone["statistics"], strict=True):
            np.testing.assert_allclose(statistic, expected, rtol=1e-4, atol=1e-6, err_msg=name)
        assert np.ptp(alone["losses"]) > 0.1  # each step depends on the steps before


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_only_the_optimizer_state_is_cut_and_stays_so(runs, place):
    size = np.prod(PLACES[place])
    for name, run in runs[place].items():
        assert all(run["whole"])
        assert set(run["parts"]) == ({1.0, 1 / size} if "cut" in name else {1.0})


@pytest.fixture(scope="module")
def programs():
    """The compiled programs of `benchmarks.many_devices`, by network, devices and cut."""
    script = (
        "import json\n"
        "from benchmarks.many_devices import compiled\n"
        "from jaxopt_notes.runtime import compilation\n"
        "compilation.OPTIONS['xla_backend_optimization_level'] = 0\n"
        "cases = [(n, d, c) for n in ('mlp', 'cnn')\n"
        "         for d, c in ((1, False), (8, False), (8, True))]\n"
        "cases.append(('mlp, batch norm', 8, False))\n"
        "print(json.dumps([compiled(*case) for case in cases]))"
    )
    process = python("-c", script, devices=8)
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 0, printed
    reports = json.loads(printed.splitlines()[-1])
    return {(p["network"], p["devices"], p["optimizer_state_cut"]): p for p in reports}


@pytest.mark.slow
@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_a_step_adds_up_once_and_gathers_each_cut_parameter_once(programs, network):
    leaves = {"mlp": 6, "cnn": 8}[network]
    assert programs[network, 1, False]["collectives"] == {}
    assert programs[network, 8, False]["collectives"] == {"all-reduce": 1}
    # The last bias has ten elements: the devices do not divide it.
    expected = {"all-reduce": 1, "all-gather": leaves - 1}
    assert programs[network, 8, True]["collectives"] == expected


@pytest.mark.slow
def test_batch_normalisation_adds_up_four_times_a_layer_besides(programs):
    layers = 2
    assert programs["mlp, batch norm", 8, False]["collectives"] == {"all-reduce": 1 + 4 * layers}


@pytest.mark.slow
def test_memory_is_as_promised_and_the_state_is_written_over(programs):
    for program in programs.values():
        assert program["donated"] == pytest.approx(program["state"], rel=1e-3)
    for network in ("mlp", "cnn"):
        whole, cut = (programs[network, 8, c] for c in (False, True))
        saved = whole["optimizer_state"] - cut["optimizer_state"]
        assert cut["optimizer_state"] < 0.126 * whole["optimizer_state"]
        assert whole["arguments"] - cut["arguments"] == pytest.approx(saved, rel=1e-3)


def test_one_device_knows_no_mesh():
    layout = make_layout(1, 64, shard_optimizer_state=True)
    assert layout == Layout(None, True)
    assert layout.step_shardings({}) == {}
    assert per_device(min, 8) is min


def test_the_setting_cuts_the_optimizer_state_alone(digits, monkeypatch):
    monkeypatch.setattr(setup, "load", lambda *_: digits)
    network = {"model": "mlp", "widths": (8,), "mesh": 1}
    for cut, size in ((True, 0.5), (False, 1.0)):
        prepared = setup.prepare({**network, "shard_optimizer_state": cut})
        layout = prepared.layout._replace(mesh=AbstractMesh((2,), (BATCH_AXIS,)))
        params = prepared.model.params
        state = TrainState((), params, jax.eval_shape(prepared.optimizer.init, params), (), ())
        shares = jax.tree.map(
            lambda x, sharding: math.prod(sharding.shard_shape(x.shape)) / x.size,
            state,
            layout.shardings(state),
        )
        assert set(jax.tree.leaves(shares.params)) == {1.0}
        assert set(jax.tree.leaves(shares.opt_state)) == {1.0, size}  # a counter has no parts
        held, whole = layout.memory(state.opt_state).values()
        assert held == pytest.approx(size * whole, abs=20)


@pytest.mark.parametrize(
    ("size", "batch_size", "words"),
    [
        (4, 64, ["--mesh data=4", "there are 3"]),
        (None, 64, ["--batch-size 64", "3 devices", "pass 63, or --mesh data=2"]),
        (3, 1, ["--batch-size 1", "pass 3, or --mesh data=1"]),
    ],
)
def test_what_the_devices_cannot_share_is_refused(monkeypatch, size, batch_size, words):
    monkeypatch.setattr(sharding.jax, "devices", lambda: ["device"] * 3)
    with pytest.raises(InputError) as refused:
        make_layout(size, batch_size)
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize(
    ("cores", "size", "batch_size", "convolves", "asked"),
    [
        (2, None, 64, True, 2),
        (2, None, 63, True, None),  # less than 32 images for each
        (2, None, 64, False, None),
        (8, None, 128, True, 4),
        (8, None, 1024, True, 8),
        (6, None, 256, True, 4),  # 6 and 5 do not divide it
        (2, None, 127, True, None),
        (1, None, 1024, True, None),
        (2, 8, 64, False, 8),  # as the user says
        (8, 1, 1024, True, None),
    ],
)
def test_a_cpu_is_split_where_it_pays(monkeypatch, cores, size, batch_size, convolves, asked):
    asked_for = []
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    monkeypatch.setattr(sharding, "_cores", lambda: cores)
    monkeypatch.setattr(sharding.jax.config, "update", lambda *setting: asked_for.append(setting))
    split_cpu(size, batch_size, convolves)
    assert asked_for == ([("jax_num_cpu_devices", asked)] if asked else [])


def test_a_cpu_is_not_split_against_the_users_word(monkeypatch):
    monkeypatch.setattr(sharding.jax.config, "update", lambda *_: pytest.fail("asked for devices"))
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=3")
    split_cpu(None, 1024, convolves=True)
    monkeypatch.delenv("XLA_FLAGS")
    monkeypatch.setattr(sharding.jax.distributed, "is_initialized", lambda: True)
    split_cpu(None, 1024, convolves=True)


def test_a_process_that_has_started_keeps_its_devices():
    before = sharding.jax.devices()
    split_cpu(8, 64, convolves=True)
    assert sharding.jax.devices() == before


@pytest.mark.slow
def test_the_command_makes_as_many_devices_as_it_is_told_to(tmp_path):
    """Without XLA_FLAGS; a small network."""
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    done = subprocess.run(
        [
            *(*TRAIN, "--dataset", "mnist-12k"),
            *(*SMALL.split(), "--epochs", "1", "--batch-size", "500"),
            *("--mesh", "data=5", "--out", str(tmp_path / "run")),
        ],
        env=environment | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "5 devices share each batch" in done.stdout


@pytest.mark.parametrize("text", ["8", "model=8", "data=", "data=0", "data=-1", "data=2,model=4"])
def test_another_mesh_is_refused(text):
    with pytest.raises(InputError, match=f"--mesh {text}: .*data=N"):
        ROWS["mesh"].read(text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("host:1", None, 0, False), ["--processes", "missing"]),
        (("host:1", 2, 0, True), ["--distributed"]),
        (("host", 2, 0, False), ["--coordinator host", "HOST:PORT"]),
        (("host:1", 0, 0, False), ["--processes 0"]),
        (("host:1", 2, 2, False), ["--process-id 2", "0 to 1"]),
    ],
)
def test_processes_that_cannot_be_are_refused(arguments, words):
    with pytest.raises(InputError) as refused:
        processes_from(*arguments)
    for word in words:
        assert word in str(refused.value)


def test_a_run_is_of_one_process_unless_told():
    assert processes_from(None, None, None, False) is None
    assert processes_from(None, None, None, True) == Processes()
    assert processes_from("host:1", 2, 1, False) == Processes("host:1", 2, 1)
