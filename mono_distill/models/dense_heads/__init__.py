"""Dense heads."""

from mono_distill.models.dense_heads.did_head import DIDHead
from mono_distill.models.dense_heads.monodle_head import MonoDLEHead

__all__ = ['DIDHead', 'MonoDLEHead']
