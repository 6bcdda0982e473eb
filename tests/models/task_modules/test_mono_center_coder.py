from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mmdet3d.structures import CameraInstance3DBoxes
from mmengine.structures import InstanceData

from mono_distill.models.task_modules import CenterNetTargetEncoder, MonoCenterCoder
from mono_distill.utils.errors import ConfigError, DataError

CAM2IMG = np.array([[721.5377, 0, 609.5593, 44.85728], [0, 721.5377, 172.854, 0.2163791], [0, 0, 1, 0.002745884]])
SCALE = 1280 / 1242


def meta(**changes):
    """The test-time resize of a KITTI image: isotropic, about the centre."""
    trans_mat = np.array([[SCALE, 0, 640 - SCALE * 621], [0, SCALE, 192 - SCALE * 187.5], [0, 0, 1]])
    values = dict(ori_cam2img=CAM2IMG, trans_mat=trans_mat, ori_shape=(375, 1242), img_shape=(384, 1280))
    return {**values, **changes}


def perfect_outputs(boxes_3d, boxes_2d, alpha, metas, labels):
    """The maps of a network that has learned one object per image by heart (depth given as its exact logit)."""
    batch = []
    for box, box_2d, angle, image, label in zip(boxes_3d, boxes_2d, alpha, metas, labels, strict=True):
        x, y, z, _, h = box[:5]
        center = CAM2IMG @ [x, y - h / 2, z, 1]
        center = image['trans_mat'] @ [center[0] / z, center[1] / z, 1]
        corners = [(image['trans_mat'] @ [u, v, 1])[:2] for u, v in (box_2d[:2], box_2d[2:])]
        batch.append(
            InstanceData(
                bboxes_3d=CameraInstance3DBoxes(torch.tensor([box])),
                labels_3d=torch.tensor([label]),
                bboxes=torch.tensor(np.concatenate(corners)[None], dtype=torch.float32),
                centers_2d=torch.tensor(center[None, :2], dtype=torch.float32),
                alpha=torch.tensor([angle]),
                depths=torch.tensor([z]),
            )
        )
    targets = CenterNetTargetEncoder()(batch, metas, (96, 320))
    outs = dict(
        heatmap=torch.where(targets['heatmap'] == 1, 8.0, -8.0),
        offset_2d=targets['offset_2d'],
        size_2d=targets['size_2d'],
        depth=torch.stack([-torch.log(targets['depth']), torch.full_like(targets['depth'], math.log(2))], dim=-1),
        offset_3d=targets['offset_3d'],
        size_3d=targets['size_3d'],
        heading=torch.cat(
            [
                torch.nn.functional.one_hot(targets['heading_bin'], 12).float(),
                targets['heading_res'].unsqueeze(-1).expand(-1, -1, 12),
            ],
            dim=-1,
        ),
    )
    return {
        name: value if name == 'heatmap' else value.transpose(1, 2).unsqueeze(-1).expand(-1, -1, 96, 320)
        for name, value in outs.items()
    }


@pytest.fixture
def scene():
    boxes_3d = [[0.65, 1.71, 22.2, 3.64, 1.65, 1.67, -1.59], [-5.53, 2.39, 18.49, 3.69, 1.67, 1.87, 1.57]]
    boxes_2d = [[587.01, 173.33, 640.12, 220.12], [387.63, 181.54, 463.12, 240.12]]
    # The angle between yaw and the viewing ray of the projected 3D centre.
    rays = [math.atan((x + 44.85728 / 721.5377) / z) for x, _, z in (box[:3] for box in boxes_3d)]
    alpha = [box[6] - ray for box, ray in zip(boxes_3d, rays, strict=True)]
    metas = [meta(), meta()]
    return boxes_3d, boxes_2d, alpha, metas, perfect_outputs(boxes_3d, boxes_2d, alpha, metas, [1, 0])


def test_decoding_inverts_encoding(scene):
    boxes_3d, boxes_2d, alpha, metas, outs = scene
    results = MonoCenterCoder().decode(outs, metas)
    assert [len(result) for result in results] == [1, 1]
    for i, result in enumerate(results):
        assert isinstance(result.bboxes_3d, CameraInstance3DBoxes)
        np.testing.assert_allclose(result.bboxes_3d.tensor[0], boxes_3d[i], rtol=0, atol=1e-3)
        np.testing.assert_allclose(result.bboxes_2d[0], boxes_2d[i], rtol=0, atol=1e-3)
        assert result.alpha.item() == pytest.approx(alpha[i], abs=1e-5)
    assert [result.labels_3d.tolist() for result in results] == [[1], [0]]


def test_the_score_is_the_heat_times_the_depth_confidence_and_the_threshold_is_on_the_heat(scene):
    *_, metas, outs = scene
    outs = {**outs, 'heatmap': torch.where(outs['heatmap'] > 0, math.log(0.3 / 0.7), -8.0)}
    results = MonoCenterCoder().decode(outs, metas, score_thr=0.2)
    assert [result.scores_3d.item() for result in results] == pytest.approx([0.15, 0.15], abs=1e-6)
    assert all(len(result) == 0 for result in MonoCenterCoder().decode(outs, metas, score_thr=0.31))


def test_depth_of_a_scaled_image_is_divided_by_the_scale(scene):
    boxes_3d, boxes_2d, alpha, _, _ = scene
    metas = [meta(crop_scale=1.32), meta(crop_scale=0.8)]
    outs = perfect_outputs(boxes_3d, boxes_2d, alpha, metas, [1, 0])
    results = MonoCenterCoder().decode(outs, metas)
    np.testing.assert_allclose([result.bboxes_3d.tensor[0, 2] for result in results], [22.2, 18.49], rtol=1e-4)


def test_official_mode_scales_both_axes_of_the_whole_image(scene):
    *_, metas, outs = scene
    exact = MonoCenterCoder('exact').decode(outs, metas)[0].bboxes_2d[0]
    official = MonoCenterCoder('official').decode(outs, metas)[0].bboxes_2d[0]
    in_input = (exact.view(2, 2) - torch.tensor([621, 187.5])) * SCALE + torch.tensor([640.0, 192.0])
    torch.testing.assert_close(official.view(2, 2), in_input * torch.tensor([1242 / 1280, 375 / 384]))
    # Horizontally the same; vertically off in proportion to the distance from the middle, 1.2 pixels at the border.
    torch.testing.assert_close(official[::2], exact[::2])
    error = (exact[1::2] - 187.5) * (SCALE * 375 / 384 - 1)
    torch.testing.assert_close(official[1::2] - exact[1::2], error, rtol=0, atol=1e-4)


def test_an_empty_batch_of_detections_keeps_its_shapes(scene):
    *_, metas, outs = scene
    outs = {**outs, 'heatmap': torch.full_like(outs['heatmap'], -8.0)}
    for result in MonoCenterCoder().decode(outs, metas):
        assert result.bboxes_3d.tensor.shape == (0, 7)
        assert result.bboxes_2d.shape == (0, 4)


def test_neighbours_of_a_peak_are_suppressed(scene):
    *_, outs = scene
    heat = torch.full((2, 3, 96, 320), -8.0)
    heat[:, 1, 40, 100:103] = torch.tensor([1.0, 2.0, 1.0])
    heat[:, 1, 40, 103:106] = torch.tensor([0.5, 1.5, 0.5])
    peaks = MonoCenterCoder().peaks({**outs, 'heatmap': heat}, topk=2)
    assert peaks['heat'][0].tolist() == pytest.approx([1 / (1 + math.exp(-2)), 1 / (1 + math.exp(-1.5))])


def test_maps_smaller_than_topk_give_all_their_cells():
    channels = dict(heatmap=3, offset_2d=2, size_2d=2, depth=2, offset_3d=2, size_3d=3, heading=24)
    outs = {name: torch.zeros(1, number, 2, 2) for name, number in channels.items()}
    assert MonoCenterCoder().peaks(outs, topk=50)['heat'].shape == (1, 12)


def test_a_four_by_four_camera_matrix_is_accepted(scene):
    *_, metas, outs = scene
    square = [meta(ori_cam2img=np.vstack([CAM2IMG, [0, 0, 0, 1]])) for _ in metas]
    a, b = (MonoCenterCoder().decode(outs, m)[0].bboxes_3d.tensor for m in (metas, square))
    assert torch.equal(a, b)


def test_half_precision_outputs_are_decoded_in_float32(scene):
    *_, metas, outs = scene
    result = MonoCenterCoder().decode({name: value.half() for name, value in outs.items()}, metas)[0]
    assert result.bboxes_3d.tensor.dtype == torch.float32
    assert result.bboxes_3d.tensor[0, 2].item() == pytest.approx(22.2, rel=0.01)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast_does_not_reach_the_geometry(scene, dtype):
    *_, metas, outs = scene
    exact = MonoCenterCoder().decode(outs, metas)[0]
    with torch.autocast('cpu', dtype=dtype):
        result = MonoCenterCoder().decode(outs, metas)[0]
    assert torch.equal(result.bboxes_3d.tensor, exact.bboxes_3d.tensor)
    assert torch.equal(result.bboxes_2d, exact.bboxes_2d)


def test_a_certain_peak_has_the_largest_heat_that_the_clamp_allows(scene):
    *_, metas, outs = scene
    outs = {**outs, 'heatmap': torch.where(outs['heatmap'] > 0, 30.0, -30.0), 'depth': outs['depth'].clone()}
    outs['depth'][:, 1] = 0.0
    scores = [result.scores_3d.item() for result in MonoCenterCoder().decode(outs, metas)]
    assert scores == pytest.approx([1 - 1e-4] * 2, abs=1e-6)


def test_wrong_options_and_missing_metas_are_named(scene):
    *_, metas, outs = scene
    with pytest.raises(ConfigError, match="did you mean 'exact'"):
        MonoCenterCoder('exakt')
    with pytest.raises(DataError, match="lacks 'trans_mat'"):
        MonoCenterCoder().decode(outs, [{k: v for k, v in m.items() if k != 'trans_mat'} for m in metas])


def test_maps_in_channels_last_layout_decode_alike(scene):
    *_, metas, outs = scene
    other = {name: value.contiguous(memory_format=torch.channels_last) for name, value in outs.items()}
    for one, two in zip(MonoCenterCoder().decode(outs, metas), MonoCenterCoder().decode(other, metas), strict=True):
        assert torch.equal(one.bboxes_3d.tensor, two.bboxes_3d.tensor)
