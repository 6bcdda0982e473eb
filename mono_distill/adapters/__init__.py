"""Trainable bridges between the feature spaces of student and teacher."""

from mono_distill.adapters.channel_mean import ChannelMeanConv
from mono_distill.adapters.conv import ConvAdapter
from mono_distill.adapters.key_point_sampler import BEVKeyPointSampler
from mono_distill.adapters.projector import Projector
from mono_distill.adapters.query_sampler import BEVQuerySampler
from mono_distill.adapters.review_fusion import ReviewFusion
from mono_distill.adapters.topk_sampler import BEVTopKSampler

__all__ = [
    'BEVKeyPointSampler',
    'BEVQuerySampler',
    'BEVTopKSampler',
    'ChannelMeanConv',
    'ConvAdapter',
    'Projector',
    'ReviewFusion',
]
