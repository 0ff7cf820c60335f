// Numbers, times and sizes as people of the chosen language write them.
import { language, t } from "./i18n.js";

// "1.04M", and the day before the month.
const LOCALES = {
	en: { NumberFormat: "en-US", DateTimeFormat: "en-GB" },
	zh: { NumberFormat: "zh-CN", DateTimeFormat: "zh-CN" },
};
const made = new Map();

function formatter(kind, options) {
	const name = `${language.get()} ${kind.name} ${JSON.stringify(options)}`;
	if (!made.has(name))
		made.set(name, new kind(LOCALES[language.get()][kind.name], options));
	return made.get(name);
}

const num = (options) => formatter(Intl.NumberFormat, options);

export const number = (n) => num({}).format(n);

/** 12,300 -> 12.3K (1.2万 in Chinese). */
export const short = (n) =>
	n < 10000
		? number(Math.round(n))
		: num({ notation: "compact", maximumSignificantDigits: 3 }).format(n);

export function rate(n) {
	if (n == null) return "–";
	return num({ maximumFractionDigits: n < 10 ? 2 : n < 100 ? 1 : 0 }).format(n);
}

export function percent(part, whole) {
	if (!whole) return "0 %";
	const share = (part / whole) * 100;
	const shown = part < whole ? Math.min(share, 99.9) : share;
	return `${num({ maximumFractionDigits: shown < 10 || shown > 99 ? 1 : 0 }).format(shown)} %`;
}

export function bytes(n) {
	const units = ["B", "KiB", "MiB", "GiB", "TiB"];
	let unit = 0;
	while (n >= 1024 && unit < units.length - 1) {
		n /= 1024;
		unit++;
	}
	return `${num({ maximumFractionDigits: unit === 0 || n >= 100 ? 0 : 1 }).format(n)} ${units[unit]}`;
}

export function money(cost) {
	if (!cost) return "–";
	const options = { minimumFractionDigits: 2, maximumFractionDigits: cost.amount < 1 ? 4 : 2 };
	try {
		return num({ style: "currency", currency: cost.currency, ...options }).format(cost.amount);
	} catch {
		return `${num(options).format(cost.amount)} ${cost.currency}`;
	}
}

/** The two largest units: "3 h 12 min". */
export function duration(seconds) {
	const s = Math.max(0, Math.round(seconds));
	if (s < 60) return t("time.s", { n: s });
	const two = (a, big, b, little) =>
		b === 0
			? t(`time.${big}`, { n: a })
			: `${t(`time.${big}`, { n: a })} ${t(`time.${little}`, { n: b })}`;
	if (s < 3600) return two(Math.floor(s / 60), "min", s % 60, "s");
	if (s < 86400) return two(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "min");
	return two(Math.floor(s / 86400), "d", Math.floor((s % 86400) / 3600), "h");
}

/** "in 3 h 12 min", "3 min ago". */
export function distance(at, now) {
	const s = at - now;
	if (Math.abs(s) < 1) return t("time.now");
	return s > 0 ? t("time.in", { d: duration(s) }) : t("time.ago", { d: duration(-s) });
}

export const moment = (at) =>
	formatter(Intl.DateTimeFormat, { dateStyle: "medium", timeStyle: "medium" }).format(at * 1000);

/** The time of day, to the second. */
export const clock = (at) =>
	formatter(Intl.DateTimeFormat, { timeStyle: "medium" }).format(at * 1000);

/** The time of a day that is today, else with its date. */
export function brief(at) {
	const date = new Date(at * 1000);
	const today = date.toDateString() === new Date().toDateString();
	const clock = { hour: "2-digit", minute: "2-digit" };
	return formatter(
		Intl.DateTimeFormat,
		today ? clock : { month: "short", day: "numeric", ...clock },
	).format(date);
}
