"""Input lines."""

import json
import uuid

CHAT = "/v1/chat/completions"


def fresh():
    """A prefix for markers and custom_ids that no other test has."""
    return "t" + uuid.uuid4().hex[:10]


def body(text, model="m-1", url=CHAT, **more):
    """A request body of the endpoint `url` that carries `text`."""
    if url == CHAT:
        content = {"messages": [{"role": "user", "content": text}]}
    elif url == "/v1/completions":
        content = {"prompt": text}
    elif url == "/v1/messages":
        content = {"max_tokens": 16, "messages": [{"role": "user", "content": text}]}
    elif url in ("/v1/rerank", "/v1/score"):
        content = {"input": text, "query": "q", "documents": ["d"]}
    else:
        content = {"input": text}
    return {"model": model, **content, **more}


def line(custom_id, text="hi", *, url=CHAT, model="m-1", **more):
    """One input line with all four members; `more` goes into the body."""
    return json.dumps(
        {
            "custom_id": custom_id,
            "method": "POST",
            "url": url,
            "body": body(text, model, url, **more),
        },
        ensure_ascii=False,
    ).encode()


def raw_line(custom_id, body_bytes, url=CHAT):
    """One input line around these exact bytes of a body."""
    head = json.dumps({"custom_id": custom_id, "method": "POST", "url": url})[:-1].encode()
    return head + b', "body": ' + body_bytes + b"}"


def jsonl(lines):
    return b"".join(one + b"\n" for one in lines)


def numbered(prefix, count, script="", **more):
    """`count` lines whose custom_id and marker are PREFIX-N."""
    tail = f" | {script}" if script else ""
    return [line(f"{prefix}-{n}", f"{prefix}-{n}{tail}", **more) for n in range(count)]
