"""A pipeline of another package, with the LiDAR depth map carried along."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from mono_distill.datasets.kitti.depth_maps import read_depth_png
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import ConfigError, DataError


@TRANSFORMS.register_module()
class WithDepthMap(BaseTransform):
    """Run a whole pipeline so that the depth map goes through the same flips, resizes and crops as the picture.

    Transforms of mmdet3d know no depth map. Here it joins the picture as a fourth channel once the picture is loaded,
    so that whatever moves pixels moves both, and leaves it when the sample is packed: the sample's ``inputs`` hold
    ``img``, as without this transform, and ``depth_map`` (1, H, W) float32 metres, 0 where missing.

    Missing depth is NaN on the way: a pixel that would be interpolated between a measurement and nothing is missing
    afterwards, never half as deep. So are the pixels at the edge of the picture, because transforms put 0 outside. A
    sparse LiDAR map would lose most of its points when it is resized; use completed maps (``depth_dense``). Transforms
    that change colours work on three channels and must run before the map joins: list them right after the picture is
    loaded and raise ``join_after``.

    Args:
        transforms: The pipeline, from loading the picture to packing, as configs.
        image_folder: Part of the image's path that ``depth_folder`` replaces; the depth map is a PNG of the same name
            (uint16, metres x 256). Samples with a ``depth_map_path`` (``KittiMonoDataset``) need no replacement.
        depth_folder: See ``image_folder``.
        join_after: How many transforms run before the depth map joins.

    Raises:
        ConfigError: ``join_after`` does not leave a transform on each side; no picture is there after so many; the
            path does not contain ``image_folder``.
        DataError: The depth map is missing, damaged or of another size than the picture; a channel got lost.
    """

    def __init__(
        self,
        transforms: Sequence[Any],
        image_folder: str = 'image_2',
        *,
        depth_folder: str = 'depth_dense',
        join_after: int = 1,
    ) -> None:
        if not 0 < join_after < len(transforms):
            raise ConfigError(
                f'WithDepthMap: join_after={join_after} of {len(transforms)} transforms; the first loads the picture, '
                'the last packs the sample, and the depth map joins between them'
            )
        self.transforms = [TRANSFORMS.build(dict(transform)) for transform in transforms]
        self.image_folder, self.depth_folder, self.join_after = image_folder, depth_folder, join_after

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Run the pipeline; returns None if one of its transforms does (mmengine then takes another sample)."""
        packed: Any = results
        kind = np.dtype(np.uint8)
        for done, transform in enumerate(self.transforms, start=1):
            packed = transform(packed)
            if packed is None:
                return None
            if done == self.join_after:
                kind = self._join(packed)
        return _split(packed, kind)

    def _join(self, results: dict[str, Any]) -> np.dtype:
        """Make depth the fourth channel of the picture and return the picture's own type of numbers."""
        image = results.get('img')
        if image is None:
            raise ConfigError(f'WithDepthMap: no picture after {self.join_after} transforms; raise join_after')
        path = self._path(results)
        depth = read_depth_png(path)
        if depth.shape != image.shape[:2]:
            raise DataError(
                f'depth map {path} is {depth.shape[1]}x{depth.shape[0]}, its image {image.shape[1]}x{image.shape[0]}; '
                'it must join before the picture is resized or cropped (join_after)'
            )
        known = np.where(depth > 0, depth, np.float32(np.nan))
        # Outside of the picture transforms put 0, which they would blend into the pixels at its edge.
        known[[0, -1]] = known[:, [0, -1]] = np.nan
        results['img'] = np.dstack([image.astype(np.float32), known])
        return image.dtype

    def _path(self, results: dict[str, Any]) -> str:
        if results.get('depth_map_path'):
            return str(results['depth_map_path'])
        image = str(results.get('img_path') or _camera(results).get('img_path', ''))
        before, found, after = image.rpartition(self.image_folder)
        if not found:
            raise ConfigError(
                f"WithDepthMap: image_folder '{self.image_folder}' is no part of the image's path '{image}'; name the "
                'part that depth_folder replaces'
            )
        return str(Path(before + self.depth_folder + after).with_suffix('.png'))

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.transforms!r}, image_folder='{self.image_folder}', "
            f"depth_folder='{self.depth_folder}', join_after={self.join_after})"
        )


def _camera(results: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of the camera that mmdet3d's monocular loader reads: KITTI's second, or the only one."""
    cameras = results.get('images', {})
    if 'CAM2' in cameras or len(cameras) == 1:
        entry: dict[str, Any] = cameras['CAM2'] if 'CAM2' in cameras else next(iter(cameras.values()))
        return entry
    return {}


def _split(packed: dict[str, Any], kind: np.dtype) -> dict[str, Any]:
    """Take the fourth channel of the packed picture out again."""
    image = packed.get('inputs', {}).get('img')
    if not isinstance(image, torch.Tensor) or image.dim() != 3 or image.shape[0] != 4:
        shape = tuple(image.shape) if isinstance(image, torch.Tensor) else type(image).__name__
        raise DataError(
            f'WithDepthMap: the packed picture is {shape}, expected (4, H, W) with depth last; transforms after the '
            'first join_after must keep all channels, and the last must pack the sample (Pack3DDetInputs)'
        )
    colours, depth = image[:3], image[3:]
    if np.issubdtype(kind, np.integer):
        # What the same transform makes of a picture of whole numbers.
        colours = colours.round().clamp(0, np.iinfo(kind).max).to(torch.uint8)
    packed['inputs'] = {**packed['inputs'], 'img': colours, 'depth_map': depth.float().nan_to_num(nan=0.0)}
    return packed
