"""A trained network as a file gives the same logits, without this package."""

import errno
import functools
import io
import json
import subprocess
import sys
from functools import partial

import jax
import numpy as np
import pytest

from jaxopt_notes import files
from jaxopt_notes.config.settings import resolve
from jaxopt_notes.data import Dataset
from jaxopt_notes.errors import InputError
from jaxopt_notes.inference import exporting
from jaxopt_notes.inference.exporting import forward_of
from jaxopt_notes.inference.prediction import probabilities
from jaxopt_notes.inference.trained import Trained
from jaxopt_notes.models import CNN, MLP, pure
from jaxopt_notes.training.evaluation import Weights, evaluate_classes, logits_of, softmax
from jaxopt_notes.training.step import Normalization
from tests.models.filled import filled

SHAPE = (8, 12, 1)
NETWORKS = {
    "cnn": partial(CNN, features=(3, 4), hidden=5, dropout=0.1),
    "cnn-norm": partial(CNN, features=(3,), norm="batch", activation="gelu", pooling="average"),
    "mlp": partial(MLP, widths=(5,), norm="batch", dropout=0.1),
}
LOADER = """
import json, sys
import jax
import numpy as np
images = np.load(sys.argv[1])
logits = {}
for file in sys.argv[2:]:
    loaded = jax.export.deserialize(open(file, "rb").read())
    logits[file] = [loaded.call(images[:n]).tolist() for n in (1, 5)]
assert not any(name.startswith(("jaxopt_notes", "flax")) for name in sys.modules)
print(json.dumps(logits))
"""


@functools.cache
def trained(name):
    model = pure(filled(lambda rngs: NETWORKS[name](rngs, SHAPE)))
    weights = Weights(7, model.params, model.batch_stats)
    return Trained(
        resolve({}, 1), model, weights, Normalization((0.2,), (0.4,)), SHAPE, tuple("0123456789")
    )


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (5, *SHAPE), dtype=np.uint8)


@pytest.mark.slow
def test_the_file_gives_the_same_logits_where_this_package_is_not_imported(tmp_path, images):
    pytest.importorskip("flatbuffers")
    np.save(tmp_path / "images.npy", images)
    files = {name: tmp_path / name for name in NETWORKS}
    for name, file in files.items():
        exporting.write(file, exporting.as_jax(trained(name)))
    command = [
        sys.executable,
        "-c",
        LOADER,
        str(tmp_path / "images.npy"),
        *map(str, files.values()),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    logits = json.loads(done.stdout)
    for name, file in files.items():
        # Compiled for a known batch size: on a CPU this program uses the quick convolution.
        expected = jax.jit(forward_of(trained(name)))(images)
        one, five = logits[str(file)]
        np.testing.assert_allclose(five, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(one, expected[:1], rtol=1e-4, atol=1e-5)


def test_it_is_for_all_platforms_with_the_batch_left_open():
    loaded = jax.export.deserialize(bytearray(exporting.as_jax(trained("cnn"))))
    assert loaded.platforms == ("cpu", "cuda", "tpu")
    (input_type,) = loaded.in_avals
    assert str(input_type.shape) == "(batch, 8, 12, 1)"
    assert input_type.dtype == np.uint8
    assert str(loaded.out_avals[0].shape) == "(batch, 10)"


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_gives_the_same_logits(name, images):
    pytest.importorskip("jax2onnx", reason="jax2onnx (extra onnx) is not installed")
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(exporting.as_onnx(trained(name)))
    expected = jax.jit(forward_of(trained(name)))(images)
    for n in (1, 5):
        (logits,) = session.run(["logits"], {"images": images[:n]})
        np.testing.assert_allclose(logits, expected[:n], rtol=1e-4, atol=1e-5)


def test_without_jax2onnx_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    with pytest.raises(InputError, match=r"jaxopt-notes\[onnx\]"):
        exporting.as_onnx(trained("mlp"))


class FullDisk(io.FileIO):
    """A file on a disk with room for three more bytes."""

    def write(self, content):
        super().write(content[:3])
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "net"
    exporting.write(path, b"whole")
    with monkeypatch.context() as patch:
        patch.setattr(files, "open", FullDisk, raising=False)
        with pytest.raises(InputError, match=r"--out .*net: cannot be written \(No space"):
            exporting.write(path, b"another")
    assert path.read_bytes() == b"whole"
    assert [file.name for file in tmp_path.iterdir()] == ["net"]


@pytest.mark.parametrize("name", NETWORKS)
def test_scores_probabilities_and_exports_are_of_the_same_logits(name, images):
    net, labels = trained(name), np.array([0, 1, 2, 3, 4], np.int32)
    logits = logits_of(images, net.weights, net.model, net.normalize)
    np.testing.assert_allclose(jax.jit(forward_of(net))(images), logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(probabilities(net, images), softmax(logits), rtol=1e-6)
    data = Dataset("five", images, labels, images, labels, net.class_names)
    evaluation = evaluate_classes(net.weights, net.model, net.normalize, data)
    np.testing.assert_array_equal(evaluation.predicted, logits.argmax(-1))
    np.testing.assert_allclose(evaluation.confidence, softmax(logits).max(-1), rtol=1e-6)


@pytest.fixture(scope="module")
def expected(images):
    """Jax's probabilities of the images."""
    forward = forward_of(trained("mlp"))
    return np.asarray(jax.jit(lambda images: jax.nn.softmax(forward(images)))(images))


@pytest.mark.parametrize("n", [0, 1, 3, 5])
def test_probabilities_of_any_number_of_images(n, images, expected):
    chances = probabilities(trained("mlp"), images[:n])
    assert chances.shape == (n, 10)
    np.testing.assert_allclose(chances, expected[:n], rtol=1e-4, atol=1e-6)
