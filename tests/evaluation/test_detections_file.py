from __future__ import annotations

import numpy as np
import pytest

from mono_distill.evaluation.detections_file import load_detections, save_detections
from mono_distill.utils.errors import DataError


def annos(count, start):
    numbers = np.arange(start, start + 13 * count, dtype=float).reshape(count, 13)
    return {
        'name': np.array(['Car', 'Cyclist'][:count], dtype=str),
        'truncated': np.zeros(count),
        'occluded': np.zeros(count, np.int64),
        'bbox': numbers[:, :4],
        'location': numbers[:, 4:7],
        'dimensions': numbers[:, 7:10],
        'rotation_y': numbers[:, 10],
        'alpha': numbers[:, 11],
        'score': numbers[:, 12],
    }


def test_what_is_read_is_what_was_written_empty_frames_included(tmp_path):
    frames = {'000007': annos(2, 0.1), '000001': annos(0, 0), '000002': annos(1, 99.0)}
    save_detections(tmp_path / 'all.npz', frames)
    read = load_detections(tmp_path / 'all.npz')
    assert list(read) == list(frames)
    for name, expected in frames.items():
        for key, value in expected.items():
            assert read[name][key].dtype == value.dtype or key == 'name'
            np.testing.assert_array_equal(read[name][key], value)


def test_no_frames_at_all_is_a_file_too(tmp_path):
    save_detections(tmp_path / 'none.npz', {})
    assert load_detections(tmp_path / 'none.npz') == {}


def test_another_file_is_refused(tmp_path):
    np.savez(tmp_path / 'other.npz', x=np.zeros(2))
    with pytest.raises(DataError, match='no file of detections'):
        load_detections(tmp_path / 'other.npz')
