from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
import torch
from multi_view_samples import cam2img, lidar2cam, sample
from nuscenes.utils.geometry_utils import view_points

from mono_distill.datasets.transforms import MultiViewImageAug
from mono_distill.datasets.transforms.multi_view_image_aug import ImageDraw, image_aug_matrix, warp_picture
from mono_distill.models.bevformer.geometry import lidar_to_image, view_pillars
from mono_distill.models.view_transformers.frustum import Cameras, frustum_points
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import ConfigError, ShapeError

PUBLISHED = dict(size=(256, 704), resize=(0.386 / 0.44, 0.55 / 0.44), rotate=(-5.4, 5.4), flip=True, training=True)
DRAWS = [
    ImageDraw(*values)
    for values in itertools.product((0.88, 1.0, 1.25), (0.0, 0.7), (0.0, 0.1), (False, True), (0.0, -5.4, 12.0))
]


def moved_step_by_step(pixel, source, size, draw):
    """Where a pixel goes, one step after the other, each as it is done to a picture, from its outer corner."""
    height, width = source
    scale = draw.resize * max(size[0] / height, size[1] / width)
    u, v = (pixel[0] + 0.5) * scale, (pixel[1] + 0.5) * scale
    u -= draw.left * max(0, width * scale - size[1])
    v -= height * scale * (1 - draw.bottom) - size[0]
    if draw.flip:
        u = size[1] - u
    angle = np.deg2rad(draw.angle)
    right, up = u - size[1] / 2, -(v - size[0] / 2)
    turned = complex(right, up) * complex(np.cos(angle), np.sin(angle))
    return turned.real + size[1] / 2 - 0.5, -turned.imag + size[0] / 2 - 0.5


def painted(pixel, source, radius):
    """A soft white dot on black, gone at ``radius`` pixels from its middle."""
    rows, columns = np.mgrid[: source[0], : source[1]]
    distance = np.hypot(columns - pixel[0], rows - pixel[1])
    dot = np.rint(255 * np.cos(np.minimum(distance / radius, 1) * np.pi / 2) ** 2)
    return np.repeat(dot.astype(np.uint8)[..., None], 3, axis=2)


def found(picture):
    """The middle of what is bright, as a pixel position."""
    weights = picture[..., 0].astype(float)
    rows, columns = np.mgrid[: weights.shape[0], : weights.shape[1]]
    return (columns * weights).sum() / weights.sum(), (rows * weights).sum() / weights.sum()


@pytest.mark.parametrize('draw', DRAWS)
def test_a_point_of_the_world_lands_where_the_devkit_projects_it_and_the_picture_shows_it_there(draw):
    source, size = (450, 800), (128, 352)
    points = np.array([[0.3, 12.0, -0.6], [-1.5, 20.0, -1.2], [2.0, 9.0, -0.9]]).T
    in_camera = lidar2cam(0.0)[:3, :3] @ points + lidar2cam(0.0)[:3, 3:]
    pixels = view_points(in_camera, cam2img(source), normalize=True)[:2].T
    matrix = image_aug_matrix(source, size, draw)
    for pixel in pixels:
        expected = moved_step_by_step(pixel, source, size, draw)
        moved = matrix[:2, :2] @ pixel + matrix[:2, 3]
        np.testing.assert_allclose(moved, expected, atol=1e-9)
        if all(8 < position < limit - 8 for position, limit in zip(moved, size[::-1], strict=True)):
            warped = warp_picture(painted(pixel, source, 8.0), matrix, size)
            assert np.hypot(*np.subtract(found(warped), moved)) < 0.1


@pytest.mark.parametrize('draw', DRAWS[::5])
def test_students_look_for_a_point_at_the_pixel_that_shows_it(draw):
    """End to end, as BEVFormer projects and as the lift-splat students lift, whose pixel centres are whole numbers."""
    source, size, point = (450, 800), (128, 352), np.array([0.1, 12.0, -0.6])
    rig = [lidar2cam(0.0), cam2img(source), image_aug_matrix(source, size, draw)]
    pixel = rig[1][:3, :3] @ (rig[0][:3, :3] @ point + rig[0][:3, 3])
    depth = pixel[2]
    shown = found(warp_picture(painted(pixel[:2] / depth, source, 8.0), rig[2], size))
    to_lidar, intrinsics, image = (
        torch.from_numpy(np.eye(4)[None, None] @ full)
        for full in (np.linalg.inv(rig[0]), np.pad(rig[1][:3, :3], (0, 1)) + np.diag([0, 0, 0, 1]), rig[2])
    )
    cameras = Cameras(intrinsics, to_lidar, image, torch.eye(4, dtype=torch.float64)[None])
    lifted = frustum_points(torch.tensor([[shown]]), torch.tensor([depth]), cameras).flatten().numpy()
    # A tenth of a pixel of the input, twelve metres away.
    np.testing.assert_allclose(lifted, point, atol=0.1 * depth / (image[0, 0].det().abs().sqrt().item() * rig[1][0, 0]))
    views = view_pillars(
        torch.tensor(point, dtype=torch.float32).view(1, 1, 3), lidar_to_image(*cameras), image_size=size
    )
    share = (np.array(shown) + 0.5) / size[::-1]
    np.testing.assert_allclose(views.locations.flatten().numpy() * size[::-1], share * size[::-1], atol=0.1)


def test_some_of_those_dots_were_inside_the_picture():
    inside = [image_aug_matrix((450, 800), (128, 352), draw) @ [400, 300, 0, 1] for draw in DRAWS]
    assert sum(8 < u < 344 and 8 < v < 120 for u, v, *_ in inside) > len(DRAWS) / 2


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('angle', [0.0, 5.0])
def test_every_random_matrix_moves_the_content_of_every_camera(flip, angle):
    """The transform itself, matrices against content, with a dot in every picture of every frame."""
    np.random.seed(4)
    results = sample(frames=2, cameras=6, size=(180, 320))
    dots = np.random.uniform([130, 95], [190, 150], size=(2, 6, 2))
    results['img'] = [[painted(dots[time, camera], (180, 320), 8) for camera in range(6)] for time in range(2)]
    transform = MultiViewImageAug((96, 192), (0.9, 1.3), rotate=(-angle, angle), flip=flip, training=True)
    out = transform(results)
    for time, camera in np.ndindex(2, 6):
        matrix = out['img_aug_matrix'][time, camera]
        expected = matrix[:2, :2] @ dots[time, camera] + matrix[:2, 3]
        assert np.hypot(*np.subtract(found(out['img'][time][camera]), expected)) < 0.1


def test_the_test_form_is_the_published_one_with_pixel_centres_at_whole_numbers():
    out = MultiViewImageAug((256, 704))(sample(cameras=2, size=(900, 1600)))
    expected = np.eye(4)
    expected[:2] = [[0.44, 0, 0, -0.28], [0, 0.44, 0, -140.28]]
    np.testing.assert_allclose(out['img_aug_matrix'], np.tile(expected, (1, 2, 1, 1)), atol=1e-9)
    assert out['img'][0][1].shape == (256, 704, 3)
    assert out['img_shape'] == (256, 704)
    np.testing.assert_array_equal(out['img_ori_shape'], [[900, 1600]] * 2)


def test_the_test_form_cuts_the_mean_of_the_bottom():
    matrix = MultiViewImageAug((256, 704), crop_bottom=(0.0, 0.2))(sample(size=(900, 1600)))['img_aug_matrix'][0, 0]
    assert matrix[1, 3] == pytest.approx(-(0.9 * 396 - 256) + 0.22 - 0.5)


def test_training_draws_the_published_ranges():
    factors, lefts, flips, angles = [], [], 0, []
    transform = MultiViewImageAug(**PUBLISHED)
    for _ in range(600):
        draw = transform.draw()
        matrix = image_aug_matrix((900, 1600), (256, 704), draw._replace(angle=0.0, flip=False))
        factors.append(matrix[0, 0])
        half = matrix[0, 0] / 2 - 0.5
        lefts.append(-(matrix[0, 3] - half) / max(1600 * matrix[0, 0] - 704, 1e-9))
        assert matrix[1, 3] - half == pytest.approx(256 - 900 * matrix[0, 0])
        flips += draw.flip
        angles.append(draw.angle)
    assert 0.386 <= min(factors) < 0.39
    assert 0.546 < max(factors) <= 0.55
    assert min(lefts) >= 0
    assert 0.98 < max(lefts) <= 1
    assert 240 < flips < 360
    assert -5.4 <= min(angles) < -5.2
    assert 5.2 < max(angles) <= 5.4


def test_pictures_stored_at_half_the_size_are_augmented_alike():
    full, half = sample(size=(900, 1600)), sample(size=(450, 800))
    matrices = []
    for results in (full, half):
        np.random.seed(7)
        matrices.append(MultiViewImageAug(**PUBLISHED)(results)['img_aug_matrix'])
    to_full = np.diag([2.0, 2.0, 1.0, 1.0])
    # The centre of a pixel of the half lies between two of the full picture.
    to_full[:2, 3] = 0.5
    np.testing.assert_allclose(matrices[1], matrices[0] @ to_full, atol=1e-9)


def test_frames_of_a_camera_share_their_draw_and_cameras_do_not():
    matrices = MultiViewImageAug((64, 128), (0.9, 1.2), training=True)(sample(frames=3))['img_aug_matrix']
    np.testing.assert_array_equal(matrices[1:], matrices[:1].repeat(2, axis=0))
    assert len({float(matrix[0, 0]) for matrix in matrices[0]}) == 6


def test_the_same_seed_draws_the_same():
    outs = []
    for _ in range(2):
        np.random.seed(11)
        outs.append(MultiViewImageAug(**PUBLISHED)(sample(size=(180, 320))))
    np.testing.assert_array_equal(outs[0]['img'][0][3], outs[1]['img'][0][3])


def test_the_identity_changes_no_pixel():
    results = sample(size=(64, 128))
    before = [picture.copy() for picture in results['img'][0]]
    np.testing.assert_array_equal(MultiViewImageAug((64, 128))(results)['img'][0], before)


def test_a_mirrored_picture_is_exactly_mirrored():
    picture = sample(size=(64, 128))['img'][0][0]
    mirrored = warp_picture(picture, image_aug_matrix((64, 128), (64, 128), ImageDraw(flip=True)), (64, 128))
    np.testing.assert_array_equal(mirrored, picture[:, ::-1])


@pytest.mark.parametrize('shrink', [2, 3, 4, 7])
def test_fine_stripes_turn_grey_instead_of_aliasing(shrink):
    stripes = np.zeros((120 * shrink, 160 * shrink, 3), np.uint8)
    stripes[:, ::2] = 255
    matrix = np.diag([1 / shrink, 1 / shrink, 1.0, 1.0])
    matrix[:2, 3] = 0.5 / shrink - 0.5
    grey = warp_picture(stripes, matrix, (120, 160))[8:-8, 8:-8].astype(int)
    assert np.abs(grey - 127.5).max() < 43  # bilinear resampling alone gives 0 or 255
    if shrink == 2:
        alone = cv2.warpAffine(stripes, np.diag([0.5, 0.5, 1.0])[:2], (160, 120))
        assert np.abs(alone[8:-8, 8:-8].astype(int) - 127.5).max() > 120


def test_what_the_source_does_not_show_is_black():
    results = sample(size=(90, 160))
    results['img'] = [[np.full((90, 160, 3), 200, np.uint8)] * 6]
    out = MultiViewImageAug((90, 160), (0.5, 0.5), training=True)(results)['img'][0][0]
    assert (out[46:, :79] == 200).all()
    assert (out[:44] == 0).all()
    assert (out[:, 81:] == 0).all()


def test_the_matrix_and_pictures_that_came_in_are_not_written_to():
    results = sample()
    matrices, picture = results['img_aug_matrix'], results['img'][0][0]
    copies = matrices.copy(), picture.copy()
    MultiViewImageAug((64, 128), flip=True, training=True)(results)
    np.testing.assert_array_equal(matrices, copies[0])
    np.testing.assert_array_equal(picture, copies[1])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(size=(0, 4)), 'size must be'),
        (dict(size=(4, 4, 3)), 'size must be'),
        (dict(size=(4, 4), resize=(0.0, 1.0)), 'resize must be positive'),
        (dict(size=(4, 4), resize=(1.2, 1.0)), 'resize must be finite with lower <= upper'),
        (dict(size=(4, 4), crop_bottom=(0.0, 1.0)), 'crop_bottom must lie in'),
        (dict(size=(4, 4), rotate=5.4), 'rotate must be a pair'),
    ],
)
def test_impossible_arguments_are_refused(options, message):
    with pytest.raises(ConfigError, match=f'MultiViewImageAug: {message}'):
        MultiViewImageAug(**options)


def test_what_is_missing_is_named():
    with pytest.raises(ConfigError, match='found no img; put mono_distill.LoadMultiViewImages'):
        MultiViewImageAug((4, 4))({})


def test_a_second_one_is_refused():
    results = MultiViewImageAug((64, 128))(sample())
    with pytest.raises(ConfigError, match='only once'):
        MultiViewImageAug((64, 128))(results)


def test_a_grey_picture_is_refused():
    results = sample()
    results['img'][0][2] = results['img'][0][2][..., 0]
    with pytest.raises(ShapeError, match=r'must be \(H, W, 3\), got \(90, 160\)'):
        MultiViewImageAug((64, 128))(results)


def test_configs_name_it_and_its_representation_names_every_option():
    transform = TRANSFORMS.build(dict(type='mono_distill.MultiViewImageAug', **PUBLISHED))
    for option in PUBLISHED:
        assert f'{option}=' in repr(transform)
