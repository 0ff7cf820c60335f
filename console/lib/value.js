// A value that components follow.
import { useEffect, useState } from "../vendor/preact.js";

export class Value {
	#value;
	#followers = new Set();

	constructor(value) {
		this.#value = value;
	}

	get() {
		return this.#value;
	}

	set(value) {
		if (value === this.#value) return;
		this.#value = value;
		for (const follower of [...this.#followers]) follower(value);
	}

	/** Calls `follower` at each change; returns what ends that. */
	follow(follower) {
		this.#followers.add(follower);
		return () => this.#followers.delete(follower);
	}
}

export function useValue(value) {
	const [now, set] = useState(value.get());
	useEffect(() => {
		set(value.get());
		return value.follow(set);
	}, [value]);
	return now;
}
