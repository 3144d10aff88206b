"""Whole sets of sounds, measured: pairs by name, every file analysed once, in parallel, with intervals and tests.

from aoide.metrics import evaluation

report = evaluation.evaluate("recordings", ["ours", "theirs"], evaluation.Settings(metrics=("mcd", "f0_rmse")))
report["summary"]["mcd"]["ours"]        # {"value": 4.1, "low": 3.9, "high": 4.4, "median": 4.0, "n": 200, "nan": 0}

items        which sounds there are, which belong together, and what is said in them
plan         which metrics run, and with which options
measure      one pair, in a worker process: all metrics on the same two analyses
journal      what was measured so far, on disk: what makes a run resume
statistics   intervals by bootstrap, tests by permutation
summary      from the values of all files to the numbers of the report
run          the story from the folders to the report
"""

from aoide.metrics.evaluation.plan import Settings
from aoide.metrics.evaluation.run import evaluate

__all__ = ["Settings", "evaluate"]
