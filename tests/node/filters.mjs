// Contract 11.3, 14: the client's own paging over a filtered list; its arguments are the batches of
// team a that have ended, newest first.

import assert from "node:assert/strict";
import { client } from "./support.mjs";

const query = { limit: 1, status: "completed,failed", metadata: { team: "a" } };
const found = [];
for await (const one of client.batches.list(query)) found.push(one.id);
assert.deepEqual(found, process.argv.slice(2));
