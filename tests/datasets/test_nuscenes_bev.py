"""nuScenes samples: which key-frames, which of them are the past, and what is known about each."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from mmdet3d.evaluation.metrics.nuscenes_metric import lidar_nusc_box_to_global, output_to_nusc_box
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from nuscenes.eval.common.config import config_factory
from nuscenes.eval.common.utils import quaternion_yaw
from nuscenes.nuscenes import NuScenes
from pyquaternion import Quaternion
from tiny_nuscenes import VERSION, load_infos

from mono_distill.datasets import NuScenesBEVDataset
from mono_distill.datasets.nuscenes import NUSCENES_CLASSES
from mono_distill.registry import DATASETS
from mono_distill.utils.errors import ConfigError, DataError

TRAIN = 'nuscenes_infos_train.pkl'


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmdet3d')


@pytest.fixture
def dataset(tiny_nuscenes):
    def build(ann_file=TRAIN, root=tiny_nuscenes, **options):
        return NuScenesBEVDataset(str(ann_file), str(root), **options)

    return build


@pytest.fixture
def tokens(tiny_nuscenes):
    return [info['token'] for info in load_infos(tiny_nuscenes, 'train')['data_list']]


@pytest.fixture
def changed(tmp_path, tiny_nuscenes):
    """Write an info file with a change and return its path."""

    def write(change):
        content = load_infos(tiny_nuscenes, 'train')
        change(content)
        path = tmp_path / 'changed.pkl'
        path.write_bytes(pickle.dumps(content))
        return path

    return write


def past_tokens(sample):
    return [None if frame is None else frame['token'] for frame in sample['past']]


def test_a_sample_knows_its_place_and_its_sensors(dataset, tokens):
    sample = dataset().get_data_info(1)
    assert (sample['sample_idx'], sample['token'], sample['frame_idx']) == (1, tokens[1], 1)
    assert len(sample['img_path']) == len(sample['images']) == 6
    assert len(sample['lidar_sweeps']) == 10
    assert sample['past'] == []
    assert sample['ego2global'].shape == sample['lidar2ego'].shape == (4, 4)


def test_the_version_and_the_box_type_reach_the_metric(dataset):
    metainfo = dataset().metainfo
    assert metainfo['version'] == VERSION
    assert metainfo['box_type_3d'] == 'LiDAR'
    assert metainfo['classes'] == NUSCENES_CLASSES


def test_earlier_keyframes_come_along(dataset, tokens):
    samples = dataset(num_past=2)
    assert past_tokens(samples.get_data_info(2)) == [tokens[1], tokens[0]]
    assert past_tokens(samples.get_data_info(1)) == [tokens[0], None]
    assert past_tokens(samples.get_data_info(0)) == [None, None]


def test_the_pipeline_says_how_many_earlier_keyframes_it_needs(dataset):
    pipeline = [
        dict(type='mono_distill.LoadMultiViewImages', num_frames=2),
        dict(type='mono_distill.LoadLidarSweeps', num_past=3),
    ]
    assert dataset(pipeline=pipeline).num_past == 3
    assert dataset(pipeline=pipeline[:1]).num_past == 1
    assert dataset(pipeline=pipeline, num_past=0).num_past == 0


@pytest.mark.parametrize('choose', ['indices', 'get_subset', 'get_subset_'])
def test_a_subset_keeps_tokens_positions_and_its_past(dataset, tokens, choose):
    if choose == 'indices':
        samples = dataset(num_past=1, indices=[2])
    else:
        samples = dataset(num_past=1)
        samples = getattr(samples, choose)([2]) or samples
    assert len(samples) == 1
    sample = samples.get_data_info(0)
    assert (sample['token'], sample['sample_idx']) == (tokens[2], 2)
    assert past_tokens(sample) == [tokens[1]]


def test_a_keyframe_without_boxes_is_kept_or_left_out(dataset, changed, tokens):
    path = changed(lambda content: content['data_list'][1].update(instances=[]))
    kept = dataset(path)
    assert len(kept) == 3
    assert len(kept.get_data_info(1)['ann_info']['gt_bboxes_3d']) == 0
    filtered = dataset(path, filter_empty_gt=True, num_past=1)
    assert [filtered.get_data_info(i)['token'] for i in range(len(filtered))] == [tokens[0], tokens[2]]
    assert past_tokens(filtered.get_data_info(1)) == [tokens[1]]
    assert len(dataset(path, filter_empty_gt=True, test_mode=True)) == 3


def test_labels_follow_the_names_not_the_numbers_in_the_file(dataset, tiny_nuscenes):
    content = load_infos(tiny_nuscenes, 'train')
    names = {number: name for name, number in content['metainfo']['categories'].items()}
    instances = [item for item in content['data_list'][0]['instances'] if item['bbox_3d_isvalid']]
    expected = [names[item['bbox_label_3d']] for item in instances]
    labels = dataset().get_data_info(0)['ann_info']['gt_labels_3d']
    assert [NUSCENES_CLASSES[label] for label in labels] == expected
    some = dataset(metainfo=dict(classes=('bicycle', 'car'))).get_data_info(0)['ann_info']
    assert [('bicycle', 'car')[label] for label in some['gt_labels_3d']] == [
        name for name in expected if name in ('bicycle', 'car')
    ]


def test_classes_of_a_sample_are_known_without_reading_it(dataset):
    samples = dataset(indices=[2])
    assert samples.get_cat_ids(0) == set(samples.get_data_info(0)['ann_info']['gt_labels_3d'].tolist())


def test_an_unknown_class_is_named(dataset):
    with pytest.raises(ConfigError, match='knows no class tram; it has car, truck'):
        dataset(metainfo=dict(classes=('car', 'tram')))


def test_boxes_come_back_to_the_annotation_as_the_metric_brings_them(dataset, tiny_nuscenes):
    """Sizes and headings exactly: the errors of scale and orientation of the ground truth are zero."""
    nusc = NuScenes(VERSION, str(tiny_nuscenes), verbose=False)
    config = config_factory('detection_cvpr_2019')
    config.class_range = dict.fromkeys(config.class_range, 1e6)
    info = load_infos(tiny_nuscenes, 'train')['data_list'][1]
    annotations = dataset().get_data_info(1)['ann_info']
    scores = torch.ones(len(annotations['gt_labels_3d']))
    detection = dict(
        bboxes_3d=annotations['gt_bboxes_3d'],
        scores_3d=scores,
        labels_3d=torch.from_numpy(annotations['gt_labels_3d']),
    )
    boxes = lidar_nusc_box_to_global(info, output_to_nusc_box(detection)[0], NUSCENES_CLASSES, config)
    records = [nusc.get('sample_annotation', token) for token in nusc.get('sample', info['token'])['anns']]
    records = [record for record in records if record['num_lidar_pts'] + record['num_radar_pts'] > 0]
    assert len(boxes) == len(records) > 20
    for box, record in zip(boxes, records, strict=True):
        np.testing.assert_allclose(box.center, record['translation'], atol=1e-4)
        np.testing.assert_allclose(box.wlh, record['size'], rtol=1e-6)
        turn = quaternion_yaw(box.orientation) - quaternion_yaw(Quaternion(record['rotation']))
        assert abs((turn + np.pi) % (2 * np.pi) - np.pi) < 1e-5
        velocity = nusc.box_velocity(record['token'])[:2]
        np.testing.assert_allclose(box.velocity[:2], np.nan_to_num(velocity), atol=1e-4)


def test_hidden_annotations_are_not_in_the_sample(dataset):
    assert 'ann_info' not in dataset(labelled=False).get_data_info(0)


def test_loading_hidden_annotations_is_refused(dataset):
    samples = dataset(labelled=False, pipeline=[dict(type='LoadAnnotations3D', with_bbox_3d=True, with_label_3d=True)])
    with pytest.raises(
        ConfigError, match=r'LoadAnnotations3D loads annotations .* hides them \(labelled=False\); drop'
    ):
        samples[0]


def test_a_pipeline_that_returns_nothing_is_an_error(dataset):
    with pytest.raises(DataError, match='the pipeline returned nothing for key-frame'):
        dataset(pipeline=[lambda _sample: None])[0]


def test_infos_without_links_load_for_single_frames_only(dataset, changed):
    def as_mmdet3d(content):
        content['metainfo'] = {'version': VERSION}
        for info in content['data_list']:
            for key in ('scene_token', 'prev_idx', 'next_idx', 'prev_token', 'next_token', 'frame_idx', 'scene_name'):
                del info[key]

    path = changed(as_mmdet3d)
    assert dataset(path).get_data_info(0)['scene_token'] == ''
    with pytest.raises(DataError, match='infos of mmdet3d have no links'):
        dataset(path, num_past=1)


def test_an_entry_without_a_field_is_named(dataset, changed, tokens):
    path = changed(lambda content: content['data_list'][2].pop('lidar_points'))
    with pytest.raises(DataError, match=f"the entry of key-frame {tokens[2]} .*'lidar_points'.*prepare nuscenes"):
        dataset(path).get_data_info(2)


def test_a_negative_past_is_refused(dataset):
    with pytest.raises(ConfigError, match='num_past must not be negative'):
        dataset(num_past=-1)


def test_samples_go_through_the_whole_pipeline_and_a_worker(dataset, tokens):
    samples = dataset(
        pipeline=[
            dict(type='mono_distill.LoadMultiViewImages', num_frames=2),
            dict(type='mono_distill.LoadLidarSweeps', num_sweeps=1, num_past=1),
            dict(type='LoadAnnotations3D', with_bbox_3d=True, with_label_3d=True),
            dict(type='mono_distill.PackBEVInputs'),
        ]
    )
    loader = torch.utils.data.DataLoader(samples, batch_size=3, num_workers=1, collate_fn=pseudo_collate)
    batch = next(iter(loader))
    assert [sample.token for sample in batch['data_samples']] == tokens
    assert [exists.tolist() for exists in batch['inputs']['frame_exists']] == [
        [True, False],
        [True, True],
        [True, True],
    ]
    # Two reads differ in nothing.
    again = samples[1]
    torch.testing.assert_close(again['inputs']['points'], batch['inputs']['points'][1], rtol=0, atol=0)
    torch.testing.assert_close(again['inputs']['imgs'], batch['inputs']['imgs'][1], rtol=0, atol=0)


def test_the_registry_builds_it_lazily(tiny_nuscenes):
    config = dict(type='mono_distill.NuScenesBEVDataset', ann_file='absent.pkl', data_root=str(tiny_nuscenes))
    samples = DATASETS.build(dict(config, lazy_init=True))
    with pytest.raises(DataError, match=r'absent.pkl does not exist; run `mono-distill prepare nuscenes --root'):
        samples.full_init()
