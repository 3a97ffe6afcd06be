"""Wagtail, a published application with 220 migrations of its own, unchanged, in two schemas.

The project in `wagtail_site` is run as its users would run it: by its manage.py and by HTTP. An editor logs in to each
schema's admin and publishes the home page under a title of its own; the tests look at what each host then shows.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

import django
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.integration.catalog.database import Database, difference
from tests.server import URL

if django.VERSION[:2] != (5, 2) and not os.environ.get("APPSCHEMA_FULL"):
    pytest.skip("one cell of the matrix is enough: Django 5.2's", allow_module_level=True)
BeautifulSoup = pytest.importorskip("bs4", reason="wagtail brings it").BeautifulSoup
pytest.importorskip("wagtail")

SITE = Path(__file__).parent / "wagtail_site"
PASSWORDS = {"acme": "the editor of acme", "globex": "the editor of globex"}
PUBLISH = {"action-publish": "action-publish"}
TITLES = {"acme": "Anvils by Acme", "globex": "Globex turbines"}


@dataclass
class Answer:
    status: int
    path: str
    text: str

    def form(self, selector: str) -> dict[str, str]:
        """Return what a browser would send of the form if its user changed nothing."""
        form = BeautifulSoup(self.text, "html.parser").select_one(selector)
        fields = {
            field["name"]: field.get("value", "")
            for field in form.select("input[name]")
            if field["type"] not in {"checkbox", "radio", "submit"} or field.has_attr("checked")
        }
        areas = {area["name"]: area.text for area in form.select("textarea[name]")}
        chosen = {
            each.find_parent("select")["name"]: each["value"]
            for each in form.select("option[selected]")
        }
        return {**fields, **areas, **chosen}


@dataclass
class Browser:
    """Asks one host, and keeps its cookies."""

    port: int
    host: str
    cookies: CookieJar = field(default_factory=CookieJar)

    def get(self, path: str) -> Answer:
        return self._ask(path)

    def post(self, path: str, form: dict[str, str]) -> Answer:
        return self._ask(path, urlencode(form).encode())

    def _ask(self, path: str, body: bytes | None = None) -> Answer:
        request = Request(f"http://127.0.0.1:{self.port}{path}", body, {"Host": self.host})
        try:
            with self._opener().open(request, timeout=60) as response:
                return Answer(
                    response.status, urlsplit(response.url).path, response.read().decode()
                )
        except HTTPError as error:
            with error:
                return Answer(error.code, path, error.read().decode())

    def _opener(self) -> OpenerDirector:
        return build_opener(HTTPCookieProcessor(self.cookies))

    def log_in(self, password: str) -> Answer:
        form = self.get("/admin/login/").form("form")
        return self.post(
            "/admin/login/", {**form, "username": "editor", "password": password, "next": "/admin/"}
        )


@dataclass
class Site:
    database: str
    port: int

    def browser(self, schema_name: str) -> Browser:
        return Browser(self.port, f"{schema_name}.localhost")

    def column(self, query: str) -> set[str]:
        with psycopg.connect(self.database) as connection:
            return {row[0] for row in connection.execute(query)}


def environment_of(database: str) -> dict[str, str]:
    # pytest-django has put the settings of the other sample project there.
    settings = "tests.acceptance.wagtail_site.settings"
    return {**os.environ, "DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": settings}


def manage(database: str, *words: str, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, SITE / "manage.py", *words],
        env={**environment_of(database), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@contextmanager
def new_database() -> Iterator[str]:
    name = f"wagtail_{os.getpid()}"
    with psycopg.connect(os.environ[URL], autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield make_conninfo(os.environ[URL], dbname=name)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} (FORCE)").format(sql.Identifier(name)))


@contextmanager
def serving(database: str) -> Iterator[int]:
    """Run the project's own server, and give its port."""
    process = subprocess.Popen(
        [sys.executable, "-u", SITE / "manage.py", "runserver", "--noreload", "127.0.0.1:0"],
        env=environment_of(database),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    with process:
        try:
            said = ""
            while not (found := re.search(r"http://127\.0\.0\.1:(\d+)/\n", said)):
                line = process.stdout.readline()
                assert line, f"The server has ended: {said}"
                said += line
            yield int(found[1])
        finally:
            process.kill()


def edit(browser: Browser, listing: str, form: str, **changes: str) -> None:
    """Change the only thing that the listing names, as an editor would."""
    (path,) = set(re.findall(r'"(/admin/\w+/(?:edit/\d+|\d+/edit)/)"', browser.get(listing).text))
    answer = browser.post(path, {**browser.get(path).form(form), **changes})
    # A form with mistakes is shown again; one that is saved leads on to a list.
    assert answer.path != path, answer.text


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with new_database() as database:
        manage(database, "migrate")
        for name, password in PASSWORDS.items():
            manage(database, "createschema", name, f"{name}.localhost")
            manage(
                database,
                *("inschema", name, "createsuperuser", "--noinput"),
                DJANGO_SUPERUSER_USERNAME="editor",
                DJANGO_SUPERUSER_EMAIL=f"editor@{name}.example.com",
                DJANGO_SUPERUSER_PASSWORD=password,
            )
        with serving(database) as port:
            site = Site(database, port)
            for name, title in TITLES.items():
                browser = site.browser(name)
                browser.log_in(PASSWORDS[name])
                edit(browser, "/admin/sites/", "main form", hostname=f"{name}.localhost")
                edit(browser, "/admin/pages/", "form[data-edit-form]", title=title, **PUBLISH)
            yield site


def test_public_holds_the_registry_and_none_of_wagtails_tables(site: Site) -> None:
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    assert site.column(tables) == {
        "appschema_schema",
        "appschema_publicname",
        "appschema_retiredname",
        "appschema_template",
        "appschema_spare",
        "appschema_appliedset",
        "appschema_ledgerentry",
        "appschema_fleetrun",
        "appschema_fleetresult",
        "django_migrations",
    }
    assert site.column("SELECT app FROM public.django_migrations") == {"appschema"}


@pytest.mark.parametrize("name", PASSWORDS)
def test_a_schemas_records_list_all_that_is_isolated_and_nothing_shared(
    site: Site, name: str
) -> None:
    recorded = site.column(f"SELECT app || '.' || name FROM {name}.django_migrations")
    assert len(recorded) > 200
    assert {"wagtailimages.0001_initial", "wagtaildocs.0001_initial"} < recorded
    assert not any(each.startswith("appschema.") for each in recorded)


def test_pg_dump_says_the_same_of_a_schema_and_of_its_copy(site: Site) -> None:
    database = Database(site.database)
    try:
        database.make(database.script("acme"), "copy")
        told = difference(database.dump("acme"), database.dump("copy"))
        rows = database.data("acme"), database.data("copy")
        database.drop("copy")
    finally:
        database.connection.close()
    assert not told
    assert rows[0] == rows[1]


def test_migrate_finds_nothing_left_to_do(site: Site) -> None:
    manage(site.database, "migrate", "--check")


@pytest.mark.parametrize(("name", "other"), [("acme", "globex"), ("globex", "acme")])
def test_each_host_shows_its_own_page(site: Site, name: str, other: str) -> None:
    # Twice: what the first request left in the caches of the process must not show on the other host.
    for _ in range(2):
        page = site.browser(name).get("/").text
        assert f"<h1>{TITLES[name]}</h1>" in page
        assert f">http://{name}.localhost/<" in page
        assert other not in page.lower()


def test_a_host_without_a_schema_shows_no_page(site: Site) -> None:
    assert site.browser("unknown").get("/").status == 404


@pytest.mark.parametrize("name", PASSWORDS)
def test_the_editor_logs_in_to_the_admin_of_the_own_host(site: Site, name: str) -> None:
    answer = site.browser(name).log_in(PASSWORDS[name])
    assert answer.path == "/admin/"


@pytest.mark.parametrize(("name", "other"), [("acme", "globex"), ("globex", "acme")])
def test_the_editor_of_another_host_is_refused(site: Site, name: str, other: str) -> None:
    browser = site.browser(name)
    answer = browser.log_in(PASSWORDS[other])
    assert answer.path == "/admin/login/"
    assert browser.get("/admin/").path == "/admin/login/"


@pytest.mark.parametrize(("name", "other"), [("acme", "globex"), ("globex", "acme")])
def test_a_session_of_another_host_is_worthless(site: Site, name: str, other: str) -> None:
    browser = site.browser(other)
    browser.log_in(PASSWORDS[other])
    assert browser.get("/admin/").path == "/admin/"
    assert Browser(site.port, f"{name}.localhost", browser.cookies).get("/admin/").path == (
        "/admin/login/"
    )


@pytest.mark.parametrize(("name", "other"), [("acme", "globex"), ("globex", "acme")])
def test_the_search_index_finds_the_own_page_only(site: Site, name: str, other: str) -> None:
    browser = site.browser(name)
    assert TITLES[name] in browser.get(f"/search/?query={name}").text
    assert browser.get(f"/search/?query={other}").text == '{"titles": []}'
