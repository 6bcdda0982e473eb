"""Necks."""

from mono_distill.models.necks.dla_up import DLAUpNeck
from mono_distill.models.necks.lss_fpn import LSSFPN

__all__ = ['LSSFPN', 'DLAUpNeck']
