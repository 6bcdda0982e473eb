"""Tests of mono_distill.targets.query_pairs."""

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch.nn import functional as F

from mono_distill.targets.query_pairs import QueryPairs, query_pairs
from mono_distill.utils.errors import ConfigError


def predictions(count, batch=2):
    return dict(logits=torch.randn(batch, count, 3), boxes=torch.randn(batch, count, 10))


def test_each_layer_has_the_cheapest_pairs():
    torch.manual_seed(0)
    layers, teacher = [predictions(8) for _ in range(3)], predictions(5)
    quality = torch.tensor([[0.5, 0.0, 0.3, 0.9, 0.1], [0.0, 0.0, 0.0, 0.0, 0.7]])
    pairs = QueryPairs()(layers, teacher, quality)
    assert len(pairs) == 3
    for layer, found in zip(layers, pairs, strict=True):
        for b in range(2):
            good = torch.where(quality[b] > 0)[0]
            cost = torch.zeros(8, len(good))
            for q in range(8):
                for column, r in enumerate(good):
                    soft = teacher['logits'][b, r].sigmoid()
                    classes = F.binary_cross_entropy_with_logits(layer['logits'][b, q], soft, reduction='sum')
                    boxes = (layer['boxes'][b, q, :8] - teacher['boxes'][b, r, :8]).abs().sum()
                    cost[q, column] = classes + 0.25 * boxes
            rows, columns = linear_sum_assignment(cost.numpy())
            expected = list(zip(rows.tolist(), good[columns].tolist(), strict=True))
            valid = found['valid'][b]
            assert list(zip(found['student'][b][valid].tolist(), found['teacher'][b][valid].tolist(), strict=True)) == (
                expected
            )


def test_the_host_waits_once(monkeypatch):
    calls, fetch = [], torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, 'cpu', lambda self, *args: calls.append(self.shape) or fetch(self, *args))
    query_pairs([predictions(8) for _ in range(3)], predictions(5), torch.ones(2, 5))
    assert len(calls) == 1


def test_without_quality_there_are_no_pairs():
    (pairs,) = query_pairs([predictions(8)], predictions(5), torch.zeros(2, 5))
    assert not pairs['valid'].any()


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match='weights must not be negative'):
        QueryPairs(-1.0)
    with pytest.raises(ConfigError, match='no decoder layer'):
        query_pairs([], predictions(5), torch.ones(2, 5))
    with pytest.raises(ConfigError, match='a layer of the student lacks boxes'):
        query_pairs([dict(logits=torch.zeros(2, 8, 3))], predictions(5), torch.ones(2, 5))
