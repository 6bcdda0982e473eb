from __future__ import annotations

from mono_distill.synthetic.nuscenes.rig import CAMERAS
from mono_distill.synthetic.nuscenes.streams import Stream, generator


def test_every_purpose_has_numbers_of_its_own():
    purposes = [(s, i, f, stream) for s in range(2) for i in range(2) for f in range(2) for stream in Stream]
    draws = {generator(*purpose).integers(2**62) for purpose in purposes}
    assert len(draws) == len(purposes)


def test_the_same_purpose_gets_the_same_numbers():
    assert generator(1, 2, 3, Stream.CAMERA).random() == generator(1, 2, 3, Stream.CAMERA).random()


def test_cameras_do_not_count_into_the_sweeps():
    assert Stream.CAMERA + len(CAMERAS) <= Stream.LIDAR
