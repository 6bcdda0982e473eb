import pytest
import torch

from mono_distill.models.view_transformers.bounds import DepthBins
from mono_distill.models.view_transformers.depth_override import known_depth, override_depth
from mono_distill.utils.errors import ConfigError, ShapeError

BINS = DepthBins((2.0, 8.0), 3)


def test_known_depth_is_certain_where_lidar_sees_something_in_range():
    gt_depth = torch.tensor([[[[0.0, 2.0, 5.9]], [[7.9, 8.0, 1.0]]]])
    known = known_depth(gt_depth, BINS)
    assert known.shape == (1, 2, 3, 1, 3)
    assert known[0, 0, :, 0].T.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert known[0, 1, :, 0].T.tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_modes_differ_only_where_depth_is_known():
    depth = torch.rand(2, 3, 3, 4, 5).softmax(2)
    gt_depth = torch.where(torch.rand(2, 3, 4, 5) > 0.5, torch.rand(2, 3, 4, 5) * 5.9 + 2, 0)
    known = known_depth(gt_depth, BINS)
    seen = (gt_depth > 0).unsqueeze(2).expand_as(depth)
    assert torch.equal(override_depth(depth, known, 'pred'), depth)
    certain, mixed = override_depth(depth, known, 'gt_onehot'), override_depth(depth, known, 'mix')
    assert torch.equal(certain[~seen], depth[~seen])
    assert torch.equal(certain[seen], known[seen])
    assert torch.equal(mixed[~seen], depth[~seen])
    assert torch.allclose(mixed[seen], (depth[seen] + known[seen]) / 2)
    assert torch.allclose(mixed.sum(2), torch.ones(2, 3, 4, 5))


def test_the_gradient_reaches_the_prediction_but_not_the_known_depth():
    depth = torch.rand(1, 1, 3, 1, 2, requires_grad=True)
    known = torch.tensor([0.0, 1.0, 0.0]).view(1, 1, 3, 1, 1).expand(1, 1, 3, 1, 2) * torch.tensor([1.0, 0.0])
    known.requires_grad_()
    override_depth(depth, known, 'mix').sum().backward()
    assert known.grad is None
    assert depth.grad[0, 0, 0, 0].tolist() == [0.5, 1.0]


def test_what_does_not_fit_is_named():
    depth = torch.rand(1, 1, 3, 1, 2)
    with pytest.raises(ConfigError, match='depth_mode'):
        override_depth(depth, depth, 'truth')
    with pytest.raises(ConfigError, match='LidarDepthTargets'):
        override_depth(depth, None, 'gt_onehot')
    with pytest.raises(ShapeError, match='same depth bins'):
        override_depth(depth, torch.rand(1, 1, 4, 1, 2), 'mix')
