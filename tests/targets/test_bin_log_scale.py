import math

import pytest
import torch

from mono_distill.losses import SelectiveFeatureLoss, SelectiveRelationLoss
from mono_distill.targets import BinLogScale, bin_log_scale
from mono_distill.utils.errors import ConfigError, ShapeError


def mask(*rows):
    return dict(mask_2d=torch.tensor(rows, dtype=torch.bool))


@pytest.mark.parametrize(('param', 'factor'), [('variance', 2), ('scale', 1)])
def test_the_confidence_of_an_object_is_the_mean_of_its_bins(param, factor):
    torch.manual_seed(0)
    bins = torch.randn(2, 3, 7, 7)
    merged = bin_log_scale(bins, mask([1, 1, 0], [1, 0, 1]), param=param)
    for b, n in ((0, 0), (0, 1), (1, 0), (1, 2)):
        confidences = [1 / math.exp(float(u) / factor) for u in bins[b, n].flatten()]
        assert 1 / math.exp(merged[b, n]) == pytest.approx(sum(confidences) / 49, rel=1e-5)


def test_bins_without_a_clue_neither_hide_the_others_nor_overflow():
    # Half of the bins know to a metre (confidence 1), the others nothing at all: confidence 1/2, two metres.
    bins = torch.tensor([0.0, 400.0]).expand(1, 1, 4, 2)
    assert bin_log_scale(bins, mask([1])).exp().item() == pytest.approx(2)
    assert bin_log_scale(torch.full((1, 1, 2, 2), -400.0), mask([1])).item() == -200
    assert bin_log_scale(torch.full((1, 1, 2, 2), 400.0), mask([1])).item() == 200


def test_empty_slots_may_hold_anything():
    bins = torch.zeros(1, 2, 2, 2)
    bins[0, 1] = torch.nan
    assert bin_log_scale(bins, mask([1, 0])).tolist() == [[0.0, 0.0]]


def test_half_precision_is_raised_and_nothing_is_differentiated():
    bins = torch.full((1, 1, 2, 2), 2.0, dtype=torch.bfloat16, requires_grad=True)
    merged = bin_log_scale(bins, mask([1]))
    assert (merged.dtype, merged.item(), merged.requires_grad) == (torch.float32, 1.0, False)


def test_the_losses_take_the_result_as_a_log_scale():
    torch.manual_seed(0)
    student, teacher = torch.randn(1, 4, 8, 16), torch.randn(1, 4, 8, 16)
    targets = dict(
        bboxes=torch.tensor([[[0.0, 0.0, 40.0, 32.0], [64.0, 16.0, 120.0, 60.0]]]),
        indices=torch.zeros(1, 2, dtype=torch.long),
        **mask([1, 1]),
    )
    # A variance that is the same in all bins is that of the object.
    variances = torch.tensor([[2.0, 3.0]])
    merged = BinLogScale()(variances[..., None, None].expand(1, 2, 7, 7), targets)
    for loss in (SelectiveFeatureLoss, SelectiveRelationLoss):
        of_bins = loss((8,))(student, teacher, merged, targets)
        assert of_bins.item() > 0
        torch.testing.assert_close(of_bins, loss((8,), param='variance')(student, teacher, variances, targets))


def test_mistakes_are_named():
    with pytest.raises(ShapeError, match=r'expected \(B, N, h, w\)'):
        bin_log_scale(torch.zeros(1, 2), mask([1, 1]))
    with pytest.raises(ShapeError, match=r"'mask_2d' has shape \(1, 3\), expected \(1, 2\)"):
        bin_log_scale(torch.zeros(1, 2, 7, 7), mask([1, 1, 0]))
    with pytest.raises(ConfigError, match='unknown param'):
        bin_log_scale(torch.zeros(1, 2, 7, 7), mask([1, 1]), param='variances')
    with pytest.raises(ConfigError, match='unknown param'):
        BinLogScale('variances')
