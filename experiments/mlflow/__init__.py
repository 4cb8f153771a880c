"""The MLflow door: the protocol of the unmodified client on the services of the pages.

`door` knows who asks and in which project, `fields` reads what was sent, `wire` says it in MLflow's
words; the other modules hold one small function an endpoint, one module a noun.
"""
