from __future__ import annotations

from mono_distill.synthetic.nuscenes.layout import Job, filename, map_file, timestamp, token
from mono_distill.synthetic.nuscenes.rig import LIDAR


def test_the_first_key_frame_has_ten_sweeps_before_it():
    job = Job(0, 'scene-0061', 0)
    assert job.sweep_times == list(range(0, 500_000, 50_000))
    assert job.time == 500_000


def test_sweeps_and_key_frames_are_a_twentieth_of_a_second_apart():
    jobs = [Job(0, 'scene-0061', k) for k in range(3)]
    times = [moment for job in jobs for moment in (*job.sweep_times, job.time)]
    assert times == list(range(0, 1_500_001, 50_000))


def test_scenes_do_not_overlap_in_time():
    assert timestamp(1, 0) > timestamp(0, Job(0, '', 69).time)


def test_names_say_log_channel_and_time():
    assert filename(0, LIDAR, 50_000, is_key_frame=False) == (
        'sweeps/LIDAR_TOP/n900-2018-01-01-00-00-00+0000__LIDAR_TOP__1514764800050000.pcd.bin'
    )


def test_tokens_are_32_hexadecimal_digits_of_their_own():
    tokens = {token(seed, table, n) for seed in range(3) for table in ('scene', 'sample') for n in range(3)}
    assert len(tokens) == 18
    assert all(len(each) == 32 and int(each, 16) >= 0 for each in tokens)
    assert map_file(0, 1) != map_file(1, 1)
