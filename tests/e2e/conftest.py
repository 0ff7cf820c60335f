"""Fixtures of the end-to-end tests.

Most tests share one server per profile (each pytest-xdist worker has its own pair) and differ by
organization: `api` runs a test in both profiles, `kimi`, `oai` in one. A test that kills, stops,
configures or breaks something makes a server of its own with `serve`.

A module with `BOTH_CLIENTS = True`, or a test marked `both_clients`, runs once as lowtide speaks to
upstreams by itself and once with libcurl. One with `META_DB = True`, or a test marked `meta_db`, is
left out where rows are in PostgreSQL.
"""

import pytest
from support import postgres, s3
from support import server as program
from support.api import Api
from support.server import Server
from support.upstream import Upstream


def pytest_configure(config):
    if not program.BINARY.is_file():
        raise pytest.UsageError(f"no program at {program.BINARY}: build it, or set LOWTIDE_BIN")


def pytest_generate_tests(metafunc):
    marked = metafunc.definition.get_closest_marker("both_clients") is not None
    if marked or getattr(metafunc.module, "BOTH_CLIENTS", False):
        metafunc.parametrize("http_client", ["auto", "libcurl"], indirect=True)


def pytest_runtest_setup(item):
    marked = item.get_closest_marker("meta_db") is not None
    if postgres.wanted() and (marked or getattr(item.module, "META_DB", False)):
        pytest.skip("meta.db's own")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for server in getattr(item, "servers", []):
            if server.starts:
                report.sections.append((f"lowtide in {server.directory}", server.tail()))
    return report


@pytest.fixture(autouse=True)
def http_client(request):
    """Who speaks to upstreams in this test: "auto" or "libcurl"."""
    program.http_client = getattr(request, "param", None)
    yield program.http_client or "auto"
    program.http_client = None


@pytest.fixture(scope="module")
def cluster():
    """A PostgreSQL of the module's own, which may be stopped."""
    made = postgres.Cluster()
    if not made.where:
        pytest.skip("there is no PostgreSQL")
    yield made
    made.close()


@pytest.fixture(scope="module")
def store():
    """An S3-compatible store of the module's own, which checks signatures."""
    made = s3.start()
    yield made
    made.stop()


@pytest.fixture
def nodes(all_nodes, request):
    """The module's `all_nodes`: all of them are up, and are so again for the next test; an answer takes a while."""
    request.node.servers = all_nodes.servers
    all_nodes.delay = 0.1
    yield all_nodes
    all_nodes.delay = 0
    all_nodes.revive()
    all_nodes.wait_even()


@pytest.fixture(scope="module")
def boss(nodes):
    """An Api for each node of the module's `nodes`, with an operator's key."""
    key = nodes.server(0).operator_key()
    made = [Api(one, key) for one in nodes.servers]
    yield made
    for one in made:
        one.close()


@pytest.fixture
def apis(nodes, request):
    """An Api for each node of the module's `nodes`, of an organization of the test's own."""
    request.node.servers = nodes.servers
    made = nodes.of_org()
    yield made
    for one in made:
        one.finish()
    assert all(one.alive() for one in nodes.servers)


@pytest.fixture(scope="session")
def upstream():
    """The upstream of the shared servers."""
    made = Upstream()
    yield made
    made.close()


@pytest.fixture(scope="session")
def shared(tmp_path_factory, upstream):
    """shared(name, profile, settings): a running server, made at first use."""
    servers = {}

    def get(name, profile, settings):
        if program.http_client == "libcurl":
            name += "-libcurl"
        if name not in servers:
            directory = tmp_path_factory.mktemp(f"server-{name}")
            # as many lines at once whether a test before sent online requests or not
            settings = {"execution.concurrency": 32, "online.reserve": 0, **settings}
            servers[name] = Server(directory, upstream, profile, settings)
        if not servers[name].alive():
            servers[name].start()
        return servers[name]

    yield get
    for server in servers.values():
        server.dispose()


@pytest.fixture
def on_server(request):
    """on_server(server): an Api with a new organization, checked and cleaned up after the test."""
    apis = []
    request.node.servers = getattr(request.node, "servers", [])

    def make(server, key=None):
        request.node.servers.append(server)
        apis.append(Api(server, key or server.new_key()))
        return apis[-1]

    yield make
    for api in apis:
        api.finish()
    for api in apis:
        api.server.check_report()


@pytest.fixture
def on_shared(shared, on_server):
    """on_shared(profile): an Api on the shared server of that profile."""
    made = []

    def make(profile):
        made.append(shared(profile, profile, {}))
        return on_server(made[-1])

    yield make
    for server in made:
        assert server.alive(), f"the server ended\n{server.tail()}"


@pytest.fixture(params=["kimi", "openai"])
def profile(request):
    return request.param


@pytest.fixture
def api(profile, on_shared):
    return on_shared(profile)


@pytest.fixture
def kimi(on_shared):
    return on_shared("kimi")


@pytest.fixture
def oai(on_shared):
    return on_shared("openai")


@pytest.fixture
def quick(shared, on_server):
    """An Api on a kimi server where a completion_window may be seconds."""
    return on_server(shared("quick", "kimi", {"limits.window_min": "1s"}))


@pytest.fixture
def new_upstream():
    """new_upstream(): an upstream that only this test uses."""
    made = []

    def make():
        made.append(Upstream())
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def own_upstream(new_upstream):
    return new_upstream()


@pytest.fixture
def serve(request, tmp_path, own_upstream):
    """serve(profile=..., settings=..., ...): an Api on a server that only this test uses.

    upstream=False: none is named on the command line. With start=False it is not running yet:
    `api.server.start(env=...)`.
    """
    apis = []
    request.node.servers = getattr(request.node, "servers", [])

    def make(profile="kimi", settings=None, upstream=None, start=True, data=None, **more):
        directory = tmp_path / f"server-{len(apis)}"
        used = None if upstream is False else upstream or own_upstream
        server = Server(directory, used, profile, settings, **more)
        if data is not None:
            server.data = data
        request.node.servers.append(server)
        apis.append(Api(server))
        if start:
            server.start()
        return apis[-1]

    yield make
    for api in apis:
        api.close()
    for api in apis:
        api.server.dispose()


@pytest.fixture(scope="session")
def failpoints():
    """Skips where the program was built without -Dfailpoints=true."""
    done = program.run(
        "serve", "--check", "--upstream", "http://127.0.0.1:9/v1",
        env={"LOWTIDE_FAILPOINTS": "not a failpoint"}, expect=None,
    )  # fmt: skip
    if done.returncode == 2:
        return
    assert "build-test" not in str(program.BINARY), "build-test is without -Dfailpoints=true"
    pytest.skip(f"{program.BINARY} was built without -Dfailpoints=true")
