"""Tests of mono_distill.models.monotakd.norm."""

import pytest
import torch

from mono_distill.models.monotakd import BEVCollapse, FeatureFusionModule, SCNet, SpatialAlignmentModule
from mono_distill.models.monotakd.norm import PooledBatchNorm2d, norm2d, pooled_norm2d
from mono_distill.utils.errors import ConfigError


def test_pooled_norm_of_one_image_is_that_of_evaluation():
    norm = PooledBatchNorm2d(3)
    for value in (norm.running_mean, norm.weight.data, norm.bias.data):
        value.normal_()
    x = torch.randn(1, 3, 1, 1)
    training = norm.train()(x)
    assert torch.equal(training, norm.eval()(x))


def test_pooled_norm_of_several_images_is_a_batch_norm_and_loads_its_weights():
    ordinary, norm = torch.nn.BatchNorm2d(3), PooledBatchNorm2d(3)
    norm.load_state_dict(ordinary.state_dict())
    x = torch.randn(4, 3, 1, 1)
    torch.testing.assert_close(norm(x), ordinary(x))
    torch.testing.assert_close(norm.state_dict(), ordinary.state_dict())


def test_pooled_group_norm_keeps_more_than_an_order():
    x = torch.randn(1, 8, 1, 1)
    assert pooled_norm2d(8, 4)(x).unique().numel() == 8


@pytest.mark.parametrize('kind', [BEVCollapse, SCNet, SpatialAlignmentModule, FeatureFusionModule])
def test_every_module_takes_group_norm_and_keeps_its_parameters(kind):
    module, normal = kind(norm_groups=32), kind()
    assert not any(isinstance(part, torch.nn.modules.batchnorm._BatchNorm) for part in module.modules())
    assert {n: p.shape for n, p in module.named_parameters()} == {n: p.shape for n, p in normal.named_parameters()}


def test_groups_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(ConfigError, match='norm_groups=3 does not divide 8 channels; give a divisor or None'):
        norm2d(8, 3)
    with pytest.raises(ConfigError, match='norm_groups=0 does not divide'):
        norm2d(8, 0)
