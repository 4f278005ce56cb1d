"""The fast path: the most frequent reads, answered without the work that FastAPI repeats for each request.

Only this package uses private names of FastAPI. pyproject.toml therefore pins FastAPI exactly, and a test names the
private name that another version lacks. A route uses the fast path with `fast_get` (`route.py`). When the app is
created, the dependencies of the route are ordered once (`steps.py`); a middleware finds the route in one look-up
(`dispatch.py`). `create_app(settings, fast_path=False)` serves the same routes with FastAPI alone, with equal answers
(tests/fastpath/test_parity.py).

A route is fast if that saves about a third of its processor time or more. Measured in the API's process, with and
without the fast path in alternating rounds, in µs a request, the minimum of eight rounds on a busy machine (the gain
counts, not the µs):

| route | fast | FastAPI | gain | gain by medians |
|---|---|---|---|---|
| GET /v1/orgs/{org_id} | 170 | 261 | 35 % | 37 % |
| GET /v1/orgs/{org_id}/reports/overview | 370 | 512 | 28 % | 38 % |
| GET /v1/inbox | 233 | 364 | 36 % | 32 % |

Not enough: reports/trend 33 % (31 % by medians), rankings 23 %, /v1/me/points 27 %; and, before the index of
`app.web.routing` halved the possible gain, /v1/me/orgs 19 to 35 %, reports/units 8 to 23 %, one unit 31 to 43 %, one
person 3 to 30 %, the lists of people, units and orgs 10 to 15 %. Pages and the OAuth endpoints are left to FastAPI.
`python -m bench --only fast_path` measures the three.
"""
