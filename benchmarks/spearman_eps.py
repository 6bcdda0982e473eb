"""How soft should the ranks of SpearmanLoss be? Gradient, faithfulness and progress against its relative eps.

    python benchmarks/spearman_eps.py --images DIR_WITH_IMAGES [--steps 30]

Student and teacher are two randomly initialised DLA-34 that see the same images (batch statistics). In the setting
"uneven" the teacher's and student's channels have log-normal gains and negative offsets, so that features are sparse
and heavy-tailed as those of trained networks. A conv adapter on one level of the student is trained with Adam on all
images but the last two. Columns: share of student entries with a gradient, and correlation of their soft with their
hard ranks, before and after training; then Spearman's coefficient reached on the training images and on the other two.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import torch
from torch import Tensor

import mono_distill  # noqa: F401  (before mmdet3d)
from mono_distill.adapters import ConvAdapter
from mono_distill.losses import spearman_loss
from mono_distill.ops import average_ranks, resize_bilinear, soft_rank

EPS = (0.1, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 20.0, None)
LEVELS = {'stride 8, 128 channels': 3, 'stride 32, 512 channels': 5}
SIZE = (12, 40)


def load(folder: Path) -> Tensor:
    """Up to six images, resized to 384 x 1280 and normalised."""
    images = [cv2.resize(cv2.imread(str(path)), (1280, 384)) for path in sorted(folder.glob('*.png'))[:6]]
    batch = torch.stack([torch.from_numpy(image).permute(2, 0, 1).float() for image in images])
    return (batch - batch.mean((0, 2, 3), keepdim=True)) / batch.std((0, 2, 3), keepdim=True)


@torch.no_grad()
def features(images: Tensor, seed: int, uneven: bool) -> tuple[Tensor, ...]:
    """Maps of a randomly initialised DLA-34 at strides 1 to 32."""
    from mmdet3d.models.backbones import DLANet

    torch.manual_seed(seed)
    net = DLANet(34, norm_cfg=dict(type='BN')).train()
    for module in net.modules():
        if uneven and isinstance(module, torch.nn.BatchNorm2d):
            module.weight.copy_(torch.exp(0.5 * torch.randn_like(module.weight)))
            module.bias.copy_(0.5 * torch.randn_like(module.bias) - 0.5)
    return net(images)


def correlation(a: Tensor, b: Tensor) -> float:
    """Mean over rows of the Pearson correlation."""
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    return torch.cosine_similarity(a, b).mean().item()


def inspect(student: Tensor, eps: float | None) -> tuple[float, float]:
    """Share of entries whose rank has a gradient, and correlation of what is correlated with the hard ranks."""
    rows = student.detach().flatten(1).double().requires_grad_()
    if eps is None:
        return 1.0, correlation(rows, average_ranks(rows))
    soft = soft_rank(rows, eps * rows.detach().std(1, keepdim=True, correction=0) / rows.shape[1])
    (gradient,) = torch.autograd.grad(soft, rows, torch.randn_like(soft))
    return (gradient != 0).float().mean().item(), correlation(soft, average_ranks(rows))


def loss_of(student: Tensor, teacher: Tensor, eps: float | None) -> Tensor:
    """The loss for a relative eps, or the released form."""
    return spearman_loss(student, teacher, form='released') if eps is None else spearman_loss(student, teacher, eps=eps)


def train(student: Tensor, teacher: Tensor, eps: float | None, steps: int) -> list[float]:
    """Train an adapter and return the columns of the table."""
    torch.manual_seed(0)
    adapter = ConvAdapter([student.shape[1]])
    optimizer = torch.optim.Adam(adapter.parameters(), lr=1e-3)
    columns = []
    for step in range(steps + 1):
        adapted = resize_bilinear(adapter([student])[0], SIZE)
        if step in (0, steps):
            columns += inspect(adapted[:-2], eps)
        if step < steps:
            optimizer.zero_grad()
            loss_of(adapted[:-2], teacher[:-2], eps).backward()
            optimizer.step()
    ranks = [average_ranks(x.detach().flatten(1)) for x in (adapted, teacher)]
    return [*columns, correlation(ranks[0][:-2], ranks[1][:-2]), correlation(ranks[0][-2:], ranks[1][-2:])]


def main() -> None:
    """Print a table per setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=Path, required=True, help='folder with at least three PNG images')
    parser.add_argument('--steps', type=int, default=30)
    args = parser.parse_args()
    torch.set_num_threads(1)
    images = load(args.images)
    for uneven in (False, True):
        maps = features(images, 0, uneven), features(images, 1, uneven)
        for name, level in LEVELS.items():
            student, teacher = maps[0][level], resize_bilinear(maps[1][level], SIZE)
            ties = (teacher == 0).float().mean().item()
            print(f'\n{name}, {"uneven" if uneven else "even"} channels, {ties:.0%} of the teacher is zero\n')
            print('| eps | gradient | after | faithful | after | reached | on others |\n|---|---|---|---|---|---|---|')
            for eps in EPS:
                before, faithful, after, faithful_after, *reached = train(student, teacher, eps, args.steps)
                values = (before, after, faithful, faithful_after, *reached)
                print(f'| {eps or "released"} | ' + ' | '.join(f'{value:.2f}' for value in values) + ' |', flush=True)


if __name__ == '__main__':
    main()
