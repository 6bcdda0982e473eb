"""Metrics for mmengine's evaluator."""

from mono_distill.evaluation.metrics.kitti_mono_metric import KittiMonoMetric
from mono_distill.evaluation.metrics.nuscenes_metric import NuScenesDetectionMetric

__all__ = ['KittiMonoMetric', 'NuScenesDetectionMetric']
