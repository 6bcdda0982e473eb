"""The validation scene of the small nuScenes as predictions, and one rank of two that evaluate it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmengine.registry import DefaultScope

import mono_distill  # noqa: F401  (before mmdet3d)

CLOUD_RANGE = [-51.2, -51.2, -5.0, 51.2, 51.2, 3.0]


def validation_samples(root: Path | str) -> list[Any]:
    """Annotated data samples, through the data set and its pipeline."""
    from mono_distill.datasets import NuScenesBEVDataset

    pipeline = [
        dict(type='mono_distill.LoadLidarSweeps', num_sweeps=0),
        dict(type='LoadAnnotations3D', with_bbox_3d=True, with_label_3d=True),
        dict(type='mono_distill.PackBEVInputs'),
    ]
    with DefaultScope.overwrite_default_scope('mmdet3d'):
        dataset = NuScenesBEVDataset(
            data_root=str(root), ann_file='nuscenes_infos_val.pkl', pipeline=pipeline, test_mode=True
        )
        return [dataset[i]['data_samples'] for i in range(len(dataset))]


def truth_samples(samples: list[Any]) -> list[Any]:
    """Copies of annotated samples that predict their annotations."""
    import torch
    from mmengine.structures import InstanceData

    predicted = []
    for sample in samples:
        truth, copy = sample.gt_instances_3d, sample.clone()
        copy.pred_instances_3d = InstanceData(
            bboxes_3d=truth.bboxes_3d.clone(),
            labels_3d=truth.labels_3d.clone(),
            scores_3d=torch.full((len(truth),), 0.5),
        )
        predicted.append(copy)
    return predicted


def evaluate_half(rank: int, folder: str, root: str) -> None:
    """Evaluate every second sample in this rank, and save the scores of the whole."""
    from mono_distill.datasets.nuscenes.classes import NUSCENES_CLASSES
    from mono_distill.evaluation.metrics import NuScenesDetectionMetric

    samples = truth_samples(validation_samples(root))
    metric = NuScenesDetectionMetric(root)
    metric.dataset_meta = dict(classes=NUSCENES_CLASSES, version='v1.0-mini')
    # A sampler gives both ranks as many samples and repeats some.
    for index in ((0, 2), (1, 0))[rank]:
        metric.process(None, [samples[index].to_dict()])
    Path(folder, f'scores{rank}.json').write_text(json.dumps(metric.evaluate(len(samples))))
