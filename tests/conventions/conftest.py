"""Keras asks for its backend when it is first imported, and then TensorFlow unless told."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
