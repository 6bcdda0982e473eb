from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from kitti_frames import INFO_FILE, write_golden_kitti
from mmdet3d.structures import CameraInstance3DBoxes
from mmengine.structures import InstanceData

from mono_distill.datasets import KittiMonoDataset
from mono_distill.models.task_modules import MonoDETRTargetEncoder
from mono_distill.registry import TASK_UTILS
from mono_distill.utils.errors import DataError

CASES = ['val', *(f'train_flip{flip}_crop{crop}' for flip in (0, 1) for crop in (0, 1))]
SIZE = (1280, 384)
META = dict(img_shape=(384, 1280), cam2img=np.array([[700.0, 0, 600], [0, 700, 180], [0, 0, 1]]))


@pytest.fixture(scope='module')
def frame_root(tmp_path_factory, golden):
    return write_golden_kitti(tmp_path_factory.mktemp('golden_kitti'), str(golden('dataset_md')['label_txt']))


def golden_sample(root, data, case, monkeypatch):
    """The frame with the augmentation of a golden case; the three normal draws of a crop are fixed."""
    draws = iter(data['randn_sequence'].tolist())
    monkeypatch.setattr(np.random, 'randn', lambda: next(draws))
    scale, shift = data['scale_shift_cfg'].tolist()
    crop = dict(type='mono_distill.MonoRandomCropAffine', size=SIZE, scale=scale, shift=shift)
    pipeline = [
        dict(type='mono_distill.LoadMonoImage'),
        dict(type='mono_distill.LoadMonoKittiAnnotations'),
        dict(type='mono_distill.MonoRandomFlip', prob=float('flip1' in case)),
        dict(crop, prob=float('crop1' in case)),
        dict(type='mono_distill.FilterMonoObjects', train_classes=['Car']),
        dict(type='mono_distill.PackMono3DInputs'),
    ]
    return KittiMonoDataset(INFO_FILE, str(root), pipeline=pipeline, serialize_data=False)[0]['data_samples']


@pytest.mark.parametrize('case', CASES)
def test_targets_of_the_official_code(case, frame_root, golden, monkeypatch):
    data = golden('dataset_md')
    sample = golden_sample(frame_root, data, case, monkeypatch)
    targets = MonoDETRTargetEncoder(mirror_camera=False)([sample.gt_instances_3d], [sample.metainfo])
    expected = {key.split('/')[1]: value for key, value in data.items() if key.startswith(f'{case}/')}
    count = int(expected['mask_2d'].sum())
    assert targets['mask_2d'].tolist() == [[True] * count] == [[True, True]]
    assert targets['labels'][0].tolist() == expected['labels'][:count].tolist()
    assert targets['heading_bin'][0].tolist() == expected['heading_bin'][:count, 0].tolist()
    np.testing.assert_allclose(targets['boxes'][0], expected['boxes_3d'][:count], rtol=0, atol=1e-6)
    np.testing.assert_allclose(targets['depth'][0], expected['depth'][:count, 0], rtol=1e-6)
    np.testing.assert_allclose(targets['size_3d'][0], expected['size_3d'][:count], rtol=1e-6)
    np.testing.assert_allclose(targets['heading_res'][0], expected['heading_res'][:count, 0], rtol=0, atol=1e-5)
    corners = targets['bboxes'][0] / torch.tensor([*SIZE, *SIZE])
    np.testing.assert_allclose((corners[:, :2] + corners[:, 2:]) / 2, expected['boxes'][:count, :2], atol=1e-6)
    np.testing.assert_allclose(corners[:, 2:] - corners[:, :2], expected['boxes'][:count, 2:], atol=1e-6)


def angles(targets):
    return targets['heading_bin'] * math.pi / 6 + targets['heading_res'].double()


@pytest.mark.parametrize('crop', [0, 1])
def test_a_flipped_image_has_the_mirrored_angle_unless_only_u_is_mirrored(crop, frame_root, golden, monkeypatch):
    data = golden('dataset_md')
    samples = [golden_sample(frame_root, data, f'train_flip{flip}_crop{crop}', monkeypatch) for flip in (0, 1)]
    arguments = [sample.gt_instances_3d for sample in samples], [sample.metainfo for sample in samples]
    plain, mirrored = angles(MonoDETRTargetEncoder()(*arguments))
    np.testing.assert_allclose(torch.cos(math.pi - plain - mirrored), 1, atol=1e-9)
    plain_again, official = angles(MonoDETRTargetEncoder(mirror_camera=False)(*arguments))
    np.testing.assert_allclose(plain_again, plain, atol=1e-5)
    # 1242 - 2 * 609.56 = 22.9 px at a focal length of 721.5; less in angle for the car at the side.
    off = torch.remainder(official - mirrored + 1, 2 * math.pi) - 1
    assert (off.abs() * 180 / math.pi).tolist() == pytest.approx([1.82, 1.69], abs=0.01)


def objects(boxes, centers, labels=None) -> InstanceData:
    """Objects with the given 2D boxes and projected centres, in input pixels."""
    boxes, centers = torch.tensor(boxes).view(-1, 4), torch.tensor(centers).view(-1, 2)
    count = len(boxes)
    return InstanceData(
        bboxes_3d=CameraInstance3DBoxes(torch.tensor([[1.0, 2, 20, 4, 1.5, 1.6, 0.1]]).expand(count, 7)),
        labels_3d=torch.ones(count, dtype=torch.long) if labels is None else torch.tensor(labels),
        bboxes=boxes,
        centers_2d=centers,
        depths=torch.full((count,), 20.0),
    )


def test_distances_are_fractions_of_the_input_and_the_angle_is_relative_to_the_middle_of_the_box():
    targets = MonoDETRTargetEncoder()([objects([[600.0, 100, 728, 196]], [[640.0, 148]])], [META])
    np.testing.assert_allclose(targets['boxes'][0, 0], [0.5, 148 / 384, 40 / 1280, 88 / 1280, 0.125, 0.125], rtol=1e-6)
    assert targets['size_3d'][0, 0].tolist() == pytest.approx([1.5, 1.6, 4.0])
    alpha = 0.1 - math.atan((664 - 600) / 700)
    assert targets['heading_bin'].item() == 0
    assert targets['heading_res'].item() == pytest.approx(alpha, abs=1e-6)


@pytest.mark.parametrize(
    ('box', 'center'),
    [
        ([-60.0, 100.0, -10.0, 150.0], [-30.0, 120.0]),
        ([1290.0, 100.0, 1300.0, 150.0], [1295.0, 120.0]),
        ([600.0, -40.0, 700.0, 20.0], [650.0, -5.0]),
        ([600.0, 370.0, 700.0, 420.0], [650.0, 384.0]),
        ([600.0, 100.0, 700.0, 150.0], [599.0, 120.0]),
        ([600.0, 100.0, 700.0, 150.0], [650.0, 151.0]),
        ([600.0, 100.0, 700.0, 150.0], [math.nan, math.nan]),
    ],
)
def test_objects_whose_centre_is_outside_of_the_input_or_of_their_box_are_left_out(box, center):
    other = ([0.0, 0.0, 50.0, 40.0], [0.0, 0.0])
    targets = MonoDETRTargetEncoder()([objects([box, other[0]], [center, other[1]])], [META])
    assert targets['mask_2d'].tolist() == [[False, True]]
    assert not any(value[0, 0].any() for value in targets.values())


@pytest.mark.parametrize('label', [-1, 3])
def test_labels_that_are_no_class_of_the_head_are_left_out(label):
    targets = MonoDETRTargetEncoder()([objects([[0.0, 0, 50, 40]], [[20.0, 20]], [label])], [META])
    assert not targets['mask_2d'].any()
    assert targets['labels'].item() == 0


def test_images_without_objects_share_one_padded_tensor_with_the_others():
    box, center = [0.0, 0, 50, 40], [20.0, 20]
    batch = [objects([box, box], [center, center]), objects([], []), objects([box], [center])]
    targets = MonoDETRTargetEncoder()(batch, [META, META, dict(META, crop_scale=0.5)])
    assert targets['mask_2d'].tolist() == [[True, True], [False, False], [True, False]]
    assert targets['depth'].tolist() == [[20, 20], [0, 0], [10, 0]]
    assert 'labelled' not in targets
    empty = MonoDETRTargetEncoder()([objects([], [])], [META])
    assert empty['boxes'].shape == (1, 1, 6)


def test_images_of_unknown_content_are_marked():
    targets = MonoDETRTargetEncoder()([objects([], [])] * 2, [META, dict(META, labelled=False)])
    assert targets['labelled'].tolist() == [True, False]


def test_a_forward_hook_sees_the_targets():
    encoder = TASK_UTILS.build(dict(type='mono_distill.MonoDETRTargetEncoder', num_classes=2))
    seen = []
    encoder.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    targets = encoder([objects([[0.0, 0, 50, 40]], [[20.0, 20]])], [META])
    assert seen[0] is targets
    assert list(encoder.parameters()) == []


def test_missing_annotations_and_meta_information_are_named():
    instances = objects([[0.0, 0, 50, 40]], [[20.0, 20]])
    with pytest.raises(DataError, match="MonoDETRTargetEncoder.*lacks 'img_shape'"):
        MonoDETRTargetEncoder()([instances], [dict(cam2img=META['cam2img'])])
    with pytest.raises(DataError, match="lacks 'ori_cam2img'"):
        MonoDETRTargetEncoder(mirror_camera=False)([instances], [META])
    del instances.depths
    with pytest.raises(DataError, match=r"lacks \['depths'\].*PackMono3DInputs"):
        MonoDETRTargetEncoder()([instances], [META])
