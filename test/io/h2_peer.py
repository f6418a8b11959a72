"""An HTTP/2 server over TLS for test_http_client_tls.c, which does on purpose what real ones
do in bad moments. The path of a request says what:

  /ok             200, the body names connection and stream: "connection 1 stream 3"
  /hold           no answer
  /stream         200, one line, and then nothing more
  /drip           200, and a line every 10 ms
  /ping           200, one line, and then a PING every 10 ms
  /freeze         no answer, and the connection is neither read nor written any more
  /rst            RST_STREAM instead of an answer
  /rst-body       RST_STREAM within the body
  /goaway         GOAWAY that disowns the stream, and the end of the connection
  /goaway-served  an answer, and a GOAWAY behind it; the connection stays open
  /abort          TCP reset

Makes a CA and a certificate of its own in DIR (ca.pem), prints "port N" when it listens on
127.0.0.1, and ends when its standard input does.
"""

import argparse
import asyncio
import itertools
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

PERIOD_S = 0.01


def make_certificates(folder: Path, san: str) -> None:
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    new += ["-nodes", "-days", "2"]
    for args in (
        ["-subj", "/CN=test CA", "-keyout", "ca.key", "-out", "ca.pem"],
        ["-subj", "/CN=peer", "-keyout", "peer.key", "-out", "peer.pem"]
        + ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", f"subjectAltName={san}"],
    ):
        subprocess.run(new + args, cwd=folder, check=True, stderr=subprocess.DEVNULL)


class Connection(asyncio.Protocol):
    numbers = itertools.count(1)

    def __init__(self) -> None:
        self.number = next(self.numbers)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.transport: asyncio.Transport | None = None
        self.frozen = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.h2.initiate_connection()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                path = dict(event.headers)[b":path"].decode().strip("/").replace("-", "_")
                getattr(self, f"do_{path}")(event.stream_id)
        self.flush()

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data and self.transport and not self.frozen:
            self.transport.write(data)

    def head(self, stream: int) -> None:
        self.h2.send_headers(stream, [(":status", "200"), ("content-type", "text/plain")])

    def line(self, stream: int) -> None:
        self.h2.send_data(stream, f"connection {self.number} stream {stream}\n".encode())

    def do_ok(self, stream: int) -> None:
        self.head(stream)
        self.line(stream)
        self.h2.end_stream(stream)

    def do_hold(self, stream: int) -> None:
        pass

    def do_stream(self, stream: int) -> None:
        self.head(stream)
        self.line(stream)

    def do_drip(self, stream: int) -> None:
        self.head(stream)
        self.again(lambda: self.line(stream))

    def do_ping(self, stream: int) -> None:
        self.do_stream(stream)
        self.again(lambda: self.h2.ping(b"12345678"))

    def again(self, action: Callable[[], None]) -> None:
        if self.transport is None:
            return
        try:
            action()
            self.flush()
        except h2.exceptions.ProtocolError:
            return  # the stream was closed by the client
        asyncio.get_running_loop().call_later(PERIOD_S, self.again, action)

    def do_freeze(self, stream: int) -> None:
        assert self.transport
        self.frozen = True
        self.transport.pause_reading()

    def do_rst(self, stream: int) -> None:
        self.h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)

    def do_rst_body(self, stream: int) -> None:
        self.do_stream(stream)
        self.do_rst(stream)

    def do_goaway(self, stream: int) -> None:
        assert self.transport
        self.h2.close_connection(last_stream_id=0)
        self.flush()
        self.transport.close()

    def do_goaway_served(self, stream: int) -> None:
        self.do_ok(stream)
        self.h2.close_connection(last_stream_id=stream)

    def do_abort(self, stream: int) -> None:
        assert self.transport
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


async def serve(folder: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "peer.pem", folder / "peer.key")
    context.set_alpn_protocols(["h2"])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, ssl=context)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--san", default="IP:127.0.0.1", help="whom the certificate is for")
    args = parser.parse_args()
    make_certificates(args.folder, args.san)
    asyncio.run(serve(args.folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
