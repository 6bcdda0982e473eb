"""From finished runs to comparisons with their controls."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mono_distill.apis.synth_bench.configs import TEST_DETECTIONS, Folders
from mono_distill.apis.synth_bench.plan import PRIMARY, PSEUDO, Plan, Run, controls_of
from mono_distill.apis.synth_bench.schedule import finished
from mono_distill.apis.synth_bench.statistics import (
    RESAMPLES,
    SEED,
    Interval,
    cluster_weights,
    mean_interval,
    paired_interval,
    resampled_precision,
    sequence_numbers,
)
from mono_distill.evaluation.detections_file import load_detections
from mono_distill.evaluation.kitti_annos import full_size, load_frames
from mono_distill.evaluation.kitti_resampling import Measure, match_frames
from mono_distill.synthetic.kitti.writer import MANIFEST
from mono_distill.utils.errors import DataError

# Scores of cars by their distance, and of the other classes.
DEPTH_MEASURES = {
    '3D@0.5, 0-20 m': Measure(depths=(0.0, 20.0)),
    '3D@0.5, 20-40 m': Measure(depths=(20.0, 40.0)),
    '3D@0.5, 40-65 m': Measure(depths=(40.0, 65.0)),
}
CLASS_MEASURES = {
    'Pedestrian, 3D@0.25': Measure(name='Pedestrian'),
    'Pedestrian, BEV@0.25': Measure(name='Pedestrian', metric='BEV'),
    'Cyclist, 3D@0.25': Measure(name='Cyclist'),
    'Cyclist, BEV@0.25': Measure(name='Cyclist', metric='BEV'),
}
# The primary metric first.
MEASURES = {
    '3D@0.5': Measure(),
    '3D@0.7': Measure(overlap='strict'),
    'BEV@0.5': Measure(metric='BEV'),
    **DEPTH_MEASURES,
    **CLASS_MEASURES,
}
# Full-split numbers of the metric that the resampled ones must equal.
METRIC_KEYS = {
    '3D@0.5': PRIMARY,
    '3D@0.7': 'KITTI/Car_3D_AP40_moderate_strict',
    'BEV@0.5': 'KITTI/Car_BEV_AP40_moderate_loose',
    'Pedestrian, 3D@0.25': 'KITTI/Pedestrian_3D_AP40_moderate_loose',
    'Cyclist, BEV@0.25': 'KITTI/Cyclist_BEV_AP40_moderate_loose',
}
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Row:
    """One arm of a setting.

    Attributes:
        setting: Name of the setting.
        arm: Name of the arm.
        seeds: Finished seeds.
        steps: Steps of an arm, without those before the arms part.
        scores: AP40 by measure, each (S,) over the seeds.
        spread: 95 % interval of the mean over seeds and frames, by measure.
        gain: Paired difference by the arm it is compared with and by measure; the most important control first.
    """

    setting: str
    arm: str
    seeds: list[int]
    steps: int
    scores: dict[str, list[float]]
    spread: dict[str, Interval]
    gain: dict[str, dict[str, Interval]]

    def mean(self, measure: str) -> float:
        """Mean over seeds."""
        return float(np.mean(self.scores[measure]))

    def std(self, measure: str) -> float:
        """Standard deviation over seeds (of one seed: NaN)."""
        values = self.scores[measure]
        return float(np.std(values, ddof=1)) if len(values) > 1 else float('nan')


class Analysis:
    """Resamples the test split of every world once and scores all runs on the same resamples.

    Args:
        plan: The plan.
        folders: The work folder.
        resamples: Resamples, the split itself included.
    """

    def __init__(self, plan: Plan, folders: Folders, *, resamples: int = RESAMPLES) -> None:
        self.plan = plan
        self.folders = folders
        self.resamples = resamples
        self._truth: dict[str, tuple[list[str], list[Any], NDArray[np.int64]]] = {}
        self._precision: dict[Run, dict[str, NDArray[np.float64]]] = {}

    def rows(self, runs: Sequence[Run]) -> list[Row]:
        """Return one row for every arm with a finished and tested run, in the order of the plan."""
        done = [run for run in runs if run.arm != PSEUDO and (self._result(run) or {}).get('test')]
        rows = []
        for setting, arm in dict.fromkeys((run.setting, run.arm) for run in done):
            rows.append(self._row([run for run in done if (run.setting, run.arm) == (setting, arm)], done))
        return rows

    def precision(self, run: Run) -> dict[str, NDArray[np.float64]]:
        """Return (R,) AP40 of a run by measure; the first is that of the test split.

        Raises:
            DataError: It differs from what the metric gave when the run was tested.
        """
        if run not in self._precision:
            self._precision[run] = self._resample(run)
        return self._precision[run]

    def _resample(self, run: Run) -> dict[str, NDArray[np.float64]]:
        world = self.plan.settings[run.setting].world
        names, truth, weights = self._world(world)
        found = load_detections(self.folders.run(run) / TEST_DETECTIONS)
        scale = self.plan.worlds[world].image_scale
        detections = [full_size(found[name], scale) for name in names]
        values = {
            label: resampled_precision(match_frames(truth, detections, measure), weights)
            for label, measure in MEASURES.items()
        }
        result = self._result(run) or {}
        for label, key in METRIC_KEYS.items():
            if abs(values[label][0] - result['test'][key]) > TOLERANCE:
                raise DataError(
                    f'{run.id}: the resampled {label} of the whole test split is {values[label][0]}, the metric gave '
                    f'{result["test"][key]}; its detections belong to another evaluation'
                )
        return values

    def _world(self, world: str) -> tuple[list[str], list[Any], NDArray[np.int64]]:
        """Names, ground truth and resamples (R, F) of a world's test split."""
        if world not in self._truth:
            root = self.folders.data(world) / 'test'
            frames = load_frames(root / 'kitti_infos_trainval.pkl')
            scale = self.plan.worlds[world].image_scale
            sequences = json.loads((root / MANIFEST).read_text())['sequences']
            clusters = sequence_numbers(list(frames), sequences)
            weights = cluster_weights(clusters, self.resamples, np.random.default_rng([SEED, 0]))
            truth = [full_size(frame.annos, scale) for frame in frames.values()]
            self._truth[world] = (list(frames), truth, weights)
        return self._truth[world]

    def _row(self, own: list[Run], done: list[Run]) -> Row:
        setting, arm = own[0].setting, own[0].arm
        rng = np.random.default_rng([SEED, 1])
        values = {label: np.stack([self.precision(run)[label] for run in own]) for label in MEASURES}
        return Row(
            setting=setting,
            arm=arm,
            seeds=[run.seed for run in own],
            steps=(self._result(own[0]) or {})['steps'],
            scores={label: [round(float(value), 4) for value in table[:, 0]] for label, table in values.items()},
            spread={label: mean_interval(table, rng) for label, table in values.items()},
            gain=self._gains(own, done, rng),
        )

    def _gains(self, own: list[Run], done: list[Run], rng: np.random.Generator) -> dict[str, dict[str, Interval]]:
        """Compare an arm with its controls, over the seeds that both have."""
        gains = {}
        for control in controls_of(own[0].arm):
            others = {run: Run(run.setting, control, run.seed) for run in own}
            paired = {run: other for run, other in others.items() if other in done}
            if paired:
                gains[control] = {label: self._gain(paired, label, rng) for label in MEASURES}
        return gains

    def _gain(self, paired: dict[Run, Run], label: str, rng: np.random.Generator) -> Interval:
        ours, theirs = (np.stack([self.precision(run)[label] for run in side]) for side in (paired, paired.values()))
        return paired_interval(ours, theirs, rng)

    def _result(self, run: Run) -> dict[str, Any] | None:
        return finished(run, self.plan, self.folders)


def plain(row: Row) -> dict[str, Any]:
    """Return a row as JSON takes it."""
    return asdict(row)


def late_change(results: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """Return by how much the validation score of paired runs still changed, mean and standard error over seeds.

    The change is from the third last to the last point of the curve: near 0, the student has stopped improving.

    Args:
        results: Results of one arm.
    """
    changes = []
    for result in results:
        curve = [point[PRIMARY] for point in result['val']]
        if len(curve) >= 3:
            changes.append(curve[-1] - curve[-3])
    error = float(np.std(changes, ddof=1) / np.sqrt(len(changes))) if len(changes) > 1 else float('nan')
    return (float(np.mean(changes)) if changes else float('nan')), error


def read_manifest(root: Path) -> dict[str, Any]:
    """Return the manifest of a world's part, for provenance."""
    content: dict[str, Any] = json.loads((root / MANIFEST).read_text())
    return {key: content[key] for key in content if key != 'sequences'}
