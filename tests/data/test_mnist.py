"""MNIST: prepared without TensorFlow, from files laid by hand or downloaded, or one plain line."""

import errno
import functools
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import checksums

from jaxopt_notes.data import errors, load
from jaxopt_notes.data.tfds import cache, mnist, mnist_files
from jaxopt_notes.data.tfds.builder import Mnist
from jaxopt_notes.errors import InputError
from tests.data import tiny_sets

# Not a stopwatch: far below the minutes of TFDS's retries, far above a busy machine's delays.
PATIENCE = 20

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = mnist_files.FILES


def pairs(images, labels):
    """The examples of a split, whatever their order."""
    return sorted((image.tobytes(), int(y)) for image, y in zip(images, labels, strict=True))


def one_line(caught):
    assert "\n" not in str(caught.value)
    return str(caught.value)


def nothing_prepared(data_dir):
    """Whether the folder has neither MNIST nor a part of it."""
    return not list((data_dir / "mnist").glob("*"))


@pytest.fixture
def impatient(monkeypatch):
    """A server gets 0.2 seconds to answer."""
    monkeypatch.setattr(mnist, "_PATIENCE", 0.2)


@pytest.fixture
def server(tmp_path, few_digits, monkeypatch):
    """A server on this machine that has the four files of few digits; returns their folder."""
    folder = tmp_path / "official"

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        soon = {"poll_interval": 0.01}  # seconds until it notices its shutdown
        threading.Thread(target=running.serve_forever, kwargs=soon, daemon=True).start()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        url = f"http://127.0.0.1:{running.server_port}/"
        infos = checksums.get_all_url_infos()
        here = infos | {url + file: infos[mnist_files.URL + file] for file in mnist_files.FILES}
        monkeypatch.setattr(checksums, "get_all_url_infos", lambda: here)
        monkeypatch.setattr(mnist_files, "URL", url)
        yield folder
        running.shutdown()


@pytest.mark.usefixtures("no_network")
def test_files_laid_by_hand_become_tfdss_own_directory(laid, few_digits):
    loaded = load("mnist", laid)
    assert loaded.name == "mnist"
    assert loaded.train_images.shape == (30, 28, 28, 1)
    assert loaded.class_names == tuple("0123456789")
    expected = pairs(few_digits[TRAIN_IMAGES], few_digits[TRAIN_LABELS])
    assert pairs(loaded.train_images, loaded.train_labels) == expected
    expected = pairs(few_digits[TEST_IMAGES], few_digits[TEST_LABELS])
    assert pairs(loaded.test_images, loaded.test_labels) == expected
    source = tfds.data_source("mnist", split="train", data_dir=laid)
    assert (laid / "mnist" / "3.0.1" / "dataset_info.json").is_file()
    for position, example in enumerate(source):
        assert np.array_equal(example["image"], loaded.train_images[position])
        assert example["label"] == loaded.train_labels[position]


@pytest.mark.usefixtures("no_network")
def test_preparing_is_silent_and_auto_takes_it(laid, capfd):
    assert load("auto", laid).name == "mnist"
    assert load("auto", laid).note == ""
    out, err = capfd.readouterr()
    assert out == err == ""


def test_the_files_are_downloaded_where_their_server_answers(server, tmp_path, few_digits, capfd):
    loaded = load("mnist", tmp_path / "new" / "data")
    expected = pairs(few_digits[TRAIN_IMAGES], few_digits[TRAIN_LABELS])
    assert pairs(loaded.train_images, loaded.train_labels) == expected
    out, err = capfd.readouterr()
    assert out == ""
    assert "Dl Size" in err


def test_what_was_laid_is_not_downloaded(server, tmp_path):
    manual = tmp_path / "data" / "downloads" / "manual"
    manual.mkdir(parents=True)
    for file in (TRAIN_IMAGES, TRAIN_LABELS):
        (server / file).rename(manual / file)
    assert load("auto", tmp_path / "data").name == "mnist"


def test_a_download_that_fails_half_way_is_told_and_auto_goes_on(server, tmp_path):
    (server / TRAIN_LABELS).unlink()
    with pytest.raises(mnist_files.UnobtainableError, match="404") as caught:
        load("mnist", tmp_path / "data")
    assert "downloads/manual" in one_line(caught)
    assert nothing_prepared(tmp_path / "data")
    assert load("auto", tmp_path / "data").name == "mnist-12k"


def test_a_download_with_another_checksum_is_refused(server, tmp_path):
    (server / TRAIN_LABELS).write_bytes(tiny_sets.idx(np.zeros(30, np.uint8)))
    with pytest.raises(InputError, match="checksum") as caught:
        load("mnist", tmp_path / "data")
    one_line(caught)
    assert nothing_prepared(tmp_path / "data")


@pytest.mark.usefixtures("no_network")
def test_without_a_network_mnist_names_the_folder_at_once(tmp_path):
    start = time.perf_counter()
    with pytest.raises(mnist_files.UnobtainableError) as caught:
        load("mnist", tmp_path / "data")
    assert time.perf_counter() - start < PATIENCE
    message = one_line(caught)
    assert message.startswith("dataset='mnist': ")
    assert str(tmp_path / "data" / "downloads" / "manual") in message
    assert all(file in message for file in mnist_files.FILES)
    assert not (tmp_path / "data").exists()


@pytest.mark.usefixtures("no_network")
def test_without_a_network_auto_takes_the_embedded_digits_and_says_why(tmp_path):
    loaded = load("auto", tmp_path)
    assert loaded.name == "mnist-12k"
    assert "mnist-12k" in loaded.note
    assert "mnist.invalid" in loaded.note
    assert "\n" not in loaded.note


@pytest.mark.usefixtures("impatient")
def test_a_server_that_never_answers_is_given_up_at_once(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(mnist_files, "URL", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        start = time.perf_counter()
        with pytest.raises(mnist_files.UnobtainableError, match=r"127.0.0.1 "):
            load("mnist", tmp_path)
        assert time.perf_counter() - start < PATIENCE


@pytest.mark.usefixtures("no_network", "impatient")
def test_a_name_that_is_looked_up_for_ever_is_given_up_at_once(tmp_path, monkeypatch):
    def slow(*args, **kwargs):
        time.sleep(4)
        raise socket.gaierror("no answer")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    start = time.perf_counter()
    with pytest.raises(mnist_files.UnobtainableError, match="does not answer"):
        load("mnist", tmp_path)
    assert time.perf_counter() - start < PATIENCE


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("damage", ["truncated", "corrupt"])
@pytest.mark.parametrize("name", ["auto", "mnist"])
def test_a_damaged_file_is_named_with_its_checksum(laid, damage, name):
    file = laid / "downloads" / "manual" / TRAIN_IMAGES
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content[:-9] if damage == "truncated" else content)
    with pytest.raises(InputError, match=damage) as caught:
        load(name, laid)
    message = one_line(caught)
    assert str(file) in message
    assert checksums.get_all_url_infos()[mnist_files.URL + TRAIN_IMAGES].checksum in message
    assert nothing_prepared(laid)


@pytest.mark.usefixtures("no_network")
def test_without_a_home_no_folder_called_tilde_is_made(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(InputError, match="no home folder to keep it in; pass --data-dir"):
        load("mnist")
    assert load("auto").name == "mnist-12k"
    assert not list(tmp_path.iterdir())


def test_no_room_is_told_before_anything_is_written(laid, monkeypatch):
    usage = shutil.disk_usage(laid)._replace(free=20_000_000)
    monkeypatch.setattr(mnist.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(errors.DataDirError, match="20 MB left on its disk, MNIST needs 150 MB"):
        load("mnist", laid)
    assert nothing_prepared(laid)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (OSError(errno.ENOSPC, "the disk refuses"), "disk is full"),
        (OSError(errno.EROFS, "the disk refuses"), "cannot be used"),
        (RuntimeError("write() failed: No space left on device; at byte 9"), "disk is full"),
    ],
    ids=["full", "read-only", "full, as array_record tells it"],
)
def test_a_disk_that_refuses_in_the_midst_leaves_nothing_half_written(
    laid, monkeypatch, refusal, message
):
    def refuse(self, images, labels):
        yield 0, {"image": tiny_sets.Image.new("L", (28, 28)), "label": 0}
        raise refusal

    monkeypatch.setattr(Mnist, "_generate_examples", refuse)
    with pytest.raises(errors.DataDirError, match=message) as caught:
        load("mnist", laid)
    assert one_line(caught).startswith(f"data_dir='{laid}': ")
    assert nothing_prepared(laid)


def test_a_directory_that_cannot_be_made_is_told(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(errors.DataDirError, match="cannot be used") as caught:
        load("mnist", tmp_path / "file" / "data")
    one_line(caught)
    with pytest.raises(errors.DataDirError):
        load("auto", tmp_path / "file" / "data")


def test_an_unusable_default_directory_does_not_stop_auto(server, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "file" / "data"))
    loaded = load("auto")
    assert loaded.name == "mnist-12k"
    assert "cannot be used" in loaded.note


def test_without_array_record_mnist_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "array_record", None)
    with pytest.raises(mnist_files.UnobtainableError, match="array_record"):
        load("mnist", tmp_path)
    assert "array_record" in load("auto", tmp_path).note


@pytest.mark.usefixtures("no_network")
def test_two_that_prepare_at_once_do_not_disturb_each_other(laid, monkeypatch, few_digits):
    split = Mnist._split_generators

    def overtaken(self, dl_manager):
        monkeypatch.setattr(Mnist, "_split_generators", split)
        load("mnist", laid)  # the other process finishes while this one is at work
        return split(self, dl_manager)

    monkeypatch.setattr(Mnist, "_split_generators", overtaken)
    loaded = load("mnist", laid)
    expected = pairs(few_digits[TRAIN_IMAGES], few_digits[TRAIN_LABELS])
    assert pairs(loaded.train_images, loaded.train_labels) == expected
    assert [path.name for path in (laid / "mnist").iterdir()] == ["3.0.1"]


@pytest.mark.slow
def test_the_official_files_give_all_of_mnist_and_the_next_load_is_quick(tmp_path, official_mnist):
    manual = tmp_path / "downloads" / "manual"
    manual.mkdir(parents=True)
    for file in mnist_files.FILES:
        shutil.copy(official_mnist / file, manual)
    loaded = load("mnist", tmp_path)
    assert loaded.train_images.shape == (60_000, 28, 28, 1)
    assert loaded.test_images.shape == (10_000, 28, 28, 1)
    assert np.bincount(loaded.test_labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009
    ]  # fmt: skip
    source = tfds.data_source("mnist", split="test", data_dir=tmp_path)
    assert np.array_equal(source[123]["image"], loaded.test_images[123])
    assert (tmp_path / "mnist" / "3.0.1" / cache.FILE).is_file()
    code = (
        "import sys, jaxopt_notes.data as d; d.load('mnist', sys.argv[1]); "
        "sys.exit('tensorflow_datasets' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == 0
