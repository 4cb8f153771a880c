"""A store that speaks S3 on this machine and checks each signature, started for a test."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

REGION = "eu-west-1"


@dataclass(frozen=True)
class Store:
    """The running store, and who may read and write there."""

    endpoint: str
    access_key: str
    secret: str

    def client(self) -> Any:
        """A client of Amazon's own library."""
        return boto3.client(
            "s3", endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret,
        )  # fmt: skip

    @property
    def facts(self) -> dict[str, str]:
        """What a connection of the portal is told."""
        return {"endpoint": self.endpoint, "region": REGION, "access_key": self.access_key}


@contextmanager
def store() -> Iterator[Store]:
    """Start it with one user who may do everything; from then on every request is checked."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        _post(f"{endpoint}/moto-api/reset")
        _post(f"{endpoint}/moto-api/reset-auth", b"inf")
        nobody = {"aws_access_key_id": "none", "aws_secret_access_key": "none", "region_name": REGION}
        people = boto3.client("iam", endpoint_url=endpoint, **nobody)
        people.create_user(UserName="portal")
        everything = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}
        people.put_user_policy(UserName="portal", PolicyName="all", PolicyDocument=json.dumps(everything))
        key = people.create_access_key(UserName="portal")["AccessKey"]
        _post(f"{endpoint}/moto-api/reset-auth", b"0")
        yield Store(endpoint, key["AccessKeyId"], key["SecretAccessKey"])
    finally:
        server.stop()


def _post(url: str, body: bytes = b"") -> None:
    request = urllib.request.Request(url, data=body, method="POST", headers={"Content-Type": "text/plain"})
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
