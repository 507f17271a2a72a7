"""Networks, Flax modules as pure functions, summaries, and weights from and to torch."""

from jaxopt_notes.extras import require

require("jaxopt_notes.models", "train", "flax")  # gives a one-line message before an import fails

from jaxopt_notes.models.batch_norm import BatchNorm
from jaxopt_notes.models.cnn import CNN
from jaxopt_notes.models.convolutions import conv_stack
from jaxopt_notes.models.functional import PureModel, parameter_count, pure
from jaxopt_notes.models.mlp import MLP
from jaxopt_notes.models.summary import summarize, summary_text
from jaxopt_notes.models.torch_initialisers import like_torch, torch_bias_init, torch_kernel_init
from jaxopt_notes.models.torch_weights import from_torch, to_torch, torch_arrangement

__all__ = [
    "CNN",
    "MLP",
    "BatchNorm",
    "PureModel",
    "conv_stack",
    "from_torch",
    "like_torch",
    "parameter_count",
    "pure",
    "summarize",
    "summary_text",
    "to_torch",
    "torch_arrangement",
    "torch_bias_init",
    "torch_kernel_init",
]
