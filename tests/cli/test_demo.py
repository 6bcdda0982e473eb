"""``mono-distill demo``: from frames to a report, with an interruption; options, exit status, what is shown."""

import argparse

import pytest
from kitti_files import write_folder, write_split

from mono_distill.apis.demo import jobs, stages
from mono_distill.apis.demo.folder import DemoFolder
from mono_distill.apis.demo.progress import Progress
from mono_distill.apis.demo.run import Status
from mono_distill.cli import demo
from mono_distill.cli.main import main


def parsed(*words):
    parser = argparse.ArgumentParser()
    demo.configure(parser)
    return parser.parse_args(words)


def status(state='running', **values):
    return Status(3, 6, 'train', state, 250.0, 65.0, **values)


@pytest.mark.slow
def test_an_interrupted_demo_continues_and_ends_with_a_table_and_a_report(tmp_path, capsys, monkeypatch):
    root = write_folder(tmp_path / 'kitti', training=6)
    names = [f'{number:06d}' for number in range(6)]
    for split, part in (('train', names[:4]), ('val', names[4:]), ('trainval', names)):
        write_split(root, split, *part)
    monkeypatch.setattr(stages, 'CHECKPOINT_STEPS', 2)
    command = ['demo', '--out', str(tmp_path / 'out'), '--kitti-root', str(root), '--workers', '2']
    # Long enough that a busy machine does not finish the teacher between its first checkpoint and the next look at it.
    command += ['--train-steps', '48', '--distil-steps', '6']
    folder = DemoFolder(tmp_path / 'out')

    with monkeypatch.context() as patch:
        show = demo.Display.__call__

        def interrupt(self, status):
            show(self, status)
            if 'teacher' in status.jobs and (folder.work_dir('teacher') / 'last_checkpoint').exists():
                raise KeyboardInterrupt

        patch.setattr(demo.Display, '__call__', interrupt)
        assert main(command) == 130
    shown = capsys.readouterr().out
    assert 'interrupted; what is done is kept' in shown
    assert f'Continue with the same command: mono-distill demo --out {tmp_path / "out"} --train-steps 48' in shown
    assert folder.entry('prepare')['finished']
    assert not folder.entry('stage_train')['finished']

    assert main(command) == 0
    shown = capsys.readouterr().out
    assert '[1/5] prepare KITTI infos and LiDAR depth maps: done before' in shown
    assert 'resumed epoch' in folder.log('teacher').read_text()
    assert 'Distilled student' in shown
    assert str(folder.report) in shown
    assert 'data:image/png' in folder.report.read_text()

    assert main(command) == 0
    assert capsys.readouterr().out.count('done before') == 5


def test_a_failure_names_its_log_and_is_status_2(tmp_path, capsys):
    root = write_folder(tmp_path / 'kitti', training=2)
    (root / 'training' / 'calib' / '000000.txt').unlink()
    (root / 'training' / 'calib' / '000001.txt').unlink()
    assert main(['demo', '--out', str(tmp_path / 'out'), '--kitti-root', str(root), '--workers', '1']) == 2
    message = capsys.readouterr().err
    assert message.startswith("mono-distill demo: 'mono-distill prepare' (prepare) ended with status 2.")
    assert str(tmp_path / 'out' / 'logs' / 'prepare.log') in message


@pytest.mark.parametrize('words', [['--frames', '5'], ['--workers', '0'], ['--seed', '-1']])
def test_an_impossible_option_is_status_2(tmp_path, capsys, words):
    assert main(['demo', '--out', str(tmp_path / 'out'), *words]) == 2
    assert words[0] in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_fast_is_short_and_what_is_given_counts_more():
    plain, fast = demo.demo_options(parsed()), demo.demo_options(parsed('--fast', '--seed', '5', '--frames', '30'))
    assert fast.train_steps < plain.train_steps / 5
    assert (fast.seed, fast.frames) == (5, 30)


def test_the_command_that_continues_has_every_option_that_was_given():
    words = ['--out', 'x', '--frames', '30', '--seed', '2', '--workers', '1', '--fast']
    assert demo.invocation(parsed(*words)) == 'mono-distill demo --out x --frames 30 --seed 2 --workers 1 --fast'


def test_a_path_with_a_space_is_quoted():
    assert "--out 'my demo'" in demo.invocation(parsed('--out', 'my demo'))


def test_a_line_of_progress_says_stage_steps_loss_and_times():
    working = {'teacher': Progress(120, 4000, 'steps', 'loss 9.10'), 'student': Progress(0, 4000, 'steps')}
    assert demo.progress_line(status(jobs=working, left=83.0)) == (
        '[3/6] teacher 120/4000 steps loss 9.10, student starting | 1:23 left | 4:10 elapsed'
    )


def test_a_terminal_shows_one_changing_line(capsys):
    display = demo.Display(terminal=True)
    for number in range(3):
        display(status(jobs={'teacher': Progress(number + 1, 10, 'steps')}))
    display(status('finished'))
    shown = capsys.readouterr().out
    assert shown.count('\n') == 1
    assert shown.count('\r') == 4
    assert shown.endswith('[3/6] done (1:05)\n')


def test_a_changing_line_never_wraps(capsys, monkeypatch):
    monkeypatch.setenv('COLUMNS', '30')
    demo.Display(terminal=True)(status(jobs={'teacher': Progress(1, 4000, 'steps', 'loss 9.10')}))
    assert capsys.readouterr().out == '\r\033[K[3/6] teacher 1/4000 steps lo'


def test_a_log_file_gets_a_line_now_and_then(capsys):
    display = demo.Display(terminal=False, line_every=1000)
    display(status())
    for number in range(3):
        display(status(jobs={'teacher': Progress(number + 1, 10, 'steps')}))
    display(status('skipped'))
    assert capsys.readouterr().out.splitlines() == ['[3/6] train', '[3/6] train: done before (1:05)']


def test_jobs_run_this_package_with_this_interpreter():
    assert jobs.COMMAND[1:] == ('-m', 'mono_distill.cli.main')
