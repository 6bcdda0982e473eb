"""Tests of mono_distill.losses.query_response."""

import math

import pytest
import torch
from loss_cases.stxd import decoder_layers

from mono_distill.losses.query_response import QueryResponseLoss, query_response_loss
from mono_distill.utils.errors import ShapeError


def literal(student, teacher, quality, pairs):
    """The sum over layers and pairs, each layer divided by the quality it has paired."""
    total = 0.0
    for layer, matched in zip(student, pairs, strict=True):
        layer_sum = layer_quality = 0.0
        for b in range(quality.shape[0]):
            for j, r, valid in zip(
                *(matched[name][b].tolist() for name in ('student', 'teacher', 'valid')), strict=True
            ):
                if not valid:
                    continue
                q = float(quality[b, r])
                error = (layer['boxes'][b, j] - teacher['boxes'][b, r]).abs()
                kl = 0.0
                for ours, theirs in zip(layer['logits'][b, j].tolist(), teacher['logits'][b, r].tolist(), strict=True):
                    p, s = 1 / (1 + math.exp(-theirs)), 1 / (1 + math.exp(-ours))
                    kl += p * math.log(p / s) + (1 - p) * math.log((1 - p) / (1 - s))
                layer_sum += q * (float(error[:8].sum() + 0.2 * error[8:].sum()) + kl)
                layer_quality += q
        total += layer_sum / max(1.0, layer_quality)
    return total


def test_every_layer_learns_from_its_own_pairs():
    torch.manual_seed(0)
    arguments = decoder_layers()
    assert float(query_response_loss(**arguments)) == pytest.approx(literal(**arguments), rel=1e-5)
    assert float(QueryResponseLoss()(**arguments)) == pytest.approx(literal(**arguments), rel=1e-5)


def test_layers_and_pairings_must_be_as_many():
    arguments = decoder_layers()
    with pytest.raises(ShapeError, match='gives 2 decoder layers and there are 1 pairings'):
        query_response_loss(**{**arguments, 'pairs': arguments['pairs'][:1]})
    with pytest.raises(ShapeError, match='at least one'):
        query_response_loss(**{**arguments, 'student': [], 'pairs': []})
