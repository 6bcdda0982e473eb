import math

import pytest
import torch

from mono_distill.losses import SelectiveFeatureLoss, SelectiveRelationLoss, foreground_l2_loss, roi_affinity_loss
from mono_distill.targets import ConstantLogScale, ObjectLogScale, object_log_scale
from mono_distill.utils.errors import ConfigError, ShapeError

STRIDES, RANGES = (4, 8, 16), ((-1, 16), (16, 32), (32, 1e8))


def objects(seed=0, batch=2, slots=5, size=(64, 128)):
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(batch, slots, 2, generator=generator) * torch.tensor([size[1], size[0]]) * 0.6
    high = low + 2 + torch.rand(batch, slots, 2, generator=generator) * torch.tensor([size[1], size[0]]) * 0.4
    mask = torch.rand(batch, slots, generator=generator) > 0.2
    return dict(bboxes=torch.cat([low, high], -1), centers_2d=(low + high) / 2, mask_2d=mask)


def by_loops(maps, targets):
    """The choice of level of FCOS-type heads, one object at a time."""
    found = torch.zeros(targets['mask_2d'].shape)
    for b, slots in enumerate(targets['mask_2d']):
        for n, valid in enumerate(slots):
            x1, y1, x2, y2 = targets['bboxes'][b, n].tolist()
            u, v = targets['centers_2d'][b, n].tolist()
            distance = max(u - x1, v - y1, x2 - u, y2 - v)
            level = next(i for i, (low, high) in enumerate(RANGES) if low <= distance <= high)
            if valid:
                found[b, n] = maps[level][b, -1, int(v / STRIDES[level]), int(u / STRIDES[level])]
    return found


@pytest.mark.parametrize('seed', range(5))
def test_the_level_is_chosen_by_size(seed):
    maps = [torch.randn(2, 3, 64 // stride, 128 // stride) for stride in STRIDES]
    targets = objects(seed)
    read = object_log_scale(maps, targets, strides=STRIDES, regress_ranges=RANGES)
    torch.testing.assert_close(read, by_loops(maps, targets))


def test_a_single_map_needs_no_ranges():
    plane = torch.arange(32.0).view(1, 1, 4, 8)
    targets = dict(
        bboxes=torch.tensor([[[0.0, 0.0, 20.0, 12.0]]]),
        centers_2d=torch.tensor([[[10.0, 6.0]]]),
        mask_2d=torch.tensor([[True]]),
    )
    assert object_log_scale(plane, targets, strides=(4,)).item() == 1 * 8 + 2
    assert ObjectLogScale((4,))([plane], targets).item() == 1 * 8 + 2


def test_a_constant_scale_selects_by_place_alone():
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 4, 8, 16), torch.randn(2, 4, 8, 16)
    targets = {**objects(), 'indices': torch.zeros(2, 5, dtype=torch.long)}
    targets['mask_2d'][:] = True
    constant = ConstantLogScale(2.0)(targets)
    assert constant.tolist() == [[pytest.approx(math.log(2))] * 5] * 2
    selective = SelectiveFeatureLoss((8,), ref_batch=1)(student, teacher, constant, targets)
    torch.testing.assert_close(selective, foreground_l2_loss(student, teacher, targets, strides=(8,), ref_batch=1) / 2)
    relation = SelectiveRelationLoss((8,))(student, teacher, constant, targets)
    torch.testing.assert_close(relation, roi_affinity_loss(student, teacher, targets, strides=(8,)) / 16)


def test_wrong_numbers_are_named():
    with pytest.raises(ConfigError, match='regress_range'):
        ObjectLogScale((4, 8))
    with pytest.raises(ShapeError, match='2 maps'):
        object_log_scale([torch.zeros(1, 1, 4, 4)] * 2, objects(), strides=(4,))
    with pytest.raises(ConfigError, match='metres'):
        ConstantLogScale(0)
