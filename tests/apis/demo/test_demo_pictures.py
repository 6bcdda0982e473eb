"""Which frames are drawn, and what is on the pictures."""

import numpy as np
import pytest
from demo_files import PREDICTION, write_tested_demo

from mono_distill.apis.demo.pictures import choose_frames, draw_frames, read_predictions
from mono_distill.evaluation.kitti_annos import KittiFrame
from mono_distill.visualization import GROUND_TRUTH_COLOR, PREDICTION_COLOR


def frame(name, depths, occluded=0):
    count = len(depths)
    annos = {
        'name': np.array(['Car'] * count),
        'truncated': np.zeros(count),
        'occluded': np.full(count, occluded),
        'bbox': np.tile([10.0, 10.0, 60.0, 60.0], (count, 1)),
        'location': np.array([[0.0, 1.6, depth] for depth in depths]).reshape(-1, 3),
    }
    return KittiFrame(name, annos, np.eye(4), np.eye(4), (1242, 375))


def test_the_frame_with_most_cars_of_every_part_is_chosen():
    frames = [
        frame('0', [10]),
        frame('1', [10, 20]),
        frame('2', [10]),
        frame('3', []),
        frame('4', [10]),
        frame('5', []),
    ]
    assert choose_frames({one.sample_id: one for one in frames}, 2, 1.0) == ['1', '4']


def test_cars_that_are_hidden_far_or_small_do_not_count():
    frames = [frame('0', [10, 20], occluded=3), frame('1', [60, 70]), frame('2', [10])]
    assert choose_frames({one.sample_id: one for one in frames}, 1, 1.0) == ['2']
    assert choose_frames({one.sample_id: one for one in frames}, 1, 10.0) == ['0']


def test_fewer_frames_than_wanted_are_all_chosen():
    assert choose_frames({'0': frame('0', []), '1': frame('1', [10])}, 4, 1.0) == ['0', '1']


def test_predictions_below_the_threshold_are_left_out(tmp_path):
    lines = [PREDICTION.format(box='1 2 3 4', x=1, z=12, score=score) for score in (0.9, 0.1)]
    (tmp_path / '0.txt').write_text(''.join(lines))
    found = read_predictions(tmp_path / '0.txt', 0.2)
    assert found.boxes.tolist() == [[1.0, 1.65, 12.0, 4.0, 1.5, 1.6, 0.1]]
    assert found.scores.tolist() == [0.9]
    assert read_predictions(tmp_path / '0.txt', 0.0).boxes.shape == (2, 7)


def has(picture, color):
    return bool((np.abs(picture.astype(int) - color).max(axis=2) < 30).any())


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    folder = write_tested_demo(tmp_path_factory.mktemp('demo'))
    return folder, draw_frames(folder, 4, 1.0)


def test_ground_truth_comes_first_then_every_detector(drawn):
    _, (one,) = drawn
    assert one.sample_id == '000000'
    assert [panel.title for panel in one.panels] == [
        'Ground truth', 'Teacher', 'Student', 'Student, trained on', 'Distilled student',
    ]  # fmt: skip


def test_found_cars_are_orange_where_something_was_found(drawn):
    _, (one,) = drawn
    truth, *detectors = one.panels
    assert has(truth.bev, GROUND_TRUTH_COLOR)
    assert not has(truth.bev, PREDICTION_COLOR)
    assert all(has(panel.camera, PREDICTION_COLOR) and has(panel.bev, PREDICTION_COLOR) for panel in detectors)
    assert all('1 cars found' in panel.text for panel in detectors)


def test_the_depth_map_has_the_size_of_the_image(drawn):
    _, (one,) = drawn
    assert one.depth.shape == one.panels[0].camera.shape
    assert one.depth.any()


def test_one_composed_picture_a_frame_is_written(drawn):
    folder, _ = drawn
    assert [path.name for path in folder.pictures.iterdir()] == ['frame_000000.png']
