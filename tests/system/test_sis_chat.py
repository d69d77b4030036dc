#!/usr/bin/env python3
"""`sis chat` as a person at a terminal has it, and what it says to wrong arguments. Standard library only.

usage: test_sis_chat.py SIS_BINARY [unittest options]
"""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest
from pathlib import Path

from sis_server import ROOT, Server

BINARY = None
ENVIRONMENT = {"PATH": os.environ["PATH"], "SIS_DATA_DIR": str(ROOT / "demo"), "TERM": "xterm", "LC_ALL": "C"}
TINY = str(ROOT / "tests/models/chat-tiny")
UP, CTRL_A, CTRL_C, CTRL_D = b"\x1b[A", b"\x01", b"\x03", b"\x04"


class Terminal:
    """A terminal with `sis chat` in it: keys go in, `said` is all that came out."""

    def __init__(self, *arguments, output=None):
        ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.fd, self.said, self.seen = ours, b"", 0
        self.found = termios.tcgetattr(self.theirs)
        self.process = subprocess.Popen([BINARY, "chat", *arguments], stdin=self.theirs, stdout=output or self.theirs,
                                        stderr=self.theirs, env=ENVIRONMENT, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.fd)
        os.close(self.theirs)

    def read(self, seconds):
        if select.select([self.fd], [], [], seconds)[0]:
            self.said += os.read(self.fd, 1 << 16)

    def wait(self, text, seconds=60):
        """Until `text` comes after what was last waited for; what came with it."""
        begin, end = self.seen, time.monotonic() + seconds
        while (at := self.said.find(text.encode(), begin)) < 0:
            if time.monotonic() > end:
                raise AssertionError(f"no {text!r} in {self.said[begin:]!r}")
            self.read(0.1)
        self.seen = at + len(text.encode())
        return self.said[begin:self.seen].decode(errors="replace")

    def prompt(self):
        return self.wait("> ")

    def keys(self, data):
        data = data.encode() if isinstance(data, str) else data
        while data:  # a terminal that is full waits for its reader
            if select.select([], [self.fd], [], 0.05)[1]:
                data = data[os.write(self.fd, data[:512]):]
            self.read(0)

    def ask(self, line):
        """What is said until the next prompt."""
        self.keys(line + "\n")
        self.wait("\n")
        return self.prompt()

    def leave(self, keys="/quit\n"):
        self.keys(keys)
        end = time.monotonic() + 30
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.05)
        self.read(0)
        return self.process.wait(1)


def chat(*arguments, model=TINY, **settings):
    return Terminal("-m", model, "--seed", "1", *arguments, **settings)


def endless(folder):
    """The tiny model with a long context and without a token that ends its answers."""
    for source in Path(TINY).iterdir():
        Path(folder, source.name).write_bytes(source.read_bytes())
    for name, changes in (("config.json", {"max_position_embeddings": 65536, "eos_token_id": None}),
                          ("generation_config.json", {"eos_token_id": None}), ("tokenizer_config.json", {"eos_token": None})):
        path = Path(folder, name)
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return str(folder)


class Typed(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder, self.file = folder.name, str(Path(folder.name, "saved.jsonl"))

    def saved(self, terminal):
        terminal.ask(f"/save {self.file}")
        lines = Path(self.file).read_text().splitlines()
        self.assertEqual(len(lines), 1)
        return json.loads(lines[0])["messages"]

    def questions(self, terminal):
        return [message["content"] for message in self.saved(terminal) if message["role"] == "user"]

    def test_long_lines_come_whole(self):
        with chat("-n", "1", "--context", "16384", model=endless(self.folder)) as terminal:
            terminal.prompt()
            line = " ".join(str(i) for i in range(1300))  # 5,389 bytes
            terminal.keys(line + "\n" + line + "é\n")  # the second one while the first is answered
            for _ in range(2):
                terminal.wait("[stopped at the limit of 1 tokens]")
            terminal.prompt()
            self.assertEqual(self.questions(terminal), [line, line + "é"])

    def test_editing_and_history(self):
        with chat("-n", "1") as terminal:
            terminal.prompt()
            terminal.ask("\tgrün 😀 \x7f\x7fb")
            terminal.keys(UP + b"." + CTRL_A + b"a\n")
            terminal.wait("[stopped")
            terminal.prompt()
            terminal.keys("one\\\ntwo\n")
            terminal.wait("[stopped")
            terminal.prompt()
            self.assertEqual(self.questions(terminal), ["\tgrün b", "a\tgrün b.", "one\ntwo"])
            terminal.keys(b"a\xffb\xc3\n")
            terminal.wait("not valid UTF-8")
            terminal.prompt()
            self.assertEqual(terminal.leave(CTRL_D), 0)
            self.assertEqual(termios.tcgetattr(terminal.theirs), terminal.found)

    def test_ctrl_c_drops_a_line(self):
        with chat("-n", "1") as terminal:
            terminal.prompt()
            terminal.keys("never asked")
            terminal.wait("asked")
            terminal.keys(CTRL_C)
            terminal.wait("Ctrl-D or /quit to leave")
            terminal.prompt()
            terminal.ask("asked")
            self.assertEqual(self.questions(terminal), ["asked"])

    def test_a_stopped_answer_is_counted(self):
        with chat("--context", "65536", model=endless(self.folder)) as terminal:
            terminal.prompt()
            terminal.keys("Talk.\n")
            terminal.wait("\n")
            begin = len(terminal.said)
            while len(terminal.said) < begin + 200:
                terminal.read(0.1)
            terminal.keys(CTRL_C)
            terminal.wait("\r\n> ")
            stats = terminal.ask("/stats")
            last = re.search(r"last: stopped after (\d+) tokens at ([\d.]+) tokens/s; prompt (\d+) tokens", stats)
            self.assertTrue(last, stats)
            self.assertGreater(int(last[1]), 20)
            self.assertIn(f"all: 1 answers (1 stopped), {last[3]} prompt tokens (0 cached), {last[1]} new at {last[2]}", stats)
            self.assertNotIn("\x1b[2m[", stats, "it was no limit that stopped it")

    def test_the_end_of_the_context(self):
        with chat("--context", "64") as terminal:
            terminal.prompt()
            self.assertRegex(terminal.ask("Talk."), r"\[context full after \d+ tokens; /undo or /reset makes room\]")
            said = terminal.ask("Go on.")
            self.assertRegex(said, r"the prompt has \d+ tokens, this model takes at most 63; /undo or /reset makes room")
            self.assertIn("took back 'Talk.' and its answer", terminal.ask("/undo"))
            self.assertIn("nothing to take back", terminal.ask("/undo"))
            said = terminal.ask("word " * 80)
            self.assertIn("this model takes at most 63", said)
            self.assertNotIn("/undo", said.split("at most 63")[1], "there is nothing to take back")

    def test_system_message(self):
        with chat("-n", "1", "--system", "Be brief.") as terminal:
            terminal.prompt()
            terminal.ask("Hello.")
            self.assertIn("Be brief.", terminal.ask("/system"))
            self.assertIn("Be brief.", terminal.ask("/system   "))
            self.assertEqual([message["role"] for message in self.saved(terminal)], ["system", "user", "assistant"])
            terminal.ask("  /system  Be kind. ")
            self.assertEqual(self.saved(terminal), [{"role": "system", "content": "Be kind."}])
            terminal.ask("/system none")
            self.assertIn("(none)", terminal.ask("/system"))
            self.assertIn("/save: there is no message yet", terminal.ask(f"/save {self.file}"))

    def test_lines_that_are_no_questions(self):
        with chat("-n", "1") as terminal:
            terminal.prompt()
            self.assertNotIn("[stopped", terminal.ask("  \t "))
            self.assertIn("/history", terminal.ask("   /help"))
            self.assertIn("'/sav' is no command", terminal.ask(" /sav x"))
            terminal.ask("Hello.")
            self.assertEqual(self.questions(terminal), ["Hello."])
            self.assertIn("/save: want the name of a file", terminal.ask("/save  "))
            self.assertIn("/save: cannot write '/tmp': Is a directory", terminal.ask("/save /tmp"))
            self.assertIn("/save: cannot write '/dev/full': No space left on device", terminal.ask("/save /dev/full"))

    def test_the_terminal_survives_a_kill(self):
        with chat() as terminal:
            terminal.prompt()
            terminal.process.send_signal(signal.SIGTERM)
            self.assertEqual(terminal.process.wait(30), -signal.SIGTERM)
            self.assertEqual(termios.tcgetattr(terminal.theirs), terminal.found)

    def test_a_stop_and_a_new_size(self):
        with chat("-n", "1") as terminal:
            terminal.prompt()
            terminal.keys("be")
            terminal.wait("be")
            terminal.process.send_signal(signal.SIGSTOP)
            os.waitpid(terminal.process.pid, os.WUNTRACED)
            termios.tcsetattr(terminal.theirs, termios.TCSANOW, terminal.found)  # as a shell does
            terminal.process.send_signal(signal.SIGCONT)
            terminal.wait("be")
            fcntl.ioctl(terminal.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
            terminal.keys("f\x7fgun" + CTRL_A.decode() + "has \n")
            terminal.wait("[stopped")
            terminal.prompt()
            self.assertEqual(self.questions(terminal), ["has begun"])

    def test_without_an_editor_a_cut_line_is_refused(self):
        with open(os.devnull, "w") as output, chat("-n", "1", output=output) as terminal:
            terminal.wait("/help")
            terminal.keys("x" * 5000 + "\n")
            terminal.wait("reached the 4095 bytes")
            self.assertEqual(terminal.leave(), 0)


def sis(*arguments, stdin="", **settings):
    return subprocess.run([BINARY, *arguments], env=ENVIRONMENT, input=stdin, capture_output=True, text=True, timeout=120, **settings)


class Arguments(unittest.TestCase):
    def refused(self, arguments, *words, code=2, stdin=""):
        ran = sis(*arguments, stdin=stdin)
        self.assertEqual(ran.returncode, code, f"{arguments}: {ran.stdout}{ran.stderr}")
        self.assertEqual(ran.stdout, "")
        for word in words:
            self.assertIn(word, ran.stderr)

    def test_questions(self):
        self.refused(["chat", "-p", ""], "sis chat: --prompt: want a question")
        self.refused(["chat", "-p", " \n"], "sis chat: --prompt: want a question")
        self.refused(["chat"], "sis chat: no question on standard input", stdin=" \n")
        for arguments, stdin in ((["-p", "word " * 100], ""), ([], "word " * 100)):
            self.refused(["chat", "-m", TINY, "--context", "64", *arguments], "sis chat: messages: the prompt has", code=1, stdin=stdin)
        ran = sis("chat", "-m", TINY, "-n", "3", stdin="Hello.\n")
        self.assertEqual((ran.returncode, ran.stderr), (0, "[stopped at the limit of 3 tokens]\n"))
        self.refused(["generate", "-p", ""], "sis generate: --prompt: want a text, got none", stdin="x")
        self.refused(["generate", "-p", "x", "-i", "FILE"], "--input excludes --prompt")

    def test_numbers(self):
        for command in ("chat", "generate"):
            for value in ("nan", "inf", "-1", "3", "x", ""):
                self.refused([command, "--temperature", value], "--temperature: want a number from 0 to 2, got")
            for flag in ("--top-p", "--min-p"):
                self.refused([command, flag, "nan"], f"{flag}: want a number from 0 to 1, got 'nan'")
            for value in ("9223372036854775808", "1e3", "-1", "99999999999999999999"):
                self.refused([command, "--seed", value], f"--seed: want a whole number from 0 to 9223372036854775807, got '{value}'")
        ran = sis("generate", "-q", "-m", TINY, "-n", "2", "-p", "x", "--seed", "9223372036854775807", "--temperature", ".5")
        self.assertEqual(ran.returncode, 0, ran.stderr)

    def test_words(self):
        for command, flags in (("chat", ("--dtype", "--kv-dtype", "--isa")), ("generate", ("--dtype", "--kv-dtype", "--isa")),
                               ("embed", ("--dtype", "--isa"))):
            for flag in flags:
                self.refused([command, flag, "fp16"], flag, "fp16 not in", "auto")

    def test_a_folder_is_no_input(self):
        for command in (["generate"], ["tokenize"], ["tokenize", "--chat"], ["embed"]):
            name = f"sis {command[0]}: "
            self.refused([*command, "-i", "/tmp"], name + "--input: cannot read '/tmp': Is a directory\n")
            self.refused([*command, "-i", "/no/such"], name + "--input: cannot read '/no/such': No such file or directory\n")

    def test_output_that_is_lost(self):
        with Server(BINARY, arguments=["--mock"]) as server:
            commands = (["settings"], ["--help"], ["generate", "-q", "-m", TINY, "-p", "hello", "-n", "5"], ["tokenize", "hello"],
                        ["chat", "-m", TINY, "-p", "hello", "-n", "5"],
                        ["bench", "chat", "--base-url", f"http://127.0.0.1:{server.port}", "--n-requests", "2", "--json", "-"])
            for command in commands:
                with open("/dev/full", "w") as full:
                    ran = subprocess.run([BINARY, *command], env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
                self.assertEqual(ran.returncode, 1, command)
                self.assertIn("sis: standard output: No space left on device\n", ran.stderr, command)
            for command in commands:  # a reader who has seen enough
                reader, writer = os.pipe()
                os.close(reader)
                ran = subprocess.run([BINARY, *command], env=ENVIRONMENT, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
                os.close(writer)
                self.assertNotIn("standard output", ran.stderr, command)

    def test_a_saved_conversation_is_a_load(self):
        with tempfile.TemporaryDirectory() as folder, Server(BINARY, arguments=["--mock"]) as server:
            path = str(Path(folder, "saved.jsonl"))
            with chat("-n", "4", "--system", "Be brief.") as terminal:
                terminal.prompt()
                terminal.ask('Say "é".')
                terminal.ask("Again.")
                terminal.ask(f"/save {path}")
            ran = sis("tokenize", "--model", TINY, "--chat", "-i", path)
            self.assertEqual(ran.returncode, 0, ran.stderr)
            self.assertIn('Say "é".', ran.stdout)
            ran = sis("bench", "chat", "--base-url", f"http://127.0.0.1:{server.port}", "--input-data", path, "--n-requests", "2", "--json", "-")
            self.assertEqual(ran.returncode, 0, ran.stderr)


if __name__ == "__main__":
    BINARY = str(Path(sys.argv.pop(1)).resolve())
    unittest.main(verbosity=2)
