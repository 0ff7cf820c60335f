// The answers of a batch in the order in which they come, a window at a time, beside their questions.
import { html, useEffect, useMemo, useRef, useState } from "../vendor/preact.js";
import { send } from "../lib/api.js";
import { ended } from "../lib/batch.js";
import { number } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { answerOf, questionOf, readLines, sharedPrefix } from "../lib/lines.js";
import { isFinal } from "../lib/live.js";
import { useSeen } from "../lib/load.js";
import { Badge, Empty, Fault, Panel } from "../lib/ui.js";

const WINDOW = 20;
const PAUSE_MS = 2000;
const LONG = 600;

// `skip`: how much of it is like that of others, and not what a person looks for.
function Text({ text, skip = 0 }) {
	const [whole, set] = useState(false);
	if (skip === 0 && text.length <= LONG) return html`<div class="text">${text}</div>`;
	const end = skip + LONG < text.length ? "…" : "";
	const part = `${skip > 0 ? "… " : ""}${text.slice(skip, skip + LONG)}${end}`;
	return html`<div class="text">${whole ? text : part}</div>
		<button type="button" class="small" aria-expanded=${whole} onClick=${() => set(!whole)}>${whole ? t("less") : t("more")}</button>`;
}

function Question({ question, skip }) {
	if (!question) return html`<span class="muted">${t("question.gone")}</span>`;
	const { system, text } = question;
	return html`${system && html`<div class="system"><span>${t("question.system")}</span> ${system}</div>`}<${Text} text=${text} skip=${skip} />`;
}

function Answer({ line: { value, raw }, question, skip }) {
	const result = value?.result;
	const { ok, code, text } = result ? answerOf(result) : { ok: false, code: "?", text: raw };
	return html`<li class="answer">
		<div class="answer-head"><span class="id">${result?.custom_id ?? "–"}</span> <${Badge} kind=${ok ? "good" : "bad"}>${code}<//></div>
		<div class="pair">
			<div><h3>${t("question")}</h3><${Question} question=${question} skip=${skip} /></div>
			<div><h3>${t("answer")}</h3><${Text} text=${text} /></div>
		</div>
	</li>`;
}

const numberOf = (line) => line.value?.number ?? 0;

// Those of a window behind `first`, if they are there from its first on.
function linesOf(lines, first) {
	const found = lines.filter((line) => numberOf(line) > first && numberOf(line) <= first + WINDOW);
	return found.length > 0 && numberOf(found[0]) === first + 1 ? found : [];
}

// `after` null: the newest, as they come, while the page is seen; of these only what is not there yet is
// asked for. A call that is under way is let end, however fast lines do.
function useAnswers(batch, after) {
	const seen = useSeen();
	const [held, set] = useState({ lines: [], first: 0, fault: null, asked: false });
	const call = useRef({
		from: 0,
		last: 0,
		lines: [],
		busy: false,
		again: false,
		abort: new AbortController(),
	}).current;
	const n = ended(batch);
	call.from = after ?? Math.max(0, n - WINDOW);
	const ask = async () => {
		if (call.busy) {
			call.again = true;
			return;
		}
		Object.assign(call, { busy: true, again: false, last: Date.now() });
		const first = call.from;
		const had = linesOf(call.lines, first);
		const behind = had.length > 0 ? numberOf(had.at(-1)) : first;
		const limit = first + WINDOW - behind;
		try {
			const query = { after: behind, limit };
			const signal = call.abort.signal;
			const answer =
				limit > 0 && (await send("GET", `batches/${batch.id}/lines`, { query, signal }));
			call.lines = answer ? [...had, ...readLines(await answer.text())] : had;
			set({ lines: call.lines, first, fault: null, asked: true });
		} catch (fault) {
			if (call.abort.signal.aborted) return;
			set((old) => ({ ...old, fault, asked: true }));
		}
		call.busy = false;
		if (call.again) ask();
	};
	useEffect(() => () => call.abort.abort(), []);
	useEffect(() => {
		if (!seen) return undefined;
		const timer = setTimeout(
			ask,
			after === null ? Math.max(0, call.last + PAUSE_MS - Date.now()) : 0,
		);
		return () => clearTimeout(timer);
	}, [call.from, Math.min(n, call.from + WINDOW), isFinal(batch), seen]);
	return held;
}

// Each line with what was asked, and how much of that all have in common.
function pairsOf(lines) {
	const pairs = lines.map((line) => {
		const request = line.value?.request;
		return { line, question: request ? questionOf(request) : null };
	});
	return { pairs, skip: sharedPrefix(pairs.flatMap(({ question }) => question?.text ?? [])) };
}

export function Answers({ batch, title, aside }) {
	const [after, go] = useState(null);
	const { lines, first, fault, asked } = useAnswers(batch, after);
	const n = ended(batch);
	const { pairs, skip } = useMemo(() => pairsOf(lines), [lines]);
	const shown = after === null ? [...pairs].reverse() : pairs;
	const turn = html`<div class="pages" role="group" aria-label=${t("pages")}>
		${lines.length > 0 && html`<span class="muted number">${t("answers.of", { from: number(first + 1), to: number(first + lines.length), n: number(n) })}</span>`}
		<button type="button" class="small" disabled=${first === 0} onClick=${() => go(0)}>${t("answers.first")}</button>
		<button type="button" class="small" disabled=${first === 0} onClick=${() => go(Math.max(0, first - WINDOW))}>${t("answers.earlier")}</button>
		<button type="button" class="small" disabled=${first + WINDOW >= n} onClick=${() => go(first + WINDOW)}>${t("answers.later")}</button>
		<button type="button" class="small" aria-pressed=${after === null} onClick=${() => go(null)}>${t("answers.newest")}</button>
	</div>`;
	return html`<${Panel} title=${title ?? t(isFinal(batch) ? "answers.all" : "answers.title")} aside=${turn}>
		${aside}
		<${Fault} fault=${fault} />
		${asked && lines.length === 0 && !fault && html`<${Empty} title=${isFinal(batch) ? t("answers.none") : t("answers.none_yet")} />`}
		${lines.length > 0 && html`<div class="answers-head" aria-hidden="true"><span>${t("question")}</span><span>${t("answer")}</span></div>`}
		<ol class="answers" reversed=${after === null}>${shown.map(({ line, question }, at) => html`<${Answer} line=${line} question=${question} skip=${skip} key=${line.value?.number ?? at} />`)}</ol>
	<//>`;
}
