"""Reads journals (src/journal/journal.h), also one that is being written."""

import struct

START = 16
HEAD = struct.Struct("<QII")  # check, length, record; and more
HEAD_BYTES = 48


def lines_of(data, at=0):
    """The lines that have a whole record in `data` from `at` on."""
    found = set()
    while at + HEAD_BYTES <= len(data):
        _, length, record = HEAD.unpack_from(data, at)
        at += HEAD_BYTES + length
        if length == 0 or at > len(data):
            break  # torn
        found.add(record)
    return found


def records(directory):
    """The lines that have a whole record in a journal under `directory`: a start after a kill finds
    these, and does not send them again."""
    found = set()
    for path in directory.rglob("*.journal"):
        found |= lines_of(path.read_bytes(), START)
    return found
