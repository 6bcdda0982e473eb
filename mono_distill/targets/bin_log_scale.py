"""Uncertainty of the depth of every object, from a head that predicts the depth in the bins of a box."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mono_distill.losses.masked import as_float32
from mono_distill.losses.object_uncertainty import check_param
from mono_distill.losses.tensor_dict import require_tensors
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ShapeError

_NAME = 'bin_log_scale'


def bin_log_scale(bins: Tensor, targets: Mapping[str, Tensor], *, param: str = 'variance') -> Tensor:
    r"""Merge the uncertainties of the bins of every object's box into one.

    DID-M3D predicts the instance depth in each of :math:`h \times w` bins of a box, each with a log variance
    :math:`u_k` (``ins_depth_uncer``). The losses of MonoSTL weigh an object by its confidence
    :math:`\kappa = 1 / \sigma`, for which DID-M3D has none; here it is the mean of those of the bins,

    .. math:: \log \sigma = -\log \frac{1}{hw} \sum_k e^{-u_k / 2}

    so that bins that know nothing lower the confidence in proportion to their number and cannot hide the others. The
    result is a log *scale*, which the losses take with their default ``param='scale'``. MonoSTL has no published code
    for this head; the merging is a choice of this package.

    Args:
        bins: ``(B, N, h, w)``, the output of :class:`mono_distill.models.dense_heads.DIDHead` at the annotated objects.
        targets: ``mask_2d (B, N)`` bool.
        param: ``'variance'``, or ``'scale'`` if the bins hold :math:`\log \sigma`.

    Returns:
        :math:`\log \sigma` ``(B, N)``, detached, 0 where there is no object.

    Raises:
        ShapeError: There are not as many objects as slots.
        ConfigError: ``param`` is unknown, or there is no ``mask_2d``.

    Example:
        >>> sigmas = torch.tensor([[[[1.0, 3.0], [1.0, 3.0]]]])  # confidences 1 and 1/3, their mean is 2/3
        >>> bin_log_scale(2 * sigmas.log(), dict(mask_2d=torch.tensor([[True]]))).exp()
        tensor([[1.5000]])
    """
    check_param(param, _NAME)
    if bins.dim() != 4 or bins.shape[2:].numel() == 0:
        raise ShapeError(f'{_NAME}: the bins have shape {tuple(bins.shape)}, expected (B, N, h, w) with h, w >= 1.')
    (valid,) = require_tensors(targets, dict(mask_2d=tuple(bins.shape[:2])), owner=f'{_NAME}: targets')
    values = as_float32(bins.detach()).flatten(2)
    if param == 'variance':
        values = values / 2
    merged = math.log(values.shape[2]) - torch.logsumexp(-values, dim=2)
    return torch.where(valid, merged, 0.0)


@MODELS.register_module()
class BinLogScale(nn.Module):
    """Module form of :func:`bin_log_scale`, for the ``targets`` of a distiller.

    Args:
        param: ``'variance'`` or ``'scale'``: what the bins hold.

    Raises:
        ConfigError: ``param`` is unknown.
    """

    def __init__(self, param: str = 'variance') -> None:
        super().__init__()
        check_param(param, type(self).__name__)
        self.param = param

    def forward(self, bins: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """See :func:`bin_log_scale`."""
        return bin_log_scale(bins, targets, param=self.param)

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'param={self.param!r}'
