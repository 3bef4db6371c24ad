"""A headless Chromium for tests, driven by Selenium; skips where it is not installed."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PHONE = (390, 844)
DESKTOP = (1280, 800)

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
]


def installed() -> tuple[str, str]:
    """Chromium and its driver; skips the test where one of them or Selenium is missing."""
    pytest.importorskip("selenium", reason="selenium is not installed (extra dev)")
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("no Chromium with chromedriver here (Debian: apt-get install chromium chromium-driver)")
    return browser, driver


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[Any]:
    """A browser that logs what it prints and what it asks of the network; ended with the block."""
    browser, driver = installed()
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = browser
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(driver))
    try:
        # A new browser shows a page of its own first, with requests of its own.
        opened.get("about:blank")
        for log in ("browser", "performance"):
            opened.get_log(log)
        yield opened
    finally:
        opened.quit()


class Page:
    """One page in the browser, at a size and with the user's preferences."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self._complaints: list[str] = []
        self._requests: list[str] = []

    def open(
        self,
        file: Path,
        *,
        size: tuple[int, int] = DESKTOP,
        address: str = "",
        preferences: dict[str, str] | None = None,
    ) -> Page:
        """Load a file afresh."""
        features = [{"name": name, "value": value} for name, value in (preferences or {}).items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.get("about:blank")
        self.complaints()
        self.requests()
        self.driver.get(file.as_uri() + address)
        assert self.run("return document.documentElement.dataset.ready") == "true", self.driver.get_log("browser")
        self.settle()
        return self

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        self.driver.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()))"
        )

    def find(self, name: str) -> Any:
        """The element with this id."""
        return self.driver.find_element("id", name)

    def text(self, name: str) -> str:
        return self.find(name).text

    def weights(self) -> list[float]:
        return self.run("return explorer.state.weights")

    def requests(self) -> list[str]:
        """Every address that was asked for since this object was made."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        loaded = self.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
        self._requests += [address for address in [*asked, *loaded] if address != "about:blank"]
        return self._requests

    def complaints(self) -> list[str]:
        """Everything the console has held since this object was made."""
        self._complaints += [entry["message"] for entry in self.driver.get_log("browser")]
        return self._complaints
