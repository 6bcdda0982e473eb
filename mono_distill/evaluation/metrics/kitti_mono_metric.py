"""KITTI's object benchmark as a metric of mmengine."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from mono_distill.evaluation.detections_file import save_detections
from mono_distill.evaluation.kitti_annos import KittiFrame, full_size, load_frames, prediction_annos, sample_id_of
from mono_distill.evaluation.kitti_eval import (
    DIFFICULTIES,
    KITTI_CLASSES,
    MEASURES,
    MIN_OVERLAPS,
    KittiAnnos,
    check_classes,
    kitti_eval,
)
from mono_distill.evaluation.kitti_submission import rounded, write_results
from mono_distill.registry import METRICS
from mono_distill.utils.errors import ConfigError, DataError

FILE_DECIMALS = 4


@METRICS.register_module()
class KittiMonoMetric(BaseMetric):
    """KITTI AP40 and AP11 of 2D, orientation (AOS), bird's-eye-view and 3D detection, on any machine.

    Differences from mmdet3d's ``KittiMetric``: no CUDA driver is needed; 2D boxes and ``alpha`` are those that the
    network predicts, if it does; AOS is among the returned numbers; results may cover a part of the info file, in any
    order. Frames are matched by ``sample_id``, and a frame that occurs twice counts once.

    The names of the numbers are those of :func:`~mono_distill.evaluation.kitti_eval.kitti_eval` after the prefix
    ``KITTI/``, for example ``KITTI/Car_3D_AP40_moderate_strict`` (IoU 0.7) and ``KITTI/Car_3D_AP40_moderate_loose``
    (IoU 0.5).

    Args:
        ann_file: Info file of the evaluated split, such as ``kitti_infos_val.pkl``.
        classes: Evaluated classes; all classes of the data set that KITTI evaluates if None.
        use_pred_2d: Use ``bboxes_2d`` and ``alpha`` of the prediction where present; see
            :func:`~mono_distill.evaluation.kitti_annos.prediction_annos`.
        round_decimals: Score the numbers as a text file with so many decimals holds them. The official codes of
            monocular detectors score files with 2 decimals; use 2 to compare with their tables.
        image_scale: Size of the images relative to KITTI's. Which objects count depends on the height of 2D boxes in
            pixels; those of smaller images are scaled up for it.
        detections_file: Write all detections as arrays to this ``.npz`` file, see
            :func:`~mono_distill.evaluation.detections_file.save_detections`.
        submission_prefix: Folder for one text file per frame in KITTI's format, with ``round_decimals`` decimals or 4.
        repeat: Count every frame this many times. KITTI's code visits at most one recall position per object, so n < 41
            counted objects score at most 100 (n - 1) / 40 even when all are found; 41 repetitions lift that ceiling
            and give a handful of frames the average precision of its definition. Leave it at 1 for real splits.
        format_only: Write the files and compute nothing, as for the test split, which has no public annotations.
        prefix: Replaces ``KITTI`` in the names.
        collect_device: How ranks exchange results, ``'cpu'`` (files) or ``'gpu'``.

    Raises:
        ConfigError: If ``format_only`` has no folder to write to, or a class is none of KITTI's three.
        DataError: At the first batch, if the info file is missing or has no annotations, or a frame is not in it.
        NonFiniteError: If a prediction holds NaN or infinity.
    """

    default_prefix = 'KITTI'

    def __init__(
        self,
        ann_file: str | os.PathLike[str],
        *,
        classes: Sequence[str] | None = None,
        use_pred_2d: bool = True,
        round_decimals: int | None = None,
        repeat: int = 1,
        image_scale: float = 1.0,
        detections_file: str | os.PathLike[str] | None = None,
        submission_prefix: str | os.PathLike[str] | None = None,
        format_only: bool = False,
        prefix: str | None = None,
        collect_device: str = 'cpu',
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if format_only and submission_prefix is None:
            raise ConfigError('format_only=True writes files only: name their folder with submission_prefix.')
        if classes is not None:
            check_classes(classes)
        if round_decimals is not None and round_decimals < 0:
            raise ConfigError(f'round_decimals must be None or at least 0, got {round_decimals}.')
        if repeat < 1:
            raise ConfigError(f'repeat counts how often every frame is scored and must be at least 1, got {repeat}.')
        self.ann_file = ann_file
        self.classes = classes
        self.use_pred_2d = use_pred_2d
        self.round_decimals = round_decimals
        if not image_scale > 0:
            raise ConfigError(f'image_scale must be positive, got {image_scale}.')
        self.repeat = repeat
        self.image_scale = image_scale
        self.detections_file = detections_file
        self.submission_prefix = submission_prefix
        self.format_only = format_only

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the predictions of one batch as small arrays.

        Args:
            data_batch: Not used.
            data_samples: Predicted data samples as dicts, each with ``pred_instances_3d`` and ``sample_id`` (or, as
                mmdet3d's own pipelines have it, ``img_path``).
        """
        class_names = self._class_names()
        for sample in data_samples:
            frame = self._frame(sample_id_of(sample))
            annos = prediction_annos(sample['pred_instances_3d'], frame, class_names, self.use_pred_2d)
            self.results.append({'sample_id': frame.sample_id, 'annos': annos})

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Score the collected results, and write the files if asked to.

        Args:
            results: ``sample_id`` and ``annos`` of every frame, from all ranks.

        Returns:
            The scores in percent; empty with ``format_only``.
        """
        frames: dict[str, KittiAnnos] = {}
        for result in results:
            # A sampler that pads the last batch predicts some frames twice.
            frames.setdefault(result['sample_id'], result['annos'])
        logger = MMLogger.get_current_instance()
        if len(frames) < len(self._frames):
            logger.warning('%d of the %d frames of %s were predicted.', len(frames), len(self._frames), self.ann_file)
        if self.submission_prefix is not None:
            self._write(frames, self.submission_prefix, logger)
        if self.format_only:
            return {}
        if self.detections_file is not None:
            save_detections(self.detections_file, frames)
        detections = list(frames.values())
        if self.round_decimals is not None:
            detections = rounded(detections, self.round_decimals)
        truth = [self._frames[name].annos for name in frames]
        classes = self._evaluated_classes()
        if self.image_scale != 1:
            truth, detections = ([full_size(annos, self.image_scale) for annos in part] for part in (truth, detections))
        scores = kitti_eval(truth * self.repeat, detections * self.repeat, classes)
        times = f', each counted {self.repeat} times' if self.repeat > 1 else ''
        logger.info('KITTI, %d frames%s\n%s', len(frames), times, score_table(scores, classes))
        return scores

    def _write(self, frames: dict[str, KittiAnnos], folder: str | os.PathLike[str], logger: MMLogger) -> None:
        decimals = FILE_DECIMALS if self.round_decimals is None else self.round_decimals
        others = write_results(frames, folder, decimals)
        logger.info('%d result files are in %s.', len(frames), folder)
        if others:
            logger.warning('The folder holds %d files of other frames too, %s first.', len(others), others[0].name)

    @functools.cached_property
    def _frames(self) -> dict[str, KittiFrame]:
        """The info file, read once and not before the first batch, so that a config can be built without data."""
        frames = load_frames(self.ann_file)
        labelled = any(len(frame.annos['name']) for frame in frames.values())
        if not labelled and not self.format_only:
            raise DataError(
                f'{self.ann_file} holds no annotations, as for the test split: nothing can be scored. Write a '
                "submission instead, with format_only=True and submission_prefix='<folder>'."
            )
        return frames

    def _frame(self, sample_id: str) -> KittiFrame:
        frame = self._frames.get(sample_id)
        if frame is None:
            known = list(self._frames)
            raise DataError(
                f'the predicted frame {sample_id} is not in {self.ann_file} ({len(known)} frames, {known[0]} first): '
                'the metric and the data set must use the same split.'
            )
        return frame

    def _class_names(self) -> Sequence[str]:
        names = (self.dataset_meta or {}).get('classes')
        if names is None:
            raise ConfigError('the data set must name its classes in METAINFO: labels cannot be told apart without.')
        return names

    def _evaluated_classes(self) -> Sequence[str]:
        if self.classes is not None:
            return self.classes
        classes = [name for name in self._class_names() if name in KITTI_CLASSES]
        check_classes(classes)
        return classes


def score_table(scores: dict[str, float], classes: Sequence[str]) -> str:
    """Return the scores of all classes as lines of text."""
    columns = [f'{recalls} {difficulty}' for recalls in ('AP40', 'AP11') for difficulty in ('easy', 'mod.', 'hard')]
    lines = [f'{"class":<16}{"IoU":<5} ' + ' '.join(f'{column:>9}' for column in columns)]
    for name in classes:
        for measure in MEASURES:
            for overlap, by_class in MIN_OVERLAPS.items():
                if overlap == 'loose' and measure in ('2D', 'AOS'):
                    continue
                threshold = by_class[name][-1 if measure in ('BEV', '3D') else 0]
                values = [scores[f'{name}_{measure}_AP40_{difficulty}_{overlap}'] for difficulty in DIFFICULTIES]
                values += [scores[f'{name}_{measure}_AP11_{difficulty}_{overlap}'] for difficulty in DIFFICULTIES]
                lines.append(
                    f'{name:<11}{measure:<5}{threshold:<5.2f} ' + ' '.join(f'{value:9.4f}' for value in values)
                )
    return '\n'.join(lines)
