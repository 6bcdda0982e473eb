import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData

from mono_distill.targets import GTBoxes, gt_boxes
from mono_distill.utils.errors import ConfigError, DataError

SHAPE = (32, 64)


def sample(boxes, centres=None, *, labels=None, packed='stock', **metainfo):
    """A data sample as mmdet3d's ('stock') or our own ('ours') packing makes it."""
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    labels = torch.arange(len(boxes)) if labels is None else torch.tensor(labels)
    solid = InstanceData(labels_3d=labels)
    if centres is not None:
        solid.centers_2d = torch.tensor(centres, dtype=torch.float32).reshape(-1, 2)
    result = BaseDataElement(metainfo={'img_shape': SHAPE, **metainfo})
    if packed == 'stock':
        result.gt_instances = InstanceData(bboxes=boxes, labels=labels)
    else:
        solid.bboxes = boxes
    result.gt_instances_3d = solid
    return result


@pytest.mark.parametrize('packed', ['stock', 'ours'])
def test_objects_of_all_images_are_padded(packed):
    objects = gt_boxes(
        [
            sample([[0, 0, 10, 10], [4, 4, 20, 12]], [[5, 5], [13, 9]], labels=[2, 1], packed=packed),
            sample([[8, 8, 12, 12]], [[10, 9]], labels=[1], packed=packed),
        ]
    )
    assert objects['bboxes'].tolist() == [[[0, 0, 10, 10], [4, 4, 20, 12]], [[8, 8, 12, 12], [0, 0, 0, 0]]]
    assert objects['mask_2d'].tolist() == [[True, True], [True, False]]
    assert objects['labels'].tolist() == [[2, 1], [1, 0]]
    # Cells of 4 pixels, 16 in a row.
    assert objects['indices'].tolist() == [[1 * 16 + 1, 2 * 16 + 3], [2 * 16 + 2, 0]]


@pytest.mark.parametrize(
    ('box', 'centre'),
    [
        ([0, 0, 10, 10], [-1, 5]),
        ([0, 0, 10, 10], [5, 32]),
        ([0, 0, 10, 10], [float('nan'), float('nan')]),
        ([10, 4, 10, 12], [10, 8]),
    ],
    ids=['centre left of the picture', 'centre below it', 'centre behind the camera', 'box without area'],
)
def test_such_an_object_is_left_out(box, centre):
    objects = gt_boxes([sample([box], [centre])])
    assert not objects['mask_2d'].any()
    assert all((value == 0).all() for value in objects.values())


def test_the_padded_input_counts_where_it_is_known():
    stock = sample([[50, 4, 90, 20]], [[70, 12]], batch_input_shape=(32, 96))
    assert gt_boxes([stock], stride=8)['indices'].tolist() == [[1 * 12 + 8]]


def test_a_map_of_an_input_that_the_stride_does_not_divide_has_one_more_column():
    objects = gt_boxes([sample([[0, 0, 10, 10]], [[5, 5]], img_shape=(30, 62))], stride=4)
    assert objects['indices'].tolist() == [[16 + 1]]


def test_without_projected_centres_the_boxes_have_middles():
    assert gt_boxes([sample([[0, 0, 12, 8]])])['centers_2d'].tolist() == [[[6, 4]]]


def test_a_batch_without_objects_has_one_empty_slot():
    objects = gt_boxes([sample([], []), sample([], [])])
    assert objects['bboxes'].shape == (2, 1, 4)
    assert not objects['mask_2d'].any()


def test_the_module_has_the_stride():
    objects = GTBoxes(stride=8)([sample([[0, 0, 30, 30]], [[20, 9]])])
    assert objects['indices'].tolist() == [[8 + 2]]
    assert 'stride=8' in repr(GTBoxes(stride=8))


def test_errors_say_what_to_add():
    bare = BaseDataElement(metainfo={'img_shape': SHAPE})
    with pytest.raises(DataError, match='with_bbox=True'):
        gt_boxes([bare])
    sizeless = sample([[0, 0, 4, 4]])
    sizeless.pop('img_shape')
    with pytest.raises(DataError, match='img_shape'):
        gt_boxes([sizeless])
    with pytest.raises(ConfigError, match='stride'):
        GTBoxes(stride=0)
