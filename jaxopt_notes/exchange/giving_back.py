"""A run becomes a checkpoint file that torch takes: weights, optimizer, scheduler, position.

torch itself makes the optimizer and the scheduler, and steps the scheduler as often as the run has
stepped: so the file holds what a torch program of the same steps would have saved.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes import files
from jaxopt_notes.config.schedulers import Scheduler, is_call, make, read
from jaxopt_notes.config.settings import Settings
from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.exchange import optimizers
from jaxopt_notes.exchange.optimizer_state import fields_of
from jaxopt_notes.exchange.reading import SAFETENSORS
from jaxopt_notes.extras import require
from jaxopt_notes.inference.trained import load_trained
from jaxopt_notes.models import pure, to_torch
from jaxopt_notes.runs import checkpoint
from jaxopt_notes.runs import info as run_info
from jaxopt_notes.training.network import build_network
from jaxopt_notes.training.setup import build_optimizer
from jaxopt_notes.training.state import create

TORCH = (".pt", ".pth", ".bin", ".ckpt")
