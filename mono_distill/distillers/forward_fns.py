"""Calling a detector for its features, whatever the signature of its ``extract_feat``.

mmdet3d's detectors disagree: ``extract_feat`` takes the inputs alone, or also the metas, or also the data samples, and
gives one feature list or a pair (image features, point features).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, cast

from torch import nn

from mono_distill.utils.errors import ConfigError

_HEADS = ('bbox_head', 'pts_bbox_head')


def extract_features(model: nn.Module, inputs: Any, data_samples: list[Any]) -> Any:
    """Call ``model.extract_feat`` with what its signature asks for."""
    function = cast('Callable[..., Any]', model.extract_feat)
    names = list(inspect.signature(function).parameters)
    if len(names) < 2:
        return function(inputs)
    if 'sample' in names[1]:
        return function(inputs, data_samples)
    return function(inputs, [sample.metainfo for sample in data_samples])


def run_detector(model: nn.Module, inputs: Any, data_samples: list[Any], tapped: Iterable[str], how: str) -> None:
    """Run as much of a frozen detector as its taps need; its hooks do the reading.

    Args:
        model: The detector.
        inputs: What its preprocessor returned as ``inputs``.
        data_samples: Its data samples.
        tapped: Module paths that are tapped.
        how: ``'auto'`` runs ``extract_feat`` and, only if something in a head is tapped, the head's forward: no
            decoding, no targets. ``'tensor'`` and ``'loss'`` run the detector in that mode; ``'loss'`` needs ground
            truth and is for taps on target assignment.

    Raises:
        ConfigError: ``how`` is unknown.
    """
    if how in ('tensor', 'loss'):
        model(inputs, data_samples, mode=how)
        return
    if how != 'auto':
        raise ConfigError(f"a teacher's forward must be 'auto', 'tensor' or 'loss', not {how!r}")
    features = extract_features(model, inputs, data_samples)
    for name in _HEADS:
        if any(path.split('.')[0] == name for path in tapped):
            # Multi-modal detectors return (image features, point features); their point head takes the second.
            points = name == 'pts_bbox_head' and isinstance(features, tuple) and len(features) == 2
            getattr(model, name)(features[1] if points else features)
