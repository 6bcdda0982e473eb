import pytest
import toy  # noqa: F401  (registers the toys)

from mono_distill.apis.check_config import check_config
from mono_distill.utils.errors import ConfigError


def test_parts_of_ours_are_counted_wherever_they_stand():
    config = dict(
        model=dict(type='mono_distill.ToyDetector', data_preprocessor=dict(type='mono_distill.ToyPreprocessor')),
        train_dataloader=dict(dataset=dict(pipeline=[dict(type='mono_distill.MonoRandomFlip', prob=0.5)])),
        other=dict(type='SomebodyElse', anything=1),
    )
    assert check_config(config) == 3


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (
            dict(train_pipeline=[dict(type='mono_distill.MonoRandomFlip', probs=1)]),
            r"train_pipeline\[0\]: MonoRandomFlip has no option 'probs'; did you mean 'prob'\?",
        ),
        (dict(model=dict(type='mono_distill.CenterNetMono')), r"model: no type 'mono_distill.CenterNetMono'; did you"),
        (
            dict(model=dict(losses=dict(s=dict(type='mono_distill.SpearmanLoss', wieght=1)))),
            r"model.losses.s: SpearmanLoss has no option 'wieght'",
        ),
        (
            dict(custom_hooks=[dict(type='mono_distill.TeacherCheckHook', metrc='x')]),
            r"custom_hooks\[0\]: TeacherCheckHook has no option 'metrc'; did you mean 'metric'\?",
        ),
    ],
)
def test_what_does_not_exist_is_named_with_its_place(config, message):
    with pytest.raises(ConfigError, match=message):
        check_config(config)


def test_what_the_graph_and_the_runner_read_themselves_is_allowed():
    loss = dict(
        type='mono_distill.SpearmanLoss', weight=1.0, schedule=dict(until=1), inputs=dict(student='s', teacher='t')
    )
    hook = dict(type='mono_distill.DistillScheduleHook', priority='LOW')
    assert check_config(dict(model=dict(losses=dict(s=loss)), custom_hooks=[hook])) == 2
