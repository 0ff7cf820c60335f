// A new batch: its file, what is wrong with the file, what the batch will take, and the start.
import { html, useEffect, useMemo, useRef, useState } from "../vendor/preact.js";
import { post, send } from "../lib/api.js";
import { bytes, duration, money, number, percent, short } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { readLines } from "../lib/lines.js";
import { saw } from "../lib/live.js";
import { useLoad } from "../lib/load.js";
import { go } from "../lib/route.js";
import {
	Badge,
	Bar,
	Check,
	Do,
	Fault,
	Field,
	Figure,
	Notice,
	Page,
	Panel,
	Time,
} from "../lib/ui.js";
import { Upload, inputs } from "../lib/upload.js";
import { Findings } from "./batch.js";

const CHAT = "/v1/chat/completions";
const ENDPOINTS = [
	CHAT,
	"/v1/completions",
	"/v1/embeddings",
	"/v1/responses",
	"/v1/moderations",
	"/v1/rerank",
	"/v1/score",
	"/v1/messages",
];
const WINDOWS = ["12h", "24h", "3d", "7d"];
const HEAD_BYTES = 256 << 10;
const SETTLE_MS = 400;

// ---- the file ----

function firstLine(text) {
	return readLines(text.replace(/^\uFEFF/, "").split("\n", 1)[0])[0]?.value ?? null;
}

async function headOf(file) {
	const answer = await send("GET", `files/${file.id}/content`, {
		headers: { Range: `bytes=0-${HEAD_BYTES - 1}` },
	});
	return answer.text();
}

function Drop({ take }) {
	const [over, set] = useState(false);
	const input = useRef();
	const drop = (event) => {
		event.preventDefault();
		set(false);
		if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
	};
	return html`<div class=${`drop ${over ? "over" : ""}`} onDragOver=${(e) => (e.preventDefault(), set(true))}
			onDragLeave=${() => set(false)} onDrop=${drop}>
		<p class="drop-title">${t("new.drop")}</p>
		<p class="muted">${t("new.drop_text")}</p>
		<button type="button" class="primary" onClick=${() => input.current.click()}>${t("new.choose")}</button>
		<input ref=${input} type="file" accept=".jsonl,application/jsonl" class="hidden" tabindex="-1" aria-label=${t("new.choose")}
			onChange=${(e) => e.currentTarget.files[0] && take(e.currentTarget.files[0])} />
	</div>`;
}

function Uploading({ file, done, back }) {
	const [sent, set] = useState(0);
	const [waits, wait] = useState(false);
	const [fault, setFault] = useState(null);
	const upload = useMemo(() => new Upload(file), [file]);
	const began = useRef(Date.now());
	const run = async () => {
		setFault(null);
		try {
			done(await upload.run((n, broken) => (set(n), wait(broken))));
		} catch (caught) {
			if (caught.name !== "AbortError") setFault(caught);
		}
	};
	useEffect(() => {
		run();
		return () => upload.cancel();
	}, [upload]);
	const speed = sent / Math.max(1, (Date.now() - began.current) / 1000);
	return html`<div class="uploading">
		<p><strong>${file.name}</strong> <span class="muted number">${bytes(file.size)}</span></p>
		<${Bar} parts=${[{ kind: "running", n: sent }]} whole=${file.size} label=${t("upload.words", { share: percent(sent, file.size) })} />
		<p class="muted number" role="status">
			${waits ? t("upload.waits") : sent >= file.size ? t("upload.last") : t("upload.speed", { share: percent(sent, file.size), bytes: bytes(speed) })}
		</p>
		<${Fault} fault=${fault} />
		<div class="buttons">
			${fault && html`<button type="button" class="primary" onClick=${run}>${t("upload.go_on")}</button>`}
			<button type="button" onClick=${back}>${t("upload.stop")}</button>
		</div>
	</div>`;
}

function Choose({ take, given }) {
	const [local, set] = useState(null);
	const [wrong, setWrong] = useState(null);
	const load = useLoad(inputs, []);
	const check = (file) => {
		const name = file.name.toLowerCase();
		const good = file.size > 0 && (name.endsWith(".jsonl") || !name.includes("."));
		setWrong(
			good ? null : t(file.size === 0 ? "new.empty_file" : "new.wrong_name", { name: file.name }),
		);
		if (good) set(file);
	};
	const known = async (id) => {
		const file = load.data.find((one) => one.id === id);
		take(file, await headOf(file));
	};
	useEffect(() => {
		if (given && load.data?.some((one) => one.id === given)) known(given);
	}, [load.data]);
	const uploaded = async (file) => take(file, await local.slice(0, HEAD_BYTES).text());
	if (local) return html`<${Uploading} file=${local} done=${uploaded} back=${() => set(null)} />`;
	return html`<${Drop} take=${check} />
		${wrong && html`<${Notice} kind="bad" title=${wrong}><p>${t("new.wrong_do")}</p><//>`}
		${
			load.data?.length > 0 &&
			html`<${Field} id="known" name=${t("new.known")}>
			<select id="known" value="" onChange=${(e) => e.currentTarget.value && known(e.currentTarget.value)}>
				<option value="">${t("new.known_none")}</option>
				${load.data.map((one) => html`<option value=${one.id}>${one.filename} · ${bytes(one.bytes)}</option>`)}
			</select>
		<//>`
		}`;
}

// ---- what is asked ----

const whole = (text) => (/^[1-9]\d*$/.test(text) ? Number(text) : undefined);

/** The body of create and of estimate. */
function bodyOf(file, form) {
	const lowtide = {
		on_invalid_line: form.skip ? "skip" : undefined,
		mixed_models: form.mixed || undefined,
		canary: whole(form.canary),
		hours: form.hours.trim() || undefined,
		token_budget: whole(form.token_budget),
		max_attempts: whole(form.max_attempts),
		output_order: form.as_they_end ? "completion" : undefined,
		not_before: form.not_before
			? Math.floor(new Date(form.not_before).getTime() / 1000)
			: undefined,
	};
	const named = Object.values(lowtide).some((value) => value !== undefined);
	const metadata = {
		...(form.name.trim() ? { name: form.name.trim() } : {}),
		...pairsOf(form.metadata),
	};
	return {
		input_file_id: file.id,
		endpoint: form.endpoint,
		completion_window: form.window,
		...(Object.keys(metadata).length > 0 ? { metadata } : {}),
		...(named ? { lowtide } : {}),
	};
}

function pairsOf(text) {
	const lines = text.split("\n").filter((line) => line.includes("="));
	return Object.fromEntries(
		lines.map((line) => [
			line.slice(0, line.indexOf("=")).trim(),
			line.slice(line.indexOf("=") + 1).trim(),
		]),
	);
}

function emptyForm(first) {
	const url =
		ENDPOINTS.find((one) => first?.url?.endsWith(one.slice(3))) ??
		(typeof first?.url === "string" ? first.url : CHAT);
	return {
		endpoint: url,
		window: "24h",
		canary: "",
		name: "",
		metadata: "",
		skip: false,
		mixed: false,
		hours: "",
		not_before: "",
		token_budget: "",
		max_attempts: "",
		as_they_end: false,
	};
}

function Text({ id, form, set, hint, kind = "text", mode, list, placeholder }) {
	return html`<${Field} id=${id} name=${t(`new.${id}`)} hint=${hint}>
		<input id=${id} type=${kind} inputmode=${mode} list=${list} placeholder=${placeholder} spellcheck=${false} value=${form[id]}
			aria-describedby=${hint ? `${id}-hint` : null} onInput=${(e) => set({ [id]: e.currentTarget.value })} />
	<//>`;
}

function Options({ form, set }) {
	return html`<${Panel} title=${t("new.options")}>
		<div class="form">
			<${Text} id="name" form=${form} set=${set} hint=${t("new.name_hint")} />
			<${Field} id="window" name=${t("batch.window")} hint=${t("new.window_hint")}>
				<input id="window" list="windows" spellcheck=${false} value=${form.window} aria-describedby="window-hint"
					onInput=${(e) => set({ window: e.currentTarget.value.trim() })} />
				<datalist id="windows">${WINDOWS.map((one) => html`<option value=${one} />`)}</datalist>
			<//>
			<${Text} id="canary" form=${form} set=${set} mode="numeric" placeholder="20" hint=${t("new.canary_hint")} />
			<${Field} id="endpoint" name=${t("batch.endpoint")}>
				<select id="endpoint" value=${form.endpoint} onChange=${(e) => set({ endpoint: e.currentTarget.value })}>
					${[...new Set([form.endpoint, ...ENDPOINTS])].map((one) => html`<option value=${one}>${one}</option>`)}
				</select>
			<//>
		</div>
		<details>
			<summary>${t("new.more")}</summary>
			<div class="form">
				<${Text} id="hours" form=${form} set=${set} placeholder="22:00-06:00 Europe/Berlin" hint=${t("new.hours_hint")} />
				<${Text} id="not_before" form=${form} set=${set} kind="datetime-local" />
				<${Text} id="token_budget" form=${form} set=${set} mode="numeric" hint=${t("new.token_budget_hint")} />
				<${Text} id="max_attempts" form=${form} set=${set} mode="numeric" />
				<${Field} id="metadata" name=${t("new.metadata")} hint=${t("new.metadata_hint")}>
					<textarea id="metadata" rows="3" spellcheck=${false} value=${form.metadata} aria-describedby="metadata-hint"
						onInput=${(e) => set({ metadata: e.currentTarget.value })} />
				<//>
				<div>
					<${Check} id="mixed" name=${t("new.mixed")} value=${form.mixed} set=${(mixed) => set({ mixed })} />
					<${Check} id="as_they_end" name=${t("new.as_they_end")} value=${form.as_they_end} set=${(as_they_end) => set({ as_they_end })} />
				</div>
			</div>
		</details>
	<//>`;
}

// ---- what it will take ----

function useEstimate(body) {
	const [held, set] = useState({ asking: true, data: null, fault: null });
	// Its name and metadata change nothing.
	const asked = JSON.stringify({ ...body, metadata: undefined });
	useEffect(() => {
		const abort = new AbortController();
		set((old) => ({ ...old, asking: true }));
		const timer = setTimeout(
			() =>
				post("batches/estimate", JSON.parse(asked), { signal: abort.signal })
					.then((data) => set({ asking: false, data, fault: null }))
					.catch((fault) => abort.signal.aborted || set({ asking: false, data: null, fault })),
			SETTLE_MS,
		);
		return () => {
			clearTimeout(timer);
			abort.abort();
		};
	}, [asked]);
	return held;
}

// Where a start is known and no end, the batch waits in between for whoever looks at its canary.
function whyNoEnd({ starts_at, at_risk }) {
	return t(starts_at && !at_risk ? "estimate.end_canary" : "estimate.end_unknown");
}

function Estimate({ estimate }) {
	const { asking, data, fault } = estimate;
	const now = Date.now() / 1000;
	return html`<${Panel} title=${t("estimate.title")} aside=${asking && html`<span class="muted" role="status">${t("estimate.asking")}</span>`}>
		<${Fault} fault=${fault} />
		${
			data &&
			html`<dl class="figures">
			<${Figure} name=${t("estimate.lines")} note=${data.models.join(", ")}>${number(data.lines)}<//>
			<${Figure} name=${t("numbers.input_tokens")}>${short(data.input_tokens)}<//>
			<${Figure} name=${t("numbers.output_tokens")}>${short(data.output_tokens)}<//>
			<${Figure} name=${t("batch.cost")} note=${data.cost ? null : t("numbers.no_price")}>${money(data.cost)}<//>
			<${Figure} name=${t("estimate.end")} note=${data.eta_at ? html`<${Time} at=${data.eta_at} />` : whyNoEnd(data)}>
				${data.eta_at ? duration(data.eta_at - now) : "–"} ${data.at_risk && html`<${Badge} kind="bad">${t("at_risk")}<//>`}
			<//>
		</dl>`
		}
		${!data && !fault && html`<p class="muted">${t("estimate.first")}</p>`}
	<//>`;
}

function Prepare({ file, head, back }) {
	const first = useMemo(() => firstLine(head), [head]);
	const [form, change] = useState(() => emptyForm(first));
	const key = useRef(crypto.getRandomValues(new Uint32Array(4)).join("-"));
	const set = (part) => change((old) => ({ ...old, ...part }));
	const body = bodyOf(file, form);
	const estimate = useEstimate(body);
	const found = estimate.data?.errors ?? [];
	const stops = found.length > 0 && !form.skip;
	const start = async () => {
		const batch = await post("batches", body, {
			headers: { "Idempotency-Key": `${key.current}-${hash(JSON.stringify(body))}` },
		});
		saw(batch);
		go(["batches", batch.id]);
	};
	return html`
		<${Panel}>
			<div class="chosen">
				<div><strong>${file.filename}</strong> <span class="muted number">${bytes(file.bytes)}</span></div>
				<button type="button" class="small" onClick=${back}>${t("new.other")}</button>
			</div>
		<//>
		${
			found.length > 0 &&
			html`<${Findings} found=${found} title=${t("new.findings", { n: found.length })} />
			<${Check} id="skip" name=${t("new.skip")} hint=${t("new.skip_hint")} value=${form.skip} set=${(skip) => set({ skip })} />`
		}
		${found.length === 0 && form.skip && html`<${Check} id="skip" name=${t("new.skip")} value=${true} set=${(skip) => set({ skip })} />`}
		<${Options} form=${form} set=${set} />
		<${Estimate} estimate=${estimate} />
		<div class="start">
			<${Do} kind="primary large" call=${start} disabled=${stops || estimate.asking || estimate.fault !== null}>
				${whole(form.canary) ? t("new.start_canary", { n: whole(form.canary) }) : t("new.start")}
			<//>
			<p class="muted" role="status">${stops ? t("new.stopped") : ""}</p>
		</div>`;
}

// A press that is repeated is the same call; one of another form is another.
function hash(text) {
	let h = 0;
	for (const one of text) h = (h * 31 + one.codePointAt(0)) >>> 0;
	return h.toString(36);
}

export function NewBatch({ query }) {
	const [chosen, choose] = useState(null);
	return html`<${Page} title=${t("nav.new")}>
		${
			chosen
				? html`<${Prepare} ...${chosen} back=${() => choose(null)} key=${chosen.file.id} />`
				: html`<${Panel} title=${t("new.file")}><${Choose} given=${query.get("file")} take=${(file, head) => choose({ file, head })} /><//>
				<${Panel} title=${t("new.form")}>
					<p class="muted">${t("new.form_text")}</p>
					<pre tabindex="0" role="region" aria-label=${t("new.form")}>${'{"custom_id": "review-1", "body": {"model": "…", "messages": [{"role": "user", "content": "…"}]}}\n{"custom_id": "review-2", "body": {"model": "…", "messages": [{"role": "user", "content": "…"}]}}'}</pre>
				<//>`
		}
	<//>`;
}
