from types import SimpleNamespace

import pytest
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import MMLogger
from toy import batch, build_distiller

from mono_distill.hooks import TeacherCheckHook
from mono_distill.utils.errors import ConfigError


class Scores(BaseMetric):
    """Returns prepared scores, the first evaluated model first."""

    def __init__(self, *scores):
        super().__init__()
        self.scores = list(scores)

    def process(self, data_batch, data_samples):
        self.results.append(len(data_samples))

    def compute_metrics(self, results):
        return dict(AP=self.scores.pop(0))


def runner(student, teacher, iteration=0):
    loader = [batch()]
    loader_with_dataset = type('Loader', (list,), dict(dataset=range(2)))(loader)
    loop = SimpleNamespace(dataloader=loader_with_dataset, evaluator=Evaluator([Scores(student, teacher)]))
    return SimpleNamespace(
        model=build_distiller(), val_loop=loop, iter=iteration, logger=MMLogger.get_instance('teacher_check')
    )


def test_a_better_teacher_passes():
    prepared = runner(student=10.0, teacher=40.0)
    TeacherCheckHook('AP').before_train(prepared)
    assert prepared.val_loop.evaluator.metrics[0].scores == [], 'both must have been evaluated'


def test_a_teacher_that_is_no_better_is_refused():
    with pytest.raises(ConfigError, match=r'teacher depth is no better than the student .* AP 10.00 against 12.00'):
        TeacherCheckHook('AP').before_train(runner(student=12.0, teacher=10.0))


def test_the_margin_counts():
    with pytest.raises(ConfigError, match='margin 5.0'):
        TeacherCheckHook('AP', margin=5.0).before_train(runner(student=10.0, teacher=14.0))


def test_a_warning_can_be_chosen():
    prepared = runner(student=12.0, teacher=10.0)
    warnings = []
    prepared.logger = SimpleNamespace(info=lambda text: None, warning=warnings.append)
    TeacherCheckHook('AP', on_failure='warn').before_train(prepared)
    assert 'teacher depth is no better' in warnings[0]


def test_a_resumed_run_is_not_checked_again():
    TeacherCheckHook('AP').before_train(runner(student=12.0, teacher=10.0, iteration=5))


def test_a_misspelt_metric_gets_a_suggestion():
    with pytest.raises(ConfigError, match=r"no metric 'APP'; did you mean 'AP'\?"):
        TeacherCheckHook('APP').before_train(runner(student=1.0, teacher=2.0))


def test_the_student_is_left_in_its_mode():
    prepared = runner(student=1.0, teacher=2.0)
    prepared.model.train()
    TeacherCheckHook('AP').before_train(prepared)
    assert prepared.model.student.training
