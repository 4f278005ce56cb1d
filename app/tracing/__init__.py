"""Traces by OpenTelemetry: one span for each request and job, and one for each SQL statement below it.

- `spans`: the span of the present request or job, and what the other packages do with it.
- `statements`: the name of a statement, which has no value in it.
- `export`: OpenTelemetry's SDK and the exporter of its protocol, the extra `xuezu[otel]`. Nothing imports it unless
  XUEZU_OTLP_URL is set.

It has no tables and no routes. No span has an address, a value of SQL, a header, or the text of an exception.
"""
