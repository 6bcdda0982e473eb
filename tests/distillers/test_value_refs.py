"""Tests of mono_distill.distillers.value_refs."""

import pytest
import torch
from toy import ToyLoss  # noqa: F401  (registers the toys)

from mono_distill.distillers.graph import DistillGraph
from mono_distill.distillers.value_refs import ValueRef, parse_ref
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError


@MODELS.register_module(force=True)
class PairOfGoals(torch.nn.Module):
    """A target with named parts: the value and twice the value, in a list."""

    def forward(self, x):
        return dict(once=x, more=[x, 2 * x])


@pytest.mark.parametrize(
    ('text', 'selectors'),
    [
        ('objects', ()),
        ('objects[boxes]', ('boxes',)),
        ('maps[0]', (0,)),
        ('maps[-1]', (-1,)),
        ('maps[1:3]', (slice(1, 3),)),
        ('heads[1][heatmap]', (1, 'heatmap')),
    ],
)
def test_the_grammar(text, selectors):
    ref = parse_ref(text, 'model.losses.f')
    assert ref == ValueRef(text.split('[')[0], selectors)


@pytest.mark.parametrize('text', ['', 'a b', 'objects[boxes', 'objects]', '[boxes]', 'a[[b]]', 'a[b]c', 'a.b', 3, None])
def test_what_is_no_reference_is_refused_with_its_node(text):
    with pytest.raises(ConfigError, match=r"model\.losses\.f\.inputs: .* is no 'name' or 'name\[selector\]'"):
        parse_ref(text, 'model.losses.f')


def test_the_part_is_selected():
    values = dict(heads=[dict(heatmap=1), dict(heatmap=2)], maps=(3, 4, 5))
    assert parse_ref('heads[1][heatmap]', 'x').of(values) == 2
    assert parse_ref('maps[1:]', 'x').of(values) == (4, 5)
    assert parse_ref('maps', 'x').of(values) is values['maps']


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('heads[2]', r"input 'heads\[2\]': cannot take \[2\] of 'heads'"),
        ('heads[0][height]', r"input 'heads\[0\]\[height\]': cannot take \[height\] of 'heads'"),
        ('heads[heatmap]', r"cannot take \[heatmap\] of 'heads'"),
        ('number[0]', r"cannot take \[0\] of 'number'"),
    ],
)
def test_a_part_that_is_not_there_is_named(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_ref(text, 'x').of(dict(heads=[dict(heatmap=1)], number=7))


def graph(goal, **inputs):
    return DistillGraph(
        ['s'],
        dict(feature=dict(type='mono_distill.ToyLoss', inputs=dict(student='s', teacher=goal))),
        targets=dict(goals=dict(type='mono_distill.PairOfGoals', inputs='s', **inputs)),
    )


@pytest.mark.parametrize(('goal', 'expected'), [('goals[once]', 0.0), ('goals[more][1]', 9.0)])
def test_a_node_reads_a_part_of_another(goal, expected):
    out = graph(goal)(dict(s=torch.full((1, 2, 2, 2), 3.0), data_samples=[]))
    assert out['loss_kd_feature'].item() == pytest.approx(expected)


def test_a_node_reads_a_part_of_a_tap():
    losses = dict(f=dict(type='mono_distill.ToyLoss', inputs=dict(student='s[0]', teacher='s[1]')))
    out = DistillGraph(['s'], losses)(dict(s=[torch.zeros(1, 2), torch.ones(1, 2)], data_samples=[]))
    assert out['loss_kd_f'].item() == pytest.approx(1.0)


def test_nodes_are_ordered_by_the_names_of_what_they_read_parts_of():
    assert [node.name for node in graph('goals[once]').order] == ['goals', 'feature']


def test_an_unknown_name_is_found_when_the_graph_is_built():
    with pytest.raises(ConfigError, match='gaols'):
        graph('gaols[once]')


def test_a_part_that_a_node_does_not_give_stops_the_step():
    with pytest.raises(ConfigError, match=r"input 'goals\[twice\]': cannot take \[twice\] of 'goals'"):
        graph('goals[twice]')(dict(s=torch.zeros(1, 2, 2, 2), data_samples=[]))
