"""Cross-modal (LiDAR to camera) distillation for camera-only 3D detectors, as an MMDetection3D plugin.

Importing the package is cheap: it needs torch-free mmengine parts only, registers nothing eagerly, and prepares the
compatibility measures of :mod:`mono_distill.compat` so that a later ``import mmdet3d`` works without compiled ops.
"""

from mono_distill.compat import install as _install_compat
from mono_distill.version import __version__

_install_compat()

__all__ = ['__version__']
