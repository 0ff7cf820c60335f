// What pages say of a batch.
import { html } from "../vendor/preact.js";
import { get, post } from "./api.js";
import { duration, percent, short } from "./format.js";
import { t, wordOf } from "./i18n.js";
import { isFinal, saw } from "./live.js";
import { go } from "./route.js";
import { Badge, Bar, ask, say } from "./ui.js";

/** A name that a person gave it, or none. */
export const nameOf = (batch) =>
	batch.metadata?.name ?? batch.metadata?.job_name ?? batch.metadata?.title ?? null;

/** Its model is known when its file is checked; several have no one name. */
export const modelOf = (batch) =>
	batch.model ?? (batch.request_counts.total > 0 ? t("batch.models") : "–");

/** Its canary has ended: a person is to look. */
export const canaryOf = (batch) => batch.lowtide.held_by === "canary";

export const ended = (batch) => {
	const { completed, failed } = batch.request_counts;
	return completed + failed + batch.lowtide.expired + batch.lowtide.cancelled;
};

export function parts(batch) {
	const { completed, failed } = batch.request_counts;
	const { running, expired, cancelled } = batch.lowtide;
	return [
		{ kind: "completed", n: completed },
		{ kind: "failed", n: failed },
		{ kind: "ended", n: expired + cancelled },
		{ kind: "running", n: running },
	];
}

export function Progress({ batch }) {
	const { total, completed, failed } = batch.request_counts;
	if (total === 0)
		return html`<span class="muted">${isFinal(batch) ? t("progress.none") : t("progress.checking")}</span>`;
	const done = completed + failed;
	return html`<div class="progress">
		<${Bar} parts=${parts(batch)} whole=${total} label=${t("progress.words", { done, total, failed })} />
		<span class="progress-text">
			${short(done)} / ${short(total)} · ${percent(done, total)}
			${failed > 0 && html` <span class="failed-text">${t("progress.failed", { n: failed })}</span>`}
		</span>
	</div>`;
}

/** When it will be done against the end of its window. */
export function Eta({ batch }) {
	const now = Date.now() / 1000;
	if (isFinal(batch)) return html`<span class="muted">–</span>`;
	const window = t("eta.window", { d: duration(batch.expires_at - now) });
	const { eta_at, at_risk } = batch.lowtide;
	return html`<span class="eta">
		${eta_at === null ? html`<span class="muted">${t("eta.unknown")}</span>` : t("time.in", { d: duration(eta_at - now) })}
		<small>${window}</small>
		${at_risk && html`<${Badge} kind="bad">${t("at_risk")}<//>`}
	</span>`;
}

/** Why it does not move: a title, and the server's own words. */
export function stallOf(batch) {
	const { stall_reason, stall_message } = batch.lowtide;
	if (stall_reason === null) return null;
	if (canaryOf(batch)) return { title: t("stall.canary"), said: stall_message, kind: "info" };
	return {
		title: wordOf("stall", stall_reason),
		said: stall_message,
		kind: ["held", "online", "elsewhere"].includes(stall_reason) ? "info" : "warn",
	};
}

/** Whether a person has to look, and why. */
export function needs(batch) {
	const { stall_reason, at_risk } = batch.lowtide;
	if (isFinal(batch)) return null;
	if (canaryOf(batch)) return "canary";
	if (stall_reason && !["online", "held", "elsewhere", "upstream_429"].includes(stall_reason)) return "stalled";
	if (at_risk) return "at_risk";
	return null;
}

// ---- what can be done with it ----

async function change(batch, what) {
	const now = await post(`batches/${batch.id}/${what}`, {});
	saw(now);
	return now;
}

export async function cancel(batch) {
	const { total, completed, failed } = batch.request_counts;
	const sure = await ask({
		title: t("cancel.title"),
		text: t("cancel.text", { left: total - completed - failed }),
		action: t("cancel.do"),
		no: t("cancel.no"),
		danger: true,
	});
	if (sure) await change(batch, "cancel");
}

export async function hold(batch) {
	await change(batch, "hold");
	say(t("hold.done"));
}

export async function resume(batch) {
	await change(batch, "resume");
	say(t("resume.done"));
}

export async function retry(batch) {
	const { total, completed } = batch.request_counts;
	const sure = await ask({
		title: t("retry.title"),
		text: t("retry.text", { n: total - completed }),
		action: t("retry.do"),
	});
	if (!sure) return;
	const child = await post(`batches/${batch.id}/retry`, {});
	saw(child);
	go(["batches", child.id]);
}

export const load = async (id, signal) => {
	const batch = await get(`batches/${encodeURIComponent(id)}`, {}, signal);
	saw(batch);
	return batch;
};
