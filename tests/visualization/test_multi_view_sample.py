from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from multi_view_samples import boxes, sample

from mono_distill.datasets.transforms import BEVGlobalAug, LidarDepthTargets, MultiViewImageAug, PackBEVInputs
from mono_distill.utils.errors import ConfigError
from mono_distill.visualization import GROUND_TRUTH_COLOR, PREDICTION_COLOR, draw_multi_view_sample

TEACHER_COLOR = (255, 170, 60)
CLASSES = ('car', 'truck', 'construction_vehicle', 'bus', 'trailer')


@pytest.fixture
def packed():
    results = sample(size=(90, 160), frames=2)
    results['img'] = [[np.zeros((90, 160, 3), np.uint8)] * 6] * 2
    return PackBEVInputs()(LidarDepthTargets(16)(MultiViewImageAug((32, 80))(results)))


def found(shift):
    moved = boxes().clone()
    moved.tensor[:, 0] += shift
    return InstanceData(bboxes_3d=moved, labels_3d=torch.arange(5), scores_3d=torch.linspace(0.2, 0.9, 5))


def drawn(picture, color):
    return (np.abs(picture.astype(int) - color) < 60).all(axis=2)


def draw(packed, **options):
    return draw_multi_view_sample(packed['inputs']['imgs'], packed['data_samples'], classes=CLASSES, **options)


def test_alone_the_scene_from_above_stands_beside_the_cameras(packed):
    picture = draw(packed, points=packed['inputs']['points'])
    width = 3 * 640 + 2 * 6
    assert picture.shape[1] > width + 400
    assert picture.shape[0] < 700
    for part in (picture[:, :width], picture[:, width:]):
        assert drawn(part, GROUND_TRUTH_COLOR).any()
        assert not drawn(part, PREDICTION_COLOR).any()


def test_teacher_and_student_have_panels_side_by_side(packed):
    picture = draw(packed, detections={'teacher': found(1.0), 'student': found(-2.0)})
    assert picture.shape[1] == 3 * 640 + 2 * 6
    side = (picture.shape[1] - 12) // 3
    below = picture[-side:]
    panels = [below[:, start : start + side] for start in (0, side + 6, 2 * side + 12)]
    colors = (GROUND_TRUTH_COLOR, TEACHER_COLOR, PREDICTION_COLOR)
    has = [[bool(drawn(panel, color).any()) for color in colors] for panel in panels]
    assert has == [[True, False, False], [True, True, False], [True, False, True]]
    cameras = picture[: picture.shape[0] - side - 30]
    assert all(drawn(cameras, color).any() for color in colors)


def test_a_box_ahead_and_right_is_above_and_right_of_the_car(packed):
    one = found(0)[:1]
    one.bboxes_3d.tensor[0, :7] = torch.tensor([20.0, 30.0, -1.0, 4.0, 2.0, 1.5, 0.0])
    picture = draw(packed, detections={'teacher': one})
    side = (picture.shape[1] - 12) // 3
    rows, columns = np.nonzero(drawn(picture[-side:, side + 6 : 2 * side + 6], TEACHER_COLOR)[60:])  # below the legend
    scale = side / 102.4
    assert rows.mean() + 60 == pytest.approx(side / 2 - 30 * scale, abs=2 * scale)
    assert columns.mean() == pytest.approx(side / 2 + 20 * scale, abs=2 * scale)


def test_points_are_drawn_where_they_are(packed):
    without = draw(packed, detections={})
    points = torch.tensor([[10.0, 40.0, 0.0, 0, 0]])
    changed = (draw(packed, detections={}, points=points) != without).any(axis=2)
    height = without.shape[0] - 36 - 18
    top, left = 18 + 18, 3 * 640 + 12 + 6
    scale = changed[top:, left:].shape[1] / 102.4
    rows, columns = np.nonzero(changed[top + 18 :, left:])
    assert [rows.item() + 18, columns.item()] == pytest.approx([11.2 * scale, 61.2 * scale], abs=1.5)
    assert height > 0


def test_predictions_of_the_sample_are_drawn(packed):
    packed['data_samples'].pred_instances_3d = found(2.0)
    assert drawn(draw(packed), PREDICTION_COLOR).any()


def test_feature_maps_form_a_row(packed):
    without = draw(packed, detections={'teacher': found(0), 'student': found(0)})
    maps = {'teacher': torch.rand(4, 16, 16), 'student': torch.zeros(4, 16, 16)}
    picture = draw(packed, detections={'teacher': found(0), 'student': found(0)}, features=maps)
    side = (picture.shape[1] - 12) // 3
    assert picture.shape == (without.shape[0] + side + 6 + 18, *without.shape[1:])
    row = picture[-side:]
    assert row[:, :side].mean() > 60 > row[:, side + 6 : 2 * side + 6].mean()


def test_only_feature_maps_need_no_models(packed):
    assert draw(packed, features={'neck': torch.rand(4, 8, 8)}).shape[0] < 700  # one panel: beside the cameras
    assert draw(packed, features={'a': torch.rand(4, 8, 8), 'b': torch.rand(4, 8, 8)}).shape[0] > 1200


def test_a_sample_without_annotations_is_drawn(packed):
    del packed['data_samples'].gt_instances_3d
    assert not drawn(draw(packed), GROUND_TRUTH_COLOR).any()


def test_depth_targets_are_drawn_on_request(packed):
    plain = draw(packed)
    assert (draw(packed, gt_depth=packed['inputs']['gt_depth']) != plain).any()


def test_an_augmented_sample_shows_its_boxes_in_the_same_pictures():
    """The pictures do not change with the world, so neither do the boxes drawn into them."""
    pictures = []
    for augment in (False, True):
        results = sample(size=(90, 160))
        results['img'] = [[np.zeros((90, 160, 3), np.uint8)] * 6]
        results = MultiViewImageAug((32, 80))(results)
        if augment:
            results = BEVGlobalAug()(results)
        packed = PackBEVInputs()(results)
        pictures.append(draw_multi_view_sample(packed['inputs']['imgs'], packed['data_samples']))
    cameras = [picture[40:, : 3 * 640].astype(int) for picture in pictures]
    boxes_drawn = [drawn(picture, GROUND_TRUTH_COLOR) for picture in cameras]
    assert boxes_drawn[0].sum() > 500
    # A mirrored box has its corners in another order, which moves single anti-aliased pixels.
    assert (boxes_drawn[0] != boxes_drawn[1]).mean() < 0.01
    assert (pictures[0][:, 3 * 640 + 40 :] != pictures[1][:, 3 * 640 + 40 :]).any()


def test_a_reach_of_nothing_is_refused(packed):
    with pytest.raises(ConfigError, match='reach must be positive'):
        draw(packed, reach=0)
