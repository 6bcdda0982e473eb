from __future__ import annotations

import copy

import torch
from mmdet3d.structures import Det3DDataSample, LiDARInstance3DBoxes
from mmengine.structures import InstanceData
from multi_view_samples import boxes, sample

from mono_distill.datasets.transforms import MultiViewImageAug, PackBEVInputs
from mono_distill.models import BEVDataPreprocessor
from mono_distill.visualization.detect import detect


class Detector(torch.nn.Module):
    """Finds five boxes, with scores 0 to 0.8, in every sample."""

    def __init__(self):
        super().__init__()
        self.data_preprocessor = BEVDataPreprocessor()
        self.seen = []

    def test_step(self, data):
        prepared = self.data_preprocessor(data, False)
        self.seen.append((self.training, prepared['inputs']['imgs'].shape, torch.is_grad_enabled()))
        results = []
        for one in prepared['data_samples']:
            one.pred_instances_3d = InstanceData(
                bboxes_3d=boxes(), labels_3d=torch.arange(5), scores_3d=torch.arange(5) * 0.2
            )
            results.append(one)
        return results


class WithMap(Detector):
    def distill_outputs(self):
        return {'bev': torch.ones(1, 3, 4, 4).half(), 'heads': None}


def packed():
    return PackBEVInputs()(MultiViewImageAug((32, 64))(sample()))


def test_boxes_above_the_threshold_are_returned():
    model = Detector()
    found, bev = detect(model, packed(), score_thr=0.3)
    assert isinstance(found.bboxes_3d, LiDARInstance3DBoxes)
    assert found.labels_3d.tolist() == [2, 3, 4]
    assert bev is None
    assert model.seen == [(False, (1, 1, 6, 3, 32, 64), False)]


def test_the_map_of_a_model_that_records_is_returned():
    bev = detect(WithMap(), packed())[1]
    assert bev.shape == (3, 4, 4)
    assert bev.dtype == torch.float32


def test_the_sample_stays_as_it_was():
    one = packed()
    kept = copy.deepcopy(one)
    detect(Detector(), one)
    assert isinstance(one['data_samples'], Det3DDataSample)
    assert 'pred_instances_3d' not in one['data_samples']
    for key in ('imgs', 'img_aug_matrix', 'points'):
        assert torch.equal(one['inputs'][key], kept['inputs'][key])
