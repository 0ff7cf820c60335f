"""lowtide.map by a lowtide server: `server=`."""

import lowtide
import pytest
from support.upstream import Answer
from test_map import COUNT, echoes, fresh, rows_of


@pytest.fixture
def server(upstream):
    with lowtide.Server(upstream.url) as made:
        yield made


def ask(rows, server, prompt="{text}", **more):
    return lowtide.map(rows, prompt, model="m-1", server=server, **{"progress": False, **more})


def batches(server):
    return server.client.batches.list().data


def test_a_batch_of_the_rows(server, upstream):
    """It can be found at the server; the second call asks neither the server nor the model."""
    mark, seen = fresh(), []
    made = ask(rows_of(mark), server, progress=seen.append)
    assert [one["answer"] for one in made] == echoes(mark)
    assert (seen[-1].done, seen[-1].total) == (COUNT, COUNT)
    assert [batch.request_counts.completed for batch in batches(server)] == [COUNT]
    assert ask(rows_of(mark), server) == made
    assert len(batches(server)) == 1 and set(upstream.counts(mark).values()) == {1}


def test_by_url_and_key(server):
    mark = fresh()
    made = ask(rows_of(mark, 3), server.url, api_key=server.api_key)
    assert [one["answer"] for one in made] == echoes(mark, 3)


def test_failed_rows_are_a_batch_of_their_own_next_time(server, upstream):
    mark = fresh()
    upstream.on(f"{mark}-1", Answer(400, b'{"error": {"message": "too rude"}}'))
    made = ask(rows_of(mark, 3), server)
    assert [one["answer"] is None for one in made] == [False, True, False]
    assert "too rude" in made[1]["answer_error"]
    upstream.on(f"{mark}-1", Answer())
    assert [one["answer"] for one in ask(rows_of(mark, 3), server)] == echoes(mark, 3)
    assert sorted(batch.request_counts.total for batch in batches(server)) == [1, 3]


@pytest.mark.parametrize("lost", [False, True])
def test_interrupted(server, upstream, own_cache, monkeypatch, lost):
    """The batch goes on meanwhile, and the next call follows it, also where its id was not yet kept."""
    mark = fresh()
    rows = [{"text": f"{mark}-{n} | hold:gate"} for n in range(3)]

    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(rows, server, progress=stop)
    if lost:
        (path,) = own_cache.glob("*/round/batch_id")
        path.unlink()
    upstream.release("gate")
    assert [one["answer"] for one in ask(rows, server)] == echoes(mark, 3)
    assert len(batches(server)) == 1


def test_the_window(server):
    """The batch's, as `submit --window`; None: a day. What the server has no such window for is told."""
    ask(rows_of(fresh(), 1), server, window="12h")
    ask(rows_of(fresh(), 1), server)
    assert sorted(batch.completion_window for batch in batches(server)) == ["12h", "24h"]
    with pytest.raises(lowtide.LowtideError, match="12h to 7d"):
        ask(rows_of(fresh(), 1), server, window="soon")


def test_a_batch_that_fails_is_told(server, upstream):
    for _ in range(2):
        with pytest.raises(lowtide.LowtideError, match="line 1: .*Streaming is not supported"):
            ask([{"text": "a"}], server, params={"stream": True})
    assert upstream.requests == []


def test_ids_that_repeat(server, upstream):
    rows = [{"text": "a", "key": "k"}, {"text": "b", "key": "k"}]
    for _ in range(2):
        with pytest.raises(ValueError, match="in the column 'key'; 'k' is in rows 0 and 1$"):
            ask(rows, server, id="key")
    assert upstream.requests == []


def test_a_wrong_key(server):
    with pytest.raises(lowtide.LowtideError, match="(?i)key"):
        ask(rows_of(fresh(), 1), server.url, api_key="sk-wrong")
