"""The distillation graph: teachers, taps, adapters, targets, losses; knows no method and no detector."""

from mono_distill.distillers.distiller import CrossModalDistiller
from mono_distill.distillers.graph import DistillGraph
from mono_distill.distillers.preprocess import CrossModalPreprocessor
from mono_distill.distillers.schedules import Schedule
from mono_distill.distillers.taps import TapSet, TapSpec, parse_tap
from mono_distill.distillers.teachers import Teacher, TeacherBank, TeacherSpec

__all__ = [
    'CrossModalDistiller',
    'CrossModalPreprocessor',
    'DistillGraph',
    'Schedule',
    'TapSet',
    'TapSpec',
    'Teacher',
    'TeacherBank',
    'TeacherSpec',
    'parse_tap',
]
