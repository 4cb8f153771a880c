"""Every protocol's bodies, read and answered without a server: a fitted model behind each shape."""

import gzip
import io
import json
import zlib

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from deployments.runtime import exact
from deployments.runtime.loading import Runtime
from deployments.serve import addresses, messages
from deployments.serve.configuration import Configuration
from deployments.serve.live import Live
from deployments.serve.protocols import shapes, tensors
from deployments.serve.protocols.shapes import Reply
from mlportal.lib.errors import DomainError
from tests.deployments.runtime import recipes
from tests.deployments.serve.test_parts import ROW

FRAME = recipes.rows(4, seed=5)
RECORDS = recipes.records(FRAME)
JSON = {b"content-type": b"application/json"}


@pytest.fixture(scope="module")
def live() -> Live:
    train = recipes.rows(200)
    model = recipes.pipeline(LogisticRegression()).fit(train, recipes.labels(train))
    choice = exact.choose(model, recipes.SIGNATURE, recipes.columns(train.head(20)))
    runtime = Runtime(recipes.SIGNATURE, choice.backend, "", 20, 0, inline=True, shares=2)
    return Live(ROW, runtime, Configuration(database={}, spool="", pass_key=b"", locate=None, load_model=None))


def ask(live, path, body, headers=None):
    """Columns, the decoded answer and its headers."""
    shape = addresses.read(path.encode()).shape
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    question = shape.read(raw, JSON if headers is None else headers, live)
    columns = question.columns()
    answer = live.runtime.backend.predict(columns)
    ids = [f"id-{row}" for row in range(len(answer.labels))]
    content, sent = shape.answer(question, Reply(live, columns, answer, ids))
    return columns, content, dict(sent)


def fault(live, path, body, headers=None):
    with pytest.raises(DomainError) as caught:
        ask(live, path, body, headers)
    error = caught.value
    return error.status, error.code, getattr(error, "row", None), getattr(error, "column", None)


def tensors_of(frame, **extra):
    kinds = {"numeric": "FP64", "integer": "INT64", "boolean": "BOOL"}
    columns = zip(recipes.SIGNATURE.columns, recipes.columns(frame), strict=True)
    return [
        {"name": column.name, "shape": [len(frame), 1], "datatype": kinds.get(column.kind, "BYTES"), "data": values}
        for column, values in columns
    ]


WANTED = recipes.columns(FRAME)
INVOKE, V2, V1 = "/invocations", "/v2/models/churn-production/infer", "/v1/models/churn-production:predict"
SPLIT = {
    "columns": list(reversed(FRAME.columns)),
    "data": [list(reversed(list(record.values()))) for record in RECORDS],
}
LISTS = [list(record.values()) for record in RECORDS]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": SPLIT},
        {"dataframe_split": SPLIT | {"index": [9, 8, 7, 6]}, "params": {}},
        {"dataframe_records": RECORDS},
        {"instances": RECORDS},
        {"instances": LISTS},
        {"inputs": {name: list(values) for name, values in zip(FRAME.columns, WANTED, strict=True)}},
        {"inputs": {name: [[value] for value in values] for name, values in zip(FRAME.columns, WANTED, strict=True)}},
        {"inputs": LISTS},
        json.dumps({"dataframe_records": [{**RECORDS[0], "age": float("nan")}, *RECORDS[1:]]}).encode(),
    ],
)
def test_mlflow_bodies(live, body):
    columns, content, sent = ask(live, INVOKE, body)
    expected = [[None, *WANTED[0][1:]], *WANTED[1:]] if isinstance(body, bytes) else WANTED
    assert columns == expected
    assert json.loads(content) == {"predictions": live.runtime.backend.predict(columns).labels}
    assert sent[b"x-amzn-invoked-production-variant"] == sent[b"x-mlportal-variant"] == b"champion"
    assert (sent[b"x-mlportal-version"], sent[b"x-mlportal-prediction-id"]) == (b"1", b"id-0,id-1,id-2,id-3")


def test_mlflow_probabilities_csv_and_parquet(live):
    shares = live.runtime.backend.predict(WANTED).probabilities
    body = {"dataframe_records": RECORDS, "params": {"predict_method": "predict_proba"}}
    assert json.loads(ask(live, INVOKE, body)[1]) == {"predictions": shares}
    text = FRAME.assign(member=FRAME["member"].map({1.0: "true", 0.0: "false"})).to_csv(index=False).encode()
    assert ask(live, INVOKE, text, {b"content-type": b"text/csv; charset=utf-8"})[0] == WANTED
    table = FRAME.assign(member=FRAME["member"].astype("boolean"), note="left out")
    buffer = io.BytesIO()
    table.to_parquet(buffer)
    parquet = {b"content-type": b"application/vnd.apache.parquet"}
    assert ask(live, INVOKE, buffer.getvalue(), parquet)[0] == WANTED
    assert fault(live, INVOKE, b"PAR1", parquet)[:2] == (400, "bad_parquet")
    assert fault(live, INVOKE, b"", {})[:2] == (415, "unsupported_type")
    long = io.BytesIO()
    table.assign(city="x" * 50_000).to_parquet(long)
    assert fault(live, INVOKE, long.getvalue(), parquet)[0] == 400
    assert fault(live, INVOKE, "age\nölk\n".encode("latin-1"), {b"content-type": b"text/csv"})[:2] == (400, "bad_csv")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{", (400, "bad_json", None, None)),
        (b'{"instances": [Infinity]}', (400, "bad_json", None, None)),
        (b"[" * 5000, (400, "bad_json", None, None)),
        ({"rows": []}, (400, "bad_frame", None, None)),
        ({"instances": [], "inputs": []}, (400, "bad_frame", None, None)),
        ({"dataframe_split": {"columns": ["age"]}}, (400, "bad_frame", None, None)),
        ({"dataframe_split": {"columns": ["age"], "data": [[1, 2]]}}, (422, "row_length", 0, None)),
        ({"dataframe_split": {"columns": ["age"], "data": [[1]]}}, (422, "column_missing", None, "visits")),
        ({"dataframe_split": {"columns": ["age", "age"], "data": [[1, 1]]}}, (422, "column_twice", None, "age")),
        ({"dataframe_records": [RECORDS[0], {**RECORDS[1], "age": "x"}]}, (422, "value_invalid", 1, "age")),
        ({"instances": []}, (422, "no_rows", None, None)),
        ({"instances": 3}, (422, "records_not_a_list", None, None)),
        ({"instances": [[1]] * 10_001}, (422, "too_many_rows", None, None)),
        ({"inputs": {"age": [1, 2], "visits": [1]}}, (422, "lengths_differ", None, "visits")),
        ({"instances": RECORDS, "params": {"temperature": 1}}, (400, "bad_params", None, None)),
    ],
)
def test_mlflow_refusals(live, body, expected):
    assert fault(live, INVOKE, body) == expected


def test_v2_json_both_ways(live):
    body = {
        "id": "42",
        "inputs": tensors_of(FRAME),
        "outputs": [{"name": "predict_proba", "parameters": {"binary_data": False}}, {"name": "prediction_id"}],
    }
    columns, content, sent = ask(live, V2, body, {})
    expected = live.runtime.backend.predict(WANTED)
    assert columns == WANTED
    assert json.loads(content) == {
        "model_name": "churn-production",
        "model_version": "1",
        "id": "42",
        "parameters": {"prediction_id": "id-0", "variant": "champion"},
        "outputs": [
            {
                "name": "predict_proba", "shape": [4, 2], "datatype": "FP64",
                "data": [share for row in expected.probabilities for share in row],
            },
            {"name": "prediction_id", "shape": [4, 1], "datatype": "BYTES", "data": ["id-0", "id-1", "id-2", "id-3"]},
        ],
    }  # fmt: skip
    assert b"inference-header-content-length" not in sent


def test_v2_flat_nested_and_one_tensor(live):
    flat = [{**tensor, "shape": [4]} for tensor in tensors_of(FRAME)]
    nested = [{**tensor, "data": [[value] for value in tensor["data"]]} for tensor in tensors_of(FRAME)]
    numbers = [{**tensor, "datatype": "FP64"} for tensor in tensors_of(FRAME)]
    ones = [
        {**t, "data": [v if v is None else int(v) for v in t["data"]]} if t["name"] == "member" else t for t in flat
    ]
    for inputs in (flat, nested, numbers, ones):
        assert ask(live, V2, {"inputs": inputs}, {})[0] == WANTED
    whole = {"name": "input-0", "shape": [4, 5], "datatype": "BYTES"}
    assert ask(live, V2, {"inputs": [{**whole, "data": LISTS}]}, {})[0] == WANTED
    assert ask(live, V2, {"inputs": [{**whole, "data": [value for row in LISTS for value in row]}]}, {})[0] == WANTED


def binary(frame):
    inputs, raw = [], b""
    for tensor in tensors_of(frame):
        values = tensor.pop("data")
        if tensor["datatype"] == "BOOL":
            tensor["datatype"], values = "FP32", [np.nan if value is None else float(value) for value in values]
        if tensor["datatype"] == "FP64":
            values = [np.nan if value is None else value for value in values]
        part = tensors.packed(values, tensor["datatype"])
        inputs.append({**tensor, "parameters": {"binary_data_size": len(part)}})
        raw += part
    return inputs, raw


def test_v2_binary_both_ways(live):
    frame = FRAME.assign(city=FRAME["city"].fillna("oslo"))
    inputs, raw = binary(frame)
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    columns, content, sent = ask(live, V2, head + raw, {b"inference-header-content-length": str(len(head)).encode()})
    assert columns == recipes.columns(frame)
    length = int(sent[b"inference-header-content-length"])
    document, tail = json.loads(content[:length]), content[length:]
    sizes = [tensor["parameters"]["binary_data_size"] for tensor in document["outputs"]]
    assert [tensor["name"] for tensor in document["outputs"]] == ["predict", "predict_proba"]
    assert (len(tail), sizes[1]) == (sum(sizes), 4 * 2 * 8)
    expected = live.runtime.backend.predict(columns)
    assert np.frombuffer(tail[sizes[0] :]).reshape(4, 2).tolist() == expected.probabilities
    assert tail[:4] == len(expected.labels[0]).to_bytes(4, "little")
    short = {b"inference-header-content-length": str(len(head)).encode()}
    assert fault(live, V2, head + raw[:-1], short)[1] == "bad_tensor"
    assert fault(live, V2, head + raw + b"x", short)[1] == "bad_tensor"
    assert fault(live, V2, head, {b"inference-header-content-length": b"999999"})[0] == 400


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"shape": [3, 1]}, "bad_tensor"),
        ({"shape": [-1]}, "bad_tensor"),
        ({"shape": [4, 2]}, "bad_tensor"),
        ({"shape": [10**12]}, "too_many_rows"),
        ({"shape": [0]}, "no_rows"),
        ({"datatype": "COMPLEX"}, "bad_tensor"),
        ({"data": None}, "bad_tensor"),
        ({"data": [[1], 2, 3, 4]}, "bad_tensor"),
        ({"name": 3}, "bad_tensor"),
        ({"name": "wage"}, "column_missing"),
        ({"parameters": {"binary_data_size": -1}}, "bad_tensor"),
    ],
)
def test_v2_refusals(live, change, code):
    inputs = tensors_of(FRAME)
    assert fault(live, V2, {"inputs": [{**inputs[0], **change}, *inputs[1:]]}, {})[1] == code


def test_v2_names_row_and_column(live):
    inputs = tensors_of(FRAME)
    inputs[1]["data"][2] = 1.5
    assert fault(live, V2, {"inputs": inputs}, {}) == (422, "value_invalid", 2, "visits")
    good = tensors_of(FRAME)
    for outputs in ([{"name": "x"}], [{"name": "predict"}] * 2, ["predict"]):
        assert fault(live, V2, {"inputs": good, "outputs": outputs}, {})[0] == 400
    assert fault(live, V2, {"inputs": good, "id": 3}, {})[0] == 400
    target = {b"x-amzn-sagemaker-target-variant": b"challenger"}
    assert fault(live, V2, {"inputs": good}, target)[1] == "variant_unknown"


def test_kserve_v1(live):
    columns, content, _ = ask(live, V1, {"instances": RECORDS}, {})
    assert json.loads(content) == {"predictions": live.runtime.backend.predict(columns).labels}
    shares = {"instances": LISTS, "parameters": {"predict_method": "predict_proba"}}
    assert json.loads(ask(live, V1, shares, {})[1]) == {
        "predictions": live.runtime.backend.predict(WANTED).probabilities
    }
    assert fault(live, V1, {"inputs": []}, {})[:2] == (400, "bad_frame")
    assert fault(live, V1, {"instances": [{**RECORDS[0], "age": "x"}]}, {}) == (422, "value_invalid", 0, "age")


def test_refusals_in_each_protocols_words(live):
    with pytest.raises(DomainError) as caught:
        ask(live, V2, {"inputs": []}, {})
    said = {path: addresses.read(path.encode()).shape.refusal(caught.value, "r")[0] for path in (V2, INVOKE, V1)}
    message = "inputs must be a list of tensors."
    assert said[V2] == said[V1] == {"error": message, "code": "bad_tensor", "field": "inputs", "request_id": "r"}
    assert (said[INVOKE]["error_code"], said[INVOKE]["message"]) == ("BAD_REQUEST", message)


def test_ids_of_the_caller():
    header = {b"x-amzn-sagemaker-inference-id": b"order-1"}
    assert shapes.inference_ids(header, 1) == ["order-1"]
    assert shapes.inference_ids(header, 2) == ["order-1:0", "order-1:1"]
    assert shapes.inference_ids({}, 1) is None
    for bad in (b"", b"x" * 200, "ö".encode(), b"a\tb"):
        with pytest.raises(DomainError):
            shapes.inference_ids({b"x-mlportal-inference-id": bad}, 1)


def test_packed_bodies():
    def unpacked(body, encoding, limit=100):
        try:
            return messages.unpacked(body, {b"content-encoding": encoding}, limit_bytes=limit)
        except DomainError as error:
            return error.code

    assert unpacked(gzip.compress(b"abc"), b"gzip") == b"abc"
    assert unpacked(zlib.compress(b"abc"), b"deflate") == b"abc"
    assert unpacked(b"abc", b"identity") == b"abc"
    assert unpacked(gzip.compress(b"x" * 101), b"gzip") == "too_large"
    assert unpacked(gzip.compress(b"abc")[:-3], b"gzip") == "bad_encoding"
    assert unpacked(b"abc", b"gzip") == "bad_encoding"
    assert unpacked(b"abc", b"br") == "unsupported_type"


@pytest.mark.parametrize(
    ("path", "act", "project", "endpoint"),
    [
        ("/p/churn/endpoints/a/predict", "predict", "churn", "a"),
        ("/endpoints/a/invocations", "predict", "", "a"),
        ("/p/churn/invocations", "predict", "churn", ""),
        ("/p/churn/v2/models/a/versions/3/infer", "predict", "churn", "a"),
        ("/v1/models/a%20b:predict", "predict", "", "a b"),
        ("/v2/models/a/config", "model_config", "", "a"),
        ("/v2/models/a/versions/3/ready", "model_ready", "", "a"),
        ("/v2/repository/index", "index", "", ""),
        ("/v2/models/a/nothing", "", "", ""),
        ("/v2/repository/models/a/load", "", "", ""),
        ("/v1/models/a:explain", "", "", ""),
        ("/", "alive", "", ""),
        ("/p/churn", "", "", ""),
        ("/admin/", "", "", ""),
        ("/v1/models/" + "a" * 1024 + ":predict", "", "", ""),
    ],
)
def test_addresses(path, act, project, endpoint):
    found = addresses.read(path.encode())
    assert (found.act, found.project if act else "", found.endpoint if act else "") == (act, project, endpoint)
