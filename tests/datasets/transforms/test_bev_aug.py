from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from mmdet3d.structures import LiDARInstance3DBoxes
from multi_view_samples import boxes, cloud, sample

from mono_distill.datasets.transforms import BEVGlobalAug, MultiViewImageAug
from mono_distill.datasets.transforms.bev_aug import move_boxes, move_points, world_matrix
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import ConfigError, ShapeError

CASES = list(itertools.product((0.0, 17.0, -160.0), (1.0, 0.9), (False, True), (False, True)))


def corners(box):
    """The (8, 3) corners of x, y, z_bottom, dx, dy, dz, yaw, ..."""
    x, y, z, dx, dy, dz, yaw = box[:7]
    out = []
    for along, across, up in itertools.product((-dx / 2, dx / 2), (-dy / 2, dy / 2), (0, dz)):
        ahead = complex(along, across) * complex(np.cos(yaw), np.sin(yaw))
        out.append((x + ahead.real, y + ahead.imag, z + up))
    return np.array(out)


@pytest.mark.parametrize(('angle', 'scale', 'flip_x', 'flip_y'), CASES)
def test_boxes_move_as_mmdet3d_moves_them(angle, scale, flip_x, flip_y):
    """Rotation, scale, shift and mirroring one after the other, by mmdet3d's own box methods."""
    shift = (0.4, -0.3, 0.2)
    expected = boxes().clone()
    expected.rotate(np.deg2rad(angle))
    expected.scale(scale)
    expected.translate(shift)
    if flip_y:
        expected.flip('horizontal')
    if flip_x:
        expected.flip('vertical')
    moved = move_boxes(boxes().tensor, world_matrix(angle, scale, flip=(flip_x, flip_y), shift=shift))
    keep = [0, 1, 2, 3, 4, 5, 7, 8]
    torch.testing.assert_close(moved[:, keep], expected.tensor[:, keep], atol=2e-5, rtol=1e-5)
    turn = (moved[:, 6] - expected.tensor[:, 6]) / (2 * np.pi)
    torch.testing.assert_close(turn, turn.round(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(('angle', 'scale', 'flip_x', 'flip_y'), CASES)
def test_the_corners_of_a_moved_box_are_the_moved_corners(angle, scale, flip_x, flip_y):
    matrix = world_matrix(angle, scale, flip=(flip_x, flip_y), shift=(1.0, 2.0, 0.5))
    for box in boxes().tensor.double():
        moved = corners(move_boxes(box[None], matrix)[0].numpy())
        expected = corners(box.numpy()) @ matrix[:3, :3].T + matrix[:3, 3]
        distance = np.linalg.norm(moved[:, None] - expected[None], axis=2)
        assert distance.min(axis=1).max() < 1e-9  # a mirrored box has the same corners in another order
        assert sorted(distance.argmin(axis=1)) == list(range(8))


def test_a_mirrored_heading_points_where_the_mirrored_velocity_points():
    """A car that drives the way it heads still does."""
    yaw = torch.tensor([0.3, -2.0, 3.0])
    car = torch.zeros(3, 9)
    car[:, 3:6], car[:, 6], car[:, 7], car[:, 8] = 1, yaw, 5 * yaw.cos(), 5 * yaw.sin()
    for angle, scale, flip_x, flip_y in CASES:
        moved = move_boxes(car, world_matrix(angle, scale, flip=(flip_x, flip_y), shift=(3, 1, 0)))
        torch.testing.assert_close(torch.atan2(moved[:, 8], moved[:, 7]).cos(), moved[:, 6].cos())
        torch.testing.assert_close(torch.atan2(moved[:, 8], moved[:, 7]).sin(), moved[:, 6].sin())
        torch.testing.assert_close(moved[:, 7:].norm(dim=1), torch.full((3,), 5.0 * scale))


def test_boxes_of_seven_numbers_stay_so_and_unknown_velocities_stay_unknown():
    matrix = world_matrix(30.0)
    assert move_boxes(boxes().tensor[:, :7], matrix).shape == (5, 7)
    unknown = boxes().tensor.clone()
    unknown[2, 7:] = float('nan')
    moved = move_boxes(unknown, matrix)
    assert moved.isnan().sum() == 2
    assert moved[2, 7:].isnan().all()


def test_no_boxes_give_no_boxes():
    results = sample()
    results['gt_bboxes_3d'] = LiDARInstance3DBoxes(torch.zeros(0, 9), box_dim=9)
    assert BEVGlobalAug()(results)['gt_bboxes_3d'].tensor.shape == (0, 9)


def test_the_inverse_matrix_moves_boxes_back():
    matrix = world_matrix(25.0, 1.04, flip=(True, False), shift=(1, 2, 3))
    there = move_boxes(boxes().tensor.double(), matrix)
    torch.testing.assert_close(move_boxes(there, np.linalg.inv(matrix)), boxes().tensor.double())


@pytest.mark.parametrize('seed', range(8))
def test_an_augmented_corner_projects_to_where_the_corner_was(seed):
    """Corner of an augmented box -> G^-1 -> camera -> K -> A is the projection of the corner without augmentation."""
    np.random.seed(seed)
    results = MultiViewImageAug((128, 352), (0.8, 1.2), rotate=(-5, 5), flip=True, training=True)(sample())
    original = boxes().tensor.double()
    matrix = BEVGlobalAug(translate_std=0.5).draw()
    back = np.linalg.inv(matrix)
    for box, moved in zip(original, move_boxes(original, matrix), strict=True):
        augmented = corners(moved.numpy()) @ back[:3, :3].T + back[:3, 3]
        for camera in range(6):
            pixels = projected(augmented, results, camera)
            expected = projected(corners(box.numpy()), results, camera)
            if expected is None or pixels is None:
                assert expected is None
                assert pixels is None
                continue
            gaps = np.linalg.norm(pixels[:, None] - expected[None], axis=2).min(axis=1)
            assert gaps.max() <= 1e-4


def projected(points, results, camera):
    """Pixels of points in an augmented picture, or None where some are not in front of the camera."""
    in_camera = points @ results['lidar2cam'][camera][:3, :3].T + results['lidar2cam'][camera][:3, 3]
    if in_camera[:, 2].min() < 0.5:
        return None
    pixels = in_camera @ results['cam2img'][0, camera][:3, :3].T
    matrix = results['img_aug_matrix'][0, camera]
    return (pixels[:, :2] / pixels[:, 2:]) @ matrix[:2, :2].T + matrix[:2, 3]


def test_everything_in_the_sample_moves_by_the_matrix_it_records():
    before = sample(past=2)
    results = BEVGlobalAug(translate_std=(0.5, 0.5, 0.2))(copy.deepcopy(before))
    matrix = torch.from_numpy(results['lidar_aug_matrix']).float()
    assert not torch.allclose(matrix, torch.eye(4))
    clouds = [(before['points'], results['points']), *zip(before['past_points'], results['past_points'], strict=True)]
    assert len(clouds) == 3
    for old, new in clouds:
        expected = old.tensor[:, :3] @ matrix[:3, :3].T + matrix[:3, 3]
        torch.testing.assert_close(new.tensor[:, :3], expected)
        torch.testing.assert_close(new.tensor[:, 3:], old.tensor[:, 3:])
    old, new = before['gt_bboxes_3d'], results['gt_bboxes_3d']
    assert isinstance(new, LiDARInstance3DBoxes)
    torch.testing.assert_close(
        new.gravity_center, old.gravity_center @ matrix[:3, :3].T + matrix[:3, 3], atol=1e-4, rtol=1e-5
    )
    torch.testing.assert_close(new.tensor[:, 7:], old.tensor[:, 7:] @ matrix[:2, :2].T)


def test_points_in_boxes_stay_in_them():
    """Points and boxes agree: a point at each box's front corner is at the front corner of the augmented box."""
    results = sample()
    front = boxes().tensor.clone()
    points = cloud(5)
    yaw = front[:, 6]
    points.tensor[:, 0] = front[:, 0] + front[:, 3] / 2 * yaw.cos()
    points.tensor[:, 1] = front[:, 1] + front[:, 3] / 2 * yaw.sin()
    points.tensor[:, 2] = front[:, 2]
    results['points'] = points
    out = BEVGlobalAug(translate_std=1.0)(results)
    box = out['gt_bboxes_3d'].tensor
    torch.testing.assert_close(out['points'].tensor[:, 0], box[:, 0] + box[:, 3] / 2 * box[:, 6].cos())
    torch.testing.assert_close(out['points'].tensor[:, 1], box[:, 1] + box[:, 3] / 2 * box[:, 6].sin())


def test_matrices_multiply_when_it_is_applied_twice():
    np.random.seed(1)
    first, second = BEVGlobalAug().draw(), BEVGlobalAug().draw()
    np.random.seed(1)
    out = BEVGlobalAug()(BEVGlobalAug()(sample()))
    np.testing.assert_allclose(out['lidar_aug_matrix'], second @ first)


def test_nothing_that_came_in_is_written_to():
    results = sample(past=1)
    kept = copy.deepcopy(results)
    BEVGlobalAug(translate_std=1.0)(dict(results))
    for key in ('points', 'gt_bboxes_3d'):
        torch.testing.assert_close(results[key].tensor, kept[key].tensor)
    torch.testing.assert_close(results['past_points'][0].tensor, kept['past_points'][0].tensor)
    np.testing.assert_array_equal(results['lidar_aug_matrix'], np.eye(4))


def test_a_sample_of_a_test_pipeline_needs_no_boxes_and_a_lidar_one_no_matrix():
    out = BEVGlobalAug()(dict(points=cloud(4)))
    assert out['lidar_aug_matrix'].shape == (4, 4)
    assert set(out) == {'points', 'lidar_aug_matrix'}


def test_the_draws_have_the_published_ranges():
    matrices = np.array([BEVGlobalAug().draw() for _ in range(500)])
    scales = np.sqrt(np.abs(np.linalg.det(matrices[:, :2, :2])))
    assert 0.95 <= scales.min() < 0.952
    assert 1.048 < scales.max() <= 1.05
    np.testing.assert_allclose(matrices[:, 2, 2], scales)
    signs = np.sign(matrices[:, [0, 1], [0, 1]])  # |angle| < 90 degrees: the diagonal keeps the signs of the mirrorings
    assert (np.abs((signs < 0).mean(axis=0) - 0.5) < 0.1).all()
    angles = np.rad2deg(np.arctan2(matrices[:, 1, 0] * signs[:, 1], matrices[:, 0, 0] * signs[:, 0]))
    assert -22.5 <= angles.min() < -22
    assert 22 < angles.max() <= 22.5
    np.testing.assert_array_equal(matrices[:, :3, 3], 0)


def test_switched_off_it_is_the_identity():
    transform = BEVGlobalAug((0, 0), (1, 1), flip_x=0, flip_y=0)
    np.testing.assert_array_equal(transform.draw(), np.eye(4))


def test_a_positive_angle_turns_counterclockwise_seen_from_above():
    moved = move_points(cloud(1), world_matrix(90.0)).tensor[0]
    x, y = cloud(1).tensor[0, :2]
    torch.testing.assert_close(moved[:2], torch.stack([-y, x]))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(rotate=(1, -1)), 'rotate must be finite'),
        (dict(scale=(0, 1)), 'scale must be positive'),
        (dict(flip_x=1.5), 'flip_x is a probability'),
        (dict(flip_y=-0.1), 'flip_y is a probability'),
        (dict(translate_std=-1.0), 'translate_std must be one or three lengths'),
        (dict(translate_std=(1.0, 2.0)), 'translate_std must be one or three lengths'),
    ],
)
def test_impossible_arguments_are_refused(options, message):
    with pytest.raises(ConfigError, match=f'BEVGlobalAug: {message}'):
        BEVGlobalAug(**options)


def test_other_boxes_are_refused():
    with pytest.raises(ShapeError, match=r'must be \(G, 7\) or \(G, 9\)'):
        move_boxes(torch.zeros(2, 8), np.eye(4))


def test_configs_name_it_and_its_representation_names_every_option():
    transform = TRANSFORMS.build(dict(type='mono_distill.BEVGlobalAug', rotate=[-22.5, 22.5], translate_std=0.5))
    assert repr(transform) == (
        'BEVGlobalAug(rotate=(-22.5, 22.5), scale=(0.95, 1.05), flip_x=0.5, flip_y=0.5, translate_std=[0.5, 0.5, 0.5])'
    )
