"""The comparison that judges our backend by Django's own tests must not hide a test."""

import pytest

from tools.django_suite_report import (
    Comparison,
    Outcome,
    Report,
    essence,
    is_worse,
    one_line,
    replace_rows,
    replace_section,
)

TRACEBACK = """\
Traceback (most recent call last):
  File "/home/me/venv/lib/python3.11/site-packages/django/db/models/base.py", line 1, in save
    inner()
  File "/home/me/.cache/django-suite/django-5.2.19/tests/queries/tests.py", line 7, in test_it
    outer()
django.db.utils.IntegrityError: duplicate key
DETAIL:  Key (x)=(1) already exists.
"""


def report(*comparisons, series="5.2"):
    return Report(series, {"Django": f"{series}.1"}, comparisons, absent=[], missing=[])


def compared(**pairs):
    """A comparison by test=(stock, ours); None stands for a test that has no record."""
    stock = {test: Outcome(pair[0]) for test, pair in pairs.items() if pair[0]}
    ours = {test: Outcome(pair[1], TRACEBACK) for test, pair in pairs.items() if pair[1]}
    return Comparison("queries", stock, ours)


@pytest.mark.parametrize(
    ("stock", "ours"),
    [
        ("pass", "fail"),
        ("pass", "error"),
        ("pass", "skip"),
        ("pass", None),
        ("pass", "expected failure"),
        ("skip", "fail"),
        ("expected failure", "unexpected success"),
        (None, "error"),
    ],
)
def test_a_test_that_is_lost_on_ours_is_worse(stock, ours):
    assert compared(it=(stock, ours)).suspects() == ["it"]


@pytest.mark.parametrize(
    ("stock", "ours"),
    [("pass", "pass"), ("skip", "skip"), ("skip", "pass"), ("fail", "error"), ("error", "pass")],
)
def test_a_test_that_does_no_worse_on_ours_is_no_suspect(stock, ours):
    assert not is_worse(Outcome(stock), Outcome(ours))


def test_only_what_did_not_repeat_is_cleared():
    first = compared(one=("pass", "fail"), two=("pass", "fail"))
    cleared = Comparison("queries", first.stock, first.ours, frozenset({"one"}))
    assert cleared.worse() == ["two"]
    page = replace_section("", report(cleared))
    assert "Worse on ours, after running them again: **1**." in page
    assert "Worse at first, but neither in a second run nor by themselves: 1.\n\n- `one`" in page


def test_a_section_replaces_the_one_of_the_same_series_only():
    first = report(compared(one=("pass", "fail")), series="6.1")
    second = report(compared(two=("pass", "fail")), series="5.2")
    again = report(compared(three=("pass", "fail")), series="6.1")
    page = table = ""
    for each in (first, second, again):
        page, table = replace_section(page, each), replace_rows(table, each)
    assert "`one`" not in page
    assert page.index("## Django 5.2") < page.index("`two`") < page.index("`three`")
    assert [line.split("\t")[2] for line in table.splitlines()] == ["test", "two", "three"]
    assert replace_section(page, again) == page
    assert replace_rows(table, again) == table


def test_a_traceback_is_cut_to_what_tells_the_cause_without_the_machine_s_directories():
    assert (
        essence(TRACEBACK)[0] == '  File "django-5.2.19/tests/queries/tests.py", line 7, in test_it'
    )
    assert essence(TRACEBACK)[-1] == "DETAIL:  Key (x)=(1) already exists."
    assert one_line(TRACEBACK) == "django.db.utils.IntegrityError: duplicate key"
    assert one_line("no\tserver\n") == "no server"
