"""Ask one address over a few connections for some seconds; print what came back as JSON.

A process of its own, so that its work is not counted as the server's; lean, so that it is not what is measured: with
two cores it shares caches and the kernel's time with the server it asks. It is the same for every server.
"""

import asyncio
import json
import re
import sys
import time

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
END = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection: asks again as soon as it is answered."""

    def __init__(self, request: bytes, until: float, latencies: list[float], faults: list[bytes]) -> None:
        self.request, self.until, self.latencies, self.faults = request, until, latencies, faults
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.WriteTransport = transport  # type: ignore[assignment]
        self.ask()

    def ask(self) -> None:
        self.start = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        held = self.held + data if self.held else data
        end = held.find(END)
        length = LENGTH.search(held, 0, end) if end >= 0 else None
        if length is None or len(held) < end + len(END) + int(length[1]):
            self.held = held
            return
        self.held = b""
        now = time.perf_counter()
        self.latencies.append(now - self.start)
        if held[9:12] != b"200":
            self.faults.append(held[:16])
        if now < self.until:
            self.ask()
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.held or time.perf_counter() < self.until:
            self.faults.append(b"connection lost")
        self.over.set_result(None)


async def main(port: int, seconds: float, connections: int, request: bytes) -> None:
    latencies: list[float] = []
    faults: list[bytes] = []
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    opened = [
        await loop.create_connection(lambda: Connection(request, start + seconds, latencies, faults), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(connection.over for _, connection in opened))
    passed = time.perf_counter() - start
    latencies.sort()
    print(
        json.dumps(
            {
                "requests": len(latencies), "faults": len(faults), "rps": len(latencies) / passed,
                "p50_ms": 1000 * latencies[len(latencies) // 2], "p99_ms": 1000 * latencies[int(len(latencies) * 0.99)],
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.stdin.buffer.read()))
