// A file on its way to the server: whole, or in parts of 64 MiB where it is larger. After a broken
// connection run() goes on with the part that was under way.
import { ApiError, get, post, sendForm } from "./api.js";

const PART_BYTES = 64 << 20;
const TRIES_MS = [1000, 2000, 4000, 8000, 16000];

const passes = (fault) =>
	fault instanceof ApiError && (fault.status === 0 || fault.status === 429 || fault.status >= 500);

const wait = (ms, signal) =>
	new Promise((resolve, reject) => {
		const timer = setTimeout(resolve, ms);
		signal.addEventListener("abort", () => {
			clearTimeout(timer);
			reject(new DOMException("", "AbortError"));
		});
	});

export class Upload {
	#file;
	#key = crypto.getRandomValues(new Uint32Array(4)).join("-");
	#upload = null;
	#parts = [];
	#abort = new AbortController();

	constructor(file) {
		this.#file = file;
	}

	/** The file object; `progress(bytes, waits)` is called as it goes. */
	async run(progress) {
		if (this.#file.size <= PART_BYTES) return this.#whole(progress);
		this.#upload ??= await this.#tried(
			() =>
				post(
					"uploads",
					{
						bytes: this.#file.size,
						filename: this.#file.name,
						mime_type: "application/jsonl",
						purpose: "batch",
					},
					{ signal: this.#abort.signal },
				),
			() => progress(0, true),
		);
		while (this.#parts.length * PART_BYTES < this.#file.size) await this.#part(progress);
		progress(this.#file.size, false);
		const done = await this.#tried(
			() =>
				post(
					`uploads/${this.#upload.id}/complete`,
					{ part_ids: this.#parts },
					{ signal: this.#abort.signal },
				),
			() => progress(this.#file.size, true),
		);
		this.#upload = null;
		return done.file;
	}

	async cancel() {
		this.#abort.abort();
		if (this.#upload) await post(`uploads/${this.#upload.id}/cancel`).catch(() => {});
	}

	#whole(progress) {
		const form = new FormData();
		form.append("purpose", "batch");
		form.append("file", this.#file, this.#file.name);
		return this.#form("files", form, 0, progress, { "Idempotency-Key": this.#key });
	}

	async #part(progress) {
		const at = this.#parts.length * PART_BYTES;
		const form = new FormData();
		form.append("data", this.#file.slice(at, at + PART_BYTES));
		const { id } = await this.#form(`uploads/${this.#upload.id}/parts`, form, at, progress);
		this.#parts.push(id);
	}

	#form(path, form, at, progress, headers) {
		const told = (sent) => progress(Math.min(at + sent, this.#file.size), false);
		return this.#tried(
			() => sendForm(path, form, { headers, signal: this.#abort.signal, progress: told }),
			() => progress(at, true),
		);
	}

	async #tried(call, waits) {
		for (let n = 0; ; n++) {
			try {
				return await call();
			} catch (fault) {
				if (!passes(fault) || n === TRIES_MS.length) throw fault;
				waits();
				await wait(TRIES_MS[n], this.#abort.signal);
			}
		}
	}
}

/** Files that may be a batch's input, the newest first. */
export const inputs = async (signal) =>
	(await get("files", { purpose: "batch", limit: 100 }, signal)).data;
