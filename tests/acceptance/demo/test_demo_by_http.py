"""The demo by HTTP: what one customer's visitor gets of another's, and what a form or a link refuses."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from html import escape, unescape
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from pathlib import Path
from threading import Barrier
from urllib.parse import urlencode, urlsplit

import psycopg
import pytest

from demo import CUSTOMERS, LOGIN, MEMBER, PASSWORD
from demo.browser import PROJECT

PAIRS = [("acme", "globex"), ("globex", "acme")]
PAGES = [
    "/",
    "/projects/1/",
    "/projects/1/edit/",
    "/projects/1/delete/",
    "/tasks/2/",
    "/tasks/2/edit/",
    "/tasks/2/delete/",
    "/tasks/2/toggle/",
    "/attachments/1/",
    "/attachments/1/delete/",
    "/members/",
    "/password/",
]
GOOD = {"username": "olga", "password": "seven green hills"}
MEBIBYTE = 1024 * 1024


@dataclass
class Answer:
    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        return unescape(self.body.decode())

    @property
    def location(self) -> str:
        return self.headers["Location"]


@dataclass
class Visitor:
    """Asks one host, keeps its cookies, and follows no redirect."""

    port: int
    host: str
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str) -> Answer:
        return self._ask("GET", path)

    def post(self, path: str, **fields: str) -> Answer:
        body = urlencode({**fields, "csrfmiddlewaretoken": self._csrf_token()}).encode()
        return self._ask("POST", path, body, "application/x-www-form-urlencoded")

    def upload(self, path: str, content: bytes, name: str = "file.bin") -> Answer:
        parts = [
            b'--limit\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"\r\n\r\n',
            self._csrf_token().encode(),
            b'\r\n--limit\r\nContent-Disposition: form-data; name="file"; filename="',
            name.encode(),
            b'"\r\n\r\n',
            content,
            b"\r\n--limit--\r\n",
        ]
        return self._ask("POST", path, b"".join(parts), "multipart/form-data; boundary=limit")

    def sign_in(self, username: str = LOGIN, password: str = PASSWORD) -> Answer:
        return self.post("/login/", username=username, password=password)

    def _csrf_token(self) -> str:
        if "csrftoken" not in self.cookies:
            self.get("/login/" if self.host != "localhost" else "/")
        return self.cookies["csrftoken"]

    def _ask(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Host": f"{self.host}:{self.port}", "Cookie": cookies}
        if kind:
            headers["Content-Type"] = kind
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        finally:
            connection.close()
        for line in response.headers.get_all("Set-Cookie") or []:
            self.cookies.update({name: each.value for name, each in SimpleCookie(line).items()})
        return answer


@pytest.fixture(scope="module")
def visitors(demo):
    """Return a maker of visitors: of a workspace, signed in if asked for."""
    signed_in: dict[tuple[str, str], dict[str, str]] = {}  # Their cookies: hashing takes a while.

    def make(workspace: str = "", username: str = "") -> Visitor:
        visitor = Visitor(demo.port, f"{workspace}.localhost" if workspace else "localhost")
        if username:
            if (workspace, username) not in signed_in:
                assert visitor.sign_in(username).location == "/"
                signed_in[workspace, username] = visitor.cookies
            visitor.cookies = dict(signed_in[workspace, username])
        return visitor

    return make


@pytest.fixture(scope="module")
def sign_up(visitors):
    """Return a function that signs up, and gives the answer."""

    def ask(workspace: str, **changes: str) -> Answer:
        visitor: Visitor = visitors()
        return visitor.post("/", **{"workspace": workspace, **GOOD, **changes})

    return ask


def own_and_others(name: str, other: str) -> tuple[list[str], list[str]]:
    own, others = (
        [text for project, tasks in CUSTOMERS[each].items() for text in (project, *tasks)]
        for each in (name, other)
    )
    assert not set(own) & set(others)
    return own, others


def files_of(demo, workspace: str) -> set[Path]:
    return {path for path in (demo.files / workspace).rglob("*") if path.is_file()}


@pytest.mark.parametrize(("name", "other"), PAIRS)
def test_the_same_login_and_the_same_keys_show_the_own_rows_only(visitors, name, other):
    visitor = visitors(name, LOGIN)
    paths = ["/", "/members/", "/admin/tracker/task/", "/admin/tracker/project/"]
    paths += [f"/projects/{pk}/" for pk in (1, 2)]
    paths += [f"/tasks/{pk}/{page}" for pk in range(1, 9) for page in ("", "edit/")]
    answers = [visitor.get(path) for path in paths]
    assert {answer.status for answer in answers} == {200}
    seen = "".join(answer.text for answer in answers)
    own, others = own_and_others(name, other)
    assert [text for text in own if text not in seen] == []
    assert [text for text in others if text in seen] == []


@pytest.mark.parametrize(("name", "other"), PAIRS)
@pytest.mark.parametrize("path", [*PAGES, "/admin/"])
def test_a_cookie_of_one_workspace_is_worth_nothing_in_another(visitors, name, other, path):
    cookies = visitors(other, LOGIN).cookies
    stranger = visitors(name)
    stranger.cookies = cookies
    answer = stranger.get(path)
    assert answer.status == 302
    assert urlsplit(answer.location).path in ("/login/", "/admin/login/")


@pytest.mark.parametrize("path", PAGES)
def test_every_page_asks_who_is_there(visitors, path):
    answer = visitors("acme").get(path)
    assert (answer.status, urlsplit(answer.location).path) == (302, "/login/")


@pytest.mark.parametrize(("name", "other"), PAIRS)
def test_a_file_is_given_to_the_own_users_only(visitors, name, other):
    answer = visitors(name, MEMBER).get("/attachments/1/")
    assert answer.text.startswith(f"Notes of {name}: ")
    assert other not in answer.text
    assert answer.headers["Content-Disposition"] == 'attachment; filename="notes.txt"'


def test_no_file_can_be_had_by_its_path(demo, visitors):
    visitor = visitors("acme", LOGIN)
    (path,) = [each for each in files_of(demo, "acme") if each.name == "notes.txt"]
    for prefix in ("/", "/media/", "/static/", "/acme/"):
        assert visitor.get(f"{prefix}{path.relative_to(demo.files / 'acme')}").status == 404


def test_what_one_customer_does_leaves_the_others_row_as_it_is(visitors):
    def shown(visitor: Visitor) -> str:
        return re.sub(r'value="\w{64}"', "", visitor.get("/projects/2/").text)  # CSRF tokens.

    initech, globex = visitors("initech", LOGIN), visitors("globex", LOGIN)
    before = shown(globex)
    assert initech.post("/tasks/8/toggle/").location == "/projects/2/"
    assert initech.post("/tasks/6/edit/", title="Ask Milton", status="1").location == "/tasks/6/"
    assert initech.post("/tasks/7/delete/").location == "/projects/2/"
    assert "Ask Milton" in shown(initech)
    assert shown(globex) == before


def test_a_sign_up_makes_a_workspace_and_signs_its_owner_in(demo, visitors, sign_up):
    answer = sign_up("hooli")
    target = urlsplit(answer.location)
    assert (answer.status, target.hostname, target.port) == (302, "hooli.localhost", demo.port)
    owner = visitors("hooli")
    assert owner.get(target.path).location == "/"
    assert "Your workspace is ready" in owner.get("/").text
    assert owner.get("/admin/").status == 200
    assert "Hooli" in visitors().get("/").text


def test_the_link_of_a_sign_up_signs_in_once(visitors, sign_up):
    path = urlsplit(sign_up("umbrella").location).path
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(visitors("umbrella").get, path) for _ in range(2)]
    assert sorted(each.result().location for each in both) == ["/", "/login/"]
    late = visitors("umbrella")
    assert late.get(path).location == "/login/"
    assert "used already or is too old" in late.get("/login/").text
    assert "sessionid" not in late.cookies


def test_the_link_of_a_sign_up_is_worth_nothing_in_another_workspace(visitors, sign_up):
    paths = {
        name: urlsplit(sign_up(name, username=LOGIN).location).path for name in ("stark", "wayne")
    }
    for name, target in (("stark", "wayne"), ("stark", "acme"), ("wayne", "stark")):
        visitor = visitors(target)
        assert visitor.get(paths[name]).location == "/login/"
        assert visitor.get("/").location == "/login/?next=/"
    assert visitors().get(paths["stark"]).status == 404
    assert visitors("stark").get(paths["stark"]).location == "/"


TOKENS = """
from django.contrib.auth.models import User
from appschema import schema_context
from demo.central.arrival import tokens
for workspace in ("tyrell", "cyberdyne"):
    with schema_context(workspace):
        User.objects.update(password="same", last_login=None)
with schema_context("tyrell"):
    owner = User.objects.get()
    now = tokens._num_seconds(tokens._now())
    for age in (0, 62):
        print(tokens._make_token_with_timestamp(owner, now - age, tokens.secret))
"""


def test_a_token_holds_the_workspace_and_the_minute(demo, visitors, sign_up):
    """All else of the two owners is the same; time is not waited for but signed."""
    for name in ("tyrell", "cyberdyne"):
        sign_up(name)
    done = subprocess.run(
        [sys.executable, "demo/manage.py", "shell", "-v0", "-c", TOKENS],
        cwd=PROJECT,
        env={
            **os.environ,
            "DATABASE_URL": demo.database,
            "DJANGO_SETTINGS_MODULE": "demo.settings",
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    new, old = (f"/arrive/1/{token}/" for token in done.stdout.split())
    assert visitors("cyberdyne").get(new).location == "/login/"
    assert visitors("tyrell").get(old).location == "/login/"
    assert visitors("tyrell").get(new).location == "/"


def test_of_two_sign_ups_for_one_name_one_wins_and_the_other_gets_a_sentence(demo, visitors):
    barrier = Barrier(2)

    def race(username: str) -> Answer:
        visitor: Visitor = visitors()
        visitor.get("/")
        barrier.wait()
        return visitor.post("/", workspace="soylent", **{**GOOD, "username": username})

    with ThreadPoolExecutor(2) as pool:
        won, lost = sorted(pool.map(race, ("first", "second")), key=lambda answer: -answer.status)
    assert (won.status, lost.status) == (302, 200)
    assert "There is a workspace “soylent” already. Choose another name." in lost.text
    assert 'value="soylent"' in lost.text
    with psycopg.connect(demo.database) as connection:
        assert connection.execute("SELECT count(*) FROM soylent.auth_user").fetchone() == (1,)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "This field is required."),
        ("Hooli", "Use small letters: “hooli” in place of “Hooli”."),
        ("acme", "There is a workspace “acme” already. Choose another name."),
        ("www", "The name “www” is reserved. Choose another."),
        ("localhost", "The name “localhost” is reserved. Choose another."),
        ("public", "The name “public” is reserved. Choose another."),
        ("a" * 31, "Ensure this value has at most 30 characters (it has 31)."),
        ("9lives", "Use the small letters a to z, digits, and single hyphens between them"),
        ("Our Team", "Use the small letters a to z, digits, and single hyphens between them"),
        ("our team", "Use the small letters a to z, digits, and single hyphens between them"),
        ("-team", "Use the small letters a to z, digits, and single hyphens between them"),
        ("xn--mller-kva", "Use the small letters a to z, digits, and single hyphens between them"),
        ("pg_catalog", "Use the small letters a to z, digits, and single hyphens between them"),
        ("münchen", "Use the small letters a to z, digits, and single hyphens between them"),
        ("a.b", "Use the small letters a to z, digits, and single hyphens between them"),
        (
            '"; drop schema acme',
            "Use the small letters a to z, digits, and single hyphens between them",
        ),
        ("<b>", "Use the small letters a to z, digits, and single hyphens between them"),
        ("a\0b", "Null characters are not allowed."),
    ],
)
def test_a_bad_name_gets_a_sentence_and_is_kept(sign_up, name, sentence):
    answer = sign_up(name)
    assert answer.status == 200
    assert sentence in answer.text
    if "\0" not in name:
        (typed,) = re.findall(r'<input type="text" name="workspace"([^>]*)>', answer.body.decode())
        assert (f' value="{escape(name)}"' in typed) == bool(name)
    assert 'name="username" value="olga"' in answer.text


def test_the_name_of_the_databases_role_gets_a_sentence(demo, sign_up):
    with psycopg.connect(demo.database) as connection:
        role = connection.info.user
    assert f"The name “{role}” is reserved. Choose another." in sign_up(role).text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"username": "olga smith"}, "Enter a valid username."),
        ({"username": ""}, "This field is required."),
        ({"password": "short"}, "This password is too short."),
        ({"password": "password1"}, "This password is too common."),
        ({"username": "bartholomew", "password": "bartholomew"}, "too similar to the username"),
    ],
)
def test_a_bad_owner_gets_a_sentence_and_no_workspace(demo, sign_up, changes, sentence):
    answer = sign_up("vandelay", **changes)
    assert sentence in answer.text
    with psycopg.connect(demo.database) as connection:
        assert connection.execute("SELECT to_regnamespace('vandelay')").fetchone() == (None,)


@contextmanager
def rows(demo, count: int) -> Iterator[None]:
    """Let the registry have that many more rows."""
    with psycopg.connect(demo.database, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO appschema_schema (name, is_active, created)"
            " SELECT 'row-' || n, false, now() FROM generate_series(1, %s) n",
            [count],
        )
        try:
            yield
        finally:
            connection.execute("DELETE FROM appschema_schema WHERE name LIKE 'row-%'")


def test_the_demo_has_room_for_fifty_workspaces(demo, sign_up):
    with rows(demo, 50):
        assert "This demo has room for 50 workspaces, and all are taken." in sign_up("late").text
    assert sign_up("in-time").status == 302


def test_files_have_limits_and_go_with_their_rows(demo, visitors, sign_up):
    owner = visitors("globex-labs")
    owner.get(urlsplit(sign_up("globex-labs").location).path)
    project = owner.post("/", name="Files").location
    owner.post(project, title="Keep them")

    large = owner.upload("/tasks/1/", bytes(2 * MEBIBYTE + 1))
    assert "This file has 2.0\xa0MB; a file may have up to 2.0\xa0MB." in large.text
    assert owner.upload("/tasks/1/", bytes(8 * MEBIBYTE)).status == 413
    assert "The submitted file is empty." in owner.upload("/tasks/1/", b"").text
    assert files_of(demo, "globex-labs") == set()

    for _ in range(10):
        assert owner.upload("/tasks/1/", bytes(2 * MEBIBYTE)).location == "/tasks/1/"
    full = owner.upload("/tasks/1/", b"one more")
    assert "All files together may have 20.0\xa0MB, and 20.0\xa0MB are used." in full.text
    assert len(files_of(demo, "globex-labs")) == 10

    assert owner.post("/attachments/1/delete/").location == "/tasks/1/"
    assert len(files_of(demo, "globex-labs")) == 9
    assert owner.post(f"{project}delete/").location == "/"
    assert files_of(demo, "globex-labs") == set()
    assert [path for path in files_of(demo, "acme") if path.name == "notes.txt"] != []


def test_an_upload_is_never_shown_as_a_page(visitors):
    visitor = visitors("initech", LOGIN)
    visitor.upload("/tasks/1/", b"<script>alert(1)</script>", "page.html")
    (path,) = set(re.findall(r"/attachments/\d+/(?!delete)", visitor.get("/tasks/1/").text))
    answer = visitor.get(path)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="page.html"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_owner_adds_members_of_this_workspace_only(visitors):
    owner = visitors("initech", LOGIN)
    secret = "staplers are red"
    form = {"username": "milton", "password1": secret, "password2": secret}
    assert owner.post("/members/", **form).location == "/members/"
    assert "milton can sign in now." in owner.get("/members/").text
    assert "A user with that username already exists." in owner.post("/members/", **form).text
    assert visitors("initech").sign_in("milton", secret).location == "/"
    refused = visitors("acme").sign_in("milton", secret)
    assert refused.status == 200
    assert "Please enter a correct username and password." in refused.text


def test_a_member_adds_nobody_and_has_no_admin(visitors):
    member = visitors("acme", MEMBER)
    assert member.post("/members/", username="x").status == 403
    assert "Ask the owner" in member.get("/members/").text
    assert member.get("/admin/").location.startswith("/admin/login/")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", [1, 2, 3, 4]),
        ("?status=1", [3, 4]),
        ("?assignee=2", [2]),
        ("?status=1&assignee=1", [3]),
        ("?status=99", [1, 2, 3, 4]),
        ("?assignee=99&status=3", [1]),
    ],
)
def test_tasks_are_filtered_by_status_and_assignee(visitors, query, shown):
    page = visitors("globex", LOGIN).get(f"/projects/1/{query}").text
    assert sorted(int(pk) for pk in re.findall(r'<a href="/tasks/(\d+)/"', page)) == shown
    assert ("Select a valid choice." in page) == ("99" in query)


@pytest.mark.parametrize("path", ["/", "/login/", "/nothing/", "/admin/login/"])
def test_no_page_may_load_anything_of_another_host(visitors, path):
    for workspace in ("", "acme"):
        answer = visitors(workspace).get(path)
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")


def test_a_host_without_a_workspace_is_told_so(visitors):
    answer = visitors("nobody").get("/")
    assert answer.status == 404
    assert "No workspace has this name" in answer.text
