"""Detections of a model as annotations of an info file."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from mono_distill.datasets.kitti.labels import CATEGORIES


@torch.no_grad()
def pseudo_infos(
    model: Any, loader: Iterable[dict[str, Any]], infos: Path, *, score_thr: float = 0.3
) -> tuple[dict[str, Any], dict[str, int]]:
    """Return an info file of the loader's frames with the model's detections in place of their annotations.

    Args:
        model: A detector; its test configuration bounds the heatmap's probability.
        loader: Batches of frames whose metainfo names them by ``sample_id``.
        infos: The info file they come from.
        score_thr: Least score (heatmap times depth confidence) of a detection that becomes a label.

    Returns:
        The content of the info file, and how many frames and objects it holds.
    """
    content = pickle.loads(infos.read_bytes())
    entries = {entry['sample_id']: entry for entry in content['data_list']}
    model.eval()
    labelled = []
    for batch in loader:
        data = model.data_preprocessor(batch, False)
        for sample in model(data['inputs'], data['data_samples'], mode='predict'):
            classes = sample.metainfo.get('classes', ('Pedestrian', 'Car', 'Cyclist'))
            instances = _instances(sample.pred_instances_3d, classes, score_thr)
            entry = {key: value for key, value in entries[sample.sample_id].items() if key != 'cam_instances'}
            labelled.append({**entry, 'instances': instances})
    objects = sum(len(entry['instances']) for entry in labelled)
    return {**content, 'data_list': labelled}, {'frames': len(labelled), 'objects': objects}


def _instances(found: Any, classes: tuple[str, ...], score_thr: float) -> list[dict[str, Any]]:
    """Turn detections into annotations; their truncation and occlusion are unknown and taken as none."""
    instances = []
    for i in range(len(found.scores_3d)):
        score = float(found.scores_3d[i])
        if score < score_thr:
            continue
        category = CATEGORIES[classes[int(found.labels_3d[i])]]
        instances.append(
            {
                'bbox': found.bboxes_2d[i].tolist(),
                'bbox_label': category,
                'bbox_3d': found.bboxes_3d.tensor[i, :7].tolist(),
                'bbox_label_3d': category,
                'truncated': 0.0,
                'occluded': 0,
                'alpha': float(found.alpha[i]),
                'score': score,
            }
        )
    return instances
