"""Run by MLflow's interpreter: its deployments client with the portal's plugin, against the portal.

Reads {"target", "token", "endpoint", "records"} from standard input, prints what the client got.
"""

import json
import os
import sys

import numpy as np
import pandas as pd

given = json.load(sys.stdin)
os.environ["MLFLOW_TRACKING_TOKEN"] = given["token"]

from mlflow.deployments import get_deploy_client  # noqa: E402 - it reads the token's variable
from mlflow.exceptions import MlflowException  # noqa: E402

client = get_deploy_client(given["target"])
name = given["endpoint"]
frame = pd.DataFrame(given["records"])


def refused(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except MlflowException as error:
        return [error.error_code, error.message]
    return None


answers = {
    "client": type(client).__name__,
    "names": [row["name"] for row in client.list_deployments()],
    "one": client.get_deployment(name),
    "frame": client.predict(name, frame).get_predictions()[0].tolist(),
    "body": client.predict(endpoint=name, inputs={"dataframe_records": given["records"]}),
    "gap": len(client.predict(name, frame.assign(age=[np.nan, *frame["age"].tolist()[1:]]))["predictions"]),
    "wrong": refused(client.predict, name, frame.assign(age="x")),
    "twice": refused(client.create_deployment, name, "models:/churn/1"),
    "elsewhere": refused(client.create_deployment, "other-staging", "models:/churn/1"),
    "file": refused(client.update_deployment, name, "runs:/1/model"),
    "asked": client.update_deployment(name, "models:/churn/2", config={"reason": "Better on the new quarter"}),
    "alias": refused(client.update_deployment, name, "models:/churn@best"),
    "set": client.update_deployment(name, config={"log_days": "7"})["log_days"],
}
client.delete_deployment(name, config={"reason": "The pilot is over now"})
client.delete_deployment(name)
client.delete_deployment("nothing-here")
answers["off"] = client.get_deployment(name)["enabled"]
print(json.dumps(answers))
