"""One batch, several models: each gets its own preprocessed copy."""

from __future__ import annotations

from typing import Any

from mmengine.model import BaseDataPreprocessor
from torch import nn

from mono_distill.distillers.teachers import TeacherBank


class CrossModalPreprocessor(BaseDataPreprocessor):
    """Runs the student's preprocessor and, while training, every teacher's.

    Args:
        student: The student's own preprocessor.
        bank: The teachers.

    Returns:
        ``dict(inputs=…, data_samples=…)`` as the student expects, with ``teacher_inputs={name: dict(inputs=…,
        data_samples=…)}`` beside them while training.
    """

    def __init__(self, student: nn.Module, bank: TeacherBank) -> None:
        super().__init__()
        self.student = student
        self.bank = bank
        self.teachers_run = True

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Preprocess a collated batch; see the class."""
        teacher_inputs = self.bank.preprocess(data) if training and self.teachers_run else None
        copy = {**data, 'inputs': dict(data['inputs'])} if isinstance(data.get('inputs'), dict) else dict(data)
        prepared: dict[str, Any] = dict(self.student(copy, training))
        if teacher_inputs is not None:
            prepared['teacher_inputs'] = teacher_inputs
        return prepared
