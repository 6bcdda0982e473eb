"""BEVFormer: cameras read into a bird's-eye view by deformable attention, objects read out of it by queries."""

from mono_distill.models.bevformer.decoder import BEVQueryDecoder
from mono_distill.models.bevformer.detector import BEVFormer
from mono_distill.models.bevformer.encoder import BEVFormerEncoder
from mono_distill.models.bevformer.head import BEVFormerHead

__all__ = ['BEVFormer', 'BEVFormerEncoder', 'BEVFormerHead', 'BEVQueryDecoder']
