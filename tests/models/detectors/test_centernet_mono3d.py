from __future__ import annotations

import numpy as np
import pytest
import torch
from mmdet3d.structures import CameraInstance3DBoxes, Det3DDataSample
from mmengine.structures import InstanceData
from official_files import golden_state

from mono_distill.models import CenterNetMono3D
from mono_distill.models.converters import compare_state, convert_monodle_keys
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError

GN = dict(type='GN', num_groups=8)


def full_config():
    return dict(
        type='mono_distill.CenterNetMono3D',
        backbone=dict(type='mono_distill.DLANet', out_indices=(0, 1, 2, 3, 4, 5)),
        neck=dict(type='mono_distill.DLAUpNeck'),
        bbox_head=dict(type='mono_distill.MonoDLEHead'),
    )


def tiny_config(norm_cfg=GN):
    return dict(
        type='mono_distill.CenterNetMono3D',
        backbone=dict(
            type='mmdet.ResNet', depth=18, base_channels=16, stem_channels=16, norm_cfg=norm_cfg, norm_eval=False
        ),
        neck=dict(type='mono_distill.DLAUpNeck', in_channels=(16, 32, 64, 128), norm_cfg=norm_cfg, coord_channels=True),
        bbox_head=dict(type='mono_distill.MonoDLEHead', in_channels=16, feat_channels=64),
    )


@pytest.fixture(scope='module')
def official_forward():
    """Backbone, neck and head outputs of the full detector with the official run's weights and image."""
    detector = MODELS.build(full_config()).eval()
    state, dropped = convert_monodle_keys(golden_state('monodle'))
    compare_state(state, detector.state_dict(), dropped=dropped).require_complete('the official weights')
    detector.load_state_dict(state)
    image = np.random.RandomState(7).standard_normal((2, 3, 384, 1280)).astype(np.float32)
    with torch.no_grad():
        levels = detector.backbone(torch.from_numpy(image))
        maps = detector.neck(levels[2:])
        outs = detector.bbox_head(maps)
    return detector, levels, maps, outs


def assert_equals(value, expected, name):
    torch.testing.assert_close(value, torch.from_numpy(expected), rtol=1e-5, atol=1e-5, msg=lambda m: f'{name}: {m}')


def test_backbone_neck_and_branches_of_the_official_code(official_forward, golden):
    _, levels, maps, outs = official_forward
    file = golden('monodle_official_cpu')
    for i, level in enumerate(levels):
        steps = [max(1, size // part) for size, part in zip(level.shape[1:], (16, 12, 16), strict=True)]
        sub = level[:, :: steps[0], :: steps[1], :: steps[2]]
        assert_equals(sub, file[f'backbone{i}_sub'], f'level {i}')
    assert_equals(maps[0][:, ::4, ::8, ::16], file['neck_sub'], 'neck')
    for name, value in outs.items():
        assert_equals(value[:, :, ::8, ::16], file[f'eval_{name}'], name)


def test_peaks_of_the_official_decoder(official_forward, golden):
    detector, _, _, outs = official_forward
    rows = torch.from_numpy(golden('monodle_official_cpu')['eval_dets'])
    coder = detector.bbox_head.bbox_coder
    expected = dict(
        labels=rows[..., 0].long(),
        heat=rows[..., 1],
        centers_2d=rows[..., 2:4] * 4,
        size_2d=rows[..., 4:6] * 4,
        depth=rows[..., 6],
        alpha=coder.heading_coder.decode(rows[..., 7:31]),
        size_3d=rows[..., 31:34],
        centers_3d=rows[..., 34:36] * 4,
        confidence=rows[..., 36],
    )
    peaks = in_reading_order(coder.peaks(outs))
    for name, values in in_reading_order(expected).items():
        torch.testing.assert_close(peaks[name], values, rtol=1e-5, atol=2e-4, msg=name)


def in_reading_order(peaks):
    """Sort the peaks of each image by position: heats that differ by 1e-7 may come in either order."""
    x, y = peaks['centers_2d'].double().unbind(-1)
    order = (1e4 * y + x).argsort(dim=1)
    image = torch.arange(len(order)).unsqueeze(1)
    return {name: value[image, order] for name, value in peaks.items()}


def test_the_full_detector_has_the_official_number_of_parameters():
    detector = MODELS.build(full_config())
    classifier = 513_000
    assert sum(p.numel() for p in detector.parameters()) == 20_822_974 - classifier


@pytest.fixture
def tiny():
    detector = MODELS.build(tiny_config())
    detector.init_weights()
    return detector


def data_samples(counts):
    samples = []
    for count in counts:
        centers = torch.rand(count, 2) * torch.tensor([320.0, 96])
        sample = Det3DDataSample()
        sample.gt_instances_3d = InstanceData(
            bboxes_3d=CameraInstance3DBoxes(torch.rand(count, 7) * 4 + 1),
            labels_3d=torch.randint(0, 3, (count,)),
            bboxes=torch.cat([centers - 10, centers + 10], dim=1),
            centers_2d=centers,
            alpha=torch.rand(count),
            depths=torch.rand(count) * 50 + 5,
        )
        sample.set_metainfo(
            dict(
                ori_cam2img=np.array([[180.0, 0, 160, 11], [0, 180, 43, 0.05], [0, 0, 1, 0.003]]),
                trans_mat=np.eye(3),
                ori_shape=(96, 320),
                img_shape=(96, 320),
                crop_scale=1.0,
                random_crop=False,
            )
        )
        samples.append(sample)
    return samples


def test_a_tiny_variant_has_at_most_three_million_parameters(tiny):
    assert sum(p.numel() for p in tiny.parameters()) < 3_000_000


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


def test_the_full_detector_needs_no_search_for_unused_parameters():
    detector = MODELS.build(full_config())
    detector.backbone.out_indices = (2, 3, 4, 5)
    sum(detector.loss(dict(imgs=torch.randn(2, 3, 64, 64)), data_samples((2, 1))).values()).backward()
    assert [name for name, p in detector.named_parameters() if p.requires_grad and p.grad is None] == []


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
        prediction = sample.pred_instances_3d
        assert set(prediction.keys()) == {'bboxes_3d', 'scores_3d', 'labels_3d', 'bboxes_2d', 'alpha'}
        assert prediction.bboxes_3d.tensor.shape == (50, 7)


def test_tensor_mode_returns_the_maps_of_the_head(tiny):
    outs = tiny(dict(imgs=torch.randn(1, 3, 96, 320)), mode='tensor')
    assert outs['heatmap'].shape == (1, 3, 24, 80)


def test_paths_for_distillation_exist(tiny):
    modules = dict(tiny.named_modules())
    assert {'backbone', 'neck', 'bbox_head', 'bbox_head.target_encoder'} < set(modules)


def test_missing_images_are_named(tiny):
    with pytest.raises(ConfigError, match=r"inputs are \['img'\], expected 'imgs'.*Mono3DDataPreprocessor"):
        CenterNetMono3D.extract_feat(tiny, dict(img=torch.zeros(1, 3, 32, 32)))
