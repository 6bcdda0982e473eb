"""``mono-distill demo``: from made-up driving data to a distilled detector and a report, in minutes on a CPU."""
