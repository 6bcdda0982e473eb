"""Losses on two processes and on one, with the same global batch; the processes hold different numbers of objects."""

import losses_rank
import pytest
import torch
from gloo import WORLD_SIZE, run_ranks
from loss_cases import CASES

# Losses whose definition holds the number of images of a process: the gradient that DDP averages is so many times that
# of one process. An option of each (ref_batch, images, confidence, normalizer) removes it.
IMAGES_OF_A_PROCESS = dict(
    scene_affinity=WORLD_SIZE,
    foreground_l2=WORLD_SIZE,
    selective_feature_by_teacher=WORLD_SIZE,
    quality_focal_released=1 / WORLD_SIZE,
    quality_response_printed=1 / WORLD_SIZE,
)
# Losses that relate the images of one process with each other: DDP gets the mean of what each finds in its own, with
# these weights where means run over what all processes hold (pairs of objects, points).
RELATIONS_WITHIN_A_PROCESS = dict(
    spearman_released=None,
    spearman_soft_rank_teacher=None,
    spearman_soft_rank_student=None,
    feature_mse_released=None,
    feature_mse_sum_mode=None,
    cross_correlation=None,
    cross_correlation_scale=None,
    cross_correlation_cosine=None,
    pearson=None,
    selective_relation=lambda objects: objects**4 / (objects.square().sum() * objects.mean() ** 2),
    roi_affinity=lambda objects: objects**2 / objects.square().sum(),
    info_nce_both=lambda points: points / points.sum(),
)
# A sum of terms of both kinds.
MIXED = ('anchor_response_released',)
INDEPENDENT = [name for name in CASES if name not in {*IMAGES_OF_A_PROCESS, *RELATIONS_WITHIN_A_PROCESS, *MIXED}]


@pytest.fixture(scope='module')
def two_processes(tmp_path_factory):
    """Loss and gradients of every case in each of two processes."""
    folder = tmp_path_factory.mktemp('losses')
    run_ranks(losses_rank.work, folder, folder / 'results.pt')
    return torch.load(folder / 'results.pt')


def averaged(two_processes, name):
    """What DDP makes of the losses and gradients of the processes: their mean."""
    return losses_rank.combined([found[name] for found in two_processes], [1 / WORLD_SIZE] * WORLD_SIZE)


def one_process(name):
    return losses_rank.evaluate(CASES[name], losses_rank.joined(losses_rank.shares_of_batch(CASES[name])))


def assert_same(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize('name', INDEPENDENT)
def test_losses_and_gradients_do_not_depend_on_the_number_of_processes(two_processes, name):
    assert_same(averaged(two_processes, name), one_process(name))


@pytest.mark.parametrize(('name', 'factor'), IMAGES_OF_A_PROCESS.items(), ids=IMAGES_OF_A_PROCESS)
def test_losses_that_count_the_images_of_a_process_grow_or_shrink_with_their_number(two_processes, name, factor):
    assert_same(averaged(two_processes, name), [factor * x for x in one_process(name)])


@pytest.mark.parametrize(('name', 'weights'), RELATIONS_WITHIN_A_PROCESS.items(), ids=RELATIONS_WITHIN_A_PROCESS)
def test_relations_run_within_a_process_and_their_means_over_all(two_processes, name, weights):
    parts = losses_rank.shares_of_batch(CASES[name])
    alone = [losses_rank.evaluate(CASES[name], part) for part in parts]
    shares = [1 / WORLD_SIZE] * WORLD_SIZE
    if weights is not None:
        masks = [part['targets']['mask_2d'] if 'targets' in part else part['valid'] for part in parts]
        shares = weights(torch.stack([mask.sum() for mask in masks]).double()).tolist()
        assert shares[0] > shares[1]
    assert_same(averaged(two_processes, name), losses_rank.combined(alone, shares))
    with pytest.raises(AssertionError):
        assert_same(averaged(two_processes, name), one_process(name))
