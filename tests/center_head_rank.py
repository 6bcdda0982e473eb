"""One rank of a two-rank backward pass of the centre head."""

from __future__ import annotations

import torch
from centerpoint_models import build, head_config, random_instances

COUNTS = (9, 2, 0, 4)


def gradients(part: slice) -> list[torch.Tensor]:
    """Gradients of the summed losses over a part of four samples, with respect to a head made from a fixed seed."""
    torch.manual_seed(0)
    head = build(head_config(in_channels=4, share_conv_channel=4)).eval()
    maps = torch.randn(len(COUNTS), 4, 64, 64, generator=torch.Generator().manual_seed(1))
    samples = [random_instances(count, count) for count in COUNTS]
    sum(head.loss_by_feat(head([maps[part]]), samples[part]).values()).backward()
    return [parameter.grad for parameter in head.parameters()]


def write_gradients(rank: int, folder: str) -> None:
    """Save the gradients of this rank's half of the samples."""
    torch.save(gradients(slice(2 * rank, 2 * rank + 2)), f'{folder}/gradients{rank}.pt')
