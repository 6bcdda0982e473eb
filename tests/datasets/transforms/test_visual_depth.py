from __future__ import annotations

import numpy as np
import pytest
import torch

from mono_distill.datasets.transforms import (
    FilterMonoObjects,
    MonoRandomCropAffine,
    ObjectVisualDepth,
    PackMono3DInputs,
)
from mono_distill.datasets.transforms.annotations import no_objects
from mono_distill.utils.errors import ConfigError, DataError


def sample(depth, boxes):
    return dict(depth_map=depth.astype(np.float32), gt_bboxes=np.array(boxes, np.float32).reshape(-1, 4))


def test_every_bin_holds_the_mean_depth_behind_it():
    # Depth grows by 1 m a column: 4 columns a cell, whose mean is 4 c + 1.5; bins are one cell wide.
    depth = np.broadcast_to(np.arange(80.0) + 1, (48, 80))
    result = ObjectVisualDepth()(sample(depth, [[8, 8, 36, 36]]))['gt_visual_depth']
    assert result.shape == (1, 7, 7)
    assert result.dtype == np.float32
    # Without the half-pixel shift a bin that begins at cell 2 reads half of cell 2 and half of cell 3.
    expected = [4 * (2.5 + j) + 2.5 for j in range(7)]
    np.testing.assert_allclose(result[0], np.broadcast_to(expected, (7, 7)), rtol=1e-6)


def test_missing_pixels_do_not_count_unless_the_released_code_is_wanted():
    depth = np.full((48, 80), 20.0)
    depth[::2] = 0
    boxes = [[8, 8, 36, 36]]
    np.testing.assert_allclose(ObjectVisualDepth()(sample(depth, boxes))['gt_visual_depth'], 20.0, rtol=1e-6)
    released = ObjectVisualDepth(missing='zero')(sample(depth, boxes))['gt_visual_depth']
    np.testing.assert_allclose(released, 10.0, rtol=1e-6)


def test_a_bin_without_a_measurement_is_zero():
    depth = np.full((48, 80), 20.0)
    depth[:, 40:] = 0
    result = ObjectVisualDepth()(sample(depth, [[8, 8, 16, 16], [60, 8, 72, 16], [-60, -60, -20, -20]]))
    assert [values.max().item() for values in result['gt_visual_depth']] == [pytest.approx(20.0), 0.0, 0.0]


def test_both_forms_agree_on_a_complete_map():
    depth, boxes = np.random.RandomState(0).uniform(5, 50, (48, 80)), [[8, 8, 36, 36], [10.3, 4.1, 70, 44.4]]
    ignore, zero = (ObjectVisualDepth(missing=form)(sample(depth, boxes)) for form in ('ignore', 'zero'))
    np.testing.assert_allclose(ignore['gt_visual_depth'], zero['gt_visual_depth'], rtol=1e-5)


def test_it_is_filtered_and_packed_with_the_objects(make_sample):
    results = make_sample(count=5)
    results['gt_depths'] = np.array([1.0, 20, 30, 40, 1.0], np.float32)
    for transform in (MonoRandomCropAffine((320, 96)), ObjectVisualDepth()):
        results = transform(results)
    expected = results['gt_visual_depth'][1:4]
    packed = PackMono3DInputs()(FilterMonoObjects()(results))
    assert torch.equal(packed['data_samples'].gt_instances_3d.visual_depth, torch.from_numpy(expected))


def test_a_frame_without_objects_has_none():
    assert ObjectVisualDepth()(sample(np.ones((48, 80)), []))['gt_visual_depth'].shape == (0, 7, 7)
    assert 'gt_visual_depth' not in no_objects()


def test_errors_are_named():
    with pytest.raises(ConfigError, match="missing must be 'ignore' or 'zero', got 'drop'"):
        ObjectVisualDepth(missing='drop')
    with pytest.raises(ConfigError, match='bins and stride must be positive'):
        ObjectVisualDepth(bins=0)
    with pytest.raises(DataError, match='found no depth_map; put mono_distill.LoadDepthMap'):
        ObjectVisualDepth()(dict(gt_bboxes=np.zeros((0, 4))))
    with pytest.raises(DataError, match='80x47, no multiple of the stride 4; place'):
        ObjectVisualDepth()(sample(np.ones((47, 80)), []))
