"""Tests of mono_distill.ops.voxelize_batch."""

from __future__ import annotations

import importlib
import math

import pytest
import torch

from mono_distill.compat.lite_ops.voxelize import hard_voxelize_forward
from mono_distill.ops.voxelize_batch import voxelize_batch
from mono_distill.utils.errors import ConfigError, ShapeError

SIZE = (0.5, 0.25, 2.0)
RANGE = (0.0, -2.0, -1.0, 4.0, 2.0, 3.0)
GRID = dict(voxel_size=SIZE, point_cloud_range=RANGE)
CELLS = (8, 16, 2)


def random_cloud(count, dtype=torch.float32):
    """Points in and around the range; some on its bounds, on borders of cells, or nowhere."""
    points = (torch.rand(count, 5, dtype=dtype) * 1.2 - 0.1) * torch.tensor([4.0, 4, 4, 1, 1], dtype=dtype)
    points[:, :3] += torch.tensor(RANGE[:3], dtype=dtype)
    points[::17, 0], points[::19, 1], points[::23, 2] = RANGE[3], RANGE[1], RANGE[5]
    points[::5, :3] = (points[::5, :3] / torch.tensor(SIZE, dtype=dtype)).round() * torch.tensor(SIZE, dtype=dtype)
    points[::29, 1], points[3::31, 2] = math.nan, math.inf
    return points


def by_loops(clouds, max_num_points, max_voxels):
    """Point by point: coordinates and points of every voxel, in their order."""
    found = []
    for number, cloud in enumerate(clouds):
        cells: dict[tuple[int, ...], list[torch.Tensor]] = {}
        for point in cloud:
            place = [(x - low) / size for x, low, size in zip(point[:3].tolist(), RANGE, SIZE, strict=False)]
            if not all(math.isfinite(x) and 0 <= x < n for x, n in zip(place, CELLS, strict=True)):
                continue
            cell = (number, *(math.floor(x) for x in reversed(place)))
            if cell in cells or len(cells) < max_voxels:
                cells.setdefault(cell, []).append(point)
        found += [(cell, torch.stack(points[:max_num_points])) for cell, points in cells.items()]
    return found


def by_mmcv_form(clouds, max_num_points, max_voxels, voxel_size=SIZE, bounds=RANGE):
    """The kernel that stands in for mmcv's deterministic one, cloud by cloud."""
    parts = []
    for number, cloud in enumerate(clouds):
        voxels = cloud.new_zeros(max_voxels, max_num_points, cloud.shape[1])
        coors, counts, total = torch.zeros(max_voxels, 3).int(), torch.zeros(max_voxels).int(), torch.zeros(()).long()
        hard_voxelize_forward(
            cloud,
            torch.tensor(voxel_size),
            torch.tensor(bounds),
            voxels,
            coors,
            counts,
            total,
            max_num_points,
            max_voxels,
        )
        numbered = torch.nn.functional.pad(coors[:total], (1, 0), value=number)
        parts.append((voxels[:total], counts[:total], numbered))
    return dict(zip(('voxels', 'num_points', 'coors'), map(torch.cat, zip(*parts, strict=True)), strict=True))


def assert_same(actual, expected):
    for name, value in expected.items():
        assert actual[name].dtype == value.dtype, name
        assert torch.equal(actual[name], value), name


LIMITS = [(5, 1000), (1, 1000), (3, 40), (2, 1), (64, 7)]


@pytest.mark.parametrize(('max_num_points', 'max_voxels'), LIMITS)
def test_points_are_collected_in_the_order_in_which_they_appear(max_num_points, max_voxels):
    clouds = [random_cloud(count) for count in (300, 0, 120, 1)]
    expected = by_loops(clouds, max_num_points, max_voxels)
    found = voxelize_batch(clouds, **GRID, max_num_points=max_num_points, max_voxels=max_voxels)
    assert [tuple(row) for row in found['coors'].tolist()] == [cell for cell, _ in expected]
    assert found['num_points'].tolist() == [len(points) for _, points in expected]
    for voxel, (_, points) in zip(found['voxels'], expected, strict=True):
        assert torch.equal(voxel[: len(points)], points)
        assert not voxel[len(points) :].any()


@pytest.mark.parametrize('seed', range(8))
def test_it_equals_the_kernel_of_one_cloud_after_another(seed):
    torch.manual_seed(seed)
    sizes = torch.randint(0, 600, (int(torch.randint(1, 6, ())),)).tolist()
    clouds = [random_cloud(size) for size in sizes]
    for limits in LIMITS:
        found = voxelize_batch(clouds, **GRID, max_num_points=limits[0], max_voxels=limits[1])
        assert_same(found, by_mmcv_form(clouds, *limits))


@pytest.mark.parametrize('dtype', [torch.float16, torch.float64])
def test_it_equals_the_kernel_in_other_precisions(dtype):
    clouds = [random_cloud(count, torch.float32).to(dtype) for count in (400, 50)]
    assert_same(voxelize_batch(clouds, **GRID, max_num_points=4, max_voxels=99), by_mmcv_form(clouds, 4, 99))


def test_borders_of_cells_fall_where_float32_puts_them():
    # Of these borders some lie a rounding error below, some above.
    size, bounds = (0.2, 0.2, 8.0), (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0)
    places = torch.arange(-256, 257).float() * 0.2
    cloud = torch.stack([places, places.flip(0), torch.zeros(513), places], 1)
    grid = dict(voxel_size=size, point_cloud_range=bounds)
    found = voxelize_batch([cloud], **grid, max_num_points=2, max_voxels=600)
    assert_same(found, by_mmcv_form([cloud], 2, 600, size, bounds))


def test_a_grid_of_more_cells_than_int32_counts(monkeypatch):
    clouds = [random_cloud(300) for _ in range(3)]
    expected = voxelize_batch(clouds, **GRID, max_num_points=5, max_voxels=60)
    # The package gives the function the name of its module.
    monkeypatch.setattr(importlib.import_module(voxelize_batch.__module__), '_INT32_LIMIT', 10)
    assert_same(voxelize_batch(clouds, **GRID, max_num_points=5, max_voxels=60), expected)


def test_each_cloud_has_its_own_limit_of_voxels():
    found = voxelize_batch([random_cloud(400), random_cloud(400)], **GRID, max_num_points=5, max_voxels=30)
    assert found['coors'][:, 0].bincount().tolist() == [30, 30]


@pytest.mark.parametrize(
    'clouds',
    [[torch.empty(0, 4)], [torch.empty(0, 4)] * 3, [torch.full((6, 4), 99.0), torch.empty(0, 4)]],
    ids=['no point', 'several clouds', 'all outside'],
)
def test_nothing_inside(clouds):
    found = voxelize_batch(clouds, **GRID, max_num_points=3, max_voxels=9)
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        'voxels': (0, 3, 4),
        'num_points': (0,),
        'coors': (0, 4),
    }
    assert found['coors'].dtype == found['num_points'].dtype == torch.int32


def test_the_host_reads_once(monkeypatch):
    reads = []
    for name in ('item', 'tolist', '__bool__', '__int__', 'nonzero'):
        plain = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda x, name=name, plain=plain: reads.append((name, x)) or plain(x))
    voxelize_batch([random_cloud(300), random_cloud(200)], **GRID, max_num_points=5, max_voxels=60)
    # The shape of the grid is computed on the host.
    assert [(name, len(x)) for name, x in reads] == [('tolist', 3), ('tolist', 2)]


@pytest.mark.parametrize(
    ('change', 'error', 'message'),
    [
        (dict(voxel_size=(1.0, 0.0, 1.0)), ConfigError, 'voxel_size of 3 positive numbers'),
        (dict(voxel_size=(1.0, 1.0)), ConfigError, 'voxel_size of 3 positive numbers'),
        (dict(point_cloud_range=RANGE[:5]), ConfigError, 'point_cloud_range of 6'),
        (dict(voxel_size=(99.0, 1.0, 1.0)), ConfigError, 'no voxel of'),
        (dict(max_voxels=-1), ConfigError, 'must be positive, got 5 and -1'),
        (dict(max_num_points=0), ConfigError, 'must be positive, got 0 and 9'),
        (dict(clouds=[]), ShapeError, r'clouds have shapes \[\]'),
        (dict(clouds=[torch.zeros(3, 4), torch.zeros(3, 5)]), ShapeError, r'\(3, 4\), \(3, 5\).*expected'),
        (dict(clouds=[torch.zeros(3, 2)]), ShapeError, 'C >= 3'),
    ],
)
def test_what_does_not_fit_is_named(change, error, message):
    with pytest.raises(error, match=f'voxelize_batch: .*{message}'):
        voxelize_batch(**{**dict(clouds=[torch.zeros(3, 4)]), **GRID, **dict(max_num_points=5, max_voxels=9), **change})
