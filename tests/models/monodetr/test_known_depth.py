import torch

from mono_distill.models.monodetr.known_depth import object_depth_map


def targets(*objects):
    """One image; each object is (x1, y1, x2, y2, depth), corners as shares of the image."""
    rows = torch.tensor(objects).view(-1, 5)
    x1, y1, x2, y2, depth = rows.unbind(-1)
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    boxes = torch.stack([x, y, x - x1, x2 - x, y - y1, y2 - y], dim=-1)
    return dict(boxes=boxes[None], depth=depth[None], mask_2d=depth[None] > 0)


def test_the_nearest_object_hides_the_others():
    depth = object_depth_map(targets((0.0, 0.0, 0.5, 1.0, 30.0), (0.25, 0.5, 0.75, 1.0, 8.0)), (2, 4), 60.0)
    assert depth.tolist() == [[[30, 30, 60, 60], [30, 8, 8, 60]]]


def test_depths_beyond_the_range_are_those_of_the_background():
    assert object_depth_map(targets((0.0, 0.0, 1.0, 1.0, 64.0)), (1, 2), 60.0).tolist() == [[[60, 60]]]


def test_without_objects_everything_is_far():
    assert object_depth_map(targets((0.0, 0.0, 0.0, 0.0, 0.0)), (1, 2), 60.0).tolist() == [[[60, 60]]]
