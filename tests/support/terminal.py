"""What a program writes on a terminal."""

import os


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
