"""Tests of mono_distill.targets.residual."""

from __future__ import annotations

import pytest
import torch

from mono_distill.registry import MODELS
from mono_distill.targets.residual import ResidualTarget, residual_target
from mono_distill.utils.errors import ConfigError, ShapeError


def maps(dtype=torch.float64):
    """A rectified teacher and an assistant; the second image's differences are ten times as large."""
    size = torch.tensor([1.0, 10.0]).view(2, 1, 1, 1)
    return tuple((torch.randn(2, 3, 4, 5) * size).clamp(min=0).to(dtype) for _ in range(2))


def row(*values):
    return torch.tensor(values).view(1, 1, 1, -1)


def test_default_keeps_signed_differences_from_three_fifths_of_the_largest_on():
    teacher, assistant = row(5.0, 4.0, 1.0, 0.0, 0.0, 3.0), row(0.0, 1.0, 0.0, 3.0, 2.9, 3.0)
    assert residual_target(teacher, assistant).flatten().tolist() == [5, 3, 0, -3, 0, 0]


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(mode='absolute'), [5, 3, 0, 3, 0, 0]),
        (dict(binarize=True), [1, 1, 0, -1, 0, 0]),
        (dict(mode='absolute', binarize=True), [1, 1, 0, 1, 0, 0]),
        (dict(threshold=1.0), [5, 0, 0, 0, 0, 0]),
        (dict(threshold=0.0), [5, 3, 1, -3, -2, 0]),
        (dict(mode='absolute', threshold=0.0), [5, 3, 1, 3, 2, 0]),
        (dict(binarize=True, threshold=0.0), [1, 1, 1, -1, -1, 0]),
    ],
)
def test_options_do_what_they_say(options, expected):
    teacher, assistant = row(5.0, 4.0, 1.0, 0.0, 0.0, 3.0), row(0.0, 1.0, 0.0, 3.0, 2.0, 3.0)
    assert residual_target(teacher, assistant, **options).flatten().tolist() == expected


def test_released_target_is_that_of_the_formula():
    teacher, assistant = maps()
    scaled = (assistant - assistant.min()) / (assistant.max() - assistant.min())
    expected = (scaled - teacher).abs()
    expected[expected < expected.max() * 3 / 5] = 0
    released = ResidualTarget('absolute', normalize='assistant_minmax', statistics='batch')
    torch.testing.assert_close(released(teacher, assistant), expected)


@pytest.mark.parametrize('mode', ['signed', 'absolute'])
def test_equal_maps_leave_nothing(mode):
    teacher, _ = maps()
    for binarize in (False, True):
        assert not residual_target(teacher, teacher, mode=mode, binarize=binarize).any()


def test_assistant_and_whole_signed_residual_make_the_teacher():
    teacher, assistant = maps()
    torch.testing.assert_close(assistant + residual_target(teacher, assistant, threshold=0), teacher)
    absolute = assistant + residual_target(teacher, assistant, mode='absolute', threshold=0)
    larger = assistant > teacher
    assert larger.any()
    torch.testing.assert_close(absolute[~larger], teacher[~larger])
    assert (absolute[larger] > teacher[larger]).all()


@pytest.mark.parametrize('normalize', [None, 'minmax', 'standard', 'assistant_minmax'])
def test_the_target_of_an_image_does_not_depend_on_the_others(normalize):
    teacher, assistant = maps()
    together = residual_target(teacher, assistant, normalize=normalize)
    apart = [residual_target(teacher[i : i + 1], assistant[i : i + 1], normalize=normalize) for i in range(2)]
    torch.testing.assert_close(together, torch.cat(apart))
    assert together[0].any()


def test_with_statistics_of_the_batch_a_weak_image_loses_its_residual():
    teacher, assistant = maps()
    target = residual_target(teacher, assistant, statistics='batch')
    assert not target[0].any()
    assert target[1].any()


@pytest.mark.parametrize('statistics', ['image', 'batch'])
def test_normalised_maps_are_compared_in_their_own_units(statistics):
    teacher, assistant = maps()
    options = dict(normalize='minmax', statistics=statistics)
    torch.testing.assert_close(
        residual_target(30 * teacher, assistant, **options), residual_target(teacher, assistant, **options)
    )
    same = residual_target(30 * teacher + 7, teacher, **options, threshold=0)
    torch.testing.assert_close(same, torch.zeros_like(same))


def test_kept_entries_are_where_the_difference_is_largest():
    teacher, assistant = maps()
    target = residual_target(teacher, assistant, threshold=0.3)
    difference = (teacher - assistant).abs()
    for image in range(2):
        kept = target[image] != 0
        assert difference[image][kept].min() >= 0.3 * difference[image].max() > difference[image][~kept].max()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    teacher, assistant = maps(dtype)
    target = residual_target(teacher, assistant)
    assert target.dtype == torch.float32
    assert torch.equal(target, residual_target(teacher.float(), assistant.float()))


def test_no_gradient_reaches_teacher_or_assistant():
    teacher, assistant = (x.requires_grad_() for x in maps())
    assert not residual_target(teacher, assistant).requires_grad


def test_nan_is_not_hidden():
    teacher, assistant = maps()
    teacher[0, 0, 0, 0] = float('nan')
    target = residual_target(teacher, assistant)
    assert target[0].isnan().any()
    assert target[1].isfinite().all()


def test_nan_does_not_switch_the_threshold_off():
    teacher = torch.tensor([5.0, 4.0, 1.0, 0.0, float('nan')]).reshape(1, 1, 1, 5)
    target = residual_target(teacher, torch.zeros_like(teacher), threshold=0.6)
    assert target[0, 0, 0, :4].tolist() == [5.0, 4.0, 0.0, 0.0]
    assert target[0, 0, 0, 4].isnan()


def test_inputs_are_left_as_they_are():
    teacher, assistant = maps()
    kept = teacher.clone(), assistant.clone()
    residual_target(teacher, assistant, mode='absolute', binarize=True)
    assert torch.equal(teacher, kept[0])
    assert torch.equal(assistant, kept[1])


def test_graph_is_captured_whole():
    teacher, assistant = maps()
    torch._dynamo.reset()
    compiled = torch.compile(residual_target, fullgraph=True, backend='eager')
    torch.testing.assert_close(compiled(teacher, assistant), residual_target(teacher, assistant))


def test_registry_builds_a_target_without_parameters():
    module = MODELS.build(dict(type='mono_distill.ResidualTarget', mode='absolute', threshold=0.2))
    assert not list(module.parameters())
    teacher, assistant = maps()
    assert torch.equal(
        module(teacher=teacher, assistant=assistant),
        residual_target(teacher, assistant, mode='absolute', threshold=0.2),
    )
    assert "mode='absolute', threshold=0.2" in repr(module)


def test_maps_of_different_shapes_are_refused():
    teacher, assistant = maps()
    with pytest.raises(ShapeError, match=r'teacher \(2, 3, 4, 5\) and assistant \(2, 2, 4, 5\) must be maps'):
        residual_target(teacher, assistant[:, :2])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(mode='abs'), "mode must be 'signed' or 'absolute', got 'abs'"),
        (dict(threshold=3.0), 'threshold is a fraction of the largest residual, got 3.0'),
        (dict(normalize='mean'), "normalize must be None, minmax, standard, assistant_minmax, got 'mean'"),
        (dict(statistics='channel'), "statistics must be 'image' or 'batch', got 'channel'"),
    ],
)
def test_options_that_do_not_exist_are_refused_when_built(options, message):
    with pytest.raises(ConfigError, match=message):
        ResidualTarget(**options)
