from __future__ import annotations

import copy

import pytest
import torch
from monodetr_batch import golden_targets
from monodetr_models import (
    data_samples,
    full_config,
    golden_detector,
    golden_images,
    golden_metas,
    tiny_config,
    tiny_detector,
)

from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, DataError, ShapeError

OFFICIAL = dict(cls_scores='logits', bboxes='boxes', dims='3d_dim', depth='depth', heading='angle')
GRADIENTS = {
    'query_embedding.weight': 'query_embed.weight',
    'bbox_head.bbox_branches.0.layers.2.weight': 'bbox_embed.0.layers.2.weight',
    'depth_predictor.depth_classifier.weight': 'depth_predictor.depth_classifier.weight',
    'backbone.layer2.0.conv1.weight': 'backbone.0.body.layer2.0.conv1.weight',
    'decoder.layers.1.cross_attn_depth.in_proj_weight': (
        'depthaware_transformer.decoder.layers.1.cross_attn_depth.in_proj_weight'
    ),
    'bbox_head.dim_branches.2.layers.1.weight': 'dim_embed_3d.2.layers.1.weight',
}
IMAGES = (2, 3, 96, 320)


def assert_equals(value, expected, name):
    torch.testing.assert_close(
        value.detach(), torch.from_numpy(expected), rtol=1e-5, atol=1e-4, msg=lambda m: f'{name}: {m}'
    )


@pytest.fixture(scope='module')
def official():
    return golden_detector()


@pytest.mark.slow
def test_inference_of_the_official_code(official, golden):
    file = golden('monodetr_official_cpu')
    detector = official.eval()
    with torch.no_grad():
        maps = detector.extract_feat(dict(imgs=golden_images()))
        outs = detector.forward_transformer(maps, golden_metas())
    for layer, stage in enumerate(('aux0_', 'aux1_', '')):
        for name, theirs in OFFICIAL.items():
            key = f'eval_{stage}pred_{theirs}'
            assert_equals(outs[name][layer], file[key], key)
    inner = detector.distill_outputs()
    assert_equals(outs['weighted_depth'], file['eval_weighted_depth'], 'weighted depth')
    assert_equals(outs['depth_logits'][:, :, ::6, ::8], file['eval_depth_logits_sub'], 'depth logits')
    assert_equals(inner['depth_embed'][:, ::16, ::6, ::8], file['eval_depth_embed_sub'], 'depth embedding')
    memory = torch.cat([value.flatten(2).transpose(1, 2) for value in inner['memory']], dim=1)
    assert_equals(memory[:, ::97, ::16], file['eval_memory_sub'], 'memory')


@pytest.mark.slow
def test_a_training_step_of_the_official_code(official, golden):
    """In double precision: in single, rounding decides on which side of a jump of some slopes a sample lies."""
    file = golden('monodetr_official_cpu')
    detector = official.train().double()
    targets = {n: v.double() if v.is_floating_point() else v for n, v in golden_targets(file).items()}
    maps = detector.extract_feat(dict(imgs=golden_images().double()))
    outs = detector.forward_transformer(maps, golden_metas())
    for name in ('cls_scores', 'bboxes', 'dims', 'depth'):
        assert_equals(outs[name][-1].float(), file[f'train_pred_{OFFICIAL[name]}'], name)
    losses, assignment = detector.bbox_head.loss_by_targets(outs, targets)
    total = sum(losses.values())
    assert total.item() == pytest.approx(float(file['loss_total_weighted']), rel=1e-6)
    for image in range(2):
        # The official pairs are sorted by query; ours by group and object.
        pairs = zip(file[f'match{image}_query'].tolist(), file[f'match{image}_gt'].tolist(), strict=True)
        queries, mask = (assignment[name][-1, image] for name in ('queries', 'mask'))
        ours = {(int(queries[g, n]), int(n)) for g, n in mask.nonzero()}
        assert ours == set(pairs)
    total.backward()
    parameters = dict(detector.named_parameters())
    for name, theirs in GRADIENTS.items():
        norm = parameters[name].grad.norm().item()
        assert norm == pytest.approx(float(file[f'gradnorm/{theirs}']), rel=1e-4), name
    detector.float().zero_grad(set_to_none=True)


def test_the_full_detector_has_the_official_number_of_trainable_parameters():
    detector = MODELS.build(full_config())
    unused = 396_286
    assert sum(p.numel() for p in detector.parameters() if p.requires_grad) == 37_452_739 - unused == 37_056_453


@pytest.mark.parametrize('counts', [(3, 1), (0, 2), (0, 0)])
def test_a_training_step_reaches_every_parameter(counts):
    detector = tiny_detector().train()
    losses = detector(dict(imgs=torch.randn(IMAGES)), data_samples(counts), mode='loss')
    total, logged = detector.parse_losses(losses)
    total.backward()
    assert {'loss_cls', 'd0.loss_cls', 'loss_depth_map'} < set(logged)
    assert torch.isfinite(total)
    assert [name for name, p in detector.named_parameters() if p.requires_grad and p.grad is None] == []
    assert all(torch.isfinite(p.grad).all() for p in detector.parameters() if p.requires_grad)


def test_training_lowers_the_loss():
    detector = tiny_detector().train()
    images, samples = torch.randn(IMAGES), data_samples((3, 2))
    optimizer = torch.optim.AdamW(detector.parameters(), lr=1e-3)
    totals = []
    for _ in range(12):
        total = sum(detector.loss(dict(imgs=images), samples).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.7 * totals[0]


def test_training_runs_all_groups_and_inference_the_first():
    detector = tiny_detector()
    metas = [sample.metainfo for sample in data_samples((1, 1))]
    maps = detector.extract_feat(dict(imgs=torch.randn(IMAGES)))
    assert detector.train().forward_transformer(maps, metas)['bboxes'].shape == (2, 2, 18, 6)
    assert detector.eval().forward_transformer(maps, metas)['bboxes'].shape == (2, 2, 6, 6)


def test_the_first_group_does_not_feel_the_others():
    detector = tiny_detector().eval()
    metas = [sample.metainfo for sample in data_samples((1, 1))]
    maps = detector.extract_feat(dict(imgs=torch.randn(IMAGES)))
    alone = detector.forward_transformer(maps, metas)
    # All groups, without dropout and with the batch norms of inference.
    detector.training = True
    beside = detector.forward_transformer(maps, metas)
    for name in ('cls_scores', 'bboxes', 'dims', 'depth', 'heading'):
        torch.testing.assert_close(beside[name][:, :, :6], alone[name], msg=name)


def test_predictions_are_filled_into_the_samples():
    detector = tiny_detector(test_cfg=dict(score_thr=0.0)).eval()
    with torch.no_grad():
        samples = detector(dict(imgs=torch.randn(IMAGES)), data_samples((1, 0)), mode='predict')
    for sample in samples:
        prediction = sample.pred_instances_3d
        assert set(prediction.keys()) == {'bboxes_3d', 'scores_3d', 'labels_3d', 'bboxes_2d', 'alpha'}
        assert prediction.bboxes_3d.tensor.shape == (18, 7)


def test_initial_weights():
    detector = MODELS.build(full_config())
    detector.init_weights()
    head = detector.bbox_head
    for branches in (head.cls_branches, head.dim_branches, head.angle_branches, head.depth_branches):
        first = branches[0].state_dict()
        assert all(torch.equal(first[k], v) for branch in branches for k, v in branch.state_dict().items())
    assert head.cls_branches[2].bias.tolist() == pytest.approx([-4.59512] * 3)
    assert head.bbox_branches[0].layers[-1].bias[2:].tolist() == [-2.0] * 4
    assert (head.bbox_branches[1].layers[-1].bias[2:] > -1).all()
    for attention in (detector.encoder.layers[0].self_attn, detector.decoder.layers[2].cross_attn):
        assert (attention.sampling_offsets.weight == 0).all()
        assert (attention.attention_weights.weight == 0).all()
        assert attention.sampling_offsets.bias.abs().max() == 4
    assert detector.query_embedding.weight.std().item() == pytest.approx(1, abs=0.01)
    assert detector.level_embed.std().item() == pytest.approx(1, abs=0.1)
    assert (detector.reference_points_fc.bias == 0).all()


def test_under_autocast_positions_and_depths_are_computed_in_single_precision():
    detector = tiny_detector().train()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = detector.loss(dict(imgs=torch.randn(IMAGES)), data_samples((2, 1)))
    outputs = detector.distill_outputs()
    exact = ('bboxes', 'depth', 'dims', 'heading', 'cls_scores', 'weighted_depth')
    assert {outputs[name].dtype for name in exact} == {torch.float32}
    assert outputs['neck_maps'][0].dtype == torch.bfloat16
    assert {value.dtype for value in losses.values()} == {torch.float32}
    sum(losses.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in detector.parameters() if p.requires_grad)


def test_outputs_for_distillation():
    detector = tiny_detector().train()
    names = set(detector.distill_outputs())
    detector.loss(dict(imgs=torch.randn(IMAGES)), data_samples((2, 1)))
    outputs = detector.distill_outputs()
    assert set(outputs) == names
    assert [tuple(m.shape) for m in outputs['memory']] == [
        (2, 32, 12, 40),
        (2, 32, 6, 20),
        (2, 32, 3, 10),
        (2, 32, 2, 5),
    ]
    assert [m.shape for m in outputs['memory']] == [m.shape for m in outputs['neck_maps']]
    assert [m.shape[1] for m in outputs['backbone_maps']] == [16, 32, 64]
    assert outputs['hidden'].shape == (2, 2, 18, 32)
    assert outputs['depth_embed'].shape == (2, 32, 6, 20)
    assert outputs['matched_queries'].shape == outputs['matched_mask'].shape == (2, 2, 3, 2)
    assert outputs['matched_mask'][:, 0].all()


def test_a_pass_without_matching_offers_none():
    detector = tiny_detector().eval()
    detector(dict(imgs=torch.randn(IMAGES)), data_samples((2, 1)), mode='tensor')
    assert 'matched_queries' not in detector.distill_outputs()


def test_a_detector_that_ran_can_be_copied():
    detector = tiny_detector().train()
    detector.loss(dict(imgs=torch.randn(IMAGES)), data_samples((2, 1)))
    twin = copy.deepcopy(detector)
    assert twin.distill_outputs()['hidden'] is None


@pytest.mark.parametrize('mode', ['loss', 'predict'])
def test_a_teacher_that_is_told_the_depth(mode):
    detector = tiny_detector(depth_source='objects')
    samples = data_samples((1, 0))
    detector.train(mode == 'loss')(dict(imgs=torch.randn(IMAGES)), samples, mode=mode)
    depth = detector.distill_outputs()['weighted_depth']
    instances = samples[0].gt_instances_3d
    x, y = (instances.centers_2d[0] / 16).long().tolist()
    assert depth[0, y, x].item() == pytest.approx(instances.depths[0].item())
    assert depth[1].unique().tolist() == [60.0]


def test_a_teacher_that_is_told_the_depth_trains_every_parameter():
    detector = tiny_detector(depth_source='objects').train()
    sum(detector.loss(dict(imgs=torch.randn(IMAGES)), data_samples((2, 0))).values()).backward()
    assert [name for name, p in detector.named_parameters() if p.requires_grad and p.grad is None] == []


def test_a_teacher_that_is_told_the_depth_needs_annotations():
    detector = tiny_detector(depth_source='objects').eval()
    samples = data_samples((1, 1))
    del samples[1].gt_instances_3d
    with pytest.raises(DataError, match='no gt_instances_3d; add mono_distill.LoadMonoKittiAnnotations'):
        detector.predict(dict(imgs=torch.randn(IMAGES)), samples)


def test_mistakes_are_named():
    detector = tiny_detector().eval()
    images = dict(imgs=torch.randn(IMAGES))
    with pytest.raises(ConfigError, match=r"inputs are \['img'\], expected 'imgs'.*Mono3DDataPreprocessor"):
        detector.extract_feat(dict(img=torch.zeros(1, 3, 32, 32)))
    with pytest.raises(DataError, match="give data samples in mode 'tensor'"):
        detector(images, mode='tensor')
    with pytest.raises(ConfigError, match="unknown depth_source 'object'; did you mean 'objects'"):
        MODELS.build(tiny_config(depth_source='object'))
    samples = data_samples((1, 1))
    samples[0].set_metainfo(dict(cam2img=torch.eye(2).numpy()))
    with pytest.raises(ShapeError, match=r'cam2img of .* has shape \(2, 2\)'):
        detector(images, samples, mode='tensor')
