"""Run by KServe's interpreter: its inference client, unmodified, against a serving process.

Reads {"host", "token", "endpoint", "tensors", "records", "manifests"} from standard input, prints what the client got
and how many manifests fit the types of Kubernetes and KServe.
"""

import asyncio
import json
import re
import sys

import kserve
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kubernetes import client

given = json.load(sys.stdin)
BASE, NAME = f"http://{given['host']}", given["endpoint"]
HEADERS = {"Authorization": f"Bearer {given['token']}"}
TYPES = {"FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_, "BYTES": np.object_}


def request(*, binary: bool) -> InferRequest:
    inputs = []
    for tensor in given["tensors"]:
        made = InferInput(tensor["name"], tensor["shape"], tensor["datatype"])
        values = np.array(tensor["data"], dtype=TYPES[tensor["datatype"]]).reshape(tensor["shape"])
        made.set_data_from_numpy(values, binary_data=binary)
        inputs.append(made)
    return InferRequest(model_name=NAME, infer_inputs=inputs)


def fit(value: object, kind: str) -> None:
    """End this program where a manifest does not fit a type of Kubernetes or of KServe."""
    if inner := re.fullmatch(r"list\[(.*)\]", kind, re.IGNORECASE):
        for row in value:
            fit(row, inner[1])
    elif hasattr(client, kind):
        getattr(client, kind).model_validate(value)
    elif hasattr(kserve, kind):
        known = getattr(kserve, kind)
        names = {name: held for held, name in known.attribute_map.items()}
        for name, each in value.items():
            fit(each, known.openapi_types[names[name]])


async def main() -> dict:
    v2 = InferenceRESTClient(RESTConfig(protocol="v2"))
    v1 = InferenceRESTClient(RESTConfig(protocol="v1"))
    plain = await v2.infer(BASE, request(binary=False), model_name=NAME, headers=dict(HEADERS))
    packed = await v2.infer(BASE, request(binary=True), model_name=NAME, headers=dict(HEADERS))
    return {
        "live": [await v2.is_server_live(BASE), await v1.is_server_live(BASE)],
        "ready": [
            await v2.is_server_ready(BASE),
            await v2.is_model_ready(BASE, NAME, HEADERS),
            await v1.is_model_ready(BASE, NAME, HEADERS),
        ],
        "json": {output.name: output.as_numpy().tolist() for output in plain.outputs},
        "binary": {output.name: output.as_numpy().tolist() for output in packed.outputs},
        "v1": await v1.infer(BASE, {"instances": given["records"]}, model_name=NAME, headers=HEADERS),
        "manifests": len([fit(one, kind) for kind, one in given["manifests"]]),
    }


print(json.dumps(asyncio.run(main())))
