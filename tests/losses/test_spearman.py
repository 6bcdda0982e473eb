"""Tests of mono_distill.losses.spearman; golden numbers are of the official MonoSKD code."""

import pytest
import torch
from scipy.stats import spearmanr

from mono_distill.losses import SpearmanLoss, spearman_loss
from mono_distill.utils.errors import ConfigError

# Case of the golden file: number of levels, absolute eps. The scale of the ranked side is in the file.
CASES = {'A': (3, 1.0), 'B': (3, 1.0), 'C': (3, 0.01), 'D': (4, 1.0), 'E': (3, 1e-4)}


def levels(data, side, count, scale=1.0, dtype=torch.float64):
    return [torch.from_numpy(data[f'{side}{count}_{i}']).to(dtype) * scale for i in range(count)]


def check_against_official(data, key, loss, student):
    torch.testing.assert_close(loss.item(), data[f'{key}_loss_f64'].item(), rtol=1e-9, atol=1e-9)
    for i, gradient in enumerate(torch.autograd.grad(loss, student)):
        expected = torch.from_numpy(data[f'{key}_grad{i}_f64']).double()
        torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-6 * expected.abs().max().item())


@pytest.mark.parametrize('case', CASES)
def test_soft_ranked_teacher_equals_the_official_call(golden, case):
    data, (count, eps) = golden('monoskd_spearman'), CASES[case]
    student = [s.requires_grad_() for s in levels(data, 'student', count)]
    teacher = levels(data, 'teacher', count, data[f'{case}_meta'][1])
    loss = spearman_loss(student, teacher, form='soft_rank_teacher', eps=eps)
    check_against_official(data, f'{case}_called', loss, student)


@pytest.mark.parametrize('case', ['A', 'B', 'C', 'E'])
def test_soft_ranked_student_equals_the_official_function_called_as_named(golden, case):
    data, (count, eps) = golden('monoskd_spearman'), CASES[case]
    scale = data[f'{case}_sig_meta'][1]
    student = [s.requires_grad_() for s in levels(data, 'student', count, scale)]
    loss = spearman_loss(student, levels(data, 'teacher', count), form='soft_rank_student', eps=eps)
    check_against_official(data, f'{case}_sig', loss, student)


@pytest.mark.parametrize('case', ['A', 'D'])
def test_released_form_equals_the_released_training(golden, case):
    data, (count, _) = golden('monoskd_spearman'), CASES[case]
    student = [s.requires_grad_() for s in levels(data, 'student', count)]
    loss = spearman_loss(student, levels(data, 'teacher', count), form='released')
    check_against_official(data, f'{case}_called', loss, student)


def test_released_form_in_float32_is_as_good_as_float64_at_true_sizes():
    # The official float32 path is off by 1e-2 to 1e-1 in the gradient here.
    student = torch.randn(2, 128, 48, 160).add_(torch.tensor([1.0, -2.0]).view(2, 1, 1, 1)).requires_grad_()
    teacher = torch.randn(2, 128, 48, 160).relu() * torch.tensor([1.0, 2.5]).view(2, 1, 1, 1)
    (narrow,) = torch.autograd.grad(spearman_loss(student, teacher, form='released'), student)
    wide = student.detach().double().requires_grad_()
    (exact,) = torch.autograd.grad(spearman_loss(wide, teacher.double(), form='released'), wide)
    assert (narrow - exact).norm() < 1e-5 * exact.norm()


def test_rank_form_with_small_eps_is_spearmans_coefficient(golden):
    data = golden('monoskd_spearman')
    student, teacher = levels(data, 'student', 3)[2], levels(data, 'teacher', 3)[2]
    expected = [spearmanr(s.flatten(), t.flatten()).statistic for s, t in zip(student, teacher, strict=True)]
    loss = spearman_loss(student, teacher, eps=1e-6)
    torch.testing.assert_close(loss.item(), 1 - sum(expected) / 2, rtol=1e-9, atol=1e-9)


def test_rank_form_is_default_and_close_to_spearmans_coefficient():
    student = torch.randn(2, 64, 12, 40)
    teacher = (student + torch.randn(2, 64, 12, 40)).relu()
    assert SpearmanLoss().form == 'rank'
    assert (spearman_loss(student, teacher) - spearman_loss(student, teacher, eps=1e-6)).abs() < 0.01


def test_rank_form_by_default_moves_most_entries_of_the_student_and_with_small_eps_few():
    student = torch.randn(2, 64, 12, 40, requires_grad=True)
    teacher = torch.randn(2, 64, 12, 40).relu()

    def share_moved(**options):
        (gradient,) = torch.autograd.grad(spearman_loss(student, teacher, **options), student)
        return (gradient.abs() > 0.05 * gradient.std()).float().mean()

    assert share_moved() > 0.6
    assert share_moved(eps=0.05) < 0.1


def test_gradient_of_the_rank_form_does_not_change_the_scale_of_the_student():
    student = torch.randn(1, 16, 12, 40, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(1, 16, 12, 40, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(spearman_loss(student, teacher), student)
    centred = student.detach() - student.detach().mean()
    assert (gradient * centred).sum().abs() < 1e-9 * gradient.norm() * centred.norm()


def test_descent_raises_spearmans_coefficient():
    student = torch.randn(1, 16, 12, 40, requires_grad=True)
    teacher = torch.randn(1, 16, 12, 40).exp()
    optimizer = torch.optim.Adam([student], lr=0.1)
    before = spearmanr(student.detach().flatten(), teacher.flatten()).statistic
    for _ in range(30):
        optimizer.zero_grad()
        spearman_loss(student, teacher).backward()
        optimizer.step()
    after = spearmanr(student.detach().flatten(), teacher.flatten()).statistic
    assert before < 0.1
    assert after > 0.9


@pytest.mark.parametrize('form', ['rank', 'released'])
def test_identical_features_have_almost_no_loss_and_opposite_ones_two(form):
    features = torch.randn(2, 16, 12, 40)
    # Released: the means of the images differ a little, which only the student's side keeps.
    assert spearman_loss(features, features, form=form) < 0.01
    assert spearman_loss(-features, features, form=form) > 1.99


@pytest.mark.parametrize('form', ['rank', 'released'])
def test_scale_and_offset_of_the_student_do_not_matter(form):
    student, teacher = torch.randn(2, 2, 8, 6, 10, dtype=torch.float64)
    expected = spearman_loss(student, teacher, form=form)
    torch.testing.assert_close(spearman_loss(30 * student - 5, teacher, form=form), expected)


def test_released_form_ignores_offsets_of_the_teacher_per_image_but_not_of_the_student():
    student, teacher = torch.randn(2, 2, 8, 6, 10, dtype=torch.float64)
    offset = torch.tensor([0.0, 3.0], dtype=torch.float64).view(2, 1, 1, 1)
    expected = spearman_loss(student, teacher, form='released')
    torch.testing.assert_close(spearman_loss(student, teacher + offset, form='released'), expected)
    assert spearman_loss(student + offset, teacher, form='released') != expected


def test_rank_form_ignores_monotonic_changes_of_the_teacher():
    student, teacher = torch.randn(2, 2, 8, 6, 10, dtype=torch.float64)
    assert torch.equal(spearman_loss(student, teacher.exp()), spearman_loss(student, teacher))


@pytest.mark.parametrize('form', ['rank', 'released', 'soft_rank_teacher', 'soft_rank_student'])
def test_image_statistics_make_the_loss_a_mean_over_images(form):
    student, teacher = torch.randn(2, 4, 8, 6, 10, dtype=torch.float64)
    whole = spearman_loss(student, teacher, form=form, statistics='image')
    parts = [spearman_loss(student[b], teacher[b], form=form, statistics='image') for b in torch.arange(4).split(1)]
    torch.testing.assert_close(whole, torch.stack(parts).mean())


@pytest.mark.parametrize('form', ['rank', 'released', 'soft_rank_teacher', 'soft_rank_student'])
@pytest.mark.parametrize('value', [0.0, 0.1, -1e6])
@pytest.mark.parametrize('side', ['student', 'teacher'])
def test_constant_maps_cost_one_without_gradient(form, value, side):
    student, teacher = torch.randn(2, 2, 8, 6, 10)
    {'student': student, 'teacher': teacher}[side].fill_(value)
    student.requires_grad_()
    loss = spearman_loss(student, teacher, form=form)
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss == 1
    assert not gradient.any()


def test_one_constant_image_of_a_batch_leaves_the_others_their_gradient():
    student, teacher = torch.randn(2, 2, 8, 6, 10)
    teacher[0] = 3.0
    student.requires_grad_()
    (gradient,) = torch.autograd.grad(spearman_loss(student, teacher), student)
    assert not gradient[0].any()
    assert gradient[1].any()


@pytest.mark.parametrize('form', ['rank', 'released', 'soft_rank_teacher'])
def test_nan_of_the_teacher_is_not_hidden(form):
    student, teacher = torch.randn(2, 2, 8, 6, 10)
    teacher[0, 0, 0, 0] = float('nan')
    assert spearman_loss(student, teacher, form=form).isnan()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            dict(form='pearson'),
            "form must be one of rank, released, soft_rank_teacher, soft_rank_student, got 'pearson'",
        ),
        (dict(statistics='level'), "statistics must be 'image', 'batch' or None, got 'level'"),
        (dict(form='released', eps=1.0), "form='released' has no eps"),
        (dict(eps=0.0), 'eps must be positive, got 0.0'),
    ],
)
def test_options_that_do_not_exist_or_fit_are_refused_when_built(options, message):
    with pytest.raises(ConfigError, match=message):
        SpearmanLoss(**options)
