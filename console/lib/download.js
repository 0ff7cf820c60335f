// Saves what a call answers: straight to disk where the browser can, else through its memory.
import { send } from "./api.js";

async function target(name) {
	if (!window.showSaveFilePicker) return null;
	const handle = await window.showSaveFilePicker({ suggestedName: name });
	return handle.createWritable();
}

function save(blob, name) {
	const a = document.createElement("a");
	a.href = URL.createObjectURL(blob);
	a.download = name;
	a.click();
	setTimeout(() => URL.revokeObjectURL(a.href), 60000);
}

const LARGE = 64 << 20;

/** `bytes` says whether it is worth asking where to; null: not known. */
export async function download(path, name, bytes) {
	const disk = bytes === null || bytes > LARGE ? await target(name) : null;
	const answer = await send("GET", path);
	if (disk) await answer.body.pipeTo(disk);
	else save(await answer.blob(), name);
}
