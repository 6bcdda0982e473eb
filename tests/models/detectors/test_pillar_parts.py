"""Tests of mono_distill.models.detectors.pillar_parts."""

from __future__ import annotations

import pytest
import torch
from mmdet3d.models.middle_encoders import PointPillarsScatter
from mmdet3d.models.voxel_encoders import PillarFeatureNet

from mono_distill.models.detectors.pillar_parts import BatchPillarsScatter, LeanPillarFeatureNet, lean_part
from mono_distill.ops.voxelize_batch import voxelize_batch

BOUNDS, SIZE = (-8.0, -6.0, -2.0, 8.0, 6.0, 2.0), (0.5, 0.5, 4.0)
CENTERPOINT = dict(
    in_channels=5,
    feat_channels=[16],
    voxel_size=SIZE,
    point_cloud_range=BOUNDS,
    legacy=False,
    norm_cfg=dict(type='BN1d', eps=1e-3, momentum=0.01),
)


def pillars(sizes=(600, 0, 300), points=6):
    clouds = [torch.randn(size, 5) * torch.tensor([4.0, 3.0, 0.8, 1.0, 1.0]) for size in sizes]
    grid = dict(voxel_size=SIZE, point_cloud_range=BOUNDS)
    return voxelize_batch(clouds, **grid, max_num_points=points, max_voxels=200)


def encoders(**options):
    """mmdet3d's and ours with the same parameters, evaluated; statistics and scales are those of a trained one."""
    theirs, ours = (kind(**{**CENTERPOINT, **options}) for kind in (PillarFeatureNet, LeanPillarFeatureNet))
    for layer in theirs.pfn_layers:
        for tensor in (layer.norm.weight, layer.norm.bias, layer.norm.running_mean):
            torch.nn.init.normal_(tensor)
        torch.nn.init.uniform_(layer.norm.running_var, 0.1, 3.0)
    ours.load_state_dict(theirs.state_dict())
    return theirs.eval(), ours.eval()


def run(encoder, found):
    return encoder(found['voxels'].clone(), found['num_points'], found['coors'])


def test_evaluated_it_is_mmdet3ds_up_to_rounding():
    theirs, ours = encoders()
    found = pillars()
    # Full pillars, and pillars with slots that are left.
    assert (found['num_points'] == 6).any()
    assert (found['num_points'] < 6).any()
    with torch.no_grad():
        torch.testing.assert_close(run(ours, found), run(theirs, found), rtol=1e-5, atol=1e-5)


def test_evaluated_the_points_stay_as_they_were():
    _, ours = encoders()
    found = pillars()
    kept = found['voxels'].clone()
    with torch.no_grad():
        ours(found['voxels'], found['num_points'], found['coors'])
    assert torch.equal(found['voxels'], kept)


@pytest.mark.parametrize(
    'options',
    [
        dict(legacy=True),
        dict(with_distance=True),
        dict(with_cluster_center=False),
        dict(with_voxel_center=False),
        dict(feat_channels=[8, 16]),
        dict(mode='avg'),
    ],
)
def test_other_options_are_left_to_mmdet3d(options):
    theirs, ours = encoders(**options)
    found = pillars()
    with torch.no_grad():
        assert torch.equal(run(ours, found), run(theirs, found))


def test_a_norm_that_collects_statistics_is_left_to_mmdet3d():
    theirs, ours = encoders()
    for encoder in (theirs, ours):
        encoder.pfn_layers[0].norm.train()
    found = pillars()
    with torch.no_grad():
        assert torch.equal(run(ours, found), run(theirs, found))


def test_a_hook_on_a_layer_is_called():
    _, ours = encoders()
    heard = []
    ours.pfn_layers[0].norm.register_forward_hook(lambda *_: heard.append(1))
    with torch.no_grad():
        run(ours, pillars())
    assert heard == [1]


@pytest.mark.parametrize('training', [True, False])
def test_with_gradients_it_is_mmdet3ds(training):
    theirs, ours = (encoder.train(training) for encoder in encoders())
    found = pillars()
    results = [run(encoder, found) for encoder in (theirs, ours)]
    assert torch.equal(*results)
    gradients = [
        torch.autograd.grad(x.square().sum(), list(encoder.parameters()))
        for x, encoder in zip(results, (theirs, ours), strict=True)
    ]
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(theirs.buffers(), ours.buffers(), strict=True))


@pytest.mark.parametrize('sizes', [(600, 0, 300), (0, 400), (300, 0), (0,)])
def test_a_batch_is_scattered_as_sample_by_sample(sizes):
    coors = pillars(sizes)['coors']
    results, gradients = [], []
    values, cotangent = torch.randn(len(coors), 7), torch.randn(len(sizes), 7, 24, 32)
    for kind in (PointPillarsScatter, BatchPillarsScatter):
        features = values.clone().requires_grad_()
        canvas = kind(in_channels=7, output_shape=[24, 32])(features, coors, len(sizes))
        results.append(canvas)
        if canvas.requires_grad:
            gradients.append(torch.autograd.grad(canvas, features, cotangent)[0])
    assert torch.equal(*results)
    assert results[1].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(*gradients)


def test_only_parts_of_mmdet3d_are_replaced():
    assert lean_part(dict(type='PillarFeatureNet', legacy=False)) == dict(type=LeanPillarFeatureNet, legacy=False)
    assert lean_part(dict(type='mmdet3d.PointPillarsScatter'))['type'] is BatchPillarsScatter
    assert lean_part(dict(type=PillarFeatureNet))['type'] is LeanPillarFeatureNet
    for kind in ('HardSimpleVFE', 'mono_distill.PillarFeatureNet'):
        assert lean_part(dict(type=kind)) == dict(type=kind)
