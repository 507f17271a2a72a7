"""A trained network's forward pass as one file, which needs nothing of this package.

By `jax.export` it is StableHLO for several platforms, with the weights inside and the batch size
left open:

    logits = jax.export.deserialize(open(FILE, "rb").read()).call(images)

JAX reads it for at least six months of its own releases. As ONNX it is for whatever runs ONNX.
"""

import logging
from pathlib import Path

import jax
import jax.numpy as jnp

from jaxopt_notes.errors import InputError
from jaxopt_notes.extras import require
from jaxopt_notes.inference.prediction import forward
from jaxopt_notes.inference.trained import Trained
from jaxopt_notes.runs.folder import reason, write_bytes
from jaxopt_notes.runtime.host import host_settings, set_log_level

PLATFORMS = ("cpu", "cuda", "tpu")


def as_jax(trained: Trained) -> bytes:
    """The forward pass by `jax.export`, for CPUs, GPUs and TPUs.

    Its input is uint8 images (batch, height, width, channels), its output float32 logits.

    Raises:
      MissingExtraError: flatbuffers, which writes the format, is not installed.
    """
    require("--out FILE", "train", "flatbuffers")
    (batch,) = jax.export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, *trained.image_shape), jnp.uint8)
    exported = jax.export.export(jax.jit(forward(trained)), platforms=PLATFORMS)(images)
    return bytes(exported.serialize())


def as_onnx(trained: Trained) -> bytes:
    """The forward pass by jax2onnx: input `images` as for `as_jax`, output `logits`.

    Raises:
      MissingExtraError: jax2onnx is not installed.
    """
    require("--out FILE.onnx", "onnx")
    import jax2onnx

    with host_settings():
        set_log_level("onnx_ir", logging.ERROR)  # it warns of every shape that stays open
        model = jax2onnx.to_onnx(
            forward(trained),
            [jax.ShapeDtypeStruct(("batch", *trained.image_shape), jnp.uint8)],
            model_name="jaxopt_notes",
            input_names=["images"],
            output_names=["logits"],
        )
    return model.SerializeToString()


def write(path: Path, contents: bytes) -> None:
    """Writes a file whole or not at all.

    Raises:
      InputError: it cannot be written.
    """
    try:
        write_bytes(path, contents)
    except OSError as error:
        raise InputError(f"--out {path}: cannot be written ({reason(error)})") from error
