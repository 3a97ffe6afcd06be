"""Make the pictures of the README again: `python -m demo.screenshots`, in the environment of `make lint`.

Starts a server, the demo and a headless Chromium of its own, and leaves nothing else behind.
"""

import base64
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from demo.browser import PROJECT, chromium, demo_process, sign_in
from tools.postgres import PostgresServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

IMAGES = PROJECT / "docs" / "images"
CUSTOMERS = ("acme", "globex")
SIDE_BY_SIDE = """
<style>
  body { margin: 0; padding: 24px; background: #dfe4ea; font: 16px "Liberation Sans", Arial, sans-serif; color: #39424e; }
  main { display: grid; grid-template-columns: 1fr 1fr; gap: 24px; }
  figure { margin: 0; border-radius: 10px; overflow: hidden; background: #fff; box-shadow: 0 2px 12px #0003; }
  figcaption { padding: 9px 14px; background: #f2f4f7; font-size: 15px; }
  img { display: block; width: 100%; }
</style>
"""


def main() -> None:
    """Write all pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as files,
        PostgresServer() as server,
        demo_process(server.url, Path(files)) as port,
        chromium() as browser,
    ):
        shots = {name: shoot(browser, f"http://{name}.localhost:{port}") for name in CUSTOMERS}
        compose(browser, shots, IMAGES / "demo-two-customers.png")
        page = browser.new_page(viewport={"width": 375, "height": 760}, color_scheme="dark")
        open_project(page, f"http://globex.localhost:{port}")
        page.screenshot(path=IMAGES / "demo-phone.png")


def shoot(browser: "Browser", address: str) -> bytes:
    """Return a picture of a customer's first project."""
    page = browser.new_page(viewport={"width": 1000, "height": 760}, color_scheme="light")
    open_project(page, address)
    return page.screenshot()


def open_project(page: "Page", address: str) -> None:
    """Go, signed in, to the project with the primary key 1."""
    sign_in(page, address)
    page.goto(f"{address}/projects/1/")


def compose(browser: "Browser", shots: dict[str, bytes], path: Path) -> None:
    """Put the pictures side by side, each under its address."""
    figures = "".join(
        f"<figure><figcaption>{name}.localhost/projects/1/</figcaption>"
        f'<img src="data:image/png;base64,{base64.b64encode(shot).decode()}"></figure>'
        for name, shot in shots.items()
    )
    page = browser.new_page(viewport={"width": 1400, "height": 100})
    page.set_content(f"{SIDE_BY_SIDE}<main>{figures}</main>")
    page.locator("body").screenshot(path=path)


if __name__ == "__main__":
    main()
