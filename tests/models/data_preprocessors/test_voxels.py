"""Tests of mono_distill.models.data_preprocessors.voxels."""

from __future__ import annotations

import pytest
import torch
from mmdet3d.models.data_preprocessors.voxelize import VoxelizationByGridShape

from mono_distill.models.data_preprocessors.voxels import voxelize_by


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('limits', [(300, 200), 250])
def test_it_is_the_layer_cloud_by_cloud(training, limits):
    layer = VoxelizationByGridShape([-8.0, -8.0, -2.0, 8.0, 8.0, 2.0], 3, [0.5, 0.5, 4.0], max_voxels=limits)
    layer.train(training)
    clouds = [torch.randn(count, 5) * 4 for count in (900, 0, 500)]
    found = voxelize_by(layer, clouds)
    voxels, coors, num_points = zip(*(layer(cloud) for cloud in clouds), strict=True)
    assert torch.equal(found['voxels'], torch.cat(voxels))
    assert torch.equal(found['num_points'], torch.cat(num_points))
    assert torch.equal(found['coors'][:, 1:], torch.cat(coors))
    assert found['coors'][:, 0].tolist() == [number for number, cells in enumerate(coors) for _ in cells]
