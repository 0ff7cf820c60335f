// The console: the frame around its pages.
import { html, render, useEffect } from "./vendor/preact.js";
import { chooseOrg, org, orgs, session, signIn, signOut } from "./lib/api.js";
import { chooseLanguage, language, languages, t } from "./lib/i18n.js";
import { link as stream } from "./lib/live.js";
import { link, route } from "./lib/route.js";
import { chooseTheme, theme } from "./lib/theme.js";
import { Fault, Page, Question, Said, faultWords } from "./lib/ui.js";
import { useValue } from "./lib/value.js";
import { Batch } from "./pages/batch.js";
import { Batches } from "./pages/batches.js";
import { Files } from "./pages/files.js";
import { Limits } from "./pages/limits.js";
import { Login } from "./pages/login.js";
import { NewBatch } from "./pages/new.js";
import { Orgs } from "./pages/orgs.js";
import { Overview } from "./pages/overview.js";
import { Webhooks } from "./pages/webhooks.js";

// [name, page, whose: "all" | "org" | "operator"]
const PAGES = [
	["overview", Overview, "all"],
	["batches", Batches, "all"],
	["new", NewBatch, "org"],
	["files", Files, "org"],
	["webhooks", Webhooks, "org"],
	["limits", Limits, "all"],
	["orgs", Orgs, "operator"],
];

const shown = (operator) =>
	PAGES.filter(([, , whose]) => whose === "all" || (whose === "operator") === operator);

function Missing() {
	return html`<${Page} title=${t("missing.title")}>
		<p>${t("missing.text")}</p>
		<p><a href="#/overview">${t("missing.back")}</a></p>
	<//>`;
}

function pageOf({ parts, query }, operator) {
	const [name = "overview", id, more] = parts;
	const page = shown(operator).find(([one]) => one === name);
	if (!page || more !== undefined || (id !== undefined && name !== "batches"))
		return html`<${Missing} />`;
	if (id !== undefined) return html`<${Batch} id=${id} key=${id} />`;
	return html`<${page[1]} query=${query} />`;
}

function Navigation({ parts, operator }) {
	const at = parts[0] ?? "overview";
	return html`<nav aria-label=${t("nav")}>
		${shown(operator).map(
			([name]) =>
				html`<a href=${link([name])} aria-current=${name === at ? "page" : null}>${t(`nav.${name}`)}</a>`,
		)}
	</nav>`;
}

function Stream() {
	const { state, fault } = useValue(stream);
	return html`<span class="stream ${state}" title=${fault && state === "broken" ? faultWords(fault).join(" ") : null}>
		${t(`stream.${state}`)}
	</span>`;
}

function Choices() {
	return html`<div class="choices">
		<label class="hidden" for="language">${t("language")}</label>
		<select id="language" value=${useValue(language)} onChange=${(e) => chooseLanguage(e.currentTarget.value)}>
			${Object.entries(languages).map(([name, own]) => html`<option value=${name} lang=${name}>${own}</option>`)}
		</select>
		<label class="hidden" for="theme">${t("theme")}</label>
		<select id="theme" value=${useValue(theme)} onChange=${(e) => chooseTheme(e.currentTarget.value)}>
			${["system", "light", "dark"].map((name) => html`<option value=${name}>${t(`theme.${name}`)}</option>`)}
		</select>
	</div>`;
}

function OrgChoice() {
	return html`<label for="org">${t("org")}</label>
		<select id="org" value=${useValue(org)} onChange=${(e) => chooseOrg(e.currentTarget.value)}>
			${useValue(orgs).map((name) => html`<option value=${name}>${name}</option>`)}
		</select>`;
}

function Broken() {
	const { state, fault } = useValue(stream);
	if (state !== "broken") return null;
	return html`<div class="notice warn broken" role="status"><p>${t("stream.broken_long")} ${faultWords(fault)[0]}</p></div>`;
}

function Inside({ known }) {
	const at = useValue(route);
	const whose = useValue(org);
	useEffect(() => scrollTo(0, 0), [at.parts.join("/")]);
	return html`<a class="skip" href="#main" onClick=${(e) => {
		e.preventDefault();
		document.querySelector("h1")?.focus();
	}}>${t("skip")}</a>
		<header class="top">
			<a class="brand" href="#/overview"><img src="icon.svg" alt="" width="22" height="22" />lowtide</a>
			${known.operator && html`<div class="org"><${OrgChoice} /></div>`}
			<div class="top-end">
				<${Stream} />
				<${Choices} />
				${known.key && html`<button type="button" class="small" onClick=${() => signOut()}>${t("sign_out")}</button>`}
			</div>
		</header>
		<div class="frame">
			<${Navigation} parts=${at.parts} operator=${known.operator} />
			<main id="main" key=${whose}><${Broken} />${pageOf(at, known.operator)}</main>
		</div>`;
}

function Outside({ children }) {
	return html`<header class="top">
			<span class="brand"><img src="icon.svg" alt="" width="22" height="22" />lowtide</span>
			<div class="top-end"><${Choices} /></div>
		</header>
		<main id="main" class="outside">${children}</main>`;
}

function App() {
	const known = useValue(session);
	useValue(language);
	useValue(theme);
	let inside = html`<${Outside}><h1 class="hidden">lowtide</h1><p class="muted pending" role="status">${t("loading")}</p><//>`;
	if (known.state === "in") inside = html`<${Inside} known=${known} />`;
	else if (known.state === "out") inside = html`<${Outside}><${Login} why=${known.why} /><//>`;
	else if (known.state === "fault")
		inside = html`<${Outside}>
			<h1>lowtide</h1>
			<${Fault} fault=${known.fault} again=${signIn} />
			<p><button type="button" onClick=${() => signOut()}>${t("other_key")}</button></p>
		<//>`;
	return html`${inside}<${Said} /><${Question} />`;
}

render(html`<${App} />`, document.getElementById("app"));
signIn();
