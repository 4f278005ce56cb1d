"""`python -m bench.without_fast_path`: the service without its fast path, for comparison."""

import asyncio

import uvloop

from app.core import logs
from app.core.settings import Settings
from app.http_server import Server, bind
from app.main import create_app


def main() -> None:
    settings = Settings().complete_secrets()
    logs.configure("json", process="api")
    server = Server(create_app(settings, fast_path=False), settings, lambda: None)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve(bind(settings.host, settings.port)))


if __name__ == "__main__":
    main()
