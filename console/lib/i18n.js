// The words of the console in the language that the reader has chosen, else the browser's.
import en from "../words/en.js";
import zh from "../words/zh.js";
import { Value } from "./value.js";

const tables = { en, zh };
export const languages = { en: "English", zh: "中文" };

function ofBrowser() {
	const wanted = navigator.languages ?? [navigator.language];
	return wanted.map((one) => one.slice(0, 2).toLowerCase()).find((one) => one in tables) ?? "en";
}

const kept = localStorage.getItem("lowtide.language");
export const language = new Value(kept in tables ? kept : ofBrowser());

function apply(now) {
	document.documentElement.lang = now === "zh" ? "zh-Hans" : "en";
}
apply(language.get());
language.follow(apply);

export function chooseLanguage(name) {
	localStorage.setItem("lowtide.language", name);
	language.set(name);
}

export function hasWord(key) {
	return key in en;
}

/** The text of `key`. "{n} line|{n} lines" has a form for one and one for others. */
export function t(key, values = {}) {
	let text = tables[language.get()][key] ?? key;
	if (text.includes("|")) text = text.split("|")[values.n === 1 ? 0 : 1];
	return text.replace(/\{(\w+)\}/g, (whole, name) => {
		const value = values[name];
		if (typeof value === "number") return new Intl.NumberFormat(language.get()).format(value);
		return value ?? whole;
	});
}

/** The word for a code of the API, else the code itself. */
export function wordOf(kind, code) {
	return hasWord(`${kind}.${code}`) ? t(`${kind}.${code}`) : String(code);
}
