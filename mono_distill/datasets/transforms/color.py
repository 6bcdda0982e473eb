"""Photometric augmentation of the CenterNet family."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray

from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import ConfigError

# Principal components of the colours of natural images, blue-green-red, pixel values in [0, 1]
# (xingyizhou/CenterNet, src/lib/datasets/dataset/coco.py).
EIGENVALUES = np.array([0.2141788, 0.01817699, 0.00341571])
EIGENVECTORS = np.array(
    [
        [-0.58752847, -0.69563484, 0.41340352],
        [-0.5832747, 0.00994535, -0.81221408],
        [-0.56089297, 0.71832671, 0.41158938],
    ]
)
LUMINANCE = np.array([0.114, 0.587, 0.299])  # ITU-R BT.601, blue-green-red


@TRANSFORMS.register_module()
class CenterNetColorAug(BaseTransform):
    """Random brightness, contrast and saturation in random order, then PCA lighting noise.

    With factors ``a ~ U(1 - jitter, 1 + jitter)``: brightness multiplies by ``a``, contrast blends with the mean
    luminance of the input picture, saturation blends with its luminance, each as ``a * x + (1 - a) * other``. Lighting
    adds ``eigenvectors @ (eigenvalues * N(0, lighting))``. All of it is affine in the pixel, so it is applied as one
    3x4 colour matrix; like the official code, values are not clipped to the range of a picture.

    The constants are CenterNet's, for blue-green-red pictures, which is what is given here. CenterNet's descendants for
    monocular 3D read pictures as RGB and kept the constants, so that red and blue change places in theirs.

    The official monocular repositories (MonoDistill, MonoSTL, MonoSKD) draw from one fixed generator per worker, so all
    workers repeat the same draws; here every sample has its own.

    Key changed: img, (H, W, 3) BGR in [0, 255], becomes float32.

    Args:
        jitter: Half range of the three factors.
        lighting: Standard deviation of the lighting noise.
        prob: Probability that the picture is changed at all.

    Raises:
        ConfigError: ``jitter`` or ``prob`` outside [0, 1], or a negative ``lighting``.
    """

    def __init__(self, jitter: float = 0.4, lighting: float = 0.1, *, prob: float = 1.0) -> None:
        if not 0 <= jitter <= 1 or not 0 <= prob <= 1 or lighting < 0:
            raise ConfigError(
                'CenterNetColorAug: expected jitter and prob in [0, 1] and lighting >= 0, '
                f'got jitter={jitter}, lighting={lighting}, prob={prob}'
            )
        self.jitter, self.lighting, self.prob = jitter, lighting, prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change the colours of ``img`` with probability ``prob``."""
        image = results['img'].astype(np.float32)
        if np.random.random() < self.prob:
            image = cv2.transform(image, self._draw(cv2.mean(results['img'])[:3]))
        results['img'] = image
        return results

    def _draw(self, mean_color: tuple[float, ...]) -> NDArray[np.float64]:
        """Return the 3x4 colour matrix of one draw, for BGR values in [0, 255]."""
        brightness, contrast, saturation = np.random.uniform(1 - self.jitter, 1 + self.jitter, 3)
        steps = (
            (brightness, np.zeros((3, 4))),
            (contrast, np.tile([0.0, 0.0, 0.0, float(LUMINANCE @ mean_color)], (3, 1))),
            (saturation, np.tile(np.append(LUMINANCE, 0.0), (3, 1))),
        )
        matrix = np.eye(3, 4)
        for index in np.random.permutation(3):
            factor, other = steps[index]
            matrix = factor * matrix + (1 - factor) * other
        matrix[:, 3] += 255 * EIGENVECTORS @ (EIGENVALUES * np.random.normal(scale=self.lighting, size=3))
        return matrix

    def __repr__(self) -> str:
        return f'{type(self).__name__}(jitter={self.jitter}, lighting={self.lighting}, prob={self.prob})'
