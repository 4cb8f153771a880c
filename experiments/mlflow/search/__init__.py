"""Searching in MLflow's words: its filter and order grammar, page tokens, and what they mean in SQL.

`tables` says which names each kind of object knows, `grammar` reads texts into typed clauses, `tokens` are the
opaque words between two pages, `conditions` speak to the ORM. Runs are found by `experiments.metricstore`::

    clauses = grammar.parse("name LIKE 'churn%' AND tags.team = 'a'", tables.REGISTERED_MODELS)
    order = grammar.order(["name DESC"], tables.REGISTERED_MODELS)
    rows = RegisteredModel.objects.in_project(call.project)
    for clause in clauses:
        if clause.entity == "tag":
            rows = rows.filter(conditions.tag(RegisteredModelTag, "model", clause))
        else:
            rows = rows.filter(conditions.text(clause.key, clause))
    rows = rows.order_by(conditions.order_text("name", descending=order[0].descending))
    page, token = tokens.page(rows, 100, call.fields.text("page_token"), clauses, order)
"""
