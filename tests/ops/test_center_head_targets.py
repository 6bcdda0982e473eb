import math

import pytest
import torch

from mono_distill.ops.center_head_targets import center_head_targets
from mono_distill.utils.errors import ConfigError, ShapeError

TASKS = (1, 2, 2, 1, 2, 2)
GRID = dict(x_range=(-12.8, 12.8), y_range=(-12.8, 19.2))
SIZE = (40, 32)  # cells of 0.8 m


def random_scene(seed, count=14, batch=1):
    """Boxes on and around the map, with bottom-centred z as mmdet3d stores them."""
    generator = torch.Generator().manual_seed(seed)
    low = torch.tensor([-15.0, -15.0, -2.0, 0.3, 0.3, 1.0, -4.0, -9.0, -9.0])
    high = torch.tensor([15.0, 22.0, 1.0, 13.0, 4.0, 4.0, 4.0, 9.0, 9.0])
    boxes = low + (high - low) * torch.rand(batch, count, 9, generator=generator)
    return boxes, torch.randint(10, (batch, count), generator=generator)


def with_centre(boxes):
    return torch.cat([boxes[..., :2], boxes[..., 2:3] + boxes[..., 5:6] / 2, boxes[..., 3:]], -1)


@pytest.fixture(scope='module')
def core():
    """The targets of mmdet3d's head for one scene, with the options of its CenterPoint configs."""
    heads = pytest.importorskip('mmdet3d.models.dense_heads')
    from mmdet3d.structures import LiDARInstance3DBoxes
    from mmengine.config import ConfigDict
    from mmengine.registry import DefaultScope
    from mmengine.structures import InstanceData

    names = [[f'{task}{k}' for k in range(n)] for task, n in enumerate(TASKS)]

    def targets(boxes, labels, *, norm_bbox=True, max_objs=500):
        # Whatever scope other tests have left as the default.
        with DefaultScope.overwrite_default_scope('mmdet3d'):
            head = heads.CenterHead(
                in_channels=4,
                tasks=[dict(num_class=len(task), class_names=task) for task in names],
                common_heads=dict(reg=(2, 2)),
                share_conv_channel=4,
                separate_head=dict(type='SeparateHead', init_bias=-2.19, final_kernel=3),
                bbox_coder=dict(
                    type='CenterPointBBoxCoder', pc_range=[-12.8, -12.8], out_size_factor=4, voxel_size=[0.2, 0.2]
                ),
                norm_bbox=norm_bbox,
                train_cfg=ConfigDict(
                    grid_size=[128, 160, 40],
                    voxel_size=[0.2, 0.2, 8],
                    out_size_factor=4,
                    dense_reg=1,
                    gaussian_overlap=0.1,
                    max_objs=max_objs,
                    min_radius=2,
                    point_cloud_range=[-12.8, -12.8, -5.0, 12.8, 19.2, 3.0],
                ),
            )
        instances = InstanceData(bboxes_3d=LiDARInstance3DBoxes(boxes, box_dim=9), labels_3d=labels)
        return head.get_targets_single(instances)

    return targets


def assert_equal(ours, theirs):
    for task in range(len(TASKS)):
        heatmap, boxes, indices, mask = (part[task] for part in theirs)
        torch.testing.assert_close(ours.heatmaps[task][0], heatmap, rtol=0, atol=1e-6)
        assert torch.equal(ours.masks[task][0], mask.bool())
        assert torch.equal(ours.indices[task][0], indices)
        torch.testing.assert_close(ours.boxes[task][0], boxes, rtol=0, atol=2e-5)


@pytest.mark.parametrize('seed', range(20))
def test_equals_mmdet3d(core, seed):
    boxes, labels = random_scene(seed)
    ours = center_head_targets(with_centre(boxes), labels, TASKS, SIZE, **GRID)
    assert 0 < sum(mask.sum() for mask in ours.masks) < 14
    assert_equal(ours, core(boxes[0], labels[0]))


def test_equals_mmdet3d_with_few_slots_and_plain_sizes(core):
    boxes, labels = random_scene(3, count=60)
    ours = center_head_targets(with_centre(boxes), labels, TASKS, SIZE, **GRID, max_objects=4, log_sizes=False)
    assert_equal(ours, core(boxes[0], labels[0], norm_bbox=False, max_objs=4))


def test_equals_mmdet3d_without_a_side_or_off_the_map(core):
    boxes, labels = random_scene(4)
    boxes[0, :3, 3] = 0
    boxes[0, 3:5, :2] = torch.tensor([[-13.2, 0.0], [-14.0, 0.0]])
    ours = center_head_targets(with_centre(boxes), labels, TASKS, SIZE, **GRID)
    assert_equal(ours, core(boxes[0], labels[0]))


def test_one_object_worked_out():
    """A car of 4 m x 2 m at (1.0, 2.2), label 2: task 1, class 1, cell (17, 18) of 0.8 m."""
    box = torch.tensor([[[1.0, 2.2, -0.5, 4.0, 2.0, 1.5, math.pi / 6, 3.0, -1.0]]])
    targets = center_head_targets(box, torch.tensor([[2]]), TASKS, SIZE, **GRID, max_objects=3)
    assert targets.heatmaps[1].shape == (1, 2, 40, 32)
    assert targets.heatmaps[1][0, 1, 18, 17] == 1
    assert (targets.heatmaps[1][0, 1] > 0).sum() == 25
    assert [int(m.sum()) for m in targets.masks] == [0, 1, 0, 0, 0, 0]
    assert targets.indices[1][0].tolist() == [18 * 32 + 17, 0, 0]
    expected = [0.25, 0.75, -0.5, math.log(4), math.log(2), math.log(1.5), 0.5, math.sqrt(0.75), 3.0, -1.0]
    torch.testing.assert_close(targets.boxes[1][0, 0], torch.tensor(expected), rtol=0, atol=2e-5)
    assert not targets.boxes[1][0, 1:].any()


def test_padding_changes_nothing():
    boxes, labels = random_scene(5)
    expected = center_head_targets(boxes, labels, TASKS, SIZE, **GRID)
    padded = torch.cat([torch.full((1, 3, 9), float('nan')), boxes, torch.zeros(1, 2, 9)], 1)
    padded_labels = torch.cat([torch.full((1, 3), -1), labels, torch.full((1, 2), 99)], 1)
    actual = center_head_targets(padded, padded_labels, TASKS, SIZE, **GRID)
    for ours, theirs in zip(actual, expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_samples_do_not_influence_each_other():
    boxes, labels = random_scene(6, batch=3)
    together = center_head_targets(boxes, labels, TASKS, SIZE, **GRID)
    for b in range(3):
        alone = center_head_targets(boxes[b : b + 1], labels[b : b + 1], TASKS, SIZE, **GRID)
        for ours, theirs in zip(together, alone, strict=True):
            assert all(torch.equal(x[b], y[0]) for x, y in zip(ours, theirs, strict=True))


def test_boxes_without_velocity_give_eight_columns():
    boxes, labels = random_scene(7)
    with_velocity = center_head_targets(boxes, labels, TASKS, SIZE, **GRID)
    without = center_head_targets(boxes[..., :7], labels, TASKS, SIZE, **GRID)
    assert all(torch.equal(a, b[..., :8]) for a, b in zip(without.boxes, with_velocity.boxes, strict=True))


def test_a_missing_velocity_is_handed_on_and_hides_nothing_else():
    boxes, labels = random_scene(8)
    boxes[..., 7:] = float('nan')
    targets = center_head_targets(boxes, labels, TASKS, SIZE, **GRID)
    for codes, mask in zip(targets.boxes, targets.masks, strict=True):
        assert codes[mask][:, 8:].isnan().all()
        assert codes[mask][:, :8].isfinite().all()
        assert codes[~mask].isfinite().all()


def test_samples_without_objects_have_empty_targets():
    targets = center_head_targets(torch.zeros(2, 0, 9), torch.zeros(2, 0), TASKS, SIZE, **GRID, max_objects=7)
    assert [h.shape for h in targets.heatmaps] == [(2, n, *SIZE) for n in TASKS]
    assert all(b.shape == (2, 7, 10) for b in targets.boxes)
    assert not any(x.any() for part in targets for x in part)


@pytest.mark.parametrize('tasks', [(1, 2), (3,)])
def test_graph_is_captured_whole(tasks):
    boxes, labels = random_scene(9, batch=2)
    compiled = torch.compile(center_head_targets, fullgraph=True, backend='aot_eager')
    actual = compiled(boxes, labels, tasks, SIZE, **GRID)
    expected = center_head_targets(boxes, labels, tasks, SIZE, **GRID)
    for ours, theirs in zip(actual, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b)


def test_no_value_is_read_back_to_the_host():
    """Tensors of the meta device have no values to read."""
    boxes, labels = torch.zeros(2, 5, 9, device='meta'), torch.zeros(2, 5, device='meta')
    assert center_head_targets(boxes, labels, TASKS, SIZE, **GRID).heatmaps[0].shape == (2, 1, *SIZE)


def test_refuses_what_does_not_fit():
    with pytest.raises(ShapeError, match=r'expected \(B, N, 7\) or \(B, N, 9\)'):
        center_head_targets(torch.zeros(2, 3, 8), torch.zeros(2, 3), TASKS, SIZE, **GRID)
    with pytest.raises(ShapeError, match='labels'):
        center_head_targets(torch.zeros(2, 3, 9), torch.zeros(2, 4), TASKS, SIZE, **GRID)
    with pytest.raises(ConfigError, match='every task needs a class'):
        center_head_targets(torch.zeros(2, 3, 9), torch.zeros(2, 3), (), SIZE, **GRID)
    with pytest.raises(ConfigError, match='x_range must be'):
        center_head_targets(torch.zeros(2, 3, 9), torch.zeros(2, 3), (10,), SIZE, x_range=(1, 0), y_range=(0, 1))
