"""Training loops and hooks: schedules, exact resume, teacher check."""

from mono_distill.hooks.bev_grid_check import BEVGridCheckHook
from mono_distill.hooks.cpu_speed import BFloat16OptimWrapper, ChannelsLastHook
from mono_distill.hooks.distill_schedule import DistillScheduleHook
from mono_distill.hooks.htl import HTLHook
from mono_distill.hooks.loops import ResumableEpochLoop
from mono_distill.hooks.prediction_pictures import PredictionPictureHook
from mono_distill.hooks.random_state import RandomStateHook
from mono_distill.hooks.strict_load import StrictLoadHook
from mono_distill.hooks.teacher_check import TeacherCheckHook

__all__ = [
    'BEVGridCheckHook',
    'BFloat16OptimWrapper',
    'ChannelsLastHook',
    'DistillScheduleHook',
    'HTLHook',
    'PredictionPictureHook',
    'RandomStateHook',
    'ResumableEpochLoop',
    'StrictLoadHook',
    'TeacherCheckHook',
]
