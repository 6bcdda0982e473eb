import pytest
import torch
from monodetr_models import data_samples

from mono_distill.models.monodetr.decoder import DecodedQueries
from mono_distill.models.monodetr.depth_predictor import DepthPrediction
from mono_distill.models.monodetr.head import MonoDETRHead
from mono_distill.utils.errors import ConfigError, DataError, ShapeError


@pytest.fixture
def head():
    head = MonoDETRHead(3, 16, num_layers=2, num_queries=4)
    head.init_weights()
    return head


def inputs(layers=2, groups=1):
    queries = DecodedQueries(torch.randn(layers, 2, 4 * groups, 16), torch.rand(layers, 2, 4 * groups, 6) * 0.3)
    logits = torch.randn(2, 81, 6, 20)
    return queries, DepthPrediction(logits, torch.rand(2, 6, 20) * 60, torch.randn(2, 16, 6, 20))


def metas():
    return [sample.metainfo for sample in data_samples((1, 1))]


def test_outputs_have_their_shapes(head):
    outs = head(*inputs(groups=3), metas())
    expected = dict(cls_scores=3, bboxes=6, dims=3, depth=2, heading=24)
    assert {name: tuple(outs[name].shape) for name in expected} == {n: (2, 2, 12, c) for n, c in expected.items()}
    assert outs['depth_logits'].shape == (2, 81, 6, 20)
    assert outs['weighted_depth'].shape == (2, 6, 20)


def test_each_layer_has_its_own_branches(head):
    queries, depth = inputs()
    outs = head(queries, depth, metas())
    for layer in range(2):
        torch.testing.assert_close(outs['dims'][layer], head.dim_branches[layer](queries.hidden[layer]))
        torch.testing.assert_close(
            outs['depth'][layer, ..., 1], head.depth_branches[layer](queries.hidden[layer])[..., 1]
        )


def test_every_class_is_rare_at_first(head):
    assert head.cls_branches[0].bias.sigmoid().tolist() == pytest.approx([0.01] * 3)


def test_losses_by_features_are_those_of_the_encoded_targets(head):
    outs, samples = head(*inputs(groups=3), metas()), data_samples((2, 1))
    losses, assignment = head.loss_by_targets(outs, head.encode(samples))
    again = head.loss_by_feat(outs, samples)
    assert {name: value.item() for name, value in losses.items()} == {n: v.item() for n, v in again.items()}
    assert assignment['queries'].shape == (2, 2, 3, 2)


def test_an_unlabelled_image_trains_nothing(head):
    queries, depth = inputs()
    hidden = queries.hidden.requires_grad_()
    samples = data_samples((2, 0))
    samples[1].set_metainfo(dict(labelled=False))
    sum(head.loss_by_feat(head(queries, depth, metas()), samples).values()).backward()
    assert hidden.grad[:, 0].abs().sum() > 0
    assert hidden.grad[:, 1].abs().sum() == 0


def test_predictions_follow_the_test_config():
    head = MonoDETRHead(3, 16, num_layers=2, test_cfg=dict(topk=7, score_thr=0.0))
    results = head.predict_by_feat(head(*inputs(), metas()), metas())
    assert [len(result) for result in results] == [7, 7]
    assert MonoDETRHead(3, 16).test_cfg == dict(topk=50, score_thr=0.2)


def test_parts_can_be_configured():
    head = MonoDETRHead(
        3,
        16,
        num_queries=9,
        train_cfg=dict(assigner=dict(cls_weight=1.0)),
        losses=dict(cls=dict(type='mmdet.FocalLoss', loss_weight=7.0)),
        bbox_coder=dict(decode_mode='official'),
        target_encoder=dict(mirror_camera=False),
    )
    assert (head.assigner.num_queries, head.assigner.cls_weight) == (9, 1.0)
    assert head.criterion.losses['cls'].loss_weight == 7.0
    assert head.bbox_coder.decode_mode == 'official'
    assert not head.target_encoder.mirror_camera


def test_mistakes_are_named(head):
    with pytest.raises(ConfigError, match="test_cfg has no entry 'top_k'; did you mean 'topk'"):
        MonoDETRHead(test_cfg=dict(top_k=5))
    with pytest.raises(ConfigError, match="train_cfg has no entry 'asigner'; did you mean 'assigner'"):
        MonoDETRHead(train_cfg=dict(asigner={}))
    with pytest.raises(ConfigError, match="unknown depth_geometry 'exakt'; did you mean 'exact'"):
        MonoDETRHead(depth_geometry='exakt')
    with pytest.raises(ShapeError, match=r'queries have shape \(3, 2, 4, 16\), expected \(2, B, Q, 16\)'):
        head(*inputs(layers=3), metas())
    samples = data_samples((1, 1))
    del samples[0].gt_instances_3d
    with pytest.raises(DataError, match='no gt_instances_3d'):
        head.encode(samples)
