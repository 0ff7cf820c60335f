// What runs, how far, and what needs a person.
import { html, useMemo, useState } from "../vendor/preact.js";
import { get, org, session } from "../lib/api.js";
import { Eta, Progress, modelOf, nameOf, needs, stallOf } from "../lib/batch.js";
import { rate } from "../lib/format.js";
import { t, wordOf } from "../lib/i18n.js";
import { batches, isFinal, saw } from "../lib/live.js";
import { useLoad } from "../lib/load.js";
import { Plot } from "../lib/plot.js";
import { link } from "../lib/route.js";
import { Empty, Fault, Page, Panel, Pending, Status, Table, Time, useClock } from "../lib/ui.js";
import { useValue } from "../lib/value.js";
import { Nodes } from "./nodes.js";
import { Upstreams } from "./upstreams.js";

const OPEN = "validating,in_progress,finalizing,cancelling";
const ROWS = 100;
const SPANS = { hour: 15000, day: 300000 };

const SERIES = { lines_per_s: "accent", tokens_per_s: "second", online_first_token_ms: "third" };

function Plots() {
	const [span, choose] = useState("hour");
	const load = useLoad((signal) => get("lowtide/history", { span }, signal), [span], SPANS[span]);
	const at = useMemo(() => {
		const { from, step_s, series } = load.data ?? { series: [] };
		return Array.from({ length: series[0]?.values.length ?? 0 }, (_, n) => from + n * step_s);
	}, [load.data]);
	const choice = html`<div class="switch" role="group" aria-label=${t("plots.span")}>
		${Object.keys(SPANS).map(
			(one) =>
				html`<button type="button" aria-pressed=${one === span} onClick=${() => choose(one)}>${t(`plots.${one}`)}</button>`,
		)}
	</div>`;
	return html`<${Panel} title=${t("plots.title")} aside=${choice}>
		${
			!load.data
				? html`<${Pending} load=${load} />`
				: html`<div class="plots">
					${load.data.series
						.filter(({ name }) => name in SERIES)
						.map(
							({
								name,
								values,
							}) => html`<${Plot} key=${name} name=${t(`plots.${name}`)} unit=${t(`plots.${name}_unit`)}
								at=${at} values=${values} kind=${SERIES[name]} />`,
						)}
				</div>`
		}
	<//>`;
}

function Needs({ open, refused }) {
	const found = open.map((batch) => ({ batch, why: needs(batch) })).filter((one) => one.why);
	if (found.length + refused.length === 0) return html`<p class="calm">${t("needs.nothing")}</p>`;
	return html`<${Panel} title=${t("needs.title")} kind="needs">
		<ul class="needs-list">
			${refused.map(
				(one) => html`<li>
				<span class="needs-why">${t(`needs.upstream_${one.state}`, { name: one.name })}</span>
				${one.said && html`<span class="said">${one.said}</span>`}
			</li>`,
			)}
			${found.map(({ batch, why }) => {
				const stall = stallOf(batch);
				return html`<li key=${batch.id}>
					<a href=${link(["batches", batch.id])}>${nameOf(batch) ?? batch.id}</a>
					<span class="needs-why">${why === "stalled" ? stall.title : t(`needs.${why}`)}</span>
					${why === "stalled" && stall.said && html`<span class="said">${stall.said}</span>`}
				</li>`;
			})}
		</ul>
	<//>`;
}

function Row({ batch }) {
	const stall = stallOf(batch);
	return html`<tr>
		<th scope="row">
			<a href=${link(["batches", batch.id])}>${nameOf(batch) ?? html`<span class="id">${batch.id.slice(0, 14)}…</span>`}</a>
			<small class="muted">${modelOf(batch)}</small>
		</th>
		<td><${Status} status=${batch.status} />${stall && html`<small class=${`stall ${stall.kind}`}>${stall.title}</small>`}</td>
		<td class="grow"><${Progress} batch=${batch} /></td>
		<td class="number wide">${batch.status === "in_progress" ? rate(batch.lowtide.rate_per_s) : "–"}</td>
		<td><${Eta} batch=${batch} /></td>
	</tr>`;
}

function Running({ open, load }) {
	useClock(5000);
	const more = html`<a href=${link(["batches"], { status: OPEN })}>${t("overview.all_open")}</a>`;
	return html`<${Panel} title=${t("overview.running")} aside=${open.length > 0 && more}>
		${
			!load.data && open.length === 0
				? html`<${Pending} load=${load} />`
				: open.length === 0
					? html`<${Empty} title=${t("overview.nothing")}>
						<p>${session.get().operator ? t("overview.nothing_org") : html`<a class="button primary" href=${link(["new"])}>${t("nav.new")}</a>`}</p>
					<//>`
					: html`<${Table} label=${t("overview.running")} heads=${[
							t("batch.name"),
							t("batch.status"),
							t("batch.progress"),
							{ text: t("batch.rate"), kind: "number wide" },
							t("batch.eta"),
						]}>${open.slice(0, ROWS).map((batch) => html`<${Row} batch=${batch} key=${batch.id} />`)}<//>`
		}
	<//>`;
}

function why(batch) {
	const found = batch.errors?.data[0];
	if (!found) return t("overview.expired");
	const words = wordOf("finding", found.code);
	return found.line === null ? words : t("overview.line", { line: found.line, words });
}

function Ended({ load }) {
	const seen = useValue(batches);
	const failed = (load.data ?? []).map((one) => seen.get(one.id) ?? one).slice(0, 5);
	if (failed.length === 0) return null;
	return html`<${Panel} title=${t("overview.failed")} aside=${html`<a href=${link(["batches"], { status: "failed,expired" })}>${t("overview.all")}</a>`}>
		<ul class="needs-list">${failed.map(
			(batch) => html`<li key=${batch.id}>
			<a href=${link(["batches", batch.id])}>${nameOf(batch) ?? batch.id}</a>
			<${Status} status=${batch.status} />
			<span class="said">${why(batch)}</span>
			<span class="muted"><${Time} at=${batch.failed_at ?? batch.expired_at} far /></span>
		</li>`,
		)}</ul>
	<//>`;
}

async function listed(status, limit, signal) {
	if (session.get().operator && !org.get()) return [];
	const { data } = await get("batches", { status, limit }, signal);
	saw(...data);
	return data;
}

export function Overview() {
	const load = useLoad((signal) => listed(OPEN, ROWS, signal), []);
	const failed = useLoad((signal) => listed("failed,expired", 5, signal), []);
	const scheduling = useLoad((signal) => get("lowtide/scheduling", {}, signal), [], 3000);
	const open = [...useValue(batches).values()]
		.filter((batch) => !isFinal(batch))
		.sort((a, b) => b.created_at - a.created_at);
	const upstreams = scheduling.data?.upstreams ?? [];
	return html`<${Page} title=${t("nav.overview")}>
		<${Needs} open=${open} refused=${upstreams.filter((one) => one.state === "refused" || one.state === "down")} />
		${load.data && html`<${Fault} fault=${load.fault} again=${load.again} />`}
		<${Running} open=${open} load=${load} />
		<${Plots} />
		<${Upstreams} load=${scheduling} />
		${session.get().operator && html`<${Nodes} />`}
		<${Ended} load=${failed} />
	<//>`;
}
