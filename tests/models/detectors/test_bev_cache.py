import copy
import pickle

import pytest
import torch
from bev_students import image_matrix, planar, project, rig_cameras

from mono_distill.models.detectors import BEVCache
from mono_distill.models.detectors.bev_cache import MapPose, map_pose, warp_bev
from mono_distill.models.view_transformers import Cameras, LSSViewTransformer
from mono_distill.utils.errors import ConfigError, DataError, ShapeError

RANGE = (-8.0, 8.0)


def pose(timestamp, scene='a'):
    return MapPose(scene, timestamp, torch.eye(4, dtype=torch.float64))


def bev(value=0.0):
    return torch.full((1, 2, 2), value)


def test_it_remembers_the_last_maps_latest_first():
    cache = BEVCache(2)
    assert cache.previous(pose(0.0)) == [None, None]
    for step in range(3):
        cache.push(pose(0.5 * step), bev(step))
    found = cache.previous(pose(1.5))
    assert [entry[1][0, 0, 0].item() for entry in found] == [2.0, 1.0]
    assert len(cache) == 2


def test_another_scene_has_no_past():
    cache = BEVCache(2)
    cache.push(pose(0.0), bev())
    assert cache.previous(pose(0.5, 'b')) == [None, None]
    cache.push(pose(0.5, 'b'), bev())
    assert len(cache) == 1


@pytest.mark.parametrize(('now', 'found'), [(0.5, True), (1.0, True), (1.1, False), (0.0, False), (-0.5, False)])
def test_only_what_is_earlier_and_recent_counts(now, found):
    cache = BEVCache(1, max_gap=1.0)
    cache.push(pose(0.0), bev())
    assert (cache.previous(pose(now))[0] is not None) == found


def test_copies_are_empty():
    cache = BEVCache(3, max_gap=2.0)
    cache.push(pose(0.0), bev())
    for copied in (copy.deepcopy(cache), pickle.loads(pickle.dumps(cache))):
        assert (len(copied), copied.num_previous, copied.max_gap) == (0, 3, 2.0)
    cache.clear()
    assert len(cache) == 0


def test_what_is_remembered_has_no_graph():
    cache = BEVCache(1)
    cache.push(pose(0.0), bev().requires_grad_() * 2)
    assert not cache.previous(pose(0.5))[0][1].requires_grad


def test_a_pose_undoes_the_augmentation():
    meta = dict(
        scene_token='a',
        timestamp=3.0,
        ego2global=planar(30.0, 600.0, 1600.0).numpy(),
        lidar2ego=planar(-90.0, 0.9, 0.0, 1.8).numpy(),
        lidar_aug_matrix=planar(10.0).numpy(),
    )
    found = map_pose(meta)
    point = torch.tensor([1.0, 2.0, 3.0, 1.0], dtype=torch.float64)
    world = planar(30.0, 600.0, 1600.0) @ planar(-90.0, 0.9, 0.0, 1.8) @ point
    assert torch.allclose(found.map2global @ (planar(10.0) @ point), world, atol=1e-9)
    with pytest.raises(DataError, match='lidar2ego'):
        map_pose({**meta, 'lidar2ego': None})


def test_a_shift_by_whole_cells_moves_the_map():
    maps = torch.randn(2, 3, 16, 16)
    # What lies at x in the current frame lay at x + 2 in the source.
    moved = warp_bev(maps, planar(x=2.0).expand(2, 4, 4), x_range=RANGE, y_range=RANGE)
    assert torch.allclose(moved[..., :-2], maps[..., 2:], atol=1e-5)
    assert (moved[..., -2:] == 0).all()


def test_a_quarter_turn():
    maps = torch.randn(1, 2, 16, 16)
    turned = warp_bev(maps, planar(90.0)[None], x_range=RANGE, y_range=RANGE)
    # The value at (x, y) was at (-y, x).
    assert torch.allclose(turned[0, :, 10, 3], maps[0, :, 3, 16 - 1 - 10], atol=1e-4)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match='warp_bev'):
        warp_bev(torch.zeros(2, 1, 4, 4), torch.eye(4)[None], x_range=RANGE, y_range=RANGE)
    with pytest.raises(ConfigError, match='BEVCache'):
        BEVCache(0)


SIZE = (256, 704)
CELLS = (16, 44)
# Where the previous LiDAR frame lies in the current one: the car has driven ahead and turned.
PREVIOUS2CURRENT = planar(6.0, 0.7, -2.9)


def rig(pose=None):
    return Cameras(*(matrix.float() for matrix in rig_cameras(image_matrix(SIZE), pose=pose)))


def lidar_depth(points):
    """Nearest depth of each cell, (1, 6, h, w), of points in the frame of the cameras."""
    depth = torch.full((6, *CELLS), float('inf'))
    for camera in range(6):
        pixels, depths = project(points, rig_cameras(image_matrix(SIZE)), camera)
        for (u, v), z in zip((pixels / 16).tolist(), depths.tolist(), strict=True):
            if z > 1 and 0 <= u < CELLS[1] and 0 <= v < CELLS[0]:
                depth[camera, int(v), int(u)] = min(depth[camera, int(v), int(u)], z)
    return torch.where(depth.isfinite(), depth, 0)[None]


def centre_of_mass(bev):
    cells = (torch.arange(128) + 0.5) * 0.8 - 51.2
    mass = bev[0, 0]
    assert mass.sum() > 0
    return torch.stack([(mass.sum(0) * cells).sum(), (mass.sum(1) * cells).sum()]) / mass.sum()


@pytest.mark.parametrize('place', [(2.0, 15.0), (-9.0, 22.0), (14.0, -8.0), (-3.0, -18.0)])
def test_a_standing_object_lies_in_one_place_whichever_frame_saw_it(place):
    spread = 0.8 * torch.rand(400, 3, dtype=torch.float64) - torch.tensor([0.4, 0.4, 1.4])
    now = torch.tensor([*place, 0.0], dtype=torch.float64) + spread
    homogeneous = torch.cat([now, torch.ones(400, 1)], 1)
    before = (homogeneous @ torch.linalg.inv(PREVIOUS2CURRENT).T)[:, :3]
    transformer = LSSViewTransformer(4, 1, bin_position='center')
    maps = []
    for points, pose in ((now, None), (before, PREVIOUS2CURRENT)):
        known = transformer.known_depth(lidar_depth(points))
        maps.append(transformer.pool(torch.ones(1, 6, 1, *CELLS), known, rig(pose)))
    current, previous = (centre_of_mass(bev) for bev in maps)
    assert (current - torch.tensor(place)).abs().max() < 0.8
    assert (current - previous).abs().max() < 0.8


def test_warping_a_map_is_nearly_lifting_it_there():
    transformer = LSSViewTransformer(4, 2, x_bound=(-51.2, 51.2, 1.6), y_bound=(-51.2, 51.2, 1.6))
    smooth = torch.nn.functional.interpolate(torch.randn(6, 3, 4, 8), CELLS, mode='bicubic')
    far = 22 + 6 * smooth[:, :1]
    bins = transformer.bin_depths.view(1, -1, 1, 1)
    depth = (-((bins - far) / 5).square()).softmax(1)[None]
    context = 1 + smooth[None, :, 1:]
    lifted = transformer.pool(context, depth, rig(PREVIOUS2CURRENT))
    current2previous = torch.linalg.inv(PREVIOUS2CURRENT)[None]
    grid = transformer.grid
    warped = warp_bev(
        transformer.pool(context, depth, rig()), current2previous, x_range=grid.x_range, y_range=grid.y_range
    )
    unmoved = transformer.pool(context, depth, rig())
    correlation = [
        torch.corrcoef(torch.stack([lifted.flatten(), other.flatten()]))[0, 1] for other in (warped, unmoved)
    ]
    assert correlation[0] > 0.95
    assert correlation[1] < 0.9, correlation
