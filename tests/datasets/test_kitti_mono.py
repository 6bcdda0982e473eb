from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from kitti_frames import INFO_FILE, write_golden_kitti
from torch.utils.data import DataLoader

from mono_distill.datasets import KittiMonoDataset
from mono_distill.datasets.kitti_mono import difficulty_level, parse_instances
from mono_distill.registry import DATASETS
from mono_distill.utils.errors import ConfigError, DataError

TRAIN_PIPELINE = [
    dict(type='mono_distill.LoadMonoImage'),
    dict(type='mono_distill.LoadDepthMap'),
    dict(type='mono_distill.LoadMonoKittiAnnotations'),
    dict(type='mono_distill.MonoRandomFlip', prob=0.5),
    dict(type='mono_distill.MonoRandomCropAffine', size=(320, 96), prob=0.5),
    dict(type='mono_distill.CenterNetColorAug'),
    dict(type='mono_distill.FilterMonoObjects'),
    dict(type='mono_distill.PackMono3DInputs'),
]


def _dataset(root, pipeline=(), **kwargs):
    return KittiMonoDataset(INFO_FILE, str(root), pipeline=pipeline, **kwargs)


def _rewrite(root, change):
    path = root / INFO_FILE
    content = pickle.loads(path.read_bytes())
    change(content)
    path.write_bytes(pickle.dumps(content))


@pytest.fixture
def own_kitti(tmp_path, golden):
    """A golden KITTI folder that the test may damage."""
    return write_golden_kitti(tmp_path / 'kitti', str(golden('dataset_md')['label_txt']))


def test_annotations_are_those_of_the_label_file(golden_kitti):
    info = _dataset(golden_kitti).get_data_info(0)
    annotations = info['ann_info']
    assert info['sample_id'] == '000000'
    assert info['classes'] == ('Pedestrian', 'Car', 'Cyclist')
    assert info['ori_shape'] == (375, 1242)
    np.testing.assert_array_equal(annotations['gt_labels_3d'], [1, 1, 0])
    np.testing.assert_allclose(annotations['gt_bboxes'][1], [387.63, 181.54, 463.12, 240.12], rtol=1e-6)
    np.testing.assert_allclose(annotations['gt_bboxes_3d'][1], [-5.53, 2.39, 18.49, 3.69, 1.67, 1.87, 1.57], rtol=1e-6)
    np.testing.assert_allclose(annotations['gt_alpha'], [-1.58, 1.85, 0.21], rtol=1e-6)
    np.testing.assert_allclose(annotations['gt_truncated'], [0, 0.2, 0], rtol=1e-6)
    np.testing.assert_array_equal(annotations['gt_occluded'], [0, 1, 0])
    np.testing.assert_array_equal(annotations['gt_difficulty'], [0, 1, 0])


def test_classes_can_be_selected(golden_kitti):
    info = _dataset(golden_kitti, metainfo=dict(classes=('Car',))).get_data_info(0)
    np.testing.assert_array_equal(info['ann_info']['gt_labels_3d'], [0, 0])


def test_an_unknown_class_is_refused(golden_kitti):
    with pytest.raises(ConfigError, match='knows no class Bus; it has Pedestrian, '):
        _dataset(golden_kitti, metainfo=dict(classes=('Bus',)))


def test_paths_lie_below_the_root(golden_kitti):
    info = _dataset(golden_kitti).get_data_info(2)
    assert info['img_path'] == str(golden_kitti / 'training/image_2/000002.png')
    assert info['depth_map_path'] == str(golden_kitti / 'training/depth_dense/000002.png')
    assert (
        info['lidar_path'] == info['lidar_points']['lidar_path'] == str(golden_kitti / 'training/velodyne/000002.bin')
    )


def test_frames_without_objects_are_kept(own_kitti):
    _rewrite(own_kitti, lambda content: content['data_list'][0].update(instances=[]))
    sample = _dataset(own_kitti, TRAIN_PIPELINE)[0]['data_samples'].gt_instances_3d
    assert len(sample.bboxes_3d) == 0
    assert sample.bboxes.shape == (0, 4)
    assert sample.centers_2d.shape == (0, 2)


def test_infos_of_mmdet3d_without_our_fields_are_read(own_kitti):
    def strip(content):
        del content['data_list'][0]['sample_id'], content['data_list'][0]['depth_map']

    _rewrite(own_kitti, strip)
    info = _dataset(own_kitti).get_data_info(0)
    assert (info['sample_id'], info['depth_map_path']) == ('000000', None)


def test_a_missing_info_file_names_the_command_that_writes_it(tmp_path):
    with pytest.raises(DataError, match=r'does not exist; run `mono-distill prepare kitti --root .*kitti_infos'):
        _dataset(tmp_path)


@pytest.mark.parametrize('content', [b'', b'not a pickle', pickle.dumps([1, 2]), pickle.dumps({'data_list': []})])
def test_an_unreadable_info_file_names_the_command_that_writes_it(tmp_path, content):
    (tmp_path / INFO_FILE).write_bytes(content)
    with pytest.raises(DataError, match='cannot be read.*mono-distill prepare kitti'):
        _dataset(tmp_path)


def test_an_empty_info_file_is_refused(own_kitti):
    _rewrite(own_kitti, lambda content: content.update(data_list=[]))
    with pytest.raises(DataError, match='holds no frame'):
        _dataset(own_kitti)


def test_an_entry_without_a_camera_names_the_frame(own_kitti):
    _rewrite(own_kitti, lambda content: content['data_list'][0]['images'].pop('CAM2'))
    with pytest.raises(DataError, match=r'frame 000000 is not a KITTI info.*CAM2'):
        _dataset(own_kitti)


def test_an_unknown_depth_map_is_refused(golden_kitti):
    with pytest.raises(ConfigError, match="'dense' or 'sparse', got 'deep'"):
        _dataset(golden_kitti, depth_map='deep')


def test_no_other_frame_replaces_one_the_pipeline_gives_up(golden_kitti):
    with pytest.raises(DataError, match='returned nothing for frame 000001'):
        _dataset(golden_kitti, [lambda results: None])[1]


def test_a_missing_image_is_an_error_and_not_another_frame(own_kitti):
    (own_kitti / 'training/image_2/000000.png').unlink()
    with pytest.raises(DataError, match=r'frame 000000: cannot read image .*000000.png'):
        _dataset(own_kitti, TRAIN_PIPELINE)[0]


def test_the_configured_dataset_is_built_by_its_name_and_leaves_the_config_alone(golden_kitti):
    config = dict(
        type='mono_distill.KittiMonoDataset',
        ann_file=INFO_FILE,
        data_root=str(golden_kitti),
        pipeline=TRAIN_PIPELINE,
    )
    before = copy.deepcopy(config)
    dataset = DATASETS.build(config)
    assert len(dataset) == 4
    assert dataset.metainfo['classes'] == ('Pedestrian', 'Car', 'Cyclist')
    assert config == before


def test_workers_and_the_main_process_draw_the_same_samples(golden_kitti):
    def fingerprints(workers):
        dataset = _dataset(golden_kitti, TRAIN_PIPELINE)
        dataset.set_seed(3)
        loader = DataLoader(
            dataset, batch_size=2, num_workers=workers, persistent_workers=workers > 0, collate_fn=lambda batch: batch
        )
        result = []
        for epoch in (0, 1):
            dataset.set_epoch(epoch)
            for sample in (sample for batch in loader for sample in batch):
                boxes = sample['data_samples'].gt_instances_3d.bboxes.sum()
                result.append((epoch, float(sample['inputs']['img'].sum()), float(boxes)))
        return result

    alone = fingerprints(0)
    assert fingerprints(2) == alone
    # All four frames are copies of one: different draws are what makes the eight samples different.
    assert len(set(alone)) == 8


def test_instances_of_other_classes_are_dropped():
    instance = dict(bbox=[0, 0, 9, 50], bbox_3d=[0, 1, 9, 4, 2, 2, 0], alpha=0, truncated=0, occluded=0)
    instances = [dict(instance, bbox_label_3d=label) for label in (2, -1, 3, 0)]
    parsed = parse_instances(instances, {0: 0, 2: 1})
    np.testing.assert_array_equal(parsed['gt_labels_3d'], [1, 0])
    assert {len(values) for values in parsed.values()} == {2}


def test_difficulty_bounds_are_inclusive_and_heights_count_the_last_row():
    cases = [
        # height, truncated, occluded, level
        (39.0, 0.15, 0, 0),
        (38.99, 0.15, 0, 1),
        (39.0, 0.16, 0, 1),
        (24.0, 0.3, 1, 1),
        (24.0, 0.5, 2, 2),
        (23.99, 0.0, 0, -1),
        (50.0, 0.51, 0, -1),
        (50.0, 0.0, 3, -1),
        (50.0, -1.0, 0, -1),
    ]
    height, truncated, occluded, level = (np.array(column) for column in zip(*cases, strict=True))
    boxes = np.zeros((len(cases), 4))
    boxes[:, 3] = height
    np.testing.assert_array_equal(difficulty_level(boxes, truncated, occluded), level)


def test_hidden_annotations_give_unlabelled_samples(golden_kitti):
    pipeline = [dict(step) for step in TRAIN_PIPELINE]
    pipeline[2]['allow_unlabelled'] = True
    sample = _dataset(golden_kitti, pipeline, labelled=False)[0]['data_samples']
    assert sample.labelled is False
    assert len(sample.gt_instances_3d) == 0
    assert _dataset(golden_kitti, pipeline)[0]['data_samples'].labelled is True


def test_hidden_annotations_are_an_error_where_they_are_not_expected(golden_kitti):
    with pytest.raises(DataError, match='allow_unlabelled=True'):
        _dataset(golden_kitti, TRAIN_PIPELINE, labelled=False)[0]


def test_difficulties_of_small_images_are_those_at_full_size():
    box = dict(bbox=[0, 0, 10, 9], bbox_label_3d=2, bbox_3d=[0] * 7, alpha=0, truncated=0, occluded=0)
    assert parse_instances([box], {2: 0})['gt_difficulty'].tolist() == [-1]
    assert parse_instances([box], {2: 0}, image_scale=0.25)['gt_difficulty'].tolist() == [1]


def test_an_impossible_scale_is_refused(golden_kitti):
    with pytest.raises(ConfigError, match='image_scale'):
        _dataset(golden_kitti, image_scale=0)
