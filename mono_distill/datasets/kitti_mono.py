"""KITTI object frames as seen by camera 2, with the annotations the monocular detectors of the literature train on."""

from __future__ import annotations

import os.path as osp
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from numpy.typing import NDArray

from mono_distill.datasets.reproducible import ReproducibleSamples
from mono_distill.registry import DATASETS
from mono_distill.utils.errors import ConfigError, DataError, MonoDistillError

PREPARE = '`mono-distill prepare kitti --root {root}`'


@DATASETS.register_module()
class KittiMonoDataset(ReproducibleSamples, BaseDataset):
    """KITTI frames from the infos that ``mono-distill prepare kitti`` writes.

    mmdet3d's own monocular KITTI loader replaces the annotated 2D boxes by clipped projections of the 3D boxes and
    loses observation angle, truncation and occlusion; this one keeps what the label files say. DontCare regions and
    classes outside ``metainfo['classes']`` are dropped, frames without objects are kept, and a frame that cannot be
    read is an error: no other frame takes its place. Samples are reproducible, see
    :class:`mono_distill.datasets.reproducible.ReproducibleSamples`.

    Keys handed to the pipeline: ``sample_id, sample_idx, img_path, depth_map_path, lidar_path, lidar_points, ori_shape,
    cam2img, ori_cam2img, lidar2cam, classes, ann_info`` (matrices 4x4 float64; the camera frame is KITTI's rectified
    one: x right, y down, z forward). Infos written by mmdet3d's converter load as well; they have no depth maps.

    Args:
        ann_file: Info file, relative to ``data_root``.
        data_root: Folder in KITTI's layout.
        pipeline: Transforms.
        data_prefix: Folders of the images (``img``) and scans (``pts``), relative to ``data_root``.
        depth_map: Which depth map ``LoadDepthMap`` reads: ``'dense'`` (completed) or ``'sparse'`` (LiDAR returns).
        labelled: Whether the annotations may be seen. ``False`` hides them: frames for distillation without labels
            (with ``LoadMonoKittiAnnotations(allow_unlabelled=True)``).
        image_scale: Size of the images relative to KITTI's. Difficulties, which depend on the height of boxes in
            pixels, are those of the images at full size.
        metainfo: As for mmengine's ``BaseDataset``; ``classes`` selects and orders the classes.
        kwargs: Further arguments of ``BaseDataset`` (``test_mode``, ``indices``, ``lazy_init`` ...).

    Raises:
        ConfigError: ``depth_map`` or a class name is unknown.
        DataError: The info file is missing, unreadable or has another format.
    """

    # The official order of the monocular repositories; mmdet3d's configs have Cyclist before Car.
    METAINFO = {
        'classes': ('Pedestrian', 'Car', 'Cyclist'),
        'palette': [(106, 0, 228), (119, 11, 32), (165, 42, 42)],
    }

    def __init__(
        self,
        ann_file: str = '',
        data_root: str = '',
        *,
        pipeline: Sequence[Any] = (),
        data_prefix: Mapping[str, str] | None = None,
        depth_map: str = 'dense',
        labelled: bool = True,
        image_scale: float = 1.0,
        metainfo: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if depth_map not in ('dense', 'sparse'):
            raise ConfigError(f"KittiMonoDataset: depth_map must be 'dense' or 'sparse', got {depth_map!r}")
        if not image_scale > 0:
            raise ConfigError(f'KittiMonoDataset: image_scale must be positive, got {image_scale}')
        self.depth_map = depth_map
        self.labelled = labelled
        self.image_scale = image_scale
        prefix = {'img': 'training/image_2', 'pts': 'training/velodyne', **(data_prefix or {})}
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            pipeline=list(pipeline),
            data_prefix=prefix,
            metainfo=metainfo,
            **kwargs,
        )

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the info file.

        Raises:
            DataError: The file is missing, cannot be unpickled, has another format or holds no frame.
        """
        cure = (
            f'run {PREPARE.format(root=self.data_root or "DIR")}, which writes kitti_infos_*.pkl '
            '(those of train and val where ImageSets/train.txt and val.txt are)'
        )
        if not osp.isfile(self.ann_file):
            raise DataError(f'info file {self.ann_file} does not exist; {cure}')
        try:
            frames = super().load_data_list()
        except MonoDistillError:
            raise
        except (pickle.UnpicklingError, EOFError, AttributeError, TypeError, ValueError, KeyError) as error:
            raise DataError(f'info file {self.ann_file} cannot be read ({error!r}); {cure}') from error
        if not frames:
            raise DataError(f'info file {self.ann_file} holds no frame; {cure}')
        return frames

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any]:
        """Turn one entry of the info file into the input of the pipeline.

        Raises:
            DataError: The entry lacks a field, or its annotations are malformed.
        """
        try:
            return self._parse(raw_data_info)
        except MonoDistillError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            name = raw_data_info.get('sample_id', raw_data_info.get('sample_idx', '?'))
            raise DataError(
                f'{self.ann_file}: the entry of frame {name} is not a KITTI info of mmdet3d 1.x ({error!r}); '
                f'run {PREPARE.format(root=self.data_root or "DIR")} again'
            ) from error

    def _parse(self, info: dict[str, Any]) -> dict[str, Any]:
        camera = info['images']['CAM2']
        cam2img = _matrix(camera['cam2img'])
        img_path = osp.join(self.data_prefix['img'], camera['img_path'])
        lidar_file = info.get('lidar_points', {}).get('lidar_path')
        lidar_path = lidar_file and osp.join(self.data_prefix['pts'], lidar_file)
        depth_file = info.get('depth_map', {}).get(self.depth_map)
        sample = {
            'sample_id': str(info.get('sample_id', Path(img_path).stem)),
            'img_path': img_path,
            'depth_map_path': depth_file and osp.join(self.data_root, depth_file),
            'lidar_path': lidar_path,
            # The form in which mmdet3d's LoadPointsFromFile expects the path.
            'lidar_points': {'lidar_path': lidar_path},
            'ori_shape': (int(camera['height']), int(camera['width'])),
            'cam2img': cam2img,
            'ori_cam2img': cam2img,
            'lidar2cam': _matrix(camera['lidar2cam']),
            'classes': tuple(self._metainfo['classes']),
        }
        if 'instances' in info and self.labelled:
            sample['ann_info'] = parse_instances(info['instances'], self._label_of_category(), self.image_scale)
        return sample

    def _label_of_category(self) -> dict[int, int]:
        """Map category numbers of the info file to positions in ``metainfo['classes']``."""
        categories = self._metainfo['categories']
        unknown = [name for name in self._metainfo['classes'] if name not in categories]
        if unknown:
            raise ConfigError(f'{self.ann_file} knows no class {", ".join(unknown)}; it has {", ".join(categories)}')
        return {categories[name]: label for label, name in enumerate(self._metainfo['classes'])}

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline on frame ``idx``.

        Raises:
            DataError: The pipeline returned nothing; mmengine would silently take another frame instead.
        """
        sample = super().prepare_data(idx)
        if sample is None:
            frame = self.get_data_info(idx)['sample_id']
            raise DataError(f'the pipeline returned nothing for frame {frame} (index {idx}) of {self.ann_file}')
        return sample


def parse_instances(
    instances: Sequence[Mapping[str, Any]], label_of_category: Mapping[int, int], image_scale: float = 1.0
) -> dict[str, NDArray]:
    """Collect the annotated objects of one frame, without those whose category has no label.

    Args:
        instances: ``instances`` of an mmdet3d KITTI info.
        label_of_category: Category number to class label.
        image_scale: Size of the image relative to KITTI's, for the difficulty.

    Returns:
        ``gt_bboxes_3d`` (N, 7) x, y of the bottom, z, l, h, w, ry (camera frame, metres, radians), ``gt_labels_3d``
        (N,) int64, ``gt_bboxes`` (N, 4) annotated xyxy pixels, ``gt_alpha`` (N,), ``gt_truncated`` (N,),
        ``gt_occluded`` (N,) int64 and ``gt_difficulty`` (N,) int64; floats are float32.
    """
    kept = [item for item in instances if item['bbox_label_3d'] in label_of_category]

    def column(key: str, *width: int) -> NDArray[np.float64]:
        return np.array([item[key] for item in kept], dtype=np.float64).reshape(len(kept), *width)

    bboxes, truncated, occluded = column('bbox', 4), column('truncated'), column('occluded')
    return {
        'gt_bboxes_3d': column('bbox_3d', 7).astype(np.float32),
        'gt_labels_3d': np.array([label_of_category[item['bbox_label_3d']] for item in kept], dtype=np.int64),
        'gt_bboxes': bboxes.astype(np.float32),
        'gt_alpha': column('alpha').astype(np.float32),
        'gt_truncated': truncated.astype(np.float32),
        'gt_occluded': occluded.astype(np.int64),
        'gt_difficulty': difficulty_level(bboxes / image_scale, truncated, occluded),
    }


def difficulty_level(boxes: NDArray, truncated: NDArray, occluded: NDArray) -> NDArray[np.int64]:
    """Return the difficulty by the rule of the official monocular code: 0 easy, 1 moderate, 2 hard, -1 unknown.

    A box is as high as its last row minus its first plus one (``Object3d.get_obj_level`` in ``kitti_utils.py`` of
    MonoDLE, MonoDETR and DID-M3D). The ``difficulty`` that mmdet3d stores in its infos lacks the plus one, and the
    benchmark's evaluation compares without it as well.

    Args:
        boxes: (N, 4) annotated xyxy boxes, pixels.
        truncated: (N,) 0 to 1; negative where unknown.
        occluded: (N,) 0 visible, 1 partly, 2 largely occluded, 3 unknown.

    Example:
        >>> difficulty_level(np.array([[0, 0, 9, 39], [0, 0, 9, 24], [0, 0, 9, 23]]), np.zeros(3), np.array([0, 2, 0]))
        array([ 0,  2, -1])
    """
    height = boxes[:, 3] - boxes[:, 1] + 1
    level = np.full(len(boxes), -1, dtype=np.int64)
    # From hard to easy: each level's bounds contain those of the easier one.
    for value, min_height, max_truncated, max_occluded in ((2, 25, 0.5, 2), (1, 25, 0.3, 1), (0, 40, 0.15, 0)):
        inside = (height >= min_height) & (truncated <= max_truncated) & (occluded <= max_occluded)
        level[inside & (truncated >= 0)] = value
    return level


def _matrix(values: Any) -> NDArray[np.float64]:
    matrix = np.array(values, dtype=np.float64)
    if matrix.shape != (4, 4):
        raise ValueError(f'expected a 4x4 matrix, got shape {matrix.shape}')
    return matrix
