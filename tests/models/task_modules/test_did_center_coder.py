from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mmdet3d.structures import CameraInstance3DBoxes

from mono_distill.models import DIDCenterCoder
from mono_distill.models.task_modules.did_center_coder import combine_depth_bins
from mono_distill.utils.errors import DataError

CAM2IMG = np.array([[721.5377, 0, 609.5593, 44.85728], [0, 721.5377, 172.854, 0.2163791], [0, 0, 1, 0.002745884]])
SCALE = 1280 / 1242
TRANS = np.array([[SCALE, 0, 640 - SCALE * 621], [0, SCALE, 192 - SCALE * 187.5], [0, 0, 1]])
META = dict(ori_cam2img=CAM2IMG, trans_mat=TRANS, ori_shape=(375, 1242), img_shape=(384, 1280))
BOX_3D = [0.65, 1.71, 22.2, 3.64, 1.65, 1.67, -1.59]
BOX_2D = [587.01, 173.33, 640.12, 220.12]


def perfect_outputs():
    """What a network says that has learned one car by heart; a second peak, of a pedestrian, has a negative size."""
    x, y, z, length, h, w, yaw = BOX_3D
    center = CAM2IMG @ [x, y - h / 2, z, 1]
    center_3d = (TRANS @ [center[0] / z, center[1] / z, 1])[:2] / 4
    corners = np.array([(TRANS @ [*corner, 1])[:2] for corner in (BOX_2D[:2], BOX_2D[2:])]) / 4
    cell = np.floor(center_3d)
    alpha = yaw - math.atan((sum(BOX_2D[::2]) / 2 - CAM2IMG[0, 2]) / CAM2IMG[0, 0])
    heading = torch.zeros(24)
    bin_index = round(alpha / (math.pi / 6)) % 12
    heading[bin_index], heading[12 + bin_index] = 1.0, alpha - round(alpha / (math.pi / 6)) * math.pi / 6
    maps = dict(offset_2d=torch.zeros(1, 2, 96, 320), size_2d=torch.ones(1, 2, 96, 320))
    row, column = int(cell[1]), int(cell[0])
    maps['offset_2d'][0, :, row, column] = torch.tensor(corners.mean(0) - cell)
    maps['size_2d'][0, :, row, column] = torch.tensor(corners[1] - corners[0])
    return dict(
        heatmap=torch.zeros(1, 3, 96, 320),
        **maps,
        heat=torch.tensor([[0.9, 0.8]]),
        labels=torch.tensor([[1, 0]]),
        indices=torch.tensor([[row * 320 + column, 5]]),
        heading=heading.expand(1, 2, 24),
        offset_3d=torch.tensor(center_3d - cell, dtype=torch.float32).expand(1, 2, 2),
        size_3d=torch.tensor([[[h, w, length], [1.7, -0.1, 0.8]]]),
        ins_depth=torch.full((1, 2, 7, 7), z),
        ins_depth_uncer=torch.zeros(1, 2, 7, 7),
    )


def test_decoding_inverts_the_projection():
    (result,) = DIDCenterCoder().decode(perfect_outputs(), [META])
    assert isinstance(result.bboxes_3d, CameraInstance3DBoxes)
    np.testing.assert_allclose(result.bboxes_3d.tensor[0], BOX_3D, rtol=0, atol=1e-3)
    np.testing.assert_allclose(result.bboxes_2d[0], BOX_2D, rtol=0, atol=1e-3)


def test_detections_with_a_negative_size_are_dropped():
    outs = perfect_outputs()
    assert [r.labels_3d.tolist() for r in DIDCenterCoder().decode(outs, [META])] == [[1]]
    outs['size_3d'] = outs['size_3d'].abs()
    assert [r.labels_3d.tolist() for r in DIDCenterCoder().decode(outs, [META])] == [[1, 0]]


def test_the_score_is_heat_times_confidence_and_the_threshold_is_on_the_heat():
    coder = DIDCenterCoder()
    (result,) = coder.decode(perfect_outputs(), [META], score_thr=0.85)
    assert result.scores_3d.tolist() == pytest.approx([0.9 * math.exp(-1)])
    assert len(coder.decode(perfect_outputs(), [META], score_thr=0.95)[0]) == 0


def test_depth_is_not_divided_by_the_scale_of_a_crop():
    (result,) = DIDCenterCoder().decode(perfect_outputs(), [{**META, 'crop_scale': 2.0}])
    assert result.bboxes_3d.tensor[0, 2].item() == pytest.approx(22.2)


def test_official_mode_scales_both_axes_of_the_whole_image():
    exact, official = (DIDCenterCoder(mode).decode(perfect_outputs(), [META])[0] for mode in ('exact', 'official'))
    torch.testing.assert_close(official.bboxes_2d[:, ::2], exact.bboxes_2d[:, ::2])
    error = (exact.bboxes_2d[:, 1::2] - 187.5) * (SCALE * 375 / 384 - 1)
    torch.testing.assert_close(official.bboxes_2d[:, 1::2] - exact.bboxes_2d[:, 1::2], error, rtol=0, atol=1e-4)
    torch.testing.assert_close(official.bboxes_3d.tensor[:, 6], exact.bboxes_3d.tensor[:, 6])


def test_bins_are_merged_as_the_formula_says():
    depth, s = torch.rand(3, 7, 7) * 40 + 5, torch.randn(3, 7, 7)
    merged, confidence = combine_depth_bins(depth, s)
    for k in range(3):
        p = [[math.exp(-math.exp(s[k, i, j].item() / 2)) for j in range(7)] for i in range(7)]
        total = sum(map(sum, p))
        mean = sum(p[i][j] * depth[k, i, j].item() for i in range(7) for j in range(7)) / total
        assert merged[k].item() == pytest.approx(mean, rel=1e-5)
        assert confidence[k].item() == pytest.approx(sum(q * q for row in p for q in row) / total, rel=1e-5)


def test_bins_without_any_confidence_still_have_a_depth():
    merged, confidence = combine_depth_bins(torch.full((7, 7), 30.0), torch.full((7, 7), 12.0))
    assert merged.item() == pytest.approx(30.0)
    assert confidence == 0


def test_peaks_are_the_highest_local_maxima():
    heatmap = torch.full((1, 3, 6, 8), -5.0)
    heatmap[0, 1, 2, 3], heatmap[0, 1, 2, 4], heatmap[0, 2, 5, 7] = 3.0, 2.0, 1.0
    peaks = DIDCenterCoder().find_peaks(heatmap, topk=2)
    assert peaks['indices'].tolist() == [[2 * 8 + 3, 5 * 8 + 7]]
    assert peaks['labels'].tolist() == [[1, 2]]
    assert peaks['heat'].tolist() == [pytest.approx([1 / (1 + math.exp(-3)), 1 / (1 + math.exp(-1))])]


def test_missing_meta_information_is_named():
    with pytest.raises(DataError, match="'trans_mat'"):
        DIDCenterCoder().decode(perfect_outputs(), [{k: v for k, v in META.items() if k != 'trans_mat'}])
