// What the scripts here share: the official client, input lines, waiting for a batch.
// They take address and key from the environment; tests/e2e/test_clients.py starts them.

import assert from "node:assert/strict";
import { File } from "node:buffer";
import { randomUUID } from "node:crypto";
import path from "node:path";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// Debian 12's Node 18 has it only there, and the client wants it as a global.
globalThis.File ??= File;

// The package may be installed elsewhere than beside this file.
const modules = process.env.LOWTIDE_NODE_MODULES;
const resolve = createRequire(modules ? path.join(modules, "x.js") : import.meta.url).resolve;
export const { default: OpenAI, toFile } = await import(pathToFileURL(resolve("openai")).href);

export const client = new OpenAI({ maxRetries: 0 });
export const profile = process.env.LOWTIDE_PROFILE ?? "kimi";
export const mark = "n" + randomUUID().replaceAll("-", "").slice(0, 10);

/** `count` input lines; `script` tells the scripted upstream what to do with each. */
export function inputLines(count, script = "") {
	const lines = [];
	for (let n = 0; n < count; n++) {
		const content = `${mark}-${n}${script && ` | ${script}`}`;
		lines.push(
			JSON.stringify({
				custom_id: `${mark}-${n}`,
				method: "POST",
				url: "/v1/chat/completions",
				body: { model: "m-1", messages: [{ role: "user", content }] },
			}) + "\n",
		);
	}
	return lines.join("");
}

export async function upload(text) {
	const file = await client.files.create({
		file: await toFile(Buffer.from(text), "in.jsonl"),
		purpose: "batch",
	});
	assert.equal(file.object, "file");
	assert.equal(file.status, "processed");
	return file;
}

export async function create(fileId, more = {}) {
	const batch = await client.batches.create({
		input_file_id: fileId,
		endpoint: "/v1/chat/completions",
		completion_window: "24h",
		...more,
	});
	assert.equal(batch.object, "batch");
	assert.equal(batch.status, "validating");
	return batch;
}

export async function waitFor(batchId, status) {
	const final = ["completed", "failed", "expired", "cancelled"];
	for (const end = Date.now() + 60_000; Date.now() < end; ) {
		const batch = await client.batches.retrieve(batchId);
		if (batch.status === status) return batch;
		assert.ok(!final.includes(batch.status), `ended otherwise: ${JSON.stringify(batch)}`);
		await new Promise((go) => setTimeout(go, 30));
	}
	assert.fail(`batch ${batchId} was never ${status}`);
}

export function parse(text) {
	assert.ok(text.endsWith("\n"));
	return text.trimEnd().split("\n").map((line) => JSON.parse(line));
}
