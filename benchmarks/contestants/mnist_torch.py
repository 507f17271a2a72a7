"""MNIST by the recipe of `time_to_accuracy`, with a plain torch script (channels last)."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everybody writes it

from benchmarks.contestants.recipe import (
    EVAL_BATCH,
    Recipe,
    Task,
    learning_rate,
    normalized,
    order,
    report,
    task_from_options,
)

Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class CNN(nn.Module):
    """The notes' network."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.linear1 = nn.Linear(3136, 128)
        self.linear2 = nn.Linear(128, 10)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif name == "linear2.weight":  # no ReLU follows
                nn.init.kaiming_normal_(parameter, nonlinearity="linear")
            else:
                nn.init.kaiming_normal_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.linear1(x.flatten(1)))
        return self.linear2(x)


def device_for(platform: str) -> torch.device:
    """torch's device for JAX's name of a platform."""
    return torch.device("cuda" if platform == "gpu" else "cpu")


def optimizer_of(recipe: Recipe, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    """The recipe's Adam, in two groups: dense layers' weights (two axes), and other parameters.

    A large `momentum_decay` keeps β1 of torch's NAdam constant, as in the recipe's Nesterov form.
    torch has no fused NAdam.
    """
    parts: dict[float, list[Tensor]] = {1.0: [], recipe.dense_rate: []}
    for parameter in parameters:
        parts[recipe.dense_rate if parameter.ndim == 2 else 1.0].append(parameter)
    groups = [{"params": some, "times": times} for times, some in parts.items()]
    settings = {"lr": recipe.peak, "betas": (0.9, recipe.b2)}
    if recipe.nesterov:
        return torch.optim.NAdam(groups, **settings, momentum_decay=1e6)
    return torch.optim.Adam(groups, **settings, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Sets the learning rate of the next step, times each group's factor."""
    for group in optimizer.param_groups:
        group["lr"] = group["times"] * value


def make_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    compiled: bool,
    smoothing: float = 0.0,
) -> Step:
    """A training step that returns the batch's loss and right answers, both on the device."""

    def loss_and_correct(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = model(images)
        loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        return loss, (logits.argmax(1) == labels).sum()

    forward = torch.compile(loss_and_correct) if compiled else loss_and_correct

    def step(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        loss, correct = forward(images, labels)
        loss.backward()
        optimizer.step()
        return loss.detach(), correct

    return step


def as_tensor(images: object, device: torch.device, layout: torch.memory_format) -> Tensor:
    """Images (n, height, width, 1) in torch's layout."""
    tensor = torch.as_tensor(images, device=device).permute(0, 3, 1, 2)
    return tensor.contiguous(memory_format=layout)


@torch.inference_mode()
def test_accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of the test set that is classified correctly."""
    parts = zip(images.split(EVAL_BATCH), labels.split(EVAL_BATCH))
    return sum((model(x).argmax(1) == y).sum().item() for x, y in parts) / len(labels)


def train(task: Task) -> list[float]:
    """Trains by the recipe; returns the test accuracy, or nothing if it takes only a first step."""
    torch.manual_seed(task.seed)
    data, recipe, layout = task.data, task.recipe, torch.channels_last
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images = as_tensor(normalized(data.train_images, data.train_images), device, layout)
    labels = torch.as_tensor(data.train_labels, device=device).long()
    model = CNN().to(device, memory_format=layout)
    if recipe.zero_logits:
        nn.init.zeros_(model.linear2.weight)
    optimizer = optimizer_of(recipe, model.parameters())
    step = make_step(model, optimizer, compiled=False, smoothing=recipe.smoothing)
    for k, i in enumerate(torch.as_tensor(order(recipe, task.seed, len(labels)), device=device)):
        set_learning_rate(optimizer, learning_rate(recipe, k))
        loss, _ = step(images[i], labels[i])
        if task.first_step_only:
            loss.item()
            return []
    test_images = as_tensor(normalized(data.test_images, data.train_images), device, layout)
    return [test_accuracy(model, test_images, torch.as_tensor(data.test_labels, device=device))]


if __name__ == "__main__":
    report(train(task_from_options()))
