// All batches: filters by the server's index, a page at a time.
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { get } from "../lib/api.js";
import { Eta, Progress, nameOf, stallOf } from "../lib/batch.js";
import { money } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { batches, saw } from "../lib/live.js";
import { useLoad } from "../lib/load.js";
import { go, link } from "../lib/route.js";
import {
	Empty,
	Fault,
	Field,
	Page,
	Panel,
	Pending,
	Status,
	Table,
	Time,
	useClock,
} from "../lib/ui.js";
import { useValue } from "../lib/value.js";

const STATUSES = [
	"validating",
	"in_progress",
	"finalizing",
	"completed",
	"failed",
	"expired",
	"cancelling",
	"cancelled",
];
const OPEN = "validating,in_progress,finalizing,cancelling";
const PAGE = 50;

const toSeconds = (local) => (local ? Math.floor(new Date(local).getTime() / 1000) : "");

// "team=red" -> metadata[team]=red
function metadataOf(text) {
	const at = text.indexOf("=");
	return at > 0 ? { [`metadata[${text.slice(0, at).trim()}]`]: text.slice(at + 1).trim() } : {};
}

function queryOf(q) {
	return {
		status: q.get("status"),
		created_after: toSeconds(q.get("from")),
		created_before: toSeconds(q.get("until")),
		...metadataOf(q.get("metadata") ?? ""),
		after: q.get("after"),
		limit: PAGE,
	};
}

// The pages before this one, by their cursors; a link from elsewhere knows none.
const trail = new Map();

function Filters({ query }) {
	const [id, setId] = useState("");
	const [metadata, setMetadata] = useState(query.get("metadata") ?? "");
	const filters = {
		status: query.get("status"),
		from: query.get("from"),
		until: query.get("until"),
		metadata: query.get("metadata"),
	};
	const set = (name, value) => go(["batches"], { ...filters, [name]: value });
	const any = Object.values(filters).some(Boolean);
	const bad = metadata !== "" && !metadata.includes("=");
	return html`<div class="filters">
		<form onSubmit=${(e) => (e.preventDefault(), id.trim() && go(["batches", id.trim()]))}>
			<${Field} id="by-id" name=${t("filter.id")}>
				<input id="by-id" type="search" placeholder="batch_…" spellcheck=${false} value=${id} onInput=${(e) => setId(e.currentTarget.value)} />
			<//>
		</form>
		<${Field} id="by-status" name=${t("filter.status")}>
			<select id="by-status" value=${filters.status ?? ""} onChange=${(e) => set("status", e.currentTarget.value)}>
				<option value="">${t("filter.any")}</option>
				<option value=${OPEN}>${t("filter.open")}</option>
				<option value="failed,expired">${t("filter.bad")}</option>
				${STATUSES.map((one) => html`<option value=${one}>${t(`status.${one}`)}</option>`)}
			</select>
		<//>
		<form onSubmit=${(e) => (e.preventDefault(), bad || set("metadata", metadata.trim()))}>
			<${Field} id="by-metadata" name=${t("filter.metadata")} hint=${bad ? t("filter.metadata_form") : null}>
				<input id="by-metadata" type="search" placeholder="team=red" spellcheck=${false} value=${metadata} aria-invalid=${bad}
					onInput=${(e) => setMetadata(e.currentTarget.value)}
					onBlur=${() => !bad && metadata.trim() !== (filters.metadata ?? "") && set("metadata", metadata.trim())} />
			<//>
		</form>
		<${Field} id="by-from" name=${t("filter.from")}>
			<input id="by-from" type="datetime-local" value=${filters.from ?? ""} onChange=${(e) => set("from", e.currentTarget.value)} />
		<//>
		<${Field} id="by-until" name=${t("filter.until")}>
			<input id="by-until" type="datetime-local" value=${filters.until ?? ""} onChange=${(e) => set("until", e.currentTarget.value)} />
		<//>
		${any && html`<button type="button" class="filters-clear" onClick=${() => (setMetadata(""), go(["batches"]))}>${t("filter.clear")}</button>`}
	</div>`;
}

function Row({ batch }) {
	const stall = stallOf(batch);
	return html`<tr>
		<th scope="row">
			<a href=${link(["batches", batch.id])}>${nameOf(batch) ?? html`<span class="id">${batch.id.slice(0, 18)}…</span>`}</a>
			<small class="muted">${batch.model ?? ""}${nameOf(batch) && html` <span class="id">${batch.id.slice(0, 14)}…</span>`}</small>
		</th>
		<td><${Status} status=${batch.status} />${stall && html`<small class=${`stall ${stall.kind}`}>${stall.title}</small>`}</td>
		<td class="grow"><${Progress} batch=${batch} /></td>
		<td><${Eta} batch=${batch} /></td>
		<td class="number wide">${money(batch.lowtide.cost)}</td>
		<td class="number wide"><${Time} at=${batch.created_at} /></td>
	</tr>`;
}

function Pages({ query, data }) {
	const after = query.get("after") ?? "";
	const filters = Object.fromEntries([...query].filter(([name]) => name !== "after"));
	const back = trail.get(after);
	const next = () => {
		trail.set(data.last_id, after);
		go(["batches"], { ...filters, after: data.last_id });
	};
	if (!after && !data.has_more) return null;
	return html`<div class="pages" role="group" aria-label=${t("pages")}>
		<button type="button" disabled=${!after} onClick=${() => go(["batches"], filters)}>${t("pages.first")}</button>
		<button type="button" disabled=${!after || back === undefined} onClick=${() => go(["batches"], { ...filters, after: back })}>${t("pages.back")}</button>
		<button type="button" disabled=${!data.has_more} onClick=${next}>${t("pages.next")}</button>
	</div>`;
}

export function Batches({ query }) {
	const text = query.toString();
	const load = useLoad(
		async (signal) => {
			const found = await get("batches", queryOf(query), signal);
			saw(...found.data);
			return found;
		},
		[text],
	);
	const seen = useValue(batches);
	useClock(10000);
	// A batch that is made while the first page is looked at is shown soon.
	const newest = useRef(0);
	useEffect(() => {
		if (load.data && !query.get("after")) newest.current = load.data.data[0]?.created_at ?? 0;
	}, [load.data]);
	useEffect(() => {
		if (!load.data || query.get("after")) return undefined;
		const known = new Set(load.data.data.map((one) => one.id));
		const more = [...seen.values()].some(
			(one) => one.created_at >= newest.current && !known.has(one.id),
		);
		if (!more || text !== "") return undefined;
		const timer = setTimeout(load.again, 1500);
		return () => clearTimeout(timer);
	}, [seen.size]);

	const rows = load.data?.data.map((one) => seen.get(one.id) ?? one) ?? [];
	const filtered = [...query.keys()].some((name) => name !== "after");
	return html`<${Page} title=${t("nav.batches")}>
		<${Filters} query=${query} key=${query.get("metadata")} />
		<${Panel}>
			${load.data && html`<${Fault} fault=${load.fault} again=${load.again} />`}
			${
				!load.data || (load.fault && rows.length === 0)
					? html`<${Pending} load=${load} />`
					: rows.length === 0
						? html`<${Empty} title=${filtered ? t("batches.none_here") : t("batches.none")}>
							<p>${filtered ? t("batches.none_here_do") : html`<a class="button primary" href=${link(["new"])}>${t("nav.new")}</a>`}</p>
						<//>`
						: html`<${Table} label=${t("nav.batches")} heads=${[
								t("batch.name"),
								t("batch.status"),
								t("batch.progress"),
								t("batch.eta"),
								{ text: t("batch.cost"), kind: "number wide" },
								{ text: t("batch.created"), kind: "number wide" },
							]}>${rows.map((batch) => html`<${Row} batch=${batch} key=${batch.id} />`)}<//>`
			}
			${load.data && html`<${Pages} query=${query} data=${load.data} />`}
		<//>
	<//>`;
}
