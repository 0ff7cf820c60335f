"""Commands that ask a server, and what a program writes on a terminal."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time

from . import server as program


def read_all(master):
    """All that comes out of the pseudo-terminal until its other end is closed; closes it."""
    shown = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(master)
    return shown


def client_env(api, url=None, **more):
    """Where the server is and with which key; nothing that a person has kept counts."""
    return {
        "LOWTIDE_URL": url or api.server.base_url, "LOWTIDE_API_KEY": api.key,
        "XDG_CONFIG_HOME": str(api.server.directory / "no-config"), "TZ": "UTC", **more,
    }  # fmt: skip


def client(api, *args, url=None, env=None, **more):
    """Runs a command that asks the server of `api`."""
    return program.run(*args, env={**client_env(api, url), **(env or {})}, **more)


def drawn(text, columns=80):
    """The lines that are left on a terminal after `text`: what is drawn over is gone; without
    colours."""
    lines, row, column = [""], 0, 0
    for piece in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", text):
        if piece == "\r":
            column = 0
        elif piece == "\n":
            row += 1
            if row == len(lines):
                lines.append("")
        elif piece.startswith("\x1b["):
            number = int(re.sub(r"\D", "", piece) or 1)
            if piece[-1] == "A":
                assert number <= row, "the cursor leaves the screen"
                row -= number
            elif piece[-1] == "K":
                lines[row] = lines[row][:column]
            elif piece[-1] == "J":
                lines[row] = lines[row][:column]
                del lines[row + 1 :]
            else:
                assert piece[-1] == "m", f"{piece!r} is not known"
        else:
            lines[row] = lines[row][:column].ljust(column) + piece + lines[row][column + len(piece) :]
            column += len(piece)
            assert column <= columns, f"wider than {columns}: {lines[row]!r}"
    return lines


def of_a_terminal():
    """In the child. Tests that a script runs beside others have Ctrl-C ignored, and so would it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A command on a pseudo-terminal of so many columns and rows."""

    def __init__(self, args, env, columns=80, rows=24):
        self.columns = columns
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.process = subprocess.Popen(
            [str(program.BINARY), *map(str, args)], stdin=slave, stdout=slave, stderr=slave,
            env=program.clean_env({"TERM": "xterm", **env}), start_new_session=True,
            preexec_fn=of_a_terminal,
        )  # fmt: skip
        self.raw = b""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                piece = os.read(self.master, 65536)
            except OSError:
                return
            if not piece:
                return
            self.raw += piece

    @property
    def text(self):
        return self.raw.decode(errors="replace").replace("\r\n", "\n")

    def lines(self):
        # a newline of the program is CR LF on the terminal
        return drawn(self.raw.decode(errors="replace"), self.columns)

    def shows(self, pattern, seconds=60):
        """Waits until a line matches."""
        end = time.monotonic() + seconds
        while not any(re.search(pattern, line) for line in self.lines()):
            assert time.monotonic() < end, f"no {pattern!r} in {self.lines()}"
            assert self.process.poll() is None or any(
                re.search(pattern, line) for line in (time.sleep(0.3), self.lines())[1]
            ), f"ended, no {pattern!r} in {self.lines()}"
            time.sleep(0.02)

    def type(self, keys):
        os.write(self.master, keys)

    def end(self, seconds=60):
        """Waits for the end; the exit code, 128 + N after signal N. The terminal is as it was."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"has not ended: {self.lines()}") from None
        time.sleep(0.1)  # for the thread to read the rest
        assert termios.tcgetattr(self.slave) == self.before, "the terminal's modes have changed"
        os.close(self.slave)
        program.check_report(self.text, "the command")
        return code if code >= 0 else 128 - code

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self.master)
