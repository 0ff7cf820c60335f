// Request lines and result lines, as a person reads them.
import { t } from "./i18n.js";

const textOf = (content) => {
	if (typeof content === "string") return content;
	if (!Array.isArray(content)) return null;
	return content.map((part) => part.text ?? `[${part.type ?? "?"}]`).join("\n");
};

const pretty = (value) => JSON.stringify(value, null, 2);

function textOfBody(body) {
	if (body?.choices?.[0])
		return (
			textOf(body.choices[0].message?.content) ??
			body.choices[0].text ??
			pretty(body.choices[0].message)
		);
	if (Array.isArray(body?.output))
		return body.output
			.map((one) => textOf(one.content))
			.filter(Boolean)
			.join("\n");
	if (Array.isArray(body?.content)) return textOf(body.content);
	if (Array.isArray(body?.data?.[0]?.embedding))
		return t("answer.vector", { n: body.data[0].embedding.length });
	return pretty(body);
}

/** {ok, code, text} of a result line. */
export function answerOf({ response, error }) {
	if (error) return { ok: false, code: error.code ?? t("answer.error"), text: error.message ?? "" };
	const { status_code: status, body } = response;
	if (status >= 200 && status < 300)
		return { ok: true, code: String(status), text: textOfBody(body) };
	return { ok: false, code: String(status), text: body?.error?.message ?? pretty(body) };
}

/** {system, text} of a request line. */
export function questionOf({ body = {} }) {
	if (Array.isArray(body.messages)) {
		const last = body.messages[body.messages.length - 1];
		const system = body.system ?? body.messages.find((one) => one.role === "system")?.content;
		return { system: textOf(system), text: textOf(last?.content) ?? "" };
	}
	const text = body.prompt ?? body.input ?? body.query;
	return {
		system: textOf(body.instructions),
		text: typeof text === "string" ? text : pretty(text ?? body),
	};
}

const SHARED_LEAST = 80;
const WORD_MOST = 40;

/**
 * With how many characters all texts begin alike, up to where the word begins in which they part; 0: with
 * few, or there is nothing else in them. (Scripts without spaces part anywhere.)
 */
export function sharedPrefix(texts) {
	const [first = ""] = texts;
	if (texts.every((text) => text === first)) return 0;
	let n = Math.min(...texts.map((text) => text.length));
	for (const text of texts) {
		let same = 0;
		while (same < n && text[same] === first[same]) same++;
		n = same;
	}
	const word = first.slice(0, n).search(/\S*$/);
	if (n - word < WORD_MOST) n = word;
	else if (/[\uD800-\uDBFF]/.test(first[n - 1])) n--;
	return n < SHARED_LEAST ? 0 : n;
}

/** Lines of newline-delimited JSON: [{raw, value}]; value null: it is none. */
export function readLines(text) {
	return text
		.split("\n")
		.filter(Boolean)
		.map((raw) => {
			try {
				return { raw, value: JSON.parse(raw) };
			} catch {
				return { raw, value: null };
			}
		});
}
