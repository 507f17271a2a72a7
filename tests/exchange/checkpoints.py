"""Checkpoints as torch programs write them, of networks that are small."""

from pathlib import Path

import numpy as np
import pytest

from jaxopt_notes import convert, train
from jaxopt_notes.data import epoch_order
from jaxopt_notes.training.step import normalization_of
from tests.models.torch_networks import channels_first, torch_mlp
from tests.run_files import rows

torch = pytest.importorskip("torch", reason="torch is not installed")

BATCH, SEED, PER_EPOCH = 128, 0, 4
WIDTHS = (8,)


class Script:
    """A torch program that trains on our digits, in our order, normalised as here."""

    def __init__(self, data, module=None, batch=BATCH, dtype=torch.float32):
        torch.manual_seed(0)
        self.module = (module or torch_mlp((28, 28, 1), 10, WIDTHS)).to(dtype)
        self.data, self.batch, self.dtype = data, batch, dtype
        self.mean, self.std = normalization_of(data.train_images)
        self.labels = torch.tensor(data.train_labels, dtype=torch.long)
        self.step, self.losses, self.scheduler, self.every = 0, [], None, 1

    def with_optimizer(self, kind, **settings):
        self.optimizer = getattr(torch.optim, kind)(self.module.parameters(), **settings)
        return self

    def with_scheduler(self, kind, every=1, **settings):
        self.scheduler = getattr(torch.optim.lr_scheduler, kind)(self.optimizer, **settings)
        self.every = every
        return self

    def images(self, chosen):
        pixels = channels_first(self.data.train_images[chosen]).to(self.dtype) / 255
        mean, std = (
            torch.tensor(x, dtype=self.dtype)[:, None, None] for x in (self.mean, self.std)
        )
        return (pixels - mean) / std

    def train(self, until):
        """Takes steps until this many have been taken."""
        size = len(self.labels)
        for step in range(self.step, until):
            epoch, i = divmod(step, size // self.batch)
            chosen = epoch_order(SEED, epoch, size, self.batch)[i]
            loss = torch.nn.functional.cross_entropy(
                self.module(self.images(chosen)), self.labels[torch.tensor(chosen).long()]
            )
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.losses.append(loss.item())
            self.step = step + 1
            if self.scheduler is not None and self.step % self.every == 0:
                self.scheduler.step()
        return self

    def checkpoint(self):
        parts = {"model": self.module.state_dict(), "optimizer": self.optimizer.state_dict()}
        if self.scheduler is not None:
            parts["scheduler"] = self.scheduler.state_dict()
        return {**parts, "step": self.step}

    def save(self, path="c.pt"):
        torch.save(self.checkpoint(), path)
        return self

    def load(self, path):
        """Goes on from a checkpoint that the command wrote."""
        checkpoint = torch.load(path, weights_only=True)
        self.module.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(checkpoint["scheduler"])
        self.step = checkpoint["step"]
        return self


def there(*options, source="c.pt", out="run"):
    """Converts a checkpoint to a run."""
    return convert.main([source, "--out", out, "--batch-size", str(BATCH), *options])


def go_on(epochs, out="run", *options):
    """Trains the run on, and returns its rows."""
    assert train.main(["--resume", out, "--epochs", str(epochs), "--quiet", *options]) == 0
    return rows(Path(out))


def assert_alike(ours, expected, tolerance=1e-4):
    np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance)
