// Contract 16.24: upload -> wait -> create -> poll -> download -> list -> delete.

import assert from "node:assert/strict";
import { client, create, inputLines, mark, parse, upload, waitFor } from "./support.mjs";

const text = inputLines(7);
const file = await upload(text);
assert.equal(file.bytes, Buffer.byteLength(text));
assert.equal((await client.files.waitForProcessing(file.id)).status, "processed");
assert.deepEqual(await client.files.retrieve(file.id), file);
assert.equal(await (await client.files.content(file.id)).text(), text);

const started = await create(file.id, { metadata: { job: "nightly" } });
const batch = await waitFor(started.id, "completed");
assert.deepEqual(batch.metadata, { job: "nightly" });
assert.deepEqual(batch.request_counts, { total: 7, completed: 7, failed: 0 });
assert.equal(batch.usage.total_tokens, 70);
assert.equal(batch.errors, null);
assert.equal(batch.error_file_id, null);

const results = parse(await (await client.files.content(batch.output_file_id)).text());
assert.deepEqual(
	results.map((one) => one.custom_id),
	[...Array(7).keys()].map((n) => `${mark}-${n}`),
);
for (const one of results) {
	assert.equal(one.response.status_code, 200);
	assert.equal(one.response.body.choices[0].message.content, `echo ${one.custom_id}`);
}

const listed = await client.batches.list();
assert.deepEqual(
	listed.data.map((one) => one.id),
	[batch.id],
);
for (const id of [file.id, batch.output_file_id]) {
	const gone = await client.files.delete(id);
	assert.deepEqual(gone, { id, object: "file", deleted: true });
}
assert.deepEqual((await client.files.list()).data, []);
