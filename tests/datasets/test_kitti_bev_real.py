"""On real frames, boxes, points, pictures and depth are of one world, flipped or not."""

import numpy as np
import pytest
import torch
from kitti_frames import INFO_FILE

from mono_distill.datasets import (
    KittiBEVDataset,
    KittiBEVDepth,
    KittiBEVRandomFlip,
    LoadKittiBEVAnnotations,
    LoadKittiBEVPoints,
)
from mono_distill.datasets.transforms.loading import LoadMonoImage
from mono_distill.models.monotakd import FrustumView
from mono_distill.ops.depth_bins import depth_bin_targets, one_hot_depth

pytestmark = pytest.mark.real


@pytest.fixture(scope='module')
def samples(prepared_real):
    """Pairs of each frame as it is and flipped."""
    load = [LoadMonoImage(), LoadKittiBEVPoints(), LoadKittiBEVAnnotations()]
    dataset = KittiBEVDataset(INFO_FILE, str(prepared_real))
    pairs = []
    for index in range(min(len(dataset), 8)):
        pair = []
        for prob in (0.0, 1.0):
            sample = dataset.get_data_info(index)
            for transform in [*load, KittiBEVRandomFlip(prob), KittiBEVDepth()]:
                sample = transform(sample)
            pair.append(sample)
        pairs.append(pair)
    return pairs


def points_inside(sample):
    """Number of points in each box."""
    points, counts = sample['points'].tensor[:, :3].double(), []
    for x, y, z, length, width, height, yaw in sample['gt_bboxes_3d'].tensor.double():
        offset = points - torch.stack([x, y, z])
        along = offset[:, 0] * yaw.cos() + offset[:, 1] * yaw.sin()
        across = -offset[:, 0] * yaw.sin() + offset[:, 1] * yaw.cos()
        inside = (along.abs() < length / 2) & (across.abs() < width / 2) & (offset[:, 2] > 0) & (offset[:, 2] < height)
        counts.append(int(inside.sum()))
    return np.array(counts)


def test_annotated_objects_hold_points(samples):
    counts = np.concatenate([points_inside(plain) for plain, _ in samples])
    assert len(counts) > 5
    assert (counts > 0).mean() > 0.9


def test_flipped_objects_hold_the_same_points(samples):
    for plain, flipped in samples:
        np.testing.assert_allclose(points_inside(flipped), points_inside(plain), atol=1)


def test_lidar_depth_lifts_the_picture_to_where_the_objects_are(samples):
    view = FrustumView()
    for pair in samples:
        occupied = []
        for sample in pair:
            depth = torch.from_numpy(sample['gt_depth'])[None]
            distribution = one_hot_depth(depth_bin_targets(depth), 120)
            voxels = view(torch.ones(1, 1, *depth.shape[1:]), distribution, [sample])
            occupied.append(voxels[0, 0].sum(0) > 0)
            for box, count in zip(sample['gt_bboxes_3d'].tensor, points_inside(sample), strict=True):
                column, row = int((box[0] - 2) / 0.32), int((box[1] + 30.08) / 0.32)
                if count > 50 and 4 < column < 136 and 4 < row < 184:
                    assert occupied[-1][row - 4 : row + 5, column - 4 : column + 5].any()
        # Cells of 8 pixels begin at the left border in both: the maps agree, but not to the cell.
        plain, mirrored = occupied[0].sum(1).float(), occupied[1].sum(1).flip(0).float()
        assert torch.corrcoef(torch.stack([plain, mirrored]))[0, 1] > 0.9
