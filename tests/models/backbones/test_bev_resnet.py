import pytest
import torch
from mmdet.models.backbones import ResNet

from mono_distill.models.backbones import BEVResNet
from mono_distill.utils.errors import ConfigError, ShapeError


def shapes(tensors):
    return {key: tuple(value.shape) for key, value in tensors.items()}


def test_the_default_is_mmdets_resnet_of_three_stages_without_its_pooling():
    ours = BEVResNet(160)
    theirs = ResNet(
        18,
        in_channels=160,
        base_channels=160,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(0, 1, 2),
    )
    assert shapes(ours.state_dict()) == shapes(theirs.state_dict())
    theirs.maxpool = torch.nn.Identity()
    theirs.load_state_dict(ours.state_dict())
    bev = torch.randn(1, 160, 16, 16)
    # mmdet's train() and eval() return nothing.
    ours.eval(), theirs.eval()
    levels, expected = ours(bev), theirs(bev)
    assert [tuple(level.shape[1:]) for level in levels] == [(160, 16, 16), (160, 8, 8), (320, 4, 4), (640, 2, 2)]
    assert torch.equal(levels[0], bev)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(levels[1:], expected, strict=True))


def test_bevdets_trunk_has_no_stem():
    trunk = BEVResNet(64, base_channels=128, strides=(2, 2, 2), stem_stride=None, keep_input=False)
    assert not hasattr(trunk, 'conv1')
    levels = trunk(torch.zeros(1, 64, 32, 32))
    assert [tuple(level.shape[1:]) for level in levels] == [(128, 16, 16), (256, 8, 8), (512, 4, 4)]


def test_blocks_start_as_the_identity():
    trunk = BEVResNet(8, base_channels=8, num_blocks=(2,), strides=(1,), stem_stride=None, keep_input=False)
    trunk.init_weights()
    bev = torch.rand(1, 8, 4, 4)
    assert torch.equal(trunk.eval()(bev)[0], bev)


def test_maps_that_do_not_divide_are_refused():
    trunk = BEVResNet(8, base_channels=8, num_blocks=(1, 1), strides=(1, 2))
    assert trunk.total_stride == 4
    with pytest.raises(ShapeError, match='multiples of 4'):
        trunk(torch.zeros(1, 8, 18, 16))
    with pytest.raises(ShapeError, match=r'\(B, 8, H, W\)'):
        trunk(torch.zeros(1, 4, 16, 16))


def test_each_stage_needs_a_stride():
    with pytest.raises(ConfigError, match='one stride for each stage'):
        BEVResNet(8, num_blocks=(1, 1), strides=(1,))
