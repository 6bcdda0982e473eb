"""Metrics that run on any machine."""

from mono_distill.evaluation.metrics import KittiMonoMetric

__all__ = ['KittiMonoMetric']
