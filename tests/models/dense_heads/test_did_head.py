from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet3d.structures import CameraInstance3DBoxes, Det3DDataSample
from mmengine.structures import InstanceData

from mono_distill.models import DIDHead
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, DataError, ShapeError

TERMS = dict(
    loss_heatmap='seg',
    loss_offset_2d='offset2d',
    loss_size_2d='size2d',
    loss_depth='depth',
    loss_offset_3d='offset3d',
    loss_size_3d='size3d',
    loss_heading='heading',
)
CAM2IMG = np.array([[180.4, 0, 80.0, 11.2], [0, 180.4, 48.0, 0.05], [0, 0, 1, 0.0027]])
META = dict(ori_cam2img=CAM2IMG, trans_mat=np.eye(3), ori_shape=(96, 160), img_shape=(96, 160))
MAP = (24, 40)


def instances(count: int, seed: int = 0) -> InstanceData:
    generator = torch.Generator().manual_seed(seed)
    centers = torch.rand(count, 2, generator=generator) * torch.tensor([160.0, 96])
    half = torch.rand(count, 2, generator=generator) * 20 + 4
    depths = torch.rand(count, generator=generator) * 50 + 5
    return InstanceData(
        bboxes_3d=CameraInstance3DBoxes(torch.rand(count, 7, generator=generator) * 4 + 1),
        labels_3d=torch.randint(0, 3, (count,), generator=generator),
        bboxes=torch.cat([centers - half, centers + half], dim=1),
        centers_2d=centers,
        alpha=torch.zeros(count),
        depths=depths,
        visual_depth=depths[:, None, None] + torch.randn(count, 7, 7, generator=generator) * 2,
    )


def samples(*counts: int, **meta: object) -> list[Det3DDataSample]:
    batch = []
    for seed, count in enumerate(counts):
        sample = Det3DDataSample(metainfo={**META, **meta})
        sample.gt_instances_3d = instances(count, seed)
        batch.append(sample)
    return batch


@pytest.fixture
def head():
    head = DIDHead(in_channels=8, feat_channels=16)
    head.init_weights()
    return head


def feats(batch: int = 2, seed: int = 0) -> tuple[torch.Tensor]:
    return (torch.randn(batch, 8, *MAP, generator=torch.Generator().manual_seed(seed)),)


def golden_outputs_and_targets(file):
    """Outputs and targets of the official loss; its lists of valid objects become slots of two images."""
    targets = {key[4:]: torch.from_numpy(value) for key, value in file.items() if key.startswith('tgt_')}
    for name in ('depth', 'heading_bin', 'heading_res'):
        targets[name] = targets[name].squeeze(-1)
    targets = {name: value.double() if value.is_floating_point() else value for name, value in targets.items()}
    leaves = {key[4:]: torch.from_numpy(value).double() for key, value in file.items() if key.startswith('out_')}
    leaves = {name: value.requires_grad_() for name, value in leaves.items()}
    mask = targets['mask_2d']
    outs = dict(leaves)
    for name in set(leaves) - {'heatmap', 'offset_2d', 'size_2d'}:
        slots = leaves[name].new_full((*mask.shape, *leaves[name].shape[1:]), 7.0)
        outs[name] = slots.masked_scatter(mask.view(*mask.shape, *[1] * (slots.dim() - 2)), leaves[name])
    outs['ins_depth'] = outs['vis_depth'] + outs['att_depth']
    outs['ins_depth_uncer'] = torch.logaddexp(outs['vis_depth_uncer'], outs['att_depth_uncer'])
    return leaves, outs, targets


def test_losses_and_gradients_of_the_official_code(golden):
    file = golden('did_base_loss')
    leaves, outs, targets = golden_outputs_and_targets(file)
    losses = DIDHead().loss_by_targets(outs, targets)
    assert {name: value.item() for name, value in losses.items()} == {
        name: pytest.approx(float(file[f'term_{term}_loss_f64']), rel=1e-6) for name, term in TERMS.items()
    }
    total = sum(losses.values())
    assert total.item() == pytest.approx(float(file['sum_f64']), rel=1e-6)
    total.backward()
    for name, value in leaves.items():
        expected = torch.from_numpy(file[f'grad_{name}_f64'])
        torch.testing.assert_close(value.grad.float(), expected, rtol=2e-6, atol=1e-8, msg=name)


def test_the_depth_loss_written_out_for_every_bin(head):
    batch = samples(3, 2)
    outs, targets = head._forward_objects(feats(), batch, sparse=False)
    losses = head.loss_by_targets(outs, targets)

    def laplace(name, goal, b, n, i, j):
        s = outs[f'{name}_uncer'][b, n, i, j].item()
        return 1.4142 * np.exp(-s / 2) * abs(outs[name][b, n, i, j].item() - goal) + s / 2

    visual, attribute, instance = [], [], []
    for b, sample in enumerate(batch):
        gt = sample.gt_instances_3d
        for n in range(len(gt)):
            for i in range(7):
                for j in range(7):
                    z, seen = gt.depths[n].item(), gt.visual_depth[n, i, j].item()
                    instance.append(laplace('ins_depth', z, b, n, i, j))
                    if abs(seen - z) < 3:
                        visual.append(laplace('vis_depth', seen, b, n, i, j))
                        attribute.append(laplace('att_depth', z - seen, b, n, i, j))
    expected = sum(float(np.mean(values)) for values in (visual, attribute, instance))
    assert losses['loss_depth'].item() == pytest.approx(expected, rel=1e-5)


def test_outputs_have_their_shapes(head):
    outs, _ = head._forward_objects(feats(), samples(3, 1), sparse=False)
    shapes = {name: tuple(value.shape) for name, value in outs.items()}
    bins = {f'{part}_depth{kind}': (2, 3, 7, 7) for part in ('vis', 'att', 'ins') for kind in ('', '_uncer')}
    dense = {name: (2, channels, *MAP) for name, channels in dict(heatmap=3, offset_2d=2, size_2d=2).items()}
    assert shapes == {**dense, **bins, 'offset_3d': (2, 3, 2), 'size_3d': (2, 3, 3), 'heading': (2, 3, 24)}


def test_without_cameras_only_the_first_stage_runs(head):
    assert list(head(feats())) == ['heatmap', 'offset_2d', 'size_2d']


def test_instance_depth_is_the_sum_and_its_variance_the_sum_of_variances(head):
    outs, _ = head._forward_objects(feats(), samples(2, 2), sparse=False)
    torch.testing.assert_close(outs['ins_depth'], outs['vis_depth'] + outs['att_depth'])
    variances = outs['vis_depth_uncer'].exp() + outs['att_depth_uncer'].exp()
    torch.testing.assert_close(outs['ins_depth_uncer'].exp(), variances)


@pytest.mark.parametrize('counts', [(3, 5), (0, 4), (0, 0)])
def test_losses_are_finite_and_every_parameter_receives_a_gradient(head, counts):
    losses = head.loss(feats(), samples(*counts))
    sum(losses.values()).backward()
    assert all(torch.isfinite(value) for value in losses.values())
    assert [name for name, p in head.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()] == []
    if counts == (0, 0):
        assert losses['loss_heatmap'] > 0
        assert all(value == 0 for name, value in losses.items() if name != 'loss_heatmap')


def test_padding_changes_nothing(head):
    """An image is trained alike alone and beside one with more objects, in train mode with its batch statistics."""
    x = feats()
    metas = [META, META]
    batch = [sample.gt_instances_3d for sample in samples(2, 5)]
    targets = head.target_encoder(batch, metas, MAP)
    alone = head(x, metas, targets, counts=[2, 5])
    padded = head(x, metas, targets)
    for name, value in alone.items():
        if name in ('heatmap', 'offset_2d', 'size_2d'):
            continue
        torch.testing.assert_close(value[0, :2], padded[name][0, :2], rtol=1e-4, atol=1e-5, msg=name)
        torch.testing.assert_close(value[1], padded[name][1], rtol=1e-4, atol=1e-5, msg=name)
    first, second = head.loss_by_targets(alone, targets), head.loss_by_targets(padded, targets)
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-5, atol=1e-6, msg=name)


def test_boxes_are_moved_by_the_second_stage_unless_they_are_detached(head):
    gradients = {}
    for detach in (False, True):
        head.detach_rois = detach
        head.zero_grad()
        head.loss(feats(), samples(3, 2))['loss_heading'].backward()
        gradients[detach] = head.size_2d[-1].weight.grad
    assert gradients[False].abs().max() > 0
    assert gradients[True] is None or gradients[True].abs().max() == 0


def test_losses_under_autocast_are_computed_in_float32(head):
    with torch.autocast('cpu', dtype=torch.bfloat16):
        outs, targets = head._forward_objects(feats(), samples(3, 2), sparse=False)
        losses = head.loss_by_targets(outs, targets)
    assert outs['heatmap'].dtype == torch.bfloat16
    assert outs['vis_depth'].dtype == torch.float32
    assert {value.dtype for value in losses.values()} == {torch.float32}


def test_an_unlabelled_image_trains_nothing_and_changes_no_other(head):
    (x,) = feats()
    x.requires_grad_()
    batch = samples(3, 0)
    batch[1].set_metainfo(dict(labelled=False))
    losses = head.loss((x,), batch)
    sum(losses.values()).backward()
    assert x.grad[0].abs().sum() > 0
    assert x.grad[1].abs().sum() == 0
    alone = head.loss((x[:1],), batch[:1])
    for name, value in alone.items():
        torch.testing.assert_close(losses[name], value)


def test_losses_by_features_are_those_of_the_samples(head):
    batch = samples(3, 1)
    outs, _ = head._forward_objects(feats(), batch, sparse=False)
    again = head.loss_by_feat(outs, [s.gt_instances_3d for s in batch], [s.metainfo for s in batch])
    for name, value in head.loss(feats(), batch).items():
        torch.testing.assert_close(again[name], value)


def test_samples_without_annotations_are_looked_at_where_the_heat_is(head):
    batch = samples(2, 2)
    del batch[1].gt_instances_3d
    outs = head.forward_samples(feats(), batch)
    assert outs['heat'].shape == (2, 50)
    assert outs['vis_depth'].shape == (2, 50, 7, 7)


def test_predictions_follow_the_test_config():
    head = MODELS.build(
        dict(type='mono_distill.DIDHead', in_channels=8, feat_channels=8, test_cfg=dict(topk=7, score_thr=0.0))
    ).eval()
    (result,) = head.predict(feats(1), samples(1))
    assert len(result) == 7
    assert result.bboxes_3d.tensor.isfinite().all()


def test_an_entry_of_the_losses_can_be_replaced(head):
    doubled = DIDHead(in_channels=8, feat_channels=16, losses=dict(size_2d=dict(type='mmdet.L1Loss', loss_weight=2.0)))
    doubled.load_state_dict(head.state_dict())
    a, b = (h.loss(feats(), samples(3, 2)) for h in (head, doubled))
    assert b['loss_size_2d'].item() == pytest.approx(2 * a['loss_size_2d'].item())
    assert b['loss_offset_2d'] == a['loss_offset_2d']


def test_task_weights_scale_the_losses_and_the_log_shows_them_unscaled(head):
    plain = head.loss(feats(), samples(3, 2))
    head.task_weights.set({'depth': 0.25})
    head.task_weights.recording = True
    weighted = head.loss(feats(), samples(3, 2))
    assert weighted['loss_depth'].item() == pytest.approx(0.25 * plain['loss_depth'].item())
    assert weighted['raw_depth'].item() == pytest.approx(plain['loss_depth'].item())
    assert not weighted['raw_depth'].requires_grad
    assert head.task_weights.pop_means()['depth'] == pytest.approx(plain['loss_depth'].item())


def test_wrong_options_are_named(head):
    with pytest.raises(ConfigError, match="losses has no entry 'dept'; did you mean 'depth'"):
        DIDHead(losses=dict(dept=dict(type='mmdet.L1Loss')))
    with pytest.raises(ConfigError, match="test_cfg has no entry 'top_k'; did you mean 'topk'"):
        DIDHead(test_cfg=dict(top_k=5))
    with pytest.raises(ConfigError, match='h, w, l of each of the 2 classes'):
        DIDHead(num_classes=2)
    with pytest.raises(ShapeError, match=r'expected \(B, 8, H, W\)'):
        head((torch.zeros(1, 64, 4, 4),))


def test_missing_meta_information_is_named(head):
    batch = samples(1)
    broken = [{key: value for key, value in META.items() if key != 'trans_mat'}]
    with pytest.raises(DataError, match=r"lacks \['trans_mat'\].*PackMono3DInputs"):
        head(feats(1), broken)
    del batch[0].gt_instances_3d.visual_depth
    with pytest.raises(DataError, match='ObjectVisualDepth'):
        head.loss(feats(1), batch)


@pytest.mark.parametrize('counts', [(3, 2), (0, 0)])
def test_sparse_2d_outputs_train_alike(head, counts):
    results = []
    for sparse in (False, True):
        head.sparse_2d = sparse
        head.zero_grad()
        (x,) = feats()
        losses = head.loss((x.requires_grad_(),), samples(*counts))
        sum(losses.values()).backward()
        results.append((losses, {'feat': x.grad, **{n: p.grad.clone() for n, p in head.named_parameters()}}))
    for dense, sparse in zip(*results, strict=True):
        for name, value in dense.items():
            torch.testing.assert_close(sparse[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_outputs_for_distillation_and_evaluation_are_dense_all_the_same(head):
    head.sparse_2d = True
    assert head.forward_samples(feats(), samples(1, 1))['size_2d'].shape == (2, 2, *MAP)
    assert head(feats(), [META, META])['size_2d'].shape == (2, 2, *MAP)


@pytest.mark.slow
def test_two_ranks_train_like_one_process_on_the_whole_batch(tmp_path):
    """Unequal numbers of objects per rank and one image without any."""
    script = str(Path(__file__).with_name('did_rank.py'))
    ranks = [subprocess.Popen([sys.executable, script, str(tmp_path), str(rank)]) for rank in range(2)]
    whole = runpy.run_path(script)
    expected = whole['gradients'](*whole['batch']())
    assert [rank.wait(timeout=240) for rank in ranks] == [0, 0]
    first, second = (torch.load(tmp_path / f'gradients{rank}.pt') for rank in range(2))
    for name, gradient in expected.items():
        torch.testing.assert_close((first[name] + second[name]) / 2, gradient, rtol=1e-4, atol=1e-6, msg=name)
