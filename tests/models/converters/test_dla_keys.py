from __future__ import annotations

from mono_distill.models.converters import rename_dla_keys


def test_names_under_the_prefix_are_renamed_and_others_left_alone():
    state = {'backbone.level3.tree2.root.bn.weight': 0, 'neck.ida_0.node_1.bn.weight': 1, 'backbone.fc.bias': 2}
    renamed, dropped = rename_dla_keys(state, 'backbone.')
    assert renamed == {'backbone.level3.tree2.root.norm.weight': 0, 'neck.ida_0.node_1.bn.weight': 1}
    assert dropped == ['backbone.fc.bias']


def test_renaming_twice_is_renaming_once():
    once, _ = rename_dla_keys({'level2.tree1.bn1.weight': 0, 'level2.root.bn.bias': 1, 'base_layer.1.bias': 2})
    assert rename_dla_keys(once) == (once, [])
