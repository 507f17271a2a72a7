"""An optimizer in any language: a child process that reads and writes one JSON object per line.

It is asked                                          and answers
    {"start": {"w": [..]}, "dtype": "float64"}       {"params": {"w": [..]}}
    {"step": {"w": [..], "b": null}}                 {"params": {"w": [..], "b": [..]}}
    {"learning_rate": 0.01}                          {"ok": true}
    {"save": true}                                   {"state": ..}, any JSON
    {"load": ..}                                     {"ok": true}

The child may answer {"unsupported": true} to the last three, and to a step with null. `start`
resets the optimizer; the end of the input ends the child.
"""

import contextlib
import json
import queue
import shlex
import subprocess
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.microscope.steps.steppers import Arrays, Gradients

_LONGEST = 4_000_000  # most characters of an answer


class ChildStepper:
    """A stepper that asks a child process; a context manager that ends it.

    Args:
      command: the command line; it runs without a shell.
      patience: the timeout for each answer, in seconds.

    Raises:
      InputError: the command cannot run; later, the child hangs, ends or sends an invalid answer.

    >>> import sys
    >>> from jaxopt_notes.microscope import ChildStepper
    >>> sgd = '''
    ... import json, sys
    ... for line in sys.stdin:
    ...     asked = json.loads(line)
    ...     w = asked["start"]["w"] if "start" in asked else [w[0] - 0.1 * asked["step"]["w"][0]]
    ...     print(json.dumps({"params": {"w": w}}), flush=True)
    ... '''
    >>> with ChildStepper([sys.executable, "-c", sgd]) as child:
    ...     child.start({"w": np.array([1.0])})
    ...     print(child.step({"w": np.array([2.0])}))
    {'w': array([0.8])}
    """

    vectors_only = True  # the protocol has no matrices

    def __init__(self, command: str | Sequence[str], patience: float = 20.0) -> None:
        words = shlex.split(command) if isinstance(command, str) else list(command)
        self._called = command if isinstance(command, str) else shlex.join(command)
        self._patience = patience
        if not words:
            raise self._error("is empty; pass what you would type to run the optimizer")
        try:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise self._error(f"cannot be run ({first_line(error)})") from None
        self._answers: queue.Queue[str] = queue.Queue(maxsize=4)
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> "ChildStepper":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the child."""
        with contextlib.suppress(OSError):
            assert self._process.stdin
            self._process.stdin.close()
        try:
            self._process.wait(0.5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def start(self, params: Arrays) -> None:
        self._shapes = {name: p.shape for name, p in params.items()}
        self._dtype = next(iter(params.values())).dtype
        begun = {name: p.tolist() for name, p in params.items()}
        self._params(self._ask({"start": begun, "dtype": str(self._dtype)}))

    def step(self, grads: Gradients) -> Arrays:
        listed = {name: None if g is None else g.tolist() for name, g in grads.items()}
        return self._params(self._ask({"step": listed}))

    def set_learning_rate(self, value: float) -> None:
        self._ask({"learning_rate": value})

    def save(self) -> bytes:
        return json.dumps(self._ask({"save": True}).get("state")).encode()

    def load(self, state: bytes) -> None:
        self._ask({"load": json.loads(state)})

    def _read(self) -> None:
        """Keeps only a few lines, so that endless output of the child does not fill memory."""
        assert self._process.stdout
        with contextlib.suppress(ValueError, OSError):
            while line := self._process.stdout.readline(_LONGEST):
                self._answers.put(line)
        self._answers.put("")

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        with contextlib.suppress(OSError):  # it has ended: the answer says so
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        asked = next(iter(question))
        try:
            line = self._answers.get(timeout=self._patience)
        except queue.Empty:
            self._process.kill()
            raise self._error(
                f"did not answer {asked} in {self._patience:g} s; flush stdout after each answer"
            ) from None
        if not line:
            self._answers.put("")  # so it is for every later question
            code = self._process.wait()
            raise self._error(f"ended (exit code {code}) when it was asked for {asked}")
        if not line.endswith("\n") and len(line) >= _LONGEST:
            raise self._error(f"answered {asked} with a line of over {_LONGEST:,} characters")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self._error(
                f"answered {asked} with {line.strip()[:40]!r}, not with a JSON object; print "
                "nothing but answers to stdout"
            )
        if answer.get("unsupported"):
            raise NotImplementedError
        return answer

    def _params(self, answer: dict[str, Any]) -> Arrays:
        params = answer.get("params")
        if not isinstance(params, dict) or params.keys() != self._shapes.keys():
            raise self._error(
                f"must answer {{'params': {{…}}}} with the arrays {', '.join(self._shapes)}"
            )
        arrays = {}
        for name, shape in self._shapes.items():
            try:
                arrays[name] = np.array(params[name], self._dtype)
            except (TypeError, ValueError, OverflowError):
                raise self._error(f"answered numbers for {name} that are not numbers") from None
            if arrays[name].shape != shape:
                raise self._error(
                    f"answered {name} with shape {arrays[name].shape}; it was given {shape}"
                )
        return arrays

    def _error(self, what: str) -> InputError:
        return InputError(f"--command {self._called!r}: {what}")
