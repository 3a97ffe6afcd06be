"""A template in a file: SQL that a person can read, or a Python module that holds it.

The first line tells how the statements are told apart and what stands for the schema's name, in
words that occur nowhere else in the text.
"""

from __future__ import annotations

import ast
import json
from dataclasses import asdict, dataclass, fields
from itertools import count
from pathlib import Path
from typing import Any

from appschema.catalog import Script
from appschema.catalog.slots import NAME, ROLE, SCHEMA
from appschema.exceptions import WrongState

_HEADER = "-- appschema template "
_VERSION = 1
_PARTS = tuple(each.name for each in fields(Script))
_PYTHON = '''\
"""The template of new schemas, as 'manage.py schematemplate --as-python' has written it."""

TEMPLATE = {text}
'''


@dataclass(frozen=True)
class TemplateFile:
    """What the file holds: the script, and which migrations it was made with."""

    script: Script
    records: str
    """Digest of the records of migrations in the template's schema, ..."""
    public_records: str
    """... and in public."""


def write_sql(file: TemplateFile) -> str:
    """Return the text of an ``.sql`` file."""
    parts = {name: getattr(file.script, name) for name in _PARTS}
    words = _choose_words("\n".join(each for part in parts.values() for each in part))
    header = {
        "version": _VERSION,
        "records": file.records,
        "public_records": file.public_records,
        **asdict(words),
    }
    lines = [_HEADER + json.dumps(header, ensure_ascii=False)]
    for name, part in parts.items():
        lines.append(f"{words.part}{name}")
        lines += [f"{words.write(each)};\n{words.end}" for each in part]
    return "\n".join(lines) + "\n"


def write_python(file: TemplateFile) -> str:
    """Return the text of a ``.py`` file, which is read and never run."""
    text = write_sql(file)
    lines = "\n".join(f"    {line + chr(10)!r}" for line in text.split(chr(10))[:-1])
    return _PYTHON.format(text=f"(\n{lines}\n)")


def read_template_file(path: Path) -> TemplateFile:
    """Return what ``write_sql`` or ``write_python`` has written to *path*.

    Raises ``WrongState`` for a file that is anything else, and ``OSError``.
    """
    # Rows and bodies of functions may hold line endings of any kind, which are to stay.
    text = path.read_bytes().decode()
    try:
        return _read_sql(_read_python(text) if path.suffix == ".py" else text)
    except (ValueError, KeyError, SyntaxError, StopIteration) as error:
        raise WrongState(
            f"The file {str(path)!r} is no template that this version of appschema has written"
            f" ({error}). Write it with 'manage.py schematemplate'."
        ) from error


@dataclass(frozen=True)
class _Words:
    """What has a meaning in the text."""

    part: str
    end: str
    schema: str
    name: str
    role: str

    def write(self, statement: str) -> str:
        for slot, word in self._slots().items():
            statement = statement.replace(slot, word)
        return statement

    def read(self, statement: str) -> str:
        for slot, word in self._slots().items():
            statement = statement.replace(word, slot)
        return statement

    def _slots(self) -> dict[str, str]:
        return {SCHEMA: self.schema, NAME: self.name, ROLE: self.role}


def _choose_words(text: str) -> _Words:
    for number in count():
        more = f"_{number}" if number else ""
        if f"schema{more}__" in text or f"role{more}__" in text or f"-- end{more}\n" in text:
            continue
        if f"-- part{more} " in text or text.endswith(f"-- end{more}"):
            continue
        schema, name, role = f'"__schema{more}__"', f"__name_of_schema{more}__", f'"__role{more}__"'
        return _Words(f"-- part{more} ", f"-- end{more}", schema, name, role)
    raise AssertionError("count() has no end")


def _read_python(text: str) -> str:
    values = (
        each.value
        for each in ast.parse(text).body
        if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "TEMPLATE"
    )
    return str(ast.literal_eval(next(values)))


def _read_sql(text: str) -> TemplateFile:
    first, _, rest = text.partition("\n")
    if first.endswith("\r"):
        raise ValueError("its line endings were changed, as git's core.autocrlf does")
    if not first.startswith(_HEADER):
        raise ValueError("its first line is another")
    header: dict[str, Any] = json.loads(first.removeprefix(_HEADER))
    if header.pop("version") != _VERSION:
        raise ValueError("it is of another version")
    records, public_records = header.pop("records"), header.pop("public_records")
    words = _Words(**header)
    parts: dict[str, tuple[str, ...]] = {}
    for block in f"\n{rest}".split(f"\n{words.part}")[1:]:
        name, _, body = block.partition("\n")
        if name not in _PARTS:
            raise ValueError(f"it has a part {name!r}")
        parts[name] = _statements(body, words)
    if set(parts) != set(_PARTS):
        raise ValueError("a part is missing")
    return TemplateFile(Script(**parts), records, public_records)


def _statements(body: str, words: _Words) -> tuple[str, ...]:
    *whole, rest = f"{body}\n".split(f";\n{words.end}\n")
    if rest.strip():
        raise ValueError("its end is missing")
    return tuple(words.read(each) for each in whole)
