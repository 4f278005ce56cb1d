# The API, the worker and the migrations of Xuezu, in one image; PostgreSQL is its own (compose.yaml).
#   docker build -t xuezu .

FROM python:3.11-slim AS build
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /srv/xuezu
# First what changes seldom: the packages, exactly as the lock has them.
COPY requirements.lock ./
RUN pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE alembic.ini ./
COPY migrations migrations
COPY app app
RUN pip install --no-cache-dir --no-deps --no-build-isolation --no-index --editable . && python -m compileall -q app

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home xuezu && install -d -m 0700 -o 10001 /var/lib/xuezu
COPY --from=build /opt/venv /opt/venv
COPY --from=build /srv/xuezu /srv/xuezu
WORKDIR /srv/xuezu
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
# Production refuses to start without its secrets (`xuezu keys` makes them) and simulates no provider.
ENV XUEZU_ENV=production XUEZU_HOST=0.0.0.0 XUEZU_PORT=8000 XUEZU_DATA_DIR=/var/lib/xuezu
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['XUEZU_PORT']), timeout=4); c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"]
CMD ["xuezu", "serve"]
