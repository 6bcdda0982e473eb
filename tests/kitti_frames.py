"""KITTI folders for tests: the golden frame, which official code was run on, and prepared real frames."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mono_distill.datasets.kitti.calibration import read_calib
from mono_distill.datasets.kitti.frame import FrameOptions, prepare_frame
from mono_distill.datasets.kitti.infos import FrameAnnotation, build_info, info_file
from mono_distill.datasets.kitti.labels import read_label
from mono_distill.datasets.kitti.layout import KittiFolder, open_output

GOLDEN = Path(__file__).resolve().parent / 'data' / 'golden'
INFO_FILE = 'kitti_infos_train.pkl'


def write_infos(root: Path, frames: list[dict[str, Any]]) -> None:
    (root / INFO_FILE).write_bytes(pickle.dumps(info_file(frames)))


def write_golden_kitti(root: Path, label_text: str, copies: int = 1) -> Path:
    """Write the golden frame (a synthetic picture with its labels) ``copies`` times as frames 000000, 000001, ..."""
    folder = KittiFolder(root)
    for part in ('image_2', 'calib', 'label_2', 'depth_dense'):
        (root / 'training' / part).mkdir(parents=True)
    image = cv2.imread(str(GOLDEN / 'img_000000.webp'))
    frames = []
    for number in range(copies):
        name = f'{number:06d}'
        cv2.imwrite(str(folder.path('training', 'image_2', name)), image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        shutil.copy(GOLDEN / 'calib_000000.txt', folder.path('training', 'calib', name))
        shutil.copy(GOLDEN / 'depth2_000000.png', folder.path('training', 'depth_dense', name))
        folder.path('training', 'label_2', name).write_text(label_text)
        frames.append(frame_info(folder, name, image.shape[:2]))
    write_infos(root, frames)
    return root


def frame_info(folder: KittiFolder, name: str, shape: Sequence[int]) -> dict[str, Any]:
    return build_info(
        name,
        (shape[0], shape[1]),
        read_calib(folder.path('training', 'calib', name)),
        annotation=FrameAnnotation(read_label(folder.path('training', 'label_2', name))),
        depth_map={'dense': folder.relative('training', 'depth_dense', name)},
    )


def prepare_real_kitti(source: Path, out: Path) -> Path:
    """Prepare all real frames: links to the source, depth maps and one info file."""
    folder = KittiFolder(source)
    options = FrameOptions(source=folder, output=open_output(folder, out))
    results = [prepare_frame('training', name, options) for name in folder.sample_ids('training')]
    write_infos(out, [result.info for result in results if result.info is not None])
    return out


def random_picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Smooth noise: neighbouring pixels are alike, so that resampling errors stay small against displacements."""
    noise = np.random.RandomState(3).randint(0, 256, (height // 4 + 1, width // 4 + 1, channels)).astype(np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
