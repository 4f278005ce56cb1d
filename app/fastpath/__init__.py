"""The fast path: the few reads that are asked most, answered without what FastAPI does anew for each request.

It is the only package that uses private names of FastAPI, which pyproject.toml therefore pins exactly; a test names the
one that another version lacks. A route asks for it with `fast_get` (`route.py`). When the app is made its dependencies
are put in order once (`planning.py`); a layer finds it in one look-up (`dispatch.py`). `create_app(settings,
fast_path=False)` answers the same routes by FastAPI alone, with equal answers (tests/fastpath/test_parity.py).

A route is made fast where that saves about a third of its processor time or more. Measured in the API's process with
and without the fast path in turn, in µs a request, the least of eight rounds on a busy machine (the gain counts, not
the µs):

| route | fast | FastAPI | gain | gain by medians |
|---|---|---|---|---|
| GET /v1/orgs/{org_id} | 170 | 261 | 35 % | 37 % |
| GET /v1/orgs/{org_id}/reports/overview | 370 | 512 | 28 % | 38 % |
| GET /v1/inbox | 233 | 364 | 36 % | 32 % |

Not enough: reports/trend 33 % (31 % by medians), rankings 23 %, /v1/me/points 27 %; and, before the index of
`app.web.routing` halved what it had to gain, /v1/me/orgs 19 to 35 %, reports/units 8 to 23 %, one unit 31 to 43 %, one
person 3 to 30 %, the lists of people, units and orgs 10 to 15 %. Pages and the OAuth endpoints are left to FastAPI.
`python -m bench --only fast_path` measures the three.
"""
