from __future__ import annotations

import math

import pytest
import torch
from gloo import run_ranks
from monodetr_batch import (
    RANK_COUNTS,
    golden_outputs,
    golden_targets,
    losses_and_gradients,
    random_outputs,
    random_targets,
    rank_gradients,
    save_rank_gradients,
)
from torch.utils._python_dispatch import TorchDispatchMode

from mono_distill.models.task_modules import GroupHungarianAssigner, MonoDETRCriterion
from mono_distill.ops.box_depth_map import box_depth_map
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError

GROUP = 5
NAMES = ('cls', 'center', 'bbox', 'giou', 'dims', 'heading', 'depth')
WEIGHTS = dict(cls=2, center=10, bbox=5, giou=2, dims=1, heading=1, depth=1)


def literal_layer(outs, targets, assignment, layer):
    """The losses of one layer, match by match."""
    queries, mask = assignment['queries'][layer], assignment['mask'][layer]
    count = max(1, int(targets['mask_2d'].sum()) * queries.shape[1])
    logits = outs['cls_scores'][layer]
    positive = torch.zeros_like(logits)
    sums = dict.fromkeys(NAMES, torch.zeros((), dtype=logits.dtype))
    absolute, relative = [], []
    for b, group, slot in mask.nonzero().tolist():
        q = queries[b, group, slot].item()
        goal = {name: value[b, slot] for name, value in targets.items()}
        pred = {name: outs[name][layer, b, q] for name in ('bboxes', 'dims', 'depth', 'heading')}
        positive[b, q, goal['labels']] = 1
        difference = (pred['bboxes'] - goal['boxes']).abs()
        sums['center'] = sums['center'] + difference[:2].sum()
        sums['bbox'] = sums['bbox'] + difference[2:].sum()
        sums['giou'] = sums['giou'] + 1 - giou(pred['bboxes'], goal['boxes'])
        absolute.append((pred['dims'] - goal['size_3d']).abs())
        relative.append(absolute[-1] / goal['size_3d'])
        k = goal['heading_bin']
        cross_entropy = -pred['heading'][:12].log_softmax(0)[k]
        sums['heading'] = sums['heading'] + cross_entropy + (pred['heading'][12 + k] - goal['heading_res']).abs()
        z, s = pred['depth']
        sums['depth'] = sums['depth'] + 1.4142 * torch.exp(-s) * (z - goal['depth']).abs() + s
    if absolute:
        absolute, relative = torch.stack(absolute), torch.stack(relative)
        sums['dims'] = (absolute.mean() / relative.mean()).detach() * relative.sum()
    p = logits.sigmoid()
    sums['cls'] = -torch.where(positive == 1, 0.25 * (1 - p) ** 2 * p.log(), 0.75 * p**2 * (1 - p).log()).sum()
    return {name: WEIGHTS[name] * sums[name] / count for name in NAMES}


def giou(a, b):
    corners = [torch.stack([x - left, y - t, x + r, y + d]) for x, y, left, r, t, d in (a, b)]
    low, high = (torch.maximum(*corners)[:2], torch.minimum(*corners)[2:])
    overlap = (high - low).clamp(min=0).prod()
    union = sum((corner[2:] - corner[:2]).prod() for corner in corners) - overlap
    hull = (torch.maximum(*corners)[2:] - torch.minimum(*corners)[:2]).prod()
    return overlap / union - (hull - union) / hull


def literal_depth_map(logits, targets):
    """Per pixel the depth of the nearest box over it; the bins by their edges."""
    batch, _, height, width = logits.shape
    total = 0.0
    for b in range(batch):
        for row in range(height):
            for column in range(width):
                z = math.inf
                for slot in targets['mask_2d'][b].nonzero().flatten().tolist():
                    x, y, left, r, t, d = targets['boxes'][b, slot].tolist()
                    across = math.floor((x - left) * width) <= column < math.ceil((x + r) * width)
                    if across and math.floor((y - t) * height) <= row < math.ceil((y + d) * height):
                        z = min(z, targets['depth'][b, slot].item())
                k = next((i for i in range(80) if z < 1e-3 + 59.999 * (i + 1) * (i + 2) / 6480), 80)
                log_p = logits[b, :, row, column].log_softmax(0)[k]
                total = total - (13 if z < math.inf else 1) * 0.25 * (1 - log_p.exp()) ** 2 * log_p
    return total / (batch * height * width)


@pytest.mark.parametrize('counts', [(3, 0, 2), (7, 1, 4), (0, 0, 0)])
def test_losses_and_gradients_are_those_of_the_formulas_match_by_match(counts):
    outs = random_outputs(3, 2 * GROUP, dtype=torch.float64)
    targets = random_targets(counts, dtype=torch.float64)
    losses, gradients = losses_and_gradients(outs, targets, GROUP)
    leaves = {name: value.requires_grad_() for name, value in outs.items()}
    assignment = GroupHungarianAssigner(GROUP)(leaves, targets)
    expected = {'loss_depth_map': literal_depth_map(leaves['depth_logits'], targets)}
    for layer, prefix in enumerate(('d0.', 'd1.', '')):
        values = literal_layer(leaves, targets, assignment, layer)
        expected.update({f'{prefix}loss_{name}': value for name, value in values.items()})
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=1e-5, atol=1e-6, msg=name)
    # Outputs of which nothing is matched have no gradient by the formula.
    wanted = torch.autograd.grad(sum(expected.values()), list(leaves.values()), allow_unused=True)
    for name, gradient in zip(leaves, wanted, strict=True):
        gradient = torch.zeros_like(leaves[name]) if gradient is None else gradient
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_losses_of_the_official_code_on_its_last_layer(golden):
    """What its file holds of the last layer; the rest is tested with the network."""
    file = golden('monodetr_official_cpu')
    outs, targets = golden_outputs(file, 'train'), golden_targets(file)
    losses = MonoDETRCriterion()(outs, targets, GroupHungarianAssigner()(outs, targets))
    official = dict(cls='ce', center='center', bbox='bbox', giou='giou', dims='dim', depth='depth')
    for name, key in official.items():
        ours = losses[f'loss_{name}'].item() / WEIGHTS[name]
        assert ours == pytest.approx(float(file[f'loss_raw/loss_{key}']), rel=2e-6), name


def test_a_batch_of_background_trains_classes_and_depth_map_and_reaches_every_output():
    losses, gradients = losses_and_gradients(random_outputs(2, 2 * GROUP), random_targets((0, 0)), GROUP)
    assert all(loss.isfinite() for loss in losses.values())
    positive = {name for name, loss in losses.items() if loss > 0}
    assert positive == {'loss_cls', 'd0.loss_cls', 'd1.loss_cls', 'loss_depth_map'}
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert {name for name, gradient in gradients.items() if gradient.any()} == {'cls_scores', 'depth_logits'}


def test_an_image_without_objects_among_others_trains_classes_and_depth_map_only():
    _, gradients = losses_and_gradients(random_outputs(3, 2 * GROUP), random_targets((3, 0, 2)), GROUP)
    assert gradients.pop('depth_logits')[1].any()
    assert gradients.pop('cls_scores')[:, 1].any()
    for name, gradient in gradients.items():
        assert not gradient[:, 1].any(), name
        assert gradient[:, 0].any(), name


def test_padding_changes_nothing():
    outs, targets = random_outputs(2, 2 * GROUP), random_targets((2, 1))
    padded = {name: torch.cat([value, torch.zeros_like(value)], 1) for name, value in targets.items()}
    (plain, _), (more, _) = (losses_and_gradients(outs, each, GROUP) for each in (targets, padded))
    for name, loss in plain.items():
        torch.testing.assert_close(more[name], loss, msg=name)


def test_an_image_of_unknown_content_trains_nothing_and_changes_no_other():
    outs, targets = random_outputs(2, 2 * GROUP), random_targets((2, 0))
    losses, gradients = losses_and_gradients(outs, dict(targets, labelled=torch.tensor([True, False])), GROUP)
    for name, gradient in gradients.items():
        assert not (gradient[1] if name == 'depth_logits' else gradient[:, 1]).any(), name
    first = {name: value[:1] if name == 'depth_logits' else value[:, :1] for name, value in outs.items()}
    alone, _ = losses_and_gradients(first, {name: value[:1] for name, value in targets.items()}, GROUP)
    for name, loss in alone.items():
        torch.testing.assert_close(losses[name], loss, msg=name)


def test_the_depth_map_is_painted_from_the_2d_boxes_in_cells():
    outs, targets = random_outputs(1, GROUP, size=(3, 4)), random_targets((1,))
    targets['boxes'][0, 0] = torch.tensor([0.5, 0.5, 0.2, 0.1, 0.4, 0.1])
    depth = box_depth_map(torch.tensor([[[1.2, 0.3, 2.4, 1.8]]]), targets['depth'], targets['mask_2d'], (3, 4))
    assert depth[0].bool().tolist() == [[False, True, True, False]] * 2 + [[False] * 4]
    criterion = MonoDETRCriterion()
    losses = criterion(outs, targets, GroupHungarianAssigner(GROUP)(outs, targets))
    torch.testing.assert_close(
        losses['loss_depth_map'], criterion.losses['depth_map'](outs['depth_logits'], depth.unsqueeze(1))
    )


def test_half_precision_outputs_are_computed_in_single_precision():
    outs, targets = random_outputs(2, 2 * GROUP), random_targets((2, 1))
    half = {name: value.bfloat16() for name, value in outs.items()}
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses, _ = losses_and_gradients(half, targets, GROUP)
    expected, _ = losses_and_gradients({name: value.float() for name, value in half.items()}, targets, GROUP)
    assert {name: loss.item() for name, loss in losses.items()} == {
        name: loss.item() for name, loss in expected.items()
    }


@pytest.mark.slow
def test_two_ranks_train_like_one_process_on_the_whole_batch(tmp_path):
    """Unequal numbers of objects per rank, one image without any."""
    run_ranks(save_rank_gradients, tmp_path, tmp_path)
    whole = rank_gradients(slice(0, len(RANK_COUNTS)))
    ranks = [torch.load(tmp_path / f'gradients{rank}.pt') for rank in range(2)]
    for name, gradient in whole.items():
        dim = 0 if name == 'depth_logits' else 1
        # Each rank's image counts half in the mean over ranks.
        both = torch.cat([rank[name] for rank in ranks], dim) / 2
        torch.testing.assert_close(both, gradient, rtol=1e-4, atol=1e-7, msg=name)


def test_single_losses_can_be_replaced():
    criterion = MODELS.build(
        dict(type='mono_distill.MonoDETRCriterion', losses=dict(center=dict(type='mmdet.L1Loss', loss_weight=1.0)))
    )
    outs, targets = random_outputs(1, GROUP), random_targets((2,))
    assignment = GroupHungarianAssigner(GROUP)(outs, targets)
    ours, published = criterion(outs, targets, assignment), MonoDETRCriterion()(outs, targets, assignment)
    torch.testing.assert_close(10 * ours['loss_center'], published['loss_center'])
    assert ours['loss_bbox'] == published['loss_bbox']


def test_wrong_options_and_inputs_are_named():
    with pytest.raises(ConfigError, match="losses has no entry 'dim'; did you mean 'dims'"):
        MonoDETRCriterion(dict(dim={}))
    outs, targets = random_outputs(1, GROUP), random_targets((2,))
    assignment = GroupHungarianAssigner(GROUP)(outs, targets)
    with pytest.raises(ShapeError, match=r"outs: 'depth' has shape \(3, 1, 5, 1\), expected \(3, 1, 5, 2\)"):
        MonoDETRCriterion()(dict(outs, depth=outs['depth'][..., :1]), targets, assignment)
    with pytest.raises(ConfigError, match="assignment: needs 'mask'"):
        MonoDETRCriterion()(outs, targets, dict(queries=assignment['queries']))


class NoHostReads(TorchDispatchMode):
    """Fails on operations whose result a GPU would have to hand to the host."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        masked = name == 'index' and any(i is not None and i.dtype == torch.bool for i in args[1])
        if masked or name in ('_local_scalar_dense', 'nonzero', 'masked_select', 'equal', 'unique2'):
            raise AssertionError(f'{name} waits for the device')
        return func(*args, **(kwargs or {}))


def test_the_losses_never_wait_for_the_device():
    outs, targets = random_outputs(2, 2 * GROUP), random_targets((2, 1))
    targets['labelled'] = torch.tensor([True, True])
    assignment = GroupHungarianAssigner(GROUP)(outs, targets)
    criterion = MonoDETRCriterion()
    with NoHostReads():
        criterion(outs, targets, assignment)
    with pytest.raises(AssertionError, match='waits'), NoHostReads():
        outs['depth'].sum().item()
