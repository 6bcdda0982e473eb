import pytest
import torch
from monodetr_batch import LAYERS, random_outputs, random_targets
from monodetr_models import data_samples, tiny_detector

from mono_distill.models.task_modules import GroupHungarianAssigner
from mono_distill.targets import MatchedLogScale, gt_boxes, matched_log_scale
from mono_distill.utils.errors import ConfigError, ShapeError

COUNTS, GROUP = (4, 0, 2), 5


def matched(groups=3, counts=COUNTS, seed=0):
    """Outputs of a head, their matching and the targets."""
    outs, targets = random_outputs(len(counts), groups * GROUP, seed=seed), random_targets(counts, seed=seed)
    return outs['depth'], GroupHungarianAssigner(GROUP)(outs, targets), targets


def by_loops(depth, assignment, targets, groups):
    found = torch.zeros(targets['mask_2d'].shape)
    for b, n in targets['mask_2d'].nonzero().tolist():
        queries = [
            query
            for query, there in zip(assignment['queries'][-1, b, :, n], assignment['mask'][-1, b, :, n], strict=True)
            if there
        ]
        used = queries if groups == 'mean' else [query for query in queries if query < GROUP]
        values = [float(depth[LAYERS - 1, b, query, 1]) for query in used]
        found[b, n] = sum(values) / len(values) if values else 20.0
    return found


@pytest.mark.parametrize('groups', ['first', 'mean'])
@pytest.mark.parametrize('seed', range(3))
def test_it_is_what_the_matched_queries_say(groups, seed):
    depth, assignment, targets = matched(seed=seed)
    read = MatchedLogScale(groups)(depth, assignment, targets)
    torch.testing.assert_close(read, by_loops(depth, assignment, targets, groups))


def test_the_last_layer_counts():
    depth, assignment, targets = matched()
    last = dict(queries=assignment['queries'][-1:], mask=assignment['mask'][-1:])
    torch.testing.assert_close(
        matched_log_scale(depth, assignment, targets), matched_log_scale(depth[-1:], last, targets)
    )


def test_with_one_group_first_and_mean_are_the_same():
    args = matched(groups=1)
    torch.testing.assert_close(matched_log_scale(*args), matched_log_scale(*args, groups='mean'))


@pytest.mark.parametrize('groups', ['first', 'mean'])
def test_more_objects_than_queries_leave_some_unknown(groups):
    depth, assignment, targets = matched(counts=(GROUP + 2, 1))
    read = matched_log_scale(depth, assignment, targets, groups=groups)
    torch.testing.assert_close(read, by_loops(depth, assignment, targets, groups))
    assert (read[0] == 20).sum() == (2 if groups == 'first' else (~assignment['mask'][-1, 0].any(0)).sum())
    # Nothing is known: the confidence is 0, and so is the weight among the relations.
    assert torch.tensor(20.0).neg().exp() < 1e-8


def test_empty_slots_are_zero_whatever_query_zero_says():
    depth, assignment, targets = matched()
    depth[:, 1] = torch.nan
    depth[:, 2, [q for q in range(15) if q not in assignment['queries'][-1, 2, :, :2]]] = torch.inf
    read = matched_log_scale(depth, assignment, targets, groups='mean')
    assert read.isfinite().all()
    assert (read[~targets['mask_2d']] == 0).all()


def test_a_batch_without_objects():
    depth, assignment, targets = matched(counts=(0, 0))
    assert matched_log_scale(depth, assignment, targets).tolist() == [[0.0], [0.0]]


def test_half_precision_is_raised_and_nothing_is_differentiated():
    depth, assignment, targets = matched()
    read = matched_log_scale(depth.bfloat16().requires_grad_(), assignment, targets)
    assert read.dtype == torch.float32
    assert not read.requires_grad


@pytest.mark.parametrize('training', [True, False])
def test_the_slots_are_those_of_the_annotations(training):
    """The detector's matching fits gt_boxes, in training with all groups and in evaluation with the first."""
    torch.manual_seed(0)
    detector, samples = tiny_detector().train(training), data_samples((2, 0, 3))
    detector.loss(dict(imgs=torch.randn(3, 3, 96, 320)), samples)
    inner = detector.distill_outputs()
    assignment = dict(queries=inner['matched_queries'], mask=inner['matched_mask'])
    assert assignment['queries'].shape == (2, 3, 3 if training else 1, 3)
    objects = gt_boxes(samples)
    assert objects['mask_2d'].sum() == 5
    read = matched_log_scale(inner['depth'], assignment, objects)
    for b, n in ((0, 0), (0, 1), (2, 0), (2, 1), (2, 2)):
        query = assignment['queries'][-1, b, 0, n]
        assert query < detector.num_queries
        assert read[b, n] == inner['depth'][-1, b, query, 1]


def test_mistakes_are_named():
    depth, assignment, targets = matched()
    with pytest.raises(ShapeError, match=r'expected \(L, B, Q, C\)'):
        matched_log_scale(depth[0], assignment, targets)
    with pytest.raises(ShapeError, match=r"'queries' has shape"):
        matched_log_scale(depth, assignment, random_targets((5, 0, 2)))
    with pytest.raises(ConfigError, match="needs 'queries'"):
        matched_log_scale(depth, {}, targets)
    with pytest.raises(ConfigError, match="did you mean 'mean'"):
        MatchedLogScale('means')
