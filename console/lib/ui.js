// The parts that pages are made of.
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { ApiError } from "./api.js";
import { brief, distance, moment } from "./format.js";
import { hasWord, t } from "./i18n.js";
import { Value, useValue } from "./value.js";

// ---- words ----

/** What went wrong, and what to do: [sentence, what the server said]. */
export function faultWords(fault) {
	if (!(fault instanceof ApiError)) return [t("fault.page"), String(fault?.message ?? fault)];
	const key = hasWord(`fault.${fault.status}`)
		? `fault.${fault.status}`
		: fault.status >= 500
			? "fault.server"
			: "fault.refused";
	return [t(key, { s: fault.retryAfter ?? "" }), fault.message];
}

export function Fault({ fault, again }) {
	if (!fault) return null;
	const [words, said] = faultWords(fault);
	return html`<div class="notice bad" role="alert">
		<p><strong>${words}</strong></p>
		${said && html`<p class="said">${said}</p>`}
		${again && html`<p><button type="button" onClick=${again}>${t("again")}</button></p>`}
	</div>`;
}

export function Notice({ kind = "info", title, children }) {
	return html`<div class="notice ${kind}">
		${title && html`<p><strong>${title}</strong></p>`}
		${children}
	</div>`;
}

/** What a load has to show while it has no data. */
export function Pending({ load }) {
	if (load.fault) return html`<${Fault} fault=${load.fault} again=${load.again} />`;
	return html`<p class="muted pending" role="status">${t("loading")}</p>`;
}

export function Empty({ title, children }) {
	return html`<div class="empty"><p class="empty-title">${title}</p>${children}</div>`;
}

// ---- small parts ----

export function Page({ title, aside, crumbs, children }) {
	const heading = useRef();
	useEffect(() => {
		document.title = `${title} – lowtide`;
	}, [title]);
	useEffect(() => heading.current?.focus({ preventScroll: true }), []);
	return html`<div class="page">
		${crumbs && html`<p class="crumbs">${crumbs}</p>`}
		<div class="page-head">
			<h1 tabindex="-1" ref=${heading}>${title}</h1>
			<div class="page-aside">${aside}</div>
		</div>
		${children}
	</div>`;
}

export function Panel({ title, aside, children, kind = "" }) {
	return html`<section class=${`panel ${kind}`}>
		${title && html`<div class="panel-head"><h2>${title}</h2><div class="panel-aside">${aside}</div></div>`}
		${children}
	</section>`;
}

/** A table that scrolls in its own box where it is too wide. */
export function Table({ label, heads, children }) {
	return html`<div class="table-box" role="region" tabindex="0" aria-label=${label}>
		<table>
			<thead>
				<tr>${heads.map((one) => html`<th scope="col" class=${one.kind ?? ""}>${one.text ?? one}</th>`)}</tr>
			</thead>
			<tbody>${children}</tbody>
		</table>
	</div>`;
}

export const Badge = ({ kind, children }) => html`<span class="badge ${kind}">${children}</span>`;

const STATUS_KIND = {
	validating: "busy",
	in_progress: "busy",
	finalizing: "busy",
	cancelling: "warn",
	completed: "good",
	failed: "bad",
	expired: "bad",
	cancelled: "quiet",
};
export const Status = ({ status }) =>
	html`<${Badge} kind=${STATUS_KIND[status] ?? "quiet"}>${t(`status.${status}`)}<//>`;

export function Time({ at, far }) {
	useClock(far ? 1000 : 0);
	if (at == null) return "–";
	return html`<time datetime=${new Date(at * 1000).toISOString()} title=${moment(at)}>
		${far ? distance(at, Date.now() / 1000) : brief(at)}
	</time>`;
}

/** Draws anew every `every_ms` while the page is seen. */
export function useClock(every_ms) {
	const [, set] = useState(0);
	useEffect(() => {
		if (every_ms === 0) return undefined;
		const timer = setInterval(() => document.hidden || set((n) => n + 1), every_ms);
		return () => clearInterval(timer);
	}, [every_ms]);
}

export const Id = ({ id, href }) =>
	href
		? html`<a class="id" href=${href} title=${id}>${shortId(id)}</a>`
		: html`<span class="id" title=${id}>${shortId(id)}</span>`;

const shortId = (id) => (id.length > 18 ? `${id.slice(0, 14)}…` : id);

export function Copy({ text, what }) {
	const [done, set] = useState(false);
	const copy = async () => {
		try {
			await navigator.clipboard.writeText(text);
			set(true);
			setTimeout(() => set(false), 1500);
		} catch {
			say(t("copy.refused"), "bad");
		}
	};
	return html`<button type="button" class="small" onClick=${copy} aria-label=${t("copy.what", { what })}>
		${done ? t("copy.done") : t("copy")}
	</button>`;
}

/** Parts of a whole, as a bar: [{kind, n}]. */
export function Bar({ parts, whole, label }) {
	let x = 0;
	return html`<svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label=${label}>
		<rect class="rest" width="1000" height="10" />
		${parts.map(({ kind, n }) => {
			const width = whole > 0 ? Math.min(1000 - x, (n / whole) * 1000) : 0;
			const rect = html`<rect class=${kind} x=${x} width=${width} height="10" />`;
			x += width;
			return rect;
		})}
	</svg>`;
}

export function Figure({ name, children, note }) {
	return html`<div class="figure"><dt>${name}</dt><dd>${children}</dd>${note && html`<dd class="note">${note}</dd>`}</div>`;
}

/** A labelled input; `children` is the input, whose id is `id`. */
export function Field({ id, name, hint, children }) {
	return html`<div class="field">
		<label for=${id}>${name}</label>
		${children}
		${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
	</div>`;
}

export function Check({ id, name, hint, value, set, disabled }) {
	return html`<div class="check">
		<input type="checkbox" id=${id} checked=${value} disabled=${disabled}
			onChange=${(event) => set(event.currentTarget.checked)} />
		<label for=${id}>${name}</label>
		${hint && html`<p class="hint">${hint}</p>`}
	</div>`;
}

// ---- said once ----

const said = new Value([]);
let count = 0;

export function say(text, kind = "good") {
	const one = { text, kind, number: count++ };
	said.set([...said.get(), one]);
	setTimeout(
		() => said.set(said.get().filter((other) => other !== one)),
		kind === "bad" ? 12000 : 5000,
	);
}

export const sayFault = (fault) => say(faultWords(fault).filter(Boolean).join(" "), "bad");

export function Said() {
	return html`<div class="said-box" role="status" aria-live="polite">
		${useValue(said).map((one) => html`<div class="toast ${one.kind}" key=${one.number}>${one.text}</div>`)}
	</div>`;
}

// ---- questions ----

const question = new Value(null);

/** Asks before what cannot be undone: a promise of what `choose(fields)` gives, or null. */
export function ask(asked) {
	return new Promise((resolve) => question.set({ ...asked, resolve }));
}

export function Question() {
	const asked = useValue(question);
	const box = useRef();
	const [ticked, tick] = useState(false);
	useEffect(() => {
		if (!asked) return;
		tick(asked.check?.value ?? false);
		box.current.showModal();
	}, [asked]);
	if (!asked) return null;
	const end = (answer) => {
		box.current.close(); // the focus goes back to where it was
		question.set(null);
		asked.resolve(answer);
	};
	return html`<dialog ref=${box} aria-labelledby="question-title" onCancel=${() => end(null)}>
		<h2 id="question-title">${asked.title}</h2>
		<p>${asked.text}</p>
		${asked.secret && html`<p class="secret"><code>${asked.secret}</code> <${Copy} text=${asked.secret} what=${asked.title} /></p>`}
		${asked.check && html`<${Check} id="question-check" name=${asked.check.name} value=${ticked} set=${tick} />`}
		<div class="buttons">
			${
				asked.action
					? html`<button type="button" class=${asked.danger ? "danger" : "primary"}
							onClick=${() => end({ ticked })}>${asked.action}</button>
						<button type="button" onClick=${() => end(null)}>${asked.no ?? t("no")}</button>`
					: html`<button type="button" class="primary" onClick=${() => end({ ticked })}>${t("close")}</button>`
			}
		</div>
	</dialog>`;
}

/** A button that calls, says what went wrong, and cannot be pressed twice. */
export function Do({ call, kind = "", children, disabled, label }) {
	const [busy, set] = useState(false);
	const press = async () => {
		set(true);
		try {
			await call();
		} catch (fault) {
			if (fault.name !== "AbortError") sayFault(fault);
		}
		set(false);
	};
	return html`<button type="button" class=${kind} disabled=${busy || disabled} aria-busy=${busy} aria-label=${label}
		onClick=${press}>${children}</button>`;
}
