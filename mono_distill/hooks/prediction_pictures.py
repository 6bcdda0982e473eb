"""Pictures of predictions beside the ground truth, written while a checkpoint is tested."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import InstanceData

from mono_distill.registry import HOOKS
from mono_distill.utils.errors import ConfigError


@HOOKS.register_module()
class PredictionPictureHook(Hook):
    """Writes one PNG per tested frame: the original image with 3D boxes, and the scene from above with LiDAR points.

    Predictions are orange with their scores, ground truth (where the split has it) is green.

    Args:
        out_dir: Folder for the pictures, named by frame.
        score_thr: Predictions below this score are not drawn.
    """

    def __init__(self, out_dir: str, score_thr: float = 0.1) -> None:
        if not 0 <= score_thr <= 1:
            raise ConfigError(f'PredictionPictureHook: score_thr must lie in [0, 1], not {score_thr}')
        self.out_dir = Path(out_dir)
        self.score_thr = score_thr
        self._infos: dict[str, dict[str, Any]] = {}

    def before_test(self, runner: Runner) -> None:
        """Index the data set by frame."""
        dataset = runner.test_dataloader.dataset
        infos = (dataset.get_data_info(index) for index in range(len(dataset)))
        self._infos = {info['sample_id']: info for info in infos}

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Draw the frames of one batch."""
        # Here, so that the other hooks can be used without mmdet3d and OpenCV.
        import cv2

        from mono_distill.visualization import draw_sample, write_picture

        classes = runner.test_dataloader.dataset.metainfo['classes']
        for sample in outputs or ():
            info = self._infos[sample.sample_id]
            picture = draw_sample(
                cv2.imread(info['img_path']), self._annotated(sample, info), points=_points(info), classes=classes
            )
            write_picture(self.out_dir / f'{sample.sample_id}.png', picture)

    def _annotated(self, sample: Any, info: dict[str, Any]) -> Any:
        """Return a copy in the original image's camera, with ground truth and the confident predictions."""
        drawn = sample.new()
        drawn.set_metainfo(dict(cam2img=info['cam2img'], lidar2cam=info.get('lidar2cam'), flip=False))
        predictions = sample.pred_instances_3d.to('cpu')
        drawn.pred_instances_3d = predictions[predictions.scores_3d >= self.score_thr]
        truth = info.get('ann_info') or {}
        if 'gt_bboxes_3d' in truth:
            drawn.gt_instances_3d = InstanceData(bboxes_3d=truth['gt_bboxes_3d'], labels_3d=truth['gt_labels_3d'])
        return drawn


def _points(info: dict[str, Any]) -> Any:
    from mono_distill.datasets.kitti.velodyne import read_velodyne
    from mono_distill.visualization import points_in_camera

    path = info.get('lidar_path')
    if path is None or not Path(path).is_file():
        return None
    return points_in_camera(read_velodyne(path)[:, :3], dict(lidar2cam=info['lidar2cam'], flip=False))
