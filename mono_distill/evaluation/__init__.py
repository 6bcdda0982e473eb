"""Metrics that run on any machine."""

from mono_distill.evaluation.metrics import KittiMonoMetric, NuScenesDetectionMetric

__all__ = ['KittiMonoMetric', 'NuScenesDetectionMetric']
