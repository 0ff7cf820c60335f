"""An edge to everything: descriptors, memory, waiting requests, labels, log lines (rows E of faults-seen.md)."""

import os
import re
import socket
import threading
import time

import pytest
from support import server as program
from support.api import check_error
from support.jsonl import fresh, numbered
from support.upstream import Answer
from support.wire import Raw, request, wait_until

MB = 1 << 20
SANITIZED = "build-test" in str(program.BINARY)  # memory is then the sanitizer's


def with_descriptors(api, most):
    """The server gets no more than so many descriptors, soft and hard."""
    command = api.server.command

    def limited():
        return ["prlimit", f"--nofile={most}:{most}", *command()]

    api.server.command = limited
    api.server.start()
    return api


def descriptors(api):
    return len(os.listdir(f"/proc/{api.server.process.pid}/fd"))


def resident(api):
    pages = open(f"/proc/{api.server.process.pid}/statm").read().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def events(api, name):
    return re.findall(rf"^\S+ +\w+ +{re.escape(name)}( .*)?$", api.server.log(), re.M)


# ---- E1: descriptors of batches ----


def test_e1_queued_batches_hold_no_descriptors(serve, own_upstream):
    """200 batches at 256 descriptors, five each before: all are taken, and all are done."""
    api = with_descriptors(serve(start=False, settings={"execution.concurrency": 8}), 256)
    mark = fresh()
    own_upstream.everything = Answer(gate="e1")
    batches = [api.create(numbered(f"{mark}-{n}", 3)) for n in range(200)]
    for batch in batches:
        api.wait(batch, "in_progress")
    own_upstream.wait(lambda: own_upstream.in_flight == 8, "8 in flight")
    assert descriptors(api) < 120
    own_upstream.everything = None
    own_upstream.release("e1")
    for batch in batches:
        api.results(api.wait(batch, "completed"))
    assert descriptors(api) < 120
    assert not events(api, "http.accept_paused") and not events(api, "batch.paused")


def test_e1_a_batch_goes_on_after_its_files_were_closed(serve, own_upstream):
    """More batches in flight at once than may have their files open; kill -9 in the middle."""
    api = with_descriptors(serve(start=False, settings={"execution.concurrency": 60}), 256)
    mark = fresh()
    batches = [
        api.create(numbered(f"{mark}-{n}", 20, script="slow:0.02")) for n in range(40)
    ]
    own_upstream.wait(lambda: len(own_upstream.answered(mark)) > 200, "200 answers")
    api.server.kill()
    api.server.start()
    for batch in batches:
        output, error = api.results(api.wait(batch, "completed"))
        assert len(output) == 20 and not error
    answered = own_upstream.answered(mark)
    twice = sum(n - 1 for n in answered.values())
    assert twice <= 60, f"{twice} lines ran again"
