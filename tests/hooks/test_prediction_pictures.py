"""Tests of mono_distill.hooks.prediction_pictures."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from kitti_files import VELO_TO_CAM, write_frame
from kitti_frames import INFO_FILE, frame_info, write_infos
from mmdet3d.structures import Det3DDataSample, LiDARInstance3DBoxes
from mmengine.structures import InstanceData

from mono_distill.datasets import KittiBEVDataset, KittiMonoDataset, NuScenesBEVDataset
from mono_distill.datasets.kitti.layout import KittiFolder
from mono_distill.hooks.prediction_pictures import PredictionPictureHook
from mono_distill.utils.errors import ConfigError
from mono_distill.visualization.picture import PREDICTION_COLOR


def pictures(dataset, out, **names):
    """Draw the first frame with a confident prediction and one that is not; return the picture."""
    boxes = LiDARInstance3DBoxes(
        torch.tensor([[10.0, 0.5, -1.7, 4.0, 1.6, 1.5, 0.0], [8.0, 3.0, -1.7, 4, 1.6, 1.5, 0]])
    )
    return draw(dataset, out, InstanceData(bboxes_3d=boxes, labels_3d=torch.zeros(2).long(), scores_3d=SCORES), **names)


SCORES = torch.tensor([0.8, 0.05])


def draw(dataset, out, predictions, **names):
    hook = PredictionPictureHook(str(out))
    runner = SimpleNamespace(test_dataloader=SimpleNamespace(dataset=dataset))
    sample = Det3DDataSample(metainfo=names)
    sample.pred_instances_3d = predictions
    hook.before_test(runner)
    hook.after_test_iter(runner, 0, None, [sample])
    (path,) = out.iterdir()
    assert path.stem == next(iter(names.values()))
    return cv2.imread(str(path))


def is_orange(picture):
    return (picture == np.array(PREDICTION_COLOR)).all(axis=-1)


@pytest.fixture
def frames(tmp_path):
    write_frame(tmp_path, '000000')
    write_infos(tmp_path, [frame_info(KittiFolder(tmp_path), '000000', (48, 160))])
    return tmp_path


def test_a_key_frame_of_nuscenes_is_drawn_with_all_its_cameras(tiny_nuscenes, tmp_path):
    dataset = NuScenesBEVDataset('nuscenes_infos_val.pkl', str(tiny_nuscenes), test_mode=True)
    token = dataset.get_data_info(1)['token']
    picture = pictures(dataset, tmp_path / 'out', token=token)
    assert picture.shape[1] >= 3 * 352
    assert is_orange(picture).any()


def test_boxes_of_the_lidar_are_drawn_into_kittis_picture(frames, tmp_path):
    ours = pictures(KittiBEVDataset(INFO_FILE, str(frames), test_mode=True), tmp_path / 'a', sample_id='000000')
    camera = KittiMonoDataset(INFO_FILE, str(frames), test_mode=True)
    lidar2cam = np.eye(4, dtype=np.float32)
    lidar2cam[:3] = VELO_TO_CAM
    boxes = LiDARInstance3DBoxes(torch.tensor([[10.0, 0.5, -1.7, 4.0, 1.6, 1.5, 0.0]])).convert_to(0, lidar2cam)
    found = InstanceData(bboxes_3d=boxes, labels_3d=torch.zeros(1).long(), scores_3d=SCORES[:1])
    theirs = draw(camera, tmp_path / 'b', found, sample_id='000000')
    assert is_orange(ours).any()
    assert np.array_equal(is_orange(ours), is_orange(theirs))


def test_a_score_that_is_no_probability_is_refused():
    with pytest.raises(ConfigError, match='score_thr must lie in'):
        PredictionPictureHook('out', score_thr=2.0)
