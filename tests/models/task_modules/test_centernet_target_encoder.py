from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mmdet3d.structures import CameraInstance3DBoxes
from mmengine.structures import InstanceData

from mono_distill.models.task_modules import CenterNetTargetEncoder
from mono_distill.registry import TASK_UTILS
from mono_distill.utils.errors import DataError

CAM2IMG = np.array([[721.5377, 0, 609.5593, 44.85728], [0, 721.5377, 172.854, 0.2163791], [0, 0, 1, 0.002745884]])
IMAGE = np.array([1242.0, 375.0])
INPUT = np.array([1280.0, 384.0])
CLASSES = {'Pedestrian': 0, 'Car': 1, 'Cyclist': 2}
CASES = ['val', *(f'train_flip{flip}_crop{crop}' for flip in (0, 1) for crop in (0, 1))]


def label_objects(text: str, flip: bool, crop_scale: float) -> InstanceData:
    """Objects of a label file as the data pipeline hands them over, computed from the definitions."""
    rows = [line.split() for line in text.strip().splitlines() if not line.startswith('DontCare')]
    values = np.array([[float(value) for value in row[1:]] for row in rows])
    alpha, boxes, (h, w, length) = values[:, 2], values[:, 3:7].reshape(-1, 2, 2), values[:, 7:10].T
    x, y, z, yaw = values[:, 10:14].T
    centers = (CAM2IMG @ np.stack([x, y - h / 2, z, np.ones_like(z)]))[:2].T / z[:, None]
    if flip:
        alpha = np.pi - alpha
        centers[:, 0] = IMAGE[0] - centers[:, 0]
        boxes[:, :, 0] = IMAGE[0] - boxes[:, ::-1, 0]
    # The crop and the resize are one isotropic scaling about the centres of image and input.
    scale = INPUT[0] / (IMAGE[0] * crop_scale)
    boxes = (boxes - IMAGE / 2) * scale + INPUT / 2
    centers = (centers - IMAGE / 2) * scale + INPUT / 2
    boxes_3d = np.stack([x, y, z, length, h, w, yaw], axis=1)
    return InstanceData(
        bboxes_3d=CameraInstance3DBoxes(torch.tensor(boxes_3d, dtype=torch.float32)),
        labels_3d=torch.tensor([CLASSES[row[0]] for row in rows]),
        bboxes=torch.tensor(boxes.reshape(-1, 4), dtype=torch.float32),
        centers_2d=torch.tensor(centers, dtype=torch.float32),
        alpha=torch.tensor(alpha, dtype=torch.float32),
        depths=torch.tensor(z, dtype=torch.float32),
    )


def objects(centers, labels=None) -> InstanceData:
    """Boxes of 40 x 24 pixels around the given centres."""
    centers = torch.tensor(centers).view(-1, 2)
    count = len(centers)
    return InstanceData(
        bboxes_3d=CameraInstance3DBoxes(torch.tensor([[1.0, 2, 20, 4, 1.5, 1.6, 0.1]]).expand(count, 7)),
        labels_3d=torch.ones(count, dtype=torch.long) if labels is None else torch.tensor(labels),
        bboxes=torch.cat([centers - torch.tensor([20.0, 12]), centers + torch.tensor([20.0, 12])], dim=1),
        centers_2d=centers,
        alpha=torch.zeros(count),
        depths=torch.full((count,), 20.0),
    )


def golden_case(file, case):
    crop_scale = 1.32 if case.endswith('crop1') else 1.0
    instances = label_objects(str(file['label_txt']), 'flip1' in case, crop_scale)
    meta = dict(crop_scale=crop_scale, random_crop=crop_scale != 1)
    return CenterNetTargetEncoder()([instances], [meta], (96, 320))


@pytest.mark.parametrize('case', CASES)
def test_targets_of_the_official_code(golden, case):
    file = golden('dataset_stl')
    targets = golden_case(file, case)
    expected = {key.split('/')[1]: value for key, value in file.items() if key.startswith(f'{case}/')}
    assert targets['mask_2d'].tolist() == [[True] * 3]
    for name in ('mask_2d', 'mask_3d', 'indices'):
        assert targets[name][0].tolist() == expected[name][:3].tolist(), name
    assert targets['heading_bin'][0].tolist() == expected['heading_bin'][:3, 0].tolist()
    for name, tolerance in dict(offset_2d=3e-5, offset_3d=3e-5, size_2d=3e-5, size_3d=0).items():
        np.testing.assert_allclose(targets[name][0], expected[name][:3], rtol=0, atol=tolerance, err_msg=name)
    np.testing.assert_allclose(targets['depth'][0], expected['depth'][:3, 0], rtol=1e-6)
    np.testing.assert_allclose(targets['heading_res'][0], expected['heading_res'][:3, 0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(targets['bboxes'][0], expected['box2d_gt_head'][:3], rtol=0, atol=1e-4)


@pytest.mark.parametrize('case', CASES)
def test_heatmap_of_the_official_code(golden, case):
    file = golden('dataset_stl')
    heatmap = golden_case(file, case)['heatmap'][0, :, 30:70]
    expected = torch.from_numpy(file[f'{case}/heatmap'])
    torch.testing.assert_close(heatmap, expected, rtol=0, atol=1e-6)
    assert torch.equal(heatmap == 1, expected == 1)
    assert torch.equal(heatmap == 0, expected == 0)


@pytest.mark.parametrize('case', CASES)
def test_heading_of_the_official_monodetr_code_from_its_own_angle(golden, case):
    file = golden('dataset_md')
    instances = label_objects(str(file['label_txt']), 'flip1' in case, 1.0)
    yaw = instances.bboxes_3d.tensor[:2, 6].double()
    yaw = math.pi - yaw if 'flip1' in case else yaw
    # MonoDETR computes alpha from the yaw and the centre of the (flipped) 2D box.
    center = (instances.bboxes[:2, 0] + instances.bboxes[:2, 2]).double() / 2 / INPUT[0] * IMAGE[0]
    alpha = yaw - torch.atan2(center - CAM2IMG[0, 2], torch.tensor(CAM2IMG[0, 0], dtype=torch.float64))
    bins, residuals = CenterNetTargetEncoder().heading_coder.encode(alpha)
    assert bins.tolist() == file[f'{case}/heading_bin'][:2, 0].tolist()
    np.testing.assert_allclose(residuals, file[f'{case}/heading_res'][:2, 0], atol=1e-5)


def test_images_with_unequal_numbers_of_objects_share_one_padded_tensor():
    encoder = CenterNetTargetEncoder()
    batch = [objects([[10.0, 10], [50, 50]]), objects([]), objects([[30.0, 20]])]
    targets = encoder(batch, [{}, {}, {}], (24, 80))
    assert targets['mask_2d'].tolist() == [[True, True], [False, False], [True, False]]
    assert targets['bboxes'].shape == (3, 2, 4)
    assert targets['bboxes'][1].abs().max() == 0
    assert targets['heatmap'].eq(1).sum(dim=(1, 2, 3)).tolist() == [2, 0, 1]


def test_a_batch_without_objects_keeps_one_empty_slot():
    targets = CenterNetTargetEncoder()([objects([]), objects([])], [{}, {}], (24, 80))
    assert targets['mask_2d'].tolist() == [[False], [False]]
    assert targets['heatmap'].abs().max() == 0
    assert {targets[name].dtype for name in ('indices', 'labels', 'heading_bin')} == {torch.int64}


@pytest.mark.parametrize('center', [[-0.5, 20.0], [320.0, 20], [20, -3.9], [20, 96], [-1000, -1000]])
def test_centres_outside_the_map_are_left_out(center):
    targets = CenterNetTargetEncoder()([objects([center, [100.0, 50.0]])], [{}], (24, 80))
    assert targets['mask_2d'].tolist() == [[False, True]]
    assert targets['indices'][0, 0] == 0
    assert not any(value[0, 0].any() for name, value in targets.items() if name != 'heatmap')


def test_the_last_cell_is_inside():
    targets = CenterNetTargetEncoder()([objects([[319.9, 95.9]])], [{}], (24, 80))
    assert targets['indices'].item() == 24 * 80 - 1


@pytest.mark.parametrize('label', [-1, 3])
def test_labels_that_are_no_class_of_the_head_are_left_out(label):
    targets = CenterNetTargetEncoder()([objects([[100.0, 50.0]], [label])], [{}], (24, 80))
    assert not targets['mask_2d'].any()
    assert targets['heatmap'].abs().max() == 0


def test_a_random_crop_scales_the_depth_and_switches_its_3d_targets_off():
    batch = [objects([[100.0, 50.0]]), objects([[100.0, 50.0]])]
    metas = [dict(crop_scale=1.0, random_crop=False), dict(crop_scale=0.5, random_crop=True)]
    targets = CenterNetTargetEncoder()(batch, metas, (24, 80))
    assert targets['depth'].tolist() == [[20.0], [10.0]]
    assert targets['mask_2d'].tolist() == [[True], [True]]
    assert targets['mask_3d'].tolist() == [[True], [False]]


def test_double_precision_annotations_become_single_precision_targets():
    instances = objects([[9.0, 9]])
    instances.centers_2d = instances.centers_2d.double()
    targets = CenterNetTargetEncoder()([instances], [{}], (24, 80))
    assert not any(value.dtype == torch.float64 for value in targets.values())


def test_the_map_shape_may_be_that_of_a_whole_tensor():
    encoder = CenterNetTargetEncoder()
    assert encoder([objects([[9.0, 9]])], [{}], torch.Size([1, 3, 24, 80]))['heatmap'].shape == (1, 3, 24, 80)


def test_a_forward_hook_sees_the_targets():
    encoder = TASK_UTILS.build(dict(type='mono_distill.CenterNetTargetEncoder', num_classes=2))
    seen = []
    encoder.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    targets = encoder([objects([[9.0, 9]])], [{}], (24, 80))
    assert seen[0] is targets
    assert list(encoder.parameters()) == []


def test_missing_annotations_are_named():
    instances = objects([[9.0, 9]])
    del instances.alpha
    with pytest.raises(DataError, match=r"lacks \['alpha'\].*PackMono3DInputs"):
        CenterNetTargetEncoder()([instances], [{}], (24, 80))


def test_a_centre_behind_the_camera_is_left_out():
    targets = CenterNetTargetEncoder()([objects([[float('nan'), float('nan')], [100.0, 50.0]])], [{}], (24, 80))
    assert targets['mask_2d'].tolist() == [[False, True]]
    assert all(value.isfinite().all() for value in targets.values())
