"""Options of the demo and the schedule that follows from them."""

import pytest

from mono_distill.apis.demo.options import DemoOptions, schedule
from mono_distill.utils.errors import ConfigError


@pytest.mark.parametrize(
    'wrong', [{'frames': 19}, {'train_steps': 0}, {'distil_steps': 0}, {'workers': 0}, {'seed': -1}]
)
def test_an_impossible_option_is_named_as_it_is_typed(tmp_path, wrong):
    (name,) = wrong
    with pytest.raises(ConfigError, match=f'--{name.replace("_", "-")} must be at least'):
        DemoOptions(tmp_path, **wrong)


def test_more_frames_than_memory_should_hold_are_refused(tmp_path):
    with pytest.raises(ConfigError, match='--frames must be at most 2000'):
        DemoOptions(tmp_path, frames=2001)


@pytest.mark.parametrize('frames', [4, 7, 100, 450, 1999])
@pytest.mark.parametrize('steps', [500, 2000])
def test_the_schedule_is_the_nearest_number_of_whole_epochs(frames, steps):
    plan = schedule(frames, steps)
    length = frames // 4
    assert plan.steps == plan.epochs * length
    assert abs(plan.steps - steps) <= length / 2


def test_there_is_at_least_one_epoch():
    assert schedule(400, 1).epochs == 1


@pytest.mark.parametrize('frames', [0, 3, 2001])
def test_too_few_or_too_many_frames_are_refused(frames):
    with pytest.raises(ConfigError, match=f'trains on 4 to 2000 frames, got {frames}'):
        schedule(frames, 100)


def test_workers_and_folder_do_not_decide_what_is_computed(tmp_path):
    assert DemoOptions(tmp_path / 'a', workers=1).recorded() == DemoOptions(tmp_path / 'b', workers=4).recorded()
    assert DemoOptions(tmp_path, seed=1).recorded() != DemoOptions(tmp_path).recorded()


def test_own_frames_are_taken_at_full_size(tmp_path):
    assert DemoOptions(tmp_path, kitti_root=tmp_path).image_scale == 1
    assert DemoOptions(tmp_path).image_scale == 0.25
