"""Searches of runs at the edges: ties, texts that look like something else, bodies of wrong types."""

import pytest
from wire import INVALID, refused


def case_ties_are_newest_first_then_by_id(client, experiment):
    ids = [client.create_run(experiment, start_time=5).info.run_id for _ in range(4)]
    newest = client.create_run(experiment, start_time=6).info.run_id
    assert [r.info.run_id for r in client.search_runs([experiment])] == [newest, *sorted(ids)]


def case_wildcards_and_backslashes(client, experiment):
    for value in ("a%b", "a_b", "axb", "a\\b", "A%B"):
        client.log_param(client.create_run(experiment).info.run_id, "p", value)

    def values(text):
        return sorted(r.data.params["p"] for r in client.search_runs([experiment], text))

    assert values("params.p LIKE 'a_b'") == ["a%b", "a\\b", "a_b", "axb"]
    assert values("params.p = 'a%b'") == ["a%b"]
    assert values("params.p = 'a\\b'") == ["a\\b"]
    assert values("params.p ILIKE 'A%b'") == ["A%B", "a%b", "a\\b", "a_b", "axb"]


@pytest.mark.parametrize(
    "value", ["'' OR 1=1", "ünï 模型", "🦊", "a;b", "--", "/* */", "%s", "{0}", "a\nb", "AND", "x" * 5000]
)
def case_values_that_look_like_something_else(client, experiment, value):
    run = client.create_run(experiment).info.run_id
    client.set_tag(run, "t", value)
    found = client.search_runs([experiment], f'tags.t = "{value}"')
    assert [r.info.run_id for r in found] == [run]


@pytest.mark.parametrize(
    "body",
    [
        {"filter": 5},
        {"order_by": "metrics.acc"},
        {"order_by": [5]},
        {"experiment_ids": "0"},
        {"experiment_ids": [[]]},
        {"max_results": "many"},
        {"page_token": 5},
        {"run_view_type": []},
    ],
)
@pytest.mark.portal
def case_wrong_types(wire, experiment, body):
    refused(wire.post("runs/search", {"experiment_ids": [experiment]} | body), 400, INVALID)
