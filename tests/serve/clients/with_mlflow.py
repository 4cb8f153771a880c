"""Run by MLflow's interpreter: its scoring client and its deployments client, unmodified, against a serving process.

Reads {"host", "token", "endpoint", "records"} from standard input, prints what the clients got.
"""

import json
import os
import sys

import numpy as np
import pandas as pd

given = json.load(sys.stdin)
os.environ["MLFLOW_TRACKING_TOKEN"] = given["token"]

from mlflow.deployments import get_deploy_client  # noqa: E402 - it reads the token's variable
from mlflow.pyfunc.scoring_server.client import ScoringServerClient  # noqa: E402

host, port = given["host"].split(":")
frame = pd.DataFrame(given["records"])
sole = ScoringServerClient(f"mlportal:{given['token']}@{host}", port)
sole.wait_server_ready(timeout=5)
named = ScoringServerClient(f"mlportal:{given['token']}@{host}", f"{port}/p/churn/endpoints/{given['endpoint']}")
with_gap = frame.assign(age=[np.nan, *frame["age"].tolist()[1:]])
deployments = get_deploy_client(f"http://{host}:{port}/p/churn")
unbound = get_deploy_client(f"http://{host}:{port}")
answers = {
    "version": sole.get_version(),
    "sole": sole.invoke(frame)["predictions"],
    "named": named.invoke(with_gap, params={"predict_method": "predict_proba"})["predictions"],
    "names": [endpoint.name for endpoint in deployments.list_endpoints()],
    "endpoint": unbound.get_endpoint(given["endpoint"]).model.provider,
    "predicted": unbound.predict(endpoint=given["endpoint"], inputs={"dataframe_records": given["records"]}),
}
try:
    sole.invoke(frame.assign(age="x"))
except Exception as error:  # noqa: BLE001 - the client raises the bare class
    answers["refused"] = str(error)
print(json.dumps(answers))
