// What a page has asked the server for.
import { useCallback, useEffect, useRef, useState } from "../vendor/preact.js";

/**
 * Calls `ask(signal)` at first, whenever one of `needs` changes, and every `every_ms` while the page is
 * seen. {data, fault, asking, again}: data is the last that came; a fault leaves it.
 */
export function useLoad(ask, needs, every_ms = 0) {
	const [held, set] = useState({ data: null, fault: null, asking: true });
	const asked = useRef(ask);
	const round = useRef(0);
	const [turn, setTurn] = useState(0);
	asked.current = ask;

	useEffect(() => {
		const abort = new AbortController();
		const mine = ++round.current;
		let timer = null;
		const call = async () => {
			clearTimeout(timer);
			timer = null;
			try {
				const data = await asked.current(abort.signal);
				if (mine === round.current) set({ data, fault: null, asking: false });
			} catch (fault) {
				if (abort.signal.aborted) return;
				if (fault.status === undefined) console.error(fault);
				if (mine === round.current) set((old) => ({ data: old.data, fault, asking: false }));
			}
			if (every_ms > 0 && !abort.signal.aborted && !document.hidden)
				timer = setTimeout(next, every_ms);
		};
		const next = () => {
			timer = null;
			if (!document.hidden) call();
		};
		const seen = () => {
			if (every_ms > 0 && !document.hidden && timer === null) call();
		};
		set((old) => ({ ...old, asking: true }));
		call();
		document.addEventListener("visibilitychange", seen);
		return () => {
			abort.abort();
			clearTimeout(timer);
			document.removeEventListener("visibilitychange", seen);
		};
	}, [...needs, turn]);

	const again = useCallback(() => setTurn((n) => n + 1), []);
	return { ...held, again };
}

/** Whether somebody sees the page. */
export function useSeen() {
	const [seen, set] = useState(!document.hidden);
	useEffect(() => {
		const look = () => set(!document.hidden);
		document.addEventListener("visibilitychange", look);
		return () => document.removeEventListener("visibilitychange", look);
	}, []);
	return seen;
}
