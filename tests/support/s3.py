"""An S3-compatible store: moto's server in this process, in memory, which checks signatures.

    python -m support.s3 FILE     serves until it is ended; FILE says where, as scripts/with-s3.sh
"""

import json
import logging
import os
import sys
import threading
import urllib.request
import uuid
from dataclasses import dataclass

import boto3
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line for each request

REGION = "us-east-1"
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


@dataclass
class Store:
    endpoint: str
    access_key: str
    secret_key: str
    server: ThreadedMotoServer

    def client(self, name="s3"):
        return boto3.client(name, endpoint_url=self.endpoint, region_name=REGION,
                            aws_access_key_id=self.access_key, aws_secret_access_key=self.secret_key)

    def stop(self):
        self.server.stop()


def serve(port=0):
    """What was kept in this process before is there again."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    return server


def auth_after(store, calls):
    """From so many calls on signatures are checked: of all servers of this process."""
    urllib.request.urlopen(urllib.request.Request(
        f"{store.endpoint}/moto-api/reset-auth", data=str(calls).encode(),
        headers={"Content-Type": "text/plain"}))


def start(port=0):
    """Starts a store with one user, who may do all; whoever else asks is refused."""
    server = serve(port)
    host, port = server.get_host_and_port()
    store = Store(f"http://{host}:{port}", "first", "first", server)
    auth_after(store, 1_000_000)  # another in this process may have said 0
    iam = store.client("iam")
    name = f"lowtide-{uuid.uuid4().hex}"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps(POLICY))
    auth_after(store, 0)
    store.access_key, store.secret_key = key["AccessKeyId"], key["SecretAccessKey"]
    return store


if __name__ == "__main__":
    it = start()
    it.client().create_bucket(Bucket="unit")
    with open(sys.argv[1] + ".new", "w", encoding="ascii") as where:
        where.write(f"{it.endpoint} {it.access_key} {it.secret_key} unit\n")
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    threading.Event().wait()
