from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from monodetr_batch import golden_outputs, golden_targets, random_outputs, random_targets
from scipy.optimize import linear_sum_assignment

from mono_distill.models.task_modules import GroupHungarianAssigner
from mono_distill.registry import TASK_UTILS
from mono_distill.utils.errors import ConfigError, NonFiniteError, ShapeError

GROUP = 5


def pairs(assignment, layer, image):
    """Pairs of query and object of one image."""
    mask = assignment['mask'][layer, image]
    objects = torch.arange(mask.shape[1]).expand_as(mask)
    return sorted(zip(assignment['queries'][layer, image][mask].tolist(), objects[mask].tolist(), strict=True))


def cost(outs, targets, place, slot):
    """Cost of one query for one object, written out."""
    layer, image, query = place
    label = targets['labels'][image, slot]
    p = float(outs['cls_scores'][layer, image, query, label].sigmoid())
    positive = 0.25 * (1 - p) ** 2 * -np.log(p + 1e-8)
    negative = 0.75 * p**2 * -np.log(1 - p + 1e-8)
    ours, other = outs['bboxes'][layer, image, query].tolist(), targets['boxes'][image, slot].tolist()
    differences = np.abs(np.subtract(ours, other))
    (a, b) = ([x - left, y - t, x + r, y + d] for x, y, left, r, t, d in (ours, other))
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    overlap = max(width, 0) * max(height, 0)
    union = sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - overlap
    hull = np.prod([max(a[i + 2], b[i + 2]) - min(a[i], b[i]) for i in (0, 1)])
    giou = overlap / union - (hull - union) / hull
    return 2 * (positive - negative) + 10 * differences[:2].sum() + 5 * differences[2:].sum() - 2 * giou


def test_the_matching_is_that_of_the_official_code(golden):
    file = golden('monodetr_official_cpu')
    assignment = GroupHungarianAssigner()(golden_outputs(file, 'train'), golden_targets(file))
    assert assignment['queries'].shape == assignment['mask'].shape == (1, 2, 11, 6)
    for image in range(2):
        expected = zip(file[f'match{image}_query'].tolist(), file[f'match{image}_gt'].tolist(), strict=True)
        assert pairs(assignment, 0, image) == sorted(expected)


@pytest.mark.parametrize('seed', range(3))
def test_all_layers_and_groups_at_once_equal_scipy_on_each(seed):
    counts, queries = (3, 0, 4, 1), 3 * GROUP
    outs, targets = random_outputs(4, queries, seed=seed), random_targets(counts, seed=seed)
    assignment = GroupHungarianAssigner(GROUP)(outs, targets)
    for layer, image, group in itertools.product(range(3), range(4), range(3)):
        block = np.array(
            [
                [cost(outs, targets, (layer, image, query), slot) for slot in range(counts[image])]
                for query in range(group * GROUP, (group + 1) * GROUP)
            ]
        ).reshape(GROUP, counts[image])
        rows, columns = linear_sum_assignment(block)
        chosen = assignment['queries'][layer, image, group][assignment['mask'][layer, image, group]]
        assert chosen.tolist() == [group * GROUP + rows[list(columns).index(slot)] for slot in range(counts[image])]


def test_objects_may_stand_in_any_slots():
    outs, targets = random_outputs(1, 2 * GROUP), random_targets((3,))
    order = torch.tensor([0, 3, 1, 4, 2])
    spread = {name: torch.cat([value, torch.zeros_like(value[:, :2])], 1)[:, order] for name, value in targets.items()}
    plain, other = (GroupHungarianAssigner(GROUP)(outs, each) for each in (targets, spread))
    assert spread['mask_2d'].tolist() == [[True, False, True, False, True]]
    assert torch.equal(other['queries'][..., ::2], plain['queries'])
    assert torch.equal(other['mask'], spread['mask_2d'].view(1, 1, 1, -1).expand(3, 1, 2, -1))


def test_of_more_objects_than_queries_the_cheapest_are_matched():
    outs, targets = random_outputs(1, 2 * GROUP), random_targets((7,))
    assignment = GroupHungarianAssigner(GROUP)(outs, targets)
    assert assignment['mask'].sum(-1).eq(GROUP).all()
    for matched, queries in zip(assignment['mask'].view(-1, 7), assignment['queries'].view(-1, 7), strict=True):
        assert len(set(queries[matched].tolist())) == GROUP


def test_without_objects_nothing_is_matched():
    assignment = GroupHungarianAssigner(GROUP)(random_outputs(2, GROUP), random_targets((0, 0)))
    assert not assignment['mask'].any()
    assert not assignment['queries'].any()


def test_the_costs_travel_once(monkeypatch):
    transfers = []
    to_host = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, 'cpu', lambda tensor: transfers.append(tensor.shape) or to_host(tensor))
    GroupHungarianAssigner(GROUP)(random_outputs(4, 2 * GROUP), random_targets((2, 3, 0, 1)))
    assert transfers == [(3, 4, 2 * GROUP + 1, 3)]


def test_half_precision_outputs_match_like_their_values_in_single_precision():
    outs, targets = random_outputs(2, 2 * GROUP), random_targets((2, 3))
    half = {name: value.half() for name, value in outs.items()}
    with torch.autocast('cpu', dtype=torch.bfloat16):
        ours = GroupHungarianAssigner(GROUP)(half, targets)
    expected = GroupHungarianAssigner(GROUP)({name: value.float() for name, value in half.items()}, targets)
    assert torch.equal(ours['queries'], expected['queries'])


@pytest.mark.parametrize(
    ('name', 'value'), [('cls_scores', float('nan')), ('bboxes', float('nan')), ('bboxes', float('inf'))]
)
def test_outputs_that_are_not_finite_are_an_error_that_says_where(name, value):
    outs = random_outputs(2, 2 * GROUP)
    outs[name][1, 1, 3] = value
    with pytest.raises(NonFiniteError, match='decoder layer 1 for image 1 of the batch'):
        GroupHungarianAssigner(GROUP)(outs, random_targets((1, 2)))


def test_weights_decide():
    outs, targets = random_outputs(1, GROUP), random_targets((1,))
    only = dict(cls_weight=0.0, center_weight=0.0, bbox_weight=0.0, giou_weight=0.0)
    closest = (outs['bboxes'][:, 0, :, :2] - targets['boxes'][0, 0, :2]).abs().sum(-1).argmin(-1)
    by_center = TASK_UTILS.build(
        dict(type='mono_distill.GroupHungarianAssigner', num_queries=GROUP, **{**only, 'center_weight': 1.0})
    )
    assert by_center(outs, targets)['queries'].flatten().tolist() == closest.tolist()
    assert 'center_weight=1.0' in repr(by_center)


def test_wrong_options_and_inputs_are_named():
    with pytest.raises(ConfigError, match='num_queries must be positive'):
        GroupHungarianAssigner(0)
    with pytest.raises(ConfigError, match='no weight negative'):
        GroupHungarianAssigner(giou_weight=-1.0)
    with pytest.raises(ShapeError, match='there are 7 queries, expected a multiple of num_queries=5'):
        GroupHungarianAssigner(GROUP)(random_outputs(1, 7), random_targets((1,)))
    with pytest.raises(ShapeError, match=r"targets: 'mask_2d' has shape \(2, 1\), expected \(1, \*\)"):
        GroupHungarianAssigner(GROUP)(random_outputs(1, 5), random_targets((1, 1)))
    with pytest.raises(ConfigError, match="outs: needs 'bboxes'"):
        GroupHungarianAssigner(GROUP)({'cls_scores': torch.zeros(1, 1, 5, 3)}, random_targets((1,)))
