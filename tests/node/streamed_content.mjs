// Contract 14: a result file read as a stream.

import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { client, create, inputLines, mark, upload, waitFor } from "./support.mjs";

const started = await create((await upload(inputLines(1500))).id);
const batch = await waitFor(started.id, "completed");
const response = await client.files.content(batch.output_file_id);
assert.match(response.headers.get("content-disposition"), /_output\.jsonl"/);
let n = 0;
for await (const text of createInterface({ input: Readable.fromWeb(response.body) })) {
	assert.equal(JSON.parse(text).custom_id, `${mark}-${n++}`);
}
assert.equal(n, 1500);
