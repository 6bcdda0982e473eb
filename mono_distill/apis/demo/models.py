"""The detectors the demo compares."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DemoModel:
    """One trained detector.

    Attributes:
        name: Name of its work directory.
        title: Name for people.
        note: How it was trained, in some words.
        config: Config it is trained with.
        test_config: Config it is tested with.
    """

    name: str
    title: str
    note: str
    config: str
    test_config: str


_STUDENT = 'mono_distill::students/monodle_synth.py'
_TEACHER = 'mono_distill::teachers/monodle_depth_synth.py'

TEACHER = DemoModel('teacher', 'Teacher', 'sees the LiDAR depth map', _TEACHER, _TEACHER)
STUDENT = DemoModel('student', 'Student', 'sees the image', _STUDENT, _STUDENT)
CONTROL = DemoModel(
    'control', 'Student, trained on', 'as long as the distilled one, without a teacher', _STUDENT, _STUDENT
)
# A distilled checkpoint is an ordinary one of the student.
DISTILLED = DemoModel(
    'distilled', 'Distilled student', 'trained on with MonoSKD', 'mono_distill::monoskd_synth.py', _STUDENT
)
MODELS = (TEACHER, STUDENT, CONTROL, DISTILLED)
