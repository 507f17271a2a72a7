"""The optimizers of the study notes, one per file. All share the engine `leafwise`."""

from jaxopt_notes.optimizers._adagrad import adagrad, scale_by_rss
from jaxopt_notes.optimizers._adam import adam, adamw, nadam, scale_by_adam
from jaxopt_notes.optimizers._adam_to_sgd import adam_to_sgd
from jaxopt_notes.optimizers._amsgrad import amsgrad, scale_by_amsgrad
from jaxopt_notes.optimizers._handover import handover
from jaxopt_notes.optimizers._learning_rate import scale_by_learning_rate
from jaxopt_notes.optimizers._lion import lion, scale_by_lion
from jaxopt_notes.optimizers._momentum import ema, momentum, sgd, trace
from jaxopt_notes.optimizers._one_loop import allow_one_loop, one_loop_works, update_in_one_loop
from jaxopt_notes.optimizers._packed import pack_state, packed, unpack_state
from jaxopt_notes.optimizers._rmsprop import rmsprop, scale_by_rms, scale_by_stddev
from jaxopt_notes.optimizers._weight_decay import add_decayed_weights

__all__ = [
    "adagrad",
    "adam",
    "adam_to_sgd",
    "adamw",
    "add_decayed_weights",
    "allow_one_loop",
    "amsgrad",
    "ema",
    "handover",
    "lion",
    "momentum",
    "nadam",
    "one_loop_works",
    "pack_state",
    "packed",
    "rmsprop",
    "scale_by_adam",
    "scale_by_amsgrad",
    "scale_by_learning_rate",
    "scale_by_lion",
    "scale_by_rms",
    "scale_by_rss",
    "scale_by_stddev",
    "sgd",
    "trace",
    "unpack_state",
    "update_in_one_loop",
]
