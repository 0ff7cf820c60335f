// Light, dark, or what the system has.
import { Value } from "./value.js";

const kept = localStorage.getItem("lowtide.theme");
export const theme = new Value(kept === "light" || kept === "dark" ? kept : "system");
/** Counts changes of what is seen, for what draws on a canvas. */
export const themeShown = new Value(0);

function apply() {
	const now = theme.get();
	if (now === "system") delete document.documentElement.dataset.theme;
	else document.documentElement.dataset.theme = now;
	themeShown.set(themeShown.get() + 1);
}
apply();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);

export function chooseTheme(name) {
	localStorage.setItem("lowtide.theme", name);
	theme.set(name);
	apply();
}
