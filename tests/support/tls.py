"""https in front of a scripted upstream: a CA made on the spot, nginx from Debian.

    ca = Authority(directory)
    front = Nginx(directory, upstream, ca.server("127.0.0.1"))
    front.url                      # https://127.0.0.1:PORT/v1
"""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def openssl(*args):
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"openssl {' '.join(map(str, args))}: {done.stderr}"


class Pair:
    """A certificate and its private key, as files."""

    def __init__(self, cert, key):
        self.cert, self.key = cert, key


class Authority:
    """A certificate authority; `cert` is its file."""

    def __init__(self, directory, name="lowtide test CA"):
        self.directory = directory / name.replace(" ", "-")
        self.directory.mkdir(parents=True)
        self.cert = self.directory / "ca.pem"
        self.key = self.directory / "ca.key"
        self.made = 0
        openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "30", "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.cert,
        )  # fmt: skip

    def _pair(self, name, extensions, expired=False):
        self.made += 1
        base = self.directory / f"{self.made}"
        cert, key, request = (base.with_suffix(end) for end in (".pem", ".key", ".csr"))
        wanted = base.with_suffix(".ext")
        wanted.write_text(extensions)
        openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", f"/CN={name}", "-keyout", key, "-out", request,
        )  # fmt: skip
        (base.with_suffix(".db")).write_text("")
        (base.with_suffix(".cnf")).write_text(
            f"[ca]\ndefault_ca = ours\n[ours]\ndatabase = {base}.db\nrand_serial = yes\n"
            f"new_certs_dir = {self.directory}\ndefault_md = sha256\npolicy = any\n"
            "[any]\ncommonName = supplied\n"
        )
        first, last = (2020, 2021) if expired else (2025, 2049)
        openssl(
            "ca", "-batch", "-notext", "-config", f"{base}.cnf", "-in", request, "-out", cert,
            "-cert", self.cert, "-keyfile", self.key, "-extfile", wanted,
            "-startdate", f"{first}0101000000Z", "-enddate", f"{last}0101000000Z",
        )  # fmt: skip
        return Pair(cert, key)

    def server(self, host="127.0.0.1", expired=False):
        kind = "IP" if host.replace(".", "").isdigit() else "DNS"
        return self._pair(host, f"subjectAltName={kind}:{host}\n", expired)

    def client(self, name="lowtide"):
        return self._pair(name, "extendedKeyUsage=clientAuth\n")


CONFIGURATION = """\
{user}worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    log_format fields '$connection $connection_requests $server_protocol $status $uri';
    access_log {directory}/access.log fields;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    client_max_body_size 64m;
    server {{
        listen 127.0.0.1:{port} ssl{http2};
        ssl_certificate {cert};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        {more}
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_read_timeout 600s;
        }}
    }}
}}
"""


class Nginx:
    """nginx with TLS, and HTTP/2 unless told otherwise, in front of an Upstream.

    `client_ca`: the file of the CA that clients' certificates must be of. `more`: lines for the
    server block.
    """

    def __init__(self, directory, upstream, pair, http2=True, client_ca=None, more="", port=None):
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        if client_ca is not None:
            more += f"\nssl_client_certificate {client_ca};\nssl_verify_client on;"
        self.values = {
            "directory": directory, "port": self.port, "http2": " http2" if http2 else "",
            "more": more, "upstream": upstream.port,
            # a worker of another user could not write into the test's directory
            "user": f"user {getpass.getuser()};\n" if os.getuid() == 0 else "",
        }  # fmt: skip
        self.process = None
        self.use(pair)

    def use(self, pair):
        """Shows this certificate from now on."""
        text = CONFIGURATION.format(cert=pair.cert, key=pair.key, **self.values)
        (self.directory / "nginx.conf").write_text(text)
        if self.process is not None:
            self.close()
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [NGINX, "-c", self.directory / "nginx.conf", "-p", self.directory, "-e", "stderr"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        end = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return
            except OSError:
                assert self.process.poll() is None, self.errors()
                assert time.monotonic() < end, self.errors()
                time.sleep(0.02)

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def close(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=30)
        self.process = None

    def errors(self):
        path = self.directory / "error.log"
        return path.read_text(errors="replace")[-2000:] if path.exists() else "no error.log"

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}/v1"

    def served(self):
        """[connection, its request's number, protocol, status, path] of each request answered."""
        path = self.directory / "access.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.split(" ", 4) for line in lines]

    def connections(self, path="/v1/chat/completions"):
        return {one[0] for one in self.served() if one[4] == path}
