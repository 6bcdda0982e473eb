"""Voxels take the features and the depth that the camera sees at their centres."""

import numpy as np
import pytest
import torch
from kitti_bev_samples import CAM2IMG, SHAPE, bev_results, lidar2cam

from mono_distill.datasets import KittiBEVRandomFlip
from mono_distill.models.monotakd import FrustumView, frustum_view
from mono_distill.ops.depth_bins import depth_bin_targets, depth_to_index, one_hot_depth
from mono_distill.ops.frustum_lift import frustum_lift_reference
from mono_distill.utils.errors import ConfigError, DataError

SMALL = dict(point_cloud_range=(2.0, -8.0, -3.0, 34.0, 8.0, 1.0), voxels=(16, 8, 4), bins=12, depth_range=(2.0, 34.0))
META = dict(lidar2cam=lidar2cam(), cam2img=CAM2IMG, img_shape=SHAPE, sample_id='000000')


@pytest.fixture(autouse=True)
def _no_plans():
    frustum_view._PLANS.clear()


def features(batch=1, channels=3, bins=12, size=(6, 20), dtype=torch.float32):
    context = torch.randn(batch, channels, *size, dtype=dtype)
    return context, torch.rand(batch, bins, *size, dtype=dtype)


@pytest.mark.parametrize('borders', ['cells', 'image'])
def test_it_is_grid_sample_on_the_outer_product(borders):
    view = FrustumView(**SMALL, borders=borders)
    context, depth = features(dtype=torch.float64)
    context.requires_grad_()
    depth.requires_grad_()
    matrices = torch.from_numpy(np.stack([META['lidar2cam'], META['cam2img']]))[None]
    coordinates = view.coordinates(matrices, (6, 20), SHAPE).float().double().nan_to_num(-2.0)
    expected = frustum_lift_reference(context, depth, coordinates)
    found = view(context, depth, [META])
    assert 0.1 < found.ne(0).float().mean() < 1
    slope = torch.randn_like(expected)
    # The places are in single precision.
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    wanted = torch.autograd.grad((expected * slope).sum(), (context, depth))
    for ours, theirs in zip(torch.autograd.grad((found * slope).sum(), (context, depth)), wanted, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_a_voxel_takes_the_feature_that_stands_at_its_centre():
    view = FrustumView(**SMALL)
    # The feature of a place is where it is.
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(20.0), indexing='ij')
    lifted = view(torch.stack([columns, rows])[None], torch.ones(1, 12, 6, 20), [META])[0].flatten(1)
    centres = view.voxel_centres().numpy() @ lidar2cam()[:3, :3].T + lidar2cam()[:3, 3]
    pixels = (centres @ CAM2IMG[:2, :3].T + CAM2IMG[:2, 3]) / centres[:, 2:]
    # A feature is the middle of its 8 x 8 pixels.
    places = (pixels + 0.5) / 8 - 0.5
    index = depth_to_index(torch.from_numpy(centres[:, 2]), depth_range=(2.0, 34.0), bins=12).numpy()
    inner = ((places > 0) & (places < (19, 5))).all(1) & (index > 1) & (index < 11)
    assert inner.sum() > 50
    np.testing.assert_allclose(lifted[:, inner].T, places[inner], atol=1e-3)


def test_released_borders_are_within_a_feature_of_ours():
    matrices = torch.from_numpy(np.stack([META['lidar2cam'], META['cam2img']]))[None]
    ours, theirs = (
        FrustumView(**SMALL, borders=borders).coordinates(matrices, (6, 20), SHAPE) for borders in ('cells', 'image')
    )
    seen = ((ours.abs() < 1).all(-1)).unsqueeze(-1)
    difference = ((ours - theirs).abs() * seen * torch.tensor([20.0, 6, 12]) / 2).nan_to_num(0)
    assert 0 < difference.max() < 1.1


def test_lidar_depth_lifts_features_to_where_the_lidar_measured():
    view = FrustumView(**SMALL)
    depth = torch.zeros(1, 6, 20)
    depth[0, 3, 9] = 17.0
    distribution = one_hot_depth(depth_bin_targets(depth, depth_range=(2.0, 34.0), bins=12), 12)
    lifted = view(torch.ones(1, 1, 6, 20), distribution, [META])[0, 0].flatten()
    found = view.voxel_centres()[lifted > 0].numpy() @ lidar2cam()[:3, :3].T + lidar2cam()[:3, 3]
    assert len(found) > 3
    assert abs(np.average(found[:, 2], weights=lifted[lifted > 0]) - 17) < 2


def test_a_flipped_sample_gives_the_mirrored_voxels():
    """Exactly, where the picture is as wide as its features."""
    view = FrustumView(**SMALL)
    context, depth = features(dtype=torch.float64)
    flipped = KittiBEVRandomFlip(1.0)(bev_results())
    straight = view(context, depth, [META])
    mirrored = view(context.flip(3), depth.flip(3), [{**META, **{k: flipped[k] for k in ('lidar2cam', 'cam2img')}}])
    torch.testing.assert_close(mirrored, straight.flip(3), atol=1e-4, rtol=0)


def test_published_shapes():
    view = FrustumView()
    centres = view.voxel_centres()
    assert view.voxels == (140, 188, 10)
    assert len(centres) == 263_200
    torch.testing.assert_close(centres[0], torch.tensor([2.16, -29.92, -2.8], dtype=torch.float64))
    torch.testing.assert_close(centres[-1], torch.tensor([46.64, 29.92, 0.8], dtype=torch.float64))


def test_a_second_network_finds_the_plan_of_the_first():
    first, second = FrustumView(**SMALL), FrustumView(**SMALL)
    device = torch.device('cpu')
    plan = first.plan([META], (6, 20), device)
    assert second.plan([META], (6, 20), device) is plan
    others = [
        FrustumView(**{**SMALL, 'bins': 13}).plan([META], (6, 20), device),
        FrustumView(**SMALL, borders='image').plan([META], (6, 20), device),
        first.plan([META, META], (6, 20), device),
        first.plan([{**META, 'cam2img': CAM2IMG * 1.01}], (6, 20), device),
    ]
    assert all(other is not plan for other in others)
    assert len(frustum_view._PLANS) == 2


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(point_cloud_range=(2.0, 8.0, -3.0, 34.0, -8.0, 1.0)), 'point_cloud_range'),
        (dict(voxels=(16, 0, 4)), 'voxels'),
        (dict(borders='pixels'), 'borders'),
        (dict(depth_range=(34.0, 2.0)), 'range'),
    ],
)
def test_options_that_do_not_fit(changes, message):
    with pytest.raises(ConfigError, match=message):
        FrustumView(**{**SMALL, **changes})


def test_a_sample_without_calibration_is_named():
    context, depth = features()
    with pytest.raises(DataError, match=r'sample 000003 has no cam2img, img_shape'):
        FrustumView(**SMALL)(context, depth, [dict(sample_id='000003', lidar2cam=np.eye(4))])
