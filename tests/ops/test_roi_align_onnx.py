"""RoIAlign becomes ONNX's operator, with the same numbers in onnxruntime."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mono_distill.ops.roi_align import roi_align

NEEDED = 'needs onnx and onnxruntime (pip install onnx onnxruntime)'
pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning', 'ignore::torch.jit.TracerWarning')


class Pool(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.options = options

    def forward(self, features, boxes):
        return roi_align(features, boxes, 3, **self.options)


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 2])
def test_onnxruntime_pools_as_pytorch_does(tmp_path, aligned, sampling_ratio):
    onnx = pytest.importorskip('onnx', reason=NEEDED)
    runtime = pytest.importorskip('onnxruntime', reason=NEEDED)
    pool = Pool(stride=4, aligned=aligned, sampling_ratio=sampling_ratio)
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(2, 5, 8, 12, generator=generator)
    corner = torch.rand(2, 6, 2, generator=generator) * 40 - 6
    boxes = torch.cat([corner, corner + torch.rand(2, 6, 2, generator=generator) * 25], dim=-1)
    boxes[0, 0, 2:] = boxes[0, 0, :2]  # without area
    path = str(tmp_path / 'a.onnx')
    names = ['features', 'boxes', 'pooled']
    torch.onnx.export(
        pool,
        (features, boxes),
        path,
        input_names=names[:2],
        output_names=names[2:],
        opset_version=16,
        dynamic_axes={name: {0: 'batch'} for name in names},
        dynamo=False,
    )
    assert 'RoiAlign' in {node.op_type for node in onnx.load(path).graph.node}
    session = runtime.InferenceSession(path, providers=['CPUExecutionProvider'])
    for images in (2, 1):
        given = {'features': features[:images].numpy(), 'boxes': boxes[:images].numpy()}
        (got,) = session.run(None, given)
        torch.testing.assert_close(torch.from_numpy(got), pool(features[:images], boxes[:images]), atol=1e-5, rtol=1e-5)
