"""Ask one address over a few connections for some seconds; print what came back as JSON.

A process of its own, so that its work is not counted as the server's.
"""

import asyncio
import json
import sys
import time


async def connection(port: int, request: bytes, until: float, latencies: list[float], faults: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < until:
        start = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        latencies.append(time.perf_counter() - start)
        if b" 200 " not in head[:16]:
            faults.append(head[:16])
    writer.close()


async def main(port: int, seconds: float, connections: int, request: bytes) -> None:
    latencies: list[float] = []
    faults: list[bytes] = []
    start = time.perf_counter()
    until = start + seconds
    await asyncio.gather(*(connection(port, request, until, latencies, faults) for _ in range(connections)))
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
