"""KITTI object frames for detectors that work in the LiDAR frame."""

from __future__ import annotations

from typing import Any

from mmdet3d.structures import Box3DMode, LiDARInstance3DBoxes

from mono_distill.datasets.kitti_mono import KittiMonoDataset
from mono_distill.registry import DATASETS


@DATASETS.register_module()
class KittiBEVDataset(KittiMonoDataset):
    """:class:`KittiMonoDataset` whose samples have LiDAR boxes, for the pipelines of ``KittiBEV...`` transforms.

    The LiDAR frame is x forward, y left, z up in metres; boxes are ``LiDARInstance3DBoxes`` (x, y, z of the bottom
    centre, l along the heading, w, h, yaw). The same info files serve. The order of the classes is that of OpenPCDet,
    CMKD and MonoTAKD, and must be the order of the anchors in the head; mmdet3d's SECOND and PointPillars have
    Pedestrian, Cyclist, Car.

    Args:
        args: As for :class:`KittiMonoDataset`.
        kwargs: As for :class:`KittiMonoDataset`.
    """

    METAINFO = {
        'classes': ('Car', 'Pedestrian', 'Cyclist'),
        'palette': [(119, 11, 32), (106, 0, 228), (165, 42, 42)],
    }

    def _parse(self, info: dict[str, Any]) -> dict[str, Any]:
        sample = super()._parse(info)
        return {
            **sample,
            'ori_lidar2cam': sample['lidar2cam'],
            'box_type_3d': LiDARInstance3DBoxes,
            'box_mode_3d': Box3DMode.LIDAR,
        }
