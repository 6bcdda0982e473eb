from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mono_distill.evaluation import kitti_submission
from mono_distill.evaluation.kitti_submission import result_text, rounded, write_results

CAR = {
    'name': np.array(['Car']),
    'truncated': np.zeros(1),
    'occluded': np.zeros(1),
    'alpha': np.array([-1.2345]),
    'bbox': np.array([[10.126, 20.0, 30.5, 40.25]]),
    'dimensions': np.array([[3.9, 1.5, 1.6]]),
    'location': np.array([[1.0, 2.0, 30.0]]),
    'rotation_y': np.array([0.5]),
    'score': np.array([0.87654]),
}
NOTHING = {key: values[:0] for key, values in CAR.items()}


def test_columns_are_those_of_the_benchmark():
    """type, truncated, occluded, alpha, left, top, right, bottom, height, width, length, x, y, z, rotation_y, score."""
    expected = 'Car -1 -1 -1.23 10.13 20.00 30.50 40.25 1.50 1.60 3.90 1.00 2.00 30.00 0.50 0.88\n'
    assert result_text(CAR, decimals=2) == expected


def test_four_decimals_by_default():
    assert result_text(CAR).endswith(' 0.8765\n')


def test_one_file_per_frame_and_an_empty_one_for_no_detections(tmp_path: Path):
    others = write_results({'000003': CAR, '000010': NOTHING}, tmp_path / 'made' / 'data')
    assert others == []
    assert sorted(path.name for path in (tmp_path / 'made' / 'data').iterdir()) == ['000003.txt', '000010.txt']
    assert (tmp_path / 'made' / 'data' / '000003.txt').read_text() == result_text(CAR)
    assert (tmp_path / 'made' / 'data' / '000010.txt').read_text() == ''


def test_files_of_an_earlier_run_are_replaced_or_reported(tmp_path: Path):
    for name in ('000003', '000099'):
        (tmp_path / f'{name}.txt').write_text('earlier')
    assert [path.name for path in write_results({'000003': NOTHING}, tmp_path)] == ['000099.txt']
    assert (tmp_path / '000003.txt').read_text() == ''


def test_an_interrupted_run_leaves_no_partial_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(kitti_submission, 'result_text', interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_results({'000003': CAR}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_rounding_is_that_of_the_text():
    rng = np.random.default_rng(0)
    frames = []
    for count in (3, 0, 5):
        columns = {key: np.repeat(values, count, axis=0) for key, values in CAR.items()}
        frames.append({k: v if k == 'name' else v + rng.normal(size=v.shape) for k, v in columns.items()})
    for frame, result in zip(frames, rounded(frames, 2), strict=True):
        lines = [line.split() for line in result_text(frame, 2).splitlines()]
        assert len(lines) == len(result['score'])
        for i, line in enumerate(lines):
            numbers = np.array(line[3:], dtype=float)
            np.testing.assert_array_equal(result['alpha'][i], numbers[0])
            np.testing.assert_array_equal(result['bbox'][i], numbers[1:5])
            np.testing.assert_array_equal(result['dimensions'][i], numbers[[7, 5, 6]])
            np.testing.assert_array_equal(result['location'][i], numbers[8:11])
            np.testing.assert_array_equal(result['rotation_y'][i], numbers[11])
            np.testing.assert_array_equal(result['score'][i], numbers[12])


def test_rounding_a_tie_looks_at_the_binary_value():
    frame = {**CAR, 'score': np.array([2.675])}
    assert rounded([frame], 2)[0]['score'] == 2.67
    assert np.round(2.675, 2) == 2.68


def test_rounding_no_frames_gives_no_frames():
    assert rounded([], 2) == []
    assert len(rounded([NOTHING], 2)[0]['score']) == 0
