"""What a LiDAR teacher knows beyond a teaching assistant: the residual target of MonoTAKD (CVPR 2025)."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mono_distill.losses.feature_scale import Statistics, check_scale, rescale_features
from mono_distill.losses.masked import as_float32
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError

Mode = Literal['signed', 'absolute']
Normalize = Literal['minmax', 'standard', 'assistant_minmax']


def residual_target(
    teacher: Tensor,
    assistant: Tensor,
    *,
    mode: Mode = 'signed',
    threshold: float = 0.6,
    binarize: bool = False,
    normalize: Normalize | None = None,
    statistics: Statistics = 'image',
) -> Tensor:
    r"""Difference of the teacher's and the assistant's BEV features where it is large.

    .. math:: R = F_T - F_A \ \text{or}\ |F_T - F_A|, \qquad
        F_{res} = R \cdot \big[\, |R| \ge \tau \max |R| \,\big]

    The residual is computed without gradient and given to :func:`mono_distill.losses.feature_mse_loss` as the teacher
    of the student's spatial map (CMRD).

    The paper subtracts the assistant from the teacher and then binarises, with a threshold it does not state, so that
    only key regions remain; ``binarize=True`` gives the signs of what remains. The default keeps the values and has the
    threshold of the release: visual plus spatial map then approach the teacher, as :math:`F_A + (F_T - F_A) = F_T`,
    which neither signs nor an absolute residual do. The released code (``pcdet/models/detectors/cmkd_TAKD.py``) is
    ``mode='absolute', normalize='assistant_minmax', statistics='batch'``: it scales the assistant's map to [0, 1] by
    its minimum and maximum over the batch, takes the teacher's (rectified, unbounded) as it is, and thresholds by the
    maximum over the batch. In 2023 it was ``mode='absolute', threshold=0``.

    A student whose spatial map is rectified can follow an absolute residual only; see ``output_relu`` of
    :class:`mono_distill.models.monotakd.SpatialAlignmentModule`.

    Args:
        teacher: ``(B, C, H, W)`` map of the LiDAR teacher.
        assistant: The same of the teaching assistant.
        mode: ``'signed'`` or ``'absolute'``.
        threshold: :math:`\tau` in [0, 1], a fraction of the largest magnitude; 0 keeps everything.
        binarize: Whether what remains becomes 1, or -1 where it is negative.
        normalize: ``None``; ``'minmax'`` or ``'standard'``: both maps, each by its own statistics
            (:func:`mono_distill.losses.feature_scale.rescale_features`), for networks whose features differ in scale;
            ``'assistant_minmax'``: the assistant's alone, as released.
        statistics: Whether the normalisation and the maximum are of the ``'image'`` or of the ``'batch'`` of this
            process. With ``'batch'`` (released) the target of an image depends on the others.

    Returns:
        ``(B, C, H, W)``, in float32 if the inputs are of half precision. NaN entries are kept.

    Raises:
        ShapeError: The maps are not ``(B, C, H, W)`` of one shape.
        ConfigError: An option is unknown or ``threshold`` is no fraction.

    Example:
        >>> teacher, assistant = torch.tensor([[5.0, 2.0, 0.0]]), torch.tensor([[0.0, 1.0, 4.0]])
        >>> residual_target(teacher.view(1, 1, 1, 3), assistant.view(1, 1, 1, 3)).flatten()
        tensor([ 5.,  0., -4.])
    """
    _check_options(mode, threshold, normalize, statistics)
    if teacher.dim() != 4 or teacher.shape != assistant.shape:
        raise ShapeError(
            f'residual_target: teacher {tuple(teacher.shape)} and assistant {tuple(assistant.shape)} must be maps '
            '(B, C, H, W) of one shape; give both the same BEV grid and number of channels.'
        )
    theirs, ours = as_float32(teacher.detach()), as_float32(assistant.detach())
    with torch.autocast(theirs.device.type, enabled=False):
        if normalize == 'assistant_minmax':
            ours = rescale_features(ours, 'minmax', statistics)
        elif normalize is not None:
            theirs, ours = (rescale_features(x, normalize, statistics) for x in (theirs, ours))
        residual = theirs - ours
        magnitude = residual.abs()
        # A NaN would be the largest and switch the threshold off.
        largest = magnitude.nan_to_num(0.0).amax((1, 2, 3) if statistics == 'image' else (0, 1, 2, 3), keepdim=True)
        if mode == 'absolute':
            residual = magnitude
        if binarize:
            residual = residual.sign()
        # Stated as what is dropped: a NaN compares false and stays, so that it is seen.
        return residual.masked_fill(magnitude < threshold * largest, 0.0)


def _check_options(mode: str, threshold: float, normalize: str | None, statistics: str) -> None:
    """Raise ConfigError for options that do not exist."""
    if mode not in get_args(Mode):
        raise ConfigError(f"residual_target: mode must be 'signed' or 'absolute', got '{mode}'.")
    if not 0 <= threshold <= 1:
        raise ConfigError(f'residual_target: threshold is a fraction of the largest residual, got {threshold}.')
    if normalize is not None and normalize not in get_args(Normalize):
        raise ConfigError(
            f"residual_target: normalize must be None, {', '.join(get_args(Normalize))}, got '{normalize}'."
        )
    check_scale(None, statistics, owner='residual_target')


@MODELS.register_module()
class ResidualTarget(nn.Module):
    """Module form of :func:`residual_target`, for the ``targets`` of a distiller.

    Args:
        mode: ``'signed'``, or ``'absolute'`` as released.
        threshold: Fraction of the largest magnitude below which the residual becomes 0.
        binarize: Whether what remains becomes 1 or -1.
        normalize: ``None``, ``'minmax'``, ``'standard'``, or ``'assistant_minmax'`` as released.
        statistics: ``'image'``, or ``'batch'`` as released.
    """

    def __init__(
        self,
        mode: Mode = 'signed',
        *,
        threshold: float = 0.6,
        binarize: bool = False,
        normalize: Normalize | None = None,
        statistics: Statistics = 'image',
    ) -> None:
        super().__init__()
        _check_options(mode, threshold, normalize, statistics)
        self.mode: Mode = mode
        self.threshold = threshold
        self.binarize = binarize
        self.normalize: Normalize | None = normalize
        self.statistics: Statistics = statistics

    def forward(self, teacher: Tensor, assistant: Tensor) -> Tensor:
        """See :func:`residual_target`."""
        return residual_target(
            teacher,
            assistant,
            mode=self.mode,
            threshold=self.threshold,
            binarize=self.binarize,
            normalize=self.normalize,
            statistics=self.statistics,
        )

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return (
            f'mode={self.mode!r}, threshold={self.threshold}, binarize={self.binarize}, '
            f'normalize={self.normalize!r}, statistics={self.statistics!r}'
        )
