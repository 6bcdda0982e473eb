from __future__ import annotations

import pytest
from monodetr_models import full_config, official_shapes

from mono_distill.models.converters import convert_monodetr_keys
from mono_distill.registry import MODELS
from mono_distill.utils.errors import CheckpointError


@pytest.fixture(scope='module')
def ours():
    detector = MODELS.build(full_config())
    return {name: tuple(value.shape) for name, value in detector.state_dict().items()}


def test_official_names_map_one_to_one_onto_the_detector(ours):
    official = official_shapes()
    converted, dropped = convert_monodetr_keys(official)
    # The official frozen batch norms count nothing.
    counters = {name for name in ours if name.endswith('num_batches_tracked')}
    assert len(official) == 582
    assert len(dropped) == 45
    assert len(converted) == 537
    assert converted == {name: shape for name, shape in ours.items() if name not in counters}


def test_what_is_dropped_trains_nothing_or_is_a_second_name():
    _, dropped = convert_monodetr_keys(official_shapes())
    parts = {'label_enc', 'decoder.bbox_embed', 'decoder.dim_embed', 'query_scale', 'ref_point_head', 'sa_v_proj'}
    assert all(any(part in name for part in parts) for name in dropped)
    assert all(any(part in name for name in dropped) for part in parts)


def test_the_prefix_of_data_parallel_is_ignored():
    state = {'module.query_embed.weight': 0, 'module.label_enc.weight': 1}
    assert convert_monodetr_keys(state) == ({'query_embedding.weight': 0}, ['module.label_enc.weight'])


def test_norms_are_numbered_in_the_order_of_execution():
    layer = 'depthaware_transformer.decoder.layers.1.'
    state = {f'{layer}{name}.bias': name for name in ('norm1', 'norm2', 'norm3', 'norm_depth')}
    converted, _ = convert_monodetr_keys(state)
    assert [converted[f'decoder.layers.1.norms.{i}.bias'] for i in range(4)] == [
        'norm_depth',
        'norm2',
        'norm1',
        'norm3',
    ]


@pytest.mark.parametrize('key', ['heatmap.0.weight', 'decoder.layers.0.norm1.bias', 'input_proj.4.0.bias'])
def test_foreign_keys_are_refused(key):
    with pytest.raises(CheckpointError, match=f"'{key}' is not a key of an official MonoDETR checkpoint"):
        convert_monodetr_keys({**official_shapes(), key: (1,)})
