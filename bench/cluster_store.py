"""PostgreSQL and the S3 store that the nodes of a measurement share: scripts/with-cluster.sh has them up and says
where, as LOWTIDE_TEST_POSTGRES and LOWTIDE_TEST_S3."""

import itertools
import os
import subprocess
import sys
import time

SETTLE_S = 11  # after which a connection that has nothing to do tells what it did (10 s)


def needed(program):
    """Ends the program where one of the two is missing."""
    for name, what in (("LOWTIDE_TEST_POSTGRES", "PostgreSQL"), ("LOWTIDE_TEST_S3", "S3 store")):
        if name not in os.environ:
            sys.exit(f"{program}: no {what}: {name} is not set; scripts/with-cluster.sh starts one")


class Store:
    """The two servers; a schema and a prefix of their own for each cluster."""

    def __init__(self, prefix="bench"):
        self.prefix = prefix
        self.where = os.environ["LOWTIDE_TEST_POSTGRES"]
        self.endpoint, access, secret, self.bucket = os.environ["LOWTIDE_TEST_S3"].split()
        os.environ |= {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret}
        self.kind = "versitygw" if os.environ.get("LOWTIDE_VERSITYGW") else "moto"
        self.numbers = itertools.count(1)
        self.query("ALTER SYSTEM SET fsync = on")  # with-postgres.sh is for tests
        self.query("SELECT pg_reload_conf()")

    def query(self, sql):
        done = subprocess.run(["psql", "-XAtq", "-F", "\t", "-d", self.where, "-c", sql],
                              check=True, capture_output=True, text=True)  # fmt: skip
        return [line.split("\t") for line in done.stdout.splitlines()]

    def transactions(self):
        time.sleep(SETTLE_S)
        return int(self.query("SELECT sum(xact_commit) FROM pg_stat_database")[0][0])

    def cluster(self, endpoint=None):
        """The settings of the nodes of a new one, and its schema."""
        name = f"{self.prefix}_{next(self.numbers)}"
        self.query(f"CREATE SCHEMA {name}")
        return {
            "store": f"{self.where} options=-csearch_path={name}",
            "blobs.url": f"s3://{self.bucket}/{name}",
            "blobs.endpoint": endpoint or self.endpoint,
        }, name
