"""Chooses Keras' backend before its first import: Keras would take TensorFlow."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
