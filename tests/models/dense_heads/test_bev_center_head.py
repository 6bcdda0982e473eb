"""The head against mmdet3d's: same parameters, targets, losses and boxes; and where it must differ."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from center_head_rank import gradients, write_gradients
from centerpoint_models import build, head_config, random_instances
from gloo import run_ranks
from mmdet3d.structures import LiDARInstance3DBoxes
from mmengine.structures import InstanceData

from mono_distill.utils.errors import ConfigError, DataError, ShapeError

CHANNELS = dict(reg=2, height=1, dim=3, rot=2, vel=2)
PUBLISHED = dict(in_channels=8, share_conv_channel=8)
META = dict(box_type_3d=LiDARInstance3DBoxes)


@pytest.fixture(scope='module')
def pair():
    """Ours and mmdet3d's head with the published grid."""
    config = head_config('centerpoint_pillar02', **PUBLISHED)
    return build(config), build({**config, 'type': 'CenterHead'})


@pytest.fixture(scope='module')
def tiny():
    return build(head_config(in_channels=8))


def predictions(head, batch=2, size=64, seed=0, requires_grad=False):
    """Random maps in the form of the head's outputs; regressions of a box that could be one."""
    generator = torch.Generator().manual_seed(seed)
    tasks = []
    for classes in head.num_classes:
        task = {
            name: torch.randn(batch, channels, size, size, generator=generator) * 0.5
            for name, channels in {**CHANNELS, 'heatmap': classes}.items()
        }
        task['dim'] = task['dim'] * 0.2 + 1
        task['heatmap'] = task['heatmap'] * 3 - 3
        tasks.append([{name: value.requires_grad_(requires_grad) for name, value in task.items()}])
    return tuple(tasks)


def leaves(preds):
    return [value for task in preds for value in task[0].values()]


def test_parameters_are_those_of_mmdet3d(pair):
    ours, theirs = pair
    assert {key: value.shape for key, value in ours.state_dict().items()} == {
        key: value.shape for key, value in theirs.state_dict().items()
    }


def test_outputs_are_those_of_mmdet3d(pair):
    ours, theirs = pair
    theirs.load_state_dict(ours.state_dict())
    maps = [torch.randn(1, 8, 16, 16)]
    for a, b in zip(ours(maps), theirs(maps), strict=True):
        assert all(torch.equal(a[0][name], b[0][name]) for name in b[0])


def test_heat_starts_at_a_tenth_which_mmdet3ds_does_not():
    config = head_config(in_channels=8)
    ours, theirs = build(config), build({**config, 'type': 'CenterHead'})
    maps = [torch.randn(2, 8, 16, 16)]
    for a, b in zip(ours(maps), theirs(maps), strict=True):
        assert a[0]['heatmap'].sigmoid().mean().item() == pytest.approx(0.1, abs=0.05)
        assert b[0]['heatmap'].sigmoid().mean().item() > 0.3


@pytest.mark.parametrize('block', range(4))
def test_targets_are_those_of_mmdet3d_in_many_scenes(pair, block):
    ours, theirs = pair
    counted = 0
    for seed in range(50 * block, 50 * block + 50):
        instances = random_instances(seed % 19, seed)
        targets, expected = ours.get_targets_single(instances), theirs.get_targets_single(instances)
        for task in range(6):
            heatmap, boxes, indices, mask = (part[task] for part in expected)
            torch.testing.assert_close(targets[0][task], heatmap, rtol=0, atol=1e-6)
            torch.testing.assert_close(targets[1][task], boxes, rtol=0, atol=2e-5)
            assert torch.equal(targets[2][task], indices)
            assert torch.equal(targets[3][task], mask.bool())
            counted += int(mask.sum())
    assert counted > 200


def test_targets_of_a_batch_are_those_of_its_samples(pair):
    ours, _ = pair
    samples = [random_instances(count, count) for count in (5, 0, 11)]
    batch = ours.get_targets(samples)
    for b, sample in enumerate(samples):
        alone = ours.get_targets_single(sample)
        assert all(
            torch.equal(x[b], y) for xs, ys in zip(batch, alone, strict=True) for x, y in zip(xs, ys, strict=True)
        )


@pytest.mark.parametrize('seed', range(3))
def test_losses_and_gradients_are_those_of_mmdet3d(pair, seed):
    ours, theirs = pair
    samples = [random_instances(9, seed), random_instances(0), random_instances(14, seed + 50)]
    preds = predictions(ours, 3, 128, seed, requires_grad=True)
    losses = ours.loss_by_feat(preds, samples)
    gradients = torch.autograd.grad(sum(losses.values()), leaves(preds))
    # mmdet3d overwrites what it is given.
    copies = tuple([{name: value * 1 for name, value in task[0].items()}] for task in preds)
    expected = theirs.loss_by_feat(copies, samples)
    assert list(losses) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=1e-5, atol=1e-6, msg=name)
    for a, b in zip(gradients, torch.autograd.grad(sum(expected.values()), leaves(preds)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)


def test_the_loss_leaves_the_outputs_as_they_are_which_mmdet3ds_does_not(pair):
    ours, theirs = pair
    preds = predictions(ours, 1, 128)
    before = copy.deepcopy(preds)
    ours.loss_by_feat(preds, [random_instances(4)])
    for a, b in zip(preds, before, strict=True):
        assert a[0].keys() == b[0].keys()
        assert all(torch.equal(a[0][name], b[0][name]) for name in b[0])
    theirs.loss_by_feat(preds, [random_instances(4)])
    assert not torch.equal(preds[0][0]['heatmap'], before[0][0]['heatmap'])


def test_an_unknown_velocity_trains_the_rest_of_the_box(tiny):
    known, unknown = random_instances(6, 3), random_instances(6, 3)
    unknown.bboxes_3d.tensor[:, 7:] = float('nan')
    preds = predictions(tiny, 1, requires_grad=True)
    losses = tiny.loss_by_feat(preds, [unknown])
    sum(losses.values()).backward()
    assert all(value.isfinite() for value in losses.values())
    assert all(task[0]['vel'].grad.abs().max() == 0 for task in preds)
    assert sum(task[0]['reg'].grad.abs().sum() for task in preds) > 0
    full = tiny.loss_by_feat(preds, [known])
    assert sum(losses.values()) < sum(full.values())


@pytest.mark.parametrize('counts', [(3, 7), (0, 5), (0, 0)])
def test_losses_are_finite_and_every_parameter_receives_a_gradient(tiny, counts):
    tiny.zero_grad()
    losses = tiny.loss_by_feat(tiny([torch.randn(2, 8, 64, 64)]), [random_instances(n, n) for n in counts])
    sum(losses.values()).backward()
    assert len(losses) == 12
    assert all(value.isfinite() for value in losses.values())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in tiny.parameters())
    if counts == (0, 0):
        assert all((value == 0) == name.endswith('bbox') for name, value in losses.items())


def test_an_empty_sample_whose_boxes_have_seven_columns_is_no_error(tiny):
    empty = InstanceData(bboxes_3d=LiDARInstance3DBoxes(torch.zeros(0, 7)), labels_3d=torch.zeros(0, dtype=torch.long))
    assert not any(mask.any() for mask in tiny.get_targets([empty]).masks)


def test_losses_under_autocast_are_computed_in_float32(tiny):
    with torch.autocast('cpu', dtype=torch.bfloat16):
        outs = tiny([torch.randn(1, 8, 64, 64)])
        losses = tiny.loss_by_feat(outs, [random_instances(5)])
    assert outs[0][0]['dim'].dtype == torch.bfloat16
    assert {value.dtype for value in losses.values()} == {torch.float32}


def test_the_loss_never_asks_a_tensor_for_its_value(tiny, monkeypatch):
    """On a GPU every such question makes the host wait."""
    preds, samples = predictions(tiny, 2), [random_instances(6), random_instances(3, 1)]
    tiny.train_cfg['max_radius'] = 20

    def asked(*_args, **_kwargs):
        raise AssertionError('the host waits for the device')

    try:
        with monkeypatch.context() as patch:
            for name in ('item', 'tolist', 'cpu', 'numpy', '__bool__', '__int__', '__float__', 'nonzero'):
                patch.setattr(torch.Tensor, name, asked)
            losses = tiny.loss_by_feat(preds, samples)
    finally:
        del tiny.train_cfg['max_radius']
    torch.testing.assert_close(losses, tiny.loss_by_feat(preds, samples))


def circle(head):
    return {**head, 'test_cfg': {**head['test_cfg'], 'nms_type': 'circle'}}


@pytest.mark.parametrize('change', [dict, circle], ids=['rotate', 'circle'])
def test_boxes_are_those_of_mmdet3d(change):
    config = head_config(in_channels=8)
    config = change(config) if change is circle else config
    ours, theirs = build(config), build({**config, 'type': 'CenterHead'})
    preds = predictions(ours, 2, 64)
    results, expected = ours.predict_by_feat(preds, [META] * 2), theirs.predict_by_feat(preds, [META] * 2)
    for a, b in zip(results, expected, strict=True):
        assert 50 < len(a) <= 500
        torch.testing.assert_close(a.bboxes_3d.tensor, b.bboxes_3d.tensor)
        torch.testing.assert_close(a.scores_3d, b.scores_3d)
        assert torch.equal(a.labels_3d, b.labels_3d)


@pytest.mark.parametrize('change', [dict, circle], ids=['rotate', 'circle'])
def test_targets_drawn_as_outputs_decode_to_the_boxes_they_were_made_of(change):
    config = head_config(in_channels=8)
    head = build(change(config) if change is circle else config)
    truth = InstanceData(
        bboxes_3d=LiDARInstance3DBoxes(
            torch.tensor(
                [
                    [10.3, -20.7, -1.5, 4.4, 1.9, 1.6, 0.7, 3.0, -1.0],
                    [-33.1, 8.9, -1.0, 0.7, 0.6, 1.8, -2.0, 0.0, 1.0],
                    [0.9, 41.2, -1.2, 11.0, 2.9, 3.5, 3.0, 8.0, 0.0],
                ]
            ),
            box_dim=9,
        ),
        labels_3d=torch.tensor([0, 8, 3]),
    )
    results = head.predict_by_feat(drawn(head, truth), [META])[0]
    order = results.scores_3d.argsort(descending=True)[:3]
    by_label = order[results.labels_3d[order].argsort()]
    expected = truth.labels_3d.argsort()
    assert results.labels_3d[by_label].tolist() == [0, 3, 8]
    torch.testing.assert_close(
        results.bboxes_3d.tensor[by_label], truth.bboxes_3d.tensor[expected], rtol=1e-4, atol=1e-3
    )


def drawn(head, instances):
    """Perfect outputs for a sample."""
    targets = head.get_targets([instances])
    tasks = []
    for heatmap, boxes, indices, mask in zip(*targets, strict=True):
        code = torch.zeros(1, 10, *heatmap.shape[2:])
        code.flatten(2)[0, :, indices[0][mask[0]]] = boxes[0][mask[0]].T
        maps = dict(zip(('reg', 'height', 'dim', 'rot', 'vel'), code.split((2, 1, 3, 2, 2), 1), strict=True))
        tasks.append([dict(maps, heatmap=torch.logit(heatmap.clamp(1e-4, 0.99)) - 4 * (heatmap < 1))])
    return tuple(tasks)


def test_a_point_lies_in_the_row_of_its_y_and_the_column_of_its_x(tiny):
    """A car at (41, -20): column (41 + 51.2) / 1.6 = 57.6, row (-20 + 51.2) / 1.6 = 19.5."""
    box = torch.tensor([[41.0, -20.0, 0.0, 4.0, 2.0, 1.5, 0.0, 0.0, 0.0]])
    truth = InstanceData(bboxes_3d=LiDARInstance3DBoxes(box, box_dim=9), labels_3d=torch.tensor([0]))
    heatmap = tiny.get_targets([truth]).heatmaps[0][0, 0]
    assert divmod(int(heatmap.argmax()), 64) == (19, 57)


def test_predictions_can_be_made_again_and_again(tiny):
    preds = predictions(tiny, 1)
    first = tiny.predict_by_feat(preds, [META])[0]
    second = tiny.predict_by_feat(preds, [META])[0]
    assert torch.equal(first.bboxes_3d.tensor, second.bboxes_3d.tensor)
    assert isinstance(tiny.post_center_range, list)


def test_nothing_above_the_threshold_gives_no_boxes(tiny):
    preds = predictions(tiny, 1)
    for task in preds:
        task[0]['heatmap'] = task[0]['heatmap'] * 0 - 20
    assert len(tiny.predict_by_feat(preds, [META])[0]) == 0


def test_heatmaps_alone_are_those_of_the_forward_pass(tiny):
    maps = [torch.randn(2, 8, 64, 64)]
    tiny.eval()
    try:
        for a, b in zip(tiny.heatmaps(maps), tiny(maps), strict=True):
            assert torch.equal(a, b[0]['heatmap'])
    finally:
        tiny.train()


def test_a_config_is_not_changed_by_building_from_it():
    config = head_config(in_channels=8)
    before = copy.deepcopy(config)
    from mono_distill.models import BEVCenterHead

    config.pop('type')
    before.pop('type')
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope('mmdet3d'):
        BEVCenterHead(**config)
    assert config == before


@pytest.mark.slow
def test_the_mean_gradient_of_two_ranks_is_that_of_one_process(tmp_path: Path):
    run_ranks(write_gradients, tmp_path, str(tmp_path))
    ranks = [torch.load(tmp_path / f'gradients{rank}.pt') for rank in range(2)]
    expected = gradients(slice(None))
    for a, b, c in zip(*ranks, expected, strict=True):
        # The addend of 1e-4 objects to the divisor of the boxes is the only difference.
        np.testing.assert_allclose((a + b) / 2, c, rtol=1e-3, atol=1e-6)


def test_boxes_without_velocity_for_a_head_that_regresses_it_are_refused(tiny):
    with pytest.raises(ShapeError, match='7 columns, but the head regresses velocities'):
        tiny.get_targets([random_instances(2, velocity=False)])


def test_a_map_of_another_size_than_the_config_says_is_refused(tiny):
    with pytest.raises(ShapeError, match=r'has \(32, 32\) cells, but grid_size \[128, 128, 1\].*say \(64, 64\)'):
        tiny.loss_by_feat(predictions(tiny, 1, 32), [random_instances(2)])


def test_samples_that_do_not_name_their_boxes_are_refused(tiny):
    with pytest.raises(DataError, match="no 'box_type_3d'.*PackBEVInputs"):
        tiny.predict_by_feat(predictions(tiny, 1), [{}])


def test_impossible_train_configs_are_refused():
    config = head_config(in_channels=8)
    config['train_cfg']['code_weights'] = [1.0] * 8
    with pytest.raises(ConfigError, match=r'8 numbers, but reg\+height\+dim\+rot\+vel regress 10'):
        build(config)
    config = head_config(in_channels=8)
    del config['train_cfg']['grid_size']
    with pytest.raises(ConfigError, match='lacks grid_size'):
        build(config)
    with pytest.raises(ConfigError, match='need train_cfg'):
        build(head_config(in_channels=8, train_cfg=None)).get_targets([random_instances(1)])
