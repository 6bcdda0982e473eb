"""Distance between two headings in bins, as MonoDistill-type response losses measure it."""

from __future__ import annotations

from torch import Tensor


def heading_distances(student: Tensor, teacher: Tensor, heading_bin: Tensor) -> Tensor:
    r"""Divergence of the bins plus difference of the annotated bin's residual, of each object.

    .. math:: \frac{1}{K} \sum_{k=1}^K q^T_k \log \frac{q^T_k}{q^S_k} + |r^S_{k^*} - r^T_{k^*}|

    with :math:`q` the softmax of the K logits and :math:`r` the residuals. The 1/K is official, an element-wise mean.

    Args:
        student: ``(..., 2K)``: K bin logits, then K residuals.
        teacher: The same shape.
        heading_bin: Annotated bin :math:`k^*` ``(...)``, int64 in [0, K).

    Returns:
        ``(...)``.

    Example:
        >>> import torch
        >>> heading_distances(torch.zeros(1, 24), torch.full((1, 24), 0.5), torch.tensor([3]))
        tensor([0.5000])
    """
    student_logits, student_residuals = student.chunk(2, dim=-1)
    teacher_logits, teacher_residuals = teacher.chunk(2, dim=-1)
    log_q, log_p = teacher_logits.log_softmax(-1), student_logits.log_softmax(-1)
    divergence = (log_q.exp() * (log_q - log_p)).mean(-1)
    residuals = (student_residuals - teacher_residuals).abs()
    return divergence + residuals.gather(-1, heading_bin.unsqueeze(-1)).squeeze(-1)
