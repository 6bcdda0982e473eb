import pytest
from official_files import official_shapes

from mono_distill.models.converters.recognise import recognise

RESNET = ['conv1.weight', 'layer1.0.conv1.weight', 'layer4.2.bn3.bias', 'fc.weight']


@pytest.mark.parametrize('model', ['monodle', 'didm3d', 'monodetr'])
def test_every_official_model_is_recognised_even_with_a_few_keys_gone(model):
    keys = list(official_shapes(model))
    assert recognise(keys).kind == model
    assert recognise(keys[::3]).kind == model


@pytest.mark.parametrize(('model', 'title'), [('monodle', 'MonoDistill or MonoSTL'), ('didm3d', 'MonoSKD')])
def test_a_pair_is_named_after_what_is_in_it(model, title):
    keys = [prefix + key for prefix in ('centernet_rgb.', 'centernet_depth.') for key in official_shapes(model)]
    found = recognise([*keys, 'adapt_layer8.0.weight'])
    assert found.kind == f'{model} pair'
    assert title in found.title


@pytest.mark.parametrize(
    ('keys', 'kind'),
    [
        (['backbone.conv1.weight', 'bbox_head.conv_cls.weight'], 'openmmlab'),
        (['backbone.conv1.weight', 'bbox_head.conv_cls.weight', 'distill.graph.adapters.s.weight'], 'distiller'),
        (['base_layer.0.weight', 'level5.root.conv.weight', 'fc.weight'], 'dla34'),
        (RESNET, 'resnet'),
        (['encoder.weight'], ''),
        ([], ''),
    ],
)
def test_other_files_are_told_apart(keys, kind):
    found = recognise(keys)
    assert found.kind == kind
    assert found.advice
