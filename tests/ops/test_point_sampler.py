import pytest
import torch

from mono_distill.ops.point_sampler import points_in_range, sample_bev
from mono_distill.utils.errors import ConfigError, ShapeError

X, Y = (-4.0, 8.0), (0.0, 6.0)


def random_map(batch=2, channels=3, height=6, width=8, dtype=torch.float64):
    return torch.randn(batch, channels, height, width, dtype=dtype, generator=torch.Generator().manual_seed(0))


def by_hand(features, point):
    """Bilinear interpolation between cell centres, with zeros outside of the map."""
    channels, height, width = features.shape
    column = (point[0] - X[0]) / (X[1] - X[0]) * width - 0.5
    row = (point[1] - Y[0]) / (Y[1] - Y[0]) * height - 0.5
    result = torch.zeros(channels, dtype=features.dtype)
    for i in range(height):
        for j in range(width):
            result += max(0.0, 1 - abs(row - i)) * max(0.0, 1 - abs(column - j)) * features[:, i, j]
    return result


def test_equals_interpolation_by_hand_inside_on_the_border_and_outside():
    features = random_map()
    points = torch.rand(2, 40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    points = points * torch.tensor([16.0, 10.0]) + torch.tensor([-6.0, -2.0])
    sampled = sample_bev(features, points, x_range=X, y_range=Y)
    for b in range(2):
        for n in range(40):
            torch.testing.assert_close(sampled[b, n], by_hand(features[b], points[b, n].tolist()))


def test_x_runs_along_columns_and_y_along_rows():
    """A ramp along x, read at (x, y), gives x; the transposed reading would give y."""
    centres = X[0] + (torch.arange(8, dtype=torch.float64) + 0.5) * 1.5
    ramp = centres.expand(1, 1, 6, 8)
    points = torch.tensor([[[1.0, 5.0], [6.5, 0.7]]], dtype=torch.float64)
    torch.testing.assert_close(sample_bev(ramp, points, x_range=X, y_range=Y)[0, :, 0], points[0, :, 0])


def test_at_a_cell_centre_the_feature_of_the_cell_is_returned():
    features = random_map(1)
    point = torch.tensor([[[-4 + 2.5 * 1.5, 3.5 * 1.0]]], dtype=torch.float64)
    torch.testing.assert_close(sample_bev(features, point, x_range=X, y_range=Y)[0, 0], features[0, :, 3, 2])


def test_far_and_non_finite_points_get_zeros_and_no_gradient():
    features = random_map(1).requires_grad_()
    points = torch.tensor([[[1e30, 1.0], [float('nan'), 1.0], [1.0, float('inf')], [1.0, 1.0]]], dtype=torch.float64)
    points.requires_grad_()
    sampled = sample_bev(features, points, x_range=X, y_range=Y)
    assert not sampled[0, :3].any()
    sampled.sum().backward()
    assert features.grad.isfinite().all()
    assert points.grad.isfinite().all()
    assert not points.grad[0, 1:3].any()


def test_gradients_equal_finite_differences():
    features = random_map().requires_grad_()
    points = torch.tensor([[[0.3, 2.2], [5.9, 0.2]], [[-3.9, 5.8], [7.1, 4.4]]], dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda f, p: sample_bev(f, p, x_range=X, y_range=Y), (features, points))


def test_any_number_of_point_dimensions_is_kept():
    points = torch.rand(2, 5, 9, 2, dtype=torch.float64)
    sampled = sample_bev(random_map(), points, x_range=X, y_range=Y)
    assert sampled.shape == (2, 5, 9, 3)
    torch.testing.assert_close(
        sampled.flatten(1, 2), sample_bev(random_map(), points.flatten(1, 2), x_range=X, y_range=Y)
    )


def test_no_points_give_nothing():
    sampled = sample_bev(random_map(), torch.zeros(2, 0, 2), x_range=X, y_range=Y)
    assert sampled.shape == (2, 0, 3)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast_compute_in_float32(dtype):
    features = random_map(dtype=torch.float32).to(dtype)
    points = torch.rand(2, 4, 2) * 6
    expected = sample_bev(features.float(), points, x_range=X, y_range=Y)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        actual = sample_bev(features, points, x_range=X, y_range=Y)
    assert actual.dtype == torch.float32
    assert torch.equal(actual, expected)


def test_graph_is_captured_whole():
    compiled = torch.compile(sample_bev, fullgraph=True, backend='aot_eager')
    points = torch.rand(2, 4, 2, dtype=torch.float64) * 6
    expected = sample_bev(random_map(), points, x_range=X, y_range=Y)
    torch.testing.assert_close(compiled(random_map(), points, x_range=X, y_range=Y), expected)


def test_range_includes_its_begin_and_excludes_its_end():
    points = torch.tensor([[-4.0, 0.0], [8.0, 1.0], [7.9, 6.0], [7.9, 5.9], [float('nan'), 1.0]])
    assert points_in_range(points, x_range=X, y_range=Y).tolist() == [True, False, False, True, False]


def test_refuses_what_does_not_fit():
    with pytest.raises(ShapeError, match=r'points \(B, N, 2\)'):
        sample_bev(random_map(), torch.zeros(2, 4, 3), x_range=X, y_range=Y)
    with pytest.raises(ShapeError, match='same batch'):
        sample_bev(random_map(), torch.zeros(1, 4, 2), x_range=X, y_range=Y)
    with pytest.raises(ConfigError, match='y_range must be'):
        sample_bev(random_map(), torch.zeros(2, 4, 2), x_range=X, y_range=(1.0, 1.0))
