"""Chromium of this machine for tests of pages: a page says what went wrong on it and whom it asked.

pytest.importorskip("browsing")   # skips where there is no Chromium or no playwright
"""

import contextlib
import importlib.resources
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no chromium on this machine (Debian: apt-get install chromium)", allow_module_level=True)
api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("axe_playwright_python", reason="axe-core is not installed (axe-playwright-python brings it)")

PATIENCE = 120_000  # milliseconds, of a machine with too much to do
api.expect.set_options(timeout=PATIENCE)

# A browser of a test asks nobody for anything but the page.
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
          "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]  # fmt: skip
_AXE = (importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")


@contextlib.contextmanager
def started() -> Iterator[Any]:
    """A browser."""
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS, timeout=PATIENCE)
        yield browser
        browser.close()


def opened(browser: Any, address: str, own: str | None = None, **options: Any) -> Any:
    """A page at an address; whatever goes wrong on it, or is asked of anybody but `own`, is in `page.wrong`."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(PATIENCE)
    page.wrong = []
    mine = (own, "data:") if own else (address,)
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("console", lambda line: page.wrong.append(line.text) if line.type in ("error", "warning") else None)
    page.on("request", lambda asked: None if asked.url.startswith(mine) else page.wrong.append(asked.url))
    page.on("dialog", lambda dialog: page.wrong.append(dialog.message))
    page.goto(address)
    return page


def barriers(page: Any) -> list[tuple[str, str]]:
    """What axe-core finds wrong, with everything unfolded."""
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    page.evaluate(_AXE)
    found = page.evaluate("axe.run()")
    assert len(found["passes"]) > 15
    return [(one["id"], one["nodes"][0]["html"][:120]) for one in found["violations"]]
