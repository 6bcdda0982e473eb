"""Dense heads."""

from mono_distill.models.dense_heads.monodle_head import MonoDLEHead

__all__ = ['MonoDLEHead']
