"""A headless Chromium for the tests of the interactive report: a page from disk, what it logs and what it asks for."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def missing() -> str:
    """Say what is not there that a browser test needs; empty where all is."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed: pip install 'annbench[dev]'"
    if _browser() is None:
        return f"no Chromium found, looked for {', '.join(_BROWSERS)}"
    if _driver() is None:
        return "no chromedriver found: install chromium-driver"
    return ""


def _browser() -> str | None:
    return next((found for name in _BROWSERS if (found := shutil.which(name))), None)


def _driver() -> str | None:
    folder = os.environ.get("CHROMEWEBDRIVER", "")
    return shutil.which("chromedriver", path=f"{folder}{os.pathsep}{os.environ.get('PATH', '')}")


class Browser:
    """One page in one window; `driver` is selenium's."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        driver.execute_cdp_cmd("Page.enable", {})

    def open(self, page: Path, *, width: int = 1280, height: int = 1000, theme: str = "light") -> None:
        """Open a file at a width in pixels, under a system that prefers `theme` and no motion."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.prefer(theme)
        self.driver.get(page.as_uri())

    def prefer(self, theme: str) -> None:
        """Have the system prefer a theme."""
        features = [
            {"name": "prefers-color-scheme", "value": theme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def run(self, script: str, *values: Any) -> Any:
        """Run a script and return what it returns."""
        return self.driver.execute_script(script, *values)

    def until(self, script: str, *values: Any) -> Any:
        """Wait until a script returns something true, and return that; raises TimeoutException."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, 30, poll_frequency=0.05).until(lambda _: self.run(script, *values))

    def click(self, selector: str) -> None:
        """Click the first element of a selector as a user does: it must be in sight, and nothing may cover it."""
        element = self.driver.find_element("css selector", selector)
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def text(self, selector: str) -> str:
        """Return the text of the first element of a selector, shown or not."""
        return str(self.run("return document.querySelector(arguments[0]).textContent", selector))

    def show(self, page: Path, **how: Any) -> None:
        """Open a report as `open` does, with nothing remembered of others, and wait until it stands."""
        self.run("try { localStorage.clear() } catch {}")
        self.open(page, **how)
        self.until("return document.querySelector('#point h3') !== null")
        self.logged()

    def drawn(self, name: str) -> Any:
        """Bring a plot into sight, wait until it is drawn, and return its traces as plotly has them."""
        self.run("document.getElementById(arguments[0]).scrollIntoView({block: 'center'})", name)
        self.until(
            "const p = document.getElementById(arguments[0]); return p.querySelector('.main-svg') !== null", name
        )
        return self.run(
            "return document.getElementById(arguments[0]).data.map((t) => ({name: t.name, x: [...t.x], y: [...t.y],"
            " rows: t.customdata ? [...t.customdata] : null, mode: t.mode, fill: t.fill || null}))",
            name,
        )

    def rows(self, selector: str, column: int) -> list[str]:
        """Return the texts of a column of the first table in an element."""
        script = "return [...document.querySelectorAll(`${arguments[0]} tbody tr`)].map((r) => r.cells[arguments[1]]"
        return [str(text) for text in self.run(f"{script}.innerText)", selector, column)]

    def logged(self) -> list[str]:
        """Return what was logged since the last call, refusals of the page's policy among it."""
        entries = self.driver.get_log("browser")
        # What headless Chromium says of the machine's graphics is not of the page.
        return [f"{entry['level']}: {entry['message']}" for entry in entries if "GPU" not in entry["message"]]

    def requested(self) -> list[str]:
        """Return the addresses asked for since the last call."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] in {"Network.requestWillBeSent", "Network.webSocketCreated"}
        ]


@contextmanager
def browsing() -> Iterator[Browser]:
    """Start a browser and end it afterwards."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = _browser() or ""
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = Service(executable_path=_driver())
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield Browser(driver)
    finally:
        driver.quit()
