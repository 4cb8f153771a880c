"""Sign a read of one S3 object (Signature Version 4), so that it goes through the same outbound door as all else.

Source: Amazon S3 API Reference, "Authenticating Requests: Using the Authorization Header".
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True)
class Keys:
    """Who signs.

    Parameters
    ----------
    access_key, secret : str
        Pair of the store; the secret is never shown.
    region : str
        Region of the bucket.
    """

    access_key: str
    region: str
    secret: str = field(repr=False)

    def sign(self, url: str, headers: Mapping[str, str], *, at: datetime | None = None) -> dict[str, str]:
        """Headers that make a GET of ``url`` a signed one; ``Range`` is signed with it when it is there.

        Parameters
        ----------
        at : datetime
            Moment of the signature, now by default.
        """
        moment = (at or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
        parts = urlsplit(url)
        signed = {"host": parts.netloc, "x-amz-content-sha256": EMPTY_SHA256, "x-amz-date": moment}
        signed |= {"range": headers["Range"]} if "Range" in headers else {}
        names = ";".join(sorted(signed))
        query = "&".join(
            f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
            for name, value in sorted(parse_qsl(parts.query, keep_blank_values=True))
        )
        lines = "".join(f"{name}:{signed[name].strip()}\n" for name in sorted(signed))
        request = "\n".join(["GET", parts.path or "/", query, lines, names, EMPTY_SHA256])
        scope = f"{moment[:8]}/{self.region}/s3/aws4_request"
        text = "\n".join([_ALGORITHM, moment, scope, hashlib.sha256(request.encode()).hexdigest()])
        signature = hmac.new(self._key(moment[:8]), text.encode(), hashlib.sha256).hexdigest()
        credential = f"{self.access_key}/{scope}"
        return {
            "x-amz-content-sha256": EMPTY_SHA256,
            "x-amz-date": moment,
            "Authorization": f"{_ALGORITHM} Credential={credential},SignedHeaders={names},Signature={signature}",
        }

    def _key(self, day: str) -> bytes:
        key = f"AWS4{self.secret}".encode()
        for part in (day, self.region, "s3", "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return key


def object_url(endpoint: str, bucket: str, key: str) -> str:
    """Address of an object, with the bucket in the path."""
    return f"{endpoint.rstrip('/')}/{quote(bucket, safe='')}/{quote(key, safe='/-_.~')}"
