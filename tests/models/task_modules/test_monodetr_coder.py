from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mmdet3d.structures import CameraInstance3DBoxes
from mmengine.structures import InstanceData
from monodetr_batch import golden_outputs

from mono_distill.models.task_modules import MonoDETRCoder, MonoDETRTargetEncoder
from mono_distill.registry import TASK_UTILS
from mono_distill.utils.errors import ConfigError, DataError

CAM2IMG = np.array([[721.5377, 0, 609.5593, 44.85728], [0, 721.5377, 172.854, 0.2163791], [0, 0, 1, 0.002745884]])
SCALE = 1280 / 1242


def meta(**changes):
    """The test-time resize of a KITTI image: isotropic, about the centre."""
    trans_mat = np.array([[SCALE, 0, 640 - SCALE * 621], [0, SCALE, 192 - SCALE * 187.5], [0, 0, 1]])
    values = dict(
        ori_cam2img=CAM2IMG,
        cam2img=trans_mat @ CAM2IMG,
        trans_mat=trans_mat,
        ori_shape=(375, 1242),
        img_shape=(384, 1280),
    )
    return {**values, **changes}


BOXES_3D = [[0.65, 1.71, 22.2, 3.64, 1.65, 1.67, -1.59], [-5.53, 2.39, 18.49, 3.69, 1.67, 1.87, 1.57]]
BOXES_2D = [[587.01, 173.33, 640.12, 220.12], [387.63, 181.54, 463.12, 240.12]]


def perfect_outputs(metas):
    """Outputs of a network that has learned one object per image by heart; it is the fourth of seven queries."""
    batch = []
    for box, box_2d, image in zip(BOXES_3D, BOXES_2D, metas, strict=True):
        x, y, z, _, h = box[:5]
        center = CAM2IMG @ [x, y - h / 2, z, 1]
        center = image['trans_mat'] @ [center[0] / z, center[1] / z, 1]
        corners = [(image['trans_mat'] @ [u, v, 1])[:2] for u, v in (box_2d[:2], box_2d[2:])]
        batch.append(
            InstanceData(
                bboxes_3d=CameraInstance3DBoxes(torch.tensor([box])),
                labels_3d=torch.tensor([1]),
                bboxes=torch.tensor(np.concatenate(corners)[None], dtype=torch.float32),
                centers_2d=torch.tensor(center[None, :2], dtype=torch.float32),
                depths=torch.tensor([z]),
            )
        )
    targets = MonoDETRTargetEncoder()(batch, metas)
    outs = dict(
        cls_scores=torch.full((3, 2, 7, 3), -8.0),
        bboxes=targets['boxes'],
        dims=targets['size_3d'],
        depth=torch.stack([targets['depth'], torch.full_like(targets['depth'], math.log(2))], dim=-1),
        heading=torch.cat(
            [
                torch.nn.functional.one_hot(targets['heading_bin'], 12).float(),
                targets['heading_res'].unsqueeze(-1).expand(-1, -1, 12),
            ],
            dim=-1,
        ),
    )
    outs['cls_scores'][-1, :, 3, 1] = 8.0
    # The layers before the last and the other queries say something else.
    for name in ('bboxes', 'dims', 'depth', 'heading'):
        values = torch.rand(3, 2, 7, outs[name].shape[-1])
        values[-1, :, 3] = outs[name][:, 0]
        outs[name] = values
    return outs


def test_candidates_are_the_detections_of_the_official_code(golden):
    file = golden('monodetr_official_cpu')
    found = MonoDETRCoder().candidates(golden_outputs(file, 'eval'))
    dets = torch.from_numpy(file['eval_dets'])
    columns = dict(
        labels=dets[..., 0], prob=dets[..., 1], centers_2d=dets[..., 2:4], size_2d=dets[..., 4:6], depth=dets[..., 6],
        size_3d=dets[..., 31:34], centers_3d=dets[..., 34:36], confidence=dets[..., 36],
    )  # fmt: skip
    for name, expected in columns.items():
        torch.testing.assert_close(found[name].float(), expected, rtol=1e-6, atol=1e-7, msg=name)
    heading = dets[..., 7:31]
    index = heading[..., :12].argmax(-1)
    angle = index * math.pi / 6 + heading[..., 12:].gather(-1, index.unsqueeze(-1)).squeeze(-1)
    angle = torch.where(angle > math.pi, angle - 2 * math.pi, angle)
    torch.testing.assert_close(found['alpha'], angle)


@pytest.mark.parametrize('decode_mode', ['exact', 'official'])
def test_detections_are_those_of_a_loop_over_official_rows(decode_mode, golden):
    """Camera geometry box by box, from the rows of the official code."""
    file = golden('monodetr_official_cpu')
    metas = [meta(), meta()]
    results = MonoDETRCoder(decode_mode).decode(golden_outputs(file, 'eval'), metas, score_thr=0.0)
    for image, result in enumerate(results):
        assert len(result) == 50
        for i, row in enumerate(file['eval_dets'][image].astype(np.float64)):
            to_image = np.linalg.inv(metas[image]['trans_mat'])
            if decode_mode == 'official':
                to_image = np.diag([1242 / 1280, 375 / 384, 1])
            (u, v), (w, h), (u3, v3) = row[2:4], row[4:6], row[34:36]
            corners = [(u - w / 2, v - h / 2), (u + w / 2, v + h / 2), (u3, v3)]
            (x1, y1), (x2, y2), (uc, vc) = [(to_image @ [x * 1280, y * 384, 1])[:2] for x, y in corners]
            np.testing.assert_allclose(result.bboxes_2d[i], [x1, y1, x2, y2], rtol=1e-4, atol=1e-2)
            z, (h3, w3, l3) = row[6], row[31:34]
            x = ((uc - CAM2IMG[0, 2]) * z - CAM2IMG[0, 3]) / CAM2IMG[0, 0]
            y = ((vc - CAM2IMG[1, 2]) * z - CAM2IMG[1, 3]) / CAM2IMG[1, 1] + h3 / 2
            np.testing.assert_allclose(result.bboxes_3d.tensor[i, :6], [x, y, z, l3, h3, w3], rtol=1e-4, atol=1e-2)
            yaw = result.alpha[i].item() + math.atan2((x1 + x2) / 2 - CAM2IMG[0, 2], CAM2IMG[0, 0])
            assert math.cos(result.bboxes_3d.tensor[i, 6].item() - yaw) == pytest.approx(1)
            assert result.scores_3d[i].item() == pytest.approx(row[1] * row[36], rel=1e-5)
            assert result.labels_3d[i].item() == row[0]


def test_decoding_inverts_encoding():
    metas = [meta(), meta()]
    results = MonoDETRCoder().decode(perfect_outputs(metas), metas)
    assert [len(result) for result in results] == [1, 1]
    for i, result in enumerate(results):
        assert isinstance(result.bboxes_3d, CameraInstance3DBoxes)
        np.testing.assert_allclose(result.bboxes_3d.tensor[0], BOXES_3D[i], rtol=0, atol=1e-3)
        np.testing.assert_allclose(result.bboxes_2d[0], BOXES_2D[i], rtol=0, atol=1e-3)
        assert result.labels_3d.tolist() == [1]
        assert result.scores_3d.item() == pytest.approx(0.5, abs=1e-3)


def test_the_threshold_is_on_the_probability_and_a_query_may_give_two_classes():
    metas = [meta(), meta()]
    outs = perfect_outputs(metas)
    outs['cls_scores'][-1, :, 3] = torch.logit(torch.tensor([0.3, 0.6, 0.1]))
    results = MonoDETRCoder().decode(outs, metas, score_thr=0.2)
    assert [result.labels_3d.tolist() for result in results] == [[1, 0], [1, 0]]
    assert results[0].scores_3d.tolist() == pytest.approx([0.3, 0.15], abs=1e-6)
    assert torch.equal(results[0].bboxes_3d.tensor[0], results[0].bboxes_3d.tensor[1])
    assert [len(result) for result in MonoDETRCoder().decode(outs, metas, score_thr=0.31)] == [1, 1]


def test_depth_of_a_scaled_image_is_divided_by_the_scale():
    metas = [meta(crop_scale=1.32), meta(crop_scale=0.8)]
    results = MonoDETRCoder().decode(perfect_outputs(metas), metas)
    np.testing.assert_allclose([result.bboxes_3d.tensor[0, 2] for result in results], [22.2, 18.49], rtol=1e-5)


def test_an_empty_batch_of_detections_keeps_its_shapes():
    metas = [meta(), meta()]
    for result in MonoDETRCoder().decode(perfect_outputs(metas), metas, score_thr=1.1):
        assert result.bboxes_3d.tensor.shape == (0, 7)
        assert result.bboxes_2d.shape == (0, 4)


def test_fewer_candidates_than_asked_for_are_all_given():
    outs = perfect_outputs([meta(), meta()])
    assert MonoDETRCoder().candidates(outs, topk=50)['prob'].shape == (2, 21)


def test_wrong_options_and_meta_information_are_named():
    with pytest.raises(ConfigError, match="unknown decode_mode 'oficial'"):
        TASK_UTILS.build(dict(type='mono_distill.MonoDETRCoder', decode_mode='oficial'))
    image = meta()
    outs = perfect_outputs([image, image])
    del image['img_shape']
    with pytest.raises(DataError, match="MonoDETRCoder.*lacks 'img_shape'"):
        MonoDETRCoder().decode(outs, [image, image])
