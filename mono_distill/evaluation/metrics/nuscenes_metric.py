"""nuScenes' detection benchmark as a metric of mmengine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from mono_distill.evaluation.nuscenes_boxes import result_entries
from mono_distill.evaluation.nuscenes_eval import (
    default_eval_set,
    load_nuscenes,
    nuscenes_eval,
    score_table,
    write_results,
)
from mono_distill.registry import METRICS
from mono_distill.utils.errors import ConfigError, DataError

RESULT_FILE = 'results_nusc.json'
_NEEDED = ('token', 'lidar2ego', 'ego2global')


@METRICS.register_module()
class NuScenesDetectionMetric(BaseMetric):
    """mAP, NDS and the five true-positive errors of nuScenes, by the unmodified nuscenes-devkit.

    Differences from mmdet3d's ``NuScenesMetric``: everything about a sample comes from its own meta information, so the
    results may come in any order and no info file is read; a sample that occurs twice counts once; the data base is
    read once, not at every evaluation; samples that do not fit the split give a message that names their scenes; a
    model that finds nothing scores 0 instead of stopping the training.

    The names of the numbers follow the prefix ``NuScenes/``: ``mAP``, ``NDS``, ``mATE``, ``mASE``, ``mAOE``, ``mAVE``,
    ``mAAE``; per class ``car_AP``, ``car_AP_0.5`` (and 1.0, 2.0, 4.0 metres), ``car_ATE`` and so on.

    Args:
        data_root: Folder that holds ``<version>/sample.json``.
        version: ``v1.0-mini``, ``v1.0-trainval`` or ``v1.0-test``; that of the data set's metainfo if None.
        eval_set: Split; by default ``mini_val``, ``val`` or ``test``, by the version.
        config: Name of the devkit's configuration.
        sensors: What the model uses, of ``camera``, ``lidar``, ``radar``, ``map``, ``external``; for submissions.
        format_only: Write the result file and compute nothing, as for the test split.
        jsonfile_prefix: Folder for the result file ``results_nusc.json``, the form of a submission.
        prefix: Replaces ``NuScenes`` in the names.
        collect_device: How ranks exchange results, ``'cpu'`` (files) or ``'gpu'``.

    Raises:
        ConfigError: ``format_only`` has no folder to write to; or, at the first batch, the data set does not name its
            classes, or one that nuScenes does not evaluate.
        DataError: A sample lacks meta information or is augmented; at the end, the samples are not those of the split.
        NonFiniteError: A prediction holds NaN or infinity.
    """

    default_prefix = 'NuScenes'

    def __init__(
        self,
        data_root: str | os.PathLike[str],
        *,
        version: str | None = None,
        eval_set: str | None = None,
        config: str = 'detection_cvpr_2019',
        sensors: Sequence[str] = (),
        format_only: bool = False,
        jsonfile_prefix: str | os.PathLike[str] | None = None,
        prefix: str | None = None,
        collect_device: str = 'cpu',
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if format_only and jsonfile_prefix is None:
            raise ConfigError('format_only=True writes a result file only: name its folder with jsonfile_prefix.')
        self.data_root = data_root
        self.version = version
        self.eval_set = eval_set
        self.config = config
        self.sensors = tuple(sensors)
        self.format_only = format_only
        self.jsonfile_prefix = jsonfile_prefix

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep the predictions of one batch as entries of a result file, in the global frame.

        Args:
            data_batch: Not used.
            data_samples: Predicted data samples as dicts, see
                :func:`mono_distill.evaluation.nuscenes_boxes.result_entries`.
        """
        classes = self._meta('classes')
        for sample in data_samples:
            _check_sample(sample)
            self.results.append({'token': sample['token'], 'entries': result_entries(sample, classes)})

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Score the collected results, and write the result file if asked to.

        Args:
            results: ``token`` and ``entries`` of every sample, from all ranks.

        Returns:
            The scores, see :func:`mono_distill.evaluation.nuscenes_eval.nuscenes_eval`; empty with ``format_only``.
        """
        samples: dict[str, list[dict[str, Any]]] = {}
        for result in results:
            # A sampler that pads the last batch predicts some samples twice.
            samples.setdefault(result['token'], result['entries'])
        logger = MMLogger.get_current_instance()
        if self.jsonfile_prefix is not None:
            file = Path(self.jsonfile_prefix) / RESULT_FILE
            write_results(file, samples, sensors=self.sensors)
            logger.info('%d samples are in %s.', len(samples), file)
        if self.format_only:
            return {}
        version = self.version or self._meta('version')
        eval_set = self.eval_set or default_eval_set(version)
        scores = nuscenes_eval(samples, load_nuscenes(version, self.data_root), eval_set, config=self.config)
        logger.info('nuScenes, %s, %d samples\n%s', eval_set, len(samples), score_table(scores, self._meta('classes')))
        return scores

    def _meta(self, key: str) -> Any:
        value = (self.dataset_meta or {}).get(key)
        if value is None:
            hint = ', or give the metric version=...' if key == 'version' else ': labels cannot be told apart without'
            raise ConfigError(f"NuScenesDetectionMetric: the data set's metainfo has no {key!r}; name it there{hint}.")
        return value


def _check_sample(sample: dict[str, Any]) -> None:
    missing = [key for key in (*_NEEDED, 'pred_instances_3d') if sample.get(key) is None]
    if missing:
        raise DataError(
            f'NuScenesDetectionMetric: sample {sample.get("token", sample.get("sample_idx"))} lacks '
            f'{", ".join(missing)}; end the pipeline with mono_distill.PackBEVInputs.'
        )
    augmentation = sample.get('lidar_aug_matrix')
    if augmentation is not None and not np.allclose(np.asarray(augmentation), np.eye(4), atol=1e-6):
        raise DataError(
            f'NuScenesDetectionMetric: the world of sample {sample["token"]} is turned, scaled or mirrored '
            '(lidar_aug_matrix), and its boxes with it; leave mono_distill.BEVGlobalAug out of the test pipeline.'
        )
