"""docs/deployment.md for real: PostgreSQL, MLflow and Prefect on it, a flow, publishing, backup and restore."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flows.processes import child
from flows.ui import wait_until_up
from tests.flows.small_project import small_project
from tests.services.recipe import command, files, put, variables
from tests.synthetic_results import write_repository

pytestmark = [pytest.mark.services, pytest.mark.slow]

ROOT = Path(__file__).parents[2]


def _programs() -> Path | None:
    """Folder of PostgreSQL's programs: Debian keeps each version's apart from the PATH."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    beside = shutil.which("initdb")
    return installed[-1] if installed else Path(beside).parent if beside else None


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@dataclass
class Postgres:
    """A cluster of its own, with the two databases of the page."""

    programs: Path
    port: int

    def environment(self) -> dict[str, str]:
        path = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "vultus"}

    def ask(self, database: str, query: str) -> list[str]:
        said = subprocess.run(
            ["psql", "--no-align", "--tuples-only", "--command", query, database],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        return said.stdout.split()

    def rows(self, database: str) -> dict[str, int]:
        """Table -> number of rows."""
        tables = self.ask(database, "select tablename from pg_tables where schemaname = 'public' order by 1")
        counts = " union all ".join(f"select '{table}:' || count(*) from \"{table}\"" for table in tables)
        return {name: int(count) for name, _, count in (line.partition(":") for line in self.ask(database, counts))}


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    server = Postgres(programs, _free_port())
    as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []  # PostgreSQL refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="vultus-postgres-"))
    if as_user:
        shutil.chown(folder, "postgres")
    quick = ["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-p", str(server.port), "-k", str(folder)]
    initdb = [str(programs / "initdb"), "--auth=trust", "--username=postgres", "--no-sync", "-D", str(folder / "data")]
    run = [str(programs / "postgres"), "-D", str(folder / "data"), *quick]
    superuser = {**server.environment(), "PGUSER": "postgres"}
    try:
        subprocess.run([*as_user, *initdb], cwd=folder, check=True, capture_output=True)
        with child([*as_user, *run], folder, output=subprocess.DEVNULL):
            while subprocess.run(["pg_isready", "--quiet"], env=superuser).returncode:
                time.sleep(0.1)
            subprocess.run(["createuser", "--createdb", "vultus"], env=superuser, check=True)
            for database in ("vultus_mlflow", "vultus_prefect"):
                subprocess.run(["createdb", database], env=server.environment(), check=True)
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Deployment:
    """The two servers of the page; closing ``servers`` stops them."""

    servers: contextlib.ExitStack
    folder: Path
    places: dict[str, str]
    client: dict[str, str]
    """Variables of ``worker.env``."""


@pytest.fixture(scope="module")
def deployment(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "srv" / "mlartifacts").mkdir(parents=True)
    mlflow_port, prefect_port = _free_port(), _free_port()
    places = {
        "/opt/vultus/vultus/.venv/bin": str(Path(sys.executable).parent),
        "/opt/vultus/vultus": str(folder),
        "/srv/vultus": str(folder / "srv"),
        "127.0.0.1:5432": f"127.0.0.1:{postgres.port}",
        "127.0.0.1:5000": f"127.0.0.1:{mlflow_port}",
        "127.0.0.1:4200": f"127.0.0.1:{prefect_port}",
        "--port 5000 --workers 2": f"--port {mlflow_port} --workers 1",
        "--port 4200": f"--port {prefect_port}",
    }
    page = files()
    server = variables(page["/etc/vultus/server.env"], places) | {"PREFECT_HOME": str(folder / "prefect")}
    with contextlib.ExitStack() as stack:
        for name in ("mlflow", "prefect"):
            log = stack.enter_context((folder / f"{name}.log").open("w"))
            unit = command(page[f"/etc/systemd/system/vultus-{name}.service"], places)
            stack.enter_context(child(unit, folder, output=log, environment=server))
        for address, name in (
            (f"127.0.0.1:{mlflow_port}/health", "mlflow"),
            (f"127.0.0.1:{prefect_port}/api/ready", "prefect"),
        ):
            assert wait_until_up(f"http://{address}", 300), (folder / f"{name}.log").read_text()[-2000:]
        client = variables(page["/etc/vultus/worker.env"], places) | {"PREFECT_HOME": str(folder / "prefect")}
        yield Deployment(stack, folder, places, client)


def test_a_flow_runs_on_it(deployment: Deployment, tmp_path: Path) -> None:
    project = small_project(tmp_path)
    run = [sys.executable, "-m", "flows.reproduce", "--no-publish"]
    environment = {**os.environ, **deployment.client, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(run, cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    query = urllib.request.Request(
        f"{deployment.client['PREFECT_API_URL']}/flow_runs/filter", b"{}", {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(query) as answer:
        (flow_run,) = json.load(answer)
    assert flow_run["state_type"] == "COMPLETED"


def test_results_are_published_to_it_twice_and_stand_there_once(
    deployment: Deployment, postgres: Postgres, tmp_path: Path
) -> None:
    write_repository(tmp_path)
    environment = {**os.environ, **deployment.client}
    publish = [str(Path(sys.executable).parent / "vultus"), "publish"]
    said = [
        subprocess.run(publish, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert "1 new runs" in said[0]
    assert "0 new runs, 0 completed, 1 were there" in said[1]
    assert postgres.ask("vultus_mlflow", "select count(*) from runs") == ["2"], "a parent and its fold"
    stored = {path.name for path in (deployment.folder / "srv/mlartifacts").rglob("*.png")}
    assert stored == {"attention.png"}


def test_a_backup_gives_everything_back(deployment: Deployment, postgres: Postgres, tmp_path: Path) -> None:
    scripts = {}
    for name in ("backup", "restore"):
        scripts[name] = tmp_path / name
        scripts[name].write_text(put(files()[f"/usr/local/bin/vultus-{name}"], deployment.places))
    databases = ("vultus_mlflow", "vultus_prefect")
    deployment.servers.close()
    backup = ["bash", str(scripts["backup"]), str(tmp_path / "backups")]
    printed = subprocess.run(backup, env=postgres.environment(), capture_output=True, text=True, check=True).stdout
    before = {database: postgres.rows(database) for database in databases}
    artifacts = sorted(path.relative_to(deployment.folder) for path in (deployment.folder / "srv").rglob("*"))
    assert before["vultus_mlflow"]["runs"]
    assert before["vultus_prefect"]["flow_run"]

    subprocess.run(["dropdb", "vultus_prefect"], env=postgres.environment(), check=True)
    postgres.ask("vultus_mlflow", "truncate runs cascade")
    shutil.rmtree(deployment.folder / "srv/mlartifacts")
    subprocess.run(["bash", str(scripts["restore"]), printed.strip()], env=postgres.environment(), check=True)
    assert {database: postgres.rows(database) for database in databases} == before
    assert sorted(path.relative_to(deployment.folder) for path in (deployment.folder / "srv").rglob("*")) == artifacts
