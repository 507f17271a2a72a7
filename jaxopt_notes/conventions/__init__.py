"""The optimizers of other frameworks, with the names, arguments and defaults of each framework.

One name means different formulas in optax, torch, Keras, TensorFlow 1 and the papers. A function
here takes its framework's arguments and gives its framework's trajectory:

    conventions.torch.rmsprop(lr=1e-3, alpha=0.95, eps=1e-6)
    conventions.keras.adam(learning_rate=1e-3, epsilon=1e-7)
    conventions.tensorflow1.rmsprop(learning_rate=1e-3, decay=0.9, momentum=0.9)
    conventions.notes.adagrad(alpha=1e-2)

`translate` reads the arguments from a torch or Keras optimizer and from the torch scheduler that
drives it. `translate_state` moves a torch or Keras run to JAX in mid-training. All functions are
built from the rules of `jaxopt_notes.optimizers`.
"""

from jaxopt_notes.conventions import keras, notes, tensorflow1, torch
from jaxopt_notes.conventions.torch_state import translate_state
from jaxopt_notes.conventions.translation import translate

__all__ = ["keras", "notes", "tensorflow1", "torch", "translate", "translate_state"]
