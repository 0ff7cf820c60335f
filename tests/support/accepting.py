"""How the proxies of tests take connections."""

import threading


def each_accepted(listener, serve):
    """Calls `serve(client)` for each connection, in a thread of its own, until the listener is closed."""
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(client,), daemon=True).start()
