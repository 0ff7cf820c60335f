// Files: inputs and results.
import { html, useState } from "../vendor/preact.js";
import { get, remove } from "../lib/api.js";
import { download } from "../lib/download.js";
import { bytes } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { useLoad } from "../lib/load.js";
import { go, link } from "../lib/route.js";
import {
	Do,
	Empty,
	Fault,
	Field,
	Id,
	Page,
	Panel,
	Pending,
	Table,
	Time,
	ask,
	say,
} from "../lib/ui.js";

const PAGE = 100;

function Row({ file, again }) {
	const drop = async () => {
		const sure = await ask({
			title: t("files.delete_title", { name: file.filename }),
			text: t(file.purpose === "batch" ? "files.delete_input" : "files.delete_output"),
			action: t("delete"),
			danger: true,
		});
		if (!sure) return;
		await remove(`files/${file.id}`);
		say(t("files.deleted", { name: file.filename }));
		again();
	};
	return html`<tr>
		<th scope="row">${file.filename}<small class="muted"><${Id} id=${file.id} /></small></th>
		<td class="wide">${t(`purpose.${file.purpose}`)}</td>
		<td class="number wide">${bytes(file.bytes)}</td>
		<td class="number wide"><${Time} at=${file.created_at} /></td>
		<td class="number wide">${file.expires_at ? html`<${Time} at=${file.expires_at} />` : t("files.never")}</td>
		<td class="actions">
			${file.purpose === "batch" && html`<a class="button small" href=${link(["new"], { file: file.id })} aria-label=${t("files.use_what", { what: file.filename })}>${t("files.use")}</a>`}
			<${Do} kind="small" label=${t("download.what", { what: file.filename })} call=${() => download(`files/${file.id}/content`, file.filename, file.bytes)}>${t("download")}<//>
			<${Do} kind="small danger" label=${t("delete.what", { what: file.filename })} call=${drop}>${t("delete")}<//>
		</td>
	</tr>`;
}

export function Files({ query }) {
	const purpose = query.get("purpose") ?? "";
	const [trail, set] = useState([""]);
	const after = trail[trail.length - 1];
	const load = useLoad(
		(signal) => get("files", { purpose, after, limit: PAGE }, signal),
		[purpose, after],
	);
	const rows = load.data?.data ?? [];
	const choose = (value) => {
		set([""]);
		go(["files"], { purpose: value });
	};
	return html`<${Page} title=${t("nav.files")}>
		<div class="filters">
			<${Field} id="by-purpose" name=${t("files.purpose")}>
				<select id="by-purpose" value=${purpose} onChange=${(e) => choose(e.currentTarget.value)}>
					<option value="">${t("filter.any")}</option>
					<option value="batch">${t("purpose.batch")}</option>
					<option value="batch_output">${t("purpose.batch_output")}</option>
				</select>
			<//>
		</div>
		<${Panel}>
			${load.data && html`<${Fault} fault=${load.fault} again=${load.again} />`}
			${
				!load.data
					? html`<${Pending} load=${load} />`
					: rows.length === 0
						? html`<${Empty} title=${t("files.none")}><p><a class="button primary" href=${link(["new"])}>${t("nav.new")}</a></p><//>`
						: html`<${Table} label=${t("nav.files")} heads=${[
								t("files.name"),
								{ text: t("files.purpose"), kind: "wide" },
								{ text: t("files.size"), kind: "number wide" },
								{ text: t("files.created"), kind: "number wide" },
								{ text: t("files.expires"), kind: "number wide" },
								{ text: t("actions"), kind: "actions" },
							]}>${rows.map((file) => html`<${Row} file=${file} again=${load.again} key=${file.id} />`)}<//>`
			}
			${
				(trail.length > 1 || load.data?.has_more) &&
				html`<div class="pages" role="group" aria-label=${t("pages")}>
				<button type="button" disabled=${trail.length === 1} onClick=${() => set(trail.slice(0, -1))}>${t("pages.back")}</button>
				<button type="button" disabled=${!load.data?.has_more} onClick=${() => set([...trail, load.data.last_id])}>${t("pages.next")}</button>
			</div>`
			}
		<//>
	<//>`;
}
