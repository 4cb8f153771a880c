"""MLflow's deployments client for mlportal, the target ``mlportal``. Needs MLflow 2.22 or newer, nothing of the portal.

A deployment is an endpoint of the portal, called ``<model>-<environment>``. Nothing goes live past the approval that
its environment asks for: creating and updating one ask for a promotion.
"""

import os
import time
import uuid
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from mlflow.deployments import BaseDeploymentClient, PredictionsResponse
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INTERNAL_ERROR,
    INVALID_PARAMETER_VALUE,
    INVALID_STATE,
    PERMISSION_DENIED,
    RESOURCE_ALREADY_EXISTS,
    RESOURCE_DOES_NOT_EXIST,
    TEMPORARILY_UNAVAILABLE,
    UNAUTHENTICATED,
)

TIMEOUT = 60
PAUSE = 2.0  # between two looks at a request that is waited for
OPEN = "pending"
CODES = {
    400: INVALID_PARAMETER_VALUE, 401: UNAUTHENTICATED, 403: PERMISSION_DENIED, 404: RESOURCE_DOES_NOT_EXIST,
    409: INVALID_STATE, 422: INVALID_PARAMETER_VALUE, 429: TEMPORARILY_UNAVAILABLE,
    503: TEMPORARILY_UNAVAILABLE,
}  # fmt: skip
ASKED = ("environment", "reason", "wait")
WHOLE = ("log_days", "requests_per_minute", "caller_requests_per_minute")
REASON = "Asked for by MLflow's deployments client."


def target_help() -> str:
    """Say how the target is named and what it takes."""
    return (
        "mlportal://HOST[:PORT]/PROJECT (https), mlportal+http://HOST[:PORT]/PROJECT, or mlportal with the portal's\n"
        "address in MLFLOW_TRACKING_URI (https://HOST/p/PROJECT). The token is read from MLFLOW_TRACKING_TOKEN and\n"
        "needs the scopes read, register, deploy and predict, for what you do.\n\n"
        "A deployment is an endpoint and is called <model>-<environment>; models are models:/NAME/VERSION or\n"
        "models:/NAME@ALIAS. create and update ask for a promotion; the approval of the environment makes it live.\n"
        "Settings (-C): reason, environment, wait (seconds until it is decided); for update also log_mode, logging,\n"
        "on_log_failure, sample_share, log_days, requests_per_minute, caller_requests_per_minute. delete switches the\n"
        "endpoint off and takes a reason."
    )


def run_local(target: str, name: str, model_uri: str, flavor: str | None = None, config: Any = None) -> None:
    """Refuse: the portal runs elsewhere."""
    del target, name, model_uri, flavor, config
    raise NotImplementedError(
        "mlportal runs no model here; `mlportal model export` makes a container or an edge bundle."
    )


class PortalDeploymentClient(BaseDeploymentClient):
    """One project of one portal, as one token sees it.

    Parameters
    ----------
    target_uri : str
        As `target_help` says.
    """

    def __init__(self, target_uri: str) -> None:
        super().__init__(target_uri)
        self.root, self.project = _place(target_uri)
        token = os.environ.get("MLFLOW_TRACKING_TOKEN", "")
        self.session = requests.Session()
        self.session.headers.update({"Authorization": f"Bearer {token}"} if token else {})

    # --- deployments -------------------------------------------------------------------------------

    def create_deployment(
        self, name: str, model_uri: str, flavor: str | None = None, config: Any = None, endpoint: str | None = None
    ) -> dict[str, Any]:
        """Ask that a version goes live where nothing does yet; returns the request that was made."""
        del endpoint
        found = self._found(name)
        if found is not None and found["version"] is not None:
            said = f"{name} answers with version {found['version']}. Update it to ask for another one."
            raise MlflowException(said, error_code=RESOURCE_ALREADY_EXISTS)
        return self._promote(name, model_uri, flavor, dict(config or {}))

    def update_deployment(
        self,
        name: str,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: Any = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Change settings of an endpoint, ask for another version, or both."""
        del endpoint
        given = dict(config or {})
        settings = {key: _typed(key, value) for key, value in given.items() if key not in ASKED}
        if settings:
            self._call("PATCH", f"endpoints/{_part(name)}/", settings)
        if model_uri:
            return self._promote(name, model_uri, flavor, given)
        return {**self.get_deployment(name), "flavor": flavor}

    def delete_deployment(self, name: str, config: Any = None, endpoint: str | None = None) -> None:
        """Switch an endpoint off; its history stays. One that is off, or not there, is left as it is."""
        del endpoint
        found = self._found(name)
        if found is not None and found["enabled"]:
            reason = dict(config or {}).get("reason", REASON)
            self._call("POST", f"endpoints/{_part(name)}/disable/", {"reason": reason})

    def list_deployments(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        """Return every endpoint of the project with what answers there."""
        del endpoint
        rows, path = [], "endpoints/"
        while path:
            answer = self._call("GET", path)
            rows += answer["results"]
            path = (answer.get("next") or "").partition(f"/projects/{quote(self.project, safe='')}/")[2]
        return rows

    def get_deployment(self, name: str, endpoint: str | None = None) -> dict[str, Any]:
        """Return one endpoint: model, version, settings."""
        del endpoint
        return self._call("GET", f"endpoints/{_part(name)}/")

    def predict(
        self, deployment_name: str | None = None, inputs: Any = None, endpoint: str | None = None
    ) -> PredictionsResponse:
        """Ask an endpoint.

        Returns
        -------
        PredictionsResponse
            ``predictions``, and in the same order ``probabilities`` (None for numbers) and ``prediction_ids``, by which
            labels are sent later.
        """
        name = deployment_name or endpoint
        if not name:
            raise MlflowException("Which deployment?", error_code=INVALID_PARAMETER_VALUE)
        answer = self._call("POST", f"endpoints/{_part(name)}/predict/", {"records": _records(inputs)})
        rows = answer["predictions"]
        return PredictionsResponse(
            predictions=[row["prediction"] for row in rows],
            probabilities=[row.get("probability") for row in rows],
            prediction_ids=[row["prediction_id"] for row in rows],
            model=answer["model"],
            version=answer["version"],
        )

    # --- promotions --------------------------------------------------------------------------------

    def _promote(self, name: str, model_uri: str, flavor: str | None, config: dict[str, Any]) -> dict[str, Any]:
        model, version = self._version(model_uri)
        environment = config.get("environment") or name.removeprefix(f"{model}-")
        if name != f"{model}-{environment}":
            said = f"{name!r} is no endpoint of {model}: those are called {model}-<environment>."
            raise MlflowException(said, error_code=INVALID_PARAMETER_VALUE)
        body = {
            "model": model, "version": version, "environment": environment, "reason": config.get("reason", REASON),
        }  # fmt: skip
        made = self._decided(self._call("POST", "promotions/", body), float(config.get("wait", 0)))
        page = f"{self.root}/p/{quote(self.project, safe='')}/promotions/{made['id']}/"
        return {
            "name": name, "flavor": flavor or "python_function", "model": model, "version": version,
            "promotion": made["id"], "state": made["state"], "page": page,
        }  # fmt: skip

    def _decided(self, made: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Wait for the decision, at most so long; a request that ended otherwise than approved is an error."""
        until = time.monotonic() + seconds
        while made["state"] == OPEN and time.monotonic() < until:
            time.sleep(PAUSE)
            made = self._call("GET", f"promotions/{made['id']}/")
        if made["state"] not in (OPEN, "approved"):
            raise MlflowException(f"Promotion request {made['id']} ended: {made['state']}. {made['closing_note']}")
        return made

    def _version(self, model_uri: str) -> tuple[str, int]:
        place = model_uri.removeprefix("models:/") if model_uri.startswith("models:/") else ""
        name, at, alias = place.partition("@")
        if at and name and alias:
            rows = self._call("GET", f"models/{_part(name)}/aliases/")["results"]
            found = next((row["version"] for row in rows if row["name"] == alias), None)
            if found is None:
                raise MlflowException(f"{name} has no alias {alias!r}.", error_code=RESOURCE_DOES_NOT_EXIST)
            return name, int(found)
        name, _slash, number = place.rpartition("/")
        if not name or not number.isdecimal():
            said = f"{model_uri!r} is not models:/NAME/VERSION or models:/NAME@ALIAS; register the model first."
            raise MlflowException(said, error_code=INVALID_PARAMETER_VALUE)
        return name, int(number)

    # --- the wire ----------------------------------------------------------------------------------

    def _found(self, name: str) -> dict[str, Any] | None:
        try:
            return self.get_deployment(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None

    def _call(self, verb: str, path: str, body: Any = None) -> Any:
        address = f"{self.root}/api/v1/projects/{quote(self.project, safe='')}/{path}"
        headers = {"Idempotency-Key": str(uuid.uuid4())} if verb == "POST" else {}
        try:
            answer = self.session.request(verb, address, json=body, headers=headers, timeout=TIMEOUT)
        except requests.RequestException as error:
            raise MlflowException(
                f"{self.root} does not answer: {error}", error_code=TEMPORARILY_UNAVAILABLE
            ) from error
        if not answer.ok:
            raise MlflowException(_said(answer), error_code=CODES.get(answer.status_code, INTERNAL_ERROR))
        return answer.json()


def _place(target_uri: str) -> tuple[str, str]:
    """Return the portal's address and the project that a target names."""
    given = urlsplit(target_uri)
    if not given.netloc:
        given = urlsplit(os.environ.get("MLFLOW_TRACKING_URI", ""))
    if not given.netloc:
        raise MlflowException("Which portal? " + target_help(), error_code=INVALID_PARAMETER_VALUE)
    project = given.path.strip("/").removeprefix("p/") or os.environ.get("MLFLOW_WORKSPACE", "")
    if not project or "/" in project:
        said = f"{target_uri!r} names no project: mlportal://HOST/PROJECT."
        raise MlflowException(said, error_code=INVALID_PARAMETER_VALUE)
    scheme = "http" if given.scheme in ("http", "mlportal+http") else "https"
    return f"{scheme}://{given.netloc}", project


def _part(name: str) -> str:
    return quote(name, safe="")


def _typed(key: str, value: Any) -> Any:
    """Read numbers from the command line, which knows texts only."""
    try:
        if key in WHOLE:
            return int(value)
        return float(value) if key == "sample_share" else value
    except (TypeError, ValueError) as error:
        raise MlflowException(f"{key} must be a number.", error_code=INVALID_PARAMETER_VALUE) from error


def _records(inputs: Any) -> list[dict[str, Any]]:
    """Return rows by column name from a frame or from one of the bodies that MLflow's servers take."""
    import pandas as pd

    if isinstance(inputs, dict):
        if "dataframe_split" in inputs:
            split = inputs["dataframe_split"]
            inputs = pd.DataFrame(split["data"], columns=split["columns"])
        else:
            held = next((inputs[key] for key in ("dataframe_records", "instances", "inputs") if key in inputs), inputs)
            inputs = held if isinstance(held, list) else pd.DataFrame(held)
    if isinstance(inputs, pd.DataFrame):
        inputs = inputs.astype(object).where(inputs.notna(), None).to_dict(orient="records")
    if not isinstance(inputs, list) or not all(isinstance(row, dict) for row in inputs):
        said = "Give a DataFrame, dataframe_split, or rows by the names of the columns."
        raise MlflowException(said, error_code=INVALID_PARAMETER_VALUE)
    return [{name: _plain(value) for name, value in row.items()} for row in inputs]


def _plain(value: Any) -> Any:
    """Return numpy's and pandas' values as JSON has them."""
    if hasattr(value, "item"):
        return value.item()
    return value.isoformat() if hasattr(value, "isoformat") else value


def _said(answer: requests.Response) -> str:
    """Return what the portal says is wrong, with the place."""
    try:
        problem = answer.json()
    except ValueError:
        return f"The portal answered {answer.status_code}."
    said = problem.get("detail") or problem.get("message") or f"The portal answered {answer.status_code}."
    place = [f"{key} {problem[key]!r}" for key in ("field", "row", "column") if problem.get(key) not in (None, "")]
    return f"{said} ({', '.join(place)})" if place else str(said)
