"""Random and real KITTI frames as info files, for the tests of this folder and below."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

CATEGORIES = {
    'Pedestrian': 0,
    'Cyclist': 1,
    'Car': 2,
    'Van': 3,
    'Truck': 4,
    'Person_sitting': 5,
    'Tram': 6,
    'Misc': 7,
}
P2 = np.array(
    [[721.5377, 0, 609.5593, 44.85728], [0, 721.5377, 172.854, 0.2163791], [0, 0, 1, 0.002745884], [0, 0, 0, 1]]
)
# Axes of the LiDAR (x front, y left, z up) to those of the camera (x right, y down, z front), and a lever arm.
LIDAR2CAM = np.array([[0, -1, 0, 0.0], [0, 0, -1, -0.08], [1, 0, 0, -0.27], [0, 0, 0, 1]])
DIMENSIONS = {'Car': (3.9, 1.5, 1.6), 'Van': (5.0, 2.1, 1.9), 'Cyclist': (1.8, 1.7, 0.6)}
PERSON = (0.8, 1.7, 0.7)


def random_ground_truth(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Crowded objects of all kinds, so that ignored, neighbouring and DontCare boxes compete for detections."""
    names = rng.choice(
        ['Car', 'Pedestrian', 'Cyclist', 'Van', 'Person_sitting', 'Truck', 'DontCare'],
        size=count,
        p=[0.35, 0.2, 0.15, 0.08, 0.07, 0.05, 0.1],
    )
    z = rng.uniform(6, 50, count)
    x = rng.uniform(-0.3, 0.3, count) * z
    dimensions = np.array([DIMENSIONS.get(name, PERSON) for name in names]).reshape(count, 3)
    dimensions = dimensions * rng.uniform(0.9, 1.1, (count, 3))
    location = np.stack([x, np.full(count, 1.65), z], axis=1)
    rotation = rng.uniform(-np.pi, np.pi, count)
    return {
        'name': names,
        'truncated': rng.choice([0.0, 0.1, 0.2, 0.4, 0.6], size=count, p=[0.7, 0.1, 0.1, 0.05, 0.05]),
        'occluded': rng.choice(4, size=count, p=[0.5, 0.25, 0.15, 0.1]),
        'alpha': rotation - np.arctan2(x, z),
        'bbox': image_boxes(location, dimensions),
        'dimensions': dimensions,
        'location': location,
        'rotation_y': rotation,
        'score': np.zeros(count),
    }


def image_boxes(location: np.ndarray, dimensions: np.ndarray) -> np.ndarray:
    """Roughly the boxes one sees; at 50 m a person is lower than the 25 pixels that KITTI counts."""
    scale = 721.5 / location[:, 2]
    centre, bottom = location[:, 0] * scale + 609.6, location[:, 1] * scale + 172.9
    half, height = dimensions[:, 0] * scale * 0.35, dimensions[:, 1] * scale
    return np.stack([centre - half, bottom - height, centre + half, bottom], axis=1)


def random_detections(
    rng: np.random.Generator, truth: dict[str, np.ndarray], clutter: int, noise: float = 1.0
) -> dict[str, np.ndarray]:
    """Most objects found with noise, some with the wrong class, some twice, and clutter."""
    count = len(truth['name'])
    found = np.concatenate([rng.permutation(count)[: int(np.ceil(0.85 * count))], rng.integers(count, size=count // 4)])
    found = found.astype(int)
    copies = {key: values[found] for key, values in truth.items()}
    extra = random_ground_truth(rng, clutter)
    both = {key: np.concatenate([copies[key], extra[key]]) for key in truth}
    total = len(both['name'])
    known = np.isin(both['name'], ['Car', 'Pedestrian', 'Cyclist']) & (rng.random(total) > 0.1)
    both['name'] = np.where(known, both['name'], rng.choice(['Car', 'Pedestrian', 'Cyclist'], total))
    both['location'] = both['location'] + noise * rng.normal(size=(total, 3)) * [0.1, 0.03, 0.3]
    both['dimensions'] = both['dimensions'] * np.exp(noise * 0.05 * rng.normal(size=(total, 3)))
    both['rotation_y'] = both['rotation_y'] + noise * rng.normal(size=total) * 0.2
    both['alpha'] = both['alpha'] + noise * rng.normal(size=total) * 0.5
    both['bbox'] = image_boxes(both['location'], both['dimensions']) + noise * rng.normal(size=(total, 4))
    # One decimal: equal scores occur.
    both['score'] = rng.random(total).round(1)
    return both


@pytest.fixture(scope='session')
def random_frames() -> Callable[..., tuple[list, list]]:
    """``random_frames(seed, count)``: ground truth and detections of some frames, empty ones among them."""

    def make(seed: int, count: int, noise: float = 1.0) -> tuple[list, list]:
        rng = np.random.default_rng(seed)
        truth = [random_ground_truth(rng, rng.integers(0, 12)) for _ in range(count)]
        return truth, [random_detections(rng, frame, rng.integers(0, 4), noise) for frame in truth]

    return make


def instances_of(truth: dict[str, np.ndarray]) -> list[dict]:
    boxes = np.concatenate([truth['location'], truth['dimensions'], truth['rotation_y'][:, None]], axis=1)
    return [
        {
            'bbox': truth['bbox'][i].tolist(),
            'bbox_label': CATEGORIES.get(name, -1),
            'bbox_label_3d': CATEGORIES.get(name, -1),
            'bbox_3d': boxes[i].tolist(),
            'alpha': float(truth['alpha'][i]),
            'truncated': float(truth['truncated'][i]),
            'occluded': int(truth['occluded'][i]),
            'difficulty': 0,
            'score': 0.0,
        }
        for i, name in enumerate(truth['name'])
    ]


@pytest.fixture(scope='session')
def write_infos() -> Callable[..., Path]:
    """``write_infos(path, {'000000': truth or None})``: an info file; None stands for a frame without annotations."""

    def write(path: Path, frames: dict[str, dict | None], **extra: object) -> Path:
        entries = []
        for sample_id, truth in frames.items():
            image = {'img_path': f'{sample_id}.png', 'height': 375, 'width': 1242, 'cam2img': P2.tolist()}
            entry = {'sample_id': sample_id, 'images': {'CAM2': {**image, 'lidar2cam': LIDAR2CAM.tolist()}}}
            if truth is not None:
                entry['instances'] = instances_of(truth)
            entries.append(entry)
        content = {
            'metainfo': {'categories': CATEGORIES, 'dataset': 'kitti', 'info_version': '1.1'},
            'data_list': entries,
        }
        path.write_bytes(pickle.dumps({**content, **extra}))
        return path

    return write


@pytest.fixture(scope='session')
def real_truth(kitti_real: Path) -> dict[str, dict[str, np.ndarray]]:
    """The labels of the real frames, read straight from the text files."""
    frames = {}
    for path in sorted((kitti_real / 'training' / 'label_2').glob('*.txt')):
        lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
        numbers = np.array([line[1:] for line in lines], dtype=float)
        frames[path.stem] = {
            'name': np.array([line[0] for line in lines]),
            'truncated': numbers[:, 0],
            'occluded': numbers[:, 1].astype(int),
            'alpha': numbers[:, 2],
            'bbox': numbers[:, 3:7],
            'dimensions': numbers[:, [9, 7, 8]],
            'location': numbers[:, 10:13],
            'rotation_y': numbers[:, 13],
            'score': np.zeros(len(lines)),
        }
    return frames
