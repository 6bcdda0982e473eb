"""What a detector finds in one packed sample, for pictures."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData
from torch import Tensor


@torch.no_grad()
def detect(model: Any, sample: dict[str, Any], score_thr: float = 0.0) -> tuple[InstanceData, Tensor | None]:
    """Run a detector on a sample; the sample is not changed.

    Args:
        model: Detector of mmengine's interface. It is switched to evaluation.
        sample: ``inputs`` and ``data_samples`` as the pipeline packed them.
        score_thr: Boxes below this score are left out.

    Returns:
        The boxes (``bboxes_3d``, ``labels_3d``, ``scores_3d``) and, if the model has ``distill_outputs()``, its map
        ``bev`` (C, H, W), both on the CPU.
    """
    model.eval()
    found = model.test_step(pseudo_collate([sample]))[0].pred_instances_3d.to('cpu')
    outputs = model.distill_outputs() if hasattr(model, 'distill_outputs') else {}
    bev = outputs.get('bev')
    return found[found.scores_3d >= score_thr], None if bev is None else bev[0].float().cpu()
