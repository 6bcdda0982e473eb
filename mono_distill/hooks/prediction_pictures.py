"""Pictures of predictions beside the ground truth, written while a checkpoint is tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import InstanceData

from mono_distill.registry import HOOKS
from mono_distill.utils.errors import ConfigError

# Size of the pictures of a camera of a multi-view sample.
_VIEW_SIZE = (256, 704)


@HOOKS.register_module()
class PredictionPictureHook(Hook):
    """Writes one PNG per tested sample: its pictures with 3D boxes, and the scene from above with LiDAR points.

    Predictions are orange with their scores, ground truth (where the split has it) is green. KITTI's picture is drawn
    as recorded; the cameras of a nuScenes key-frame side by side and smaller. Pictures and points are read again from
    the files, so a detector may take either.

    Args:
        out_dir: Folder for the pictures, named by frame (KITTI) or by token (nuScenes).
        score_thr: Predictions below this score are not drawn.
    """

    def __init__(self, out_dir: str, score_thr: float = 0.1) -> None:
        if not 0 <= score_thr <= 1:
            raise ConfigError(f'PredictionPictureHook: score_thr must lie in [0, 1], not {score_thr}')
        self.out_dir = Path(out_dir)
        self.score_thr = score_thr
        self._indices: dict[str, int] = {}

    def before_test(self, runner: Runner) -> None:
        """Index the data set by frame."""
        dataset = runner.test_dataloader.dataset
        self._indices = {_name(dataset.get_data_info(index)): index for index in range(len(dataset))}

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Draw the samples of one batch."""
        # Here, so that the other hooks can be used without mmdet3d and OpenCV.
        from mono_distill.visualization.picture import write_picture

        dataset = runner.test_dataloader.dataset
        for sample in outputs or ():
            name = _name(sample.metainfo)
            info = dataset.get_data_info(self._indices[name])
            predictions = sample.pred_instances_3d.to('cpu')
            predictions = predictions[predictions.scores_3d >= self.score_thr]
            draw = _draw_views if 'images' in info else _draw_frame
            write_picture(self.out_dir / f'{name}.png', draw(info, predictions, dataset.metainfo['classes']))


def _name(info: Mapping[str, Any]) -> str:
    """Return the name of a frame of KITTI, or the token of a key-frame of nuScenes."""
    return str(info['sample_id'] if 'sample_id' in info else info['token'])


def _draw_frame(info: dict[str, Any], predictions: Any, classes: Sequence[str]) -> Any:
    """Draw a frame of KITTI in the camera frame of its picture."""
    import cv2
    from mmdet3d.structures import Box3DMode, Det3DDataSample, LiDARInstance3DBoxes

    from mono_distill.datasets.kitti.velodyne import read_velodyne
    from mono_distill.visualization.sample import draw_sample, points_in_camera

    lidar2cam = info.get('lidar2cam')
    drawn = Det3DDataSample(
        metainfo=dict(sample_id=info['sample_id'], cam2img=info['cam2img'], lidar2cam=lidar2cam, flip=False)
    )
    if isinstance(predictions.bboxes_3d, LiDARInstance3DBoxes):
        moved = predictions.bboxes_3d.convert_to(Box3DMode.CAM, np.asarray(lidar2cam, dtype=np.float32))
        predictions = InstanceData(bboxes_3d=moved, labels_3d=predictions.labels_3d, scores_3d=predictions.scores_3d)
    drawn.pred_instances_3d = predictions
    _add_truth(drawn, info)
    path = info.get('lidar_path')
    points = None
    if path is not None and Path(path).is_file():
        points = points_in_camera(read_velodyne(path)[:, :3], drawn.metainfo)
    return draw_sample(cv2.imread(info['img_path']), drawn, points=points, classes=classes)


def _draw_views(info: dict[str, Any], predictions: Any, classes: Sequence[str]) -> Any:
    """Draw a key-frame of nuScenes in its LiDAR frame."""
    from mono_distill.datasets.transforms import LoadLidarSweeps, LoadMultiViewImages, MultiViewImageAug, PackBEVInputs
    from mono_distill.visualization.multi_view_sample import draw_multi_view_sample

    loaded: Any = dict(info)
    for transform in (LoadMultiViewImages(), LoadLidarSweeps(num_sweeps=0), MultiViewImageAug(_VIEW_SIZE)):
        loaded = transform(loaded)
    packed = PackBEVInputs()(loaded)
    packed['data_samples'].pred_instances_3d = predictions
    _add_truth(packed['data_samples'], info)
    inputs = packed['inputs']
    return draw_multi_view_sample(inputs['imgs'], packed['data_samples'], points=inputs['points'], classes=classes)


def _add_truth(sample: Any, info: Mapping[str, Any]) -> None:
    truth = info.get('ann_info') or {}
    if 'gt_bboxes_3d' in truth:
        sample.gt_instances_3d = InstanceData(bboxes_3d=truth['gt_bboxes_3d'], labels_3d=truth['gt_labels_3d'])
