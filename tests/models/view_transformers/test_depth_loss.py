import math

import pytest
import torch

from mono_distill.models.view_transformers.bounds import DepthBins
from mono_distill.models.view_transformers.depth_loss import lidar_depth_loss
from mono_distill.utils.errors import ShapeError

BINS = DepthBins((2.0, 8.0), 3)


def reference(logits, gt_depth):
    """The formula, cell by cell and bin by bin."""
    total, count = 0.0, 0
    probability = logits.double().softmax(2)
    for b, n, v, u in torch.cartesian_prod(*(torch.arange(size) for size in gt_depth.shape)).tolist():
        depth = gt_depth[b, n, v, u].item()
        if not 2.0 <= depth < 8.0:
            continue
        count += 1
        for k in range(3):
            p = probability[b, n, k, v, u]
            hit = 2.0 + 2 * k <= depth < 4.0 + 2 * k
            total = total - (p.log() if hit else (1 - p).log())
    return total / max(count, 1)


def test_the_loss_is_the_formula():
    logits = torch.randn(2, 3, 3, 2, 4, dtype=torch.float64, requires_grad=True)
    gt_depth = torch.where(torch.rand(2, 3, 2, 4) > 0.4, torch.rand(2, 3, 2, 4) * 9, 0)
    loss, expected = lidar_depth_loss(logits, gt_depth, BINS), reference(logits, gt_depth)
    assert torch.allclose(loss, expected)
    [gradient], [wanted] = torch.autograd.grad(loss, logits, retain_graph=True), torch.autograd.grad(expected, logits)
    assert torch.allclose(gradient, wanted)


def test_uniform_bins_by_hand():
    # -log(1/3) for the bin that is right, -log(2/3) for each of the two others.
    loss = lidar_depth_loss(torch.zeros(1, 1, 3, 1, 1), torch.full((1, 1, 1, 1), 3.0), BINS)
    assert loss.item() == pytest.approx(math.log(3) + 2 * math.log(1.5))


def test_without_lidar_the_loss_is_zero_and_connected():
    logits = torch.randn(1, 1, 3, 1, 2, requires_grad=True)
    loss = lidar_depth_loss(logits, torch.zeros(1, 1, 1, 2), BINS)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().sum() == 0


def test_half_precision_is_raised():
    logits = torch.tensor([30.0, -30.0, 0.0], dtype=torch.bfloat16).view(1, 1, 3, 1, 1).requires_grad_()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = lidar_depth_loss(logits, torch.full((1, 1, 1, 1), 5.0), BINS)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize('shape', [(1, 1, 2, 3), (1, 2, 2, 2), (2, 1, 2, 2)])
def test_depth_of_another_grid_is_refused(shape):
    with pytest.raises(ShapeError, match='downsample'):
        lidar_depth_loss(torch.zeros(1, 1, 3, 2, 2), torch.zeros(shape), BINS)


def test_another_number_of_bins_is_refused():
    with pytest.raises(ShapeError, match='3 bins'):
        lidar_depth_loss(torch.zeros(1, 1, 4, 2, 2), torch.zeros(1, 1, 2, 2), BINS)
