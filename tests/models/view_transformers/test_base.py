import pytest
import torch
from bev_students import IMAGE_MATRIX_SIZE, image_matrix, rig_cameras

from mono_distill.datasets.transforms.bev_aug import world_matrix
from mono_distill.models.view_transformers import Cameras, LSSViewTransformer
from mono_distill.models.view_transformers.frustum import cell_pixels, frustum_points
from mono_distill.utils.errors import ConfigError, ShapeError

SIZE = IMAGE_MATRIX_SIZE
CELLS = (SIZE[0] // 16, SIZE[1] // 16)
COARSE = dict(x_bound=(-51.2, 51.2, 1.6), y_bound=(-51.2, 51.2, 1.6), d_bound=(2.0, 58.0, 2.0))


def rig(world=None):
    return Cameras(*(matrix.float() for matrix in rig_cameras(image_matrix(SIZE), world)))


def build(**options):
    return LSSViewTransformer(4, 3, **{**COARSE, **options})


def distribution(transformer, softness=1.0):
    return (softness * torch.randn(1, 6, transformer.bins.bins, *CELLS)).softmax(2)


def reference(transformer, context, depth, cameras):
    """Every point of the frustum, one after the other."""
    pixels = cell_pixels(CELLS, 16)
    points = frustum_points(pixels, transformer.bin_depths, cameras)
    height, width = transformer.grid.size
    bev = torch.zeros(3, height, width)
    for n in range(6):
        for d in range(transformer.bins.bins):
            for v in range(CELLS[0]):
                for u in range(CELLS[1]):
                    x, y, z = points[0, n, d, v, u].tolist()
                    row, column = int((y + 51.2) // 1.6), int((x + 51.2) // 1.6)
                    if 0 <= row < height and 0 <= column < width and -5 <= z < 3:
                        bev[:, row, column] += depth[0, n, d, v, u] * context[0, n, :, v, u]
    return bev


def test_a_cell_sums_the_context_of_its_points_weighted_by_their_depth():
    transformer = build(d_bound=(2.0, 58.0, 8.0))
    context, depth = torch.randn(1, 6, 3, *CELLS), distribution(transformer)
    bev = transformer.pool(context, depth, rig())
    assert bev.shape == (1, 3, 64, 64)
    assert torch.allclose(bev[0], reference(transformer, context, depth, rig()), atol=1e-5)


@pytest.mark.parametrize(('flip', 'dims'), [((True, False), [3]), ((False, True), [2]), ((True, True), [2, 3])])
def test_a_mirrored_world_gives_the_mirrored_map(flip, dims):
    transformer = build()
    context, depth = torch.randn(1, 6, 3, *CELLS), distribution(transformer)
    plain = transformer.pool(context, depth, rig())
    mirrored = transformer.pool(context, depth, rig(torch.from_numpy(world_matrix(flip=flip))))
    assert plain.abs().sum() > 1
    # A point on the border of two cells goes to the right one in both.
    wrong = ((mirrored - plain.flip(dims)).abs() > 1e-5).any(1).float().mean()
    assert wrong <= 1e-3


def test_a_quarter_turn_of_the_world_turns_the_map():
    transformer = build()
    context, depth = torch.randn(1, 6, 3, *CELLS), distribution(transformer)
    plain = transformer.pool(context, depth, rig())
    # x ahead becomes y ahead: counterclockwise seen from above, rows along y.
    turned = transformer.pool(context, depth, rig(torch.from_numpy(world_matrix(90.0))))
    wrong = ((turned - plain.rot90(-1, [2, 3])).abs() > 1e-5).any(1).float().mean()
    assert wrong <= 2e-3


def test_forward_pools_the_softmax_of_its_logits():
    transformer = build()
    features = torch.randn(1, 6, 4, *CELLS)
    lifted = transformer(features, rig())
    logits, context = transformer.predict_depth(features, rig())
    assert torch.equal(lifted.depth_logits, logits)
    assert torch.allclose(lifted.depth, logits.softmax(2))
    assert torch.allclose(lifted.bev, transformer.pool(context, logits.softmax(2), rig()))


def test_known_depth_replaces_the_prediction_where_there_is_any():
    transformer = build()
    features = torch.randn(1, 6, 4, *CELLS)
    gt_depth = torch.where(torch.rand(1, 6, *CELLS) > 0.5, torch.rand(1, 6, *CELLS) * 55 + 2, 0)
    known = transformer.known_depth(gt_depth)
    predicted = transformer(features, rig())
    certain = transformer(features, rig(), known, 'gt_onehot')
    seen = (gt_depth > 0).unsqueeze(2).expand_as(known)
    assert torch.equal(certain.depth[seen], known[seen])
    assert torch.equal(certain.depth[~seen], predicted.depth[~seen])
    assert torch.equal(certain.depth_logits, predicted.depth_logits)
    assert not torch.allclose(certain.bev, predicted.bev)
    assert torch.equal(transformer(features, rig(), known, 'pred').bev, predicted.bev)


def test_the_map_is_of_full_precision_under_autocast():
    transformer = build()
    features = torch.randn(1, 6, 4, *CELLS)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        lifted = transformer(features, rig())
    assert lifted.depth_logits.dtype == torch.bfloat16
    assert lifted.depth.dtype == lifted.bev.dtype == torch.float32
    assert torch.allclose(lifted.bev, transformer(features, rig()).bev, atol=0.05)


def test_gradients_reach_context_and_depth():
    transformer = build()
    features = torch.randn(1, 6, 4, *CELLS, requires_grad=True)
    transformer(features, rig()).bev.square().sum().backward()
    bins = transformer.bins.bins
    assert transformer.depth_net.weight.grad[:bins].abs().sum() > 0
    assert transformer.depth_net.weight.grad[bins:].abs().sum() > 0
    assert features.grad.abs().sum() > 0


def test_the_weighted_depth_loss():
    transformer = build(loss_depth_weight=3.0)
    logits, gt_depth = torch.randn(1, 6, 28, *CELLS), torch.rand(1, 6, *CELLS) * 60
    single = build(loss_depth_weight=1.0)
    assert torch.allclose(transformer.loss_depth(logits, gt_depth), 3 * single.loss_depth(logits, gt_depth))


def test_a_missing_camera_is_named():
    with pytest.raises(ShapeError, match='as many cameras as matrices'):
        build()(torch.randn(1, 5, 4, *CELLS), rig())


def test_options_are_checked():
    with pytest.raises(ConfigError, match='rounding'):
        build(rounding='nearest')
    with pytest.raises(ConfigError, match='frustum_mode'):
        build(frustum_mode='corner')
    with pytest.raises(ConfigError, match='does not divide'):
        build(x_bound=(-51.2, 51.2, 1.5))


def test_constants_are_not_saved():
    assert set(build().state_dict()) == {'depth_net.weight', 'depth_net.bias'}
