// Where the reader is: #/batches/ID?name=value.
import { Value } from "./value.js";

function read() {
	const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
	return {
		parts: path.split("/").filter(Boolean).map(decodeURIComponent),
		query: new URLSearchParams(query),
		hash: location.hash,
	};
}

export const route = new Value(read());
addEventListener("hashchange", () => route.set(read()));

/** "#/batches/ID?a=b"; members of `query` that are empty are left out. */
export function link(parts, query = {}) {
	const given = Object.entries(query).filter(([, value]) => value !== "" && value != null);
	const tail = new URLSearchParams(given).toString();
	return `#/${parts.map(encodeURIComponent).join("/")}${tail ? `?${tail}` : ""}`;
}

export function go(parts, query) {
	location.hash = link(parts, query);
}
