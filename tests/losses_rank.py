"""What each process of the distributed test of the losses runs (importable by name from a spawned process)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from gloo import WORLD_SIZE
from loss_cases import CASES
from loss_cases.case import Arguments, Case, change, tensors
from torch import Tensor, distributed


def shares_of_batch(case: Case) -> list[Arguments]:
    """The images of each process; where those of a case differ in what they hold, the second process has less."""
    torch.manual_seed(5)
    parts = [case.make(torch.float64) for _ in range(WORLD_SIZE)]
    # The last image of a case holds least.
    parts[-1] = {key: change(value, lambda x: x[[-1, 1, -1]]) for key, value in parts[-1].items()}
    return parts


def joined(parts: list[Any]) -> Any:
    """Concatenate the images of several batches."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(parts)
    if isinstance(first, Mapping):
        return {key: joined([part[key] for part in parts]) for key in first}
    return [joined(list(entries)) for entries in zip(*parts, strict=True)]


def evaluate(case: Case, arguments: Arguments) -> list[Tensor]:
    """The loss, and its gradients for the student; zeros where it does not depend on an entry."""
    student = change(arguments['student'], lambda x: x.detach().clone().requires_grad_())
    loss = case({**arguments, 'student': student})
    leaves = tensors(student)
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
    return [loss.detach(), *(torch.zeros_like(x) if g is None else g for x, g in zip(leaves, gradients, strict=True))]


def combined(parts: list[list[Tensor]], weights: list[float]) -> list[Tensor]:
    """Weighted sum of the processes' losses; gradients, of which each knows those of its own images, side by side."""
    weighted = [[x * weight for x in part] for part, weight in zip(parts, weights, strict=True)]
    losses, *gradients = zip(*weighted, strict=True)
    return [torch.stack(losses).sum(), *(torch.cat(images) for images in gradients)]


def work(rank: int, results: Path) -> None:
    found = {name: evaluate(case, shares_of_batch(case)[rank]) for name, case in CASES.items()}
    gathered: list[Any] = [None] * WORLD_SIZE
    distributed.all_gather_object(gathered, found)
    if rank == 0:
        torch.save(gathered, results)
