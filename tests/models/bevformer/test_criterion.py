"""Tests of mono_distill.models.bevformer.criterion."""

import math

import pytest
import torch
from bevformer_models import annotated
from scipy.optimize import linear_sum_assignment

from mono_distill.models.bevformer.criterion import BEVFormerCriterion
from mono_distill.ops.gt_box_codes import gt_box_codes
from mono_distill.utils.errors import ConfigError, ShapeError

LAYERS, QUERIES, CLASSES = 2, 9, 10


def outputs(batch=2):
    torch.manual_seed(2)
    logits = torch.randn(LAYERS, batch, QUERIES, CLASSES)
    codes = torch.randn(LAYERS, batch, QUERIES, 10) * torch.tensor([20.0, 20, 1, 1, 2, 1, 1, 1, 5, 5])
    return logits.requires_grad_(), codes.requires_grad_()


def focal(logit, target):
    p = 1 / (1 + math.exp(-logit))
    if target:
        return -0.25 * (1 - p) ** 2 * math.log(p)
    return -0.75 * p**2 * math.log(1 - p)


def literal(logits, codes, targets):
    """Matching by scipy and both losses in loops, for one layer."""
    logits, codes = logits.detach(), codes.detach()
    pairs = []
    for b in range(logits.shape[0]):
        objects = torch.where(targets['mask'][b])[0]
        cost = torch.zeros(QUERIES, len(objects))
        for q in range(QUERIES):
            for column, n in enumerate(objects):
                logit = float(logits[b, q, targets['labels'][b, n]])
                classes = focal(logit, True) - focal(logit, False)
                cost[q, column] = 2 * classes + 0.25 * (codes[b, q, :8] - targets['codes'][b, n, :8]).abs().sum()
        rows, columns = linear_sum_assignment(cost.numpy())
        pairs += [(b, q, int(objects[column])) for q, column in zip(rows, columns, strict=True)]
    positive = {(b, q, int(targets['labels'][b, n])) for b, q, n in pairs}
    shape = logits.shape
    cls = sum(
        focal(float(logits[b, q, c]), (b, q, c) in positive)
        for b in range(shape[0])
        for q in range(shape[1])
        for c in range(shape[2])
    )
    weights = [1.0] * 8 + [0.2] * 2
    box = 0.0
    for b, q, n in pairs:
        for d in range(10):
            error = float((codes[b, q, d] - targets['codes'][b, n, d]).abs())
            box += 0.0 if math.isnan(error) else weights[d] * error
    count = max(len(pairs), 1)
    return 2 * cls / count, 0.25 * box / count


@pytest.mark.parametrize('counts', [(4, 2), (0, 3), (0, 0), (12, 1)])
def test_losses_are_those_of_the_formulas(counts):
    logits, codes = outputs()
    targets = gt_box_codes(annotated(counts))
    losses = BEVFormerCriterion()(logits, codes, targets)
    assert sorted(losses) == ['d0.loss_bbox', 'd0.loss_cls', 'loss_bbox', 'loss_cls']
    for layer, prefix in enumerate(('d0.', '')):
        cls, box = literal(logits[layer], codes[layer], targets)
        assert losses[f'{prefix}loss_cls'].item() == pytest.approx(cls, rel=1e-4)
        assert losses[f'{prefix}loss_bbox'].item() == pytest.approx(box, rel=1e-4)


def test_an_unknown_velocity_is_not_learned():
    logits, codes = outputs()
    targets = gt_box_codes(annotated((3, 2)))
    targets['codes'][..., 8:] = torch.nan
    losses = BEVFormerCriterion()(logits, codes, targets)
    assert losses['loss_bbox'].item() == pytest.approx(literal(logits[1], codes[1], targets)[1], rel=1e-4)
    sum(losses.values()).backward()
    assert codes.grad.isfinite().all()
    assert codes.grad[..., 8:].abs().sum() == 0
    assert codes.grad[..., :8].abs().sum() > 0


def test_without_objects_boxes_cost_nothing_and_stay_connected():
    logits, codes = outputs()
    losses = BEVFormerCriterion()(logits, codes, gt_box_codes(annotated((0, 0))))
    assert losses['loss_bbox'].item() == 0.0
    sum(losses.values()).backward()
    assert (logits.grad > 0).all()
    assert codes.grad.abs().sum() == 0


def test_all_layers_are_matched_in_one_transfer(monkeypatch):
    calls = []
    fetch = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, 'cpu', lambda self, *args: calls.append(tuple(self.shape)) or fetch(self, *args))
    logits, codes = outputs()
    BEVFormerCriterion()(logits, codes, gt_box_codes(annotated((4, 2))))
    assert calls == [(LAYERS, 2, QUERIES, 4)]


def test_weights_can_be_configured():
    logits, codes = outputs()
    targets = gt_box_codes(annotated((3, 2)))
    plain = BEVFormerCriterion()(logits, codes, targets)
    criterion = BEVFormerCriterion(
        dict(bbox=dict(type='mmdet.L1Loss', loss_weight=1.0)), code_weights=[0.0] * 8 + [0.2] * 2
    )
    losses = criterion(logits, codes, targets)
    assert losses['loss_cls'] == plain['loss_cls']
    pairs = criterion.match(logits, codes, targets)
    error = 0.0
    for b, p in torch.stack(torch.where(pairs['valid'][1]), 1).tolist():
        query, goal = pairs['student'][1, b, p], pairs['teacher'][1, b, p]
        error += 0.2 * (codes[1, b, query, 8:] - targets['codes'][b, goal, 8:]).abs().sum()
    torch.testing.assert_close(losses['loss_bbox'], error / 5)


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match="losses has no entry 'box'; did you mean 'bbox'"):
        BEVFormerCriterion(dict(box={}))
    with pytest.raises(ConfigError, match='code_weights needs 10 numbers, got 8'):
        BEVFormerCriterion(code_weights=[1.0] * 8)
    logits, codes = outputs()
    with pytest.raises(ShapeError, match="'codes' has shape"):
        BEVFormerCriterion()(logits, codes[..., :8], gt_box_codes(annotated((3, 2))))
