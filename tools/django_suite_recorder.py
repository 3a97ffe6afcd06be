"""The test runner that ``django_suite.py`` puts into each run of Django's own test suite.

It is copied beside the generated settings and runs in the child process, so it imports nothing of
the repository. One line of JSON per test is written as soon as the test has ended: a run that dies
still tells what it did.
"""

# ruff: noqa: N802 - unittest's names.

from __future__ import annotations

import json
import os
import unittest
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from django.test.runner import DiscoverRunner

RESULTS_VARIABLE = "DJANGO_SUITE_RESULTS"

# From best to worst: a test that reports several (subtests, then its tearDown) keeps the worst.
OUTCOMES = ("pass", "expected failure", "skip", "unexpected success", "fail", "error")

# The end of a traceback tells the cause; some of Django's messages hold a whole page of HTML.
DETAIL_LIMIT = 4000

ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class RecordingResult(unittest.TextTestResult):
    """Writes the outcome of every test; subtests count for the test that holds them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        results = Path(os.environ[RESULTS_VARIABLE])
        self._stream: IO[str] = results.open("a", encoding="utf-8")
        self._running: str | None = None
        self._outcome = ""
        self._details: list[str] = []

    def startTest(self, test: unittest.TestCase) -> None:
        self._running, self._outcome, self._details = test.id(), "", []
        super().startTest(test)

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        # One that reports nothing at all did not pass.
        self._write(test.id(), self._outcome or "error", self._details)
        self._running = None

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self._note(test, "pass")

    def addError(self, test: unittest.TestCase, err: ExcInfo) -> None:
        super().addError(test, err)
        self._note(test, "error", self._traceback(test, err))

    def addFailure(self, test: unittest.TestCase, err: ExcInfo) -> None:
        super().addFailure(test, err)
        self._note(test, "fail", self._traceback(test, err))

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self._note(test, "skip", reason)

    def addExpectedFailure(self, test: unittest.TestCase, err: ExcInfo) -> None:
        super().addExpectedFailure(test, err)
        self._note(test, "expected failure")

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        self._note(test, "unexpected success")

    def addSubTest(
        self, test: unittest.TestCase, subtest: unittest.TestCase, err: ExcInfo | None
    ) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            failed = err[0] is not None and issubclass(err[0], test.failureException)
            self._note(
                test, "fail" if failed else "error", f"{subtest.id()}\n{self._traceback(test, err)}"
            )

    def stopTestRun(self) -> None:
        super().stopTestRun()
        self._stream.write(json.dumps({"finished": True}) + "\n")
        self._stream.close()

    def _note(self, test: unittest.TestCase, outcome: str, detail: str = "") -> None:
        if self._running is None:
            # setUpClass and tearDownClass report for a whole class, outside of any test.
            self._write(test.id(), outcome, [detail])
            return
        if not self._outcome or OUTCOMES.index(outcome) > OUTCOMES.index(self._outcome):
            self._outcome = outcome
        if detail:
            self._details.append(detail)

    def _traceback(self, test: unittest.TestCase, err: ExcInfo) -> str:
        return str(self._exc_info_to_string(err, test))  # type: ignore[attr-defined]

    def _write(self, test_id: str, outcome: str, details: list[str]) -> None:
        detail = "\n".join(details)[-DETAIL_LIMIT:]
        self._stream.write(
            json.dumps({"test": test_id, "outcome": outcome, "detail": detail}) + "\n"
        )
        self._stream.flush()


class RecordingRunner(DiscoverRunner):
    """Django's own runner, in one process, with the recording result."""

    def get_resultclass(self) -> type[RecordingResult]:
        return RecordingResult
