from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_scene import CLEAR, block, small_scene

from mono_distill.synthetic.kernels import sky_color
from mono_distill.synthetic.materials import Material
from mono_distill.synthetic.mesh import merge
from mono_distill.synthetic.raycast import RayCaster
from mono_distill.synthetic.shading import environment_parameters, shade
from mono_distill.synthetic.shapes import box, polygon

# The sun stands in the direction of +y.
WHITE = Material((0.8, 0.8, 0.8), contrast=0.0)
GROUND = polygon([[-50, -50, 0], [400, -50, 0], [400, 50, 0], [-50, 50, 0]], WHITE)
NO_HAZE = replace(CLEAR, visibility=1e6)


def world(*parts, actors=(), environment=NO_HAZE):
    return replace(small_scene(*actors), background=merge([GROUND, *parts]), environment=environment)


def white_block(x, y=0.0, **kwargs):
    actor = block(x, y, **kwargs)
    return replace(actor, mesh=replace(actor.mesh, materials=(WHITE,)))


def light(scene, eye, target):
    """Light that comes from a target point to the eye, (3,)."""
    eye = np.asarray(eye, dtype=np.float64)
    way = np.asarray(target, dtype=np.float64) - eye
    way = (way / np.linalg.norm(way)).astype(np.float32)[None]
    caster = RayCaster(scene, 0.0, center=(0, 0, 0))
    return shade(caster, eye, way, caster.cast(eye, way), 1e-4)[0]


def test_sunlit_side_is_brighter_than_the_side_in_shade():
    scene = world(box((20, 0, 0), (4, 4, 4), WHITE))
    lit, dark = light(scene, (20, 20, 2), (20, 2, 2)), light(scene, (20, -20, 2), (20, -2, 2))
    assert lit.min() > 2 * dark.max() > 0


def test_light_of_a_sunlit_wall_is_sun_times_cosine_plus_sky():
    scene = world(box((20, 0, 0), (4, 4, 40), WHITE))
    sky, sun = np.array(CLEAR.sky), np.array(CLEAR.sun)
    ambient = 0.5 * sky + 0.5 * (0.22 * sky + 0.12 * sun)
    assert light(scene, (20, 20, 20), (20, 2, 20)) == pytest.approx(0.8 * (ambient + 0.6 * sun), rel=1e-3)


def test_ground_in_the_shadow_of_a_body_is_darker():
    scene = world(box((20, 0, 0), (4, 4, 4), WHITE))
    # The sun is 53 degrees high: the shadow is three metres long.
    shadow, beyond = light(scene, (0, -15, 8), (20, -4.5, 0)), light(scene, (0, -15, 8), (20, -6, 0))
    assert beyond.min() > 2 * shadow.max() > 0


def test_actors_cast_shadows():
    scene = world(actors=[white_block(20.0, size=(4.0, 4.0, 4.0))])
    assert light(scene, (0, -15, 8), (20, -4.5, 0)).max() < 0.5 * light(scene, (0, -15, 8), (20, -6, 0)).min()


def test_no_shadows_under_clouds():
    overcast = replace(NO_HAZE, sun=(0.0, 0.0, 0.0))
    scene = world(box((20, 0, 0), (4, 4, 4), WHITE), environment=overcast)
    assert light(scene, (0, -15, 8), (20, -4.5, 0)) == pytest.approx(light(scene, (0, -15, 8), (20, -6, 0)))


@pytest.mark.parametrize('sun', [(1.0, 1.0, 1.0), (0.0, 0.0, 0.0)])
def test_ground_beside_an_actor_is_darker_than_ground_away_from_it(sun):
    scene = world(actors=[white_block(20.0)], environment=replace(NO_HAZE, sun=sun))
    # On the side of the sun, where no shadow falls.
    beside, near, away = (light(scene, (20, 10, 4), (20, 0.9 + gap, 0)) for gap in (0.05, 0.5, 1.5))
    assert beside.max() < near.min()
    assert np.all(near < away)
    assert away == pytest.approx(light(world(environment=scene.environment), (20, 10, 4), (20, 2.4, 0)))


def test_contact_shadow_stays_on_the_ground():
    scene = world(box((20, 3, 0), (4, 4, 1), WHITE), actors=[white_block(20.0, size=(4.0, 1.8, 3.0))])
    bare = world(box((20, 3, 0), (4, 4, 1), WHITE))
    # The roof of the box, one metre above the ground and 20 cm beside the actor.
    assert light(scene, (20, 10, 5), (20, 1.1, 1)) == pytest.approx(light(bare, (20, 10, 5), (20, 1.1, 1)))


def test_contrast_fades_with_distance_to_the_color_of_the_horizon():
    haze = replace(CLEAR, visibility=100.0)
    horizon = np.array(CLEAR.horizon)
    contrast = []
    for distance in (20.0, 70.0, 300.0):
        scene = world(box((distance + 1, 0, 0), (2, 80, 40), WHITE), environment=haze)
        contrast.append(light(scene, (0, 0, 20), (distance, 0, 20)) - horizon)
    near, middle, far = contrast
    assert middle == pytest.approx(near * np.exp(-50 / 100), rel=1e-3)
    assert far == pytest.approx(near * np.exp(-280 / 100), rel=1e-2)


def test_glossy_surface_shows_the_sky_that_it_mirrors():
    matt, glossy = (Material((0.0, 0.0, 0.0), contrast=0.0, gloss=gloss) for gloss in (0.0, 0.3))
    slab = [[0, -5, 0.5], [40, -5, 0.5], [40, 5, 0.5], [0, 5, 0.5]]
    eye, target = (0.0, 0.0, 10.5), (10.0, 0.0, 0.5)
    assert light(world(polygon(slab, matt)), eye, target) == pytest.approx(np.zeros(3), abs=1e-4)
    seen = light(world(polygon(slab, glossy)), eye, target)
    mirrored = np.zeros(3, dtype=np.float32)
    up = np.sqrt(0.5)
    sky_color(up, 0.0, up, environment_parameters(NO_HAZE), mirrored)
    fresnel = 0.3 + 0.7 * 0.75 * (1 - up) ** 5
    assert seen == pytest.approx(mirrored * fresnel, rel=1e-3)


def test_mirrors_are_stronger_at_a_flat_angle():
    glossy = Material((0.0, 0.0, 0.0), contrast=0.0, gloss=0.05)
    scene = world(polygon([[0, -5, 0.5], [400, -5, 0.5], [400, 5, 0.5], [0, 5, 0.5]], glossy))
    assert np.all(light(scene, (0, 0, 20.5), (60, 0, 0.5)) > 1.8 * light(scene, (0, 0, 60.5), (30, 0, 0.5)))


def test_wet_roads_mirror():
    road = Material((0.02, 0.02, 0.02), pattern=1, contrast=0.0)
    slab = polygon([[0, -5, 0.5], [400, -5, 0.5], [400, 5, 0.5], [0, 5, 0.5]], road)
    dry, wet = (world(slab, environment=replace(NO_HAZE, wetness=wetness)) for wetness in (0.0, 1.0))
    assert light(wet, (0, 0, 5.5), (5, 0, 0.5)).min() > 1.2 * light(dry, (0, 0, 5.5), (5, 0, 0.5)).min()


def test_lamps_shine_in_the_dark():
    lamp = Material((0.8, 0.1, 0.1), contrast=0.0, emission=5.0)
    dark = replace(NO_HAZE, sun=(0.0, 0.0, 0.0), sky=(0.0, 0.0, 0.0))
    scene = world(box((20, 0, 0), (1, 1, 1), lamp), environment=dark)
    assert light(scene, (0, 0, 0.5), (19.5, 0, 0.5)) == pytest.approx([4, 0.5, 0.5], rel=1e-3)


def test_where_nothing_is_hit_there_is_sky():
    expected = np.zeros(3, dtype=np.float32)
    sky_color(0.6, 0.0, 0.8, environment_parameters(NO_HAZE), expected)
    assert light(world(), (0, 0, 1), (6, 0, 9)) == pytest.approx(expected, rel=1e-4)


def test_environment_parameters_are_in_the_order_that_the_kernels_read():
    row = environment_parameters(replace(CLEAR, wetness=0.5, seed=9973 + 5))
    expected = [*CLEAR.sun_direction, *CLEAR.sun, *CLEAR.sky, *CLEAR.horizon, 0.2, 2000, 0.5, 5]
    assert row == pytest.approx(expected)
