"""MonoDETR: a detector with object queries that attend to image features and to predicted depth."""

from mono_distill.models.monodetr.decoder import DepthAwareDecoder
from mono_distill.models.monodetr.depth_predictor import MonoDETRDepthPredictor
from mono_distill.models.monodetr.detector import MonoDETR
from mono_distill.models.monodetr.head import MonoDETRHead
from mono_distill.models.monodetr.visual_encoder import MonoDETREncoder

__all__ = ['DepthAwareDecoder', 'MonoDETR', 'MonoDETRDepthPredictor', 'MonoDETREncoder', 'MonoDETRHead']
