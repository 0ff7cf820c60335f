// Calls to the public API of the server that this page came from. The key is kept in session storage
// only: another tab, and this one after it was closed, asks for it again.
import { Value } from "./value.js";

const base = new URL("../v1/", document.baseURI).href;
const KEY = "lowtide.key";
const ORG = "lowtide.org";

/** What is known of the key: state "asking" | "out" | "in" | "fault"; operator. */
export const session = new Value({ state: "asking" });
/** The names of all organizations, which an operator may look at. */
export const orgs = new Value([]);
/** The organization that an operator looks at. */
export const org = new Value(sessionStorage.getItem(ORG) ?? "");

export class ApiError extends Error {
	/** status 0: no answer came. */
	constructor(status, error = {}, retryAfter = null) {
		super(error.message ?? "");
		this.status = status;
		this.code = error.code ?? null;
		this.param = error.param ?? null;
		this.retryAfter = retryAfter;
	}
}

function headersOf(more) {
	const key = sessionStorage.getItem(KEY);
	return { ...(key ? { Authorization: `Bearer ${key}` } : {}), ...more };
}

// Calls that an operator makes for an organization name it.
const FOR_AN_ORG = /^(batches|lowtide\/(events|limits))\b/;

function urlOf(path, query = {}) {
	const url = new URL(path, base);
	for (const [name, value] of Object.entries(query)) {
		for (const one of [value].flat())
			if (one !== "" && one != null) url.searchParams.append(name, one);
	}
	if (session.get().operator && FOR_AN_ORG.test(path)) url.searchParams.set("org", org.get());
	return url.href;
}

function errorOf(status, text, retryAfter = null) {
	let error = {};
	try {
		error = JSON.parse(text).error ?? {};
	} catch {
		error = { message: text.slice(0, 300) };
	}
	if (status === 401) signOut("refused");
	return new ApiError(status, error, retryAfter);
}

/** The answer as it comes; throws ApiError for what is no 2xx. */
export async function send(method, path, { query, body, headers, signal } = {}) {
	let answer;
	try {
		answer = await fetch(urlOf(path, query), {
			method,
			headers: headersOf({
				...(body === undefined ? {} : { "Content-Type": "application/json" }),
				...headers,
			}),
			body: body === undefined ? undefined : JSON.stringify(body),
			cache: "no-store",
			signal,
		});
	} catch (fault) {
		if (signal?.aborted) throw fault;
		throw new ApiError(0);
	}
	if (answer.ok) return answer;
	throw errorOf(
		answer.status,
		await answer.text().catch(() => ""),
		answer.headers.get("retry-after"),
	);
}

async function json(answer) {
	try {
		return await answer.json();
	} catch (fault) {
		if (fault.name === "AbortError") throw fault;
		throw new ApiError(0);
	}
}

export const get = async (path, query, signal) => json(await send("GET", path, { query, signal }));
export const post = async (path, body, more) => json(await send("POST", path, { body, ...more }));
export const remove = async (path) => json(await send("DELETE", path));

/** An upload: fetch does not tell how far a body has gone. */
export function sendForm(path, form, { headers, signal, progress }) {
	return new Promise((resolve, reject) => {
		const xhr = new XMLHttpRequest();
		const abort = () => xhr.abort();
		xhr.open("POST", urlOf(path));
		for (const [name, value] of Object.entries(headersOf(headers)))
			xhr.setRequestHeader(name, value);
		xhr.upload.onprogress = (event) => progress(event.loaded);
		xhr.onload = () => {
			if (xhr.status >= 200 && xhr.status < 300) resolve(JSON.parse(xhr.responseText));
			else reject(errorOf(xhr.status, xhr.responseText, xhr.getResponseHeader("retry-after")));
		};
		xhr.onerror = () => reject(new ApiError(0));
		xhr.onabort = () => reject(new DOMException("", "AbortError"));
		signal?.addEventListener("abort", abort, { once: true });
		xhr.onloadend = () => signal?.removeEventListener("abort", abort);
		xhr.send(form);
	});
}

// ---- the key ----

export function signOut(why = null) {
	sessionStorage.removeItem(KEY);
	sessionStorage.removeItem(ORG);
	org.set("");
	session.set({ state: "out", why });
}

/** Asks the server whose key it is. */
export async function signIn() {
	const had = sessionStorage.getItem(KEY) !== null;
	session.set({ state: "asking" });
	try {
		await get("lowtide/limits");
		session.set({ state: "in", operator: false, key: had });
	} catch (fault) {
		if (fault.status === 401) signOut(had ? "refused" : null);
		else if (fault.status === 400 && fault.param === "org") await signInOperator();
		else session.set({ state: "fault", fault });
	}
}

export async function readOrgs() {
	orgs.set((await get("lowtide/orgs")).data.map((one) => one.name));
}

async function signInOperator() {
	try {
		await readOrgs();
		const names = orgs.get();
		if (!names.includes(org.get()))
			chooseOrg(names.includes("default") ? "default" : (names[0] ?? ""));
		session.set({ state: "in", operator: true, key: true });
	} catch (fault) {
		session.set({ state: "fault", fault });
	}
}

export function enterKey(key) {
	sessionStorage.setItem(KEY, key);
	return signIn();
}

export function chooseOrg(name) {
	sessionStorage.setItem(ORG, name);
	org.set(name);
}
