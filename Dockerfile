# The API, the worker and the migrations of Xuezu; PostgreSQL has an image of its own (compose.yaml).
#   docker build -t xuezu .                           production: the service alone
#   docker build -t xuezu --target development .      for trying out: with devtools/, as `make run` has it
#
# The base image is pinned by the digest of its index for all architectures. To renew it:
# `docker buildx imagetools inspect python:3.11-slim` prints the digest of today's; write it into both FROM lines.

FROM python:3.11-slim@sha256:9c900dea9e8fb7e16277c179b555cc72d29a352dbc33cff48ad5a0412fd5bfc7 AS build
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /srv/xuezu
# First what changes seldom: the packages, exactly as the lock has them.
COPY requirements.lock ./
RUN pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE alembic.ini ./
COPY migrations migrations
COPY app app
RUN pip install --no-cache-dir --no-deps --no-build-isolation --no-index --editable . && pip check
RUN python -m compileall -q app

FROM build AS build-development
COPY requirements-run.lock ./
RUN pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: -r requirements-run.lock && pip check
COPY devtools devtools
RUN python -m compileall -q devtools

FROM build AS build-production
# From here on nothing is installed.
RUN pip uninstall --quiet --yes setuptools pip

FROM python:3.11-slim@sha256:9c900dea9e8fb7e16277c179b555cc72d29a352dbc33cff48ad5a0412fd5bfc7 AS image
RUN useradd --system --uid 10001 --no-create-home xuezu && install -d -m 0700 -o 10001 /var/lib/xuezu
WORKDIR /srv/xuezu
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
ENV XUEZU_HOST=0.0.0.0 XUEZU_PORT=8000 XUEZU_DATA_DIR=/var/lib/xuezu
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['XUEZU_PORT']), timeout=4); c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"]
CMD ["xuezu", "serve"]

FROM image AS development
COPY --from=build-development /opt/venv /opt/venv
COPY --from=build-development /srv/xuezu /srv/xuezu
ENV XUEZU_ENV=development

FROM image AS production
COPY --from=build-production /opt/venv /opt/venv
COPY --from=build-production /srv/xuezu /srv/xuezu
# Production refuses to start without its secrets (`xuezu keys` makes them) and simulates no provider.
ENV XUEZU_ENV=production
