"""Nodes on this machine, and an nginx that counts what they ask of S3: for bench/cluster.py."""

import collections
import os
import re
import shutil
import sys
import time

import bench

IN_FLIGHT = bench.IN_FLIGHT
TAKEN_OVER_S = 60


class CountingNginx:
    """Stands between a node and the S3 store and keeps a line of each call."""

    def __init__(self, directory, endpoint):
        self.port, self.log = bench.free_port(), directory / "calls.log"
        self.url = f"http://127.0.0.1:{self.port}"
        user = "user root;" if os.geteuid() == 0 else ""
        config = directory / "nginx.conf"
        config.write_text(f"""
            {user} daemon off; master_process off; pid {directory}/nginx.pid;
            error_log {directory}/nginx.log;
            events {{}}
            http {{
                log_format call "$request_method $request_uri $status $request_length";
                access_log {self.log} call;
                client_body_temp_path {directory}/nginx-body; proxy_temp_path {directory}/nginx-proxy;
                upstream store {{ server {endpoint.removeprefix("http://")}; keepalive 32; }}
                server {{
                    listen 127.0.0.1:{self.port};
                    client_max_body_size 0;
                    location / {{
                        proxy_pass http://store;
                        proxy_http_version 1.1;
                        proxy_set_header Connection "";
                        proxy_set_header Host $http_host;
                        proxy_request_buffering off; proxy_buffering off;
                    }}
                }}
            }}
        """)
        program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        self.process = bench.start([program, "-e", directory / "nginx.log", "-c", config])
        while not self.log.exists():
            if self.process.poll() is not None:
                sys.exit(f"nginx does not start; {directory / 'nginx.log'} says why")
            time.sleep(0.01)

    def calls(self, skip=0):
        """(method, folder of the name) of each, as text, with how many there were."""
        kinds = collections.Counter()
        for line in self.log.read_text().splitlines()[skip:]:
            method, uri, *_ = line.split()
            path = uri.partition("?")[0]
            name = re.search(r"/bench_\d+/(chunks|files/part-|files|lost)?", path)
            kinds[f"{method} {(name and name[1]) or 'list'}"] += 1
        return kinds

    def lines(self):
        return len(self.log.read_text().splitlines())


class Cluster:
    """Nodes, each with a data directory of its own, that share a store and some upstreams. All of these have the
    model `bench`, or each the one that `models` has for it."""

    def __init__(self, options, store, count, upstreams, in_flight=IN_FLIGHT, endpoint=None, models=None):
        self.store, self.upstreams = store, upstreams
        self.settings, self.schema = store.cluster(endpoint)
        self.directory = options.work / "cluster"
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir()
        config = self.directory / "upstreams.yaml"
        models = models or ["bench"] * len(upstreams)
        one = "  - name: bench-{}\n    url: {}\n    models: [{}]\n"
        ups = zip(upstreams, models, strict=True)
        text = "".join(one.format(n, up.url, model) for n, (up, model) in enumerate(ups))
        config.write_text(f"upstreams:\n{text}")
        self.settings["execution.concurrency"] = -(-in_flight // len(upstreams))
        os.sync()
        self.nodes = [self.node(options, n, config) for n in range(count)]

    def node(self, options, n, config):
        directory = self.directory / f"node-{n}"
        directory.mkdir()
        made = bench.Server(options.lowtide, directory, self.upstreams[0], settings=self.settings)
        at = made.command.index("--upstream")
        made.command[at : at + 2] = ["--config", config]
        made.start()
        return made

    def driven(self):
        """upstream's number -> the address of the node that sends to it."""
        rows = self.store.query(
            f"SET search_path = {self.schema}; SELECT u.upstream, n.address FROM upstream_leases AS u "
            "JOIN nodes AS n ON n.id = u.node AND n.epoch = u.node_epoch"
        )
        return {int(re.search(r"bench-(\d+)", name)[1]): address for name, address in rows}

    def driver(self, up):
        """The node that sends to this upstream."""
        address = self.driven()[up]
        return next(one for one in self.nodes if address.endswith(f":{one.port}"))

    def of_node(self, n):
        return [up for up, address in self.driven().items() if address.endswith(f":{self.nodes[n].port}")]

    def wait_even(self):
        """Each node drives an upstream, if there are as many."""
        end = time.monotonic() + TAKEN_OVER_S
        while len(set(self.driven().values())) < min(len(self.nodes), len(self.upstreams)):
            if time.monotonic() > end:
                sys.exit(f"upstreams are not spread: {self.driven()}; {self.directory}")
            time.sleep(0.1)

    def stop(self):
        for one in self.nodes:
            if one.process.poll() is None:
                one.kill()
