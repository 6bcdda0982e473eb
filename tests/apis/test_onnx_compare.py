"""Candidates are compared whatever the order of equal heats."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mono_distill.apis.onnx_compare import compare_candidates


def candidates(**changes):
    rng = np.random.default_rng(0)
    return {
        'heat': np.array([0.9, 0.5, 0.5, 1e-4, 1e-4]),
        'bboxes_3d': rng.normal(size=(5, 7)),
        'scores': rng.random(5),
        'alpha': np.array([0.1, 0.2, 0.3, 0.4, 0.5]),
    } | changes


def test_a_list_is_equal_to_itself():
    result = compare_candidates(candidates(), candidates())
    assert (result.compared, result.relative) == (3, 0)
    assert result.absolute == dict.fromkeys(['heat', 'bboxes_3d', 'scores', 'alpha'], 0.0)


def test_the_order_of_equal_heats_does_not_count():
    swapped = {name: value[[0, 2, 1, 4, 3]] for name, value in candidates().items()}
    assert compare_candidates(candidates(), swapped).relative == 0


def test_candidates_at_a_bound_of_the_heat_do_not_count():
    changed = candidates()
    changed['bboxes_3d'][3:] += 9
    assert compare_candidates(candidates(), changed).relative == 0
    last = candidates(heat=np.array([0.9, 0.8, 0.7, 0.3 + 1e-7, 0.3]))
    assert compare_candidates(last, {**last, 'bboxes_3d': changed['bboxes_3d']}).relative == 0
    saturated = candidates(heat=np.full(5, 1 - 1e-4))
    assert compare_candidates(saturated, saturated).compared == 0


@pytest.mark.parametrize('name', ['heat', 'bboxes_3d', 'scores', 'alpha'])
def test_a_difference_is_found_in_every_output(name):
    changed = candidates()
    changed[name][1] += 0.01
    result = compare_candidates(candidates(), changed)
    assert result.absolute[name] == pytest.approx(0.01)
    assert 0.002 < result.relative <= 0.01 + 1e-9


def test_angles_are_equal_after_a_turn():
    turned = candidates()
    turned['alpha'] += 2 * math.pi
    turned['bboxes_3d'][:, 6] -= 2 * math.pi
    result = compare_candidates(candidates(), turned)
    assert result.absolute['alpha'] == pytest.approx(0, abs=1e-12)
    assert result.absolute['bboxes_3d'] == pytest.approx(0, abs=1e-12)


def test_what_is_not_finite_is_infinitely_far():
    broken = candidates()
    broken['scores'][0] = np.nan
    assert compare_candidates(candidates(), broken).relative > 0
    assert compare_candidates(candidates(), {**candidates(), 'scores': np.full(5, np.nan)}).relative == math.inf
