"""Tests of mono_distill.models.bevformer.spatial_attention."""

import math

import pytest
import torch
from bevformer_models import IMAGE, RANGE, frame_matrices, rig, shift, turn

from mono_distill.models.bevformer import spatial_attention
from mono_distill.models.bevformer.geometry import PillarViews, lidar_to_image, pillar_points, view_pillars
from mono_distill.models.bevformer.spatial_attention import SpatialCrossAttention, plan_cameras
from mono_distill.models.monodetr.deformable_attention import flatten_maps
from mono_distill.utils.errors import ConfigError

HEADS, HEIGHTS, POINTS, CHANNELS, GRID = 2, 2, 4, 8, (5, 4)
SHAPES = ((4, 6), (2, 3))


def attention():
    torch.manual_seed(0)
    options = dict(num_levels=2, num_heights=HEIGHTS, num_points=POINTS)
    module = SpatialCrossAttention(CHANNELS, HEADS, **options).eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module


def views(grid=GRID, heights=HEIGHTS, matrices=None):
    points = pillar_points(RANGE, grid, heights, like=torch.zeros(1))
    return view_pillars(points, lidar_to_image(**(matrices or frame_matrices(rig()))), IMAGE)


def maps(requires_grad=False):
    torch.manual_seed(5)
    return [torch.randn(2, 5, CHANNELS, *shape, requires_grad=requires_grad) for shape in SHAPES]


def memory(levels):
    return flatten_maps([level.flatten(0, 1) for level in levels])


def bilinear(image, x, y):
    total = torch.zeros(image.shape[0])
    for column in (math.floor(x), math.floor(x) + 1):
        for row in (math.floor(y), math.floor(y) + 1):
            if 0 <= column < image.shape[2] and 0 <= row < image.shape[1]:
                total += (1 - abs(x - column)) * (1 - abs(y - row)) * image[:, row, column]
    return total


def ask_camera(module, query, levels, locations):
    """Samples of one camera (maps (C, h, w)) for one pillar with positions (Z, 2)."""
    offsets = module.sampling_offsets(query).view(HEADS, 2, POINTS, 2)
    weights = module.attention_weights(query).view(HEADS, 2 * POINTS).softmax(-1).view(HEADS, 2, POINTS)
    heads = []
    for head in range(HEADS):
        total = torch.zeros(4)
        for level, image in enumerate(levels):
            height, width = SHAPES[level]
            value = module.value_proj(image.flatten(1).T).T[head * 4 : head * 4 + 4].reshape(4, height, width)
            for k in range(POINTS):
                x, y = (locations[k % HEIGHTS] * torch.tensor([width, height]) - 0.5 + offsets[head, level, k]).tolist()
                total += weights[head, level, k] * bilinear(value, x, y)
        heads.append(total)
    return torch.cat(heads)


def brute_force(module, query, levels, seen):
    """The formula in loops over images, pillars and all cameras."""
    out = torch.zeros_like(query)
    for b in range(query.shape[0]):
        for p in range(query.shape[1]):
            cameras = [n for n in range(5) if seen.visible[b, n, p].any()]
            answers = [
                ask_camera(module, query[b, p], [level[b, n] for level in levels], seen.locations[b, n, p])
                for n in cameras
            ]
            mean = sum(answers) / len(answers) if answers else torch.zeros(CHANNELS)
            out[b, p] = query[b, p] + module.output_proj(mean)
    return out


@torch.no_grad()
def test_output_is_the_mean_over_the_cameras_that_see_the_pillar():
    module, levels, seen, query = attention(), maps(), views(), torch.randn(2, 20, CHANNELS)
    hits = seen.visible.any(-1).sum(1)
    assert hits.min() == 0
    assert hits.max() == 2
    result = module(query, memory(levels), plan_cameras(seen))
    torch.testing.assert_close(result, brute_force(module, query, levels, seen), rtol=1e-4, atol=1e-5)


def test_away_from_the_host_the_number_of_slots_does_not_depend_on_what_is_seen():
    hit = torch.zeros(2, 5, 21, dtype=torch.bool, device='meta')
    assert spatial_attention.num_slots(hit, None) == 21
    assert spatial_attention.num_slots(hit, 0.5) == 11


@pytest.mark.parametrize('slots', [10, 20])
def test_slots_without_a_pillar_change_nothing(monkeypatch, slots):
    module, levels, seen, query = attention(), maps(), views(), torch.randn(2, 20, CHANNELS)
    exact = plan_cameras(seen)
    assert exact.pillars.shape[2] == seen.visible.any(-1).sum(-1).max() < slots
    monkeypatch.setattr(spatial_attention, 'num_slots', lambda hit, share: slots)
    padded = plan_cameras(seen)
    assert padded.pillars.shape[2] == slots
    expected = module(query, memory(levels), exact)
    torch.testing.assert_close(module(query, memory(levels), padded), expected)


def test_each_camera_has_the_pillars_it_sees_in_order():
    seen = views()
    plan = plan_cameras(seen)
    for b in range(2):
        for n in range(5):
            pillars = plan.pillars[b, n][plan.seen[b, n]]
            assert pillars.tolist() == torch.where(seen.visible[b, n].any(-1))[0].tolist()
            torch.testing.assert_close(plan.locations[b, n][plan.seen[b, n]], seen.locations[b, n, pillars])
    assert torch.equal(plan.cameras.squeeze(-1), seen.visible.any(-1).sum(1).clamp(min=1))


def test_no_camera_need_see_anything():
    seen = views()
    nothing = PillarViews(seen.locations, torch.zeros_like(seen.visible))
    module, query = attention(), torch.randn(2, 20, CHANNELS)
    result = module(query, memory(maps()), plan_cameras(nothing))
    torch.testing.assert_close(result, query + module.output_proj.bias)


def test_gradients_reach_the_maps_of_all_cameras_and_all_parameters():
    module, levels, query = attention(), maps(requires_grad=True), torch.randn(2, 20, CHANNELS, requires_grad=True)
    module(query, memory(levels), plan_cameras(views())).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in module.parameters())
    for level in levels:
        assert (level.grad.abs().sum((2, 3, 4)) > 0).all()
    assert (query.grad.abs().sum(-1) > 0).all()


def plain_attention():
    """One head that reads one map where the pillar is: no offsets, no mixing of channels."""
    module = SpatialCrossAttention(2, 1, num_heights=1, num_points=1, dropout=0.0)
    with torch.no_grad():
        module.sampling_offsets.bias.zero_()
        for layer in (module.value_proj, module.output_proj):
            layer.weight.copy_(torch.eye(2))
    return module


def pixel_coordinates():
    """Maps (1, 5, 2, H, W) in full resolution whose channels are the pixels' u and v."""
    height, width = IMAGE
    u, v = torch.arange(width).expand(IMAGE), torch.arange(height).unsqueeze(1).expand(IMAGE)
    return torch.stack([u, v]).float().expand(1, 5, 2, *IMAGE).clone()


@pytest.mark.parametrize('angle', [0.0, 0.35, 0.9])
@pytest.mark.parametrize('flip', [(1.0, 1.0), (-1.0, 1.0), (1.0, -1.0)])
@torch.no_grad()
def test_a_painted_pixel_arrives_in_the_cell_of_its_object(angle, flip):
    """An object is painted where it appears; the augmented grid shows it where the augmentation moves it."""
    matrices = {name: value.clone() for name, value in frame_matrices(rig(1)).items()}
    world = torch.diag(torch.tensor([*flip, 1.0, 1.0], dtype=torch.float64)) @ turn(angle)
    matrices['lidar_aug_matrix'][0] = world.float()
    # Every image is mirrored and shifted.
    matrices['img_aug_matrix'][..., 0, 0] = -1.0
    matrices['img_aug_matrix'][..., 0, 3] = IMAGE[1] - 1.0
    grid = (64, 64)
    centre = torch.tensor([-51.2 + (28 + 0.5) * 1.6, -51.2 + (50 + 0.5) * 1.6, -1.0, 1.0], dtype=torch.float64)
    place = torch.linalg.solve(world, centre)
    camera = next(n for n in range(5) if sees(matrices, place, n))
    u, v = pixel(matrices, place, camera)
    paint = torch.zeros(1, 5, 2, *IMAGE)
    paint[0, camera, :, round(v), round(IMAGE[1] - 1 - u)] = 1.0
    plan = plan_cameras(views(grid, 1, matrices))
    answer = plain_attention()(torch.zeros(1, 64 * 64, 2), memory([paint]), plan)[0, :, 0].view(grid)
    assert answer[50, 28] > 0.2
    # Nothing else but what lies on the same line of sight shows it.
    rows, columns = torch.where(answer > 0)
    eye = (world @ matrices['cam2lidar'][0, camera].double())[:2, 3]
    cells = torch.stack([-51.2 + (columns + 0.5) * 1.6, -51.2 + (rows + 0.5) * 1.6], 1).double()
    towards, sight = cells - eye, centre[:2] - eye
    beside = (towards[:, 0] * sight[1] - towards[:, 1] * sight[0]).abs() / towards.norm(dim=1) / sight.norm()
    assert beside.max() < 2.0 / 75


def pixel(matrices, place, camera):
    """Pixel of a point of the world in the image as it was taken."""
    seen = torch.linalg.solve(matrices['cam2lidar'][0, camera].double(), place)
    image = matrices['cam2img'][0, camera].double() @ seen
    return float(image[0] / image[2]), float(image[1] / image[2])


def sees(matrices, place, camera):
    ahead = torch.linalg.solve(matrices['cam2lidar'][0, camera].double(), place)[2] > 0
    u, v = pixel(matrices, place, camera)
    return bool(ahead) and 1 < u < IMAGE[1] - 2 and 1 < v < IMAGE[0] - 2


@torch.no_grad()
def test_a_pillar_reads_the_pixel_it_is_projected_to():
    matrices = {name: value.clone() for name, value in frame_matrices(rig(1)).items()}
    matrices['lidar_aug_matrix'][0] = (shift(0.3, 0.2, 0.0) @ turn(0.4)).float()
    matrices['img_aug_matrix'][..., :2, :2] *= 0.9
    seen = views((16, 16), 1, matrices)
    answer = plain_attention()(torch.zeros(1, 256, 2), memory([pixel_coordinates()]), plan_cameras(seen))[0]
    size = torch.tensor([IMAGE[1], IMAGE[0]])
    checked = 0
    for p in range(256):
        cameras = [n for n in range(5) if seen.visible[0, n, p].any()]
        pixels = [seen.locations[0, n, p, 0] * size - 0.5 for n in cameras]
        # Within half a pixel of the border the ramp falls off to zero.
        if pixels and all((place > 0).all() and (place < size - 1).all() for place in pixels):
            torch.testing.assert_close(answer[p], sum(pixels) / len(pixels), rtol=1e-3, atol=1e-2)
            checked += 1
    assert checked > 60


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match='num_points must be a multiple of num_heights=4, got 6'):
        SpatialCrossAttention(8, 2, num_points=6)
