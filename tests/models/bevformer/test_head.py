"""Tests of mono_distill.models.bevformer.head."""

import pytest
import torch
from bevformer_models import annotated

from mono_distill.models.bevformer.decoder import DecodedObjects
from mono_distill.models.bevformer.head import BEVFormerHead
from mono_distill.ops.gt_box_codes import gt_box_codes
from mono_distill.utils.errors import ConfigError, ShapeError


def head(**options):
    module = BEVFormerHead(in_channels=16, num_layers=2, **options)
    module.init_weights()
    return module


def objects(layers=2):
    torch.manual_seed(0)
    codes = torch.randn(layers, 2, 7, 10)
    codes[..., [0, 1, 4]] = codes[..., [0, 1, 4]].sigmoid()
    return DecodedObjects(torch.randn(layers, 2, 7, 16), codes)


def test_centres_become_metres():
    queries = objects()
    outs = head(point_range=(-10, -20, -5, 10, 20, 3))(queries)
    assert outs['logits'].shape == (2, 2, 7, 10)
    codes = queries.codes
    torch.testing.assert_close(outs['boxes'][..., 0], codes[..., 0] * 20 - 10)
    torch.testing.assert_close(outs['boxes'][..., 1], codes[..., 1] * 40 - 20)
    torch.testing.assert_close(outs['boxes'][..., 4], codes[..., 4] * 8 - 5)
    rest = [2, 3, 5, 6, 7, 8, 9]
    assert torch.equal(outs['boxes'][..., rest], codes[..., rest])


def test_each_layer_has_its_own_branch():
    module, queries = head(), objects()
    torch.nn.init.normal_(module.cls_branches[1][-1].weight)
    outs = module(queries)
    for layer in range(2):
        torch.testing.assert_close(outs['logits'][layer], module.cls_branches[layer](queries.hidden[layer]))
    assert not torch.allclose(module.cls_branches[1](queries.hidden[0]), outs['logits'][0])


def test_every_class_is_rare_at_first():
    assert head().cls_branches[0][-1].bias.sigmoid().tolist() == pytest.approx([0.01] * 10)


def test_losses_and_predictions_follow_their_parts():
    module, samples = head(test_cfg=dict(max_num=5)), annotated((3, 0))
    outs = module(objects())
    expected = module.criterion(outs['logits'], outs['boxes'], gt_box_codes(samples))
    assert module.loss_by_feat(outs, samples) == expected
    assert [len(found) <= 5 for found in module.predict_by_feat(outs)] == [True, True]


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match="test_cfg has no entry 'max_nun'; did you mean 'max_num'"):
        head(test_cfg=dict(max_nun=5))
    with pytest.raises(ShapeError, match=r'queries have shape \(3, 2, 7, 16\), expected \(2, B, Q, 16\)'):
        head()(objects(3))
