// For the operator: the servers that share the work, where there are several.
import { html } from "../vendor/preact.js";
import { get } from "../lib/api.js";
import { duration } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { useLoad } from "../lib/load.js";
import { Badge, Fault, Panel, Table } from "../lib/ui.js";

const EVERY_MS = 10000;

function Row({ one, known }) {
	const over = known && one.lease_left_s === 0;
	return html`<tr>
		<th scope="row">${one.address}${one.is_self && html`<small class="muted">${t("nodes.self")}</small>`}</th>
		<td>
			${over && html`<${Badge} kind="bad">${t("nodes.over")}<//> `}
			${one.draining && html`<${Badge} kind="warn">${t("nodes.draining")}<//> `}
			${one.version_differs && html`<${Badge} kind="warn">${t("nodes.version_differs")}<//> `}
			${one.config_differs && html`<${Badge} kind="warn">${t("nodes.config_differs")}<//> `}
			${one.is_leader && html`<${Badge} kind="quiet">${t("nodes.leads")}<//>`}
		</td>
		<td class="grow">${one.role === "api" ? html`<span class="muted">${t("nodes.api")}</span>` : one.upstreams.join(", ") || "–"}</td>
		<td class="number">${known ? duration(Math.round(one.lease_left_s)) : "–"}</td>
		<td class="number wide">${one.version}</td>
	</tr>`;
}

export function Nodes() {
	const load = useLoad((signal) => get("lowtide/nodes", {}, signal), [], EVERY_MS);
	const { data = [], fault = null } = load.data ?? {};
	if (data.length < 2) return null;
	return html`<${Panel} title=${t("nodes.title")}>
		<${Fault} fault=${load.fault} />
		${fault && html`<p class="said">${fault}</p>`}
		<${Table} label=${t("nodes.title")} heads=${[
			t("nodes.node"),
			t("nodes.state"),
			t("nodes.drives"),
			{ text: t("nodes.lease"), kind: "number" },
			{ text: t("nodes.version"), kind: "number wide" },
		]}>${data.map((one) => html`<${Row} one=${one} known=${fault === null} key=${one.id} />`)}<//>
	<//>`;
}
