"""The kernels that benchmarks/kernels.py compares, with their inputs at the published training sizes."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator

import reference_kernels as reference
import torch
from comparison import Case
from torch import Tensor

import mono_distill  # noqa: F401  (prepares mmcv-lite before mmdet3d is imported)
from mono_distill.ops import (
    bev_box_scales,
    bev_key_points,
    bev_pool,
    bev_pool_indices,
    center_head_targets,
    depth_bin_targets,
    depth_to_index,
    frustum_lift,
    frustum_lift_indices,
    gaussian_heatmaps,
    one_hot_depth,
    rotated_iou,
    rotated_iou_bev,
    sample_bev,
    soft_rank,
    voxelize_batch,
)

REACH, MAP = 51.2, (128, 128)
BEV = dict(x_range=(-REACH, REACH), y_range=(-REACH, REACH))
TASKS = (1, 2, 2, 1, 2, 2)


def nuscenes_rig() -> Tensor:
    """Frustum points of a nominal rig of six cameras in the frame of the map: ``(1, 6, 112, 16, 44, 3)``."""
    yaw = torch.tensor([0.0, 55.0, 110.0, 180.0, 250.0, 305.0]).deg2rad().view(6, 1, 1, 1)
    focal = 1266 * 0.44
    right = ((torch.linspace(0, 703, 44) - 352) / focal).view(1, 1, 1, 44)
    down = ((torch.linspace(0, 255, 16) - 116) / focal).view(1, 1, 16, 1)
    depth = torch.arange(2, 58, 0.5).view(1, 112, 1, 1)
    ahead, left = (depth + 1).expand(6, 112, 16, 44), (-right * depth).expand(6, 112, 16, 44)
    x, y = yaw.cos() * ahead - yaw.sin() * left, yaw.sin() * ahead + yaw.cos() * left
    return torch.stack([x, y, (-0.34 - down * depth).expand_as(x)], -1).unsqueeze(0)


def kitti_coordinates() -> Tensor:
    """Voxel centres in the frustum of KITTI's left colour camera, as CaDDN normalises: ``(1, 10, 188, 140, 3)``."""
    z, y, x = torch.meshgrid(
        -3 + (torch.arange(10) + 0.5) * 0.4,
        -30.08 + (torch.arange(188) + 0.5) * 0.32,
        2 + (torch.arange(140) + 0.5) * 0.32,
        indexing='ij',
    )
    depth = x - 0.27
    places = (721.5 * -y / depth + 609.6, 721.5 * (-z - 0.08) / depth + 172.9, depth_to_index(depth))
    grid = torch.stack([2 * c / (n - 1) - 1 for c, n in zip(places, (1242, 375, 120), strict=True)], -1)
    return torch.where(grid.isfinite(), grid, -2.0).unsqueeze(0)


def random_boxes(batch: int, count: int) -> Tensor:
    """Boxes of traffic all over the map: x, y, z, dx, dy, dz, yaw, velocity."""
    low = torch.tensor([-50.0, -50.0, -1.0, 0.6, 0.6, 1.4, -3.1, -5.0, -5.0])
    high = torch.tensor([50.0, 50.0, 0.0, 9.0, 2.8, 3.5, 3.1, 5.0, 5.0])
    return low + (high - low) * torch.rand(batch, count, 9)


def kernels() -> Iterator[Case]:
    """All rows, each with inputs of its own so that they need not be held together."""
    yield from pooling()
    yield from lifting()
    yield from drawing()
    yield from sampling()
    yield from collecting()
    yield from pillar_maps()
    yield from overlaps()
    yield from ranking()


def pooling() -> Iterator[Case]:
    """BEV pooling, and what prepares it."""
    points = nuscenes_rig()
    ranges = dict(**BEV, z_range=(-5.0, 3.0))
    cells = reference.bev_cells(points, MAP, REACH)
    indices = bev_pool_indices(points, MAP, **ranges)
    context = torch.randn(1, 6, 80, 16, 44, requires_grad=True)
    depth = torch.randn(1, 6, 112, 16, 44).softmax(2).requires_grad_()
    yield Case(
        'BEV pooling, six cameras',
        'frustum volume + index_add',
        lambda: reference.bev_pool(context, depth, cells, MAP),
        lambda: bev_pool(context, depth, indices),
        leaves=[context, depth],
        inputs=[indices.points, indices.plan.rows],
    )
    yield Case(
        'BEV pooling, indices',
        "BEVPoolV2's ranks (one order)",
        lambda: reference.bev_pool_ranks(reference.bev_cells(points, MAP, REACH), 6 * 16 * 44, 112)[0],
        lambda: bev_pool_indices(points, MAP, **ranges).plan.bags,
        keys=cells[cells >= 0],
    )


def lifting() -> Iterator[Case]:
    """The factorised lift and the depth it is fed with."""
    coordinates = kitti_coordinates()
    indices = frustum_lift_indices(coordinates, (120, 47, 156))
    context = torch.randn(1, 64, 47, 156, requires_grad=True)
    depth = torch.randn(1, 120, 47, 156).softmax(1).requires_grad_()
    yield Case(
        'frustum lift, KITTI voxels',
        'outer product + grid_sample',
        lambda: reference.frustum_lift(context, depth, coordinates),
        lambda: frustum_lift(context, depth, indices),
        leaves=[context, depth],
        inputs=[indices.plan.rows, indices.near, indices.near_weights, indices.far_weights],
    )
    targets = depth_bin_targets(torch.rand(1, 47, 156) * 60)
    yield Case(
        'one-hot depth, 120 bins',
        'loop over pixels',
        lambda: reference.one_hot_depth(targets, 120),
        lambda: one_hot_depth(targets, 120),
        inputs=[targets],
    )


def drawing() -> Iterator[Case]:
    """Rasters and targets: batch 4, 40 objects each."""
    boxes, labels = random_boxes(4, 40), torch.randint(10, (4, 40))
    yield Case(
        'CenterHead targets, 4 x 40 objects',
        "mmdet3d's get_targets",
        core_targets(boxes, labels),
        lambda: torch.cat(center_head_targets(boxes, labels, TASKS, MAP, **BEV).heatmaps, 1),
        inputs=[boxes, labels],
    )
    centres = torch.stack([torch.randint(320, (4, 20)), torch.randint(96, (4, 20))], -1)
    radii = torch.randint(1, 20, (4, 20))
    yield Case(
        'Gaussian heatmaps, 4 x 20 objects, 96 x 320',
        "mmdet3d's draw_heatmap_gaussian",
        lambda: mmdet3d_heatmaps(centres, radii, (96, 320)),
        lambda: gaussian_heatmaps(centres, radii, (96, 320)),
        inputs=[centres, radii],
    )
    yield Case(
        'rotated box scales, 4 x 40 boxes',
        'loop over boxes',
        lambda: reference.bev_box_scales(boxes, MAP, REACH),
        lambda: bev_box_scales(boxes, MAP, **BEV),
        inputs=[boxes],
    )


def sampling() -> Iterator[Case]:
    """Features at the key points of boxes: batch 4, 40 boxes each."""
    boxes, features = random_boxes(4, 40), torch.randn(4, 80, *MAP, requires_grad=True)
    yield Case(
        'nine key points sampled, 4 x 40 boxes',
        'loop over boxes, grid_sample per sample',
        lambda: reference.key_point_features(features, boxes, REACH),
        lambda: sample_bev(features, bev_key_points(boxes), **BEV),
        leaves=[features],
        inputs=[boxes],
    )


def collecting() -> Iterator[Case]:
    """Points of nuScenes' clouds of ten sweeps in pillars of 0.2 m: batch 4, each with one past cloud."""
    from mmdet3d.models.data_preprocessors.voxelize import VoxelizationByGridShape

    grid = dict(voxel_size=[0.2, 0.2, 8.0], point_cloud_range=[-REACH, -REACH, -5.0, REACH, REACH, 3.0])
    limits = dict(max_num_points=20, max_voxels=30000)
    clouds = [torch.randn(250000, 5) * torch.tensor([15.0, 15.0, 1.0, 1.0, 1.0]) for _ in range(8)]
    layer = VoxelizationByGridShape(**grid, **limits)
    cells = ((torch.cat(clouds)[:, :2] + REACH) / 0.2).int()
    yield Case(
        'hard voxels, 8 clouds of 250000 points',
        "mmdet3d's layer, cloud by cloud",
        lambda: torch.cat([layer(cloud)[0] for cloud in clouds]),
        lambda: voxelize_batch(clouds, **grid, **limits)['voxels'],
        keys=cells[:, 1] * 512 + cells[:, 0],
    )


def pillar_maps() -> Iterator[Case]:
    """A frozen CenterPoint up to its backbone: two clouds of 20000 pillars of 0.2 m, mmdet3d's parts and ours."""
    from mmdet3d.models import SECOND
    from mmdet3d.models.middle_encoders import PointPillarsScatter
    from mmdet3d.models.voxel_encoders import PillarFeatureNet

    from mono_distill.models.detectors.pillar_parts import BatchPillarsScatter, LeanPillarFeatureNet

    points, counts = torch.randn(40000, 20, 5), torch.randint(1, 21, (40000,))
    points *= (torch.arange(20) < counts[:, None])[..., None]
    cells = torch.cat([torch.randperm(512 * 512)[:20000] for _ in range(2)])
    sample = torch.arange(2).repeat_interleave(20000)
    coors = torch.stack([sample, torch.zeros_like(cells), cells // 512, cells % 512], 1)
    grid = dict(voxel_size=(0.2, 0.2, 8), point_cloud_range=(-REACH, -REACH, -5.0, REACH, REACH, 3.0), legacy=False)
    backbone = SECOND(64, [64, 128, 256], [3, 5, 5], [2, 2, 2], norm_cfg=dict(type='BN')).eval()

    def encoder(parts: tuple[type, type]) -> Callable[[], Tensor]:
        torch.manual_seed(0)
        pillars = parts[0](5, (64,), norm_cfg=dict(type='BN1d'), **grid).eval()
        scatter = parts[1](64, (512, 512))
        return torch.no_grad()(lambda: backbone(scatter(pillars(points, counts, coors), coors, 2))[-1])

    yield Case(
        'pillars to maps without gradients, 2 clouds of 20000 pillars',
        "mmdet3d's encoder and scatter",
        encoder((PillarFeatureNet, PointPillarsScatter)),
        encoder((LeanPillarFeatureNet, BatchPillarsScatter)),
        inputs=[points],
    )


def overlaps() -> Iterator[Case]:
    """Rotated overlap of all pairs."""
    columns = [0, 1, 3, 4, 6]
    boxes, others = (random_boxes(1, n)[0, :, columns].double() for n in (150, 200))
    boxes[:, :2] /= 5
    others[:, :2] /= 5
    mirror = torch.tensor([1.0, 1.0, 1.0, 1.0, -1.0], dtype=torch.float64)
    for name, ours in [
        ('torch', lambda: rotated_iou(boxes[:, None], others[None])),
        ('numba', lambda: rotated_iou_bev(boxes * mirror, others * mirror)),
    ]:
        yield Case(
            f'rotated IoU, 150 x 200 pairs, {name}',
            'shapely, pair by pair',
            lambda: reference.rotated_iou(boxes, others),
            ours,
            inputs=[boxes, others],
        )


def ranking() -> Iterator[Case]:
    """Soft ranks of feature maps, where the package to compare with is installed."""
    if importlib.util.find_spec('torchsort') is None:
        print('torchsort is not installed: soft ranks are left out.', file=sys.stderr)
        return
    torchsort = importlib.import_module('torchsort')
    # float64: where eps is small, torchsort's float32 gradient is off in about 2000 of 245760 entries.
    values = torch.randn(4, 96 * 320 * 8, dtype=torch.float64, requires_grad=True)
    for label, eps, keys in [
        ('eps 1 (one pool)', 1.0, None),
        ('eps 2 sigma / n', 2 / values.shape[1], values.detach()),
    ]:
        yield Case(
            f'soft rank 4 x {values.shape[1]}, {label}',
            'torchsort',
            lambda eps=eps: torchsort.soft_rank(values, regularization_strength=eps),
            lambda eps=eps: soft_rank(values, eps),
            leaves=[values],
            keys=keys,
        )


def core_targets(boxes: Tensor, labels: Tensor) -> Callable[[], Tensor]:
    """The heatmaps of mmdet3d's CenterHead for the same scenes, with the rest of its targets computed beside."""
    from mmdet3d.models.dense_heads import CenterHead
    from mmdet3d.structures import LiDARInstance3DBoxes
    from mmengine.config import ConfigDict
    from mmengine.structures import InstanceData

    head = CenterHead(
        in_channels=4,
        tasks=[dict(num_class=n, class_names=[f'{t}{k}' for k in range(n)]) for t, n in enumerate(TASKS)],
        common_heads=dict(reg=(2, 2)),
        share_conv_channel=4,
        separate_head=dict(type='SeparateHead', init_bias=-2.19, final_kernel=3),
        bbox_coder=dict(type='CenterPointBBoxCoder', pc_range=[-REACH] * 2, out_size_factor=4, voxel_size=[0.2] * 2),
        train_cfg=ConfigDict(
            grid_size=[512, 512, 40],
            voxel_size=[0.2, 0.2, 8],
            out_size_factor=4,
            dense_reg=1,
            gaussian_overlap=0.1,
            max_objs=500,
            min_radius=2,
            point_cloud_range=[-REACH, -REACH, -5.0, REACH, REACH, 3.0],
        ),
    )
    samples = [
        InstanceData(bboxes_3d=LiDARInstance3DBoxes(b, box_dim=9, origin=(0.5, 0.5, 0.5)), labels_3d=label)
        for b, label in zip(boxes, labels, strict=True)
    ]
    return lambda: torch.cat(head.get_targets(samples)[0], 1)


def mmdet3d_heatmaps(centres: Tensor, radii: Tensor, size: tuple[int, int]) -> Tensor:
    """One object after another."""
    from mmdet3d.models.utils import draw_heatmap_gaussian

    heatmaps = torch.zeros(len(centres), 1, *size)
    for heatmap, sample_centres, sample_radii in zip(heatmaps, centres, radii, strict=True):
        for centre, radius in zip(sample_centres, sample_radii.tolist(), strict=True):
            draw_heatmap_gaussian(heatmap[0], centre, radius)
    return heatmaps
