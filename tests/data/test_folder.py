"""A folder of pictures: how it is read, and why it is refused."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxopt_notes.data import folder_layout, image_files, load
from jaxopt_notes.errors import InputError
from tests.data import tiny_sets


@pytest.fixture
def pets(tmp_path):
    """FOLDER/CLASS/x.png: ten pictures each of two classes."""
    return tiny_sets.write_folder(tmp_path / "pets", ["cat", "dog"], 20)


@pytest.fixture
def parted(tmp_path):
    """FOLDER/train/CLASS/x.png and FOLDER/test/CLASS/x.png."""
    tiny_sets.write_folder(tmp_path / "parted" / "train", ["cat", "dog"], 8)
    tiny_sets.write_folder(tmp_path / "parted" / "test", ["cat", "dog"], 4, seed=1)
    return tmp_path / "parted"


def refused(path, *words, **options):
    with pytest.raises(InputError) as caught:
        load(str(path), **options)
    message = str(caught.value)
    assert message.startswith(f"dataset={str(path)!r}: ")
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


def grey(value=0, size=(12, 12)):
    return Image.new("L", size, value)


def test_train_and_test_are_taken_as_they_lie(parted):
    data = load(str(parted))
    assert data.name == "parted"
    assert data.class_names == ("cat", "dog")
    assert data.note == ""
    assert data.train_labels.tolist() == [0] * 4 + [1] * 4
    assert data.train_labels.dtype == data.test_labels.dtype == np.int32
    images, labels = tiny_sets.stripes(8)
    expected = np.concatenate([images[labels == 0], images[labels == 1]])
    np.testing.assert_array_equal(data.train_images[..., 0], expected)
    images, labels = tiny_sets.stripes(4, seed=1)
    np.testing.assert_array_equal(data.test_images[0, ..., 0], images[0])


def test_a_fifth_of_each_class_is_set_aside_and_the_note_says_so(pets):
    data = load(str(pets))
    assert np.bincount(data.train_labels).tolist() == [8, 8]
    assert np.bincount(data.test_labels).tolist() == [2, 2]
    assert "a fifth of each class" in data.note
    seen = {image.tobytes() for image in (*data.train_images, *data.test_images)}
    assert len(seen) == 20


def test_the_fifth_depends_on_the_names_alone(pets, tmp_path, monkeypatch):
    first = load(str(pets))
    copied = tmp_path / "elsewhere"
    for file in sorted(pets.rglob("*.png"), reverse=True):
        (copied / file.parent.name).mkdir(parents=True, exist_ok=True)
        (copied / file.parent.name / file.name).write_bytes(file.read_bytes())
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda p: sorted(listed(p), reverse=True))
    for one, other in zip(first[1:5], load(str(copied))[1:5], strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_files_set_aside_are_the_same_everywhere():
    files = [Path(f"set/a/{i}.png") for i in range(10)]
    _, test = folder_layout._split({"a": files}, Path("set"))
    assert [file.name for file in test["a"]] == ["0.png", "6.png"]


def test_an_accent_in_one_piece_or_in_two_is_the_same_name(tmp_path):
    composed, parted = "caf\u00e9", "cafe\u0301"
    tiny_sets.write_folder(tmp_path / "x" / "train", [composed, "tea"], 4)
    tiny_sets.write_folder(tmp_path / "x" / "test", [parted, "tea"], 4)
    assert load(str(tmp_path / "x")).class_names == (composed, "tea")
    tiny_sets.write_folder(tmp_path / "x" / "test", [composed], 1)
    refused(tmp_path / "x", "cannot name a class")


@pytest.mark.parametrize("name", ["validation", "val"])
def test_validation_stands_for_a_missing_test_and_the_note_says_so(parted, name):
    (parted / "test").rename(parted / name)
    assert (
        load(str(parted)).note
        == f"parted has no 'test' with classes: '{name}' is used as the test set"
    )


def test_train_alone_is_refused_with_both_ways_out(parted):
    (parted / "test").rename(parted / "rest")
    refused(parted, "'train' stands without a 'test' or 'valid'", repr(str(parted / "train")))
    assert len(load(str(parted / "train")).train_labels) == 6


def test_a_class_may_be_called_train(tmp_path):
    tiny_sets.write_folder(tmp_path / "x", ["bus", "train"], 8)
    assert load(str(tmp_path / "x")).class_names == ("bus", "train")


def test_what_is_read_and_how_it_becomes_bytes(tmp_path):
    rng = np.random.default_rng(0)
    colour = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    bilevel = Image.fromarray(rng.integers(0, 2, (6, 8), dtype=np.uint8) * 255).convert("1")
    palette = colour.quantize(16)
    opaque = colour.copy()
    opaque.putalpha(255)
    for kind, image in {"1": bilevel, "P": palette, "RGBA": opaque, "RGB": colour}.items():
        for part in ("train", "test"):
            (tmp_path / "x" / part / kind).mkdir(parents=True)
            image.save(tmp_path / "x" / part / kind / "one.PNG")
    data = load(str(tmp_path / "x"))
    assert data.class_names == ("1", "P", "RGB", "RGBA")
    assert data.train_images.shape == (4, 6, 8, 3)
    expected = [bilevel.convert("RGB"), palette.convert("RGB"), colour, colour]
    np.testing.assert_array_equal(data.train_images, [np.asarray(image) for image in expected])
    grey_ones, twice = data.note.split("; ")
    assert grey_ones == "grey pictures among colour ones, read as RGB: 2"
    assert twice == "test pictures that are in the training set too: 4"


def test_jpegs_are_read(pets):
    for file in pets.rglob("*.png"):
        Image.open(file).save(file.with_suffix(".jpeg" if file.stem < "010" else ".JPG"))
        file.unlink()
    data = load(str(pets))
    assert data.train_images.shape == (16, 12, 12, 1)
    assert data.train_images[0].max() > 200


def test_resizing_is_on_request(pets):
    grey(200, (30, 18)).save(pets / "cat" / "large.png")
    message = refused(pets, "large.png' is 18×30", "000.png' is 12×12", "--image-size 12x12")
    assert "cat" in message
    data = load(str(pets), image_size=(10, 14))
    assert data.train_images.shape[1:] == (10, 14, 1)
    everything = np.concatenate([data.train_images, data.test_images])
    assert any((image == 200).all() for image in everything)
    refused(pets, "3×9", "4x4", image_size=(3, 9))


def test_a_scaled_picture_is_pillows_own_of_that_height_and_width(pets):
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (30, 18), dtype=np.uint8))
    picture.save(pets / "cat" / "000.png")
    data = load(str(pets), image_size=(10, 14))
    scaled = np.asarray(picture.resize((14, 10), Image.Resampling.BILINEAR))[..., None]
    everything = np.concatenate([data.train_images, data.test_images])
    assert (everything == scaled).all((1, 2, 3)).sum() == 1


def test_colour_becomes_grey_by_the_weights_of_television(tmp_path):
    """ITU-R BT.601: 0.299 red, 0.587 green, 0.114 blue."""
    colour = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(colour).save(tmp_path / "x.png")
    grey = image_files.pixels(tmp_path / "x.png", 6, 8, 1)[..., 0]
    assert np.abs(colour @ np.array([0.299, 0.587, 0.114]) - grey).max() < 1


def test_no_picture_is_in_both_sets(pets):
    rng = np.random.default_rng(0)
    for file in sorted(pets.rglob("*.png")):
        Image.fromarray(rng.integers(0, 256, (12, 12), dtype=np.uint8)).save(file)
    data = load(str(pets))
    pictures = [image.tobytes() for image in (*data.train_images, *data.test_images)]
    assert len(set(pictures)) == len(pictures) == len(list(pets.rglob("*.png")))


def test_small_pictures_are_refused(tmp_path):
    refused(tiny_sets.write_folder(tmp_path / "x", ["a", "b"], 8, (3, 12)), "3×12", "4x4")


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(*c) for c in ((b"IHDR", header), (b"IDAT", b""), (b"IEND", b""))
    )


@pytest.mark.parametrize("side", [11_000, 60_000])  # Pillow warns of the first, refuses the second
def test_a_picture_too_large_is_refused_by_its_header(pets, monkeypatch, side):
    (pets / "dog" / "bomb.png").write_bytes(bomb(side, side))
    monkeypatch.setattr(image_files, "pixels", lambda *_: pytest.fail("decoded"))
    refused(pets, "dog/bomb.png", "more than 89,478,485 pixels")


@pytest.mark.parametrize(
    "damage",
    ["truncated", "a byte changed", "empty", "text", "a truncated JPEG"],
)
def test_a_broken_file_is_named(pets, damage):
    file = pets / "dog" / "005.png"
    content = bytearray(file.read_bytes())
    if damage == "truncated":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "a byte changed":
        Image.open(file).save(file, compress_level=0)  # so that it still decodes, to other pixels
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "text":
        file.write_text("import os")
    else:
        Image.open(file).save(file, format="JPEG")
        file.write_bytes(file.read_bytes()[:-40])
    refused(pets, "dog/005.png", "remove it")


def test_a_class_of_the_test_set_that_training_lacks_is_refused(parted):
    tiny_sets.write_folder(parted / "test", ["emu"], 2)
    refused(parted, "'emu'", "not in the training set")


def test_a_class_that_the_test_set_lacks_is_taken(parted):
    tiny_sets.write_folder(parted / "train", ["emu"], 2)
    data = load(str(parted))
    assert np.bincount(data.test_labels, minlength=3).tolist() == [2, 2, 0]


def test_one_class_is_refused(tmp_path):
    refused(tiny_sets.write_folder(tmp_path / "x", ["cat"], 5), "one class", "'cat'")


def test_one_picture_cannot_be_split(pets):
    (pets / "emu").mkdir()
    grey().save(pets / "emu" / "one.png")
    refused(pets, "pets/emu", "one picture")


@pytest.mark.parametrize("part", ["train", "test"])
def test_an_empty_class_is_named(parted, part):
    (parted / part / "emu").mkdir()
    (parted / part / "emu" / ".DS_Store").touch()
    refused(parted, f"{part}/emu", "holds no picture")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("cat/drawing.svg", "is not one of .png"),
        ("cat/photo.heic", "is not one of .png"),
        ("cat/0001", "is not one of .png"),
        ("loose.png", "not in a class folder"),
    ],
)
def test_what_belongs_nowhere_is_named(pets, place, words):
    (pets / place).parent.mkdir(exist_ok=True)
    (pets / place).touch()
    refused(pets, words)


def test_what_systems_leave_behind_is_passed_over(pets):
    places = (
        *(".DS_Store", "cat/.DS_Store", "cat/Thumbs.db", "cat/._000.png", "README.txt"),
        *("__MACOSX/cat/._000.png", "cat/.ipynb_checkpoints/000-checkpoint.png", "cat/Icon\r"),
        *("README.roboflow.txt", "_annotations.csv", "cat/_annotations.csv", "cat/LICENSE"),
    )
    for place in places:
        (pets / place).parent.mkdir(parents=True, exist_ok=True)
        (pets / place).write_bytes(b"x")
    assert len(load(str(pets)).train_labels) == 16


def test_a_pipe_is_not_waited_for(pets):
    os.mkfifo(pets / "cat" / "pipe.png")
    refused(pets, "cat/pipe.png", "is not a file")


def test_links_are_followed_within_the_folder_and_refused_out_of_it(pets, tmp_path):
    (pets / "cat" / "same.png").symlink_to(pets / "cat" / "000.png")
    assert len(load(str(pets)).train_labels) == 17
    (tmp_path / "whole").symlink_to(pets)
    assert len(load(str(tmp_path / "whole")).train_labels) == 17
    grey().save(tmp_path / "secret.png")
    (pets / "dog" / "out.png").symlink_to(tmp_path / "secret.png")
    refused(pets, "dog/out.png", "link out of the folder", "--follow-links")
    (pets / "dog" / "out.png").unlink()
    (pets / "emu").symlink_to(tmp_path)
    refused(pets, "pets/emu", "link out of the folder", "--follow-links")


def test_follow_links_allows_pictures_and_classes_elsewhere(pets, tmp_path):
    tiny_sets.write_folder(tmp_path / "elsewhere", ["emu"], 5, seed=1)
    (pets / "emu").symlink_to(tmp_path / "elsewhere" / "emu")
    (pets / "dog" / "out.png").symlink_to(tmp_path / "elsewhere" / "emu" / "000.png")
    data = load(str(pets), follow_links=True)
    assert data.class_names == ("cat", "dog", "emu")
    assert np.bincount(data.train_labels).tolist() == [8, 9, 4]
    with pytest.raises(InputError, match="--follow-links: only a folder"):
        load("mnist-12k", follow_links=True)


@pytest.mark.parametrize("follow_links", [False, True])
@pytest.mark.parametrize("target", ["cat", "cat/more", "."])
def test_a_loop_of_links_is_named(pets, target, follow_links):
    (pets / "cat" / "more").mkdir()
    (pets / "cat" / "more" / "round").symlink_to(pets / target)
    refused(pets, "round' is a circular link", follow_links=follow_links)
    (pets / "cat" / "more" / "round").unlink()
    (pets / "cat" / "gone.png").symlink_to(pets / "absent.png")
    refused(pets, "gone.png' is a broken link", follow_links=follow_links)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Training", "Testing"),  # Kaggle
        ("train", "valid"),  # Roboflow, fastai
        ("Train", "Test"),
        ("TRAINING", "validation"),
        ("train", "Val"),
        ("trainval", "test"),
        ("train", "dev"),
    ],
)
def test_the_names_that_others_give_their_parts_are_known(parted, train, test):
    expected = load(str(parted))
    (parted / "train").rename(parted / train)
    (parted / "test").rename(parted / test)
    (parted / "README.dataset.txt").touch()
    data = load(str(parted))
    for one, other in zip(data[1:6], expected[1:6], strict=True):
        np.testing.assert_array_equal(one, other)
    stands = f"parted has no 'test' with classes: {test!r} is used as the test set"
    assert data.note == ("" if test.lower().startswith("test") else stands)


def test_of_three_parts_the_note_says_which_is_not_used(parted):
    tiny_sets.write_folder(parted / "valid", ["cat", "dog"], 6, seed=2)
    data = load(str(parted))
    assert (len(data.train_labels), len(data.test_labels)) == (8, 4)
    assert data.note == "not used: 'valid'"


def test_a_test_folder_without_classes_is_not_used(parted):
    """As in many competitions, whose test pictures have no labels."""
    (parted / "test").rename(parted / "valid")
    (parted / "test").mkdir()
    grey().save(parted / "test" / "0.png")
    note = load(str(parted)).note
    assert (
        note
        == "parted has no 'test' with classes: 'valid' is used as the test set; not used: 'test'"
    )


def test_parts_without_class_folders_are_no_classes(tmp_path):
    """As detection sets have them: pictures beside a file of annotations."""
    folder = tiny_sets.write_folder(tmp_path / "x", ["train", "valid"], 8)
    (folder / "train" / "_annotations.coco.json").touch()
    refused(folder, "'train' and 'valid' hold no class folders", "train/CLASS/x.png")


def test_two_folders_for_one_part_are_refused(parted):
    tiny_sets.write_folder(parted / "Training", ["cat", "dog"], 2)
    refused(parted, "'Training' and 'train' both exist")


def test_parts_of_other_names_are_no_classes(parted):
    (parted / "train").rename(parted / "training_set")
    (parted / "test").rename(parted / "test_set")
    refused(parted, "test_set' holds folders", "call it 'test'")
    (parted / "test_set").rename(parted / "test")
    refused(parted, "training_set' holds folders", "call it 'train'")
    (parted / "training_set").rename(parted / "valid")
    refused(parted, "'test' without 'train'")


def test_a_folder_around_the_folder_is_named(pets, tmp_path):
    (tmp_path / "archive").mkdir()
    pets.rename(tmp_path / "archive" / "pets")
    refused(tmp_path / "archive", "holds one folder, 'pets'")


def test_pictures_further_in_belong_to_the_class_above(pets):
    """As torchvision's ImageFolder takes them."""
    flat = load(str(pets))
    for name in ("a", "b"):
        (pets / "cat" / name / "deep").mkdir(parents=True)
        grey(ord(name)).save(pets / "cat" / name / "deep" / "000.png")
    data = load(str(pets))
    assert data.class_names == flat.class_names
    everything = np.concatenate([data.train_images, data.test_images])
    labels = np.concatenate([data.train_labels, data.test_labels])
    for name in ("a", "b"):
        (place,) = np.flatnonzero((everything == ord(name)).all((1, 2, 3)))
        assert labels[place] == 0


def test_the_note_counts_what_is_in_both_sets_and_what_the_test_set_lacks(parted):
    grey(9).save(parted / "train" / "cat" / "same.png")
    grey(9).save(parted / "test" / "cat" / "other-name.png")
    tiny_sets.write_folder(parted / "train", ["emu"], 2)
    note = load(str(parted)).note
    assert "test pictures that are in the training set too: 1" in note
    assert "the test set has no picture of 'emu'" in note


def test_turned_photographs_are_counted_and_their_sizes_taken_upright(parted):
    photo = Image.fromarray(np.arange(12 * 9, dtype=np.uint8).reshape(12, 9))
    stored, exif = photo.transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    for file in parted.rglob("*.png"):
        photo.save(file)
    stored.save(parted / "train" / "cat" / "000.png", exif=exif)
    data = load(str(parted))
    assert data.train_images.shape[1:] == (12, 9, 1)
    assert (data.train_images == np.asarray(photo)[..., None]).all()
    assert "pictures turned upright by their EXIF orientation: 1" in data.note
    stored.save(parted / "train" / "cat" / "000.png")
    refused(parted, "12×9", "9×12")


def test_names_that_cannot_be_written_are_refused(pets):
    (pets / "dog").rename(pets / "do\ng")
    refused(pets, r"do\ng", "cannot name a class")
    (pets / "do\ng").rename(pets / os.fsdecode(b"\xff"))
    refused(pets, "cannot name a class")


def test_a_file_is_no_folder_and_an_empty_folder_no_set(tmp_path):
    refused(tmp_path / "absent", "no such folder")
    (tmp_path / "pets.zip").touch()
    refused(tmp_path / "pets.zip", "is a file; unpack it")
    (tmp_path / "pets.zip").unlink()
    refused(tmp_path, "holds no folders", "FOLDER/CLASS")


def test_which_names_are_folders(pets, monkeypatch):
    """A path says so; a bare name is a set's where one is prepared, else the folder here."""
    monkeypatch.chdir(pets.parent)
    data_dir = pets.parent / "tfds"
    assert load("pets", data_dir).class_names == ("cat", "dog")
    tiny_sets.write_images(data_dir, "pets", classes=3)
    assert load("pets", data_dir).class_names == ("0", "1", "2")
    for name in ("./pets", str(pets), "../" + pets.parent.name + "/pets"):
        assert load(name, data_dir).class_names == ("cat", "dog")
    pets.rename("mnist-12k")
    assert len(load("mnist-12k").class_names) == 10
    assert load("./mnist-12k").name == "mnist-12k"
    monkeypatch.setenv("HOME", str(pets.parent))
    assert load("~/mnist-12k").class_names == ("cat", "dog")


def test_only_a_folder_is_resized(tmp_path):
    with pytest.raises(InputError, match=r"--image-size 8x8: only a folder's.*'mnist-12k'"):
        load("mnist-12k", image_size=(8, 8))


def test_pictures_that_memory_cannot_hold_are_told_by_their_size(pets, monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr(np, "empty", full)
    refused(pets, "0.0 GB of memory", "--image-size")
