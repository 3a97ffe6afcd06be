"""What the reference pages list is what the code has."""

import re
from pathlib import Path

import appschema
from appschema import exceptions
from appschema.conf import Config

ROOT = Path(__file__).parents[2]
SOURCE = Path(appschema.__file__).parent
REFERENCE = ROOT / "docs" / "reference"


def test_every_setting_has_its_row_and_no_other_has():
    page = (REFERENCE / "settings.md").read_text()
    documented = re.findall(r"^\| `APPSCHEMA_(\w+)` ", page, re.MULTILINE)
    assert [name.lower() for name in documented] == sorted(
        Config.__dataclass_fields__, key=[name.lower() for name in documented].index
    )


def test_every_check_has_its_heading_and_no_other_has():
    ids = set(
        re.findall(
            r"appschema\.[EW]\d{3}",
            "".join(path.read_text() for path in (SOURCE / "checks").glob("*.py")),
        )
    )
    headings = re.findall(
        r"^## (appschema\.[EW]\d{3})$", (REFERENCE / "checks.md").read_text(), re.MULTILINE
    )
    assert sorted(ids) == headings


def test_every_command_has_its_heading_and_no_other_has():
    commands = {
        path.stem
        for path in (SOURCE / "management" / "commands").glob("*.py")
        if path.stem != "__init__"
    }
    headings = re.findall(r"^## (\w+)$", (REFERENCE / "commands.md").read_text(), re.MULTILINE)
    assert commands == set(headings)


def test_every_exception_has_its_row_and_stands_in_the_tree():
    raised = {
        name
        for name, each in vars(exceptions).items()
        if isinstance(each, type)
        and issubclass(each, exceptions.AppSchemaError)
        and each is not exceptions.AppSchemaError
        and not name.startswith("_")
    }
    page = (REFERENCE / "exceptions.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` ", page, re.MULTILINE)) == raised
    assert all(name in (exceptions.__doc__ or "") for name in raised)


def test_links_between_pages_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
