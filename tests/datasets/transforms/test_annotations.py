from __future__ import annotations

import numpy as np
import pytest
from mmdet3d.structures import Box3DMode, CameraInstance3DBoxes

from mono_distill.datasets.transforms import LoadMonoKittiAnnotations
from mono_distill.utils.errors import DataError

CAM2IMG = np.array([[700.0, 0, 600, 45], [0, 700, 180, 0.2], [0, 0, 1, 0.003], [0, 0, 0, 1]])


def _load(boxes):
    boxes = np.array(boxes, np.float32).reshape(-1, 7)
    return LoadMonoKittiAnnotations()(dict(ann_info=dict(gt_bboxes_3d=boxes), cam2img=CAM2IMG))


def test_centres_are_projected_by_dividing_by_z():
    results = _load([[1.0, 2.0, 10.0, 4.0, 1.5, 2.0, 0.3]])
    # The box centre lies half a height above the bottom; z + cam2img[2, 3] would give 674.3, not 674.5.
    np.testing.assert_allclose(results['gt_centers_2d'], [[(700 + 6000 + 45) / 10, (700 * 1.25 + 1800 + 0.2) / 10]])
    np.testing.assert_array_equal(results['gt_depths'], [10])


def test_boxes_keep_the_bottom_centre():
    results = _load([[1.0, 2.0, 10.0, 4.0, 1.5, 2.0, 0.3]])
    assert isinstance(results['gt_bboxes_3d'], CameraInstance3DBoxes)
    assert results['box_mode_3d'] == Box3DMode.CAM
    np.testing.assert_allclose(results['gt_bboxes_3d'].gravity_center[0], [1, 1.25, 10])


def test_a_centre_behind_the_camera_has_no_pixel():
    results = _load([[1.0, 2.0, -3.0, 4.0, 1.5, 2.0, 0.3]])
    assert np.isnan(results['gt_centers_2d']).all()
    assert results['gt_depths'] == [-3]


def test_a_frame_without_objects_has_empty_arrays():
    results = _load([])
    assert results['gt_centers_2d'].shape == (0, 2)
    assert results['gt_depths'].shape == (0,)


def test_a_frame_without_annotations_is_an_error():
    with pytest.raises(DataError, match='frame 000007 has no annotations; drop LoadMonoKittiAnnotations'):
        LoadMonoKittiAnnotations()(dict(sample_id='000007', cam2img=CAM2IMG))


def test_a_frame_without_annotations_can_be_let_through_without_objects():
    results = LoadMonoKittiAnnotations(allow_unlabelled=True)(dict(sample_id='000007', cam2img=CAM2IMG))
    assert results['labelled'] is False
    assert len(results['gt_bboxes_3d']) == 0
    assert results['gt_bboxes'].shape == (0, 4)
    assert results['gt_centers_2d'].shape == (0, 2)
    assert results['gt_labels_3d'].dtype == np.int64


def test_a_frame_known_to_be_empty_is_labelled():
    assert _load([])['labelled'] is True
