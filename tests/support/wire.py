"""HTTP by hand: for what no client would send."""

import socket
import time
import uuid


class Raw:
    """A socket to the server. Sends bytes as they are; reads answers."""

    def __init__(self, server, timeout=30, receive_bytes=None):
        self.sock = socket.socket()
        self.sock.settimeout(timeout)
        if receive_bytes:  # what the kernel holds for one that reads slowly
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.sock.connect(("127.0.0.1", server.port))
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)
        return self

    def reset(self):
        """Goes away with a RST, as a client that was killed does."""
        linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.sock.close()

    def rest(self):
        """Everything until the server closes."""
        try:
            while piece := self.sock.recv(65536):
                self.buffer += piece
        except ConnectionResetError:
            pass
        return self.buffer

    def answer(self):
        """One answer: (status, headers, body). 1xx answers are left out; None: it just closed."""
        while True:
            while b"\r\n\r\n" not in self.buffer:
                if not self._more():
                    return None
            head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            status = int(lines[0].split()[1])
            if status >= 200:
                break
        headers = {}
        for one in lines[1:]:
            name, _, value = one.partition(":")
            headers[name.strip().lower()] = value.strip()
        if "content-length" in headers:
            length = int(headers["content-length"])
            while len(self.buffer) < length and self._more():
                pass
            body, self.buffer = self.buffer[:length], self.buffer[length:]
        else:
            body = self.rest() if status not in (204, 304) else b""
        return status, headers, body

    def _more(self):
        try:
            piece = self.sock.recv(65536)
        except ConnectionResetError:
            return False
        self.buffer += piece
        return bool(piece)


def request(method, path, key=None, headers=(), body=None):
    """The bytes of a request; Content-Length is added when there is a body."""
    lines = [f"{method} {path} HTTP/1.1", "Host: lowtide"]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    lines += headers
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


class Multipart:
    """A multipart body, part by part, each with the head that a test wants."""

    def __init__(self):
        self.boundary = "b-" + uuid.uuid4().hex
        self.parts = b""

    @property
    def content_type(self):
        return f"multipart/form-data; boundary={self.boundary}"

    def add(self, disposition, data, *headers):
        lines = [f"--{self.boundary}", f"Content-Disposition: form-data; {disposition}", *headers]
        self.parts += ("\r\n".join(lines) + "\r\n\r\n").encode() + data + b"\r\n"
        return self

    def body(self, closed=True):
        return self.parts + (f"--{self.boundary}--\r\n".encode() if closed else b"")


def wait_until(condition, what, seconds=30):
    """Polls until condition() gives something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"after {seconds} s still not so: {what}"
        time.sleep(0.02)
