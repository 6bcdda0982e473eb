"""Augmented real frames: annotations, depth map and camera must still describe the same scene."""

from __future__ import annotations

import numpy as np
import pytest
from kitti_frames import INFO_FILE
from scipy.spatial import cKDTree

from mono_distill.datasets import KittiMonoDataset
from mono_distill.datasets.kitti.projection import project_cam_to_img
from mono_distill.datasets.kitti.velodyne import read_velodyne
from mono_distill.visualization import points_in_camera

pytestmark = pytest.mark.real


def _samples(root, flip, crop):
    pipeline = [
        dict(type='mono_distill.LoadMonoImage'),
        dict(type='mono_distill.LoadDepthMap'),
        dict(type='mono_distill.LoadMonoKittiAnnotations'),
        dict(type='mono_distill.MonoRandomFlip', prob=flip),
        dict(type='mono_distill.MonoRandomCropAffine', size=(1280, 384), prob=crop),
        dict(type='mono_distill.FilterMonoObjects'),
        dict(type='mono_distill.PackMono3DInputs'),
    ]
    dataset = KittiMonoDataset(INFO_FILE, str(root), pipeline=pipeline, depth_map='sparse', serialize_data=False)
    for index in range(len(dataset)):
        yield dataset[index]


@pytest.mark.parametrize('flip', [0.0, 1.0])
@pytest.mark.parametrize('crop', [0.0, 1.0])
class TestAugmentedFrames:
    def test_visible_objects_are_as_deep_as_their_part_of_the_depth_map(self, prepared_real, flip, crop):
        errors = []
        for sample in _samples(prepared_real, flip, crop):
            depth_map, objects = sample['inputs']['depth_map'][0].numpy(), sample['data_samples'].gt_instances_3d
            shown = (objects.occluded == 0) & (objects.truncated == 0)
            for box, depth in zip(objects.bboxes[shown].numpy(), objects.depths[shown].tolist(), strict=True):
                middle, quarter = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 4
                low, high = np.clip([middle - quarter, middle + quarter], 0, [1280, 384]).astype(int)
                inside = depth_map[low[1] : high[1], low[0] : high[0]]
                if (inside > 0).sum() >= 5:
                    errors.append(np.median(inside[inside > 0]) - depth)
        # The LiDAR sees the near side, up to half a car before the centre.
        assert len(errors) >= 7
        assert -3 < np.median(errors) < 0.5
        assert np.mean(np.abs(errors) < 3) > 0.8

    def test_every_measurement_of_the_depth_map_has_its_lidar_point(self, prepared_real, flip, crop):
        for sample in _samples(prepared_real, flip, crop):
            metainfo, depth_map = sample['data_samples'].metainfo, sample['inputs']['depth_map'][0].numpy()
            points = points_in_camera(read_velodyne(metainfo['lidar_path']), metainfo)
            pixels, depths = project_cam_to_img(points, metainfo['cam2img'])
            ahead = depths > 1
            rows, columns = np.nonzero(depth_map)
            measured = np.stack([columns + 0.5, rows + 0.5, 10 * depth_map[rows, columns]], axis=1)
            tree = cKDTree(np.column_stack([pixels, 10 * depths])[ahead])
            # Within three pixels and 0.3 m; a flip or crop of only one of the two would break that.
            assert np.mean(tree.query(measured)[0] < 3) > 0.98
            mirrored = np.column_stack([1280 - measured[:, 0], measured[:, 1:]])
            assert np.mean(tree.query(mirrored)[0] < 3) < 0.6
