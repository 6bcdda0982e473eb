"""Time of decoding 50 detections in each of 16 images, against the released form.

    python benchmarks/decoding.py [--seconds 3] [--only NAME] [--out benchmarks/results]

The released form is that of benchmarks/reference_decoding.py: candidates by torch, then a loop over boxes in Python and
NumPy. Ours gives mmdet3d's results (``InstanceData`` with camera boxes). Both run on one thread of the CPU and give all
50 candidates; the rows of both are put into one tensor, which is compared. How time is taken: benchmarks/comparison.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import mono_distill  # noqa: F401  (before mmdet3d)

sys.path.insert(0, str(Path(__file__).resolve().parent))
import reference_decoding as reference
from comparison import Case, arguments, run

from mono_distill.models.task_modules import MonoCenterCoder, MonoDETRCoder

BATCH, DETECTIONS = 16, 50
CAM2IMG = np.array([[721.5377, 0, 609.5593, 44.85728], [0, 721.5377, 172.854, 0.2163791], [0, 0, 1, 0.002745884]])
META = dict(ori_cam2img=CAM2IMG, ori_shape=(375, 1242), img_shape=(384, 1280))
NOTE = (
    'The straightforward form is described in `benchmarks/reference_decoding.py`; every pass decodes 16 images with 50 '
    'detections each, all above the threshold.'
)


def monodetr_outputs() -> dict[str, Tensor]:
    """The head's output in evaluation; all 50 candidates are likely."""
    outs = {
        name: torch.randn(3, BATCH, 50, channels) for name, channels in dict(cls_scores=3, dims=3, heading=24).items()
    }
    depth = torch.stack([torch.rand(3, BATCH, 50) * 50 + 5, torch.randn(3, BATCH, 50) * 0.3], -1)
    return dict(outs, cls_scores=outs['cls_scores'] + 3, bboxes=torch.rand(3, BATCH, 50, 6) * 0.5, depth=depth)


def monodle_outputs() -> dict[str, Tensor]:
    """The head's maps of an input of 384 x 1280, with hundreds of likely peaks."""
    channels = dict(heatmap=3, offset_2d=2, size_2d=2, depth=2, offset_3d=2, size_3d=3, heading=24)
    outs = {name: torch.randn(BATCH, count, 96, 320) for name, count in channels.items()}
    return dict(outs, size_2d=outs['size_2d'].abs() * 20, depth=outs['depth'] - 2)


class FoundCandidates(MonoDETRCoder):
    """The coder from the candidates on."""

    def __init__(self, candidates: dict[str, Tensor]) -> None:
        super().__init__('official')
        self._candidates = candidates

    def candidates(self, *_: Any, **__: Any) -> dict[str, Tensor]:
        """Return what was found before."""
        return self._candidates


class FoundPeaks(MonoCenterCoder):
    """The coder from the peaks on."""

    def __init__(self, peaks: dict[str, Tensor]) -> None:
        super().__init__('official')
        self._peaks = peaks

    def peaks(self, *_: Any, **__: Any) -> dict[str, Tensor]:
        """Return what was found before."""
        return self._peaks


def of_results(results: Sequence[Any]) -> Tensor:
    """Our results as one tensor of rows."""
    columns = [
        torch.cat([result.labels_3d for result in results]).unsqueeze(-1),
        torch.cat([result.alpha for result in results]).unsqueeze(-1),
        torch.cat([result.bboxes_2d for result in results]),
        # x, y, z, l, h, w, yaw to h, w, l, x, y, z, yaw.
        torch.cat([result.bboxes_3d.tensor for result in results])[:, [4, 5, 3, 0, 1, 2, 6]],
        torch.cat([result.scores_3d for result in results]).unsqueeze(-1),
    ]
    return torch.cat(columns, -1)


def of_rows(results: Sequence[Sequence[Sequence[float]]]) -> Tensor:
    """The released rows as one tensor."""
    return torch.from_numpy(np.array([row for rows in results for row in rows], dtype=np.float32))


def cases() -> Iterator[Case]:
    """Both coders from the candidates, which is where the released loop begins, and from the network's output."""
    metas = [META] * BATCH
    queries = monodetr_outputs()
    detr = MonoDETRCoder('official')
    rows = reference.monodetr_detections(queries)
    candidates = FoundCandidates(detr.candidates(queries, topk=DETECTIONS))
    yield Case(
        'MonoDETR, from the candidates',
        'loop over boxes',
        lambda: of_rows(reference.decode_monodetr(rows, metas)),
        lambda: of_results(candidates.decode(queries, metas)),
        inputs=[torch.from_numpy(rows)],
    )
    yield Case(
        'MonoDETR, from the queries',
        'candidates by torch, loop over boxes',
        lambda: of_rows(reference.decode_monodetr(reference.monodetr_detections(queries), metas)),
        lambda: of_results(detr.decode(queries, metas)),
        inputs=list(queries.values()),
    )
    maps = monodle_outputs()
    detections = reference.monodle_detections(maps)
    found = FoundPeaks(MonoCenterCoder('official').peaks(maps, topk=DETECTIONS))
    yield Case(
        'MonoDLE, from the peaks',
        'loop over boxes',
        lambda: of_rows(reference.decode_monodle(detections, metas)),
        lambda: of_results(found.decode(maps, metas)),
        inputs=[torch.from_numpy(detections)],
    )
    whole = MonoCenterCoder('official')
    yield Case(
        'MonoDLE, from maps of 96 x 320',
        'peaks by class, loop over boxes',
        lambda: of_rows(reference.decode_monodle(reference.monodle_detections(maps), metas)),
        lambda: of_results(whole.decode(maps, metas)),
        inputs=list(maps.values()),
    )


def main() -> None:
    """Measure, print the table and write it."""
    args = arguments(__doc__, seconds=3.0)
    with torch.no_grad():
        run(cases, args, name='decoding', title='Decoding', first='decoding', note=NOTE)


if __name__ == '__main__':
    main()
