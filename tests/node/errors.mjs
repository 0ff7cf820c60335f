// Contract 2.3: the client's typed errors.

import assert from "node:assert/strict";
import { client, create, inputLines, OpenAI, toFile, upload, waitFor } from "./support.mjs";

async function fails(promise, kind, members) {
	await assert.rejects(promise, (error) => {
		assert.ok(error instanceof kind, `${error}`);
		assert.match(error.requestID, /^req_[0-9a-f]{32}$/);
		for (const [name, value] of Object.entries(members)) assert.equal(error[name], value);
		return true;
	});
}

await fails(client.files.retrieve("file-none"), OpenAI.NotFoundError, { param: "id" });
await fails(client.batches.retrieve("batch_none"), OpenAI.NotFoundError, {});
await fails(client.batches.list({ limit: 1000 }), OpenAI.BadRequestError, {
	param: "limit",
	code: "integer_above_max_value",
});
await fails(
	client.files.create({ file: await toFile(Buffer.from("{}"), "in.jsonl"), purpose: "vision" }),
	OpenAI.BadRequestError,
	{ param: "purpose", code: "invalid_value" },
);
await fails(
	client.batches.create({ input_file_id: "file-x", endpoint: "/v1/x", completion_window: "24h" }),
	OpenAI.BadRequestError,
	{ param: "endpoint", code: "invalid_value" },
);
const wrong = new OpenAI({ apiKey: "sk-wrong", maxRetries: 0 });
await fails(wrong.files.list(), OpenAI.AuthenticationError, { code: "invalid_api_key" });

const started = await create((await upload(inputLines(1) + "{\n")).id);
const batch = await waitFor(started.id, "failed");
assert.equal(batch.errors.data.length, 1);
assert.equal(batch.errors.data[0].code, "invalid_json_line");
assert.equal(batch.errors.data[0].line, 2);
