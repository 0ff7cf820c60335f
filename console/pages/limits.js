// What an organization may have, and what it has.
import { html } from "../vendor/preact.js";
import { get, org } from "../lib/api.js";
import { bytes, number, percent } from "../lib/format.js";
import { t, wordOf } from "../lib/i18n.js";
import { useLoad } from "../lib/load.js";
import { Bar, Fault, Page, Panel, Pending, Table, Time } from "../lib/ui.js";

const amount = (name, n) => (name === "bytes" ? bytes(n) : number(n));

export function LimitRows({ limits }) {
	return html`<${Table} label=${t("limits.title")} heads=${[
		t("limits.name"),
		{ text: t("limits.use"), kind: "number" },
		{ text: t("limits.limit"), kind: "number" },
		t("limits.share"),
		{ text: t("limits.resets"), kind: "number" },
	]}>
		${limits.map(
			({ name, limit, use, resets_at }) => html`<tr key=${name}>
			<th scope="row">${wordOf("limit", name)}<small class="muted id">${name}</small></th>
			<td class="number">${amount(name, use)}</td>
			<td class="number">${limit === 0 ? html`<span class="muted">${t("limits.none")}</span>` : amount(name, limit)}</td>
			<td class="grow">${
				limit > 0 &&
				html`<${Bar} whole=${limit} label=${t("limits.words", { share: percent(use, limit) })}
				parts=${[{ kind: use >= limit ? "failed" : use >= limit * 0.8 ? "warned" : "running", n: use }]} />`
			}</td>
			<td class="number">${resets_at ? html`<${Time} at=${resets_at} far />` : "–"}</td>
		</tr>`,
		)}
	<//>`;
}

export function Limits() {
	const load = useLoad((signal) => get("lowtide/limits", {}, signal), [org.get()], 5000);
	return html`<${Page} title=${t("nav.limits")}>
		<${Panel}>
			${load.data && html`<${Fault} fault=${load.fault} />`}
			${load.data ? html`<${LimitRows} limits=${load.data.data} />` : html`<${Pending} load=${load} />`}
			<p class="muted">${t("limits.change")} <code>lowtide org limit NAME KEY=VALUE</code></p>
		<//>
	<//>`;
}
