"""Time and memory of the array kernels at the published training sizes against straightforward forms.

    python benchmarks/kernels.py [--seconds 3] [--only PATTERN [--update]] [--out benchmarks/results]

BEV kernels have the sizes of BEVDepth R50 on nuScenes (six cameras, 16 x 44 pixels, 112 depth bins, 80 channels,
128 x 128 cells), the lift those of MonoTAKD on KITTI (64 channels, 120 bins, 47 x 156 pixels, 140 x 188 x 10 voxels).
Everything runs on one thread of the CPU: median processor time of the forward and the backward pass, and the peak of
the memory that PyTorch allocated (buffers of NumPy and of compiled packages not counted). Each form runs once to warm
up, then in turn with the other for ``--seconds`` each, three times at least. The results of both are compared first.

The yardstick is the time of a plain copy that moves as many bytes as all inputs, results and gradients have together,
below which no form can get, or of ``torch.sort`` where the kernel has to sort.

Straightforward forms are those of benchmarks/reference_kernels.py, written after the official code, or public packages:
mmdet3d, shapely, and torchsort if it is installed (``pip install torchsort --no-build-isolation``; it is compiled).
mmdet3d's own overlap of rotated boxes runs on CUDA only; benchmarks/kitti_metric.py compares the whole evaluation.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from comparison import arguments, run
from kernel_cases import kernels

NOTE = 'The straightforward forms are described in `benchmarks/reference_kernels.py`.'

if __name__ == '__main__':
    run(kernels, arguments(__doc__, seconds=3.0), name='kernels', title='Array kernels', first='kernel', note=NOTE)
