"""Tests of mono_distill.losses.affinity; golden numbers are of the official MonoSKD code."""

import pytest
import torch

from mono_distill.losses import LocalAffinityLoss, SceneAffinityLoss, local_affinity_loss, scene_affinity_loss
from mono_distill.utils.errors import ConfigError, ShapeError


@pytest.mark.parametrize('count', [3, 4])
@pytest.mark.parametrize(('name', 'loss_fn'), [('resize', scene_affinity_loss), ('local', local_affinity_loss)])
def test_loss_and_gradients_equal_official_ones(golden, name, loss_fn, count):
    data = golden('affinity')
    student, teacher = (
        [torch.from_numpy(data[f'{side}{count}_{i}']).double() for i in range(count)] for side in ('student', 'teacher')
    )
    student = [level.requires_grad_() for level in student]
    loss = loss_fn(student, teacher)
    torch.testing.assert_close(loss.item(), data[f'{name}{count}_loss_f64'].item(), rtol=1e-9, atol=1e-9)
    for i, gradient in enumerate(torch.autograd.grad(loss, student)):
        expected = torch.from_numpy(data[f'{name}{count}_grad{i}_f64']).double()
        torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-6 * expected.abs().max().item())


@pytest.fixture(params=[scene_affinity_loss, local_affinity_loss])
def loss_fn(request):
    return request.param


def features(batch, dtype=torch.float64):
    return [torch.randn(batch, 3, 4, 6, dtype=dtype), torch.randn(batch, 5, 2, 3, dtype=dtype)]


def test_identical_features_have_zero_loss(loss_fn):
    student = features(2)
    assert loss_fn(student, student) == 0


def test_loss_grows_with_the_square_of_the_features(loss_fn):
    student, teacher = features(2), features(2)
    scaled = loss_fn([3 * level for level in student], [3 * level for level in teacher])
    torch.testing.assert_close(scaled, 9 * loss_fn(student, teacher))


def test_rotation_of_the_channels_changes_nothing(loss_fn):
    student, teacher = features(2)[:1], features(2)[:1]
    rotation, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))
    rotated = [torch.einsum('ck,bkhw->bchw', rotation, level) for level in student]
    torch.testing.assert_close(loss_fn(rotated, teacher), loss_fn(student, teacher))


def test_by_default_a_doubled_batch_halves_the_loss_as_officially(loss_fn):
    student, teacher = features(2), features(2)
    doubled = loss_fn([level.repeat(2, 1, 1, 1) for level in student], [level.repeat(2, 1, 1, 1) for level in teacher])
    torch.testing.assert_close(doubled, loss_fn(student, teacher) / 2)


def test_reference_batch_makes_the_loss_a_mean_over_images(loss_fn):
    student, teacher = features(4), features(4)
    whole = loss_fn(student, teacher, ref_batch=4)
    parts = [
        loss_fn([level[b] for level in student], [level[b] for level in teacher], ref_batch=4)
        for b in torch.arange(4).split(1)
    ]
    torch.testing.assert_close(whole, loss_fn(student, teacher))
    torch.testing.assert_close(whole, torch.stack(parts).mean())


def test_local_loss_of_one_level_is_the_scene_loss():
    student, teacher = features(2)[:1], features(2)[:1]
    assert local_affinity_loss(student, teacher) == scene_affinity_loss(student, teacher)


def test_levels_that_are_no_whole_number_of_tiles_are_refused():
    student = [torch.zeros(1, 2, 5, 6), torch.zeros(1, 2, 2, 3)]
    with pytest.raises(ShapeError, match=r'level of \(5, 6\) pixels is not a whole number of tiles of \(2, 3\)'):
        local_affinity_loss(student, student)


@pytest.mark.parametrize('module', [SceneAffinityLoss, LocalAffinityLoss])
def test_reference_batch_must_be_positive(module):
    with pytest.raises(ConfigError, match=f'{module.__name__}: ref_batch must be a positive number'):
        module(ref_batch=0)
