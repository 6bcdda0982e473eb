"""Every distillation loss with what it promises, a file per method; tested in ``tests/losses/test_contract.py``."""

from loss_cases import monodetr, monodistill, monostl, monotakd, neighbours, stxd
from loss_cases.case import Case

CASES: dict[str, Case] = {
    **monodistill.CASES,
    **monostl.CASES,
    **monotakd.CASES,
    **stxd.CASES,
    **neighbours.CASES,
    **monodetr.CASES,
}
