"""How the proxies of tests take connections, and reset them."""

import socket
import struct
import threading


def each_accepted(listener, serve):
    """Calls `serve(client)` for each connection, in a thread of its own, until the listener is closed."""
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(client,), daemon=True).start()


def reset(connection):
    """Ends it with RST, as one that was killed does."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)  # another thread may read it: to close is not enough
    except OSError:
        pass
    connection.close()
