"""Every workaround for a version of something else, each with the symptom it cures, and nowhere else.

* :mod:`~mono_distill.compat.mmcv_lite` and :mod:`~mono_distill.compat.lite_ops`: mmcv without compiled ops;
* :mod:`~mono_distill.compat.checkpoints`: loading checkpoints without running what is in them;
* :mod:`~mono_distill.compat.versions`: faults of particular versions of mmengine, mmdet3d, numpy, setuptools;
* :mod:`~mono_distill.compat.environment`: what ``mono-distill doctor`` reports about this machine.

``import mono_distill`` calls :func:`install`, which imports none of the packages it mends.
"""

from __future__ import annotations

from mono_distill.compat import mmcv_lite, versions


def install() -> None:
    """Prepare all workarounds; they act when the module they mend is imported. Calling it again changes nothing."""
    mmcv_lite.install()
    versions.install()


__all__ = ['install']
