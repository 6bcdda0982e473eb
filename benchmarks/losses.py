"""Time and memory of the distillation losses at the published training sizes against straightforward forms.

    python benchmarks/losses.py [--seconds 1] [--only PATTERN [--update]] [--out benchmarks/results]

Losses on images have the sizes of DLA-34 at 384 x 1280 (batch 4; 64, 128, 256 and 512 channels at strides 4 to 32; ten
objects per image, in lists of 50 slots where the loss reads padded lists), those on BEV maps the sizes of nuScenes with
R50 at 256 x 704 (128 x 128 cells; 900 queries) or of MonoTAKD on KITTI (188 x 140 cells, six anchors). Rows
name their batch. Everything runs on one thread of the CPU: median processor time of the forward and the backward
pass, and the peak of the memory that PyTorch allocated (buffers of NumPy and numba not counted). Each form runs once to
warm up, then in turn with the other for ``--seconds`` each, three times at least. Results and gradients of both are
compared first.

The yardstick is the time of a plain copy that moves as many bytes as all inputs, results and gradients have together,
below which no form can get, or of ``torch.sort`` where the form has to sort.

Straightforward forms are those of benchmarks/reference_losses.py and benchmarks/reference_bev_losses.py, written after
the official code, with its loops over objects and images. Soft ranks are also compared with torchsort if it is there
(``pip install torchsort --no-build-isolation``; it is compiled).
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bev_loss_cases import bev_losses
from comparison import arguments, run
from image_loss_cases import image_losses

NOTE = (
    'The straightforward forms are those of `benchmarks/reference_losses.py`, with its sequential walk compiled by '
    'numba, and `benchmarks/reference_bev_losses.py`; torchsort is 0.1.10. Gradients of soft ranks jump where pools '
    'change: if eps is small, rounding in float32 moves about one entry in a thousand, and the largest difference is '
    'of the size of the gradient. In float64 both forms agree.'
)

if __name__ == '__main__':
    run(
        lambda: itertools.chain(image_losses(), bev_losses()),
        arguments(__doc__, seconds=1.0),
        name='losses',
        title='Distillation losses',
        first='term',
        note=NOTE,
    )
