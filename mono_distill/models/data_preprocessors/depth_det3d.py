"""A depth map in place of the picture, for any camera detector of mmdet3d."""

from __future__ import annotations

from typing import Any

from mmdet3d.models.data_preprocessors import Det3DDataPreprocessor

from mono_distill.models.data_preprocessors.depth_normalize import DEPTH_NORMALIZATIONS, normalize_depth
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, DataError, did_you_mean


@MODELS.register_module()
class DepthDet3DDataPreprocessor(Det3DDataPreprocessor):
    """mmdet3d's ``Det3DDataPreprocessor`` that shows the network the LiDAR depth map instead of the picture.

    It takes ``inputs['depth_map']`` ((1, H, W) metres, 0 where missing), pads as the picture would be padded,
    normalises and repeats the map in three channels. With it in place of its ``data_preprocessor``, a
    camera detector becomes the LiDAR teacher of its own architecture: ``model = dict(data_preprocessor=dict(
    _delete_=True, type='mono_distill.DepthDet3DDataPreprocessor', pad_size_divisor=32))``.

    Args:
        pad_size_divisor: Height and width are padded to multiples of it, with missing depth; that of the student.
        depth_normalize: See :func:`mono_distill.models.data_preprocessors.normalize_depth`.
        non_blocking: Whether copies to the device may run asynchronously, which they do from pinned memory.

    Raises:
        ConfigError: ``depth_normalize`` is unknown.
    """

    def __init__(
        self, pad_size_divisor: int = 1, *, depth_normalize: str = 'metric', non_blocking: bool = True
    ) -> None:
        super().__init__(pad_size_divisor=pad_size_divisor, non_blocking=non_blocking)
        if depth_normalize not in DEPTH_NORMALIZATIONS:
            hint = did_you_mean(depth_normalize, DEPTH_NORMALIZATIONS)
            raise ConfigError(f'DepthDet3DDataPreprocessor: unknown depth_normalize {depth_normalize!r}; {hint}')
        self.depth_normalize = depth_normalize

    def simple_process(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Stack, pad and normalise the depth maps of a batch.

        Raises:
            DataError: The batch has no depth maps.
        """
        if 'depth_map' not in data['inputs']:
            raise DataError(
                f'DepthDet3DDataPreprocessor: the inputs are {sorted(data["inputs"])}; wrap the pipeline in '
                'mono_distill.WithDepthMap, or load the maps with mono_distill.LoadDepthMap'
            )
        prepared: dict[str, Any] = super().simple_process(
            {**data, 'inputs': {'img': data['inputs']['depth_map']}}, training
        )
        metres = prepared['inputs']['imgs'].float()
        prepared['inputs']['imgs'] = normalize_depth(metres, self.depth_normalize).repeat(1, 3, 1, 1)
        return prepared
