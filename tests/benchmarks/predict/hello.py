"""The floor: an ASGI application that reads the body and answers a constant."""

import sys

import uvicorn

BODY = b'{"predictions":[]}'


async def application(scope, receive, send):
    if scope["type"] == "http":
        while (await receive()).get("more_body"):
            continue
        headers = [(b"content-type", b"application/json"), (b"content-length", b"18")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": BODY})


if __name__ == "__main__":
    uvicorn.run(
        application, port=int(sys.argv[1]), loop="uvloop", http="httptools", lifespan="off", access_log=False,
        log_level="error",
    )  # fmt: skip
