"""`python forked_train.py` trains for each line of its input, in a process that it forks.

A line is JSON: the options of `train`. The answers are the forked process's number and, when that
process has ended, its exit code. The processes share the imports, which take a third of the time
of a short run. A fork loses its parent's threads, so nothing here may start one: JAX has no backend
yet, and `test_kill.py` tells NumPy to start none.
"""

import json
import os
import sys

from jaxopt_notes import train
from jaxopt_notes.command import run_as_process
from jaxopt_notes.runs import checkpoint, info, orbax_log, report, resume, session  # noqa: F401
from jaxopt_notes.runtime import memory  # noqa: F401

sys.modules["matplotlib.figure"] = None  # as in TRAIN of tests/run_files.py
for line in sys.stdin:
    if (process := os.fork()) == 0:
        for descriptor in (0, 1):
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
        sys.argv[1:] = json.loads(line)
        run_as_process(train.main)
    print(process, flush=True)
    _, status = os.waitpid(process, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
