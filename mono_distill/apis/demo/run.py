"""Runs the stages of the demo and says where it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mono_distill.apis.demo.folder import DemoFolder, opened
from mono_distill.apis.demo.jobs import is_finished, run_jobs
from mono_distill.apis.demo.options import DemoOptions
from mono_distill.apis.demo.progress import Progress
from mono_distill.apis.demo.stages import Stage, all_stages


@dataclass(frozen=True)
class Status:
    """Where a run is.

    Attributes:
        number: The stage's place, counted from 1.
        count: Number of stages.
        title: What the stage does.
        state: ``'running'``, ``'stopping'`` (after an interrupt or an error), ``'finished'``, or ``'skipped'`` if an
            earlier run finished it.
        elapsed: Seconds since the run was started.
        seconds: Seconds that the stage has taken, over all runs.
        jobs: Progress of its running jobs, by name.
        left: Estimated seconds to the end of the stage, None while there is no estimate.
    """

    number: int
    count: int
    title: str
    state: str
    elapsed: float
    seconds: float
    jobs: Mapping[str, Progress] = field(default_factory=dict)
    left: float | None = None


Display = Callable[[Status], None]


def run_demo(options: DemoOptions, display: Display, *, poll: float = 0.5) -> DemoFolder:
    """Run every stage that is not finished yet.

    Args:
        options: What to do.
        display: Called at the start and at the end of every stage, and every ``poll`` seconds in between.
        poll: Seconds between two looks at the running jobs.

    Returns:
        The folder with the report.

    Raises:
        ConfigError: The folder cannot be used, see :func:`~mono_distill.apis.demo.folder.opened`.
        StageError: A command failed; the message names its log.
        KeyboardInterrupt: Passed on after the jobs have been stopped and recorded.
    """
    with opened(options) as (folder, claim):
        run = _Run(options, folder, claim, display, poll)
        for number, stage in enumerate(run.stages, start=1):
            run.go(number, stage)
    return folder


class _Run:
    """One call of :func:`run_demo`."""

    def __init__(self, options: DemoOptions, folder: DemoFolder, claim: int, display: Display, poll: float) -> None:
        self.options = options
        self.folder = folder
        self.claim = claim
        self.display = display
        self.poll = poll
        self.stages = all_stages(options)
        self.began = time.monotonic()
        self.anything_new = False

    def go(self, number: int, stage: Stage) -> None:
        """Do what is left of one stage."""
        began = time.monotonic()
        before = self.folder.entry(stage.record)['seconds']

        def show(state: str, jobs: Mapping[str, Progress], left: float | None) -> None:
            now = time.monotonic()
            seconds = before if state == 'skipped' else before + now - began
            self.display(Status(number, len(self.stages), stage.title, state, now - self.began, seconds, jobs, left))

        jobs = [] if stage.jobs is None else stage.jobs(self.options, self.folder)
        jobs = [job for job in jobs if not is_finished(job, self.folder)]
        if not jobs and (stage.call is None or self._called_before(stage)):
            show('skipped', {}, None)
            return
        show('running', {}, None)
        self.anything_new = True
        finished = False
        try:
            run_jobs(
                jobs,
                self.folder,
                self.claim,
                workers=self.options.workers,
                watch=lambda progress, left: show('running', progress, left),
                stopping=lambda: show('stopping', {}, None),
                poll=self.poll,
            )
            if stage.call is not None:
                stage.call(self.options, self.folder)
            finished = True
        finally:
            self.folder.add(stage.record, seconds=time.monotonic() - began, finished=finished)
        show('finished', {}, None)

    def _called_before(self, stage: Stage) -> bool:
        """Whether an earlier run finished a stage without commands, and nothing it builds on has changed."""
        return (
            bool(self.folder.entry(stage.record)['finished']) and self.folder.report.exists() and not self.anything_new
        )
