"""The real step for absent hardware: lowered, and compiled where its compiler is installed."""

import functools
import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxopt_notes import adam, extras
from jaxopt_notes.aot import __main__ as aot
from jaxopt_notes.aot import compiler, targets
from jaxopt_notes.models import CNN, MLP, pure
from jaxopt_notes.training.state import create
from jaxopt_notes.training.step import Batch, Normalization, make_train_step
from tests.virtual_devices import COMPILE_SOON

PLATFORMS = ("cpu", "cuda", "tpu")


@pytest.fixture(scope="module")
def cnn():
    return pure(CNN(nnx.Rngs(0)))


def batch(size, side=28):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (size, side, side, 1), dtype=np.uint8)
    return Batch(jnp.asarray(images), jnp.asarray(rng.integers(0, 10, size, dtype=np.int32)))


def exported(model, platforms, side=28):
    """(the exported step on arrays with donated state, the same step, its arguments)."""
    step = make_train_step(model, adam(1e-3), Normalization((0.1,), (0.3,)), shift_by=2)
    state = create(model, adam(1e-3), jax.random.key(0))
    leaves, tree = jax.tree.flatten(state)

    def of_arrays(leaves, images, labels):
        return jax.tree.leaves(step(jax.tree.unflatten(tree, leaves), Batch(images, labels)))

    args = (leaves, *batch(4, side))
    jitted = jax.jit(of_arrays, donate_argnums=0)
    return jax.export.export(jitted, platforms=platforms)(*args), jax.jit(of_arrays), args


@pytest.mark.slow
@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_step_is_lowered_for_a_platform_with_its_own_layers_and_donated_state(cnn, platform):
    exported_step, _, (leaves, *_) = exported(cnn, [platform])
    program = exported_step.mlir_module()
    # Two forward, two for the weights' gradients, and one for the second layer's images.
    assert program.count("stablehlo.convolution") == (0 if platform == "cpu" else 5)
    assert program.count("tf.aliasing_output") == len(leaves)


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [
        functools.partial(CNN, features=(4,), hidden=5),
        functools.partial(MLP, widths=(5,), norm="batch", dropout=0.1),
    ],
    ids=["cnn", "mlp"],
)
def test_one_file_holds_the_step_for_all_platforms_and_steps_alike(network):
    pytest.importorskip("flatbuffers", reason="flatbuffers, which jax.export writes with, is not")
    exported_step, step, args = exported(pure(network(nnx.Rngs(0), (8, 8, 1))), PLATFORMS, side=8)
    assert exported_step.platforms == PLATFORMS
    loaded = jax.export.deserialize(exported_step.serialize())
    expected = step(*args)
    for loaded_leaf, leaf in zip(loaded.call(*args), expected, strict=True):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            loaded_leaf, leaf = jax.random.key_data(loaded_leaf), jax.random.key_data(leaf)
        np.testing.assert_allclose(loaded_leaf, leaf, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def dense():
    """The report of the dense network's step on this machine, batch 32."""
    target, model = targets.parse("cpu"), pure(nnx.eval_shape(lambda: MLP(nnx.Rngs(0))))
    devices = targets.devices(target)
    return compiler.compile_for(target, devices, model, adam(1e-3), (28, 28, 1), 32)


@pytest.mark.slow
def test_the_report_says_what_is_known_of_a_dense_network(dense):
    state = create(pure(MLP(nnx.Rngs(0))), adam(1e-3), jax.random.key(0))
    assert (dense.devices, dense.collectives) == (1, {})
    assert dense.aliased == dense.donated == len(jax.tree.leaves(state))
    key = 8  # bytes
    numbers = [leaf for leaf in jax.tree.leaves(state) if leaf.dtype != state.key.dtype]
    held = sum(leaf.nbytes for leaf in numbers) + key
    assert dense.arguments == held + sum(x.nbytes for x in batch(32))
    assert dense.aliased_bytes == held
    assert dense.needed == dense.arguments + dense.outputs - held + dense.temporaries
    assert dense.sound
    first, others = 784 * 128, 128 * 64 + 64 * 10
    dots = 2 * 32 * (2 * first + 3 * others)  # the images need no gradient
    assert dots < dense.flops < 1.2 * dots


def test_what_does_not_fit_or_does_not_alias_is_not_sound(dense):
    small = dense._replace(memory=targets.Memory(dense.needed - 1, "a test"))
    assert not small.sound
    assert "DOES NOT FIT" in compiler.text(small)
    assert not dense._replace(aliased=dense.donated - 1).sound


def test_collectives_are_counted_where_they_start():
    program = """
      %a = (f32[3]{0}, s32[]) all-reduce(%x, %y), channel_id=1
      %b = f32[8]{0} all-reduce-start(%a), channel_id=2
      %c = f32[8]{0} all-reduce-done(%b)
      %all-reduce.7 = f32[] get-tuple-element(%a), index=0
      %d = f32[8]{0:T(128)} all-gather(%c), metadata={op_name="all-to-all("}
    """
    assert compiler.count_collectives(program) == {"all-reduce": 2, "all-gather": 1}


@pytest.mark.parametrize(
    "name",
    [
        "",
        "gpu",
        "tpu",
        "tpu:v5e",
        "tpu:v9:2x2",
        "tpu:v5e:2",
        "tpu:v5e:0x2",
        "tpu:v5e:2x2:1",
        "cuda",
        "cuda:t4",
        "cuda:h100:0",
        "cuda:h100:2:2",
        "cpu:0",
        "cpu:x",
        "cpu:٣",
    ],
)
def test_an_unknown_target_is_one_line_with_examples(name, capsys):
    assert aot.main(["--target", name]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: --target {name}: unknown")
    assert "tpu:v5e:2x2" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("name", "extra"), [("tpu:v5e:2x2", "tpu"), ("cuda:h100", "cuda12")])
def test_a_missing_compiler_is_named_by_its_extra(name, extra, monkeypatch):
    monkeypatch.setattr(targets, "installed", lambda _: False)
    monkeypatch.setattr(extras, "installed", lambda _: False)
    with pytest.raises(ValueError, match=rf"--target {name} needs .*'jaxopt-notes\[{extra}\]'"):
        targets.devices(targets.parse(name))


@functools.cache
def report(*args):
    command = [sys.executable, "-m", "jaxopt_notes.aot", "--json", *args]
    # LLVM changes nothing in a CPU's report; a TPU's compiler does not know the flags.
    flags = COMPILE_SOON if args[1].startswith("cpu") else ""
    env = os.environ | {"XLA_FLAGS": flags}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "devices"),
    {
        "cpu": 1,
        "cpu:8": 8,
        "tpu:v5e:1x1": 1,
        "tpu:v5e:2x2": 4,
        "tpu:v6e:2x2": 4,
        "cuda:h100": 1,
        "cuda:h200": 1,
        "cuda:h200:8": 8,
    }.items(),
)
def test_the_step_compiles_aliases_all_its_state_and_sends_one_sum(name, devices):
    if extra := targets.missing_extra(targets.parse(name).platform):
        pytest.skip(f"{name}: the extra {extra} is not installed")
    summary = report("--target", name)
    assert summary["devices"] == devices
    assert summary["aliased"] == summary["donated"]
    assert summary["collectives"] == ({"all-reduce": 1} if devices > 1 else {})
    assert summary["fits"]
    # Each device holds all parameters, both of Adam's averages, and the images.
    assert 3 * 4 * 421_642 < summary["arguments"] < 1.1 * 3 * 4 * 421_642


@pytest.mark.slow
@pytest.mark.skipif(jax.__version__ != "0.10.2", reason="the launches were counted with jax 0.10.2")
def test_a_looped_step_has_few_launches_on_a_gpu_and_copies_nothing():
    if extra := targets.missing_extra("cuda"):
        pytest.skip(f"cuda:h100: the extra {extra} is not installed")
    stretch = report("--target", "cuda:h100", "--batch-size", "128")["stretch"]
    assert stretch["operations"] <= 40
    assert "copy" not in stretch["kinds"]
    assert stretch["kinds"]["cuDNN"][0] == 5
    assert 100e6 < stretch["moved"] < 150e6


@pytest.mark.slow
def test_a_cut_optimizer_state_takes_an_eighth_of_each_device():
    whole, cut = (report("--target", "cpu:8", *more) for more in ((), ("--shard-optimizer-state",)))
    saved = 2 * 4 * 421_642 * 7 / 8  # except the few slots that 8 does not divide
    assert whole["arguments"] - cut["arguments"] == pytest.approx(saved, rel=0.01)
    assert cut["aliased"] == cut["donated"]
