"""Resize, crop, mirror and rotate the pictures of several cameras, each by one matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray

from mono_distill.datasets.transforms.multi_view_keys import checked_range, need
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import ConfigError, ShapeError


class ImageDraw(NamedTuple):
    """The random numbers of one camera.

    Attributes:
        resize: Size of the picture, as a multiple of the size that just covers the input.
        left: Part of the surplus width that is cut at the left, in [0, 1].
        bottom: Part of the height that is cut at the bottom.
        flip: Whether to mirror left and right.
        angle: Rotation about the middle of the input, degrees; positive turns the content counterclockwise.
    """

    resize: float = 1.0
    left: float = 0.5
    bottom: float = 0.0
    flip: bool = False
    angle: float = 0.0


@TRANSFORMS.register_module()
class MultiViewImageAug(BaseTransform):
    r"""The image augmentation of BEVDet and BEVDepth ("IDA"), one matrix and one resampling per picture.

    A point of the picture moves from :math:`x` to :math:`R x + t`; measured from its outer corner, the steps are

    .. math::
        R \leftarrow s I,\quad t \leftarrow -c; \qquad
        \text{flip: } R \leftarrow D R,\ t \leftarrow D t + (W, 0),\ D = \operatorname{diag}(-1, 1); \qquad
        \text{rotate: } R \leftarrow A R,\ t \leftarrow A (t - b) + b,\ b = (W, H) / 2,\
        A = \begin{pmatrix} \cos & \sin \\ -\sin & \cos \end{pmatrix}.

    The factor s is ``resize`` times the smallest factor with which the picture covers the input. For pictures of
    1600 x 900 and an input of 704 x 256 that factor is 0.44, so the published ``U(0.386, 0.55)`` is
    ``resize=(0.386 / 0.44, 0.55 / 0.44)``; stored at half the size, the same setting does the same. The crop c keeps
    the bottom of the picture but for ``crop_bottom`` of its height, and a random part of its width. In testing
    (``training=False``) the factor is 1, the crop is central with the mean of ``crop_bottom``, and nothing else is
    done. Every camera draws numbers of its own; all frames of a camera share them.

    ``img_aug_matrix`` is that motion for pixels whose centres are whole numbers, as intrinsics, frusta and projections
    have them: :math:`t + R\,(\tfrac12, \tfrac12)^T - (\tfrac12, \tfrac12)^T`. The official code leaves this half
    pixel out, which puts what a picture shows 0.3 pixels beside its matrix, and 0.7 where it is mirrored.

    A picture that shrinks below half is averaged over whole blocks first (``INTER_AREA``), which prevents aliasing; the
    rest is one ``cv2.warpAffine``. Where the source has no pixel, the input is black.

    Keys read: img, list over frames of lists over cameras of (H, W, 3) uint8; img_aug_matrix (T, N, 4, 4), identity.
    Keys written: img, img_aug_matrix (R in [:2, :2], t in [:2, 3]), img_shape (height, width of the input), and
    img_ori_shape (N, 2), the sizes of the current frame's pictures before.

    Args:
        size: Height and width of the network input, pixels.
        resize: Range of the factor, relative to the one that covers the input.
        crop_bottom: Range of the part of the height that is cut at the bottom.
        rotate: Range of the rotation, degrees.
        flip: Whether to mirror half of the pictures. The world is not mirrored: the matrix undoes it.
        training: Whether to draw; else the test form.

    Raises:
        ConfigError: An argument is out of range, or the transform appears twice.
        ShapeError: A picture is not (H, W, 3).
    """

    def __init__(
        self,
        size: Sequence[int],
        resize: Sequence[float] = (1.0, 1.0),
        *,
        crop_bottom: Sequence[float] = (0.0, 0.0),
        rotate: Sequence[float] = (0.0, 0.0),
        flip: bool = False,
        training: bool = False,
    ) -> None:
        if len(size) != 2 or min(size) < 1:
            raise ConfigError(f'MultiViewImageAug: size must be (height, width) in pixels, got {size}')
        name = type(self).__name__
        self.size = (int(size[0]), int(size[1]))
        self.resize = checked_range('resize', resize, transform=name)
        self.crop_bottom = checked_range('crop_bottom', crop_bottom, transform=name)
        self.rotate = checked_range('rotate', rotate, transform=name)
        self.flip, self.training = bool(flip), bool(training)
        if self.resize[0] <= 0:
            raise ConfigError(f'MultiViewImageAug: resize must be positive, got {resize}')
        if self.crop_bottom[0] < 0 or self.crop_bottom[1] >= 1:
            raise ConfigError(f'MultiViewImageAug: crop_bottom must lie in [0, 1), got {crop_bottom}')

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Draw for every camera and warp its pictures."""
        need(results, 'img', 'img_aug_matrix', transform='MultiViewImageAug')
        if 'img_ori_shape' in results:
            raise ConfigError('MultiViewImageAug may appear only once in a pipeline')
        frames = results['img']
        for picture in (picture for frame in frames for picture in frame):
            if picture.ndim != 3 or picture.shape[2] != 3:
                raise ShapeError(f'MultiViewImageAug: a picture must be (H, W, 3), got {picture.shape}')
        draws = [self.draw() for _ in frames[0]]
        matrices = np.array(results['img_aug_matrix'], dtype=np.float64)  # a copy: the input may be shared
        warped: list[list[NDArray[np.uint8]]] = []
        for time, frame in enumerate(frames):
            warped.append([])
            for camera, picture in enumerate(frame):
                matrix = image_aug_matrix(picture.shape[:2], self.size, draws[camera])
                matrices[time, camera] = matrix @ matrices[time, camera]
                warped[-1].append(warp_picture(picture, matrix, self.size))
        results['img_ori_shape'] = np.array([picture.shape[:2] for picture in frames[0]])
        results['img'], results['img_aug_matrix'] = warped, matrices
        results['img_shape'] = self.size
        return results

    def draw(self) -> ImageDraw:
        """Draw the numbers of one camera from ``numpy.random``."""
        if not self.training:
            return ImageDraw(bottom=sum(self.crop_bottom) / 2)
        resize = float(np.random.uniform(*self.resize))
        bottom = float(np.random.uniform(*self.crop_bottom))
        left = float(np.random.uniform())
        flip = self.flip and bool(np.random.uniform() < 0.5)
        return ImageDraw(resize, left, bottom, flip, float(np.random.uniform(*self.rotate)))

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(size={self.size}, resize={self.resize}, crop_bottom={self.crop_bottom}, '
            f'rotate={self.rotate}, flip={self.flip}, training={self.training})'
        )


def image_aug_matrix(source: Sequence[int], size: Sequence[int], draw: ImageDraw) -> NDArray[np.float64]:
    """Return the 4x4 matrix from pixels of the picture to pixels of the input; see :class:`MultiViewImageAug`.

    Pixel centres are whole numbers on both sides.

    Args:
        source: Height and width of the picture.
        size: Height and width of the input.
        draw: What was drawn.

    Example:
        >>> image_aug_matrix((900, 1600), (256, 704), ImageDraw())[:2].round(6).tolist()
        [[0.44, 0.0, 0.0, -0.28], [0.0, 0.44, 0.0, -140.28]]
    """
    (height, width), (rows, columns) = source, size
    factor = draw.resize * max(rows / height, columns / width)
    linear = factor * np.eye(2)
    left = draw.left * max(0.0, factor * width - columns)
    shift = np.array([-left, rows - (1 - draw.bottom) * factor * height])
    if draw.flip:
        linear[0] *= -1
        shift[0] = columns - shift[0]
    if draw.angle:
        cosine, sine = np.cos(np.deg2rad(draw.angle)), np.sin(np.deg2rad(draw.angle))
        turn, middle = np.array([[cosine, sine], [-sine, cosine]]), np.array([columns, rows]) / 2
        linear, shift = turn @ linear, turn @ (shift - middle) + middle
    matrix = np.eye(4)
    # The steps count from the outer corner, half a pixel before the centre of the first one.
    matrix[:2, :2], matrix[:2, 3] = linear, shift + linear @ [0.5, 0.5] - 0.5
    return matrix


def warp_picture(picture: NDArray[np.uint8], matrix: NDArray[np.float64], size: Sequence[int]) -> NDArray[np.uint8]:
    """Resample a picture by a 4x4 image matrix, without aliasing, black where the source has no pixel.

    Args:
        picture: (H, W, 3) uint8.
        matrix: Pixels of the picture to pixels of the result, whose centres are whole numbers on both sides.
        size: Height and width of the result.
    """
    linear, shift = matrix[:2, :2], matrix[:2, 3]
    blocks = int(1 / np.sqrt(abs(np.linalg.det(linear))) + 1e-6)
    if blocks >= 2:
        height, width = picture.shape[:2]
        small = (max(1, round(width / blocks)), max(1, round(height / blocks)))
        picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        block = np.array([width / small[0], height / small[1]])
        # The centre of the first block lies between pixels.
        linear, shift = linear * block, shift + linear @ (block - 1) / 2
    motion = np.column_stack([linear, shift])
    return cv2.warpAffine(picture, motion, (int(size[1]), int(size[0])), flags=cv2.INTER_LINEAR)
