"""Necks."""

from mono_distill.models.necks.dla_up import DLAUpNeck

__all__ = ['DLAUpNeck']
