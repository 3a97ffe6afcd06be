"""A Python for one page: runs blocks that come in on stdin in one namespace, in the reader's project.

Each line of stdin is JSON, the arguments of `run`; each line of the answer is JSON too: what was
printed, and what went wrong or null.
"""

import contextlib
import doctest
import io
import json
import os
import sys
import traceback

import django


def run(kind: str, source: str, where: str, line: int, namespace: dict[str, object]) -> str:
    """Run one block and return what it printed."""
    printed = io.StringIO()
    if kind == "pycon":
        examples = doctest.DocTestParser().get_doctest(source, namespace, where, where, line)
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        runner.run(examples, out=printed.write, clear_globs=False)
        namespace.update(examples.globs)
        if runner.failures:
            raise AssertionError(printed.getvalue())
        return ""
    with contextlib.redirect_stdout(printed):
        exec(compile("\n" * line + source, where, "exec"), namespace)
    return printed.getvalue()


def main() -> None:
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - what sys.path holds are strings
    os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
    django.setup()
    answers, sys.stdout = sys.stdout, sys.stderr
    namespace: dict[str, object] = {"__name__": "__main__"}
    for request in sys.stdin:
        try:
            answer = {"printed": run(**json.loads(request), namespace=namespace), "error": None}
        except BaseException:  # noqa: BLE001 - told to the test, which fails with it
            answer = {"printed": "", "error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
