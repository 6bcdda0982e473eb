import pytest
import torch
from bev_students import camera_inputs

from mono_distill.models.detectors.bev_checks import check_feature_size, check_head_grid, check_images, check_levels
from mono_distill.models.view_transformers.bounds import bev_grid
from mono_distill.utils.errors import ConfigError, ShapeError

GRID = bev_grid((-51.2, 51.2, 1.6), (-51.2, 51.2, 1.6), (-5, 3, 8))
CFG = dict(
    grid_size=[128, 128, 1],
    point_cloud_range=[-51.2, -51.2, -5.0, 51.2, 51.2, 3.0],
    voxel_size=[0.8, 0.8, 8],
    out_size_factor=2,
)


def test_a_head_on_the_same_grid_passes():
    check_head_grid(GRID, CFG)
    check_head_grid(GRID, None)
    check_head_grid(GRID, dict(code_weights=[]))


def test_another_range_is_named_with_both():
    with pytest.raises(ConfigError, match=r'-54 to 54 m in x .* -51.2 to 51.2 m'):
        check_head_grid(
            GRID,
            {
                **CFG,
                'point_cloud_range': [-54, -51.2, -5, 54, 51.2, 3],
                'grid_size': [1440, 128, 1],
                'voxel_size': [0.075, 0.8, 8],
            },
        )
    with pytest.raises(ConfigError, match=r'to 0 m in y'):
        check_head_grid(GRID, {**CFG, 'grid_size': [128, 64, 1]})


def test_images_need_their_matrices():
    inputs = camera_inputs(frames=2)
    check_images(inputs, 2)
    check_images(inputs, 1)
    with pytest.raises(ConfigError, match='BEVDataPreprocessor'):
        check_images({'points': []}, 1)
    with pytest.raises(ShapeError, match='every camera needs its image'):
        check_images({**inputs, 'imgs': inputs['imgs'][:, :, :5]}, 1)
    with pytest.raises(ConfigError, match=r'num_frames=3, but the samples have 2; .*LoadMultiViewImages'):
        check_images(inputs, 3)


def test_sizes_that_do_not_divide_are_named():
    images = torch.zeros(1, 6, 3, 64, 176)
    with pytest.raises(ShapeError, match=r'64x176 .* multiple of'):
        check_levels(images, [torch.zeros(6, 8, 4, 11), torch.zeros(6, 8, 2, 6)])
    check_levels(images, [torch.zeros(6, 8, 4, 11)])
    with pytest.raises(ShapeError, match='128x352 pixels'):
        check_feature_size(images, torch.zeros(6, 8, 8, 22), 16)
    check_feature_size(images, torch.zeros(6, 8, 4, 11), 16)
