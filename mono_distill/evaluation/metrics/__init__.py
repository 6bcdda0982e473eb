"""Metrics for mmengine's evaluator."""

from mono_distill.evaluation.metrics.kitti_mono_metric import KittiMonoMetric

__all__ = ['KittiMonoMetric']
