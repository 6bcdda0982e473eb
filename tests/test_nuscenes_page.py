"""The example of docs/nuscenes.md is built, and reads a sample."""

import re
from pathlib import Path

from mmengine.registry import init_default_scope

from mono_distill.registry import DATASETS

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / 'docs' / 'nuscenes.md').read_text()


def test_the_example_builds_and_reads_a_sample(tiny_nuscenes):
    names = {}
    exec(re.search(r'```python\n(.*?)```', PAGE, re.DOTALL).group(1), names)
    config = names['balanced']
    config['dataset']['data_root'] = str(tiny_nuscenes)
    init_default_scope('mmdet3d')
    sample = DATASETS.build(config)[0]
    assert sample['inputs']['imgs'].shape[:2] == (2, 6)
    assert len(sample['inputs']['past_points']) == 1
    assert len(sample['data_samples'].gt_instances_3d.bboxes_3d) > 0
