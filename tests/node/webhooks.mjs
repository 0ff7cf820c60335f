// Contract 12, 16.25: webhooks.unwrap takes each event; and a signature of another secret is refused.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { webcrypto } from "node:crypto";
import { client, create, inputLines, mark, OpenAI, upload, waitFor } from "./support.mjs";

globalThis.crypto ??= webcrypto; // Debian 12's Node 18

const received = [];
const receiver = createServer((request, response) => {
	let body = "";
	request.setEncoding("utf8");
	request.on("data", (piece) => (body += piece));
	request.on("end", () => {
		received.push({ body, headers: request.headers });
		response.end("ok");
	});
});
await new Promise((go) => receiver.listen(0, "127.0.0.1", go));

const types = ["batch.completed", "batch.failed", "batch.expired", "batch.cancelled"];
const endpoint = await client.post("/webhook_endpoints", {
	body: {
		name: mark,
		url: `http://127.0.0.1:${receiver.address().port}/`,
		event_types: types,
	},
});
assert.match(endpoint.signing_secret, /^whsec_/);

async function eventOf(batch) {
	for (const end = Date.now() + 60_000; Date.now() < end; ) {
		const one = received.find(({ body }) => JSON.parse(body).data.id === batch.id);
		if (one) return one;
		await new Promise((go) => setTimeout(go, 20));
	}
	assert.fail(`no event of ${batch.id}`);
}

async function ended(script, status, more = {}) {
	const text = status === "failed" ? "no JSON\n" : inputLines(1, script);
	const batch = await create((await upload(text)).id, more);
	if (status === "cancelled") {
		await waitFor(batch.id, "in_progress");
		await client.batches.cancel(batch.id);
	}
	return waitFor(batch.id, status);
}

const batches = [
	await ended("", "completed"),
	await ended("", "failed"),
	await ended("never", "expired", { completion_window: "1s" }),
	await ended("never", "cancelled"),
];
for (const [n, batch] of batches.entries()) {
	const { body, headers } = await eventOf(batch);
	const event = await client.webhooks.unwrap(body, headers, endpoint.signing_secret);
	assert.equal(event.type, types[n]);
	assert.equal(event.data.id, batch.id);
	assert.equal(event.object, "event");
	const other = `whsec_${Buffer.alloc(32, "x").toString("base64")}`;
	await assert.rejects(
		client.webhooks.unwrap(body, headers, other),
		OpenAI.InvalidWebhookSignatureError,
	);
}
assert.equal(received.length, 4);
const log = await client.get(`/webhook_endpoints/${endpoint.id}/deliveries`);
assert.deepEqual(log.data.map((one) => one.type), types.toReversed?.() ?? [...types].reverse());
await client.delete(`/webhook_endpoints/${endpoint.id}`);
receiver.close();
receiver.closeAllConnections?.();
