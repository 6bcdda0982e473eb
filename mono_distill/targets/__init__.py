"""Parameter-free signals that losses compare with, derived from teachers or from annotations."""

from mono_distill.targets.dense_truth import DenseTruthMaps, dense_truth_maps
from mono_distill.targets.pseudo_objects import PseudoObjects, pseudo_objects

__all__ = ['DenseTruthMaps', 'PseudoObjects', 'dense_truth_maps', 'pseudo_objects']
