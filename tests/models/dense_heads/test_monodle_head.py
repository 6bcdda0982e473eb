from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmdet3d.structures import CameraInstance3DBoxes
from mmengine.structures import InstanceData

from mono_distill.models import MonoDLEHead
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError

TERMS = dict(
    loss_heatmap='seg',
    loss_offset_2d='offset2d',
    loss_size_2d='size2d',
    loss_depth='depth',
    loss_offset_3d='offset3d',
    loss_size_3d='size3d',
    loss_heading='heading',
)


def instances(count: int, seed: int = 0) -> InstanceData:
    generator = torch.Generator().manual_seed(seed)
    centers = torch.rand(count, 2, generator=generator) * torch.tensor([160.0, 96])
    half = torch.rand(count, 2, generator=generator) * 20 + 4
    return InstanceData(
        bboxes_3d=CameraInstance3DBoxes(torch.rand(count, 7, generator=generator) * 4 + 1),
        labels_3d=torch.randint(0, 3, (count,), generator=generator),
        bboxes=torch.cat([centers - half, centers + half], dim=1),
        centers_2d=centers,
        alpha=torch.rand(count, generator=generator) * 6 - 3,
        depths=torch.rand(count, generator=generator) * 50 + 5,
    )


@pytest.fixture
def head():
    head = MonoDLEHead(in_channels=8, feat_channels=16)
    head.init_weights()
    return head


def golden_outputs_and_targets(file):
    outs = {key[4:]: torch.from_numpy(value).double() for key, value in file.items() if key.startswith('out_')}
    targets = {key[4:]: torch.from_numpy(value) for key, value in file.items() if key.startswith('tgt_')}
    for name in ('depth', 'heading_bin', 'heading_res'):
        targets[name] = targets[name].squeeze(-1)
    targets = {name: value.double() if value.is_floating_point() else value for name, value in targets.items()}
    return {name: value.requires_grad_() for name, value in outs.items()}, targets


def test_losses_and_gradients_of_the_official_code(golden):
    file = golden('monodle_base_loss')
    outs, targets = golden_outputs_and_targets(file)
    head = MonoDLEHead(train_cfg=dict(depth_mask='mask_2d'))
    losses = head.loss_by_targets(outs, targets)
    assert {name: value.item() for name, value in losses.items()} == {
        name: pytest.approx(float(file[f'term_{term}_f64']), rel=1e-6) for name, term in TERMS.items()
    }
    total = sum(losses.values())
    assert total.item() == pytest.approx(float(file['total_f64']), rel=1e-6)
    total.backward()
    for name, value in outs.items():
        expected = torch.from_numpy(file[f'grad_{name}_f64'])
        torch.testing.assert_close(value.grad.float(), expected, rtol=2e-6, atol=1e-8, msg=name)


def test_losses_by_features_are_those_of_the_encoded_targets(golden):
    file = golden('monodle_base_loss')
    outs, targets = golden_outputs_and_targets(file)
    head = MonoDLEHead(train_cfg=dict(depth_mask='mask_2d'))
    head.target_encoder.forward = lambda *_args: targets
    total = sum(head.loss_by_feat(outs, [None, None], [{}, {}]).values())
    assert total.item() == pytest.approx(float(file['total_f64']), rel=1e-6)


def test_monodle_trains_no_depth_on_randomly_cropped_images(golden):
    outs, targets = golden_outputs_and_targets(golden('monodle_base_loss'))
    assert not targets['mask_3d'][1].any()
    MonoDLEHead().loss_by_targets(outs, targets)['loss_depth'].backward()
    assert outs['depth'].grad[0].abs().max() > 0
    assert outs['depth'].grad[1].abs().max() == 0


def test_branches_have_their_channels(head):
    outs = head((torch.randn(2, 8, 6, 10), None))
    expected = dict(heatmap=3, offset_2d=2, size_2d=2, depth=2, offset_3d=2, size_3d=3, heading=24)
    assert {name: tuple(value.shape) for name, value in outs.items()} == {n: (2, c, 6, 10) for n, c in expected.items()}


def test_initial_heat_is_a_tenth_and_other_outputs_are_small(head):
    outs = head((torch.randn(2, 8, 6, 10),))
    assert head.heatmap[-1].bias.tolist() == pytest.approx([-2.19] * 3)
    assert outs['heatmap'].sigmoid().mean().item() == pytest.approx(0.1, abs=0.05)
    assert all(value.abs().max() < 0.01 for name, value in outs.items() if name != 'heatmap')


@pytest.mark.parametrize('counts', [(3, 5), (0, 4), (0, 0)])
def test_losses_are_finite_and_every_parameter_receives_a_gradient(head, counts):
    outs = head((torch.randn(2, 8, 24, 40),))
    losses = head.loss_by_feat(outs, [instances(n, n) for n in counts], [{}, {}])
    sum(losses.values()).backward()
    assert all(torch.isfinite(value) for value in losses.values())
    assert all(torch.isfinite(p.grad).all() for p in head.parameters())
    if counts == (0, 0):
        assert losses['loss_heatmap'] > 0
        assert all(value == 0 for name, value in losses.items() if name != 'loss_heatmap')


def test_losses_under_autocast_are_computed_in_float32(head):
    with torch.autocast('cpu', dtype=torch.bfloat16):
        outs = head((torch.randn(2, 8, 24, 40),))
        losses = head.loss_by_feat(outs, [instances(3), instances(2, 1)], [{}, {}])
    assert outs['size_3d'].dtype == torch.bfloat16
    assert {value.dtype for value in losses.values()} == {torch.float32}


def test_an_entry_of_the_losses_can_be_replaced():
    plain, doubled = MonoDLEHead(), MonoDLEHead(losses=dict(size_2d=dict(type='mmdet.L1Loss', loss_weight=2.0)))
    doubled.load_state_dict(plain.state_dict())
    outs = plain((torch.randn(1, 64, 24, 40),))
    a, b = (h.loss_by_feat(outs, [instances(3)], [{}]) for h in (plain, doubled))
    assert b['loss_size_2d'].item() == pytest.approx(2 * a['loss_size_2d'].item())
    assert b['loss_depth'] == a['loss_depth']


def test_predictions_follow_the_test_config():
    head = MODELS.build(dict(type='mono_distill.MonoDLEHead', in_channels=8, feat_channels=8, test_cfg=dict(topk=7)))
    assert head.test_cfg == dict(topk=7, local_maximum_kernel=3, score_thr=0.2)
    head.test_cfg['score_thr'] = 0.0
    metas = [dict(ori_cam2img=torch.eye(4).numpy(), trans_mat=torch.eye(3).numpy())]
    (result,) = head.predict_by_feat(head((torch.randn(1, 8, 24, 40),)), metas)
    assert len(result) == 7


def test_wrong_options_are_named(head):
    with pytest.raises(ConfigError, match="losses has no entry 'dept'; did you mean 'depth'"):
        MonoDLEHead(losses=dict(dept=dict(type='mmdet.L1Loss')))
    with pytest.raises(ConfigError, match="test_cfg has no entry 'top_k'; did you mean 'topk'"):
        MonoDLEHead(test_cfg=dict(top_k=5))
    with pytest.raises(ConfigError, match="unknown depth_mask 'mask_4d'"):
        MonoDLEHead(train_cfg=dict(depth_mask='mask_4d'))
    with pytest.raises(ShapeError, match=r'expected \(B, 8, H, W\)'):
        head((torch.zeros(1, 64, 4, 4),))


@pytest.mark.slow
def test_two_ranks_train_like_one_process_on_the_whole_batch(tmp_path):
    """Unequal numbers of objects per rank, one image without any and one from a random crop."""
    script = str(Path(__file__).with_name('monodle_rank.py'))
    ranks = [subprocess.Popen([sys.executable, script, str(tmp_path), str(rank)]) for rank in range(2)]
    whole = runpy.run_path(script)
    expected = whole['gradients'](*whole['batch']())
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    first, second = (torch.load(tmp_path / f'gradients{rank}.pt') for rank in range(2))
    for name, gradient in expected.items():
        torch.testing.assert_close((first[name] + second[name]) / 2, gradient, rtol=1e-4, atol=1e-7, msg=name)


def test_depth_leaves_the_head_in_single_precision_under_autocast():
    head = MonoDLEHead(in_channels=8, feat_channels=8)
    feat = torch.randn(1, 8, 4, 6)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        outs = head((feat,))
    assert outs['depth'].dtype == torch.float32
    assert outs['heatmap'].dtype == torch.bfloat16


def test_an_unlabelled_image_trains_nothing_and_changes_no_other(head):
    feats = torch.randn(2, 8, 24, 40)
    metas = [{}, {'labelled': False}]
    feats.requires_grad_()
    losses = head.loss_by_feat(head((feats,)), [instances(3), instances(0)], metas)
    sum(losses.values()).backward()
    assert feats.grad[0].abs().sum() > 0
    assert feats.grad[1].abs().sum() == 0
    alone = head.loss_by_feat(head((feats[:1],)), [instances(3)], [{}])
    for name, value in alone.items():
        torch.testing.assert_close(losses[name], value)


def test_an_image_known_to_be_empty_does_train_the_heatmap(head):
    feats = torch.randn(1, 8, 24, 40, requires_grad=True)
    sum(head.loss_by_feat(head((feats,)), [instances(0)], [{'labelled': True}]).values()).backward()
    assert feats.grad.abs().sum() > 0
