// What happens to batches, as the server tells it: one stream for the whole console. It is closed while
// nobody sees the page, and goes on afterwards behind the last change that came (Last-Event-ID).
import { ApiError, get, org, send, session } from "./api.js";
import { Value } from "./value.js";

const FINAL = new Set(["completed", "failed", "expired", "cancelled"]);
const RETRY_MS = [1000, 2000, 4000, 8000, 15000, 30000];
const HIDDEN_MS = 10000;
const SAMPLES = 900;
const LOOK_MS = 2000;
const LOOK_MOST = 50;

export const isFinal = (batch) => FINAL.has(batch.status);

/** "off" | "connecting" | "live" | "broken", and what broke it. */
export const link = new Value({ state: "off" });
/** Every batch that was seen since the page was opened, by id; the map is a new one at each change. */
export const batches = new Value(new Map());
/** The rate of each batch as it was seen: id -> [[seconds], [lines a second]]. */
export const rates = new Map();

function sample(batch) {
	if (batch.status !== "in_progress") return;
	const [at, rate] = rates.get(batch.id) ?? rates.set(batch.id, [[], []]).get(batch.id);
	const now = Date.now() / 1000;
	if (at.length > 0 && now - at[at.length - 1] < 0.9) return;
	at.push(now);
	rate.push(batch.lowtide.rate_per_s);
	if (at.length > SAMPLES) {
		at.shift();
		rate.shift();
	}
}

/** What a call answered; an older look does not undo the end of a batch. */
export function saw(...found) {
	const map = new Map(batches.get());
	for (const batch of found) {
		const known = map.get(batch.id);
		if (known && isFinal(known) && !isFinal(batch)) continue;
		map.set(batch.id, batch);
		sample(batch);
	}
	batches.set(map);
}

// ---- the stream ----

let lastId = null;
let abort = null;
let timer = null;
let tries = 0;
let gathered = [];
let drawing = null;
let told = new Set();

// Many events a frame are one change to the page.
function gather(batch) {
	gathered.push(batch);
	told.add(batch.id);
	drawing ??= setTimeout(() => {
		drawing = null;
		saw(...gathered.splice(0));
	}, 50);
}

function take(block) {
	let data = "";
	for (const line of block.split("\n")) {
		if (line.startsWith("id: ")) lastId = line.slice(4);
		else if (line.startsWith("data: ")) data += line.slice(6);
	}
	if (data) gather(JSON.parse(data));
}

// A stream that goes on behind nothing begins with what is open: what else was seen open has ended, in
// the moment between two calls or while the server was another.
async function lookForEnded(signal) {
	const open = [...batches.get().values()].filter((one) => !isFinal(one) && !told.has(one.id));
	for (const { id } of open.slice(0, LOOK_MOST)) {
		try {
			saw(await get(`batches/${id}`, {}, signal));
		} catch {
			// it stays as it was seen
		}
	}
}

async function read(signal) {
	told = new Set();
	const headers = { Accept: "text/event-stream", ...(lastId ? { "Last-Event-ID": lastId } : {}) };
	const answer = await send("GET", "lowtide/events", { headers, signal });
	const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
	let rest = "";
	tries = 0;
	link.set({ state: "live" });
	if (!lastId) setTimeout(() => signal.aborted || lookForEnded(signal), LOOK_MS);
	for (;;) {
		const { done, value } = await reader.read();
		if (done) return;
		const blocks = (rest + value).split("\n\n");
		rest = blocks.pop();
		blocks.forEach(take);
	}
}

async function run() {
	const mine = (abort = new AbortController());
	link.set({ state: tries > 0 ? "broken" : "connecting", fault: link.get().fault });
	let fault = new ApiError(0);
	try {
		await read(mine.signal);
	} catch (caught) {
		if (caught instanceof ApiError) fault = caught;
	}
	if (mine.signal.aborted) return;
	link.set({ state: "broken", fault });
	timer = setTimeout(run, RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)]);
}

function close() {
	clearTimeout(timer);
	abort?.abort();
	abort = null;
	tries = 0;
	link.set({ state: "off" });
}

function open() {
	const { state, operator } = session.get();
	if (abort === null && state === "in" && (!operator || org.get())) run();
}

function forget() {
	close();
	lastId = null;
	gathered = [];
	rates.clear();
	batches.set(new Map());
	if (!document.hidden) open();
}

let hiding = null;
document.addEventListener("visibilitychange", () => {
	clearTimeout(hiding);
	if (document.hidden) hiding = setTimeout(close, HIDDEN_MS);
	else open();
});
addEventListener("online", () => {
	if (link.get().state !== "broken") return;
	close();
	open();
});
session.follow(forget);
org.follow(forget);
