// Contract 10, 14: the client's own paging over both lists.

import assert from "node:assert/strict";
import { client, create, inputLines, upload } from "./support.mjs";

const files = [];
for (let n = 0; n < 7; n++) files.push((await upload(inputLines(1))).id);
const batches = [];
for (let n = 0; n < 9; n++) batches.push((await create(files[0])).id);

async function collect(pages) {
	const ids = [];
	for await (const one of pages) ids.push(one.id);
	return ids;
}

const listed = await collect(client.batches.list({ limit: 2 }));
assert.equal(listed.length, 9);
assert.deepEqual(new Set(listed), new Set(batches));

const oldestFirst = await collect(client.files.list({ limit: 3, order: "asc", purpose: "batch" }));
const newestFirst = await collect(client.files.list({ limit: 3, purpose: "batch" }));
assert.deepEqual(new Set(oldestFirst), new Set(files));
assert.deepEqual(oldestFirst, [...newestFirst].reverse());

const page = await client.batches.list({ limit: 4 });
assert.ok(page.hasNextPage());
assert.equal((await page.getNextPage()).data.length, 4);
