"""Several nodes in place of one lowtide: `make bench-scheduling ARGS=--nodes`. They share a PostgreSQL schema and an S3
prefix of the run's own; calls, uploads and online requests reach them in turn, as behind a load balancer."""

import sys

from servers import ROOT, Client, Lowtide, new_bootstrap_key

sys.path.append(str(ROOT / "bench"))
import cluster_store  # noqa: E402  (it is of bench/cluster.py)


class Nodes(Client):
    def __init__(self, directory, upstreams, settings, count):
        store = cluster_store.Store("bench_" + directory.name.replace("-", "_"))
        shared, _ = store.cluster()
        key = new_bootstrap_key()
        self.nodes = [
            Lowtide(directory, upstreams, settings | shared, name=f"node-{n}", key=key) for n in range(count)
        ]
        super().__init__(key, ["--store", shared["store"]], [one.port for one in self.nodes])
        self.by_port = dict(zip(self.ports, self.nodes, strict=True))
        self.log_paths = [one.log_path for one in self.nodes]

    async def ready(self):
        for one in self.nodes:
            await one.ready()

    async def call(self, method, path, body=None, key=None):
        return await self.by_port[next(self.turns)].call(method, path, body, key or self.key)

    async def scheduling(self):
        """Of each upstream what the node says that drives it: what dispatch does is each node's own."""
        drivers = {}
        for one in (await self.operator_call("/v1/lowtide/nodes"))["data"]:
            node = self.by_port[int(one["address"].rpartition(":")[2])]
            drivers |= dict.fromkeys(one["upstreams"], node)
        said = {}
        for node in {*drivers.values()} or {self.nodes[0]}:
            answer = await node.call("GET", "/v1/lowtide/scheduling", key=self.operator)
            said[node] = {one["name"]: one for one in answer["upstreams"]}
        names = next(iter(said.values()))
        return [said[drivers.get(name, next(iter(said)))][name] for name in names]

    def stop(self):
        for one in self.nodes:
            one.stop()
