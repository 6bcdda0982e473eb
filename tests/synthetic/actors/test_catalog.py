from __future__ import annotations

import time

import numpy as np
import pytest
from body_views import cast, face_normals, look, share_of

from mono_distill.synthetic.actors import looks
from mono_distill.synthetic.actors.catalog import KINDS, MODELS, Body, build_body, build_kind, draw_size
from mono_distill.synthetic.scene import CATEGORIES
from mono_distill.utils.errors import ConfigError

EVERY_KIND = [(category, kind) for category, kinds in KINDS.items() for kind, _ in kinds]
VEHICLES = [pair for pair in EVERY_KIND if pair[0].startswith('vehicle')]
# Nothing need be below an excavator's arm, a loader's bucket or between the wheels of a cycle.
LOW = ('vehicle.car', 'vehicle.truck', 'vehicle.bus.rigid', 'vehicle.trailer')
HEAD = (looks.HEAD_LAMP, looks.HEAD_LAMP_ON)
TAIL = (looks.TAIL_LAMP, looks.TAIL_LAMP_ON)


def body_of(category: str, kind: str, seed: int = 0) -> Body:
    return build_kind(category, kind, np.random.default_rng(seed))


def sizes_of(category: str, count: int, *, without: tuple[str, ...] = (), spread: float = 1.0) -> np.ndarray:
    """Draw sizes as build_body does, without the meshes."""
    rng = np.random.default_rng(7)
    models = {kind: model for kind, model in MODELS[category].items() if kind not in without}
    weights = np.array([model.weight for model in models.values()])
    drawn = rng.choice(len(models), size=count, p=weights / weights.sum())
    return np.array([draw_size(list(models.values())[i], rng, spread) for i in drawn])


def test_every_category_of_a_scene_has_kinds():
    assert set(KINDS) == set(CATEGORIES)


@pytest.mark.parametrize('category', CATEGORIES)
def test_weights_of_a_category_sum_to_one(category):
    assert sum(weight for _, weight in KINDS[category]) == pytest.approx(1)


@pytest.mark.parametrize(('category', 'kind'), EVERY_KIND)
def test_the_mesh_fills_its_size(category, kind):
    for seed in range(4):
        body = body_of(category, kind, seed)
        low, high = body.mesh.bounds
        np.testing.assert_allclose(high - low, body.size, rtol=1e-5)
        np.testing.assert_allclose(low + high, [0, 0, body.size[2]], atol=1e-5)
        assert low[2] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(('category', 'kind'), EVERY_KIND)
def test_normals_are_unit_and_agree_with_the_triangles(category, kind):
    mesh = body_of(category, kind, 1).mesh
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-5)
    flat = face_normals(mesh)
    agree = (mesh.normals[mesh.faces].mean(axis=1) * flat).sum(axis=1) > 0
    area = np.linalg.norm(flat, axis=1)
    assert area[agree].sum() > 0.97 * area.sum()


@pytest.mark.parametrize(('category', 'kind'), EVERY_KIND)
def test_rays_from_outside_meet_outer_sides(category, kind):
    mesh = body_of(category, kind, 2).mesh
    for azimuth in range(0, 360, 45):
        assert look(mesh, azimuth).outward.mean() > 0.985


@pytest.mark.parametrize(('category', 'kind'), EVERY_KIND)
def test_triangles_are_few_and_building_is_fast(category, kind):
    body_of(category, kind)
    best = np.inf
    for seed in range(4):
        start = time.perf_counter()
        body = body_of(category, kind, seed)
        best = min(best, time.perf_counter() - start)
        assert len(body.mesh.faces) < 1400
    assert best < 0.02


@pytest.mark.parametrize(('category', 'kind'), EVERY_KIND)
def test_equal_seeds_give_equal_bytes_and_others_do_not(category, kind):
    first, again, other = (body_of(category, kind, seed) for seed in (3, 3, 4))
    assert first.size == again.size
    assert first.mesh.materials == again.mesh.materials
    for name in ('vertices', 'faces', 'normals', 'uv', 'material'):
        assert getattr(first.mesh, name).tobytes() == getattr(again.mesh, name).tobytes()
    assert first.mesh.vertices.tobytes() != other.mesh.vertices.tobytes()


@pytest.mark.parametrize(('category', 'kind'), [pair for pair in VEHICLES if pair[0] != 'vehicle.construction'])
def test_tail_lamps_are_seen_from_behind_only(category, kind):
    mesh = body_of(category, kind, 5).mesh
    front, rear = look(mesh, 0), look(mesh, 180)
    assert share_of(mesh, rear, *TAIL) > 0.002
    assert share_of(mesh, front, *TAIL) < 0.1 * share_of(mesh, rear, *TAIL)
    if category != 'vehicle.trailer':
        assert share_of(mesh, front, *HEAD) > 0.002
        assert share_of(mesh, rear, *HEAD) < 0.1 * share_of(mesh, front, *HEAD)


@pytest.mark.parametrize(('category', 'kind'), [pair for pair in VEHICLES if pair[0] in LOW])
def test_lidar_rays_do_not_pass_beneath(category, kind):
    body = body_of(category, kind, 6)
    length, width, _ = body.size
    x, y = np.meshgrid(np.linspace(-0.25, 0.25, 15) * length, np.linspace(-0.2, 0.2, 9) * width)
    ground = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1)
    for azimuth in np.radians([0, 40, 90, 140, 180]):
        sensor = np.array([20 * np.cos(azimuth), 20 * np.sin(azimuth), 1.8])
        toward = (ground - sensor) / np.linalg.norm(ground - sensor, axis=1, keepdims=True)
        triangle, _ = cast(body.mesh, np.broadcast_to(sensor, toward.shape), toward)
        assert (triangle >= 0).mean() > 0.95


@pytest.mark.parametrize(
    ('category', 'without', 'mean', 'deviation'),
    [
        ('vehicle.car', ('van',), (3.88, 1.63, 1.53), (0.43, 0.10, 0.14)),
        ('vehicle.truck', (), (6.9, 2.5, 2.8), (1.1, 0.2, 0.4)),
        ('vehicle.bus.rigid', (), (11.0, 2.9, 3.5), (1.2, 0.12, 0.22)),
        ('vehicle.trailer', (), (12.3, 2.9, 3.9), (1.4, 0.14, 0.2)),
        ('vehicle.construction', (), (6.4, 2.8, 3.2), (0.8, 0.25, 0.3)),
        ('human.pedestrian.adult', (), (0.84, 0.66, 1.76), (0.25, 0.09, 0.10)),
        ('vehicle.motorcycle', (), (2.1, 0.8, 1.5), (0.16, 0.06, 0.2)),
        ('vehicle.bicycle', ('parked',), (1.76, 0.6, 1.74), (0.12, 0.06, 0.10)),
        ('movable_object.trafficcone', (), (0.4, 0.4, 1.07), (0.05, 0.05, 0.13)),
        ('movable_object.barrier', (), (0.5, 2.5, 1.0), (0.05, 0.35, 0.08)),
    ],
)
def test_sizes_have_the_stated_mean_and_spread(category, without, mean, deviation):
    sizes = sizes_of(category, 3000, without=without)
    np.testing.assert_allclose(sizes.mean(axis=0), mean, rtol=0.035)
    np.testing.assert_allclose(sizes.std(axis=0), deviation, rtol=0.35)


def test_vans_have_kittis_size():
    sizes = sizes_of('vehicle.car', 2000, without=tuple(kind for kind in MODELS['vehicle.car'] if kind != 'van'))
    np.testing.assert_allclose(sizes.mean(axis=0), (5.08, 1.9, 2.2), rtol=0.02)


@pytest.mark.parametrize('category', CATEGORIES)
def test_spread_scales_the_deviations(category):
    kind, model = next(iter(MODELS[category].items()))
    rest = tuple(other for other in MODELS[category] if other != kind)
    assert np.ptp(sizes_of(category, 10, without=rest, spread=0.0), axis=0).max() == 0
    single, double = (sizes_of(category, 1500, without=rest, spread=spread).std(axis=0) for spread in (0.5, 1.0))
    np.testing.assert_allclose(double, 2 * single, rtol=0.05)
    np.testing.assert_allclose(double, model.deviation, rtol=0.1)


def test_a_spread_of_zero_gives_the_mean_size():
    body = build_kind('vehicle.car', 'sedan', np.random.default_rng(0), spread=0.0)
    assert body.size == MODELS['vehicle.car']['sedan'].mean


def test_no_size_is_below_half_the_mean():
    model = MODELS['human.pedestrian.adult']['standing']
    rng = np.random.default_rng(0)
    sizes = np.array([draw_size(model, rng, 20.0) for _ in range(200)])
    assert (sizes >= 0.5 * np.array(model.mean) - 1e-9).all()


def test_paint_tells_nothing_about_size():
    brightness, length = [], []
    for seed in range(300):
        body = build_kind('vehicle.car', 'sedan', np.random.default_rng(seed))
        area = np.linalg.norm(face_normals(body.mesh), axis=1)
        paint = body.mesh.materials[int(np.bincount(body.mesh.material, area).argmax())]
        brightness.append(sum(paint.color))
        length.append(body.size[0])
    assert abs(np.corrcoef(brightness, length)[0, 1]) < 0.2


def test_kinds_come_in_their_shares():
    rng = np.random.default_rng(0)
    kinds = [build_body('vehicle.bicycle', rng).kind for _ in range(200)]
    assert 0.48 < kinds.count('rider') / 200 < 0.72


def test_an_unknown_category_is_refused_with_a_hint():
    with pytest.raises(ConfigError, match="'vehicle.cra'; did you mean 'vehicle.car'"):
        build_body('vehicle.cra', np.random.default_rng(0))


def test_an_unknown_kind_is_refused_with_a_hint():
    with pytest.raises(ConfigError, match="vehicle.car has no kind 'sedna'; did you mean 'sedan'"):
        build_kind('vehicle.car', 'sedna', np.random.default_rng(0))


@pytest.mark.parametrize('spread', [-0.1, float('nan'), float('inf')])
def test_an_impossible_spread_is_refused(spread):
    with pytest.raises(ConfigError, match='spread must be a finite number, at least 0'):
        build_body('vehicle.car', np.random.default_rng(0), spread=spread)
