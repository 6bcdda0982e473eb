"""Every array kernel on a GPU: the values and gradients of the CPU, and where the host does not wait."""

import pytest
import torch
from cuda.gpu import leaves_of, moved, needs_gpu, without_waiting

from mono_distill import ops
from mono_distill.ops.box_depth_map import box_depth_map
from mono_distill.ops.deformable_attention import deformable_attention

pytestmark = needs_gpu

BEV = dict(x_range=(-51.2, 51.2), y_range=(-51.2, 51.2))
OPS = {}
# They match on the host, or read back how far they are.
WAITS = {'hungarian_matching', 'isotonic_pools'}


def op(name):
    """Register a maker of ``(inputs, function)``; inputs that ask for a gradient are compared in it."""

    def register(make):
        OPS[name] = make
        return make

    return register


def boxes_3d(batch=2, count=12):
    low = torch.tensor([-50.0, -50.0, -1.0, 0.6, 0.6, 1.4, -3.1, -5.0, -5.0])
    high = torch.tensor([50.0, 50.0, 0.0, 9.0, 2.8, 3.5, 3.1, 5.0, 5.0])
    return (low + (high - low) * torch.rand(batch, count, 9)).double()


def boxes_2d(batch=2, count=9):
    corner = torch.rand(batch, count, 2) * torch.tensor([250.0, 60.0]) - 5
    return torch.cat([corner, corner + 3 + 60 * torch.rand(batch, count, 2)], 2).double()


def asking(*shape):
    return torch.randn(*shape, dtype=torch.float64).requires_grad_()


@op('soft_rank, one pool')
def one_pool():
    return [asking(3, 500)], lambda x: ops.soft_rank(x, 100.0)


@op('soft_rank, many pools')
def many_pools():
    return [asking(3, 500)], lambda x: ops.soft_rank(x, 0.01)


@op('average_ranks')
def ranks():
    return [torch.randint(40, (3, 500)).double()], ops.average_ranks


@op('isotonic_pools')
def pools():
    return [torch.randn(3, 500, dtype=torch.float64)], ops.isotonic_pools


@op('bev_pool')
def bev_pool():
    points = torch.randn(2, 3, 8, 4, 6, 3, dtype=torch.float64) * 30

    def run(points, context, depth):
        indices = ops.bev_pool_indices(points, (32, 32), **BEV, z_range=(-40.0, 40.0))
        return ops.bev_pool(context, depth, indices)

    return [points, asking(2, 3, 5, 4, 6), asking(2, 3, 8, 4, 6)], run


@op('bev_pool_indices, points on borders')
def borders():
    steps = torch.arange(-64, 64, dtype=torch.float32) * 0.8
    points = torch.stack([steps, steps.flip(0), torch.zeros(128)], -1).view(1, 1, 128, 1, 1, 3)
    return [points], lambda p: ops.bev_pool_indices(p, (128, 128), **BEV, z_range=(-5.0, 3.0), compact=False).plan


@op('frustum_lift')
def lift():
    coordinates = torch.rand(2, 3, 6, 5, 3, dtype=torch.float64) * 2.4 - 1.2

    def run(coordinates, context, depth):
        return ops.frustum_lift(context, depth, ops.frustum_lift_indices(coordinates, (8, 4, 6)))

    return [coordinates, asking(2, 5, 4, 6), asking(2, 8, 4, 6)], run


@op('gaussian_heatmaps')
def heatmaps():
    centres = torch.stack([torch.randint(80, (2, 9)), torch.randint(24, (2, 9))], -1)
    return [centres, torch.randint(1, 9, (2, 9))], lambda c, r: ops.gaussian_heatmaps(c, r, (24, 80))


@op('center_head_targets')
def head_targets():
    labels = torch.randint(-1, 10, (2, 12))
    return [boxes_3d(), labels], lambda b, n: ops.center_head_targets(b, n, (1, 2, 2, 1, 2, 2), (64, 64), **BEV)


@op('bev_box_masks')
def bev_masks():
    return [boxes_3d()], lambda b: ops.bev_box_masks(b, (64, 64), **BEV)


@op('bev_box_indices')
def bev_indices():
    return [boxes_3d()], lambda b: ops.bev_box_indices(b, (64, 64), **BEV)


@op('bev_box_scales')
def bev_scales():
    return [boxes_3d()], lambda b: ops.bev_box_scales(b, (64, 64), **BEV)


@op('box_masks')
def masks():
    return [boxes_2d()], lambda b: ops.box_masks(b, (24, 80), stride=4)


@op('box_weight_maps, last')
def last_weights():
    return [boxes_2d(), torch.rand(2, 9).double().requires_grad_()], lambda b, w: ops.box_weight_maps(
        b, w, (24, 80), stride=4
    )


@op('box_weight_maps, largest')
def largest_weights():
    return [boxes_2d(), torch.rand(2, 9).double().requires_grad_()], lambda b, w: ops.box_weight_maps(
        b, w, (24, 80), stride=4, overlap='largest'
    )


@op('box_depth_map')
def depth_map():
    depths, valid = torch.rand(2, 9).double() * 60, torch.rand(2, 9) < 0.8
    return [boxes_2d() / 4, depths, valid], lambda b, d, v: box_depth_map(b, d, v, (24, 80))


@op('roi_align')
def rois():
    return [asking(2, 5, 24, 80), boxes_2d()], lambda f, b: ops.roi_align(f, b, 7, stride=4)


@op('deformable_attention')
def attention():
    shapes = ((6, 20), (3, 10))
    locations = torch.rand(2, 7, 4, 2, 3, 2, dtype=torch.float64).requires_grad_()
    weights = torch.rand(2, 7, 4, 2, 3, dtype=torch.float64).requires_grad_()
    return [asking(2, 150, 4, 5), locations, weights], lambda v, x, w: deformable_attention(v, shapes, x, w)


@op('rotated_iou')
def iou():
    boxes = boxes_3d()[..., [0, 1, 3, 4, 6]]
    boxes[..., :2] /= 10
    return [boxes], lambda b: ops.rotated_iou(b[0][:, None], b[1][None])


@op('sample_bev')
def samples():
    return [asking(2, 5, 16, 16), boxes_3d()], lambda f, b: ops.sample_bev(f, ops.bev_key_points(b), **BEV)


@op('depth_bin_targets')
def bins():
    return [torch.rand(2, 9, 9).double() * 60], lambda d: ops.one_hot_depth(ops.depth_bin_targets(d), 120)


@op('effective_dimension')
def dimension():
    return [torch.randn(2, 50, 8, dtype=torch.float64)], ops.effective_dimension


@op('resize_bilinear')
def resize():
    return [asking(2, 5, 12, 40)], lambda f: ops.resize_bilinear(f, (6, 20))


@op('hungarian_matching')
def matching():
    return [torch.rand(2, 9, 6, dtype=torch.float64)], ops.hungarian_matching


@op('mutual_nearest_matching')
def nearest():
    return [torch.rand(2, 9, 6, dtype=torch.float64)], ops.mutual_nearest_matching


@pytest.fixture
def made(request):
    torch.manual_seed(0)
    return OPS[request.param]()


def cotangent(x):
    """Numbers that depend on the place alone; float64, or the two devices would differ in them."""
    return torch.arange(x.numel(), dtype=torch.float64, device=x.device).cos().view(x.shape)


def results(inputs, function):
    """Results, then the gradients of what asks for one, for a cotangent that depends on the place alone."""
    outputs = leaves_of(function(*inputs))
    leaves = [x for x in leaves_of(inputs) if x.requires_grad]
    if not leaves:
        return outputs
    total = sum((x * cotangent(x)).sum() for x in outputs if x.grad_fn)
    return [*(x.detach() for x in outputs), *torch.autograd.grad(total, leaves)]


@pytest.mark.parametrize('made', OPS, indirect=True)
def test_values_and_gradients_are_those_of_the_cpu(made):
    inputs, function = made
    for ours, theirs in zip(results(moved(inputs), function), results(inputs, function), strict=True):
        assert ours.is_cuda
        # Some compute in float32 whatever they are given.
        tolerance = 1e-9 if theirs.dtype == torch.float64 else 1e-5
        torch.testing.assert_close(ours.cpu(), theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize('made', [name for name in OPS if name not in WAITS], indirect=True)
def test_the_host_does_not_wait(made):
    inputs, function = made
    inputs = moved(inputs)
    results(inputs, function)
    with without_waiting():
        results(inputs, function)
