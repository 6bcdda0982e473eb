import pytest
import torch
from mmengine.structures import BaseDataElement
from torch import nn

from mono_distill.distillers.forward_fns import extract_features, run_detector
from mono_distill.utils.errors import ConfigError

SAMPLES = [BaseDataElement(metainfo=dict(sample_id='1'))]


class Plain(nn.Module):
    def extract_feat(self, batch_inputs_dict):
        return batch_inputs_dict


class WithMetas(nn.Module):
    def extract_feat(self, batch_inputs_dict, batch_input_metas):
        return batch_input_metas


class WithSamples(nn.Module):
    def extract_feat(self, batch_inputs_dict, batch_data_samples):
        return batch_data_samples


class Multimodal(nn.Module):
    def __init__(self):
        super().__init__()
        self.pts_bbox_head = nn.Identity()

    def extract_feat(self, batch_inputs_dict, batch_input_metas):
        return None, torch.ones(2)


def test_each_signature_gets_what_it_asks_for():
    assert extract_features(Plain(), 'x', SAMPLES) == 'x'
    assert extract_features(WithMetas(), 'x', SAMPLES) == [dict(sample_id='1')]
    assert extract_features(WithSamples(), 'x', SAMPLES) is SAMPLES


def test_the_point_head_of_a_multimodal_detector_gets_the_point_features():
    seen = []
    model = Multimodal()
    model.pts_bbox_head.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    run_detector(model, {}, SAMPLES, ['pts_bbox_head'], 'auto')
    assert torch.equal(seen[0], torch.ones(2))


def test_an_unknown_way_to_run_is_named():
    with pytest.raises(ConfigError, match="must be 'auto', 'tensor' or 'loss', not 'predict'"):
        run_detector(Plain(), {}, SAMPLES, [], 'predict')
