"""PgBouncer in front of the tests' server, if this machine has it."""

import getpass
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.postgres.server import Server

#: Debian keeps it where only administrators look.
PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")

_SETTINGS = """
[databases]
* = host={server} user=postgres
[pgbouncer]
listen_addr =
unix_socket_dir = {folder}
listen_port = 6432
auth_type = any
pool_mode = transaction
default_pool_size = 5
max_client_conn = 500
server_round_robin = 1
"""


@contextmanager
def running_pooler(server: Server) -> Iterator[str]:
    """The folder of its socket. Transaction mode, a few server connections, and each statement may get
    another one of them."""
    assert PGBOUNCER is not None
    folder = Path(tempfile.mkdtemp(prefix="ttsorch-pooler-"))
    settings = folder / "pgbouncer.ini"
    settings.write_text(_SETTINGS.format(server=server.socket_folder, folder=folder))
    # As root it wants another user, and PostgreSQL has one already.
    user = server.system_user or getpass.getuser()
    if os.geteuid() == 0:
        shutil.chown(folder, user)
    with subprocess.Popen(
        [PGBOUNCER, "-u", user, settings],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            _wait_until_it_listens(process, folder)
            yield str(folder)
        finally:
            process.kill()
            shutil.rmtree(folder, ignore_errors=True)


def _wait_until_it_listens(process: subprocess.Popen[bytes], folder: Path) -> None:
    while process.poll() is None:
        try:
            psycopg.connect(f"postgresql://postgres@/postgres?host={folder}&port=6432").close()
        except psycopg.OperationalError:
            continue
        return
    raise AssertionError("pgbouncer ended")
