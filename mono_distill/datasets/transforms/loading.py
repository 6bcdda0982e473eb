"""Read the picture and the depth map of a frame; a file that cannot be read is an error that names the cure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mono_distill.datasets.kitti.depth_maps import read_depth_png
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import DataError

_LEAVE_OUT = 'run `mono-distill prepare kitti` again, which leaves faulty frames out of the infos'


@TRANSFORMS.register_module()
class LoadMonoImage(BaseTransform):
    """Read ``img_path`` as (H, W, 3) BGR uint8.

    Keys added: img, img_shape, ori_shape (height, width).

    Raises:
        DataError: The file is missing, does not decode, or has another size than the infos say.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Read the picture."""
        path, frame = results['img_path'], results.get('sample_id', '?')
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise DataError(
                f'frame {frame}: cannot read image {path} ({error.strerror}); check data_root and data_prefix, put the '
                f'file back, or {_LEAVE_OUT}'
            ) from error
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
        if image is None:
            raise DataError(
                f'frame {frame}: image {path} is damaged ({len(content)} bytes do not decode); copy it again, or '
                f'{_LEAVE_OUT}'
            )
        expected = results.get('ori_shape', image.shape[:2])
        if tuple(expected) != image.shape[:2]:
            raise DataError(
                f'frame {frame}: image {path} is {image.shape[1]}x{image.shape[0]}, the infos say '
                f'{expected[1]}x{expected[0]}; run `mono-distill prepare kitti` again'
            )
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'


@TRANSFORMS.register_module()
class LoadDepthMap(BaseTransform):
    """Read ``depth_map_path`` (uint16 PNG, metres x 256) as (H, W) float32 metres, 0 where missing.

    Key added: depth_map. Place it after ``LoadMonoImage``: the sizes are compared.

    Raises:
        DataError: The infos name no depth map, or the file is missing, damaged or of another size than the image.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Read the depth map."""
        path, frame = results.get('depth_map_path'), results.get('sample_id', '?')
        if not path:
            raise DataError(
                f'frame {frame}: the infos name no depth map; run `mono-distill prepare kitti`, or drop LoadDepthMap '
                'from the pipeline (the test split has no LiDAR teacher)'
            )
        try:
            depth = read_depth_png(path)
        except DataError as error:
            raise DataError(f'frame {frame}: {error}') from error
        image = results.get('img')
        if image is not None and image.shape[:2] != depth.shape:
            raise DataError(
                f'frame {frame}: depth map {path} is {depth.shape[1]}x{depth.shape[0]}, its image '
                f'{image.shape[1]}x{image.shape[0]}; run `mono-distill prepare kitti` again'
            )
        results['depth_map'] = depth
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'
