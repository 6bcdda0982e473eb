"""Every distillation loss with what it promises, a file per method; tested in ``tests/losses/test_contract.py``."""

from loss_cases import monodistill
from loss_cases.case import Case

CASES: dict[str, Case] = {**monodistill.CASES}
