"""The contestants of `train_step` that run on torch, on the same digits in the same order."""

import torch

from benchmarks.bench import Bench, Unavailable
from benchmarks.contestants.mnist_torch import CNN, as_tensor, device_for, make_step
from benchmarks.contestants.recipe import normalized
from jaxopt_notes.data import epoch_order, load


def step(
    batch: int, platform: str, channels_last: bool, compiled: bool, tf32: bool = False
) -> Bench:
    """Fused Adam on images that are on the device, normalised once in advance.

    Args:
      batch: images per step.
      platform: JAX's name of the platform, such as "gpu".
      channels_last: whether images are laid out with the channels last.
      compiled: whether torch.compile compiles the forward pass and the loss.
      tf32: whether a GPU may round the factors of products to TF32, as XLA does by default.
    """
    device = device_for(platform)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise Unavailable("this torch has no CUDA")
    torch.manual_seed(0)
    torch.set_flush_denormal(True)  # as XLA does
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    layout = torch.channels_last if channels_last else torch.contiguous_format
    data = load("mnist-12k")
    images = as_tensor(normalized(data.train_images, data.train_images), device, layout)
    labels = torch.as_tensor(data.train_labels, device=device).long()
    order = torch.as_tensor(epoch_order(0, 0, len(labels), batch), device=device)
    model = CNN().to(device, memory_format=layout)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    one = make_step(model, optimizer, compiled=compiled)

    def run(steps: int) -> None:
        for k in range(steps):
            i = order[k % len(order)]
            loss, _ = one(images[i], labels[i])
        loss.item()  # waits for the device

    if compiled:
        run(1)
    # Let cuDNN time its algorithms, as XLA does. Only now, because until here other contestants may
    # have been building.
    torch.backends.cudnn.benchmark = True
    return Bench(run, {})
