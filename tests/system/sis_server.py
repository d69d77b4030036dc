"""Starts a `sis serve` for a test and ends it, and what such tests share. Standard library only."""
import http.client
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
JSON = {"Content-Type": "application/json"}


def until(condition, seconds=30.0, pause=0.02):
    """Whether `condition` came true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(pause)
    return False


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tiny_catalog(folder):
    """The path of a models.yaml, written into `folder`, with the chat model "tiny"."""
    catalog = Path(folder) / "models.yaml"
    catalog.write_text("models:\n  - name: tiny\n    hf_repo_id: test/chat-tiny\n"
                       "    handler: app.models.text_chat.TextChatModel\n"
                       f"    path: {ROOT / 'tests/models/chat-tiny'}\n")
    return str(catalog)


class Server:
    """with Server(binary, {"MAX_BATCH_SIZE": "2"}) as server: ... server.port

    Runs in a folder with nothing but `files`, so that no .env or env file of the checkout applies; the demo model
    comes from the checkout. `log` holds the lines of stdout, `said` those of stderr.
    """

    def __init__(self, binary, settings=None, arguments=(), wait=True, timeout=60, files=None):
        self.folder = tempfile.TemporaryDirectory()
        for name, text in (files or {}).items():
            Path(self.folder.name, name).write_text(text)
        environment = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "ASAN_OPTIONS", "TSAN_OPTIONS")}
        environment.update({"PORT": "0", "HOST": "127.0.0.1", "SIS_DATA_DIR": str(ROOT / "demo"),
                            "MODEL_CONFIG_PATH": str(ROOT / "models.yaml")})
        environment.update(settings or {})
        self.started = time.monotonic()
        self.process = subprocess.Popen([str(Path(binary).resolve()), "serve", *arguments], cwd=self.folder.name, env=environment,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.log, self.said, self.port = [], [], None
        self.readers = [threading.Thread(target=self._read, args=(self.process.stdout, self.log), daemon=True),
                        threading.Thread(target=self._read, args=(self.process.stderr, self.said), daemon=True)]
        for reader in self.readers:
            reader.start()
        if wait:
            try:
                self.wait_ready(timeout)
            except BaseException:
                self.stop()  # nobody else knows of it
                raise

    def _read(self, stream, lines):
        for line in stream:
            lines.append(line.rstrip("\n"))
            found = re.search(r"sis \S+ on https?://\S+?:(\d+)", line)
            if found:
                self.port = int(found.group(1))

    def wait_ready(self, timeout=60):
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(f"sis serve ended with {self.process.returncode}: {self.said} {self.log}")
            if self.port:
                return
            time.sleep(0.01)
        raise RuntimeError(f"sis serve was not ready within {timeout} s: {self.said}")

    def request(self, method, target, body=None, headers=None, timeout=30):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, target, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def metric(self, name, **labels):
        """The sum of a metric's samples whose labels match."""
        total, known = 0.0, False
        for line in self.request("GET", "/metrics")[2].decode().splitlines():
            found = re.fullmatch(re.escape(name) + r"(?:\{(.*)\})? (\S+)", line)
            known |= found is not None
            if found and all(f'{key}="{value}"' in (found.group(1) or "") for key, value in labels.items()):
                total += float(found.group(2))
        if not known:
            raise KeyError(f"no metric {name}")
        return total

    def stop(self, sig=signal.SIGTERM, timeout=30):
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for reader in self.readers:
            reader.join(5)
        self.process.stdout.close()
        self.process.stderr.close()
        self.folder.cleanup()
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        code = self.stop()
        if kind is None and code != 0:
            raise RuntimeError(f"sis serve ended with {code}: {self.said[-5:]}")
