// Contract 6: cancel, again, and of a finished batch, which the client must not try again.

import assert from "node:assert/strict";
import { client, create, inputLines, OpenAI, parse, profile, upload, waitFor } from "./support.mjs";

const file = await upload(inputLines(3, "never"));
const started = await create(file.id);
await waitFor(started.id, "in_progress");
assert.ok(["cancelling", "cancelled"].includes((await client.batches.cancel(started.id)).status));
const batch = await waitFor(started.id, "cancelled");
assert.deepEqual(await client.batches.cancel(started.id), batch);
const errors = parse(await (await client.files.content(batch.error_file_id)).text());
assert.deepEqual(new Set(errors.map((one) => one.error.code)), new Set(["batch_cancelled"]));

const done = await create((await upload(inputLines(1))).id);
await waitFor(done.id, "completed");
const patient = new OpenAI({ maxRetries: 2 });
const began = Date.now();
await assert.rejects(patient.batches.cancel(done.id), (error) => {
	assert.ok(error instanceof (profile === "kimi" ? OpenAI.BadRequestError : OpenAI.ConflictError));
	assert.match(error.message, /Cannot cancel a batch with status 'completed'/);
	assert.match(error.requestID, /^req_[0-9a-f]{32}$/);
	return true;
});
assert.ok(Date.now() - began < 5000);
