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


def runner(student, *teachers, teacher=None, iteration=0):
    """A run whose models score as said; further teachers than the first are the first under other names."""
    scores = teachers or (teacher,)
    model = build_distiller()
    for name in ('assistant', 'other')[: len(scores) - 1]:
        model.bank.teachers[name] = model.bank.teachers['depth']
    loader = [batch()]
    loader_with_dataset = type('Loader', (list,), dict(dataset=range(2)))(loader)
    loop = SimpleNamespace(dataloader=loader_with_dataset, evaluator=Evaluator([Scores(student, *scores)]))
    return SimpleNamespace(model=model, val_loop=loop, iter=iteration, logger=MMLogger.get_instance('teacher_check'))


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
    prepared = runner(student=12.0, teacher=10.0, iteration=5)
    TeacherCheckHook('AP').before_train(prepared)
    assert prepared.val_loop.evaluator.metrics[0].scores == [12.0, 10.0], 'none must have been evaluated'


def test_a_misspelt_metric_gets_a_suggestion():
    with pytest.raises(ConfigError, match=r"no metric 'APP'; did you mean 'AP'\?"):
        TeacherCheckHook('APP').before_train(runner(student=1.0, teacher=2.0))


def test_the_student_is_left_in_its_mode():
    prepared = runner(student=1.0, teacher=2.0)
    prepared.model.train()
    TeacherCheckHook('AP').before_train(prepared)
    assert prepared.model.student.training


def test_an_assistant_is_checked_beside_the_teacher():
    with pytest.raises(ConfigError, match=r'^teacher assistant is no better .* AP 11.00 against 12.00'):
        TeacherCheckHook('AP').before_train(runner(12.0, 40.0, 11.0))


def test_all_that_are_no_better_are_named_at_once():
    with pytest.raises(ConfigError, match=r'(?s)teacher depth is no better .*teacher assistant is no better'):
        TeacherCheckHook('AP').before_train(runner(12.0, 10.0, 11.0))


def test_one_may_be_weak_and_the_other_not():
    prepared = runner(12.0, 40.0, 11.0)
    warnings = []
    prepared.logger = SimpleNamespace(info=lambda text: None, warning=warnings.append)
    TeacherCheckHook('AP', on_failure=dict(depth='raise', assistant='warn')).before_train(prepared)
    assert 'teacher assistant' in warnings[0]
    with pytest.raises(ConfigError, match='teacher depth is no better'):
        TeacherCheckHook('AP', on_failure=dict(depth='raise', assistant='warn')).before_train(runner(12.0, 9.0, 11.0))


def test_each_has_its_own_margin():
    TeacherCheckHook('AP', margin=dict(depth=10.0, assistant=0.0)).before_train(runner(12.0, 40.0, 13.0))
    with pytest.raises(ConfigError, match=r'teacher assistant .*margin 2.0'):
        TeacherCheckHook('AP', margin=dict(depth=0.0, assistant=2.0)).before_train(runner(12.0, 40.0, 13.0))


def test_each_has_its_own_metric():
    class Two(Scores):
        def compute_metrics(self, results):
            return dict(zip(('AP', 'BEV'), self.scores.pop(0), strict=True))

    def check(**metrics):
        lines = []
        prepared = runner(0.0, 0.0, 0.0)
        prepared.val_loop.evaluator = Evaluator([Two((10.0, 20.0), (30.0, 5.0), (5.0, 30.0))])
        prepared.logger = SimpleNamespace(info=lines.append)
        TeacherCheckHook(metrics).before_train(prepared)
        return lines

    assert check(depth='AP', assistant='BEV') == [
        'AP: teacher depth 30.00, student before distillation 10.00',
        'BEV: teacher assistant 30.00, student before distillation 20.00',
    ]
    with pytest.raises(ConfigError, match=r'(?s)teacher depth .* BEV 5.00 against 20.00.*assistant .* AP 5.00'):
        check(depth='BEV', assistant='AP')


def test_a_dictionary_names_every_teacher():
    with pytest.raises(ConfigError, match=r'margin is for assistent, but the teachers are depth'):
        TeacherCheckHook('AP', margin=dict(assistent=1.0)).before_train(runner(1.0, 2.0))


def test_a_choice_that_does_not_exist_is_named():
    with pytest.raises(ConfigError, match="not 'ignore'"):
        TeacherCheckHook('AP', on_failure=dict(depth='raise', assistant='ignore'))
