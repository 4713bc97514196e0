// What only writers can do: upload, publish a draft, delete. Uploads go by
// draft-ietf-httpbis-resumable-upload: after a cut, a killed server or a reload of the page
// they go on where they were.
{
	const find = selector => document.querySelector(selector);
	const make = (name, text = "", className = "") => Object.assign(document.createElement(name), { textContent: text, className });
	const size = bytes => bytes < 1 << 10 ? bytes + " B" : bytes < 1 << 20 ? (bytes / 1024).toFixed(1) + " KiB" : bytes < 1 << 30 ? (bytes / 1048576).toFixed(1) + " MiB" : (bytes / 1073741824).toFixed(1) + " GiB";

	// send resolves with the request once it is answered. fetch does not tell how much is sent.
	const send = (method, url, headers = {}, body = null, item = {}) => new Promise((resolve, reject) => {
		const request = item.request = new XMLHttpRequest();
		request.open(method, url);
		for (const name in headers) request.setRequestHeader(name, headers[name]);
		if (body) request.upload.onprogress = event => show(item, item.offset + event.loaded);
		request.onload = () => resolve(request);
		request.onerror = request.onabort = () => reject(new Error("no answer"));
		request.send(body);
	});
	const reason = request => {
		if (request.getResponseHeader("Content-Type")?.includes("html")) return "the server answers " + request.status;
		try { return JSON.parse(request.responseText).detail; } catch { return request.responseText.trim() || "the server answers " + request.status; }
	};
	// judge throws what an answer refuses. It is final unless the same may succeed later. The
	// server tells when the upload has ended with it.
	const judge = request => {
		const code = request.status, later = code == 408 || code == 429 || code > 501 && code != 507 || code == 500;
		if (code >= 400) throw Object.assign(new Error(reason(request)), { final: !later, ended: request.getResponseHeader("Upload-Complete") == "?1" });
		return request;
	};
	const refuse = text => { throw Object.assign(new Error(text), { final: true }); };

	const place = find("#upload"), form = find("form.upload"), items = [];
	const interop = { "Upload-Draft-Interop-Version": "8" }, parallel = 3;
	// Sessions of uploads that were begun, by the URL of the file: what a reload leaves, until
	// the server ends them.
	const memory = {
		all: () => { try { return Object.entries(localStorage).filter(([key]) => key.startsWith("upload ")).map(([key, text]) => ({ url: key.slice(7), ...JSON.parse(text) })).filter(one => one.until > Date.now() || memory.drop(one.url)); } catch { return []; } },
		keep: item => { try { localStorage["upload " + item.url] = JSON.stringify({ session: item.session, size: item.file.size, modified: item.file.lastModified, offset: item.offset, draft: item.draft, before: item.before, until: item.until }); } catch { } },
		drop: url => { try { delete localStorage["upload " + url]; } catch { } },
	};

	// step does the next request of an upload, and tells whether the file is there.
	const step = async item => {
		const file = item.file;
		item.before ??= tagOf(await there(item));
		if (!item.session && item.sent && await arrived(item)) return true;
		const target = item.url + (item.draft ? "?draft" : "");
		if (!("resumable" in place.dataset)) {
			item.sent = true;
			judge(await send("PUT", target, {}, file, item));
			return true;
		}
		if (!item.session) {
			const begun = judge(await send("PUT", target, { ...interop, "Upload-Complete": "?0", "Upload-Length": file.size }, null, item));
			item.session = begun.getResponseHeader("Location") ?? refuse("the server does not say where the upload is");
			stand(item, begun, 0);
		}
		if (!item.sure) {
			const asked = await send("HEAD", item.session, interop, null, item);
			if (asked.status == 404) return forget(item); // published, or expired
			judge(asked);
			if (asked.getResponseHeader("Upload-Complete") == "?1") return true;
			stand(item, asked, Number(asked.getResponseHeader("Upload-Offset")));
		}
		const end = Math.min(item.offset + item.most, file.size), last = end == file.size;
		item.sent ||= last;
		const answer = await send("PATCH", item.session, { ...interop, "Content-Type": "application/partial-upload", "Upload-Offset": item.offset, "Upload-Complete": last ? "?1" : "?0" }, file.slice(item.offset, end), item);
		if (answer.status == 404) return forget(item);
		if (answer.status == 409 && answer.getResponseHeader("Upload-Complete") == "?0") throw new Error(reason(answer)); // another offset
		judge(answer);
		stand(item, answer, end);
		return last;
	};
	const stand = (item, answer, offset) => {
		item.offset = offset;
		item.sure = true;
		const limit = name => RegExp(name + "=(\\d+)").exec(answer.getResponseHeader("Upload-Limit"))?.[1];
		item.most = Number(limit("max-append-size") ?? Infinity);
		item.until = Date.now() + 1000 * (limit("max-age") ?? 86400);
		memory.keep(item);
		show(item, offset);
	};
	const forget = item => {
		memory.drop(item.url);
		item.session = null;
		item.offset = 0;
		return false;
	};
	const there = async item => {
		const found = await send("HEAD", item.url, {}, null, item);
		return found.status > 404 ? judge(found) : found;
	};
	const tagOf = found => found.status == 200 ? found.getResponseHeader("ETag") : "";
	// arrived tells whether the file is there whose answer was lost, and not the one that it is to
	// replace.
	const arrived = async item => {
		const found = await there(item);
		item.sent = false;
		return found.status == 200 && Number(found.getResponseHeader("Content-Length")) == item.file.size && tagOf(found) != item.before;
	};

	// run sends a file until it is there, refused, paused or cancelled.
	const run = async item => {
		const turn = item.turn = (item.turn ?? 0) + 1;
		const mine = () => item.turn == turn && item.state == "sending";
		become(item, "sending");
		for (let wait = 500; mine();) {
			try {
				await item.file.slice(0, 1).arrayBuffer().catch(() => refuse("the file has changed, or cannot be read"));
				if (!mine()) break;
				if (await step(item) && mine()) {
					memory.drop(item.url);
					show(item, item.file.size);
					become(item, "done", item.draft ? "in the draft" : "published");
				}
				wait = 500;
			} catch (problem) {
				if (!mine()) break;
				item.sure = false;
				if (problem.final) {
					if (problem.ended) forget(item);
					become(item, "failed", problem.message);
					break;
				}
				item.text.textContent = "trying again: " + problem.message;
				await new Promise(resolve => setTimeout(resolve, wait));
				wait = Math.min(2 * wait, 10000);
			}
		}
		pump();
	};
	const pump = () => {
		for (const item of items) if (item.state == "queued" && count("sending") < parallel) run(item);
		tell();
	};
	const count = (...states) => items.filter(item => states.includes(item.state)).length;

	const show = (item, bytes) => {
		item.bar.value = item.file.size ? bytes / item.file.size : 1;
		if (item.state == "sending") item.text.textContent = size(bytes) + " of " + size(item.file.size);
	};
	const actions = { queued: "Pause", sending: "Pause", paused: "Resume", failed: "Try again" };
	const become = (item, state, text = "") => {
		item.state = state;
		item.row.className = state;
		item.text.textContent = text || { ready: size(item.file.size), queued: "waiting", paused: "paused", cancelled: "cancelled" }[state] || item.text.textContent;
		item.bar.hidden = !["queued", "sending", "paused"].includes(state);
		for (const [button, label] of [[item.act, actions[state]], [item.end, { done: "", cancelled: "" }[state] ?? (item.bar.hidden ? "Remove" : "Cancel")]]) {
			button.hidden = !label;
			button.textContent = label;
			button.setAttribute("aria-label", label + " " + item.path);
		}
	};
	const pause = some => {
		for (const item of some) {
			become(item, "paused");
			item.sure = false;
			item.request?.abort();
		}
		pump();
	};
	const again = item => {
		if (item.state == "paused") become(item, "queued");
		else if (form.reportValidity()) {
			become(item, "ready");
			check();
			if (item.state == "ready") begin([item]);
		}
		pump();
	};
	const end = some => {
		for (const item of some) {
			const was = item.state;
			become(item, "cancelled");
			item.request?.abort();
			if (item.session) giveUp(item);
			if (["ready", "bad", "failed"].includes(was)) remove(item);
		}
		check();
		pump();
	};
	const remove = item => {
		lost ||= item.row.contains(document.activeElement);
		items.splice(items.indexOf(item), 1);
		item.row.remove();
	};
	// attend gives the keyboard what there is to do next, when the button that had it is gone.
	let at = null, lost = false;
	const attend = () => {
		if (lost || at?.hidden) [...form.querySelectorAll(".told button, #see"), find(".drop input")].find(one => !one.hidden).focus();
		lost = false;
	};
	const tell = () => {
		const ready = count("ready"), bad = count("bad"), done = count("done"), failed = count("failed"), going = count("queued", "sending"), paused = count("paused");
		const texts = [[bad, "cannot be published"], [ready, "ready"], [going, "to go"], [paused, "paused"], [failed, "failed"], [done, "done"]];
		const text = bad ? bad + " cannot be published, and nothing is sent until you leave them out" : texts.filter(([n]) => n).map(([n, what]) => n + " " + what).join(", ");
		if (find("#told").textContent != text) find("#told").textContent = text;
		find("#start").hidden = !ready || bad > 0;
		find("#start").textContent = ready == 1 ? "Upload 1 file" : "Upload " + ready + " files";
		find("#leave").hidden = !bad;
		find("#pause").hidden = !going;
		find("#resume").hidden = !paused;
		find("#end").hidden = !(going + paused);
		find("#see").hidden = !done || going + paused + ready > 0;
		attend();
	};

	// check finds what cannot be published before anything is sent: names that the registry
	// does not take, and names that are one, because upper and lower case are the same. Files
	// that are there, and those on their way into another version, are in nobody's way.
	const check = () => {
		const marks = place.dataset.marks, at = folder(), named = {};
		const isNew = item => item.state == "ready" || item.state == "bad";
		const same = item => ((isNew(item) ? at : item.at) + item.file.name).toLowerCase();
		const mayBe = name => name.length <= 255 && name != "." && name != ".." && name.trim() == name && [...name].every(c => /[A-Za-z0-9]/.test(c) || marks.includes(c));
		for (const item of items) if (isNew(item) || !item.bar.hidden) (named[same(item)] ??= []).push(item);
		for (const item of items.filter(isNew)) {
			const others = named[same(item)].filter(other => other != item);
			if (item.unread) become(item, "bad", "cannot be read");
			else if (!mayBe(item.file.name)) become(item, "bad", "“" + item.file.name + "” is not a name that can be published: letters, digits and " + marks.trim() + " can");
			else if (others.length) become(item, "bad", "would be the same file as " + others[0].path + ": versions have no folders, and upper and lower case are the same");
			else become(item, "ready");
		}
	};
	const add = (file, path, unread = false) => {
		const item = { file, unread, path: path || file.name, offset: 0, sure: false, row: make("li"), text: make("span", "", "state"), bar: Object.assign(make("progress"), { value: 0 }), act: make("button", "", "plain"), end: make("button", "", "plain") };
		item.act.type = item.end.type = "button";
		item.act.addEventListener("click", () => ["paused", "failed"].includes(item.state) ? again(item) : pause([item]));
		item.end.addEventListener("click", () => end([item]));
		item.bar.setAttribute("aria-label", "Progress of " + item.path);
		item.row.append(make("span", item.path, "name"), item.bar, item.text, item.act, item.end);
		items.push(item);
		find("#items").append(item.row);
		become(item, "ready");
	};
	// walk adds what was dropped, and all files below a folder. What cannot be read is told.
	const walk = async (entry, above = "") => {
		const path = above + entry.name;
		try {
			if (entry.isFile) return add(await new Promise((resolve, reject) => entry.file(resolve, reject)), path);
			const reader = entry.createReader();
			for (let some; (some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject))).length;)
				for (const one of some) await walk(one, path + "/");
		} catch {
			add({ name: entry.name, size: 0 }, path, true);
		}
	};

	const escape = name => encodeURIComponent(name).replace(/[!'()*]/g, c => "%" + c.charCodeAt(0).toString(16).toUpperCase());
	const value = name => form.elements[name]?.value.trim() || place.dataset[name];
	const folder = () => new URL(place.dataset.root + escape(value("owner")) + "/generic/" + escape(value("package")) + "/" + escape(value("version")) + "/", location).pathname;
	// begin sends files to where the form says now, also those that were refused elsewhere.
	const begin = some => {
		const at = find("#see").href = folder(), draft = form.elements.draft?.checked ?? "draft" in place.dataset;
		for (const item of some) {
			const url = at + escape(item.file.name);
			if (item.url != url || item.draft != draft) {
				if (item.session) giveUp(item);
				Object.assign(item, { at, url, draft, session: null, sent: false, before: undefined, offset: 0 });
			}
			const begun = memory.all().find(one => one.url == url);
			if (begun && begun.size == item.file.size && begun.modified == item.file.lastModified && !begun.draft == !draft) Object.assign(item, { session: begun.session, sent: true, before: begun.before });
			else if (begun) giveUp(begun); // of another file, which has this name too
			become(item, "queued");
		}
		interrupted();
		pump();
	};
	const giveUp = begun => {
		send("DELETE", begun.session, interop).catch(() => { });
		memory.drop(begun.url);
	};
	// interrupted lists what an earlier visit of the page has begun, and fills in where it goes.
	const interrupted = () => {
		const here = new URL(place.dataset.version ? "./" : place.dataset.root + (value("owner") ? escape(value("owner")) + "/" : ""), location).pathname;
		const left = memory.all().filter(one => one.url.startsWith(here) && !items.some(item => item.url == one.url));
		find("#interrupted").hidden = !left.length;
		find("#interrupted ul").replaceChildren(...left.map(one => {
			const names = one.url.split("/").map(decodeURIComponent), row = make("li"), give = make("button", "Give up", "plain");
			for (const [name, back] of [["version", 2], ["package", 3], ["owner", 5]]) if (form.elements[name] && !form.elements[name].value) form.elements[name].value = names.at(-back);
			if (form.elements.draft && one.draft) form.elements.draft.checked = true;
			give.type = "button";
			give.setAttribute("aria-label", "Give up " + names.at(-1));
			give.addEventListener("click", () => {
				giveUp(one);
				interrupted();
				lost = true;
				attend();
			});
			row.append(make("span", names.at(-1), "name"), make("span", size(one.offset) + " of " + size(one.size) + " came", "state"), give);
			return row;
		}));
	};

	if (place) {
		place.hidden = false;
		form.addEventListener("submit", event => {
			event.preventDefault();
			begin(items.filter(item => item.state == "ready"));
		});
		form.addEventListener("input", () => { check(); pump(); });
		form.addEventListener("focusin", event => at = event.target);
		form.addEventListener("focusout", event => { if (!event.target.hidden) at = null; });
		for (const input of form.querySelectorAll("input[type=file]")) input.addEventListener("change", () => {
			for (const file of input.files) add(file, file.webkitRelativePath);
			input.value = "";
			check();
			pump();
		});
		for (const kind of ["dragover", "dragleave", "drop"]) addEventListener(kind, event => {
			event.preventDefault();
			place.classList.toggle("over", kind == "dragover");
		});
		addEventListener("drop", async event => {
			const dropped = [...event.dataTransfer.items].filter(one => one.kind == "file").map(one => one.webkitGetAsEntry() ?? one.getAsFile());
			for (const one of dropped) one instanceof File ? add(one) : await walk(one);
			check();
			pump();
			place.scrollIntoView({ block: "nearest" });
		});
		find("#leave").addEventListener("click", () => end(items.filter(item => item.state == "bad")));
		find("#pause").addEventListener("click", () => pause(items.filter(item => ["queued", "sending"].includes(item.state))));
		find("#resume").addEventListener("click", () => { for (const item of items) if (item.state == "paused") become(item, "queued"); pump(); });
		find("#end").addEventListener("click", () => end(items.filter(item => !item.bar.hidden)));
		addEventListener("beforeunload", event => { if (count("queued", "sending")) event.preventDefault(); });
		interrupted();
	}

	const version = location.pathname.replace(/\/+$/, "");
	const publish = find("#publish button");
	if (publish) publish.hidden = false;
	publish?.addEventListener("click", async () => {
		try {
			if (count("queued", "sending", "paused")) refuse("Its files are still being uploaded.");
			judge(await send("POST", version + "?publish"));
			location.reload();
		} catch (problem) { find("#publish [role=alert]").textContent = problem.message; }
	});

	const dialog = find("#delete");
	const offer = (name, url, after) => {
		const button = make("button", "Delete", "plain");
		button.type = "button";
		button.setAttribute("aria-label", "Delete " + name);
		button.addEventListener("click", () => {
			dialog.dataset.url = url;
			find("#delete b").textContent = name;
			find("#delete input").value = find("#delete [role=alert]").textContent = "";
			dialog.showModal();
		});
		after.after(button);
	};
	if (dialog) {
		find("#removal").hidden = false;
		for (const link of document.querySelectorAll("#files a")) offer(link.textContent, link.href, link.nextElementSibling);
		offer(find("#delete").dataset.version, version, find("#removal > :last-child"));
		find("#delete [value=cancel]").addEventListener("click", () => dialog.close());
		find("#delete form").addEventListener("submit", async event => {
			event.preventDefault();
			const told = find("#delete [role=alert]");
			if (find("#delete input").value != find("#delete b").textContent) return told.textContent = "This is not the name.";
			try {
				judge(await send("DELETE", dialog.dataset.url));
				// A version goes with its last file, and a package with its last version.
				for (const folder of ["./", "../", "../../", "../../../"]) {
					if (folder == "../../../" || (await send("HEAD", folder, { Accept: "text/html" })).status == 200) return location.assign(folder == "./" ? "./?edit" : folder);
				}
			} catch (problem) { told.textContent = problem.message; }
		});
	}
}
