import pytest
import torch
from bev_students import image_matrix, rig_cameras

from mono_distill.models.view_transformers.depth_net import DepthNet
from mono_distill.models.view_transformers.frustum import Cameras
from mono_distill.utils.errors import ConfigError

SMALL = dict(mid_channels=16, num_blocks=1, aspp=False, dcn=False)


def cameras(batch=1):
    rig = rig_cameras(image_matrix((32, 48)))
    return Cameras(*(matrix.float().expand(batch, *matrix.shape[1:]) for matrix in rig))


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_published_size():
    # Convolutions and norms of BEVDepth-R50 counted by hand: 512 channels, 112 bins, context of 80.
    square = 512 * 512
    reduce_conv = 9 * square + 512 + 2 * 512
    gates = 2 * (27 * 512 + 512 + square + 512) + 2 * 2 * (square + 512)
    blocks = 3 * (2 * 9 * square + 4 * 512)
    aspp = square * (1 + 3 * 9 + 1 + 5) + 6 * 2 * 512
    dcn = 9 * square // 4 + 9 * 512 * 18 + 18
    outputs = 512 * 112 + 112 + 512 * 80 + 80
    net = DepthNet(512, 80, 112)
    assert count(net) == reduce_conv + 2 * 27 + gates + blocks + aspp + dcn + outputs
    assert count(net) == pytest.approx(27.8e6, rel=2e-3)


@pytest.mark.parametrize('camera_norm', ['BN', 'LN', 'none'])
@pytest.mark.parametrize('dcn', [True, False])
@pytest.mark.parametrize('aspp', [True, False])
def test_every_form_gives_logits_and_context_and_trains(camera_norm, dcn, aspp):
    net = DepthNet(8, 5, 7, **{**SMALL, 'dcn': dcn, 'aspp': aspp}, camera_norm=camera_norm)
    logits, context = net(torch.randn(2, 6, 8, 2, 3), cameras(2))
    assert logits.shape == (2, 6, 7, 2, 3)
    assert context.shape == (2, 6, 5, 2, 3)
    (logits.square().sum() + context.square().sum()).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in net.parameters())


def test_only_the_last_convolution_of_the_depth_branch_is_deformable():
    plain, deformable = DepthNet(8, 5, 8, **SMALL), DepthNet(8, 5, 8, **{**SMALL, 'dcn': True})
    assert count(deformable) - count(plain) == 9 * 16 * 18 + 18


@pytest.mark.parametrize('camera_norm', ['LN', 'none'])
def test_depth_depends_on_the_camera(camera_norm):
    net = DepthNet(8, 5, 7, **SMALL, camera_norm=camera_norm).eval()
    features = torch.randn(1, 1, 8, 2, 3).expand(1, 6, 8, 2, 3)
    logits, context = net(features, cameras())
    assert logits.std(1).max() > 1e-4
    assert context.std(1).max() > 1e-4


def test_one_sample_trains_without_statistics_over_cameras():
    rig = cameras()
    one = Cameras(*(matrix[:, :1] for matrix in rig[:3]), rig.lidar_aug_matrix)
    net = DepthNet(8, 5, 7, **SMALL, camera_norm='LN').train()
    assert net(torch.randn(1, 1, 8, 2, 3), one)[0].isfinite().all()


def test_the_norm_must_be_known():
    with pytest.raises(ConfigError, match='camera_norm'):
        DepthNet(8, 5, 7, camera_norm='GN')
