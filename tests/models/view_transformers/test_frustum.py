import itertools

import pytest
import torch
from bev_students import camera_inputs, image_matrix, planar, project, rig_cameras

from mono_distill.datasets.transforms.bev_aug import world_matrix
from mono_distill.models.view_transformers.frustum import Cameras, cell_pixels, frame_cameras, frustum_points
from mono_distill.ops.bev_pool import bev_pool, bev_pool_indices
from mono_distill.utils.errors import ConfigError, ShapeError

SIZE = (256, 704)
RANGE = (-51.2, 51.2)
IMAGES = [
    image_matrix(SIZE),
    image_matrix(SIZE, angle=5.4),
    image_matrix(SIZE, flip=True),
    image_matrix(SIZE, angle=-3.0, flip=True, zoom=1.2),
]
WORLDS = [
    torch.from_numpy(world_matrix(angle, scale, flip=flip, shift=shift))
    for angle, scale, flip, shift in [
        (0.0, 1.0, (False, False), (0.0, 0.0, 0.0)),
        (22.5, 1.05, (False, False), (0.0, 0.0, 0.0)),
        (-10.0, 0.95, (True, False), (1.0, -2.0, 0.3)),
        (7.0, 1.0, (False, True), (0.0, 0.0, 0.0)),
        (0.0, 1.0, (True, True), (0.0, 0.0, 0.0)),
    ]
]
AUGMENTATIONS = [*itertools.product(IMAGES, WORLDS[1:3]), *itertools.product(IMAGES[:1], WORLDS)]


def visible(cameras, camera, count=2000):
    """LiDAR points that a camera sees, with their pixels and depths."""
    low, high = torch.tensor([-33.0, -33.0, -3.0]), torch.tensor([33.0, 33.0, 1.0])
    points = low + (high - low) * torch.rand(count, 3, dtype=torch.float64)
    pixels, depths = project(points, cameras, camera)
    inside = (depths > 2) & (pixels >= 0).all(1) & (pixels[:, 0] < SIZE[1]) & (pixels[:, 1] < SIZE[0])
    return points[inside], pixels[inside], depths[inside]


@pytest.mark.parametrize(('image', 'world'), AUGMENTATIONS)
def test_a_pixel_at_the_depth_of_its_point_is_lifted_to_the_point(image, world):
    cameras = rig_cameras(image, world)
    for camera in range(6):
        points, pixels, depths = (found[:20] for found in visible(cameras, camera))
        assert len(points) > 3
        lifted = frustum_points(pixels[None], depths, Cameras(*(matrix.float() for matrix in cameras)))[0, camera]
        # Every pixel at every depth: its own is on the diagonal.
        lifted = lifted[:, 0].diagonal().T
        expected = points @ world[:3, :3].T + world[:3, 3]
        assert torch.allclose(lifted.double(), expected, atol=2e-3)


@pytest.mark.parametrize(('image', 'world'), AUGMENTATIONS)
def test_a_bin_at_the_true_depth_fills_the_cell_of_the_augmented_point(image, world):
    cameras = rig_cameras(image, world)
    for camera in range(6):
        for point, pixel, depth in zip(*(found[:6] for found in visible(cameras, camera)), strict=True):
            lifted = frustum_points(pixel[None, None], depth[None], cameras)[:, camera : camera + 1]
            indices = bev_pool_indices(lifted, (128, 128), x_range=RANGE, y_range=RANGE, z_range=(-9.0, 9.0))
            one = torch.ones(1, 1, 1, 1, 1, dtype=torch.float64)
            [filled] = bev_pool(one, one, indices)[0, 0].nonzero().tolist()
            x, y, _ = world[:3, :3] @ point + world[:3, 3]
            assert filled == [int((y + 51.2) // 0.8), int((x + 51.2) // 0.8)]


def test_an_object_ahead_lies_in_the_upper_rows_and_one_to_the_right_in_the_right_columns():
    cameras = rig_cameras()
    for camera, axis, sign in ((0, 1, 1), (3, 1, -1), (1, 0, 1), (2, 0, -1), (4, 0, -1), (5, 0, 1)):
        middle = frustum_points(torch.tensor([[[800.0, 450.0]]]), torch.tensor([20.0]), cameras)[0, camera].flatten()
        assert sign * middle[axis] > 10


def test_points_are_those_of_the_full_chain_of_matrices():
    cameras = rig_cameras(IMAGES[3], WORLDS[2], pose=planar(10.0, 3.0, -4.0))
    pixels, depths = cell_pixels((4, 11), 64), torch.tensor([2.0, 30.0, 57.5])
    points = frustum_points(pixels, depths, cameras)
    for n, d, v, u in [(0, 0, 0, 0), (5, 2, 3, 10), (3, 1, 2, 5)]:
        original = torch.linalg.inv(cameras.img_aug_matrix[0, n]) @ torch.tensor(
            [*pixels[v, u].tolist(), 0.0, 1.0], dtype=torch.float64
        )
        depth = depths[d].double()
        homogeneous = torch.stack([original[0] * depth, original[1] * depth, depth, torch.ones_like(depth)])
        camera = torch.linalg.inv(cameras.cam2img[0, n]) @ homogeneous
        expected = cameras.lidar_aug_matrix[0] @ cameras.cam2lidar[0, n] @ camera
        assert torch.allclose(points[0, n, d, v, u], expected[:3], atol=1e-9)


def test_geometry_stays_in_full_precision_under_autocast():
    cameras = Cameras(*(matrix.float() for matrix in rig_cameras(IMAGES[0])))
    pixels, depths = cell_pixels((2, 3), 16), torch.tensor([50.0])
    with torch.autocast('cpu', dtype=torch.bfloat16):
        points = frustum_points(pixels, depths, cameras)
    assert points.dtype == torch.float32
    assert torch.equal(points, frustum_points(pixels, depths, cameras))


def test_cell_pixels_are_the_middle_of_the_cell_or_spread_to_the_rim():
    centre = cell_pixels((16, 44), 16)
    assert centre[0, 0].tolist() == [7.5, 7.5]
    assert centre[15, 43].tolist() == [695.5, 247.5]
    spread = cell_pixels((16, 44), 16, mode='linspace')
    assert spread[0, 0].tolist() == [0.0, 0.0]
    assert spread[15, 43].tolist() == [703.0, 255.0]
    assert spread[0, 1, 0].item() == pytest.approx(703 / 43)
    with pytest.raises(ConfigError, match='frustum_mode'):
        cell_pixels((1, 1), 16, mode='corner')


def test_frames_are_folded_into_the_batch_with_frames_fastest():
    inputs = camera_inputs(batch=2, frames=3)
    inputs['cam2img'][1, 2, 4, 0, 0] = 5.0
    inputs['lidar_aug_matrix'][1, 0, 3] = 7.0
    folded = frame_cameras(inputs, slice(1, 3))
    assert folded.cam2img.shape == (4, 6, 4, 4)
    assert folded.cam2img[3, 4, 0, 0] == 5.0
    assert folded.lidar_aug_matrix[:, 0, 3].tolist() == [0.0, 0.0, 7.0, 7.0]
    assert torch.equal(folded.cam2lidar[1], inputs['cam2lidar'][0, 2])
    assert frame_cameras(inputs, 0).cam2lidar.shape == (2, 6, 4, 4)


def test_matrices_that_do_not_fit_are_named():
    inputs = camera_inputs()
    with pytest.raises(ConfigError, match='lack cam2lidar'):
        frame_cameras({key: value for key, value in inputs.items() if key != 'cam2lidar'}, 0)
    with pytest.raises(ShapeError, match='same frames and cameras'):
        frame_cameras({**inputs, 'cam2img': inputs['cam2img'][:, :, :5]}, 0)
    with pytest.raises(ShapeError, match='lidar_aug_matrix'):
        frame_cameras({**inputs, 'lidar_aug_matrix': torch.eye(4)}, 0)
