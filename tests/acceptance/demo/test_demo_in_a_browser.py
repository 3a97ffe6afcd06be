"""The demo in a real Chromium, as its visitors see it: wide and narrow, light and dark, with and without JavaScript."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import pytest

from demo import LOGIN, PASSWORD
from demo.browser import chromium, find_chromium, sign_in

pytest.importorskip("playwright", reason="playwright is installed in the first cell only")
if find_chromium() is None:
    pytest.skip("there is no chromium on PATH", allow_module_level=True)
Axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

PHONE, WIDE = {"width": 375, "height": 720}, {"width": 1280, "height": 800}
PAGES = [
    "/",
    "/projects/1/",
    "/projects/1/?status=1&assignee=1",
    "/projects/1/edit/",
    "/projects/1/delete/",
    "/tasks/2/",
    "/tasks/2/edit/",
    "/tasks/2/delete/",
    "/attachments/1/delete/",
    "/members/",
    "/password/",
]
SIGNED_OUT = ["/login/", "/nothing/"]
LONG = "Donaudampfschifffahrtselektrizitaetenhauptbetriebswerkbauunterbeamtengesellschaft"
ALL = {"resultTypes": ["violations"]}
COLOURS = {**ALL, "runOnly": ["color-contrast"]}
TOO_SHORT = "This password is too short. It must contain at least 8 characters."


@dataclass
class Desk:
    """Makes pages, and notes what all of them ask for and complain of."""

    browser: "Browser"
    cookies: list[Any]
    contexts: "list[BrowserContext]" = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)

    def page(self, *, signed_in: bool = True, **options: Any) -> "Page":
        context = self.browser.new_context(**options)
        self.contexts.append(context)
        if signed_in:
            context.add_cookies(self.cookies)
        context.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname or ""))
        context.on("console", self._note)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        return context.new_page()

    def _note(self, said: "ConsoleMessage") -> None:
        if said.type in ("error", "warning"):
            self.complaints.append(f"{said.type}: {said.text} ({said.location['url']})")


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def cookies(demo: Any, browser: "Browser") -> list[Any]:
    """Sign the same user in to two workspaces, in one browser."""
    context = browser.new_context()
    page = context.new_page()
    for name in ("acme", "globex"):
        sign_in(page, demo.address(name))
        page.wait_for_url(f"{demo.address(name)}/")
    cookies = context.cookies()
    context.close()
    return list(cookies)


@pytest.fixture
def desk(browser: "Browser", cookies: list[Any]) -> Iterator[Desk]:
    """Give a desk; at the end no page may have asked another host, or have said a word on the console."""
    desk = Desk(browser, cookies)
    yield desk
    for context in desk.contexts:
        context.close()
    assert [host for host in desk.hosts if host.rpartition(".")[2] != "localhost"] == []
    assert desk.complaints == []


def errors_of(page: "Page", label: str) -> str:
    """Return what the page says of a field, by the ids that a screen reader would follow."""
    control = page.get_by_label(label, exact=True)
    assert control.get_attribute("aria-invalid") == "true"
    described = (control.get_attribute("aria-describedby") or "").split()
    return " ".join(page.locator(f"[id='{each}']").inner_text() for each in described)


def severe(page: "Page", first: dict[str, Any] | None = None) -> list[str]:
    """Return what axe calls serious or critical, in light by all its rules and in dark by that of colours."""
    found = []
    schemes: tuple[tuple[Literal["light", "dark"], dict[str, Any]], ...]
    schemes = (("light", first or ALL), ("dark", COLOURS))
    for scheme, options in schemes:
        page.emulate_media(color_scheme=scheme)
        found += [
            f"{page.url} in {scheme}: {each['id']} at {node['target']}: {node['failureSummary']}"
            for each in Axe().run(page, options=options).response["violations"]
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        ]
    return found


def test_one_browser_in_two_workspaces_sees_two_customers(demo, desk):
    acme, globex = (desk.page() for _ in range(2))
    acme.goto(demo.address("acme"))
    globex.goto(demo.address("globex"))
    assert acme.get_by_role("heading", level=2).all_inner_texts()[:2] == [
        "Portable hole",
        "Rocket skates",
    ]
    assert globex.get_by_role("heading", level=2).all_inner_texts()[:2] == [
        "Company picnic",
        "Weather machine",
    ]
    bands = [
        page.locator(".band").evaluate("each => getComputedStyle(each).backgroundColor")
        for page in (acme, globex)
    ]
    assert bands[0] != bands[1]


def test_a_visitor_signs_up_and_works(demo, desk, tmp_path):
    page = desk.page(signed_in=False)
    page.goto(demo.address())
    page.get_by_label("Workspace:").fill("pied-piper")
    page.get_by_label("Your user name:").fill("richard")
    page.get_by_label("Password:").fill("middle out 42")
    page.get_by_role("button", name="Open the workspace").click()
    page.wait_for_url(f"{demo.address('pied-piper')}/")
    assert page.get_by_role("status").inner_text() == (
        "Your workspace is ready. Begin with a project."
    )
    assert page.get_by_role("link", name="Pied Piper").is_visible()

    page.get_by_label("New project:").fill("Compression")
    page.get_by_role("button", name="Add the project").click()
    page.get_by_label("Title:").fill("Find a name")
    page.locator("form[method=post]").get_by_label("Assignee:").select_option("richard")
    page.get_by_label("Due:").fill("2020-02-29")
    page.get_by_role("button", name="Add the task").click()
    page.get_by_role("link", name="Find a name").click()
    assert page.get_by_text("Overdue: 29 Feb").is_visible()

    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Status:").select_option("In progress")
    page.get_by_label("Description:").fill("One line.\nAnother.")
    page.get_by_role("button", name="Save").click()
    assert page.get_by_text("In progress").is_visible()

    file = tmp_path / "names.txt"
    file.write_text("Pied Piper\n")
    page.get_by_label("File:").set_input_files(file)
    page.get_by_role("button", name="Upload").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="names.txt", exact=True).click()
    assert download.value.suggested_filename == "names.txt"
    assert download.value.path().read_text() == "Pied Piper\n"

    page.get_by_role("link", name="Delete names.txt").click()
    page.get_by_role("button", name="Delete").click()
    assert page.get_by_text("There are no files yet.").is_visible()
    page.get_by_role("link", name="Compression").click()
    page.get_by_role("button", name="Done: Find a name").click()
    assert page.get_by_role("button", name="Open again: Find a name").is_visible()
    page.locator("form.filter").get_by_label("Status:").select_option("To do")
    page.get_by_role("button", name="Filter").click()
    assert page.get_by_role("link", name="Find a name").count() == 0
    page.get_by_role("link", name="Show all").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete").click()
    assert page.get_by_text("There are no projects yet.").is_visible()

    page.get_by_role("link", name="Members").click()
    page.get_by_label("Username:").fill("jared")
    page.get_by_label("Password:").fill("holding hands")
    page.get_by_label("Password confirmation:").fill("holding hands")
    page.get_by_role("button", name="Add the member").click()
    page.get_by_role("button", name="Sign out richard").click()
    sign_in(page, demo.address("pied-piper"), "jared", "holding hands")
    page.get_by_role("button", name="Sign out jared").click()
    page.get_by_role("link", name="All workspaces").click()
    assert page.get_by_role("link", name="Pied Piper").is_visible()


def sign_up_badly(demo: Any, page: "Page") -> None:
    page.goto(demo.address())
    page.get_by_label("Workspace:").fill("Acme Inc")
    page.get_by_label("Your user name:").fill("wile e")
    page.get_by_label("Password:").fill("beep")
    page.get_by_role("button", name="Open the workspace").click()


def sign_in_badly(demo: Any, page: "Page") -> None:
    page.context.clear_cookies()
    sign_in(page, demo.address("acme"), LOGIN, f"not {PASSWORD}")


def name_a_project_twice(demo: Any, page: "Page") -> None:
    page.goto(demo.address("acme"))
    page.get_by_label("New project:").fill("Rocket skates")
    page.get_by_role("button", name="Add the project").click()


def add_a_task_without_a_title(demo: Any, page: "Page") -> None:
    page.goto(f"{demo.address('acme')}/projects/1/")
    page.get_by_label("Title:").fill("   ")
    page.get_by_role("button", name="Add the task").click()


def edit_a_task_badly(demo: Any, page: "Page") -> None:
    page.goto(f"{demo.address('acme')}/tasks/2/edit/")
    page.get_by_label("Title:").fill("   ")
    page.get_by_role("button", name="Save").click()


def upload_too_much(demo: Any, page: "Page") -> None:
    page.goto(f"{demo.address('acme')}/tasks/2/")
    content = bytes(2 * 1024 * 1024 + 1)
    page.get_by_label("File:").set_input_files(
        {"name": "large.bin", "mimeType": "", "buffer": content}
    )
    page.get_by_role("button", name="Upload").click()


def add_a_member_badly(demo: Any, page: "Page") -> None:
    page.goto(f"{demo.address('acme')}/members/")
    page.get_by_label("Username:").fill(LOGIN)
    page.get_by_label("Password:").fill("one")
    page.get_by_label("Password confirmation:").fill("two")
    page.get_by_role("button", name="Add the member").click()


def change_the_password_badly(demo: Any, page: "Page") -> None:
    page.goto(f"{demo.address('acme')}/password/")
    page.get_by_label("Old password:").fill("wrong")
    page.get_by_label("New password:").fill("one")
    page.get_by_label("New password confirmation:").fill("one")
    page.get_by_role("button", name="Save").click()


BAD: list[tuple[Callable[..., None], dict[str, str]]] = [
    (
        sign_up_badly,
        {
            "Workspace:": "Use the small letters a to z, digits, and single hyphens",
            "Your user name:": "Enter a valid username.",
            "Password:": TOO_SHORT,
        },
    ),
    (name_a_project_twice, {"New project:": "Project with this Name already exists."}),
    (add_a_task_without_a_title, {"Title:": "This field is required."}),
    (edit_a_task_badly, {"Title:": "This field is required."}),
    (upload_too_much, {"File:": "This file has 2.0\xa0MB; a file may have up to 2.0\xa0MB."}),
    (
        add_a_member_badly,
        {
            "Username:": "A user with that username already exists.",
            "Password confirmation:": "The two password fields didn\u2019t match.",
        },
    ),
    (
        change_the_password_badly,
        {
            "Old password:": "Your old password was entered incorrectly.",
            "New password confirmation:": TOO_SHORT,
        },
    ),
    (sign_in_badly, {}),  # The last: it signs out.
]


@pytest.mark.parametrize(("mistake", "sentences"), BAD)
def test_a_form_says_what_is_wrong_at_the_field_and_keeps_what_was_typed(
    demo, desk, mistake, sentences
):
    page = desk.page()
    mistake(demo, page)
    for label, sentence in sentences.items():
        assert sentence in errors_of(page, label)
    if mistake is sign_up_badly:
        assert page.get_by_label("Workspace:").input_value() == "Acme Inc"
        assert page.get_by_label("Your user name:").input_value() == "wile e"
    if mistake is sign_in_badly:
        assert page.get_by_text("Please enter a correct username and password.").is_visible()
        assert page.get_by_label("Username:").input_value() == LOGIN
    if mistake is name_a_project_twice:
        assert page.get_by_label("New project:").input_value() == "Rocket skates"


def visit_all(demo: Any, page: "Page", look: "Callable[[Page], list[str]]") -> list[str]:
    """Look at every page of the demo but Django's admin, also with errors in its forms."""
    found: list[str] = []
    page.goto(demo.address())
    found += look(page)
    for path in PAGES:
        page.goto(f"{demo.address('acme')}{path}")
        assert page.get_by_role("button", name="Sign out").is_visible()
        found += look(page)
    for mistake, _ in BAD:
        mistake(demo, page)
        found += look(page)
    page.context.clear_cookies()
    for path in SIGNED_OUT:
        page.goto(f"{demo.address('acme')}{path}")
        found += look(page)
    return found


def forget_the_page_that_is_not_there(desk: Desk) -> None:
    (complaint,) = desk.complaints
    assert "the server responded with a status of 404 (Not Found)" in complaint
    assert "/nothing/" in complaint
    desk.complaints.clear()


def test_axe_finds_nothing_serious_on_any_page(demo, desk):
    page = desk.page(viewport=WIDE)
    assert visit_all(demo, page, severe) == []
    forget_the_page_that_is_not_there(desk)


def test_every_accent_has_contrast_in_light_and_in_dark(demo, desk):
    page = desk.page(viewport=WIDE)
    page.goto(f"{demo.address('acme')}/projects/1/")
    for number in range(12):
        page.evaluate("name => { document.body.className = name }", f"hue-{number}")
        assert severe(page, COLOURS) == []


def test_nothing_scrolls_sideways_on_a_phone(demo, desk):
    def too_wide(page: "Page") -> list[str]:
        page.wait_for_load_state()
        width = page.evaluate("document.documentElement.scrollWidth")
        return [f"{page.url}: {width}"] if width > PHONE["width"] else []

    page = desk.page(viewport=PHONE)
    page.goto(f"{demo.address('acme')}/tasks/4/edit/")
    page.get_by_label("Title:").fill(LONG)
    page.get_by_label("Description:").fill(LONG)
    page.get_by_role("button", name="Save").click()
    assert too_wide(page) == []
    assert visit_all(demo, page, too_wide) == []
    forget_the_page_that_is_not_there(desk)


def test_all_works_without_javascript(demo, desk):
    page = desk.page(signed_in=False, java_script_enabled=False)
    sign_in(page, demo.address("globex"))
    page.get_by_role("link", name="Company picnic").click()
    page.get_by_role("button", name="Done: Rent twelve hammocks").click()
    page.get_by_role("button", name="Open again: Rent twelve hammocks").click()
    assert page.get_by_role("button", name="Done: Rent twelve hammocks").is_visible()


def test_the_keyboard_shows_where_it_is(demo, desk):
    page = desk.page()
    page.goto(f"{demo.address('acme')}/projects/1/")
    page.keyboard.press("Tab")
    assert page.get_by_role("link", name="Skip to the content").is_visible()
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    for _ in range(12):
        page.keyboard.press("Tab")
        assert page.evaluate(outline) == "solid"


def test_the_admin_shows_the_own_rows_and_nothing_on_the_console(demo, desk):
    page = desk.page()
    for name, own, other in (
        ("acme", "Order more dynamite", "Renew the permit"),
        ("globex", "Renew the permit for Tuesdays", "dynamite"),
    ):
        page.goto(f"{demo.address(name)}/admin/tracker/task/")
        assert page.get_by_role("link", name=own).is_visible()
        assert other not in page.content()
        page.goto(f"{demo.address(name)}/admin/tracker/project/1/change/")
        assert page.get_by_role("button", name="Save", exact=True).is_visible()
