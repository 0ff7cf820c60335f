// Webhooks: who is told that a batch has ended, and what came of it.
import { html, useState } from "../vendor/preact.js";
import { get, post, remove } from "../lib/api.js";
import { number } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { useLoad } from "../lib/load.js";
import {
	Badge,
	Check,
	Do,
	Empty,
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

const TYPES = ["batch.completed", "batch.failed", "batch.expired", "batch.cancelled"];

const showSecret = (secret) =>
	ask({ title: t("webhooks.secret"), text: t("webhooks.secret_text"), secret });

function Form({ endpoint, done, back }) {
	const [name, setName] = useState(endpoint?.name ?? "");
	const [url, setUrl] = useState(endpoint?.url ?? "https://");
	const [types, setTypes] = useState(endpoint?.event_types ?? TYPES);
	const toggle = (type, on) =>
		setTypes(TYPES.filter((one) => (one === type ? on : types.includes(one))));
	const save = async () => {
		const made = await post(endpoint ? `webhook_endpoints/${endpoint.id}` : "webhook_endpoints", {
			name,
			url,
			event_types: types,
		});
		if (made.signing_secret) await showSecret(made.signing_secret);
		done();
	};
	return html`<form onSubmit=${(e) => (e.preventDefault(), save().catch(sayFault))}>
		<div class="form">
			<${Field} id="hook-name" name=${t("webhooks.name")}>
				<input id="hook-name" required value=${name} onInput=${(e) => setName(e.currentTarget.value)} />
			<//>
			<${Field} id="hook-url" name=${t("webhooks.url")} hint=${t("webhooks.url_hint")}>
				<input id="hook-url" type="url" required value=${url} aria-describedby="hook-url-hint" onInput=${(e) => setUrl(e.currentTarget.value)} />
			<//>
			<fieldset>
				<legend>${t("webhooks.types")}</legend>
				${TYPES.map((type) => html`<${Check} id=${`hook-${type}`} name=${t(`event.${type}`)} value=${types.includes(type)} set=${(on) => toggle(type, on)} />`)}
			</fieldset>
		</div>
		<div class="buttons">
			<button type="submit" class="primary" disabled=${types.length === 0}>${endpoint ? t("save") : t("webhooks.add")}</button>
			<button type="button" onClick=${back}>${t("no")}</button>
		</div>
	</form>`;
}

function Delivery({ one, path, again }) {
	const state = one.status >= 200 && one.status < 300 ? "good" : one.next_at ? "warn" : "bad";
	const replay = async () => {
		await post(`${path}/${one.id}/replay`, {});
		say(t("webhooks.replayed"));
		again();
	};
	return html`<tr>
		<th scope="row">${t(`event.${one.type}`)}<small class="muted"><${Id} id=${one.id} /></small></th>
		<td><${Badge} kind=${state}>${one.status ?? (one.attempts > 0 ? t("webhooks.unanswered") : t("webhooks.waits"))}<//>
			${one.error && html`<small class="said">${one.error}</small>`}</td>
		<td class="number">${number(one.attempts)}</td>
		<td class="number">${one.latency_ms === null ? "–" : `${number(one.latency_ms)} ms`}</td>
		<td class="number"><${Time} at=${one.at} /></td>
		<td class="number">${one.next_at ? html`<${Time} at=${one.next_at} far />` : "–"}</td>
		<td class="actions"><${Do} kind="small" label=${t("webhooks.replay_what", { what: one.id })} call=${replay}>${t("webhooks.replay")}<//></td>
	</tr>`;
}

function Deliveries({ endpoint }) {
	const path = `webhook_endpoints/${endpoint.id}/deliveries`;
	const load = useLoad((signal) => get(path, {}, signal), [endpoint.id], 10000);
	if (!load.data) return html`<${Pending} load=${load} />`;
	const rows = load.data.data;
	if (rows.length === 0) return html`<p class="muted">${t("webhooks.no_deliveries")}</p>`;
	const right = (key) => ({ text: t(key), kind: "number" });
	return html`<${Fault} fault=${load.fault} />
		<${Table} label=${t("webhooks.deliveries_of", { name: endpoint.name })} heads=${[
			t("webhooks.event"),
			t("webhooks.status"),
			right("webhooks.attempts"),
			right("webhooks.latency"),
			right("webhooks.at"),
			right("webhooks.next"),
			{ text: t("actions"), kind: "actions" },
		]}>${rows.map((one) => html`<${Delivery} one=${one} path=${path} again=${load.again} key=${one.id} />`)}<//>`;
}

function Endpoint({ endpoint, again }) {
	const [edits, edit] = useState(false);
	const [opened, open] = useState(false);
	const path = `webhook_endpoints/${endpoint.id}`;
	const test = async () => {
		const { status_code } = await post(`${path}/test`, {});
		say(t("webhooks.tested", { status: status_code }), status_code < 300 ? "good" : "bad");
	};
	const rotate = async () => {
		const sure = await ask({
			title: t("webhooks.rotate_title"),
			text: t("webhooks.rotate_text"),
			action: t("webhooks.rotate"),
			danger: true,
			check: { name: t("webhooks.keep_old"), value: true },
		});
		if (!sure) return;
		const { signing_secret } = await post(`${path}/rotate_secret`, {
			keep_old_secret_active_for_24_hours: sure.ticked,
		});
		await showSecret(signing_secret);
		again();
	};
	const drop = async () => {
		const sure = await ask({
			title: t("webhooks.delete_title", { name: endpoint.name }),
			text: t("webhooks.delete_text"),
			action: t("delete"),
			danger: true,
		});
		if (!sure) return;
		await remove(path);
		again();
	};
	const buttons = html`<${Do} kind="small" call=${test}>${t("webhooks.test")}<//>
		<button type="button" class="small" aria-expanded=${edits} onClick=${() => edit(!edits)}>${t("edit")}</button>
		<${Do} kind="small" call=${rotate}>${t("webhooks.rotate")}<//>
		<${Do} kind="small danger" label=${t("delete.what", { what: endpoint.name })} call=${drop}>${t("delete")}<//>`;
	return html`<${Panel} title=${endpoint.name} aside=${html`<div class="buttons">${buttons}</div>`}>
		${
			edits
				? html`<${Form} endpoint=${endpoint} back=${() => edit(false)} done=${() => (edit(false), again())} />`
				: html`<dl class="pairs">
					<div><dt>${t("webhooks.url")}</dt><dd class="id">${endpoint.url}</dd></div>
					<div><dt>${t("webhooks.types")}</dt><dd>${endpoint.event_types.map((type) => t(`event.${type}`)).join(", ")}</dd></div>
					<div><dt>${t("webhooks.hint")}</dt><dd class="id">${endpoint.signing_secret_hint}</dd></div>
					${endpoint.old_secret_expires_at && html`<div><dt>${t("webhooks.old_until")}</dt><dd><${Time} at=${endpoint.old_secret_expires_at} /></dd></div>`}
				</dl>`
		}
		<p><button type="button" class="small" aria-expanded=${opened} onClick=${() => open(!opened)}>${t("webhooks.deliveries")}</button></p>
		${opened && html`<${Deliveries} endpoint=${endpoint} />`}
	<//>`;
}

export function Webhooks() {
	const load = useLoad((signal) => get("webhook_endpoints", { limit: 100 }, signal), []);
	const [adds, add] = useState(false);
	const button = html`<button type="button" class="primary" aria-expanded=${adds} onClick=${() => add(!adds)}>${t("webhooks.new")}</button>`;
	return html`<${Page} title=${t("nav.webhooks")} aside=${button}>
		${adds && html`<${Panel} title=${t("webhooks.new")}><${Form} back=${() => add(false)} done=${() => (add(false), load.again())} /><//>`}
		${load.data && html`<${Fault} fault=${load.fault} again=${load.again} />`}
		${
			!load.data
				? html`<${Pending} load=${load} />`
				: load.data.data.length === 0 && !adds
					? html`<${Panel}><${Empty} title=${t("webhooks.none")}><p class="muted">${t("webhooks.none_text")}</p><//><//>`
					: load.data.data.map(
							(one) => html`<${Endpoint} endpoint=${one} again=${load.again} key=${one.id} />`,
						)
		}
	<//>`;
}
