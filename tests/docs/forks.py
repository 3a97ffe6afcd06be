"""`python manage.py ...` in forks of one process that has imported Django, but no settings yet.

What the pages type are some fifty commands, and most of each one's time would go to the import of
Django. A fork has a project of its own: nothing of one is seen by the next.

Each line of stdin is JSON: the words after `python`, the directory, and where the output goes. Each
line of the answer is the exit code.
"""

import importlib
import json
import os
import runpy
import sys
import traceback
import warnings

PRELOADED = (
    "appschema.names",
    "asyncio",
    "django.contrib.postgres.constraints",
    "django.core.management.commands.makemigrations",
    "django.core.management.commands.migrate",
    "django.core.servers.basehttp",
    "django.db.backends.postgresql.base",
    "django.forms",
    "django.template.defaulttags",
    "django.test",
    "django.urls",
    "psycopg",
)


def run(words: list[str], directory: str, output: str) -> int:
    """Run one command in this process, a fork, and return its exit code."""
    target = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, number in ((nothing, 0), (target, 1), (target, 2)):
        os.dup2(source, number)
    os.chdir(directory)
    sys.argv = words
    sys.path.insert(0, directory)
    try:
        runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as Python ends with any error
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    for name in PRELOADED:
        importlib.import_module(name)
    for request in sys.stdin:
        child = os.fork()
        if child == 0:
            code = run(**json.loads(request))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        _, status = os.waitpid(child, 0)
        os.write(1, b"%d\n" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    warnings.simplefilter("error")
    main()
