"""Voxelisation: against a loop over the points, and against compiled mmcv."""

from __future__ import annotations

import math

import pytest
import torch

from mono_distill.compat.lite_ops.voxelize import dynamic_voxelize_forward, hard_voxelize_forward

SIZE = (0.5, 0.25, 2.0)
RANGE = (0.0, -2.0, -1.0, 4.0, 2.0, 3.0)


def random_points(count: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Points in and around the range, some exactly on its bounds."""
    points = torch.rand(count, 4, dtype=dtype) * torch.tensor([5.0, 5, 5, 1]) - torch.tensor([0.5, 2.5, 1.5, 0])
    points[::17, 0] = 4.0
    points[::19, 1] = -2.0
    return points.to(dtype)


def hard(points, max_points=5, max_voxels=1000, op=hard_voxelize_forward):
    outputs = (
        points.new_zeros(max_voxels, max_points, points.size(1)),
        torch.zeros(max_voxels, 3, dtype=torch.int),
        torch.zeros(max_voxels, dtype=torch.int),
        torch.zeros((), dtype=torch.long),
    )
    bounds = torch.tensor(SIZE), torch.tensor(RANGE)
    op(points, *bounds, *outputs, max_points=max_points, max_voxels=max_voxels, NDim=3, deterministic=True)
    return outputs


def dynamic(points, op=dynamic_voxelize_forward):
    coors = torch.zeros(len(points), 3, dtype=torch.int)
    op(points, torch.tensor(SIZE), torch.tensor(RANGE), coors, NDim=3)
    return coors


def voxel_of(point):
    """Cell of a point as (z, y, x), or None outside."""
    cell = [math.floor((value - low) / size) for value, low, size in zip(point, RANGE, SIZE, strict=False)]
    counts = [round((high - low) / size) for low, high, size in zip(RANGE, RANGE[3:], SIZE, strict=False)]
    return tuple(reversed(cell)) if all(0 <= c < n for c, n in zip(cell, counts, strict=True)) else None


def test_each_point_gets_its_voxel():
    points = random_points(500)
    expected = [voxel_of(point) or (-1, -1, -1) for point in points[:, :3].tolist()]
    assert [tuple(row) for row in dynamic(points).tolist()] == expected
    assert (-1, -1, -1) in expected


@pytest.mark.parametrize(('max_points', 'max_voxels'), [(5, 1000), (1, 1000), (3, 20), (2, 1)])
def test_points_are_collected_in_order_of_appearance(max_points, max_voxels):
    points = random_points(800)
    expected: dict[tuple[int, ...], list[torch.Tensor]] = {}
    for point in points:
        cell = voxel_of(point[:3].tolist())
        if cell is not None and (cell in expected or len(expected) < max_voxels):
            expected.setdefault(cell, []).append(point)

    voxels, coors, counts, number = hard(points, max_points, max_voxels)
    assert number == len(expected)
    assert [tuple(row) for row in coors[:number].tolist()] == list(expected)
    assert counts[:number].tolist() == [min(len(found), max_points) for found in expected.values()]
    for voxel, count, found in zip(voxels, counts, expected.values(), strict=False):
        torch.testing.assert_close(voxel[:count], torch.stack(found)[:max_points])
        assert voxel[count:].abs().sum() == 0
    assert voxels[number:].abs().sum() == 0


def test_minus_one_means_as_many_as_fit():
    points = random_points(300)
    outputs = [torch.zeros(512, 40, 4), torch.zeros(512, 3).int(), torch.zeros(512).int(), torch.zeros((), dtype=int)]
    hard_voxelize_forward(points, torch.tensor(SIZE), torch.tensor(RANGE), *outputs, max_points=-1, max_voxels=-1)
    assert outputs[2].sum() == (dynamic(points)[:, 0] >= 0).sum()


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_a_point_that_is_not_finite_is_outside(value):
    points = torch.tensor([[1.0, 0, 0, 0], [1.0, value, 0, 0]])
    assert dynamic(points).tolist() == [[0, 8, 2], [-1, -1, -1]]
    assert hard(points)[3] == 1


@pytest.mark.parametrize('points', [torch.empty(0, 4), torch.full((6, 4), 99.0)], ids=['no points', 'all outside'])
def test_nothing_inside(points):
    voxels, _, counts, number = hard(points)
    assert number == 0
    assert voxels.abs().sum() == 0
    assert counts.sum() == 0
    assert dynamic(points).shape == (len(points), 3)


def test_half_precision_points():
    points = random_points(200).half()
    assert torch.equal(dynamic(points), dynamic(points.float()))
    assert hard(points)[0].dtype == torch.float16


@pytest.mark.parametrize('source', ['mmcv.ops', 'mmdet3d.models.data_preprocessors.voxelize'])
def test_voxel_layers_run_on_top(source):
    import importlib

    module = importlib.import_module(source)
    points = random_points(400)
    name = 'Voxelization' if source == 'mmcv.ops' else 'VoxelizationByGridShape'
    arguments = {'voxel_size': list(SIZE), 'point_cloud_range': list(RANGE)}
    voxels, coors, counts = getattr(module, name)(max_num_points=5, max_voxels=1000, **arguments)(points)
    expected = hard(points)
    number = int(expected[3])
    for actual, wanted in zip((voxels, coors, counts), expected, strict=False):
        torch.testing.assert_close(actual, wanted[:number])
    dynamic_layer = getattr(module, name)(max_num_points=-1, max_voxels=-1, **arguments)
    torch.testing.assert_close(dynamic_layer(points), dynamic(points))


@pytest.mark.full
@pytest.mark.parametrize(('max_points', 'max_voxels'), [(5, 1000), (1, 1000), (32, 50)])
def test_equals_compiled_mmcv(max_points, max_voxels):
    import mmcv._ext as ext

    points = random_points(5000)
    results = [hard(points, max_points, max_voxels, op=op) for op in (ext.hard_voxelize_forward, hard_voxelize_forward)]
    for expected, actual in zip(*results, strict=True):
        assert torch.equal(actual, expected)
    assert torch.equal(dynamic(points), dynamic(points, op=ext.dynamic_voxelize_forward))
