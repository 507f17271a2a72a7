"""A browser without a window, spoken to over a pipe by the Chrome DevTools Protocol."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    "--headless",
    "--no-sandbox",  # a container has none to give, and the only pages opened are ours
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


def find() -> str | None:
    """The browser's program, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """A browser with one page; `events` holds the page's requests and complaints."""

    def __init__(self, program: str, profile: Path) -> None:
        browser_in, self._out = os.pipe()
        self._in, browser_out = os.pipe()
        # The browser reads from 3 and writes to 4; numbers above keep the two from colliding.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (browser_in, browser_out)]
        start = f'exec "$0" "$@" 3<&{high[0]} 4>&{high[1]}'
        self._process = subprocess.Popen(
            ["bash", "-c", start, program, *OPTIONS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=high,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in (browser_in, browser_out, *high):
            os.close(fd)
        self._unread, self._count, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        """Ends the browser."""
        self._session = ""
        self.call("Browser.close")
        self._process.wait(20)
        os.close(self._in)
        os.close(self._out)

    def call(self, method: str, **parameters: Any) -> Any:
        """Calls a method of the protocol, and returns the browser's answer."""
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._count:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def open(
        self,
        file: Path,
        width: int,
        height: int = 844,
        dark: bool = False,
        hash: str = "",
        query: str = "",
    ) -> None:
        """Shows a file in a window of that size, and waits until all of it is there."""
        self.emulate(width, height, dark)
        self.call("Page.navigate", url="about:blank")  # or another # alone would not load it anew
        self.events.clear()
        self.call("Page.navigate", url=file.as_uri() + query + (hash and f"#{hash}"))
        until = time.monotonic() + 30
        # The event that tells of a load may be that of the empty page before.
        while self.evaluate("location.protocol + document.readyState") != "file:complete":
            assert time.monotonic() < until, f"{file} does not load"
            time.sleep(0.02)
        self.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")

    def emulate(self, width: int, height: int = 844, dark: bool = False) -> None:
        """Gives the window that size and the colours that scheme."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def evaluate(self, expression: str) -> Any:
        """The value of JavaScript in the page, a promise's when it is there."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def holds(self, expression: str) -> bool:
        """Whether an expression is true; False while the page is being left."""
        try:
            return bool(self.evaluate(expression))
        except AssertionError as error:
            if "navigated or closed" in str(error):
                return False
            raise

    def fetched(self) -> list[str]:
        """The addresses that the page asked for."""
        asked = [e for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [e["params"]["request"]["url"] for e in asked]

    def complaints(self) -> list[Any]:
        """Errors and warnings of the console, and exceptions that nobody caught."""
        messages = []
        for event in self.events:
            method, parameters = event["method"], event.get("params", {})
            if (
                method == "Runtime.exceptionThrown"
                or (method == "Log.entryAdded" and parameters["entry"]["level"] != "verbose")
                or (
                    method == "Runtime.consoleAPICalled"
                    and parameters["type"] in ("error", "warning", "assert")
                )
            ):
                messages.append(parameters)
        return messages

    def _read(self) -> dict[str, Any]:
        """The next message, kept if it is an event."""
        while b"\0" not in self._unread:
            assert select.select([self._in], [], [], 30)[0], "the browser says nothing"
            part = os.read(self._in, 1 << 16)
            assert part, "the browser has ended"
            self._unread += part
        text, self._unread = self._unread.split(b"\0", 1)
        message = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message
