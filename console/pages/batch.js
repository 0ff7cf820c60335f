// One batch.
import { html, useState } from "../vendor/preact.js";
import { get, send, session } from "../lib/api.js";
import {
	cancel,
	canaryOf,
	ended,
	hold,
	load as loadBatch,
	modelOf,
	nameOf,
	parts,
	resume,
	retry,
	stallOf,
} from "../lib/batch.js";
import { download } from "../lib/download.js";
import { bytes, duration, money, number, percent, rate, short } from "../lib/format.js";
import { t, wordOf, hasWord } from "../lib/i18n.js";
import { batches, isFinal, rates } from "../lib/live.js";
import { answerOf, readLines } from "../lib/lines.js";
import { useLoad } from "../lib/load.js";
import { Plot } from "../lib/plot.js";
import { link } from "../lib/route.js";
import {
	Badge,
	Bar,
	Copy,
	Do,
	Fault,
	Figure,
	Notice,
	Page,
	Panel,
	Pending,
	Status,
	Table,
	Time,
	useClock,
} from "../lib/ui.js";
import { useValue } from "../lib/value.js";
import { Answers } from "./answers.js";

function Actions({ batch }) {
	const final = isFinal(batch);
	const held = batch.lowtide.held_by !== null;
	const left = batch.request_counts.total - batch.request_counts.completed;
	const cancels = !final && batch.status !== "cancelling";
	return html`<div class="buttons">
		${batch.status === "in_progress" && !held && html`<${Do} call=${() => hold(batch)}>${t("hold.do")}<//>`}
		${batch.status === "in_progress" && held && html`<${Do} kind="primary" call=${() => resume(batch)}>${t("resume.do")}<//>`}
		${cancels && html`<${Do} kind="danger" call=${() => cancel(batch)}>${t("cancel.do")}<//>`}
		${final && left > 0 && !session.get().operator && html`<${Do} call=${() => retry(batch)}>${t("retry.do")}<//>`}
	</div>`;
}

// ---- its states ----

const STEPS = [
	["created", "created_at"],
	["in_progress", "in_progress_at"],
	["finalizing", "finalizing_at"],
	["cancelling", "cancelling_at"],
	["completed", "completed_at"],
	["failed", "failed_at"],
	["expired", "expired_at"],
	["cancelled", "cancelled_at"],
];

function TimeLine({ batch }) {
	const passed = STEPS.map(([name, member]) => ({ name, at: batch[member] }))
		.filter((one) => one.at !== null)
		.sort((a, b) => a.at - b.at);
	const to_come = isFinal(batch)
		? []
		: [
				...(batch.lowtide.eta_at ? [{ name: "eta", at: batch.lowtide.eta_at, future: true }] : []),
				{ name: "window", at: batch.expires_at, future: true },
			].sort((a, b) => a.at - b.at);
	const all = [...passed, ...to_come];
	return html`<${Panel} title=${t("steps.title")}>
		<ol class="steps">
			${all.map(
				(one, n) => html`<li class=${one.future ? "future" : ""} key=${one.name}>
				<span class="step-name">${t(`step.${one.name}`)}</span>
				<span class="step-at"><${Time} at=${one.at} far=${one.future} /></span>
				${n > 0 && !one.future && html`<span class="step-took">+${duration(one.at - all[n - 1].at)}</span>`}
			</li>`,
			)}
		</ol>
	<//>`;
}

// ---- its numbers ----

function Numbers({ batch }) {
	const { total, completed, failed } = batch.request_counts;
	const { running, pending, expired, cancelled, retried, rate_per_s, eta_at, at_risk, cost } =
		batch.lowtide;
	const now = Date.now() / 1000;
	const took =
		batch.in_progress_at && isFinal(batch)
			? Math.max(1, lastAt(batch) - batch.in_progress_at)
			: null;
	return html`<${Panel} title=${t("numbers.title")}>
		<${Bar} parts=${parts(batch)} whole=${total} label=${t("progress.words", { done: completed + failed, total, failed })} />
		<dl class="figures">
			<${Figure} name=${t("numbers.done")} note=${t("numbers.of", { n: number(total) })}>${percent(completed + failed, total)}<//>
			<${Figure} name=${t("numbers.completed")} kind="completed">${number(completed)}<//>
			<${Figure} name=${t("numbers.failed")} note=${failed > 0 ? percent(failed, total) : null}>${number(failed)}<//>
			${
				!isFinal(batch) &&
				html`<${Figure} name=${t("numbers.running")}>${number(running)}<//>
				<${Figure} name=${t("numbers.pending")}>${number(pending)}<//>`
			}
			${expired > 0 && html`<${Figure} name=${t("numbers.expired")}>${number(expired)}<//>`}
			${cancelled > 0 && html`<${Figure} name=${t("numbers.cancelled")}>${number(cancelled)}<//>`}
			<${Figure} name=${t("numbers.retried")}>${number(retried)}<//>
			<${Figure} name=${t("numbers.rate")} note=${took ? t("numbers.average") : null}>${took ? rate((completed + failed) / took) : rate(rate_per_s)} <small>${t("plots.lines_per_s_unit")}</small><//>
			${
				!isFinal(batch) &&
				html`<${Figure} name=${t("batch.eta")} note=${t("eta.window", { d: duration(batch.expires_at - now) })}>
				${eta_at ? duration(eta_at - now) : "–"} ${at_risk && html`<${Badge} kind="bad">${t("at_risk")}<//>`}
			<//>`
			}
			${took !== null && html`<${Figure} name=${t("numbers.took")}>${duration(took)}<//>`}
			<${Figure} name=${t("numbers.input_tokens")} note=${batch.usage?.input_tokens_details.cached_tokens > 0 ? t("numbers.cached", { n: short(batch.usage.input_tokens_details.cached_tokens) }) : null}>${short(batch.usage?.input_tokens ?? 0)}<//>
			<${Figure} name=${t("numbers.output_tokens")}>${short(batch.usage?.output_tokens ?? 0)}<//>
			<${Figure} name=${t("batch.cost")} note=${cost ? null : t("numbers.no_price")}>${money(cost)}<//>
		</dl>
	<//>`;
}

const lastAt = (batch) =>
	batch.completed_at ?? batch.failed_at ?? batch.expired_at ?? batch.cancelled_at;

// ---- what went wrong ----

const EXAMPLES_BYTES = 256 << 10;
const EXAMPLES_LINES = 100;

// Lines in which examples are looked for: the error file's first, or while it runs those that ended last.
async function linesWithErrors(batch, signal) {
	const answer = batch.error_file_id
		? await send("GET", `files/${batch.error_file_id}/content`, {
				headers: { Range: `bytes=0-${EXAMPLES_BYTES - 1}` },
				signal,
			})
		: await send("GET", `batches/${batch.id}/results`, {
				query: { after: Math.max(0, ended(batch) - EXAMPLES_LINES), limit: EXAMPLES_LINES },
				signal,
			});
	return readLines(await answer.text())
		.map((line) => line.value)
		.filter(Boolean);
}

function Example({ line, found }) {
	if (!found) return t("errors.line", { line });
	return html`<span class="id">${found.custom_id}</span><div class="text">${answerOf(found).text.slice(0, 300)}</div>`;
}

function Errors({ batch }) {
	const top = batch.lowtide.top_errors;
	const codes = top.map((one) => one.code).join(" ");
	const load = useLoad(
		(signal) => (codes && !session.get().operator ? linesWithErrors(batch, signal) : []),
		[codes, batch.error_file_id],
	);
	if (top.length === 0) return null;
	const example = (code) =>
		load.data?.find((one) => !answerOf(one).ok && answerOf(one).code === code);
	return html`<${Panel} title=${t("errors.title")}>
		<${Table} label=${t("errors.title")} heads=${[t("errors.code"), { text: t("errors.count"), kind: "number" }, t("errors.example")]}>
			${top.map(
				(one) => html`<tr key=${one.code}>
				<th scope="row"><span class="id">${one.code}</span>${hasWord(`code.${one.code}`) && html`<small class="muted">${t(`code.${one.code}`)}</small>`}</th>
				<td class="number">${number(one.count)}</td>
				<td class="grow"><${Example} line=${one.example_line} found=${example(one.code)} /></td>
			</tr>`,
			)}
		<//>
	<//>`;
}

/** What is wrong with the file, by line. */
export function Findings({ found, title }) {
	const [shown, show] = useState(20);
	return html`<${Panel} title=${title} kind="needs">
		<${Table} label=${title} heads=${[{ text: t("findings.line"), kind: "number" }, t("findings.why"), t("findings.where")]}>
			${found.slice(0, shown).map(
				(one, n) => html`<tr key=${n}>
				<td class="number">${one.line === null ? "–" : number(one.line)}</td>
				<td class="grow">${wordOf("finding", one.code)}<small class="muted">${one.message}</small></td>
				<td class="id">${one.param ?? "–"}</td>
			</tr>`,
			)}
		<//>
		${shown < found.length && html`<p><button type="button" onClick=${() => show(shown + 200)}>${t("findings.more", { n: found.length - shown })}</button></p>`}
	<//>`;
}

// ---- its files, and what was asked ----

function FileLine({ id, name, batch }) {
	const file = useLoad((signal) => get(`files/${id}`, {}, signal), [id]);
	const gone = file.fault?.status === 404;
	return html`<li>
		<span>${t(`batch.${name}`)}</span>
		<span class="id" title=${file.data?.filename ?? id}>${file.data?.filename ?? id}</span>
		<span class="number muted">${file.data ? bytes(file.data.bytes) : ""}</span>
		${
			gone
				? html`<span class="muted">${t("file.gone")}</span>`
				: html`<${Do} kind="small" label=${t("download.what", { what: file.data?.filename ?? id })}
					call=${() => download(`files/${id}/content`, file.data?.filename ?? `${id}.jsonl`, file.data?.bytes ?? null)}>${t("download")}<//>`
		}
	</li>`;
}

function Downloads({ batch }) {
	if (session.get().operator) return null;
	const files = [
		["output", batch.output_file_id],
		["errors", batch.error_file_id],
		["input", batch.input_file_id],
	];
	return html`<${Panel} title=${t("batch.files")}>
		<ul class="file-lines">${files.filter(([, id]) => id).map(([name, id]) => html`<${FileLine} id=${id} name=${name} batch=${batch} key=${id} />`)}</ul>
		${!isFinal(batch) && html`<p class="muted">${t("batch.files_later")}</p>`}
	<//>`;
}

function Asked({ batch }) {
	const { retried_from, queue_position } = batch.lowtide;
	const rows = [
		[
			t("batch.id"),
			html`<span class="id">${batch.id}</span> <${Copy} text=${batch.id} what=${t("batch.id")} />`,
		],
		[t("batch.model"), modelOf(batch)],
		[t("batch.endpoint"), html`<span class="id">${batch.endpoint}</span>`],
		[t("batch.window"), batch.completion_window],
		...(queue_position > 0 ? [[t("batch.queue"), t("batch.queue_n", { n: queue_position })]] : []),
		...(retried_from
			? [
					[
						t("batch.retried_from"),
						html`<a class="id" href=${link(["batches", retried_from])}>${retried_from}</a>`,
					],
				]
			: []),
		...Object.entries(batch.metadata ?? {}),
	];
	return html`<${Panel} title=${t("batch.asked")}>
		<dl class="pairs">${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
	<//>`;
}

const HISTORY_MS = 60000;

// What the server knows, up to the first event that this tab has seen; then what it has seen.
function Speed({ batch }) {
	const load = useLoad(
		(signal) => get("lowtide/history", { batch: batch.id }, signal),
		[batch.id],
		HISTORY_MS,
	);
	const [at, values] = rates.get(batch.id) ?? [[], []];
	const { from, step_s, series } = load.data ?? { series: [{ values: [] }] };
	const earlier = series[0].values
		.map((value, n) => [from + n * step_s, value])
		.filter(([when]) => at.length === 0 || when < at[0]);
	return html`<${Panel} title=${t("speed.title")}>
		<${Plot} name=${t("plots.lines_per_s")} unit=${t("plots.lines_per_s_unit")} at=${[...earlier.map(([when]) => when), ...at]}
			values=${[...earlier.map(([, value]) => value), ...values]} empty=${t("speed.empty")} />
	<//>`;
}

function Canary({ batch }) {
	return html`<${Notice} title=${t("canary.title", { n: ended(batch) })}>
		<p>${t("canary.text", { left: batch.lowtide.pending })}</p>
		<div class="buttons">
			<${Do} kind="primary" call=${() => resume(batch)}>${t("canary.go")}<//>
			<${Do} kind="danger" call=${() => cancel(batch)}>${t("cancel.do")}<//>
		</div>
	<//>`;
}

function Whole({ batch }) {
	useClock(isFinal(batch) ? 0 : 1000);
	const stall = stallOf(batch);
	const canary = canaryOf(batch);
	const reads = !session.get().operator && batch.request_counts.total > 0;
	const answers =
		reads &&
		html`<${Answers} batch=${batch} key=${batch.id} title=${canary ? t("canary.answers") : null} aside=${canary && html`<${Canary} batch=${batch} />`} />`;
	return html`
		${stall && !canary && html`<${Notice} kind=${stall.kind} title=${stall.title}>${stall.said && html`<p class="said">${stall.said}</p>`}<//>`}
		${batch.errors && html`<${Findings} found=${batch.errors.data} title=${t("findings.title")} />`}
		${canary && answers}
		${(batch.request_counts.total > 0 || !isFinal(batch)) && html`<${Numbers} batch=${batch} />`}
		<div class="columns">
			<div>
				<${TimeLine} batch=${batch} />
				${batch.status === "in_progress" && html`<${Speed} batch=${batch} />`}
				<${Errors} batch=${batch} />
			</div>
			<div>
				<${Downloads} batch=${batch} />
				<${Asked} batch=${batch} />
			</div>
		</div>
		${!canary && answers}`;
}

export function Batch({ id }) {
	const load = useLoad((signal) => loadBatch(id, signal), [id]);
	const seen = useValue(batches).get(id);
	// Result files are named when it is final; the stream says so, and then the object is whole.
	const batch = seen ?? load.data;
	const crumbs = html`<a href="#/batches">${t("nav.batches")}</a>`;
	if (!batch && load.fault?.status === 404)
		return html`<${Page} title=${t("batch.missing")} crumbs=${crumbs}><p>${t("batch.missing_text", { id })}</p><//>`;
	if (!batch)
		return html`<${Page} title=${t("batch.one")} crumbs=${crumbs}><${Pending} load=${load} /><//>`;
	const title = nameOf(batch) ?? t("batch.titled", { id: batch.id.slice(0, 14) });
	return html`<${Page} title=${title} crumbs=${crumbs} aside=${html`<${Status} status=${batch.status} /><${Actions} batch=${batch} />`}>
		<${Fault} fault=${load.fault} again=${load.again} />
		<${Whole} batch=${batch} />
	<//>`;
}
