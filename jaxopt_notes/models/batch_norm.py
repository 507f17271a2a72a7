"""Batch normalisation: flax's layer with torch's settings and a choice of running variance.

    μ = mean of x,  σ² = mean of (x − μ)²           over the batch, rows and columns, a channel each
    x̂ = (x − μ) / √(σ² + ε),  y = γ x̂ + β           ε = 1e-5, γ and β learned

In training, μ and σ² come from the batch and update the running averages
r ← 0.9 r + 0.1 · (μ or σ²). In evaluation, the running averages replace μ and σ².

Source: Ioffe & Szegedy 2015, "Batch Normalization" (arXiv:1502.03167), algorithms 1 and 2.
"""

import jax
from flax import nnx

NORMS = ("none", "batch")


class BatchNorm(nnx.BatchNorm):
    """flax's `BatchNorm` with ε = 1e-5 and momentum 0.9, as torch's `BatchNorm1d` and `2d`.

    By default the running variance is flax's: it averages the biased variance σ², by which training
    divides. torch and the paper average the unbiased variance σ² n / (n − 1), where n is the number
    of values per channel in a batch (batch · rows · columns). `unbiased_running_variance=True`
    selects the unbiased variance. Only the running variance, and so the output in evaluation,
    changes.

    σ² is the mean of (x − μ)². The mean of x² minus μ² would lose digits where |μ| is large.

    Args:
      features: number of channels, on the last axis.
      rngs: the random generators that flax's layer requires; γ starts at 1 and β at 0.
      unbiased_running_variance: keep torch's running variance instead of flax's.

    >>> import jax.numpy as jnp
    >>> norm = BatchNorm(1, rngs=nnx.Rngs(0), unbiased_running_variance=True)
    >>> print(norm(jnp.array([[1.0], [3.0]])).round(3))
    [[-1.]
     [ 1.]]
    >>> print(norm.mean[...], norm.var[...])  # σ² = 1 and 2 σ² = 2, a tenth of each
    [0.2] [1.1]
    """

    def __init__(
        self, features: int, *, rngs: nnx.Rngs, unbiased_running_variance: bool = False
    ) -> None:
        super().__init__(features, momentum=0.9, epsilon=1e-5, use_fast_variance=False, rngs=rngs)
        self.unbiased_running_variance = unbiased_running_variance

    def __call__(self, x: jax.Array) -> jax.Array:  # type: ignore[override]
        """y of x (batch, …, features), of the same shape and dtype.

        Raises:
          ValueError: training on a single value per channel, which has no variance.
        """
        if self.use_running_average:
            normalised: jax.Array = super().__call__(x)
            return normalised
        n = x.size // x.shape[-1]
        if n == 1:
            raise ValueError(
                f"batch normalisation of shape {x.shape}: one number per channel has no variance; "
                "train on a batch of 2 or more"
            )
        before = self.momentum * self.var[...]
        y: jax.Array = super().__call__(x)
        if self.unbiased_running_variance:
            biased = self.var[...]  # before + (1 − momentum) σ²
            self.var[...] = biased + (biased - before) / (n - 1)
        return y
