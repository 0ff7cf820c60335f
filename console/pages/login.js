// The key, asked for once a tab.
import { html, useState } from "../vendor/preact.js";
import { enterKey } from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { Field, Notice } from "../lib/ui.js";

export function Login({ why }) {
	const [key, set] = useState("");
	const enter = (event) => {
		event.preventDefault();
		if (key.trim()) enterKey(key.trim());
	};
	return html`<form class="login panel" onSubmit=${enter}>
		<h1>${t("login.title")}</h1>
		${why === "refused" && html`<div role="alert"><${Notice} kind="bad" title=${t("login.refused")}><p>${t("login.refused_do")}</p><//></div>`}
		<${Field} id="key" name=${t("login.key")} hint=${t("login.hint")}>
			<input id="key" type="password" autocomplete="off" spellcheck=${false} autofocus value=${key}
				aria-describedby="key-hint" onInput=${(e) => set(e.currentTarget.value)} />
		<//>
		<div class="buttons"><button type="submit" class="primary">${t("login.enter")}</button></div>
	</form>`;
}
