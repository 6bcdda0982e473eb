"""What a depth map shows inside the 2D boxes of objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray
from torch.nn.functional import avg_pool2d

from mono_distill.ops.roi_align import roi_align_weights
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import ConfigError, DataError

MISSING = ('ignore', 'zero')


@TRANSFORMS.register_module()
class ObjectVisualDepth(BaseTransform):
    """Pool the depth map over the bins of every annotated 2D box: the visual depth of DID-M3D.

    The map is averaged over cells of ``stride`` pixels and pooled by RoIAlign (older form, without the half-pixel
    shift), as in ``lib/datasets/kitti.py`` of DID-M3D, which expects a depth in every pixel. Where pixels are missing
    (0), that averages zeros into the depth; ``missing='ignore'`` (default) averages the measured pixels alone, with the
    same weights. What lies outside of the picture is missing too. Otherwise, without missing pixels, the two are equal.

    Place it after ``MonoRandomCropAffine``. Keys read: depth_map, gt_bboxes. Key added: gt_visual_depth (N, bins, bins)
    float32 metres, 0 where a bin holds no measurement.

    Args:
        bins: Rows and columns of bins.
        stride: Input pixels per cell.
        missing: ``'ignore'`` missing pixels, or count them as depth ``'zero'`` as the released code does.

    Raises:
        ConfigError: An argument is not positive or unknown.
        DataError: There is no depth map, or its size is no multiple of the stride.
    """

    def __init__(self, bins: int = 7, stride: int = 4, *, missing: str = 'ignore') -> None:
        if bins < 1 or stride < 1:
            raise ConfigError(f'ObjectVisualDepth: bins and stride must be positive, got {bins} and {stride}')
        if missing not in MISSING:
            raise ConfigError(f"ObjectVisualDepth: missing must be 'ignore' or 'zero', got {missing!r}")
        self.bins = bins
        self.stride = stride
        self.missing = missing

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the visual depth of the sample's objects."""
        if 'depth_map' not in results:
            raise DataError(
                f'frame {results.get("sample_id", "?")}: ObjectVisualDepth found no depth_map; put '
                'mono_distill.LoadDepthMap at the head of the pipeline'
            )
        results['gt_visual_depth'] = self._pool(results['depth_map'], results['gt_bboxes'])
        return results

    @torch.no_grad()
    def _pool(self, depth_map: NDArray, bboxes: NDArray) -> NDArray[np.float32]:
        height, width = depth_map.shape
        if height % self.stride or width % self.stride:
            raise DataError(
                f'ObjectVisualDepth: the depth map is {width}x{height}, no multiple of the stride {self.stride}; place '
                'the transform after MonoRandomCropAffine'
            )
        depth = torch.from_numpy(np.ascontiguousarray(depth_map, dtype=np.float32))
        # The share of measured pixels is pooled like the depth and divides it.
        maps = avg_pool2d(torch.stack([depth, (depth > 0).float()])[None], self.stride)
        boxes = torch.from_numpy(np.ascontiguousarray(bboxes, dtype=np.float32))[None]
        weights = roi_align_weights(boxes, (maps.shape[2], maps.shape[3]), self.bins, stride=self.stride, aligned=False)
        rows, columns = (weight[0].float() for weight in weights)
        # Plain products: a worker process must not start the threads of compiled kernels.
        pooled, share = (rows @ plane @ columns.transpose(1, 2) for plane in maps[0])
        if self.missing == 'ignore':
            pooled = torch.where(share > 0, pooled / share, 0.0)
        return pooled.numpy()

    def __repr__(self) -> str:
        return f'{type(self).__name__}(bins={self.bins}, stride={self.stride}, missing={self.missing!r})'
