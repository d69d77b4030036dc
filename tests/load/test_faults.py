#!/usr/bin/env python3
"""Bad input and bad servers: `sis bench` says what is wrong, keeps what it measured, marks it and ends with the right code.

usage: test_faults.py SIS_BINARY TRUTH_SERVER_BINARY [unittest options]
"""
import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "truth"))
from truth_tools import TruthServer, bench  # noqa: E402

SIS = SERVER = None
FAILED, USAGE, OK = 1, 2, 0
CUT_SHORT = (1, 105)  # 105 where thresholds are judged, as k6 says it


class BadServer:
    """Accepts connections and hands each to `talk(connection)` on a thread of its own."""

    def __init__(self, talk, context=None):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.talk, self.context, self.open = talk, context, []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.open.append(connection)
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError):  # ssl.SSLError is one
            with self.context.wrap_socket(connection, server_side=True) if self.context else connection as peer:
                self.talk(peer)

    def url(self, scheme="http"):
        return f"{scheme}://127.0.0.1:{self.port}/"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.listener.close()
        for connection in self.open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def answering(data):
    """Reads a request, sends `data`, waits for the next one."""
    def talk(peer):
        while peer.recv(65536):
            peer.sendall(data)
    return talk


def endless(start, again):
    def talk(peer):
        peer.recv(65536)
        peer.sendall(start)
        while True:
            peer.sendall(again)
    return talk


def when_asked(server, segment, count, act):
    """Calls `act` on a thread of its own as soon as the server has had `count` requests for `segment`."""
    def watch():
        end, requests = time.monotonic() + 60, 0
        while requests < count and time.monotonic() < end:
            time.sleep(0.01)
            with contextlib.suppress(RuntimeError):  # nobody has asked yet
                requests = server.log(segment)["requests"]
        act()
    threading.Thread(target=watch, daemon=True).start()


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Faults(unittest.TestCase):
    def run_http(self, url, *arguments, **options):
        return bench(SIS, "http", url, *arguments, pinned=False, **options)

    def assertFailed(self, run, *said):
        """Nothing was answered well: exit 1, the reason in words and in the document."""
        self.assertEqual(run["exit_code"], FAILED, run["stderr"] + run["stdout"])
        self.assertEqual(run["verdict"], "failed")
        words = run["stderr"] + run["stdout"] + run["verdict_reason"]
        for part in said:
            self.assertIn(part, words)


class NothingThere(Faults):
    def test_nobody_listens(self):
        port = closed_port()
        self.assertFailed(self.run_http(f"http://127.0.0.1:{port}/"), f"127.0.0.1:{port}", "Connection refused")

    def test_name_without_an_address(self):
        self.assertFailed(self.run_http("http://no-such-host.invalid/"), "no-such-host.invalid")

    def test_address_that_never_answers(self):
        """A listener whose queue is full takes no more connections."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            port = listener.getsockname()[1]
            fillers = []
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
                fillers.append(filler)
            started = time.monotonic()
            run = self.run_http(f"http://127.0.0.1:{port}/", "--timeout", "500ms", "--n-requests", 3, "--concurrency", 3)
            self.assertLess(time.monotonic() - started, 60)
            self.assertFailed(run, f"127.0.0.1:{port}", "no answer within 0.5 s")
            for filler in fillers:
                filler.close()


@unittest.skipUnless(shutil.which("openssl"), "wants the openssl program for a certificate")
class Tls(Faults):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        key, certificate = (os.path.join(cls.folder.name, name) for name in ("key.pem", "certificate.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2",
                        "-subj", "/CN=somebody.else"], check=True, capture_output=True)
        cls.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cls.context.load_cert_chain(certificate, key)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    GOOD = staticmethod(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))

    def test_wrong_certificate(self):
        with BadServer(self.GOOD, self.context) as server:
            self.assertFailed(self.run_http(server.url("https"), "--verify-ssl"), "TLS handshake", "certificate")
            run = self.run_http(server.url("https"), "--n-requests", 20)
            self.assertEqual((run["exit_code"], run["successes"]), (OK, 20))

    def test_https_to_a_plain_port(self):
        with BadServer(answering(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")) as server:
            self.assertFailed(self.run_http(server.url("https")), "TLS handshake")

    def test_plain_http_to_a_tls_port(self):
        with BadServer(self.GOOD, self.context) as server:
            run = self.run_http(server.url(), "--n-requests", 10)
            self.assertFailed(run, "no request was answered well")
            self.assertEqual(run["failures"], 10)
            self.assertEqual(run["failures_by_kind"]["closed"] + run["failures_by_kind"]["protocol"], 10)


class BadAnswers(Faults):
    def fails_with(self, talk, kind, said, *arguments, requests=8):
        with BadServer(talk) as server:
            run = self.run_http(server.url(), "--n-requests", requests, "--concurrency", 2, *arguments)
        self.assertFailed(run)
        self.assertEqual((run["failures"], run["failures_by_kind"][kind]), (requests, requests), run["error_counts"])
        self.assertTrue(any(said in message for message in run["error_counts"]), run["error_counts"])
        return run

    def test_garbage(self):
        self.fails_with(answering(b"\x00\x01\x02 what is this?\r\n\r\n"), "protocol", "HTTP")

    def test_another_protocol(self):
        self.fails_with(answering(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "protocol", "HTTP")

    def test_lengths_that_disagree(self):
        self.fails_with(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!"), "protocol", "Content-Length")

    def test_length_that_is_no_number(self):
        self.fails_with(answering(b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"), "protocol", "Content-Length")

    def test_broken_chunks(self):
        self.fails_with(answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n"), "protocol", "chunk")

    def test_endless_head(self):
        self.fails_with(endless(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n" * 100), "protocol", "head")

    def test_endless_interim_answers(self):
        self.fails_with(endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100), "protocol", "1xx")

    def test_endless_body(self):
        """Given up at 64 MB, long before it fills the memory."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        self.fails_with(endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * (1 << 20)), "protocol", "body", requests=2)
        self.assertLess(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, max(before, 400 * 1024))

    def test_length_beyond_all_bounds(self):
        self.fails_with(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n"), "protocol", "body")

    def test_no_answer(self):
        def silent(peer):
            while peer.recv(65536):
                pass
        self.fails_with(silent, "timeout", "no answer within 0.3 s", "--timeout", "300ms", requests=4)

    def test_half_an_answer(self):
        run = self.fails_with(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), "timeout", "no answer within",
                              "--timeout", "300ms", requests=4)
        self.assertEqual(run["latency_ms"]["count"], 0)


class Interrupted(Faults):
    """What was measured until then is there, and nobody can take it for a whole run."""

    def test_server_dies_for_good(self):
        with TruthServer(SERVER) as server:
            when_asked(server, "fixed,ms=2", 500, server.process.kill)
            run = self.run_http(server.url("fixed,ms=2"), "--concurrency", 4, "--duration", "60s")
        self.assertIn(run["exit_code"], CUT_SHORT)
        self.assertEqual(run["verdict"], "incomplete")
        self.assertIn("could not be reached any more", run["verdict_reason"])
        self.assertGreater(run["successes"], 100)
        self.assertEqual(run["latency_ms"]["count"], run["successes"])
        self.assertGreater(run["failures_by_kind"]["closed"] + run["resent"], 0)
        self.assertLess(run["wall_s"], 45)  # gives up ten seconds after the last sign of life
        self.assertIn("incomplete", run["stdout"])

    def test_server_dies_shortly_before_the_end(self):
        """Too late for the ten seconds, yet no whole run."""
        for load in (["--duration", "2s"], ["--duration", "2s", "--rate", "500"], ["--duration", "2s", "--no-keep-alive"]):
            with self.subTest(load=load), TruthServer(SERVER) as server:
                when_asked(server, "fixed,ms=2", 100, server.process.kill)
                run = self.run_http(server.url("fixed,ms=2"), "--concurrency", 4, *load)
                self.assertIn(run["exit_code"], CUT_SHORT, run["stdout"])
                self.assertEqual(run["verdict"], "incomplete", run["stdout"])
                self.assertGreater(run["successes"], 50)

    def test_server_comes_back(self):
        server = TruthServer(SERVER)
        again = []

        def restart():
            server.process.kill()
            server.process.wait()
            time.sleep(2.2)  # a whole second of the timeline at least
            again.append(TruthServer(SERVER, "--port", str(server.port)))
        when_asked(server, "fixed,ms=2", 100, restart)
        run = self.run_http(server.url("fixed,ms=2"), "--concurrency", 4, "--duration", "8s")
        server.stop()
        for other in again:
            other.stop()
        self.assertEqual(run["exit_code"], OK, run["stdout"])
        self.assertGreater(run["connect_failures"], 0)
        answered = [second["ok"] for second in run["timeline_per_second"]]
        self.assertGreater(answered[0], 0)
        self.assertIn(0, answered)
        self.assertGreater(sum(answered[answered.index(0):]), 0)
        self.assertEqual(run["requests"], run["successes"] + run["failures"])

    def test_interrupt(self):
        with TruthServer(SERVER) as server, tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "run.json"
            process = subprocess.Popen([SIS, "bench", "http", server.url("fixed,ms=2"), "--duration", "60s", "--json", str(file),
                                        "--no-progress"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            when_asked(server, "fixed,ms=2", 500, lambda: process.send_signal(signal.SIGINT))
            text, _ = process.communicate(timeout=90)
            self.assertIn(process.returncode, CUT_SHORT)
            run = json.loads(file.read_text())["runs"][0]
        self.assertEqual(run["verdict"], "incomplete")
        self.assertIn("interrupted", run["verdict_reason"])
        self.assertGreater(run["successes"], 100)
        self.assertIn("incomplete", text)


class BadInput(Faults):
    def refused(self, *arguments, said):
        run = bench(SIS, *arguments, pinned=False, timeout=20)
        self.assertEqual(run["exit_code"], USAGE, f"{arguments}: {run['stderr']}")
        for part in said:
            self.assertIn(part, run["stderr"])
        self.assertNotIn("requests", run)  # no document of a run that never was

    def test_impossible_loads(self):
        url = "http://127.0.0.1:9/"
        for flag, value in (("--rate", "0"), ("--rate", "-5"), ("--rate", "fast"), ("--rate", "nan"), ("--rate", "1e30"),
                            ("--concurrency", "0"), ("--concurrency", "1000000"), ("--concurrency", "many"), ("--n-requests", "-1"),
                            ("--duration", "0"), ("--duration", "-3s"), ("--duration", "soon"), ("--timeout", "0"),
                            ("--threads", "0"), ("--rate-stages", "5s"), ("--rate-stages", "x:5"),
                            ("--users-stages", "1s:-2"), ("--think", "2s-1s"), ("--burst", "0"), ("--stop-when", "bored"), ("--pipeline", "0"), ("--warmup", "x"), ("--seed", "-1")):
            with self.subTest(flag=flag, value=value):
                self.refused("http", url, flag, value, said=[flag, value])

    def test_flags_that_exclude_each_other(self):
        url = "http://127.0.0.1:9/"
        self.refused("http", url, "--rate", 100, "--pipeline", 4, said=["--pipeline"])
        self.refused("http", url, "--no-keep-alive", "--pipeline", 4, said=["--pipeline"])
        self.refused("http", url, "--arrivals", "poisson", said=["--arrivals", "--rate"])
        self.refused("http", url, "--no-such-flag", said=["--no-such-flag"])

    def test_urls(self):
        for url in ("ftp://127.0.0.1/", "http://", "http://127.0.0.1:99999/", "http://127.0.0.1:x/"):
            with self.subTest(url=url):
                self.refused("http", url, said=[url])

    def test_malformed_files(self):
        with tempfile.TemporaryDirectory() as folder:
            empty = Path(folder) / "empty.txt"
            empty.write_text("")
            for command, flag in (("embeddings", "--text-file"), ("chat", "--prompt-file"), ("predict", "--text-file")):
                for file in (str(empty), str(Path(folder) / "missing.txt"), folder):
                    with self.subTest(command=command, file=file):
                        self.refused(command, "--base-url", "http://127.0.0.1:9", "--model-name", "m", flag, file, said=[file])
            for text in ("", "soon", "1 2", "3\n1\n", "-1\n", "nan\n", "[1, 2", '{"times": []}'):
                with self.subTest(trace=text):
                    file = Path(folder) / "trace.txt"
                    file.write_text(text)
                    self.refused("http", "http://127.0.0.1:9/", "--trace", str(file), said=["--trace"])
            self.refused("http", "http://127.0.0.1:9/", "--body-file", str(Path(folder) / "missing"), said=["missing"])
            self.refused("chat", "--base-url", "http://127.0.0.1:9", "--model-name", "m", "--extra", "{not json", said=["--extra"])


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    SIS, SERVER = (str(Path(path).resolve()) for path in sys.argv[1:3])
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
