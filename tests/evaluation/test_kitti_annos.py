from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet3d.structures import CameraInstance3DBoxes, LiDARInstance3DBoxes

from mono_distill.evaluation.kitti_annos import KittiFrame, load_frames, prediction_annos, sample_id_of
from mono_distill.utils.errors import DataError, NonFiniteError

CLASSES = ('Pedestrian', 'Car', 'Cyclist')
CAM2IMG = np.array([[700.0, 0, 600, 45], [0, 700, 180, 0.2], [0, 0, 1, 0.003], [0, 0, 0, 1]])
LIDAR2CAM = np.array([[0, -1, 0, 0.0], [0, 0, -1, -0.08], [1, 0, 0, -0.27], [0, 0, 0, 1]])
FRAME = KittiFrame('000123', {}, CAM2IMG, LIDAR2CAM, (1242, 375))
CAR = [2.0, 1.7, 20.0, 3.9, 1.5, 1.6, 0.4]


def prediction(*boxes: list[float], **extra: torch.Tensor) -> dict:
    """Cars with a score of 0.5."""
    tensor = torch.tensor(boxes).reshape(-1, 7)
    return {
        'bboxes_3d': CameraInstance3DBoxes(tensor),
        'scores_3d': torch.full((len(tensor),), 0.5),
        'labels_3d': torch.ones(len(tensor), dtype=torch.long),
        **extra,
    }


def test_info_file_round_trip(tmp_path: Path, random_frames, write_infos):
    truth, _ = random_frames(0, 5)
    frames = load_frames(write_infos(tmp_path / 'infos.pkl', {f'{i:06d}': anno for i, anno in enumerate(truth)}))
    assert list(frames) == ['000000', '000001', '000002', '000003', '000004']
    for frame, anno in zip(frames.values(), truth, strict=True):
        assert frame.annos.keys() == anno.keys()
        for key, values in anno.items():
            np.testing.assert_array_equal(frame.annos[key], values)
    assert frames['000000'].image_size == (1242, 375)
    assert frames['000000'].cam2img.shape == frames['000000'].lidar2cam.shape == (4, 4)


def test_info_files_of_mmdet3d_name_their_frames_by_the_image(tmp_path: Path, write_infos):
    path = write_infos(tmp_path / 'infos.pkl', {'000007': None})
    content = pickle.loads(path.read_bytes())
    del content['data_list'][0]['sample_id']
    path.write_bytes(pickle.dumps(content))
    assert list(load_frames(path)) == ['000007']


def test_a_missing_info_file_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(DataError, match=r'missing\.pkl does not exist: write it with "mono-distill prepare kitti"'):
        load_frames(tmp_path / 'missing.pkl')


@pytest.mark.parametrize('content', [[{'image': 1}], {'data_list': []}])
def test_another_pickle_is_refused(tmp_path: Path, content: object):
    path = tmp_path / 'infos.pkl'
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match='is no info file'):
        load_frames(path)


def test_an_info_file_without_frames_is_refused(tmp_path: Path, write_infos):
    with pytest.raises(DataError, match='holds no frame'):
        load_frames(write_infos(tmp_path / 'infos.pkl', {}))


def test_an_info_file_that_lacks_a_field_is_refused(tmp_path: Path, random_frames, write_infos):
    truth = random_frames(0, 3)[0]
    path = write_infos(tmp_path / 'infos.pkl', {f'{i:06d}': anno for i, anno in enumerate(truth)})
    content = pickle.loads(path.read_bytes())
    for entry in content['data_list']:
        for instance in entry['instances']:
            del instance['alpha']
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match="lacks 'alpha'"):
        load_frames(path)


def test_an_unknown_label_is_refused(tmp_path: Path, random_frames, write_infos):
    path = write_infos(
        tmp_path / 'infos.pkl', {'000003': random_frames(0, 3)[0][2]}, metainfo={'categories': {'Tram': 6}}
    )
    with pytest.raises(DataError, match='frame 000003: the categories of the info file lack the labels'):
        load_frames(path)


def test_a_frame_that_occurs_twice_is_refused(tmp_path: Path, write_infos):
    path = write_infos(tmp_path / 'infos.pkl', {'000003': None})
    content = pickle.loads(path.read_bytes())
    content['data_list'] *= 2
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match='holds the frame 000003 twice'):
        load_frames(path)


def test_a_data_sample_without_any_name_is_refused():
    with pytest.raises(DataError, match="add 'sample_id' to the meta_keys"):
        sample_id_of({'pred_instances_3d': {}})


def test_predicted_boxes_and_alpha_are_used():
    boxes_2d, alpha = torch.tensor([[10.0, 20, 30, 80]]), torch.tensor([1.25])
    anno = prediction_annos(prediction(CAR, bboxes_2d=boxes_2d, alpha=alpha), FRAME, CLASSES)
    np.testing.assert_array_equal(anno['bbox'], boxes_2d.numpy())
    np.testing.assert_array_equal(anno['alpha'], alpha.numpy())
    assert anno['name'].tolist() == ['Car']
    np.testing.assert_allclose(anno['location'], [CAR[:3]], rtol=1e-6)
    np.testing.assert_allclose(anno['dimensions'], [CAR[3:6]], rtol=1e-6)
    np.testing.assert_allclose(anno['rotation_y'], [CAR[6]], rtol=1e-6)
    assert anno['score'].tolist() == [0.5]
    assert all(values.dtype == np.float64 for key, values in anno.items() if key not in ('name', 'occluded'))


@pytest.mark.parametrize('use_pred_2d', [True, False])
def test_without_predicted_boxes_they_are_projected_as_in_mmdet3d(use_pred_2d: bool):
    """Also if there are some and ``use_pred_2d`` is off."""
    from mmdet3d.evaluation.metrics import KittiMetric

    rng = np.random.default_rng(0)
    spread = rng.uniform([-30, 1, 3, 3, 1, 1, -3], [30, 2, 60, 4, 2, 2, 3], size=(60, 7)).tolist()
    found = prediction(*spread)
    image = {'cam2img': CAM2IMG, 'lidar2cam': LIDAR2CAM, 'height': 375, 'width': 1242}
    expected = KittiMetric('').convert_valid_bboxes(found, {'sample_idx': 0, 'images': {'CAM2': image}})
    clipped = expected['bbox'].clip([0, 0, 0, 0], [np.inf, np.inf, 1242, 375])
    if not use_pred_2d:
        found |= {'bboxes_2d': torch.zeros(60, 4), 'alpha': torch.zeros(60)}
    anno = prediction_annos(found, FRAME, CLASSES, use_pred_2d)
    assert 10 < len(anno['bbox']) < 60
    np.testing.assert_allclose(anno['bbox'], clipped, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(anno['location'], expected['box3d_camera'][:, :3])
    x, z, angle = expected['box3d_camera'][:, [0, 2, 6]].T
    np.testing.assert_allclose(np.exp(1j * anno['alpha']), np.exp(1j * (angle - np.arctan2(x, z))), atol=1e-6)


def test_boxes_in_the_lidar_frame_are_transformed():
    camera = CameraInstance3DBoxes(torch.tensor([CAR]))
    found = prediction(CAR)
    found['bboxes_3d'] = camera.convert_to(0, np.linalg.inv(LIDAR2CAM).astype(np.float32))
    assert isinstance(found['bboxes_3d'], LiDARInstance3DBoxes)
    anno = prediction_annos(found, FRAME, CLASSES)
    expected = prediction_annos(prediction(CAR), FRAME, CLASSES)
    for key in ('location', 'dimensions', 'rotation_y', 'alpha', 'bbox'):
        np.testing.assert_allclose(anno[key], expected[key], rtol=1e-5, atol=1e-5)


def test_angles_come_out_within_a_turn():
    anno = prediction_annos(prediction([*CAR[:6], 4.0], [*CAR[:6], -9.0], [*CAR[:6], 3.0]), FRAME, CLASSES)
    np.testing.assert_allclose(
        anno['rotation_y'], [4 - 2 * np.pi, 2 * np.pi - 9 + 2 * np.pi - 2 * np.pi, 3.0], atol=1e-6
    )
    assert (np.abs(anno['alpha']) <= np.pi).all()


def test_predictions_are_not_modified():
    boxes = torch.tensor([[*CAR[:6], 4.0]], dtype=torch.float64)
    found = prediction(CAR)
    found['bboxes_3d'].tensor = boxes
    prediction_annos(found, FRAME, CLASSES)
    assert boxes[0, 6] == 4.0


def test_no_detections_give_empty_columns():
    for extra in ({}, {'bboxes_2d': torch.zeros(0, 4), 'alpha': torch.zeros(0)}):
        anno = prediction_annos(prediction(**extra), FRAME, CLASSES)
        assert anno['bbox'].shape == (0, 4)
        assert anno['location'].shape == anno['dimensions'].shape == (0, 3)
        assert all(len(values) == 0 for values in anno.values())


@pytest.mark.parametrize('key', ['bboxes_3d', 'scores_3d', 'bboxes_2d', 'alpha'])
@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_a_prediction_that_is_not_finite_names_frame_and_field(key: str, value: float):
    found = prediction(CAR, CAR, bboxes_2d=torch.ones(2, 4), alpha=torch.ones(2))
    values = found[key].tensor if key == 'bboxes_3d' else found[key]
    values[1] = value
    with pytest.raises(NonFiniteError, match=f'frame 000123: the prediction holds NaN or infinity in {key}'):
        prediction_annos(found, FRAME, CLASSES)


def test_fields_of_different_length_are_refused():
    with pytest.raises(DataError, match="frame 000123: .* differ in length: .*'alpha': 3"):
        prediction_annos(prediction(CAR, alpha=torch.ones(3)), FRAME, CLASSES)


def test_a_label_without_class_is_refused():
    with pytest.raises(DataError, match=r'frame 000123: labels_3d lie in \[1, 1\], but the data set has 1 classes'):
        prediction_annos(prediction(CAR), FRAME, ['Car'])


def test_boxes_of_another_kind_are_refused():
    with pytest.raises(DataError, match='frame 000123: bboxes_3d must be CameraInstance3DBoxes .* got Tensor'):
        prediction_annos({**prediction(CAR), 'bboxes_3d': torch.ones(1, 7)}, FRAME, CLASSES)
