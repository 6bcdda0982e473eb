"""KITTI frames in the LiDAR frame: the conversion and back, as the metric does it, gives the label file's boxes."""

import numpy as np
import pytest
import torch
from kitti_files import write_frame
from kitti_frames import frame_info, write_infos
from mmdet3d.structures import LiDARInstance3DBoxes

from mono_distill.datasets import KittiBEVDataset, LoadKittiBEVAnnotations
from mono_distill.datasets.kitti.layout import KittiFolder
from mono_distill.evaluation.kitti_annos import load_frames, prediction_annos

LABELS = """Cyclist 0.00 0 0.30 60.00 10.00 110.00 45.00 1.70 0.60 1.80 -3.50 1.50 14.00 -1.95
Car 0.00 1 0.30 60.00 10.00 110.00 45.00 1.50 1.60 4.00 0.50 1.60 10.00 0.35
DontCare -1 -1 -10 5.00 5.00 20.00 15.00 -1 -1 -1 -1000 -1000 -1000 -10
"""


@pytest.fixture
def root(tmp_path):
    write_frame(tmp_path, '000000', label=LABELS)
    folder = KittiFolder(tmp_path)
    folder.path('training', 'depth_dense', '000000')
    write_infos(tmp_path, [frame_info(folder, '000000', (48, 160))])
    return tmp_path


def test_classes_are_in_the_order_of_openpcdet(root):
    dataset = KittiBEVDataset('kitti_infos_train.pkl', str(root))
    assert dataset.metainfo['classes'] == ('Car', 'Pedestrian', 'Cyclist')
    assert dataset.get_data_info(0)['ann_info']['gt_labels_3d'].tolist() == [2, 0]


def test_predictions_equal_to_the_annotations_are_the_label_file_again(root):
    dataset = KittiBEVDataset('kitti_infos_train.pkl', str(root), pipeline=[dict(type=LoadKittiBEVAnnotations)])
    sample = dataset[0]
    assert isinstance(sample['gt_bboxes_3d'], LiDARInstance3DBoxes)
    prediction = dict(
        bboxes_3d=sample['gt_bboxes_3d'], scores_3d=torch.ones(2), labels_3d=torch.as_tensor(sample['gt_labels_3d'])
    )
    frame = load_frames(root / 'kitti_infos_train.pkl')['000000']
    found = prediction_annos(prediction, frame, dataset.metainfo['classes'])
    assert found['name'].tolist() == ['Cyclist', 'Car']
    for key in ('location', 'dimensions', 'rotation_y'):
        np.testing.assert_allclose(found[key], frame.annos[key][:2], atol=1e-5)


def test_samples_say_what_their_boxes_are_in_evaluation_too(root):
    dataset = KittiBEVDataset('kitti_infos_train.pkl', str(root), test_mode=True)
    sample = dataset.get_data_info(0)
    assert sample['box_type_3d'] is LiDARInstance3DBoxes
    np.testing.assert_array_equal(sample['ori_lidar2cam'], sample['lidar2cam'])
