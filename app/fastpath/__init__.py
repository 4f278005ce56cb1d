"""The fast path: the few reads that are asked most, answered without what FastAPI does anew for each request.

It is the only package that uses private names of FastAPI, which pyproject.toml therefore pins exactly; a test names the
one that another version lacks. A route asks for it with `fast_get` (`route.py`). When the app is made its dependencies
are put in order once (`planning.py`); a layer finds it in one look-up (`dispatch.py`). `create_app(settings,
fast_path=False)` answers the same routes by FastAPI alone, with equal answers (tests/fastpath/test_parity.py).

A route is made fast where that saves more than a third of its processor time. Measured in the API's process with and
without the fast path in turn, in µs a request, on a very busy machine (the gain counts, not the µs):

| route | fast | FastAPI | gain |
|---|---|---|---|
| GET /v1/orgs/{org_id} | 450 | 1,336 | 66 % |
| GET /v1/orgs/{org_id}/reports/overview | 607 | 2,046 | 70 % |
| GET /v1/orgs/{org_id}/rankings | 957 | 2,384 | 60 % |
| GET /v1/orgs/{org_id}/reports/trend | 653 | 1,642 | 60 % |
| GET /v1/inbox | 608 | 1,865 | 67 % |
| GET /v1/me/points | 1,246 | 2,927 | 57 % |

Not enough, or not surely: /v1/me/orgs 19 to 35 %, reports/units 8 to 23 %, one unit 31 to 43 %, one person 3 to 30 %,
the lists of people, units and orgs 10 to 15 %. Pages and the OAuth endpoints are left to FastAPI. `python -m bench
--only fast_path` measures the first three.
"""
