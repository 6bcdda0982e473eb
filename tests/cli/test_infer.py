"""``mono-distill infer``: files for pictures, and one line for every mistake."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from kitti_files import calib_text
from tiny_inference import CONFIG, picture, write_weights

from mono_distill.apis.inferencer import MonoDistillInferencer
from mono_distill.cli.main import main
from mono_distill.datasets.kitti.labels import read_label

CAMERA = '100,100,80,24'


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A folder with weights, three pictures and their calibrations."""
    folder = tmp_path_factory.mktemp('place')
    write_weights(folder / 'tiny.pth')
    for part in ('pictures', 'calib'):
        (folder / part).mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / 'pictures' / f'{number:06d}.png'), picture(seed=number))
        (folder / 'calib' / f'{number:06d}.txt').write_text(calib_text())
    return folder


def infer(place, images, *options, camera=CAMERA, config=CONFIG, weights='tiny.pth'):
    given = [str(place / image) for image in ([images] if isinstance(images, str) else images)]
    return main(
        ['infer', str(config), str(place / weights), *given, '--cam2img', str(camera), '--device', 'cpu', *options]
    )


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file())


def test_a_folder_gives_text_json_and_pictures(place, tmp_path, capsys):
    assert infer(place, 'pictures', '--out', str(tmp_path), '--batch-size', '2', camera=place / 'calib') == 0
    names = ['000000', '000001', '000002']
    expected = [f'{kind}/{name}.{suffix}' for kind, suffix in (('kitti', 'txt'), ('overlay', 'png'), ('bev', 'png'))
                for name in names]  # fmt: skip
    assert files(tmp_path) == sorted(['detections.json', *expected])
    assert cv2.imread(str(tmp_path / 'overlay' / '000001.png')).shape == (288, 960, 3)
    assert '3 images, 150 objects (' in capsys.readouterr().out


def test_text_and_json_hold_what_the_inferencer_returns(place, tmp_path):
    assert infer(place, ['pictures/000002.png', 'pictures/000000.png'], '--out', str(tmp_path), '--no-pictures') == 0
    content = json.loads((tmp_path / 'detections.json').read_text())
    assert [image['name'] for image in content['images']] == ['000002', '000000']
    assert content['classes'] == ['Pedestrian', 'Car', 'Cyclist']
    expected = MonoDistillInferencer(CONFIG, place / 'tiny.pth', 'cpu')(place / 'pictures' / '000002.png', CAMERA)[0]
    assert content['images'][0]['objects'] == expected.to_dict()['objects']
    assert np.allclose(read_label(tmp_path / 'kitti' / '000002.txt').bboxes_3d, expected.bboxes_3d, atol=1e-4)
    assert not (tmp_path / 'overlay').exists()


def test_a_threshold_is_on_the_score(place, tmp_path):
    assert infer(place, 'pictures', '--out', str(tmp_path), '--score-thr', '0.5', '--no-pictures') == 0
    scores = [
        one['score']
        for image in json.loads((tmp_path / 'detections.json').read_text())['images']
        for one in image['objects']
    ]
    assert 0 < len(scores) < 150
    assert min(scores) >= 0.5


def test_no_detection_gives_valid_empty_files(place, tmp_path, capsys):
    options = ['--out', str(tmp_path), '--cfg-options', 'model.test_cfg.score_thr=1.0']
    assert infer(place, 'pictures/000000.png', *options) == 0
    assert (tmp_path / 'kitti' / '000000.txt').read_text() == ''
    assert json.loads((tmp_path / 'detections.json').read_text())['images'][0]['objects'] == []
    assert np.array_equal(cv2.imread(str(tmp_path / 'overlay' / '000000.png'))[::6, ::6], picture(seed=0))
    assert '1 images, 0 objects (no object)' in capsys.readouterr().out


def test_without_a_folder_it_writes_to_the_work_directory(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert infer(place, 'pictures/000000.png', '--no-pictures') == 0
    assert files(tmp_path) == [
        'work_dirs/monodle_tiny_kitti/infer/detections.json',
        'work_dirs/monodle_tiny_kitti/infer/kitti/000000.txt',
    ]


def test_results_from_earlier_are_pointed_out(place, tmp_path, capsys):
    for name in ('000000', '000001'):
        assert infer(place, f'pictures/{name}.png', '--out', str(tmp_path), '--no-pictures') == 0
    assert 'also holds the results of 1 other images from earlier, 000000.txt first' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(images='pictures/7.png'), '7.png does not exist'),
        (dict(images='pictures/*.jpg'), 'no file matches'),
        (dict(images='tiny.pth'), 'tiny.pth is damaged or no image'),
        (dict(images=['pictures', 'pictures/000001.png']), '2 images are named 000001'),
        (dict(camera='100,100,80'), '3 numbers'),
        (dict(camera='0,100,80,24'), 'focal lengths must be positive'),
        (dict(camera='nan,100,80,24'), 'NaN or infinity'),
        (dict(camera='nowhere.txt'), "intrinsics 'nowhere.txt': no such file"),
        (dict(weights='nowhere.pth'), 'there is no checkpoint'),
        (dict(config='nowhere.py'), "config 'nowhere.py' does not exist"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(place, tmp_path, capsys, changes, message):
    others = {key: value for key, value in changes.items() if key != 'images'}
    assert infer(place, changes.get('images', 'pictures'), '--out', str(tmp_path), **others) == 2
    said = capsys.readouterr().err
    assert said.startswith('mono-distill infer: ')
    assert message in said
    assert said.count('\n') == 1


def test_an_image_without_calibration_is_named(place, tmp_path, capsys):
    (tmp_path / '000000.txt').write_text(calib_text())
    assert infer(place, 'pictures', camera=tmp_path) == 2
    assert 'no intrinsics for image 000001' in capsys.readouterr().err


@pytest.mark.parametrize('options', [['--batch-size', '0'], ['--score-thr', '-1'], ['--device', 'gpu']])
def test_an_impossible_option_is_refused(place, options):
    assert infer(place, 'pictures', *options) == 2


def test_interrupted_it_leaves_whole_files(place, tmp_path, monkeypatch, capsys):
    written = MonoDistillInferencer.stream

    def stopped(self, *args, **kwargs):
        yield next(written(self, *args, **kwargs))
        raise KeyboardInterrupt

    monkeypatch.setattr(MonoDistillInferencer, 'stream', stopped)
    assert infer(place, 'pictures', '--out', str(tmp_path)) == 130
    assert files(tmp_path) == ['bev/000000.png', 'kitti/000000.txt', 'overlay/000000.png']
    assert 'interrupted' in capsys.readouterr().out
