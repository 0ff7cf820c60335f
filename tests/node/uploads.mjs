// Contract 4: a file in parts, through the official client. (It has no upload_file_chunked; these are
// the calls that Python's makes.)

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { client, create, inputLines, toFile, waitFor } from "./support.mjs";

const data = Buffer.from(inputLines(40));
const upload = await client.uploads.create({
	bytes: data.length,
	filename: "in.jsonl",
	mime_type: "application/jsonl",
	purpose: "batch",
});
assert.equal(upload.object, "upload");
assert.equal(upload.status, "pending");
assert.equal(upload.expires_at, upload.created_at + 3600);

const ids = [];
for (let at = 0; at < data.length; at += 1000) {
	const part = await client.uploads.parts.create(upload.id, {
		data: await toFile(data.subarray(at, at + 1000), "part"),
	});
	assert.equal(part.object, "upload.part");
	assert.equal(part.upload_id, upload.id);
	ids.push(part.id);
}
await assert.rejects(client.uploads.complete(upload.id, { part_ids: ids.slice(1) }), {
	status: 400,
	param: "part_ids",
});
const md5 = createHash("md5").update(data).digest("hex");
const done = await client.uploads.complete(upload.id, { part_ids: ids, md5 });
assert.equal(done.status, "completed");
assert.equal(done.file.bytes, data.length);
assert.deepEqual(await client.uploads.complete(upload.id, { part_ids: ids }), done);
assert.deepEqual(await client.files.retrieve(done.file.id), done.file);
const content = await (await client.files.content(done.file.id)).text();
assert.equal(content, data.toString());

const batch = await create(done.file.id);
assert.equal((await waitFor(batch.id, "completed")).request_counts.completed, 40);

const other = await client.uploads.create({
	bytes: 1,
	filename: "x.jsonl",
	mime_type: "text/plain",
	purpose: "batch",
});
assert.equal((await client.uploads.cancel(other.id)).status, "cancelled");
