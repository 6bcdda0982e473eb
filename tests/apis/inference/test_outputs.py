"""Detections as arrays and as files, from objects written down by hand."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from mmdet3d.structures import CameraInstance3DBoxes
from tiny_inference import picture

from mono_distill.apis.inference.detections import detections_of
from mono_distill.apis.inference.intrinsics import as_cam2img
from mono_distill.apis.inference.outputs import DetectionWriter
from mono_distill.datasets.kitti.labels import read_label
from mono_distill.utils.errors import DataError, NonFiniteError

CLASSES = ('Pedestrian', 'Car')
# x, y of the bottom, z, length, height, width, rotation.
BOXES = [[0.5, 1.6, 10.0, 4.0, 1.5, 1.6, 0.35], [-3.0, 1.5, 20.0, 0.8, 1.7, 0.6, -1.2]]


def found(boxes=BOXES, scores=(0.9, 0.4), name='frame', **changes):
    prediction = {
        'bboxes_3d': CameraInstance3DBoxes(torch.tensor(boxes).reshape(-1, 7)),
        'scores_3d': torch.tensor(scores),
        'labels_3d': torch.tensor([1, 0])[: len(boxes)],
        'bboxes_2d': torch.tensor([[60.0, 10, 110, 45], [20, 15, 30, 40]])[: len(boxes)],
        'alpha': torch.tensor([0.3, -1.05])[: len(boxes)],
    } | changes
    return detections_of(
        prediction, CLASSES, name=name, path=None, image_size=(160, 48), cam2img=as_cam2img((100, 100, 80, 24))
    )


def written(folder, *several, **options):
    writer = DetectionWriter(folder, **options)
    for one in several:
        writer.write(one, picture())
    writer.finish({'config': 'a.py'})
    return writer


def test_arrays_keep_the_order_of_the_detector():
    detections = found()
    assert len(detections) == 2
    assert detections.class_names == ('Car', 'Pedestrian')
    assert detections.labels.tolist() == [1, 0]
    assert np.allclose(detections.bboxes_3d, BOXES)


def test_low_scores_are_left_out_of_every_field():
    detections = found().above(0.5)
    assert (len(detections), detections.class_names, detections.labels.tolist()) == (1, ('Car',), [1])
    assert detections.bboxes_2d.tolist() == [[60, 10, 110, 45]]
    assert len(detections.alpha) == len(detections.bboxes_3d) == 1


def test_2d_boxes_of_a_detector_without_them_are_projections():
    prediction = {
        'bboxes_3d': CameraInstance3DBoxes(torch.tensor([[0.0, 1.0, 10.0, 2.0, 2.0, 2.0, 0.0]])),
        'scores_3d': torch.ones(1),
        'labels_3d': torch.zeros(1, dtype=torch.long),
    }
    camera = as_cam2img((100, 100, 80, 24))
    box = detections_of(prediction, CLASSES, name='a', path=None, image_size=(160, 48), cam2img=camera).bboxes_2d
    # The near face is 9 m away: 100 * 1 / 9 to each side of the principal point.
    assert np.allclose(box, [[80 - 100 / 9, 24 - 100 / 9, 80 + 100 / 9, 24 + 100 / 9]], atol=1e-4)


def test_nan_is_an_error_with_the_name_of_the_image():
    with pytest.raises(NonFiniteError, match='frame.*scores_3d'):
        found(scores_3d=torch.tensor([float('nan'), 1.0]))


def test_the_text_is_what_a_reader_of_kitti_labels_expects(tmp_path):
    written(tmp_path, found())
    text = (tmp_path / 'kitti' / 'frame.txt').read_text()
    assert text.splitlines()[0] == (
        'Car -1 -1 0.3000 60.0000 10.0000 110.0000 45.0000 1.5000 1.6000 4.0000 0.5000 1.6000 10.0000 0.3500 0.9000'
    )
    labels = read_label(tmp_path / 'kitti' / 'frame.txt')
    assert np.allclose(labels.bboxes_3d, BOXES, atol=1e-4)


def test_the_json_holds_every_image_and_number(tmp_path):
    written(tmp_path, found(), found(boxes=BOXES[:1], scores=(0.9,), name='next'))
    content = json.loads((tmp_path / 'detections.json').read_text())
    assert content['config'] == 'a.py'
    assert [image['name'] for image in content['images']] == ['frame', 'next']
    first = content['images'][0]['objects'][0]
    assert first['class'] == 'Car'
    assert np.allclose([*first['location'], *first['dimensions_lhw'], first['rotation_y']], BOXES[0])
    assert content['images'][0]['cam2img'][0] == [100, 0, 80, 0]


def test_pictures_show_boxes_on_the_image_and_from_above(tmp_path):
    written(tmp_path, found(), found(boxes=[], scores=(), name='empty'))
    overlay, plain = (cv2.imread(str(tmp_path / 'overlay' / f'{name}.png')) for name in ('frame', 'empty'))
    # 160 columns become 960: small pictures are magnified.
    assert np.array_equal(plain, picture().repeat(6, axis=0).repeat(6, axis=1))
    assert (overlay != plain).any()
    above, nothing = (cv2.imread(str(tmp_path / 'bev' / f'{name}.png')) for name in ('frame', 'empty'))
    assert (above != nothing).any()


def test_an_image_without_objects_has_valid_empty_outputs(tmp_path):
    written(tmp_path, found(boxes=[], scores=()))
    assert (tmp_path / 'kitti' / 'frame.txt').read_text() == ''
    assert json.loads((tmp_path / 'detections.json').read_text())['images'][0]['objects'] == []


def test_pictures_can_be_left_out(tmp_path):
    written(tmp_path, found(), pictures=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['detections.json', 'kitti']


def test_a_failing_write_leaves_the_old_file_whole(tmp_path, monkeypatch):
    written(tmp_path, found())
    before = {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}

    def full(*_args):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('pathlib.Path.write_text', full)
    writer = DetectionWriter(tmp_path)
    with pytest.raises(DataError, match='cannot write the detections of frame.*No space left'):
        writer.write(found(boxes=[], scores=()), picture())
    with pytest.raises(DataError, match=r'detections.json: No space left'):
        writer.finish()
    assert {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()} == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(DataError, match='cannot write to'):
        DetectionWriter(tmp_path / 'file' / 'out')


def test_results_of_other_images_are_pointed_out(tmp_path):
    assert written(tmp_path, found()).strangers() == []
    assert [path.name for path in written(tmp_path, found(name='next')).strangers()] == ['frame.txt']
