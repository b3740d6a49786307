r"""A headless Chromium, driven by chromedriver in the WebDriver protocol: the few commands that a reader needs."""

import contextlib
import http.client
import json
import re
import shutil
import subprocess
import tempfile

import pytest

QUIET = [f"--disable-{part}" for part in ("gpu", "quic", "background-networking", "component-update", "sync")]


class Browser:
    """A session of the browser."""

    def __init__(self, port, program, profile):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        arguments = ["--headless", "--no-sandbox", "--no-first-run", *QUIET, f"--user-data-dir={profile}"]
        options = {"binary": program, "args": [*arguments, "--window-size=1400,1000"]}
        wishes = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.path = "/session"
        self.path += "/" + self.ask("POST", "", {"capabilities": {"alwaysMatch": wishes}})["sessionId"]

    def ask(self, method, path, body=None):
        self.connection.request(method, self.path + path, None if body is None else json.dumps(body))
        answer = json.loads(self.connection.getresponse().read())["value"]
        assert not (isinstance(answer, dict) and "error" in answer), answer
        return answer

    def run(self, script):
        return self.ask("POST", "/execute/sync", {"script": script, "args": []})

    def element(self, selector):
        found = self.ask("POST", "/element", {"using": "css selector", "value": selector})
        return "/element/" + next(iter(found.values()))

    def click(self, selector):
        self.ask("POST", self.element(selector) + "/click", {})

    def type(self, selector, text):
        self.ask("POST", self.element(selector) + "/value", {"text": text})

    def resize(self, width, height=900):
        """Make the window as wide as a phone's, or a desk's."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.ask("POST", "/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": size})

    def visit(self, path):
        """Open a file."""
        self.ask("POST", "/url", {"url": path.as_uri()})

    def complaints(self):
        """Return what pages complained of since the last question."""
        said = self.ask("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in said if entry["level"] == "SEVERE"]


@contextlib.contextmanager
def opened():
    """Start a browser, or skip the test; both programs are the machine's, not Python's."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("needs the programs chromium and chromedriver (in Debian: chromium chromium-driver)")
    with contextlib.ExitStack() as stack:
        profile = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        process = stack.enter_context(
            subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        )
        stack.callback(process.terminate)
        port = next(int(m[1]) for line in process.stdout if (m := re.search(r"successfully on port (\d+)", line)))
        found = Browser(port, program, profile)
        stack.callback(found.connection.close)
        stack.callback(found.ask, "DELETE", "")
        yield found
