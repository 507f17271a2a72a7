"""The networks, and a Flax module as a pure function."""

from jaxopt_notes.models.cnn import CNN
from jaxopt_notes.models.pure import PureModel, parameter_count, pure

__all__ = ["CNN", "PureModel", "parameter_count", "pure"]
