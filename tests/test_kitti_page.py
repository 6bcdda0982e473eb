"""The example of docs/kitti.md is built."""

import re
import shutil
from pathlib import Path

from mmengine.registry import MODELS, init_default_scope

from mono_distill.apis.launch import load_config

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / 'docs' / 'kitti.md').read_text()


def test_the_example_with_unlabelled_frames_builds(tmp_path, monkeypatch):
    monkeypatch.setenv('DLA34_WEIGHTS', 'none')
    shutil.copytree(ROOT / 'configs', tmp_path / 'configs')
    example = tmp_path / 'configs' / 'example.py'
    example.write_text(re.search(r'## Frames without labels.*?```python\n(.*?)```', PAGE, re.DOTALL).group(1))
    config = load_config(str(example))
    assert [part.get('labelled', True) for part in config.train_dataloader.dataset.datasets] == [True, False]
    init_default_scope('mmdet3d')
    model = MODELS.build(config.model)
    assert 'objects' in [node.name for node in model.graph.order]
