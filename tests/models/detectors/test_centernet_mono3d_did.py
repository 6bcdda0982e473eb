"""The detector with a DID-M3D head."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmdet3d.structures import CameraInstance3DBoxes, Det3DDataSample
from mmengine.structures import InstanceData
from official_files import golden_state

from mono_distill.models.converters import compare_state, convert_did_keys
from mono_distill.models.dense_heads.did_head import MEAN_SIZES
from mono_distill.registry import MODELS

CAM2IMG = np.array([[721.5377, 0, 609.5593, 44.85728], [0, 721.5377, 172.854, 0.2163791], [0, 0, 1, 0.002745884]])
SCALE = 1280 / 1242
OFFICIAL_META = dict(
    ori_cam2img=CAM2IMG,
    trans_mat=np.array([[SCALE, 0, 640 - SCALE * 621], [0, SCALE, 192 - SCALE * 187.5], [0, 0, 1]]),
    ori_shape=(375, 1242),
    img_shape=(384, 1280),
)
PER_OBJECT = (
    'heading',
    'offset_3d',
    *(f'{part}_depth{kind}' for part in ('vis', 'att', 'ins') for kind in ('', '_uncer')),
)


def full_config():
    return dict(
        type='mono_distill.CenterNetMono3D',
        backbone=dict(type='mono_distill.DLANet', out_indices=(2, 3, 4, 5)),
        neck=dict(type='mono_distill.DLAUpNeck'),
        bbox_head=dict(type='mono_distill.DIDHead', pixel_mode='official'),
    )


@pytest.fixture(scope='module')
def official_forward():
    """The full detector with the official run's weights, and its outputs for the official run's image."""
    detector = MODELS.build(full_config()).eval()
    state, dropped = convert_did_keys(golden_state('didm3d') | {'mean_size': torch.tensor(MEAN_SIZES)})
    compare_state(state, detector.state_dict(), dropped=dropped).require_complete('the official weights')
    detector.load_state_dict(state)
    image = np.random.RandomState(7).standard_normal((2, 3, 384, 1280)).astype(np.float32)
    with torch.no_grad():
        maps = detector.extract_feat(dict(imgs=torch.from_numpy(image)))
        return detector, maps, detector.bbox_head(maps, [OFFICIAL_META] * 2)


def in_reading_order(values, centers):
    """Sort the peaks of each image by position: heats that differ by 1e-7 may come in either order."""
    x, y = centers.double().unbind(-1)
    order = (1e4 * y + x).argsort(dim=1)
    image = torch.arange(len(order)).unsqueeze(1)
    return {name: value[image, order] for name, value in values.items()}


def test_both_stages_of_the_official_code(official_forward, golden):
    detector, maps, outs = official_forward
    file = golden('didm3d_official_cpu')
    expected = {name: torch.from_numpy(value) for name, value in file.items()}
    torch.testing.assert_close(maps[0][:, ::4, ::8, ::16], expected['neck_sub'], rtol=1e-5, atol=1e-5)
    for name in ('heatmap', 'offset_2d', 'size_2d'):
        torch.testing.assert_close(outs[name][:, :, ::8, ::16], expected[f'eval_{name}'], rtol=1e-5, atol=1e-5)
    residual = outs['size_3d'] - torch.tensor(MEAN_SIZES)[outs['labels']]
    ours = {**{name: outs[name] for name in PER_OBJECT}, 'size_3d': residual}
    theirs = {name: expected[f'eval_{name}'].unflatten(0, (2, 50)) for name in ours}
    ours = in_reading_order(ours, detector.bbox_head.bbox_coder.read_peaks(outs)['centers_2d'])
    theirs = in_reading_order(theirs, expected['eval_dets'][..., 2:4])
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f'{n}: {m}')


def test_peaks_of_the_official_decoder(official_forward, golden):
    detector, _, outs = official_forward
    rows = torch.from_numpy(golden('didm3d_official_cpu')['eval_dets'])
    coder = detector.bbox_head.bbox_coder
    labels = rows[..., 0].long()
    expected = dict(
        labels=labels,
        heat=rows[..., 1],
        centers_2d=rows[..., 2:4] * 4,
        size_2d=rows[..., 4:6] * 4,
        alpha=coder.heading_coder.decode(rows[..., 6:30]),
        size_3d=rows[..., 30:33] + torch.tensor(MEAN_SIZES)[labels],
        centers_3d=rows[..., 33:35] * 4,
        depth=rows[..., 35],
        confidence=rows[..., 36],
    )
    peaks = coder.read_peaks(outs)
    peaks = in_reading_order(peaks, peaks['centers_2d'])
    for name, values in in_reading_order(expected, expected['centers_2d']).items():
        torch.testing.assert_close(peaks[name], values, rtol=1e-5, atol=2e-4, msg=name)


def test_the_full_detector_has_the_official_number_of_parameters():
    detector = MODELS.build(full_config())
    classifier, mean_size = 513_000, 9
    assert sum(p.numel() for p in detector.parameters()) == 21_348_809 - classifier - mean_size


@pytest.fixture
def tiny():
    detector = MODELS.build(
        dict(
            type='mono_distill.CenterNetMono3D',
            backbone=dict(type='mmdet.ResNet', depth=18, base_channels=16, stem_channels=16, norm_eval=False),
            neck=dict(type='mono_distill.DLAUpNeck', in_channels=(16, 32, 64, 128)),
            bbox_head=dict(type='mono_distill.DIDHead', in_channels=16, feat_channels=32),
        )
    )
    detector.init_weights()
    return detector


def data_samples(counts):
    samples = []
    for count in counts:
        centers = torch.rand(count, 2) * torch.tensor([320.0, 96])
        sample = Det3DDataSample()
        depths = torch.rand(count) * 50 + 5
        sample.gt_instances_3d = InstanceData(
            bboxes_3d=CameraInstance3DBoxes(torch.rand(count, 7) * 4 + 1),
            labels_3d=torch.randint(0, 3, (count,)),
            bboxes=torch.cat([centers - 10, centers + 10], dim=1),
            centers_2d=centers,
            alpha=torch.zeros(count),
            depths=depths,
            visual_depth=depths.view(-1, 1, 1).repeat(1, 7, 7),
        )
        cam2img = np.array([[180.0, 0, 160, 11], [0, 180, 43, 0.05], [0, 0, 1, 0.003]])
        sample.set_metainfo(dict(ori_cam2img=cam2img, trans_mat=np.eye(3), ori_shape=(96, 320), img_shape=(96, 320)))
        samples.append(sample)
    return samples


@pytest.mark.parametrize('counts', [(3, 1), (0, 0)])
def test_a_training_step_reaches_every_parameter(tiny, counts):
    tiny.train()
    losses = tiny(dict(imgs=torch.randn(2, 3, 96, 320)), data_samples(counts), mode='loss')
    total, logged = tiny.parse_losses(losses)
    total.backward()
    assert {name for name in logged if name != 'loss'} == {
        f'loss_{name}' for name in ('heatmap', 'offset_2d', 'size_2d', 'depth', 'offset_3d', 'size_3d', 'heading')
    }
    assert torch.isfinite(total)
    assert [name for name, p in tiny.named_parameters() if p.requires_grad and p.grad is None] == []


def test_training_lowers_the_loss(tiny):
    tiny.train()
    images, samples = torch.randn(2, 3, 96, 320), data_samples((3, 2))
    optimizer = torch.optim.Adam(tiny.parameters(), lr=2e-3)
    totals = []
    for _ in range(12):
        total = sum(tiny.loss(dict(imgs=images), samples).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.7 * totals[0]


def test_predictions_are_filled_into_the_samples(tiny):
    tiny.eval()
    tiny.bbox_head.test_cfg['score_thr'] = 0.0
    with torch.no_grad():
        samples = tiny(dict(imgs=torch.randn(2, 3, 96, 320)), data_samples((1, 0)), mode='predict')
    for sample in samples:
        assert set(sample.pred_instances_3d.keys()) == {'bboxes_3d', 'scores_3d', 'labels_3d', 'bboxes_2d', 'alpha'}


def test_tensor_mode_looks_at_the_annotated_objects_and_is_seen_by_hooks(tiny):
    seen = []
    tiny.bbox_head.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    outs = tiny(dict(imgs=torch.randn(2, 3, 96, 320)), data_samples((2, 3)), mode='tensor')
    assert outs['vis_depth'].shape == (2, 3, 7, 7)
    assert len(seen) == 1
    assert seen[0] is outs
    assert list(tiny(dict(imgs=torch.randn(1, 3, 96, 320)), mode='tensor')) == ['heatmap', 'offset_2d', 'size_2d']


def test_two_heads_can_be_compared_object_by_object(tiny):
    from mono_distill.losses import DIDResponseLoss

    samples = data_samples((2, 3))
    seen = []
    tiny.bbox_head.target_encoder.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    a, b = (tiny(dict(imgs=torch.randn(2, 3, 96, 320)), samples, mode='tensor') for _ in range(2))
    loss = DIDResponseLoss()(a, b, seen[0])
    loss.backward()
    assert loss > 0
    assert DIDResponseLoss()(a, a, seen[0]).item() == pytest.approx(0, abs=1e-6)
