"""A demo of the service's main job over HTTP. It imports nothing from the service.

Each step prints who does what, and is checked. The last line is a JSON summary. The demo creates new people and new
orgs, so it can run again and again against the same service.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from devtools.demo.play import Play


def main(arguments: list[str]) -> int:
    """Run the demo and print the summary as the last line. Return 0 on success."""
    options = _parse_arguments(arguments)
    if options.file is not None and not options.file.is_file():
        print(f"xuezu: there is no sheet {options.file}", file=sys.stderr)
        return 2
    with contextlib.ExitStack() as stack:
        base_url = options.base_url or stack.enter_context(_open_service())
        print(f"Playing the main job against {base_url}")
        service = stack.enter_context(
            httpx.Client(base_url=base_url, timeout=30, headers={"Accept-Language": "en", "User-Agent": "xuezu-demo/1"})
        )
        play = Play(service, options.file)
        ok = play.run()
    print(json.dumps({"ok": ok, "steps": play.log}, ensure_ascii=False), flush=True)
    return 0 if ok else 1


def _parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="xuezu demo", description="Play the service's main job over HTTP.")
    parser.add_argument("--file", type=Path, help="an import sheet (default: a sample made for the occasion)")
    parser.add_argument("--base-url", help="a running service (default: the one on XUEZU_PORT, or one started here)")
    return parser.parse_args(arguments)


@contextlib.contextmanager
def _open_service() -> Iterator[str]:
    """Yield the URL of the service on this machine's port. If none runs, start one and stop it afterwards."""
    base_url = f"http://localhost:{os.environ.get('XUEZU_PORT', '8000')}"
    if _is_ready(base_url):
        yield base_url
        return
    print("No service is running: starting one", flush=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "run"], stdout=sys.stderr, env=os.environ | {"XUEZU_LOG_FORMAT": "json"}
    )
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise SystemExit(process.returncode)  # the service has printed the reason
            if _is_ready(base_url):
                break
            time.sleep(0.1)
        yield base_url
    finally:
        process.terminate()
        process.wait(30)


def _is_ready(base_url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{base_url}/readyz", timeout=2).status_code == 200
    return False
