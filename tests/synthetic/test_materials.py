from __future__ import annotations

import numpy as np
import pytest

from mono_distill.synthetic.materials import TABLE_COLUMNS, Material, Pattern, material_table

BRICK = Material((0.1, 0.2, 0.3), Pattern.BRICKS, 0.25, 0.4, (0.5, 0.6, 0.7), 0.05, 2.0, 1.5)


def test_columns_hold_what_their_names_say():
    row = dict(zip(TABLE_COLUMNS, material_table([BRICK])[0].tolist(), strict=True))
    assert [row[name] for name in ('r', 'g', 'b', 'r2', 'g2', 'b2')] == pytest.approx([0.1, 0.2, 0.3, 0.5, 0.6, 0.7])
    for name in ('pattern', 'scale', 'contrast', 'gloss', 'emission', 'reflectance'):
        assert row[name] == pytest.approx(float(getattr(BRICK, name)))


def test_rows_are_in_the_order_of_the_materials():
    table = material_table([BRICK, Material((1.0, 0.0, 0.0)), BRICK])
    assert table.dtype == np.float32
    assert table[:, 0] == pytest.approx([0.1, 1.0, 0.1])


def test_no_materials_give_an_empty_table():
    assert material_table([]).shape == (0, len(TABLE_COLUMNS))


def test_patterns_have_the_numbers_that_the_kernels_compare_with():
    assert (Pattern.PLAIN, Pattern.ASPHALT, Pattern.ROAD) == (0, 1, 7)
    assert len({int(pattern) for pattern in Pattern}) == len(Pattern)
