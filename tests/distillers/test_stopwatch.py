import time

import torch

from mono_distill.distillers.stopwatch import Stopwatch


def test_wall_time_is_measured_on_the_cpu():
    watch = Stopwatch()
    assert watch.milliseconds == 0
    watch.start(torch.device('cpu'))
    time.sleep(0.02)
    watch.stop(torch.device('cpu'))
    assert 15 < watch.milliseconds < 2000
