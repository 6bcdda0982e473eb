import pytest
import torch
from toy import ToyAdapter  # noqa: F401  (registers the toys)

from mono_distill.distillers.graph import DistillGraph
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, NonFiniteError, ShapeError

LOSS = dict(type='mono_distill.ToyLoss', inputs=dict(student='s', teacher='t'))


def values(**extra):
    return dict(s=torch.ones(1, 4, 2, 2, requires_grad=True), t=torch.zeros(1, 4, 2, 2), **extra)


def test_the_weighted_loss_trains_and_the_raw_one_is_logged():
    out = DistillGraph(['s', 't'], dict(feature=dict(LOSS, weight=0.25)))(values())
    assert out['loss_kd_feature'].item() == pytest.approx(0.25)
    assert out['kd_feature'].item() == pytest.approx(1.0)
    assert not out['kd_feature'].requires_grad


def test_adapters_feed_each_other_in_any_written_order():
    adapters = dict(
        second=dict(type='mono_distill.ToyAdapter', inputs='first'),
        first=dict(type='mono_distill.ToyAdapter', inputs='s'),
    )
    losses = dict(feature=dict(type='mono_distill.ToyLoss', inputs=dict(student='second', teacher='t')))
    graph = DistillGraph(['s', 't'], losses, adapters)
    assert [node.name for node in graph.order][:2] == ['first', 'second']
    graph(values())['loss_kd_feature'].backward()
    assert all(parameter.grad is not None for parameter in graph.parameters())


class Double(torch.nn.Module):
    """A target: twice the value."""

    def forward(self, x):
        return 2 * x


def test_targets_carry_no_gradient():
    MODELS.register_module('Double', force=True, module=Double)
    graph = DistillGraph(
        ['s', 't'],
        dict(feature=dict(type='mono_distill.ToyLoss', inputs=dict(student='s', teacher='goal'))),
        targets=dict(goal=dict(type='mono_distill.Double', inputs='s')),
    )
    given = values()
    graph(given)['loss_kd_feature'].backward()
    # (s - 2 s)^2 / n with 2 s held fixed.
    assert torch.allclose(given['s'].grad, -2 * torch.ones_like(given['s']) / given['s'].numel())


def test_a_target_with_parameters_is_refused():
    with pytest.raises(ConfigError, match='model.targets.goal: a target has no trainable parameters'):
        DistillGraph(['s', 't'], dict(f=LOSS), targets=dict(goal=dict(type='mono_distill.ToyAdapter', inputs='s')))


def test_a_graph_whose_losses_all_weigh_nothing_is_finished_from_the_start():
    assert DistillGraph(['s', 't'], dict(f=dict(LOSS, weight=0.0))).finished
    assert not DistillGraph(['s', 't'], dict(f=dict(LOSS, weight=0.0), g=LOSS)).finished


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(losses={}), 'model.losses is empty'),
        (
            dict(losses=dict(f=dict(LOSS, inputs=dict(student='x', teacher='t')))),
            r"model.losses.f.inputs: no value 'x'",
        ),
        (dict(losses=dict(f=dict(LOSS, inputs=dict(studnt='s', teacher='t')))), r'ToyLoss takes \(student, teacher\)'),
        (dict(losses=dict(f=dict(LOSS, inputs=dict(student='s')))), 'missing a required argument'),
        (dict(losses=dict(f=dict(LOSS, pwer=1))), r"ToyLoss has no option 'pwer'; did you mean 'power'\?"),
        (dict(losses=dict(f=dict(LOSS, type='mono_distill.ToyLos'))), r"did you mean 'mono_distill.ToyLoss'\?"),
        (dict(losses=dict(f=dict(inputs='s'))), "model.losses.f: has no 'type'"),
        (dict(losses=dict(f=dict(type='mono_distill.ToyLoss'))), "model.losses.f: no 'inputs'"),
        (dict(losses=dict(s=LOSS)), "the name 's' is taken"),
        (dict(losses={'keys': LOSS}), "'keys' cannot name a node"),
        (dict(losses={'a.b': LOSS}), "'a.b' cannot name a node"),
        (dict(losses=dict(f=dict(LOSS, schedule=dict(until='5')))), 'must be numbers'),
        (dict(losses=dict(f=dict(LOSS, schedule=dict(utnil=3)))), r"no option 'utnil'; did you mean 'until'\?"),
        (dict(adapters=dict(a=dict(type='mono_distill.ToyAdapter', inputs='s'))), 'model.adapters.a feeds nothing'),
        (
            dict(
                adapters=dict(
                    a=dict(type='mono_distill.ToyAdapter', inputs='b'),
                    b=dict(type='mono_distill.ToyAdapter', inputs='a'),
                )
            ),
            'need each other in a circle: a, b',
        ),
    ],
)
def test_mistakes_in_the_config_are_named_when_it_is_built(changes, message):
    with pytest.raises(ConfigError, match=message):
        DistillGraph(['s', 't'], **{'losses': dict(f=LOSS), **changes})


def test_a_loss_is_no_input():
    losses = dict(f=LOSS, g=dict(LOSS, inputs=dict(student='f', teacher='t')))
    with pytest.raises(ConfigError, match="'f' is a loss and cannot be an input"):
        DistillGraph(['s', 't'], losses)


def test_shapes_that_differ_name_both_taps():
    graph = DistillGraph(['s', 't'], dict(feature=LOSS))
    with pytest.raises(
        ShapeError, match=r"model.losses.feature: .* student='s' is Tensor\(1, 4, 2, 2\); teacher='t' is"
    ):
        graph(dict(values(), t=torch.zeros(1, 8, 2, 2)))


def test_a_loss_that_is_not_finite_names_itself_and_the_samples():
    from mmengine.structures import BaseDataElement

    graph = DistillGraph(['s', 't'], dict(feature=LOSS))
    sample = BaseDataElement(metainfo=dict(sample_id='000114'))
    with pytest.raises(NonFiniteError, match=r'loss feature is not finite. Samples: 000114. Values: s: Tensor'):
        graph(dict(values(), t=torch.full((1, 4, 2, 2), float('nan')), data_samples=[sample]))


def test_losses_are_computed_in_single_precision_under_autocast():
    seen = []

    graph = DistillGraph(['s', 't'], dict(feature=LOSS))
    graph.losses['feature'].register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs['student'].dtype), with_kwargs=True
    )
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = {key: value.bfloat16() for key, value in values().items()}
        out = graph(half)
    assert seen == [torch.float32]
    assert out['loss_kd_feature'].dtype == torch.float32


def test_a_loss_may_bring_what_it_reads_to_single_precision_itself():
    graph = DistillGraph(['s', 't'], dict(feature=LOSS))
    graph.losses['feature'].takes_half_precision = True
    seen = []
    graph.losses['feature'].register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs['student'].dtype), with_kwargs=True
    )
    with torch.autocast('cpu', dtype=torch.bfloat16):
        graph({key: value.bfloat16() for key, value in values().items()})
    assert seen == [torch.bfloat16]


def test_a_schedule_moves_the_weight_and_zero_keeps_the_graph():
    graph = DistillGraph(['s', 't'], dict(f=dict(LOSS, weight=2.0, schedule=dict(until=10, start=0.0, end=1.0))))
    graph.set_progress(5, 0)
    assert graph.weight_f.item() == pytest.approx(1.0)
    graph.set_progress(0, 0)
    out = graph(values())
    assert out['loss_kd_f'].item() == 0
    assert out['loss_kd_f'].requires_grad
    assert not graph.finished


def test_the_graph_is_finished_when_all_weights_are_zero_for_good():
    losses = dict(f=dict(LOSS, schedule=dict(kind='constant', until=3, end=0.0)), g=dict(LOSS, weight=0.0))
    graph = DistillGraph(['s', 't'], losses)
    graph.set_progress(2, 0)
    assert not graph.finished
    graph.set_progress(3, 0)
    assert graph.finished


def test_idle_touches_every_adapter():
    adapters = dict(a=dict(type='mono_distill.ToyAdapter', inputs='s'))
    losses = dict(f=dict(type='mono_distill.ToyLoss', inputs=dict(student='a', teacher='t')))
    graph = DistillGraph(['s', 't'], losses, adapters)
    zero = graph.idle()
    zero.backward()
    assert zero.item() == 0
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in graph.parameters())


def test_weights_are_not_saved():
    assert not [key for key in DistillGraph(['s', 't'], dict(f=LOSS)).state_dict() if 'weight' in key]
