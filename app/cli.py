"""The command line: `xuezu run | serve | worker | migrate | roles | keys | openapi | demo`.

A command that cannot do its work prints the reason in one sentence on stderr and exits with 1. Wrong arguments exit
with 2.
"""

import asyncio
import contextlib
import gc
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from app.commands import auth as commands
from app.commands.audit import audit
from app.commands.backup import backup, restore
from app.commands.configuration import complete_database_url, read_plain_settings, read_service_settings
from app.commands.keys import keys
from app.commands.orgs import load_orgs
from app.commands.points import points
from app.commands.providers import providers
from app.commands.totals import totals
from app.core import service_manager
from app.core.plugins import TOOLS, load_plugin
from app.core.settings import CannotStart, Settings, make_key
from app.database.roles import AUDITOR, SERVICE, build_roles_sql

LAST_SECONDS = 15
PENDING = 3
"""The exit code of `xuezu migrate --check` where migrations would run."""
SNAPSHOT = Path(__file__).parent.parent / "openapi" / "openapi.json"

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Xuezu 学组: directory, certification and reporting for learning organisations.",
)

cli.add_typer(commands.clients, name="clients")
cli.add_typer(commands.operators, name="operators")
cli.add_typer(commands.signing_keys, name="signing-keys")
cli.add_typer(totals, name="totals")
cli.add_typer(keys, name="keys")
cli.add_typer(points, name="points")
cli.add_typer(backup, name="backup")
cli.add_typer(audit, name="audit")
cli.add_typer(providers, name="providers")
cli.command("load-orgs")(load_orgs)
cli.command("restore")(restore)


def main() -> NoReturn:
    """Run the command of the `xuezu` program that the command line names, then exit. If it cannot start, print the
    reason on stderr and exit with status 1."""
    try:
        cli()
    except CannotStart as reason:
        print(f"xuezu: {reason}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        os._exit(1)  # the reader of stdout has closed it
    sys.exit(0)


@cli.command()
def run() -> None:
    """Run everything: PostgreSQL (the embedded one, unless XUEZU_DATABASE_URL is set), migrations, worker and API."""
    settings = read_service_settings()
    from app.run import run as run_everything

    run_everything(settings)


@cli.command()
def serve(
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that serve on the same port.")] = 1,
    while_stdin_open: Annotated[bool, typer.Option(hidden=True, help="End when stdin closes.")] = False,
    sockets: Annotated[str, typer.Option(hidden=True, help="File descriptors of the bound sockets.")] = "",
) -> None:
    """Serve the API, without a worker: run `xuezu worker` beside it. The database must be migrated."""
    if while_stdin_open:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    settings = complete_database_url(read_service_settings())
    from app.http_server import serve as serve_api

    serve_api(settings, processes=workers, inherited=[int(number) for number in sockets.split(",") if number])


@cli.command()
def worker(
    while_stdin_open: Annotated[bool, typer.Option(hidden=True, help="End when stdin closes.")] = False,
) -> None:
    """Run the jobs: imports, exports, totals, and clean-ups of expired data."""
    if while_stdin_open:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    settings = complete_database_url(read_service_settings())
    import uvloop

    from app.core import logs
    from app.core.startup import GC_THRESHOLD, starting
    from app.database import migration
    from app.http_server import bind_for_metrics

    metrics_sockets = bind_for_metrics(settings)
    asyncio.run(migration.require_compatible_database(settings.session_url))
    with starting():
        from app.blind_index.key_checks import require_keys
        from app.monitoring.worker_gauges import serve_worker_metrics
        from app.tracing.spans import require_tracing
        from app.worker.worker import run_worker

    require_tracing(settings)
    gc.set_threshold(GC_THRESHOLD)
    asyncio.run(require_keys(settings))
    logs.configure(settings.log_format or "console", process="worker")

    async def run_with_metrics() -> None:
        async with service_manager.send_signs_of_life(), serve_worker_metrics(settings, metrics_sockets):
            service_manager.notify(service_manager.READY)
            await run_worker(settings)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run_until_stopped(run_with_metrics()))


@cli.command()
def migrate(
    to: Annotated[
        str | None, typer.Option(help="The revision to migrate to; this version's newest by default.")
    ] = None,
    down: Annotated[bool, typer.Option("--down", help="Go back to an older revision: data can be deleted.")] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help=f"Only list the migrations that would run; exit with {PENDING} if any would."),
    ] = False,
) -> None:
    """Migrate the database to this version's revision, or to another one that this version knows."""
    from app.database import migration
    from app.database.schema_compatibility import get_head_revision

    url = complete_database_url(read_plain_settings()).schema_url
    revision = to or get_head_revision()
    if not check:
        present = asyncio.run(migration.migrate_to(url, revision, down=down, show=print))
        print(f"The database is at revision {present}.")
        return
    steps = asyncio.run(migration.plan_migration(url, revision, down=down))
    for step in steps:
        way = "back from" if step.down else "to"
        code = f" (code of {step.oldest_code} and newer can run on it)" if step.oldest_code and not step.down else ""
        print(f"{way} {step.revision}: {step.summary}{code}")
    print(f"{len(steps)} migrations would run." if steps else "No migration would run.")
    if steps:
        sys.exit(PENDING)


@cli.command()
def roles(
    service: Annotated[str, typer.Option(help="The role of the service and its worker.")] = SERVICE,
    auditor: Annotated[
        str, typer.Option(help="The role of auditors, who see audit_trail and the seals alone.")
    ] = AUDITOR,
) -> None:
    """Print the SQL that makes the database roles without DDL. Read it, then run it with psql."""
    typer.echo(build_roles_sql(service, auditor), nl=False)


@cli.command()
def openapi(
    check: Annotated[bool, typer.Option("--check", help="Only compare; fail where the snapshot lags.")] = False,
) -> None:
    """Write the OpenAPI document to openapi/openapi.json."""
    document = build_openapi_document()
    if not check:
        SNAPSHOT.parent.mkdir(exist_ok=True)
        SNAPSHOT.write_text(document)
        print(f"Wrote {SNAPSHOT}.")
    elif not SNAPSHOT.exists() or SNAPSHOT.read_text() != document:
        raise CannotStart("openapi/openapi.json lags behind the code: run `make openapi` and commit the file.")


@cli.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def demo(context: typer.Context) -> None:
    """Demonstrate the service's main job on a running service, or on one that it starts (`xuezu demo --help`)."""
    play = load_plugin(TOOLS, "demo", needed_for="`xuezu demo`")
    sys.exit(play(context.args))


class _DefaultSettings(Settings):
    """Settings that no environment variable changes."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def build_openapi_document() -> str:
    """Build the OpenAPI document that is stored in openapi/: with default settings, whatever the environment is."""
    from app.main import create_app

    settings = _DefaultSettings(data_keys=SecretStr(f"snapshot:{make_key()}"), index_key=SecretStr(make_key()))
    document = create_app(settings).openapi()
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


async def _run_until_stopped(work: Coroutine[None, None, None]) -> None:
    """Run until the work ends or a stop signal cancels it; a cancelled work can finish what it is doing.

    The process ends in any case LAST_SECONDS after the signal, also while a thread of the work does not end.
    """
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        service_manager.notify(service_manager.STOPPING)
        task.cancel()
        last = threading.Timer(LAST_SECONDS, os._exit, (1,))
        last.daemon = True
        last.start()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _end_with_stdin() -> None:
    """Wait until stdin closes, which happens in every case when the parent process ends; then end this process."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)
    os._exit(1)


if __name__ == "__main__":
    main()
