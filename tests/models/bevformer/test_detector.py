"""Tests of mono_distill.models.bevformer.detector."""

import copy

import pytest
import torch
from bevformer_models import annotated, batch_inputs, tiny_detector

from mono_distill.utils.errors import ConfigError, ShapeError


@pytest.mark.parametrize(('batch', 'frames'), [(1, 1), (2, 1), (1, 2), (2, 3)])
def test_every_parameter_learns(batch, frames):
    detector = tiny_detector(num_frames=frames).train()
    losses = detector(batch_inputs(batch, frames), annotated((3,) * batch), mode='loss')
    assert len(losses) == 6
    sum(losses.values()).backward()
    lacking = [name for name, parameter in detector.named_parameters() if parameter.grad is None]
    assert lacking == []
    assert detector.img_backbone.conv1.weight.grad.abs().sum() > 0


def test_losses_fall():
    detector = tiny_detector(num_frames=2).train()
    inputs, samples = batch_inputs(1, 2), annotated((4,))
    optimizer = torch.optim.AdamW(detector.parameters(), lr=2e-3)
    totals = []
    for _ in range(15):
        total = sum(detector(inputs, samples, mode='loss').values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.8 * totals[0]


def test_half_precision_trains():
    detector = tiny_detector(num_frames=2).train()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = detector(batch_inputs(1, 2), annotated((3,)), mode='loss')
    assert all(value.dtype == torch.float32 for value in losses.values())
    sum(losses.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in detector.parameters())


def test_half_precision_weights_of_past_frames_are_forgotten_before_the_current_frame(monkeypatch):
    """They carry no gradient, and older torch would hand them to the current frame."""
    detector, events = tiny_detector(num_frames=3).train(), []
    encode, clear = detector._encode, torch.clear_autocast_cache

    def encoded(inputs, frame, *rest):
        events.append(frame)
        return encode(inputs, frame, *rest)

    monkeypatch.setattr(detector, '_encode', encoded)
    # Nested contexts clear nothing.
    with torch.autocast('cpu', dtype=torch.bfloat16):
        monkeypatch.setattr(torch, 'clear_autocast_cache', lambda: events.append('cleared'))
        detector.extract_feat(batch_inputs(1, 3))
        monkeypatch.setattr(torch, 'clear_autocast_cache', clear)
    assert events == [2, 1, 'cleared', 0]


def test_samples_without_objects_train_the_classes():
    detector = tiny_detector().train()
    losses = detector(batch_inputs(), annotated((0, 0)), mode='loss')
    assert losses['loss_bbox'] == 0
    sum(losses.values()).backward()
    assert detector.img_backbone.conv1.weight.grad.abs().sum() > 0


@torch.no_grad()
def test_predictions_are_boxes_with_velocity():
    samples = tiny_detector().eval()(batch_inputs(), annotated((1, 0)), mode='predict')
    assert [sample.pred_instances_3d.bboxes_3d.tensor.shape[1] for sample in samples] == [9, 9]
    assert all((sample.pred_instances_3d.scores_3d.diff() <= 0).all() for sample in samples)


@torch.no_grad()
def test_what_is_distilled():
    detector = tiny_detector().eval()
    assert detector.distill_outputs() == dict(bev=None, queries=None)
    outs = detector(batch_inputs(), mode='tensor')
    given = detector.distill_outputs()
    assert given['bev'].shape == (2, 16, 8, 10)
    assert len(given['queries']) == 3
    for layer, queries in enumerate(given['queries']):
        assert torch.equal(queries['logits'], outs['logits'][layer])
        assert torch.equal(queries['boxes'], outs['boxes'][layer])
        assert torch.equal(queries['points'], outs['boxes'][layer][..., :2])
    assert copy.deepcopy(detector).distill_outputs()['bev'] is None


def test_points_carry_no_gradient():
    detector = tiny_detector().train()
    detector(batch_inputs(), annotated((1, 1)), mode='loss')
    queries = detector.distill_outputs()['queries'][-1]
    assert queries['boxes'].requires_grad
    assert not queries['points'].requires_grad


@torch.no_grad()
def test_a_missing_frame_changes_nothing_of_the_current_one():
    detector = tiny_detector(num_frames=2).eval()
    inputs = batch_inputs(2, 2)
    inputs['frame_exists'][1, 1] = False
    mixed = detector.extract_feat(inputs)
    single = tiny_detector(num_frames=1).eval()
    single.load_state_dict(detector.state_dict())
    alone = single.extract_feat(inputs)
    torch.testing.assert_close(mixed[1], alone[1], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(mixed[0], alone[0], atol=1e-3)


@torch.no_grad()
def test_the_oldest_frame_comes_first():
    detector = tiny_detector(num_frames=3).eval()
    inputs = batch_inputs(1, 3)
    oldest = detector._encode(inputs, 2, None, None)
    middle = detector._encode(inputs, 1, oldest, torch.tensor([True]))
    newest = detector._encode(inputs, 0, middle, torch.tensor([True]))
    torch.testing.assert_close(detector.extract_feat(inputs), newest.transpose(1, 2).unflatten(2, (8, 10)))


@torch.no_grad()
def test_more_frames_than_needed_do_no_harm():
    detector = tiny_detector().eval()
    inputs = batch_inputs(1, 2)
    first = {name: value[:, :1] if name != 'lidar_aug_matrix' else value for name, value in inputs.items()}
    torch.testing.assert_close(detector.extract_feat(inputs), detector.extract_feat(first))


def test_past_frames_leave_the_norms_alone():
    inputs, samples = batch_inputs(2, 2), annotated((1, 1))
    counts = {}
    for mode in ('eval', 'train'):
        detector = tiny_detector(num_frames=2, history_mode=mode).train()
        detector.img_backbone.layer1.eval()
        detector(inputs, samples, mode='loss')
        counts[mode] = int(detector.img_backbone.bn1.num_batches_tracked)
        assert detector.img_backbone.bn1.training
        assert detector.encoder.layers[0].self_attn.dropout.training
        assert not detector.img_backbone.layer1.training
    assert counts == dict(eval=1, train=2)


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match='num_frames must be at least 1'):
        tiny_detector(num_frames=0)
    with pytest.raises(ConfigError, match="unknown history_mode 'evla'; did you mean 'eval'"):
        tiny_detector(history_mode='evla')
    detector = tiny_detector(num_frames=2)
    with pytest.raises(ShapeError, match='the batch has 1 frames, expected at least num_frames=2'):
        detector.extract_feat(batch_inputs(1, 1))
    inputs = batch_inputs(1, 2)
    with pytest.raises(ShapeError, match='missing|cam2lidar'):
        detector.extract_feat({**inputs, 'cam2lidar': inputs['cam2lidar'][:, :, :4]})
    del inputs['frame_exists']
    with pytest.raises(ConfigError, match="needs 'frame_exists'"):
        detector.extract_feat(inputs)
