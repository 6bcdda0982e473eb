from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet3d.structures import CameraInstance3DBoxes
from mmengine.structures import InstanceData

from mono_distill.datasets.transforms import ObjectVisualDepth
from mono_distill.datasets.transforms.geometry import affine_cam2img, crop_affine, flip_boxes, flip_cam2img
from mono_distill.datasets.transforms.warp import warp_depth_map
from mono_distill.models import DIDTargetEncoder
from mono_distill.models.dense_heads.did_head import MEAN_SIZES
from mono_distill.registry import TASK_UTILS
from mono_distill.utils.errors import ConfigError, DataError

DEPTH_MAP = Path(__file__).parents[2] / 'data' / 'golden' / 'depthdense_000000.png'
CAM2IMG = np.array([[721.5377, 0, 609.5593, 44.85728], [0, 721.5377, 172.854, 0.2163791], [0, 0, 1, 0.002745884]])
IMAGE, INPUT, MAP = (1242, 375), (1280, 384), (96, 320)
CLASSES = {'Pedestrian': 0, 'Car': 1, 'Cyclist': 2}
CASES = ['val', *(f'train_flip{flip}_crop{crop}' for flip in (0, 1) for crop in (0, 1))]


def padded_depth() -> np.ndarray:
    """A completed depth map (1216 x 352) as the official code pads it to the image: at the bottom, in the middle.

    The file holds the part around the objects, and zeros elsewhere.
    """
    depth = cv2.imread(str(DEPTH_MAP), cv2.IMREAD_UNCHANGED).astype(np.float32) / 256
    rows, columns = IMAGE[1] - depth.shape[0], IMAGE[0] - depth.shape[1]
    return np.pad(depth, ((rows, 0), (columns // 2, columns - columns // 2)), mode='edge')


def frame(file, case, depth):
    """The objects of the golden frame as the data pipeline hands them over, and the meta information."""
    flip, crop = 'flip1' in case, 'crop1' in case
    draws, (scale, shift) = file['randn_sequence'], file['scale_shift_cfg']
    crop_scale = float(np.clip(draws[0] * scale + 1, 1 - scale, 1 + scale)) if crop else 1.0
    offset = tuple(IMAGE[i] * np.clip(draws[i + 1] * shift, -2 * shift, 2 * shift) if crop else 0.0 for i in (0, 1))
    trans_mat = crop_affine(IMAGE, INPUT, crop_scale, offset)
    rows = [line.split() for line in str(file['label_txt']).strip().splitlines() if not line.startswith('DontCare')]
    values = np.array([[float(value) for value in row[1:]] for row in rows])
    boxes_2d, (h, w, length), (x, y, z, yaw) = values[:, 3:7], values[:, 7:10].T, values[:, 10:14].T
    camera = CAM2IMG
    if flip:
        depth, boxes_2d = depth[:, ::-1], flip_boxes(boxes_2d, IMAGE[0])
        camera, x, yaw = flip_cam2img(CAM2IMG, IMAGE[0]), -x, np.pi - yaw
    points = affine_cam2img(camera, trans_mat) @ np.stack([x, y - h / 2, z, np.ones_like(z)])
    boxes_2d = (boxes_2d.reshape(-1, 2) @ trans_mat[:2, :2].T + trans_mat[:2, 2]).reshape(-1, 4)
    sample = dict(
        depth_map=warp_depth_map(np.ascontiguousarray(depth), trans_mat, INPUT),
        gt_bboxes=boxes_2d.astype(np.float32),
    )
    boxes_3d = np.stack([x, y, z, length, h, w, yaw], axis=1)
    instances = InstanceData(
        bboxes_3d=CameraInstance3DBoxes(torch.tensor(boxes_3d, dtype=torch.float32)),
        labels_3d=torch.tensor([CLASSES[row[0]] for row in rows]),
        bboxes=torch.from_numpy(sample['gt_bboxes']),
        centers_2d=torch.tensor((points[:2] / z).T, dtype=torch.float32),
        alpha=torch.zeros(len(rows)),
        depths=torch.tensor(z, dtype=torch.float32),
        visual_depth=torch.from_numpy(ObjectVisualDepth()(sample)['gt_visual_depth']),
    )
    meta = dict(
        ori_cam2img=CAM2IMG,
        trans_mat=trans_mat,
        ori_shape=IMAGE[::-1],
        img_shape=INPUT[::-1],
        flip=flip,
        random_crop=crop,
        crop_scale=crop_scale,
    )
    return instances, meta


@pytest.mark.parametrize('case', CASES)
def test_targets_of_the_official_code(golden, case):
    file = golden('dataset_did')
    instances, meta = frame(file, case, padded_depth())
    targets = DIDTargetEncoder()([instances], [meta], MAP)
    expected = {key.split('/')[1]: value for key, value in file.items() if key.startswith(f'{case}/')}
    assert targets['mask_2d'].tolist() == [[True] * 3]
    assert targets['indices'][0].tolist() == expected['indices'][:3].tolist()
    assert targets['labels'][0].tolist() == expected['cls_ids'][:3].tolist()
    assert targets['heading_bin'][0].tolist() == expected['heading_bin'][:3, 0].tolist()
    residual = targets['size_3d'][0] - torch.tensor(MEAN_SIZES)[targets['labels'][0]]
    np.testing.assert_allclose(residual, expected['size_3d'][:3], rtol=0, atol=1e-5)
    for name, tolerance in dict(offset_2d=5e-5, offset_3d=5e-5, size_2d=5e-5).items():
        np.testing.assert_allclose(targets[name][0], expected[name][:3], rtol=0, atol=tolerance, err_msg=name)
    np.testing.assert_allclose(targets['depth'][0], expected['depth'][:3, 0], rtol=1e-6)
    np.testing.assert_allclose(targets['heading_res'][0], expected['heading_res'][:3, 0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(targets['heatmap'][0, :, 30:70], expected['heatmap'], rtol=0, atol=1e-6)


@pytest.mark.parametrize('case', CASES)
def test_depth_targets_of_the_official_code(golden, case):
    file = golden('dataset_did')
    instances, meta = frame(file, case, padded_depth())
    targets = DIDTargetEncoder()([instances], [meta], MAP)
    expected = {key.split('/')[1]: value[:3] for key, value in file.items() if key.startswith(f'{case}/')}
    assert targets['depth_mask'][0].tolist() == expected['depth_mask'].tolist()
    mask = expected['depth_mask']
    np.testing.assert_allclose(targets['vis_depth'][0], expected['vis_depth'], rtol=0, atol=2e-3)
    np.testing.assert_allclose(targets['att_depth'][0].numpy()[mask], expected['att_depth'][mask], rtol=0, atol=2e-3)


def plain_instances(count=2, visual=20.0):
    return InstanceData(
        bboxes_3d=CameraInstance3DBoxes(torch.tensor([[1.0, 2, 20, 4, 1.5, 1.6, 0.1]]).expand(count, 7)),
        labels_3d=torch.ones(count, dtype=torch.long),
        bboxes=torch.tensor([[80.0, 40, 120, 64]]).expand(count, 4),
        centers_2d=torch.tensor([[100.0, 50]]).expand(count, 2),
        alpha=torch.zeros(count),
        depths=torch.full((count,), 20.0),
        visual_depth=torch.full((count, 7, 7), visual),
    )


def plain_meta(**changes):
    return dict(ori_cam2img=CAM2IMG, trans_mat=np.eye(3), ori_shape=(96, 320), img_shape=(96, 320), **changes)


@pytest.mark.parametrize(('visual', 'counts'), [(17.01, True), (22.99, True), (17.0, False), (23.0, False), (0, False)])
def test_measurements_within_three_metres_of_the_centre_count(visual, counts):
    targets = DIDTargetEncoder()([plain_instances(1, visual)], [plain_meta()], (24, 80))
    assert targets['depth_mask'].unique().tolist() == [counts]
    parts = (targets['vis_depth'] + targets['att_depth']).unique().tolist()
    assert parts == [pytest.approx(20.0 if counts else 0.0)]


def test_depth_is_true_whatever_the_crop_and_cropped_images_train_everything():
    meta = plain_meta(crop_scale=1.3, random_crop=True)
    targets = DIDTargetEncoder()([plain_instances()], [meta], (24, 80))
    assert targets['depth'].tolist() == [[20.0, 20.0]]
    assert targets['mask_2d'].all()
    assert 'mask_3d' not in targets


def test_the_observation_angle_refers_to_the_centre_of_the_2d_box():
    targets = DIDTargetEncoder()([plain_instances(1)], [plain_meta()], (24, 80))
    alpha = 0.1 - np.arctan((100 - CAM2IMG[0, 2]) / CAM2IMG[0, 0])
    assert targets['heading_bin'].item() * np.pi / 6 + targets['heading_res'].item() == pytest.approx(alpha, abs=1e-6)


def test_a_batch_without_objects_keeps_one_empty_slot():
    targets = DIDTargetEncoder()([plain_instances(0)] * 2, [plain_meta()] * 2, (24, 80))
    assert targets['vis_depth'].shape == (2, 1, 7, 7)
    assert not any(value.any() for value in targets.values())


def test_slots_without_an_object_are_zero():
    outside = plain_instances(2)
    outside.centers_2d = torch.tensor([[-5.0, 50], [100, 50]])
    targets = DIDTargetEncoder()([outside, plain_instances(1)], [plain_meta()] * 2, (24, 80))
    assert targets['mask_2d'].tolist() == [[False, True], [True, False]]
    assert not any(value[~targets['mask_2d']].any() for name, value in targets.items() if name != 'heatmap')


def test_missing_depth_and_wrong_options_are_named():
    instances = plain_instances()
    del instances.visual_depth
    with pytest.raises(DataError, match='lacks visual_depth.*LoadDepthMap.*ObjectVisualDepth'):
        DIDTargetEncoder()([instances], [plain_meta()], (24, 80))
    with pytest.raises(ConfigError, match='depth_margin must be positive, got 0'):
        TASK_UTILS.build(dict(type='mono_distill.DIDTargetEncoder', depth_margin=0))
