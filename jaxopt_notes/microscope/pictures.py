"""The microscope's pictures; they need matplotlib."""

from pathlib import Path

import numpy as np

from jaxopt_notes import files
from jaxopt_notes.extras import require
from jaxopt_notes.microscope.diagnosis import Diagnosis


def draw_distances(path: Path, diagnosis: Diagnosis) -> None:
    """Draws the distance of two optimizers after each step, before and after the changes.

    Args:
      path: the file, a .png.
      diagnosis: from `diagnose`.

    Raises:
      OSError: the file cannot be written.
      MissingExtraError: matplotlib is not installed.
    """
    require("a picture", "plots", "matplotlib.figure")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    labels = (diagnosis.first, f"after the changes: {diagnosis.fixed}")
    for values, label in zip(diagnosis.distances, labels):
        steps = np.arange(1, len(values) + 1)
        shown = np.where(np.isfinite(values) & (values > 0), values, np.nan)
        axes.loglog(steps, shown, label=label)
    eps = float(np.finfo(diagnosis.dtype).eps)
    axes.axhline(eps, color="0.6", linestyle=":", linewidth=1)
    axes.text(1, eps, f" rounding of {diagnosis.dtype}", color="0.4", va="bottom", fontsize=8)
    axes.set_ylim(bottom=eps / 10)
    axes.set_xlabel("step")
    axes.set_ylabel("distance / distance travelled")
    axes.set_title(f"Distance from {diagnosis.second}", loc="left", fontsize=10)
    axes.legend(fontsize=8, loc="best")
    with files.open_whole(path) as file:
        figure.savefig(file, dpi=150, format="png")
