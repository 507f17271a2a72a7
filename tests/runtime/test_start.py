"""A command's digits and files do not depend on JAX's settings in the shell."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from jaxopt_notes import export, predict, train
from jaxopt_notes.runtime import compilation, host, start
from jaxopt_notes.training.step import Normalization
from tests.run_files import rows, without_seconds
from tests.runtime.host_state import changes, state

pytestmark = pytest.mark.usefixtures("no_pictures")

SETTINGS = [
    ("jax_enable_x64", True),
    ("jax_numpy_dtype_promotion", "strict"),
    ("jax_default_matmul_precision", "bfloat16"),
    ("jax_default_prng_impl", "rbg"),
    ("jax_threefry_partitionable", False),
    ("jax_random_seed_offset", 5),
    ("jax_numpy_rank_promotion", "raise"),
    ("jax_transfer_guard", "disallow"),
]
OPTIONS = ("--widths", "8", "--shift", "1", "--dropout", "0.1", "--ema", "0.9", "--quiet")


@pytest.fixture
def as_now(small, tmp_path_factory):
    """The rows of the run with JAX's defaults."""
    folder = tmp_path_factory.mktemp("default") / "run"
    assert small(*OPTIONS, "--out", str(folder)) == 0
    return without_seconds(rows(folder))


# All at once; the slow tests try each alone, which shows the one that is not restored.
@pytest.mark.parametrize(
    "changed",
    [dict(SETTINGS), *(pytest.param({n: x}, id=n, marks=pytest.mark.slow) for n, x in SETTINGS)],
)
def test_settings_of_jax_change_no_digit_and_stay_the_hosts(small, as_now, tmp_path, changed):
    before = {name: getattr(jax.config, name) for name in changed}
    try:
        for name, value in changed.items():
            jax.config.update(name, value)
        host_before = state()
        assert small(*OPTIONS, "--out", str(tmp_path / "changed")) == 0
        assert without_seconds(rows(tmp_path / "changed")) == as_now
        assert changes(host_before, state()) == {}
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


@pytest.mark.slow
def test_a_run_compiles_six_programs(small):
    """Outside jit, JAX compiles a program for each operation and shape, here of 11 features."""
    events = []

    def listen(event, seconds, **_):
        events.append(event.rpartition("/")[2])

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        assert small("--widths", "11", "--batch-size", "31", "--quiet") == 0
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    # The first state, the steps, the evaluation, two checksums and the predictions.
    assert events.count("backend_compile_duration") == 6


@pytest.mark.slow
def test_what_one_setting_wrote_another_reads(small, as_now, tmp_path):
    with jax.enable_x64(True):  # in this thread alone
        assert small(*OPTIONS) == 0
        assert jnp.arange(3.0).dtype == jnp.float64  # the host's again
    assert without_seconds(rows(tmp_path / "run")) == as_now
    assert small("--resume", "run", "--epochs", "2", "--quiet") == 0
    with jax.default_prng_impl("rbg"), jax.enable_x64(True):
        assert export.main(["--run", "run", "--out", "net.jax"]) == 0
        assert small("--resume", "run", "--epochs", "3", "--quiet") == 0
    assert len(rows(tmp_path / "run")) == 3


def test_the_networks_input_is_float32_whatever_jax_promotes():
    with jax.enable_x64(True), jax.numpy_rank_promotion("raise"):
        pixels = Normalization((0.5,), (0.2,))(jnp.zeros((2, 3, 3, 1), jnp.uint8))
    assert pixels.dtype == jnp.float32


def test_without_a_home_directory_a_line_says_that_no_programs_are_kept(monkeypatch, capsys):
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as without a passwd entry
    for name in ("XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    from jaxopt_notes.config.settings import resolve

    with host.host_settings():
        compilation.keep_compiled(resolve({}, 1).program_folder)
    assert capsys.readouterr().err == (
        "note: compiled programs are not cached: this user has no home directory; "
        "pass --compilation-cache DIR\n"
    )


def test_a_cache_that_cannot_be_written_is_said_once(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with host.host_settings():
        compilation.keep_compiled(str(tmp_path / "file" / "cache"))
    assert capsys.readouterr().err.startswith("note: compiled programs are not cached: ")
    assert not Path(tmp_path / "file" / "cache").exists()


@pytest.mark.parametrize("error", [AssertionError(), RuntimeError("Unable to initialize")])
def test_a_platform_that_is_not_there_is_one_line_and_code_2(
    error, monkeypatch, small, tmp_path, capsys
):
    assert small("--quiet") == 0

    def absent():
        raise error

    monkeypatch.setattr(jax, "devices", absent)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    for main, args in (
        (train.main, ["--model", "mlp", "--out", "other"]),
        (predict.main, ["--run", "run", "--split", "test"]),
        (export.main, ["--run", "run", "--out", "net.jax"]),
    ):
        assert main(args) == 2
        line = capsys.readouterr().err
        assert line.startswith("error: JAX_PLATFORMS=cuda: JAX finds no such device here")
        assert line.count("\n") == 1
    assert not Path("other").exists()


def test_a_setting_that_jax_refuses_is_one_line_and_code_2():
    done = subprocess.run(
        [sys.executable, "-m", "jaxopt_notes.verify", "--quick"],
        env=os.environ | {"JAX_ENABLE_X64": "maybe"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "JAX_ENABLE_X64" in done.stderr


def test_contexts_are_left_in_the_end_and_kept_until_then():
    with jax.default_matmul_precision("float32"), jax.enable_x64(True):
        with host.host_settings():
            start.import_jax()
            assert jax.config.jax_enable_x64 is False
            assert jax.config.jax_default_matmul_precision is None
        assert jax.config.jax_enable_x64 is True
        assert jax.config.jax_default_matmul_precision == "float32"
    assert jax.config.jax_enable_x64 is False


def test_flags_of_xla_that_may_change_digits_are_said(monkeypatch, capsys):
    for flags, culprits in (
        ("--xla_force_host_platform_device_count=2 --xla_dump_to=x", ""),
        ("--xla_cpu_enable_fast_math=true", "--xla_cpu_enable_fast_math=true"),
    ):
        monkeypatch.setenv("XLA_FLAGS", flags)
        with host.host_settings():
            start.import_jax()
        note = f"note: XLA_FLAGS has {culprits}: they may change results\n" if culprits else ""
        assert capsys.readouterr().err == note
