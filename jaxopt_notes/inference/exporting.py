"""Exports a trained network's forward pass as one file, which runs without this package.

`jax.export` writes StableHLO for several platforms, with the weights inside and any batch size:

    logits = jax.export.deserialize(open(FILE, "rb").read()).call(images)

JAX can read such a file for at least six months of its releases. Any program that runs ONNX can
read an ONNX file.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp

from jaxopt_notes import files
from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.extras import require
from jaxopt_notes.inference.trained import Trained
from jaxopt_notes.runtime.host import host_settings, set_log_level
from jaxopt_notes.training.step import make_forward

PLATFORMS = ("cpu", "cuda", "tpu")


def forward_of(trained: Trained) -> Callable[[jax.Array], jax.Array]:
    """The network as a function of uint8 images alone; its weights are constants."""
    forward, weights = make_forward(trained.model, trained.normalize), trained.weights

    def logits(images: jax.Array) -> jax.Array:  # this name becomes the exported program's name
        return forward(weights.params, weights.batch_stats, images)

    return logits


def as_jax(trained: Trained) -> bytes:
    """The forward pass by `jax.export`, for CPUs, GPUs and TPUs.

    Its input is uint8 images (batch, height, width, channels), its output float32 logits.

    Raises:
      MissingExtraError: flatbuffers, which writes the format, is not installed.
    """
    require("--out FILE", "train", "flatbuffers")
    (batch,) = jax.export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, *trained.image_shape), jnp.uint8)
    exported = jax.export.export(jax.jit(forward_of(trained)), platforms=PLATFORMS)(images)
    return bytes(exported.serialize())


def as_onnx(trained: Trained) -> bytes:
    """The forward pass by jax2onnx: input `images` as for `as_jax`, output `logits`.

    Raises:
      MissingExtraError: jax2onnx is not installed.
    """
    require("--out FILE.onnx", "onnx")
    import jax2onnx

    with host_settings():
        set_log_level("onnx_ir", logging.ERROR)  # it warns about every symbolic shape
        model = jax2onnx.to_onnx(
            forward_of(trained),
            [jax.ShapeDtypeStruct(("batch", *trained.image_shape), jnp.uint8)],
            model_name="jaxopt_notes",
            input_names=["images"],
            output_names=["logits"],
        )
    return model.SerializeToString()


def write(path: Path, contents: bytes) -> None:
    """Writes an exported file; if that fails, keeps the old one.

    Raises:
      InputError: the file cannot be written.
    """
    try:
        files.write_bytes(path, contents)
    except OSError as error:
        raise InputError(
            f"--out {path}: cannot be written ({first_line(error)}); pass another file"
        ) from error
