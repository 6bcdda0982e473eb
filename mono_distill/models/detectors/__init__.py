"""Detectors."""

from mono_distill.models.detectors.centernet_mono3d import CenterNetMono3D

__all__ = ['CenterNetMono3D']
