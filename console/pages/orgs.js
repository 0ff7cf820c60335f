// For the operator: organizations, their keys, weights and limits.
import { html, useState } from "../vendor/preact.js";
import { chooseOrg, get, post, readOrgs, remove } from "../lib/api.js";
import { number } from "../lib/format.js";
import { t, wordOf } from "../lib/i18n.js";
import { useLoad } from "../lib/load.js";
import { go } from "../lib/route.js";
import {
	Badge,
	Check,
	Do,
	Fault,
	Field,
	Id,
	Page,
	Panel,
	Pending,
	Table,
	Time,
	ask,
	say,
	sayFault,
} from "../lib/ui.js";
import { LimitRows } from "./limits.js";

async function makeKey(whose) {
	const { key } = await post("lowtide/keys", whose);
	await ask({ title: t("keys.made"), text: t("keys.made_text"), secret: key });
}

function Keys({ name }) {
	const load = useLoad((signal) => get("lowtide/keys", { org: name }, signal), [name]);
	const make = async () => {
		await makeKey({ org: name });
		load.again();
	};
	const drop = async (one) => {
		const sure = await ask({
			title: t("keys.delete_title", { hint: one.hint }),
			text: t("keys.delete_text"),
			action: t("keys.delete"),
			danger: true,
		});
		if (!sure) return;
		await remove(`lowtide/keys/${one.id}`);
		say(t("keys.deleted"));
		load.again();
	};
	if (!load.data) return html`<${Pending} load=${load} />`;
	return html`<div class="panel-head"><h3>${t("keys.title")}</h3><${Do} kind="small" call=${make}>${t("keys.new")}<//></div>
		<${Fault} fault=${load.fault} />
		<${Table} label=${t("keys.title")} heads=${[t("keys.hint"), { text: t("keys.created"), kind: "number wide" }, t("keys.state"), { text: t("actions"), kind: "actions" }]}>
			${load.data.data.map(
				(one) => html`<tr key=${one.id}>
				<th scope="row"><span class="id">${one.hint}</span><small class="muted"><${Id} id=${one.id} /></small></th>
				<td class="number wide"><${Time} at=${one.created_at} /></td>
				<td><${Badge} kind=${one.revoked_at ? "quiet" : "good"}>${one.revoked_at ? t("keys.revoked") : t("keys.valid")}<//></td>
				<td class="actions">${!one.revoked_at && html`<${Do} kind="small danger" label=${t("keys.delete_what", { what: one.hint })} call=${() => drop(one)}>${t("keys.delete")}<//>`}</td>
			</tr>`,
			)}
		<//>`;
}

// What the operator sets of an organization: its weight and limits; an empty limit is the configured one.
function Settings({ one, done, back }) {
	const [weight, setWeight] = useState(String(one.weight));
	const [limits, set] = useState({});
	const save = async () => {
		const changed = Object.entries(limits).map(([name, text]) => [
			name,
			text.trim() === "" ? null : Number(text),
		]);
		await post(`lowtide/orgs/${encodeURIComponent(one.name)}`, {
			weight: Number(weight),
			limits: Object.fromEntries(changed),
		});
		say(t("orgs.saved"));
		done();
	};
	return html`<form onSubmit=${(e) => (e.preventDefault(), save().catch(sayFault))}>
		<div class="form">
			<${Field} id="org-weight" name=${t("orgs.weight")} hint=${t("orgs.weight_hint")}>
				<input id="org-weight" type="number" min="1" required value=${weight} aria-describedby="org-weight-hint"
					onInput=${(e) => setWeight(e.currentTarget.value)} />
			<//>
			${one.limits.map(
				({ name, limit }) => html`<${Field} id=${`limit-${name}`} name=${wordOf("limit", name)}>
				<input id=${`limit-${name}`} type="number" min="0" value=${limits[name] ?? String(limit)}
					onInput=${(e) => set({ ...limits, [name]: e.currentTarget.value })} />
			<//>`,
			)}
		</div>
		<p class="hint">${t("orgs.limits_hint")}</p>
		<div class="buttons"><button type="submit" class="primary">${t("save")}</button><button type="button" onClick=${back}>${t("no")}</button></div>
	</form>`;
}

function Org({ name, again }) {
	const [edits, edit] = useState(false);
	const load = useLoad(
		(signal) => get(`lowtide/orgs/${encodeURIComponent(name)}`, {}, signal),
		[name],
		10000,
	);
	const suspend = async () => {
		const sure = await ask({
			title: t("orgs.suspend_title", { name }),
			text: t("orgs.suspend_text"),
			action: t("orgs.suspend"),
			danger: true,
			check: { name: t("orgs.suspend_cancel"), value: false },
		});
		if (!sure) return;
		await post(`lowtide/orgs/${encodeURIComponent(name)}/suspend`, { cancel: sure.ticked });
		load.again();
		again();
	};
	const resume = async () => {
		await post(`lowtide/orgs/${encodeURIComponent(name)}/resume`, {});
		load.again();
		again();
	};
	if (!load.data) return html`<${Pending} load=${load} />`;
	const one = load.data;
	const look = () => {
		chooseOrg(name);
		go(["batches"]);
	};
	return html`<div class="buttons">
			<button type="button" onClick=${look}>${t("orgs.look")}</button>
			<button type="button" aria-expanded=${edits} onClick=${() => edit(!edits)}>${t("orgs.edit")}</button>
			${one.suspended_at ? html`<${Do} kind="primary" call=${resume}>${t("orgs.resume")}<//>` : html`<${Do} kind="danger" call=${suspend}>${t("orgs.suspend")}<//>`}
		</div>
		<p class="muted">${t("orgs.weight_text", { weight: one.weight })}</p>
		${
			edits
				? html`<${Settings} one=${one} back=${() => edit(false)} done=${() => (edit(false), load.again(), again())} />`
				: html`<${LimitRows} limits=${one.limits} />`
		}
		<${Keys} name=${name} />`;
}

function NewKey({ done }) {
	const [name, set] = useState("");
	const [operator, setOperator] = useState(false);
	const make = async () => {
		await makeKey(operator ? { operator: true } : { org: name.trim() });
		done();
	};
	return html`<${Panel} title=${t("orgs.new")}>
		<form onSubmit=${(e) => (e.preventDefault(), make().catch(sayFault))}>
			<div class="form">
				<${Field} id="new-org" name=${t("orgs.name")} hint=${t("orgs.new_hint")}>
					<input id="new-org" required=${!operator} disabled=${operator} value=${name} spellcheck=${false} aria-describedby="new-org-hint"
						onInput=${(e) => set(e.currentTarget.value)} />
				<//>
				<${Check} id="new-operator" name=${t("orgs.operator")} value=${operator} set=${setOperator} />
			</div>
			<div class="buttons"><button type="submit" class="primary">${t("keys.new")}</button></div>
		</form>
	<//>`;
}

export function Orgs() {
	const load = useLoad((signal) => get("lowtide/orgs", {}, signal), []);
	const [opened, open] = useState(null);
	const again = () => {
		load.again();
		readOrgs().catch(sayFault);
	};
	return html`<${Page} title=${t("nav.orgs")}>
		<${Panel}>
			${load.data && html`<${Fault} fault=${load.fault} again=${load.again} />`}
			${
				!load.data
					? html`<${Pending} load=${load} />`
					: html`<${Table} label=${t("nav.orgs")} heads=${[
							t("orgs.name"),
							t("keys.state"),
							{ text: t("orgs.weight"), kind: "number wide" },
							{ text: t("orgs.keys"), kind: "number wide" },
							{ text: t("orgs.since"), kind: "number wide" },
							{ text: t("actions"), kind: "actions" },
						]}>${load.data.data.map(
							(one) => html`<tr key=${one.id}>
						<th scope="row">${one.name}</th>
						<td><${Badge} kind=${one.suspended_at ? "bad" : "good"}>${one.suspended_at ? t("orgs.suspended") : t("orgs.active")}<//></td>
						<td class="number wide">${number(one.weight)}</td>
						<td class="number wide">${number(one.keys)}</td>
						<td class="number wide"><${Time} at=${one.created_at} /></td>
						<td class="actions"><button type="button" class="small" aria-expanded=${opened === one.name} aria-label=${t("orgs.open_what", { what: one.name })}
							onClick=${() => open(opened === one.name ? null : one.name)}>${t("orgs.open")}</button></td>
					</tr>`,
						)}<//>`
			}
		<//>
		${opened !== null && html`<${Panel} title=${opened} key=${opened}><${Org} name=${opened} again=${again} /><//>`}
		<${NewKey} done=${again} />
	<//>`;
}
