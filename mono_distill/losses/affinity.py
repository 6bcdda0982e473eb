"""Affinity between the places of a feature map (MonoDistill, ICLR 2022; used by MonoSKD, ECAI 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mono_distill.losses.feature_pairs import Features, full_precision, paired_levels
from mono_distill.ops.resize import coarsest_size, resize_to_coarsest
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError


def scene_affinity_loss(student: Features, teacher: Features, *, ref_batch: int | None = None) -> Tensor:
    r"""Distance of the inner products between all pairs of places of the scene.

    Every level is resized bilinearly to the coarsest one. With :math:`F \in R^{C \times P}` the features of the
    :math:`P` places of an image and :math:`A(F) = F^T F` (raw inner products, not normalised),

    .. math:: L = \sum_\ell \frac{1}{B}\, \operatorname{mean}_{b,i,j} |A(S_\ell) - A(T_\ell)|_{b,i,j}

    The factor :math:`1 / B` comes on top of the mean over the batch: officially
    (``lib/losses/feature_distill_loss.py``) it is the batch of *one device*, 4 in the released MonoSKD run (batch 16
    on 4 GPUs) and 6 in MonoDistill, so the same config weighs the term four times less on one GPU. ``ref_batch``
    fixes the divisor: ``ref_batch=4`` gives the released balance for every batch size and number of devices, and makes
    the loss a mean over images.

    Args:
        student: Map ``(B, C, H, W)`` or sequence of maps, fine to coarse.
        teacher: The same shapes up to the channels, which inner products do not need in common; receives no gradient.
        ref_batch: The B of the formula; ``None`` for the actual batch, as officially.

    Returns:
        0-dim tensor.

    Raises:
        ShapeError: Student and teacher differ in levels or shapes.
        ConfigError: ``ref_batch`` is not positive.

    Example:
        >>> ones = torch.ones(1, 2, 1, 1)
        >>> scene_affinity_loss(3 * ones, ones)
        tensor(16.)
        >>> scene_affinity_loss(3 * ones, ones, ref_batch=4)
        tensor(4.)
    """
    check_ref_batch(ref_batch, 'scene_affinity_loss')
    pairs = paired_levels(student, teacher, loss='scene_affinity_loss', same_width=False)
    with full_precision(pairs[0][0]):
        students, teachers = (resize_to_coarsest(levels) for levels in zip(*pairs, strict=True))
        levels = zip(students, teachers, strict=True)
        total = torch.stack([_affinity_distance(s.flatten(2), t.flatten(2)) for s, t in levels]).sum()
        return total / (ref_batch or students[0].shape[0])


def local_affinity_loss(student: Features, teacher: Features, *, ref_batch: int | None = None) -> Tensor:
    """Distance of the inner products between all pairs of places within a tile.

    Every level is cut into tiles of the size of the coarsest map (which is one tile) instead of being resized to it;
    otherwise :func:`scene_affinity_loss`, with the mean over images and tiles. MonoSKD's code defines this variant and
    does not use it.

    Args:
        student: Map ``(B, C, H, W)`` or sequence of maps, fine to coarse.
        teacher: The same shapes up to the channels, which inner products do not need in common; receives no gradient.
        ref_batch: See :func:`scene_affinity_loss`.

    Returns:
        0-dim tensor.

    Raises:
        ShapeError: Student and teacher differ, or a level is not a whole number of tiles.
        ConfigError: ``ref_batch`` is not positive.

    Example:
        >>> fine, coarse = torch.ones(1, 2, 2, 2), torch.ones(1, 2, 1, 1)
        >>> local_affinity_loss((3 * fine, coarse), (fine, coarse))
        tensor(16.)
    """
    check_ref_batch(ref_batch, 'local_affinity_loss')
    pairs = paired_levels(student, teacher, loss='local_affinity_loss', same_width=False)
    height, width = coarsest_size([s for s, _ in pairs])
    with full_precision(pairs[0][0]):
        levels = [(_tiles(s, height, width), _tiles(t, height, width)) for s, t in pairs]
        total = torch.stack([_affinity_distance(s, t) for s, t in levels]).sum()
        return total / (ref_batch or pairs[0][0].shape[0])


def check_ref_batch(ref_batch: int | None, loss: str) -> None:
    """Raise ConfigError unless ``ref_batch`` is None or positive."""
    if ref_batch is not None and ref_batch <= 0:
        raise ConfigError(f'{loss}: ref_batch must be a positive number of images or None, got {ref_batch}.')


def _affinity_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean absolute difference of the Gram matrices of ``(R, C, P)``."""
    # One buffer (R, P, P): the student's product is added to the negative of the teacher's.
    target = torch.bmm(teacher.transpose(1, 2), teacher)
    return torch.baddbmm(target, student.transpose(1, 2), student, beta=-1).abs().mean()


def _tiles(features: Tensor, height: int, width: int) -> Tensor:
    """Cut ``(B, C, H, W)`` into tiles ``(B * tiles, C, height * width)``."""
    if features.shape[2] % height or features.shape[3] % width:
        raise ShapeError(
            f'local_affinity_loss: a level of {tuple(features.shape[2:])} pixels is not a whole number of tiles of '
            f'({height}, {width}) pixels, the size of the coarsest level; use levels whose strides divide each other.'
        )
    cells = features.unflatten(3, (-1, width)).unflatten(2, (-1, height))
    return cells.permute(0, 2, 4, 1, 3, 5).flatten(4).flatten(0, 2)


@MODELS.register_module()
class SceneAffinityLoss(nn.Module):
    """Module form of :func:`scene_affinity_loss`.

    Args:
        ref_batch: The batch size in the formula's extra divisor; ``None`` for the actual batch, as officially; 4
            reproduces the balance of the released MonoSKD run whatever the batch.
    """

    def __init__(self, ref_batch: int | None = None) -> None:
        super().__init__()
        check_ref_batch(ref_batch, type(self).__name__)
        self.ref_batch = ref_batch

    def forward(self, student: Features, teacher: Features) -> Tensor:
        """See :func:`scene_affinity_loss`."""
        return scene_affinity_loss(student, teacher, ref_batch=self.ref_batch)

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'ref_batch={self.ref_batch}'


@MODELS.register_module()
class LocalAffinityLoss(SceneAffinityLoss):
    """Module form of :func:`local_affinity_loss`.

    Args:
        ref_batch: See :class:`SceneAffinityLoss`.
    """

    def forward(self, student: Features, teacher: Features) -> Tensor:
        """See :func:`local_affinity_loss`."""
        return local_affinity_loss(student, teacher, ref_batch=self.ref_batch)
