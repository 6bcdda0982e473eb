"""Info files of KITTI in MMDetection3D's v2 format, with the frame's id and LiDAR depth maps added.

MMDetection3D's own converters (``kitti_converter.py`` and ``update_infos_to_v2.py``) are tools outside its package;
the entries built here have the same keys and values, so its ``KittiDataset`` and ``KittiMetric`` read them in every
``load_type``. Differences: ``DontCare`` is always among the categories (MMDetection3D adds it only if the last frame of
the split has such a region, and otherwise its metric fails on the others); matrices are float64 throughout;
``num_lidar_pts`` counts in the rectified camera frame, where the boxes are annotated (MMDetection3D sets them upright
in the LiDAR frame, which is tilted by about a degree, so that counts differ by a few points), and is absent without a
scan.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from mono_distill.datasets.kitti.calibration import KittiCalibration
from mono_distill.datasets.kitti.labels import CATEGORIES, DONT_CARE, KittiLabels, kitti_difficulty
from mono_distill.datasets.kitti.velodyne import POINT_FEATURES

METAINFO = {'categories': CATEGORIES, 'dataset': 'kitti', 'info_version': '1.1'}


@dataclass(frozen=True)
class FrameAnnotation:
    """What is known about the objects of a frame.

    Attributes:
        labels: The label file's objects.
        num_lidar_pts: (N,) LiDAR points inside every box among those that fall into the image, -1 for DontCare;
            ``None`` without a scan.
    """

    labels: KittiLabels
    num_lidar_pts: np.ndarray | None = None


def build_info(
    sample_id: str,
    shape: tuple[int, int],
    calib: KittiCalibration,
    *,
    annotation: FrameAnnotation | None,
    depth_map: dict[str, str] | None,
) -> dict[str, Any]:
    """Build one entry of ``data_list``.

    Args:
        sample_id: Frame number as in the file names, such as ``'000123'``.
        shape: Height and width of the image, pixels.
        calib: The frame's matrices.
        annotation: Its objects; ``None`` in the testing subset.
        depth_map: Paths of the ``dense`` and ``sparse`` depth maps below the root; ``None`` if there are none.

    Returns:
        Plain Python containers and numbers, ready to be pickled.
    """
    info: dict[str, Any] = {
        'sample_id': sample_id,
        'sample_idx': int(sample_id),
        'images': _images(sample_id, shape, calib),
        'lidar_points': {
            'num_pts_feats': POINT_FEATURES,
            'lidar_path': f'{sample_id}.bin',
            'Tr_velo_to_cam': calib.Tr_velo_to_cam.tolist(),
        },
        'instances': [],
    }
    if 'Tr_imu_to_velo' in calib.others:
        info['lidar_points']['Tr_imu_to_velo'] = calib.others['Tr_imu_to_velo'].tolist()
    if depth_map is not None:
        info['depth_map'] = dict(depth_map)
    if annotation is not None:
        info['instances'] = _instances(annotation, calib)
        info['cam_instances'] = {'CAM2': _cam_instances(sample_id, shape, calib, annotation.labels)}
    return info


def info_file(data_list: list[dict[str, Any]]) -> dict[str, Any]:
    """Wrap entries as the content of an info file, such that its pickled bytes depend on the values alone."""
    return _interned({'metainfo': METAINFO, 'data_list': data_list})


def _images(sample_id: str, shape: tuple[int, int], calib: KittiCalibration) -> dict[str, Any]:
    lidar2cam = calib.lidar2cam
    images: dict[str, Any] = {}
    for number, name in enumerate(('P0', 'P1', 'P2', 'P3')):
        cam2img = calib.P2 if name == 'P2' else calib.others.get(name)
        if cam2img is not None:
            images[f'CAM{number}'] = {'cam2img': cam2img.tolist(), 'lidar2img': (cam2img @ lidar2cam).tolist()}
    height, width = shape
    images['CAM2'] |= {
        'img_path': f'{sample_id}.png',
        'height': int(height),
        'width': int(width),
        'lidar2cam': lidar2cam.tolist(),
    }
    images['R0_rect'] = calib.R0_rect.tolist()
    return images


def _instances(annotation: FrameAnnotation, calib: KittiCalibration) -> list[dict[str, Any]]:
    """Return the objects in the order of the label file, DontCare included."""
    labels = annotation.labels
    cared = labels.name != DONT_CARE
    centre_2d, depth = _mmdet3d_centre(labels, calib.P2)
    columns: dict[str, np.ndarray] = {
        'bbox': labels.bbox,
        'bbox_label': labels.labels,
        'bbox_3d': labels.bboxes_3d,
        'bbox_label_3d': labels.labels,
        'depth': depth,
        'center_2d': centre_2d,
        'difficulty': kitti_difficulty(labels.bbox, labels.truncated, labels.occluded),
        'truncated': labels.truncated,
        'occluded': labels.occluded,
        'alpha': labels.alpha,
        'score': labels.score,
        'index': np.where(cared, np.cumsum(cared) - 1, -1),
        'group_id': np.arange(len(labels)),
    }
    if annotation.num_lidar_pts is not None:
        columns['num_lidar_pts'] = annotation.num_lidar_pts
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _mmdet3d_centre(labels: KittiLabels, cam2img: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project the box centres as MMDetection3D does: dividing by ``z + P2[2, 3]``, which is also the depth it stores.

    The targets of this package use :func:`~mono_distill.datasets.kitti.projection.project_cam_to_img` instead.
    """
    centre = labels.location - np.array([0, 0.5, 0]) * labels.dimensions[:, :1]
    scaled = centre @ cam2img[:3, :3].T + cam2img[:3, 3]
    # DontCare has no 3D box; its placeholder location lies behind the camera, never at depth zero.
    depth = np.where(scaled[:, 2] == 0, np.finfo(np.float64).eps, scaled[:, 2])
    return scaled[:, :2] / depth[:, None], depth


def _cam_instances(
    sample_id: str, shape: tuple[int, int], calib: KittiCalibration, labels: KittiLabels
) -> list[dict[str, Any]]:
    """Return the records of MMDetection3D's image-based KITTI datasets (projected boxes clipped to the image)."""
    # Imported here: it pulls in most of mmdet3d, which reading and writing infos does not need otherwise.
    from mmdet3d.datasets.convert_utils import get_kitti_style_2d_boxes

    # A box without extent projects to a line or a point, at which MMDetection3D's polygon clipping stops.
    solid = (labels.name != DONT_CARE) & (labels.dimensions > 0).all(axis=1)
    annos = {
        'name': labels.name[solid],
        'occluded': labels.occluded[solid],
        'location': labels.location[solid],
        'dimensions': labels.bboxes_3d[solid, 3:6],
        'rotation_y': labels.rotation_y[solid],
    }
    frame = {'image': {'image_idx': int(sample_id), 'image_shape': shape}, 'calib': {'P2': calib.P2}}
    records = get_kitti_style_2d_boxes(frame, annos=annos)
    return [record | {'bbox': [float(value) for value in record['bbox']]} for record in records]


def _interned(value: Any) -> Any:
    """Make equal strings one object: pickle writes one object once, and strings of other processes are copies."""
    if isinstance(value, str):
        return sys.intern(value)
    if isinstance(value, dict):
        return {_interned(key): _interned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_interned(item) for item in value]
    return value
