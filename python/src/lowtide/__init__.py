"""lowtide: run a prompt over every row of a table, or embed the batch server.

    labelled = lowtide.map(frame, prompt="Positive or negative? {text}", model="my-model",
                           upstream="http://127.0.0.1:8080/v1")

    with lowtide.Server(upstream="http://127.0.0.1:8080/v1") as server:
        server.client.batches.list()      # the official openai client

Both run the program `lowtide` that came with the module. Its warnings go to the logger "lowtide".
"""

from ._errors import LowtideError, RowsFailed
from ._map import map
from ._progress import Progress
from ._server import Server
from ._version import __version__

for _public in (LowtideError, Progress, RowsFailed, Server):
    _public.__module__ = __name__  # as they are called, in a traceback, too
del _public

__all__ = ["LowtideError", "Progress", "RowsFailed", "Server", "__version__", "map"]
